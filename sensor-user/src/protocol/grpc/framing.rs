//! Length-prefixed messages: one byte of flags, four of length, the message.
//!
//! Takes pieces of a body, however divided. Gives frames and their content in slices of those pieces. Never buffers.
//! Bounded by the input.

/// Flags and length.
pub const HEADER_BYTES: usize = 5;

/// The message is compressed as `grpc-encoding` says.
const COMPRESSED: u8 = 1;
/// gRPC-Web: the frame holds trailers.
const TRAILERS: u8 = 0x80;

/// What a frame's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its content is compressed.
    pub compressed: bool,
    /// Its content is trailers (gRPC-Web).
    pub trailers: bool,
    /// Bytes of its content.
    pub length: u32,
}

/// What is found, in order: a frame begins, its content in parts, it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'a> {
    /// A frame begins.
    Begin(Frame),
    /// A part of its content.
    Content(&'a [u8]),
    /// It is complete.
    End(Frame),
}

/// Divides a body into frames.
#[derive(Clone, Default, Debug)]
pub struct Framer {
    header: [u8; HEADER_BYTES],
    /// Bytes of the header that are there.
    have: usize,
    /// The frame under way and what is missing of it.
    current: Option<(Frame, u32)>,
}

/// Flags that neither gRPC nor gRPC-Web defines: the frames have no sense from there on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadFrame;

impl Framer {
    /// Takes the next piece.
    pub fn feed(&mut self, mut piece: &[u8], tell: &mut impl FnMut(Event<'_>)) -> Result<(), BadFrame> {
        loop {
            if let Some((frame, left)) = self.current {
                let here = piece.len().min(left as usize);
                let (content, rest) = piece.split_at_checked(here).unwrap_or_default();
                if !content.is_empty() {
                    tell(Event::Content(content));
                }
                piece = rest;
                let left = left - u32::try_from(here).unwrap_or(left);
                self.current = (left > 0).then_some((frame, left));
                if left > 0 {
                    return Ok(());
                }
                tell(Event::End(frame));
            }
            let Some((byte, rest)) = piece.split_first() else {
                return Ok(());
            };
            piece = rest;
            if let Some(frame) = self.header_byte(*byte)? {
                tell(Event::Begin(frame));
                self.current = Some((frame, frame.length));
            }
        }
    }

    /// Steps over `missing` bytes that were not seen, when they are content of the frame under way; its end is then not
    /// told. `None` when frames may begin in them; else the frame that they are in.
    pub fn skip(&mut self, missing: u64) -> Option<Frame> {
        let (frame, left) = self.current?;
        let left = left.checked_sub(u32::try_from(missing).ok()?)?;
        self.current = (left > 0).then_some((frame, left));
        Some(frame)
    }

    /// Whether the body may end here: between two frames.
    pub const fn is_between(&self) -> bool {
        self.have == 0 && self.current.is_none()
    }

    fn header_byte(&mut self, byte: u8) -> Result<Option<Frame>, BadFrame> {
        if self.have == 0 && byte & !(COMPRESSED | TRAILERS) != 0 {
            return Err(BadFrame);
        }
        if let Some(place) = self.header.get_mut(self.have) {
            *place = byte;
        }
        self.have += 1;
        if self.have < HEADER_BYTES {
            return Ok(None);
        }
        self.have = 0;
        let [flags, length @ ..] = self.header;
        Ok(Some(Frame {
            compressed: flags & COMPRESSED != 0,
            trailers: flags & TRAILERS != 0,
            length: u32::from_be_bytes(length),
        }))
    }
}

/// A frame, its content, and whether it ended.
type Told = (Frame, Vec<u8>, bool);

/// Each frame with its content, of bytes that come in steps of that size, and whether they end between two.
pub(super) fn told(bytes: &[u8], step: usize) -> (Vec<Told>, Result<bool, BadFrame>) {
    let mut frames: Vec<Told> = Vec::new();
    let mut framer = Framer::default();
    for piece in bytes.chunks(step) {
        let fed = framer.feed(piece, &mut |event| match event {
            Event::Begin(frame) => frames.push((frame, Vec::new(), false)),
            Event::Content(part) => {
                if let Some((_, content, _)) = frames.last_mut() {
                    content.extend_from_slice(part);
                }
            }
            Event::End(_) => {
                if let Some((_, _, ended)) = frames.last_mut() {
                    *ended = true;
                }
            }
        });
        if let Err(bad) = fed {
            return (frames, Err(bad));
        }
    }
    (frames, Ok(framer.is_between()))
}
