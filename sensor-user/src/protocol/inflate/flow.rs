//! A body that is undone while it comes: event streams last for hours, and their events count when they are sent.
//!
//! Takes the body in pieces. Gives its content as far as it can be known by then. Deflate (RFC 1951) and its frames are
//! undone without end, in the window they need. Brotli and Zstandard ask for windows of megabytes, which a connection
//! does not get: the body's front is held and undone anew as it grows, and what follows a front of `held_bytes` is not
//! read. Never gives out of proportion. Bounded by [`STATE_BYTES`] or by `held_bytes`, and by [`ANEW_BYTES`] of work.

#![expect(clippy::disallowed_types, reason = "this is the door")]

use flate2::{Decompress, FlushDecompress, Status};
use smallvec::SmallVec;

use super::{Coding, Ended, Limits, MAX_MEMBERS};

/// What a deflate stream holds: a window of 32 KiB, code tables and a copy of the window's edge.
pub const STATE_BYTES: usize = 48 * 1024;

/// Bytes that come out at a time.
const STEP: usize = 4 * 1024;

/// A front is undone anew at every piece until so many bytes went in and came out in all: some hundred events.
const ANEW_BYTES: usize = 4 * 1024 * 1024;

/// What it costs to begin anew, as bytes: tables that are made and let go.
const BEGINNING: usize = 4 * 1024;

/// Beyond, it is undone anew when it grew by one part in so many: five times the work of undoing it once.
const GROWTH: usize = 4;

/// One body.
pub struct Flow {
    kind: Kind,
    limits: Limits,
    consumed: usize,
    produced: usize,
    ended: Option<Ended>,
}

enum Kind {
    Deflate(Deflate),
    Front(Front),
}

struct Deflate {
    coding: Coding,
    /// Of the member under way.
    stream: Option<Decompress>,
    /// Bytes that say whether `deflate` has zlib's frame.
    front: SmallVec<[u8; 2]>,
    members: usize,
    /// Only padding follows.
    padding: bool,
}

struct Front {
    coding: Coding,
    held: Vec<u8>,
    held_bytes: usize,
    /// Bytes of its content that were given.
    told: usize,
    /// Length at which it is undone the next time.
    next: usize,
    work: usize,
}

/// It holds observed bytes.
impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[flow, {} of {} bytes]", self.produced, self.consumed)
    }
}

impl Flow {
    /// A body at its beginning, of which at most `held_bytes` are held.
    pub fn new(coding: Coding, held_bytes: usize, limits: Limits) -> Self {
        let kind = match coding {
            Coding::Gzip | Coding::Deflate => Kind::Deflate(Deflate {
                coding,
                stream: None,
                front: SmallVec::new(),
                members: 0,
                padding: false,
            }),
            Coding::Brotli | Coding::Zstd => Kind::Front(Front {
                coding,
                held: Vec::new(),
                held_bytes,
                told: 0,
                next: 0,
                work: 0,
            }),
        };
        Self {
            kind,
            limits,
            consumed: 0,
            produced: 0,
            ended: None,
        }
    }

    /// Takes the next bytes. Says so once when nothing more can come of the body.
    pub fn feed(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Option<Ended> {
        if self.ended.is_some() {
            return None;
        }
        let Self {
            kind,
            limits,
            consumed,
            produced,
            ..
        } = self;
        let before = *consumed;
        let mut metered = |used: usize, piece: &[u8]| {
            *consumed = before.saturating_add(used);
            *produced = produced.saturating_add(piece.len());
            sink(piece);
            if *produced > limits.free_bytes && *produced > consumed.saturating_mul(limits.ratio) {
                return Err(Ended::Bomb);
            }
            Ok(())
        };
        let result = match kind {
            Kind::Deflate(deflate) => deflate.feed(input, &mut metered),
            Kind::Front(front) => front.feed(input, *limits, &mut metered),
        };
        self.ended = result.err();
        if self.ended.is_some() {
            self.let_go();
        }
        self.ended
    }

    /// The body ends. Says how, unless [`Self::feed`] did.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[u8])) -> Option<Ended> {
        if self.ended.is_some() {
            return None;
        }
        let ended = match &mut self.kind {
            Kind::Deflate(deflate) if deflate.stream.is_some() || deflate.members == 0 => Ended::Cut,
            Kind::Deflate(_) => Ended::Whole,
            Kind::Front(front) => front.undo(self.limits, &mut |_, piece| {
                sink(piece);
                Ok(())
            }),
        };
        self.stop();
        Some(ended)
    }

    /// Bytes are missing: what follows refers to them.
    pub fn stop(&mut self) {
        self.ended = Some(Ended::Cut);
        self.let_go();
    }

    /// Memory that it holds.
    pub fn held_bytes(&self) -> usize {
        match &self.kind {
            Kind::Deflate(deflate) => deflate.stream.as_ref().map_or(0, |_| STATE_BYTES),
            Kind::Front(front) => front.held.capacity(),
        }
    }

