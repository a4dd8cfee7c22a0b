//! Holes: what of a frame is lost, and where the next one begins (RFC 9113, 4.1).
//!
//! Takes how many bytes are missing. Gives what was lost, when the place among the frames is still known, or begins to
//! search for it. Never believes a table of fields that a hole may have changed. Bounded by one frame.

use super::super::frame::{self, Frame, Kind};
use super::super::{Message, Resync};
use super::{Parser, State, begun};

impl Parser {
    pub(super) fn hole(&mut self, missing: u64) -> Resync<Message> {
        let waiting = self.waiting.take();
        let fits = |left: u32| {
            u32::try_from(missing)
                .ok()
                .and_then(|missing| left.checked_sub(missing))
        };
        match (self.state, waiting) {
            // Nothing is missing and yet something is wrong: see `Step::Reject`.
            (_, None) if missing == 0 => self.lose_place(),
            (
                State::Body {
                    stream,
                    left,
                    padding,
                    last,
                },
                _,
            ) => {
                let Some(rest) = fits(left + padding) else {
                    return self.lose_place();
                };
                let lost = u64::from(left) - u64::from(rest.saturating_sub(padding));
                let left = rest.saturating_sub(padding);
                self.state = if left > 0 {
                    State::Body {
                        stream,
                        left,
                        padding,
                        last,
                    }
                } else {
                    State::Skip(rest)
                };
                Resync::Exact(Some(Message::BodyLost {
                    stream,
                    missing: lost,
                    last: last && left == 0,
                }))
            }
            (State::Skip(left), _) if fits(left).is_some() => {
                self.state = State::Skip(fits(left).unwrap_or_default());
                Resync::Exact(None)
            }
            (State::Frame, Some(frame)) if missing <= frame.total() as u64 => {
                Resync::Exact(Some(self.hole_in(frame, missing)))
            }
            (State::Start, _) => {
                self.join();
                Resync::Searching(None)
            }
            _ => self.lose_place(),
        }
    }

    /// A hole of `missing` bytes, from the front of `frame` on, that does not reach its end: the frame is skipped.
    fn hole_in(&mut self, frame: Frame, missing: u64) -> Message {
        let total = frame.total() as u64;
        self.state = State::Skip(u32::try_from(total.saturating_sub(missing)).unwrap_or_default());
        if self.open.is_some() && frame.kind != Kind::Continuation {
            self.open = None;
        }
        match frame.kind {
            Kind::Data => {
                let last = frame.has(frame::END_STREAM);
                // How much of it is padding is not known.
                let missing = if frame.has(frame::PADDED) { 0 } else { frame.length };
                Message::BodyLost {
                    stream: frame.stream,
                    missing: u64::from(missing),
                    last,
                }
            }
            Kind::Continuation if self.open.is_none() => {
                self.decoder.lose();
                Message::Other
            }
            Kind::Headers | Kind::PushPromise | Kind::Continuation => {
                self.decoder.lose();
                let mut open = self.open.take().unwrap_or_else(|| begun(frame, 0));
                let told = open.fragments.take().is_none();
                let lost = open.lost(None);
                if !frame.has(frame::END_HEADERS) {
                    self.open = Some(open);
                }
                if told { Message::Other } else { lost }
            }
            _ => Message::Other,
        }
    }

    fn lose_place(&mut self) -> Resync<Message> {
        let searching = self.state == State::Searching;
        self.state = State::Searching;
        self.open = None;
        self.waiting = None;
        self.fresh = true;
        self.waits = 0;
        self.decoder.lose();
        Resync::Searching((!searching).then_some(Message::PlaceLost))
    }
}
