//! The streams of one HTTP/2 connection: which response answers which request is told by their number.
//!
//! Takes heads, pieces, ends and holes by stream. Gives exchanges as streams end. Never keeps a stream longer than
//! [`MAX_STREAMS`] and [`MAX_BYTES`] allow: the oldest goes first. An ended stream leaves nothing behind.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{Body, BodyState, Exchange, Head, Limits, Outcome, Response};
use crate::capture::GapReason;
use crate::protocol::Anomaly;
use crate::protocol::websocket::Travel;
use inside::Inside;

mod inside;

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
    /// Departures of what travels instead of bodies, for the accounts.
    pub(super) anomalies: u64,
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
    /// What is kept of it, `held` included.
    bytes: usize,
    inside: Inside,
    /// What `inside` holds.
    held: usize,
}

impl Open {
    pub(super) const fn response_mut(&mut self) -> Option<&mut Response> {
        match &mut self.exchange.outcome {
            Outcome::Answered(response) => Some(response),
            Outcome::Unanswered | Outcome::Lost => None,
        }
    }

    const fn progress(&mut self, travel: Travel) -> &mut Progress {
        match travel {
            Travel::ToServer => &mut self.request,
            Travel::ToClient => &mut self.response,
        }
    }

    /// A body and when its last byte came.
    const fn body_mut(&mut self, travel: Travel) -> Option<(&mut Body, &mut u64)> {
        match travel {
            Travel::ToServer => {
                let request = &mut self.exchange.request;
                Some((&mut request.body, &mut request.time_ns.1))
            }
            Travel::ToClient => match self.response_mut() {
                Some(response) => Some((&mut response.body, &mut response.time_ns.1)),
                None => None,
            },
        }
    }

    /// Counts what is held now among the bytes of all.
    fn weigh(&mut self, all: &mut usize) {
        let held = self.inside.held_bytes();
        let before = std::mem::replace(&mut self.held, held);
        self.bytes = (self.bytes + held).saturating_sub(before);
        *all = (*all + held).saturating_sub(before);
    }

