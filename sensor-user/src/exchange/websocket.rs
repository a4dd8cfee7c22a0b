//! A connection that turned into a WebSocket: every message as an exchange of its own.
//!
//! Takes chunks and holes of both directions. Gives an exchange for each message as it ends, at the endpoint of the
//! handshake: what the client sent is the request's body, what the server sent the response's. Never copies a message
//! of a server that came whole and uncompressed. Bounded per direction by one message's body, the window of
//! compression (32 KiB) and the calls that wait for answers.

use smallvec::SmallVec;

use super::call::{CallKind, Calls};
use super::dialogue::Dialogue;
use super::half::{Half, Taken};
use super::part::{self, Part, Whole};
use super::reader::{Chunk, Context, Reader, ReaderTally};
use super::{Body, Limits, PartKind};
use crate::capture::{Direction, GapReason};
use crate::protocol::websocket::handshake::Extensions;
use crate::protocol::websocket::{Parser, Rules, Travel};
use crate::protocol::{Anomaly, Resync, StreamParser};
use crate::telemetry::ledger::{Post, Tally as Books};
use messages::{Done, Messages};

mod messages;

/// Both directions of a WebSocket.
#[derive(Debug)]
pub(super) struct WebSocket {
    whole: Whole,
    /// The way the client's frames take.
    requests_travel: Direction,
    to_server: Side,
    to_client: Side,
    dialogue: Dialogue,
    anomalies: u64,
    last_ns: u64,
}

#[derive(Debug)]
struct Side {
    travel: Travel,
    half: Half<Parser>,
    messages: Messages,
}

impl Side {
    fn new(travel: Travel, extensions: Extensions, limits: &Limits) -> Self {
        let rules = Rules {
            deflate: extensions.deflate.is_some(),
            foreign: extensions.foreign,
        };
        let window = extensions.deflate.map(|deflate| match travel {
            Travel::ToServer => deflate.to_server,
            Travel::ToClient => deflate.to_client,
        });
        Self {
            travel,
            half: Half::new(Parser::new(travel, rules)),
            messages: Messages::new(window, limits.body_bytes),
        }
    }

    /// The next message that ends; the number of anomalies is added up.
    fn next(&mut self, anomalies: &mut u64) -> Option<Done> {
        loop {
            if let Some(done) = self.messages.take_done() {
                return Some(done);
            }
            match self.half.next()? {
                Taken::Message {
                    message,
                    raw,
                    since_ns,
                } => {
                    let heads = self.messages.take(message, &raw, since_ns, anomalies);
                    self.half.fates.heads += heads;
                }
                Taken::Rejected(anomaly) => {
                    *anomalies += 1;
                    self.messages.blame(anomaly);
                    self.gap(0, GapReason::Lost);
                }
            }
        }
    }

    fn gap(&mut self, missing: u64, reason: GapReason) {
        match self.half.gap(missing) {
            Resync::Exact(end) => self.messages.hole(missing, end.is_some(), reason),
            Resync::Searching(end) => self.messages.lose_place(end.as_ref(), reason),
        }
    }
}

impl WebSocket {
    /// A connection of which the handshake was seen.
    pub(super) fn new(
        whole: Whole,
        requests_travel: Direction,
        extensions: Extensions,
        subprotocol: &[u8],
        limits: &Limits,
    ) -> Self {
        Self {
            whole,
            requests_travel,
            to_server: Side::new(Travel::ToServer, extensions, limits),
            to_client: Side::new(Travel::ToClient, extensions, limits),
            dialogue: Dialogue::new(subprotocol),
            anomalies: 0,
            last_ns: 0,
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        if direction == self.requests_travel {
            &mut self.to_server
        } else {
            &mut self.to_client
        }
    }

    fn read(&mut self, direction: Direction, time_ns: u64, context: &mut Context<'_>) {
        loop {
            let mut anomalies = 0;
            let side = self.side(direction);
            let (travel, done) = (side.travel, side.next(&mut anomalies));
            self.anomalies += anomalies;
            let Some(done) = done else { return };
            self.give(travel, done, time_ns, context);
        }
    }

    fn give(&mut self, travel: Travel, done: Done, time_ns: u64, context: &mut Context<'_>) {
        let mut calls = Calls::new();
        calls.push(part::call(CallKind::WebSocket, b""));
        let odd = self.dialogue.message(travel, done.text, &done.body, &mut calls);
        self.anomalies += u64::from(odd.is_some());
        let mut anomalies = done.anomalies;
        anomalies.extend(odd);
        let part = Part {
            kind: match travel {
                Travel::ToServer => PartKind::MessageToServer,
                Travel::ToClient => PartKind::MessageToClient,
            },
            body: done.body,
            time_ns: (done.since_ns, time_ns),
            calls,
            anomalies,
        };
        context.out.push(self.whole.part(context.connection, part));
    }

    /// Anomalies of frames that belong to no message are told at the end.
    fn give_blame(&mut self, time_ns: u64, context: &mut Context<'_>) {
        for direction in [Direction::Read, Direction::Write] {
            let side = self.side(direction);
            let (travel, anomalies) = (side.travel, side.messages.take_blame());
            if !anomalies.is_empty() {
                let done = Done::nothing(anomalies, time_ns);
                self.give(travel, done, time_ns, context);
            }
        }
    }
}

impl Reader for WebSocket {
    fn chunk(&mut self, chunk: Chunk, context: &mut Context<'_>) -> bool {
        let Chunk {
            direction,
            time_ns,
            bytes,
            ..
        } = chunk;
        self.last_ns = time_ns;
        self.side(direction).half.push(bytes, time_ns);
        self.read(direction, time_ns, context);
        true
    }

    fn gap(&mut self, direction: Direction, missing: u64, reason: GapReason, context: &mut Context<'_>) {
        self.side(direction).gap(missing, reason);
        self.read(direction, self.last_ns, context);
    }

    fn end(&mut self, direction: Direction, time_ns: u64, context: &mut Context<'_>) {
        let side = self.side(direction);
        // Its end of a frame is no more than what is known here.
        let _ = side.half.parser.on_end();
        side.messages.cut();
        self.read(direction, time_ns, context);
    }

    fn finish(&mut self, time_ns: u64, context: &mut Context<'_>) {
        self.end(Direction::Read, time_ns, context);
        self.end(Direction::Write, time_ns, context);
        self.give_blame(time_ns, context);
    }

    fn take_fates(&mut self, books: &Books) -> u64 {
        let halves = [&mut self.to_server, &mut self.to_client];
        let entered =
            halves.map(|side| std::mem::take(&mut side.half.fates).enter(books, Post::SkippedBytes));
        entered.iter().sum()
    }

    fn waiting_bytes(&self) -> usize {
        self.to_server.half.waiting_bytes() + self.to_client.half.waiting_bytes()
    }

    fn take_tally(&mut self) -> ReaderTally {
        ReaderTally {
            anomalies: std::mem::take(&mut self.anomalies),
            unpaired: 0,
        }
    }
}

impl Done {
    fn nothing(anomalies: SmallVec<[Anomaly; 2]>, time_ns: u64) -> Self {
        Self {
            text: false,
            body: Body::default(),
            since_ns: time_ns,
            anomalies,
        }
    }
}

#[cfg(test)]
mod tests;
