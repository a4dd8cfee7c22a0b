//! The streams of one HTTP/2 connection: which response answers which request is told by their number.
//!
//! Takes heads, pieces, ends and holes by stream. Gives exchanges as streams end. Never keeps a stream longer than
//! [`MAX_STREAMS`] and [`MAX_BYTES`] allow: the oldest goes first. An ended stream leaves nothing behind.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{Body, BodyState, Exchange, Outcome, Response};
use crate::capture::GapReason;
use crate::protocol::Anomaly;

/// Streams at once. Servers allow 100 to 250 (RFC 9113, 6.5.2 asks for no less than 100), some gRPC servers no limit.
const MAX_STREAMS: usize = 1024;

/// Bytes of heads and bodies of all streams at once: 64 bodies of the default limit. Bodies leave a quarter to heads.
const MAX_BYTES: usize = 4 * 1024 * 1024;
const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;

/// Requests that begin behind a hole before those from before it, of which nothing came since, are given up. As many
/// as servers allow at once.
const PATIENCE: u32 = 256;

#[derive(Default, Debug)]
pub(super) struct Streams {
    open: BTreeMap<u32, Box<Open>>,
    /// Bytes of them.
    bytes: usize,
    /// Whose end a hole may have hidden, and how many requests had begun by then.
    doubtful: VecDeque<(u32, u32)>,
    begun: u32,
    /// Responses without a request, for the accounts.
    pub(super) unpaired: u64,
}

/// How far one side of a stream is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    Open,
    /// A hole may have hidden the end.
    Doubtful,
    Ended,
}

impl Progress {
    /// More came.
    const fn go_on(&mut self) {
        if matches!(self, Self::Doubtful) {
            *self = Self::Open;
        }
    }
}

/// A stream that is not done with.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) exchange: Exchange,
    request: Progress,
    response: Progress,
    request_length: Option<u64>,
    pub(super) response_length: Option<u64>,
    bytes: usize,
}

impl Open {
    pub(super) const fn response_mut(&mut self) -> Option<&mut Response> {
        match &mut self.exchange.outcome {
            Outcome::Answered(response) => Some(response),
            Outcome::Unanswered | Outcome::Lost => None,
        }
    }

    /// What did not end will not.
    fn cut(&mut self) {
        if self.request != Progress::Ended {
            self.exchange.request.body.cut();
        }
        let ended = self.response == Progress::Ended;
        if let Some(response) = self.response_mut().filter(|_| !ended) {
            response.body.cut();
        }
    }

    /// RFC 9110, 6.4.1: `content-length` then speaks of another response.
    pub(super) fn has_no_body(&self, status: u16) -> bool {
        matches!(status, 204 | 304) || self.exchange.request.method() == b"HEAD"
    }
}

impl Streams {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn get(&mut self, stream: u32) -> Option<&mut Open> {
        self.open.get_mut(&stream).map(|open| &mut **open)
    }

    /// A request begins; one of the same number was there only if its end was not seen.
    pub(super) fn open(&mut self, stream: u32, exchange: Exchange, ended: bool, out: &mut Vec<Exchange>) {
        self.reset(stream, out);
        self.begun = self.begun.wrapping_add(1);
        let bytes = exchange.request.head.raw.len();
        self.bytes += bytes;
        let length = announced(&exchange);
        let open = Open {
            exchange,
            request: if ended { Progress::Ended } else { Progress::Open },
            response: Progress::Open,
            request_length: length,
            response_length: None,
            bytes,
        };
        self.open.insert(stream, Box::new(open));
    }

    /// The final response begins.
    pub(super) fn answer(&mut self, stream: u32, response: Response) {
        let Some(open) = self.open.get_mut(&stream) else {
            return;
        };
        if open.response_mut().is_some() {
            return;
        }
        open.response.go_on();
        let head = response.head.raw.len();
        open.bytes += head;
        self.bytes += head;
        open.exchange.outcome = Outcome::Answered(Box::new(response));
    }

    /// A piece of a request's body. Gives the number of departures.
    pub(super) fn request_body(&mut self, stream: u32, piece: Bytes, time_ns: u64, limit: usize) -> u64 {
        let room = MAX_BODY_BYTES.saturating_sub(self.bytes);
        let Some(open) = self.open.get_mut(&stream) else {
            return 0;
        };
        open.request.go_on();
        open.exchange.request.time_ns.1 = time_ns;
        let (kept, full) = add(&mut open.exchange.request.body, piece, (limit, room));
        self.keep(stream, kept, full)
    }

    /// A piece of a response's body.
    pub(super) fn response_body(&mut self, stream: u32, piece: Bytes, time_ns: u64, limit: usize) -> u64 {
        let room = MAX_BODY_BYTES.saturating_sub(self.bytes);
        let Some(open) = self.open.get_mut(&stream) else {
            return 0;
        };
        open.response.go_on();
        let Some(response) = open.response_mut() else {
            return 0;
        };
        response.time_ns.1 = time_ns;
        let (kept, full) = add(&mut response.body, piece, (limit, room));
        self.keep(stream, kept, full)
    }

    fn keep(&mut self, stream: u32, kept: usize, full: bool) -> u64 {
        self.bytes += kept;
        let Some(open) = self.open.get_mut(&stream) else {
            return 0;
        };
        open.bytes += kept;
        if full && !open.exchange.anomalies.contains(&Anomaly::Http2TooManyStreams) {
            open.exchange.anomalies.push(Anomaly::Http2TooManyStreams);
            return 1;
        }
        0
    }