    fn let_go(&mut self) {
        match &mut self.kind {
            Kind::Deflate(deflate) => deflate.stream = None,
            Kind::Front(front) => front.held = Vec::new(),
        }
    }
}

/// Takes what came out of so many bytes of the piece, if there may be so much.
type Sink<'s> = &'s mut dyn FnMut(usize, &[u8]) -> Result<(), Ended>;

impl Deflate {
    fn feed(&mut self, input: &[u8], sink: Sink<'_>) -> Result<(), Ended> {
        let mut rest = input;
        if self.coding == Coding::Deflate && self.stream.is_none() && self.members == 0 {
            let wanted = 2_usize.saturating_sub(self.front.len());
            let (front, behind) = rest.split_at_checked(wanted).unwrap_or((rest, &[]));
            self.front.extend_from_slice(front);
            rest = behind;
            let [method, flags] = *self.front.as_slice() else {
                return Ok(());
            };
            // RFC 1950, 2.2; bare deflate from those who took the name at its word.
            let zlib = method & 0x0f == 8 && u16::from_be_bytes([method, flags]).is_multiple_of(31);
            self.stream = Some(Decompress::new(zlib));
            let front = std::mem::take(&mut self.front);
            self.run(&front, 0, sink)?;
        }
        while !rest.is_empty() && !self.padding {
            if self.stream.is_none() {
                self.begin(rest)?;
                continue;
            }
            let used = input.len() - rest.len();
            let more = self.run(rest, used, sink)?;
            rest = rest.get(more..).unwrap_or_default();
        }
        Ok(())
    }

    /// Another member (RFC 1952, 2.2), or zeros that pad.
    fn begin(&mut self, rest: &[u8]) -> Result<(), Ended> {
        match rest.first() {
            _ if self.coding == Coding::Deflate => return Err(Ended::Broken),
            Some(0) if self.members > 0 => self.padding = true,
            _ if self.members >= MAX_MEMBERS => return Err(Ended::Bomb),
            _ => self.stream = Some(Decompress::new_gzip(15)),
        }
        Ok(())
    }

    /// Undoes bytes of the member under way; gives how many.
    fn run(&mut self, input: &[u8], before: usize, sink: Sink<'_>) -> Result<usize, Ended> {
        let (mut used, mut room) = (0, [0; STEP]);
        while let Some(stream) = &mut self.stream {
            let rest = input.get(used..).unwrap_or_default();
            let (total_in, total_out) = (stream.total_in(), stream.total_out());
            let status = stream.decompress(rest, &mut room, FlushDecompress::Sync);
            let taken = usize::try_from(stream.total_in() - total_in).unwrap_or(usize::MAX);
            let given = usize::try_from(stream.total_out() - total_out).unwrap_or(usize::MAX);
            used = used.saturating_add(taken);
            sink(before + used, room.get(..given).unwrap_or_default())?;
            match status {
                Err(_) => return Err(Ended::Broken),
                Ok(Status::StreamEnd) => {
                    self.stream = None;
                    self.members += 1;
                }
                // It wants room, or input.
                Ok(_) if given == STEP => {}
                Ok(_) if used >= input.len() => return Ok(used),
                Ok(_) if taken == 0 && given == 0 => return Err(Ended::Broken),
                Ok(_) => {}
            }
        }
        Ok(used)
    }
}

impl Front {
    fn feed(&mut self, input: &[u8], limits: Limits, sink: Sink<'_>) -> Result<(), Ended> {
        let room = self.held_bytes.saturating_sub(self.held.len());
        let kept = input.get(..room);
        self.held.extend_from_slice(kept.unwrap_or(input));
        let full = kept.is_some_and(|kept| kept.len() < input.len());
        if self.held.len() >= self.next || full {
            match self.undo(limits, &mut |_, piece| sink(input.len(), piece)) {
                Ended::Whole | Ended::Cut => {}
                ended => return Err(ended),
            }
        }
        if full { Err(Ended::TooLarge) } else { Ok(()) }
    }

    /// Gives what was not given yet.
    fn undo(&mut self, limits: Limits, sink: Sink<'_>) -> Ended {
        let mut out = Vec::new();
        let mut ended = super::decode(&[self.coding], &self.held, limits, &mut out);
        if let Err(stopped) = sink(0, out.get(self.told..).unwrap_or_default()) {
            ended = stopped;
        }
        self.told = self.told.max(out.len());
        self.work = self.work.saturating_add(BEGINNING + self.held.len() + out.len());
        self.next = self.held.len().saturating_add(1);
        if self.work > ANEW_BYTES {
            self.next = self.next.saturating_add(self.held.len() / GROWTH);
        }
        ended
    }
}

#[cfg(test)]
pub(super) mod tests;