    /// Departures that it does not have yet: there are few kinds, and any number of each.
    pub(super) fn note(&mut self, anomalies: impl IntoIterator<Item = Anomaly>) {
        let known = &mut self.exchange.anomalies;
        for anomaly in anomalies {
            if !known.contains(&anomaly) {
                known.push(anomaly);
            }
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

    /// Memory of the streams that are not done with.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes + self.open.len() * size_of::<Open>()
    }

    pub(super) fn get(&mut self, stream: u32) -> Option<&mut Open> {
        self.open.get_mut(&stream).map(|open| &mut **open)
    }

    /// A request begins; one of the same number was there only if its end was not seen.
    pub(super) fn open(&mut self, stream: u32, exchange: Exchange, ended: bool, out: &mut Vec<Exchange>) {
        self.reset(stream, out);
        self.begun = self.begun.wrapping_add(1);
        let bytes = exchange.request.head.held_bytes();
        self.bytes += bytes;
        let length = announced(&exchange);
        let open = Open {
            inside: Inside::asked(&exchange),
            held: 0,
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
    pub(super) fn answer(&mut self, stream: u32, response: Response, limits: &Limits) {
        let Some(open) = self.open.get_mut(&stream).map(|open| &mut **open) else {
            return;
        };
        if open.response_mut().is_some() {
            return;
        }
        open.response.go_on();
        let head = response.head.held_bytes();
        open.bytes += head;
        self.bytes += head;
        open.exchange.outcome = Outcome::Answered(Box::new(response));
        self.anomalies += open.inside.answered(&mut open.exchange, limits);
    }

    /// Fields behind a body; those that came before are forgotten.
    pub(super) fn trailers(&mut self, stream: u32, travel: Travel, trailers: Head) {
        let Some(open) = self.open.get_mut(&stream) else {
            return;
        };
        let known = match travel {
            Travel::ToServer => &mut open.exchange.request.trailers,
            Travel::ToClient => match open.response_mut() {
                Some(response) => &mut response.trailers,
                None => return,
            },
        };
        let more = trailers.held_bytes();
        let less = std::mem::replace(known, trailers).held_bytes();
        open.bytes = (open.bytes + more).saturating_sub(less);
        self.bytes = (self.bytes + more).saturating_sub(less);
    }

    /// A piece of a body, of which `limit` bytes are kept. Gives the number of departures.
    pub(super) fn body(
        &mut self,
        stream: u32,
        (travel, piece): (Travel, Bytes),
        time_ns: u64,
        limit: usize,
        out: &mut Vec<Exchange>,
    ) -> u64 {
        let room = MAX_BODY_BYTES.saturating_sub(self.bytes);
        let Some(open) = self.open.get_mut(&stream).map(|open| &mut **open) else {
            return 0;
        };
        open.progress(travel).go_on();
        let is_body = open.inside.is_body(travel);
        let is_told = open.inside.tells_parts() && room > 0;
        let Some((body, last_ns)) = open.body_mut(travel) else {
            return 0;
        };
        *last_ns = time_ns;
        if is_body {
            let (kept, full) = add(body, piece, (limit, room));
            return self.keep(stream, kept, full);
        }
        // What is told in parts, or is no body, is only counted.
        if is_told {
            body.told(piece.len());
        } else {
            body.add(piece.clone(), 0);
        }
        self.anomalies += if room > 0 {
            open.inside
                .piece(&mut open.exchange, (travel, piece), time_ns, out)
        } else {
            let missing = piece.len() as u64;
            let limit = GapReason::Limit;
            open.inside.hole(&open.exchange, (travel, missing), limit, out)
        };
        open.weigh(&mut self.bytes);
        self.keep(stream, 0, room == 0)
    }

    /// Bytes of a body are missing.
    pub(super) fn hole(
        &mut self,
        stream: u32,
        (travel, missing): (Travel, u64),
        reason: GapReason,
        out: &mut Vec<Exchange>,
    ) {
        let Some(open) = self.open.get_mut(&stream).map(|open| &mut **open) else {
            return;
        };
        if let Some((body, _)) = open.body_mut(travel) {
            body.hole(missing, reason);
        }
        self.anomalies += open.inside.hole(&open.exchange, (travel, missing), reason, out);
        open.weigh(&mut self.bytes);
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
        let Some(open) = self.open.get_mut(&stream).map(|open| &mut **open) else {
            return 0;
        };
        open.request = Progress::Ended;
        self.anomalies += open.inside.end(&mut open.exchange, Travel::ToServer, out);
        let wrong = contradicts(&open.exchange.request.body, open.request_length);
        if wrong {
            open.note([Anomaly::Http2BadLength]);
        }
        if open.response == Progress::Ended {
            self.done(stream, out);
        }
        u64::from(wrong)
    }

    /// The response is complete.
    pub(super) fn close_response(&mut self, stream: u32, out: &mut Vec<Exchange>) -> u64 {
        let Some(open) = self.open.get_mut(&stream).map(|open| &mut **open) else {
            return 0;
        };
        let announced = open.response_length;
        open.response = Progress::Ended;
        self.anomalies += open.inside.end(&mut open.exchange, Travel::ToClient, out);
        let wrong = open
            .response_mut()
            .is_some_and(|response| contradicts(&response.body, announced));
        if wrong {
            open.note([Anomaly::Http2BadLength]);
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
            open.cut();
            self.give(open, out);
        }
    }

    /// Any request may have ended in a hole, and bytes of each may be missing.
    pub(super) fn requests_lost(&mut self, reason: GapReason, out: &mut Vec<Exchange>) {
        for open in self
            .open
            .values_mut()
            .filter(|open| open.request != Progress::Ended)
        {
            let open = &mut **open;
            open.request = Progress::Doubtful;
            open.exchange.request.body.hole(0, reason);
            let unknown = (Travel::ToServer, u64::MAX);
            self.anomalies += open.inside.hole(&open.exchange, unknown, reason, out);
            open.weigh(&mut self.bytes);
        }
    }

    /// Any response may have begun, gone on or ended in a hole.
    pub(super) fn responses_lost(&mut self, reason: GapReason, out: &mut Vec<Exchange>) {
        self.doubtful.clear();
        let waiting = self
            .open
            .iter_mut()
            .filter(|(_, open)| open.response != Progress::Ended);
        for (stream, open) in waiting {
            let open = &mut **open;
            open.response = Progress::Doubtful;
            match &mut open.exchange.outcome {
                Outcome::Answered(response) => response.body.hole(0, reason),
                outcome => *outcome = Outcome::Lost,
            }
            let unknown = (Travel::ToClient, u64::MAX);
            self.anomalies += open.inside.hole(&open.exchange, unknown, reason, out);
            open.weigh(&mut self.bytes);
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
            oldest.cut();
            oldest.exchange.anomalies.push(Anomaly::Http2TooManyStreams);
            self.give(oldest, out);
            given_up += 1;
        }
        given_up
    }

    /// The connection ended.
    pub(super) fn finish(&mut self, out: &mut Vec<Exchange>) {
        self.doubtful.clear();
        for (_, mut open) in std::mem::take(&mut self.open) {
            open.cut();
            self.give(open, out);
        }
    }

    fn done(&mut self, stream: u32, out: &mut Vec<Exchange>) {
        if let Some(open) = self.open.remove(&stream) {
            self.give(open, out);
        }
    }

    fn give(&mut self, open: Box<Open>, out: &mut Vec<Exchange>) {
        self.bytes = self.bytes.saturating_sub(open.bytes);
        let Open {
            mut exchange,
            mut inside,
            ..
        } = *open;
        self.anomalies += inside.end_all(&mut exchange, out);
        out.push(exchange);
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