    /// The request is complete. Gives the number of departures.
    pub(super) fn close_request(&mut self, stream: u32, out: &mut Vec<Exchange>) -> u64 {
        let Some(open) = self.open.get_mut(&stream) else {
            return 0;
        };
        open.request = Progress::Ended;
        let wrong = contradicts(&open.exchange.request.body, open.request_length);
        if wrong {
            open.exchange.anomalies.push(Anomaly::Http2BadLength);
        }
        if open.response == Progress::Ended {
            self.done(stream, out);
        }
        u64::from(wrong)
    }

    /// The response is complete.
    pub(super) fn close_response(&mut self, stream: u32, out: &mut Vec<Exchange>) -> u64 {
        let Some(open) = self.open.get_mut(&stream) else {
            return 0;
        };
        let announced = open.response_length;
        open.response = Progress::Ended;
        let wrong = open
            .response_mut()
            .is_some_and(|response| contradicts(&response.body, announced));
        if wrong {
            open.exchange.anomalies.push(Anomaly::Http2BadLength);
        }
        if open.request != Progress::Open {
            self.done(stream, out);
        }
        u64::from(wrong)
    }

    /// Neither side says more.
    pub(super) fn reset(&mut self, stream: u32, out: &mut Vec<Exchange>) {
        if let Some(open) = self.open.get_mut(&stream) {
            open.cut();
            self.done(stream, out);
        }
    }

    /// The server will not answer requests above `last`.
    pub(super) fn refuse_above(&mut self, last: u32, out: &mut Vec<Exchange>) {
        let Some(first) = last.checked_add(1) else { return };
        for mut open in self.open.split_off(&first).into_values() {
            self.bytes = self.bytes.saturating_sub(open.bytes);
            open.cut();
            out.push(open.exchange);
        }
    }

    /// Any request may have ended in a hole, and bytes of each may be missing.
    pub(super) fn requests_lost(&mut self, reason: GapReason) {
        for open in self
            .open
            .values_mut()
            .filter(|open| open.request != Progress::Ended)
        {
            open.request = Progress::Doubtful;
            open.exchange.request.body.hole(0, reason);
        }
    }

    /// Any response may have begun, gone on or ended in a hole.
    pub(super) fn responses_lost(&mut self, reason: GapReason) {
        self.doubtful.clear();
        let waiting = self
            .open
            .iter_mut()
            .filter(|(_, open)| open.response != Progress::Ended);
        for (stream, open) in waiting {
            open.response = Progress::Doubtful;
            match &mut open.exchange.outcome {
                Outcome::Answered(response) => response.body.hole(0, reason),
                outcome => *outcome = Outcome::Lost,
            }
            self.doubtful.push_back((*stream, self.begun));
        }
    }

    /// Gives up what must wait no longer, and the oldest when there are too many. Gives the number of those.
    pub(super) fn make_room(&mut self, out: &mut Vec<Exchange>) -> u64 {
        while let Some((stream, begun)) = self.doubtful.front().copied()
            && self.begun.wrapping_sub(begun) > PATIENCE
        {
            self.doubtful.pop_front();
            if self
                .open
                .get(&stream)
                .is_some_and(|open| open.response == Progress::Doubtful)
            {
                self.done(stream, out);
            }
        }
        let mut given_up = 0;
        while (self.open.len() > MAX_STREAMS || self.bytes > MAX_BYTES)
            && let Some((_, mut oldest)) = self.open.pop_first()
        {
            self.bytes = self.bytes.saturating_sub(oldest.bytes);
            oldest.cut();
            oldest.exchange.anomalies.push(Anomaly::Http2TooManyStreams);
            out.push(oldest.exchange);
            given_up += 1;
        }
        given_up
    }

    /// The connection ended.
    pub(super) fn finish(&mut self, out: &mut Vec<Exchange>) {
        self.bytes = 0;
        self.doubtful.clear();
        for (_, mut open) in std::mem::take(&mut self.open) {
            open.cut();
            out.push(open.exchange);
        }
    }

    fn done(&mut self, stream: u32, out: &mut Vec<Exchange>) {
        if let Some(open) = self.open.remove(&stream) {
            self.bytes = self.bytes.saturating_sub(open.bytes);
            out.push(open.exchange);
        }
    }
}

/// Adds a piece of at most `limit` bytes in all and of `room`; gives the bytes kept and whether only `room` was short.
fn add(body: &mut Body, piece: Bytes, (limit, room): (usize, usize)) -> (usize, bool) {
    let before = usize::try_from(body.total).unwrap_or(usize::MAX);
    let wanted = piece.len().min(limit.saturating_sub(before));
    let full = wanted > room && body.is_whole();
    let kept = if body.is_whole() { wanted.min(room) } else { 0 };
    let beside = body.bytes_beside();
    body.add(piece, limit.min(before.saturating_add(room)));
    (kept + body.bytes_beside().saturating_sub(beside), full)
}

/// `content-length` of a request.
fn announced(exchange: &Exchange) -> Option<u64> {
    let value = exchange.request.head.header("content-length")?;
    std::str::from_utf8(value.expose()).ok()?.parse().ok()
}

fn contradicts(body: &Body, announced: Option<u64>) -> bool {
    matches!(
        body.state,
        BodyState::Empty | BodyState::Whole | BodyState::Limited
    ) && announced.is_some_and(|announced| announced != body.total)
}
