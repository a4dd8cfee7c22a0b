//! A connection that turned into a WebSocket: every message as an exchange of its own.
//!
//! Takes chunks and holes of both directions. Gives an exchange for each message as it ends, at the endpoint of the
//! handshake: what the client sent is the request's body, what the server sent the response's. Never copies a message
//! of a server that came whole and uncompressed. Bounded per direction by one message's body, the window of
//! compression (32 KiB) and the calls that wait for answers.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::call::{CallKind, Calls};
use super::dialogue::Dialogue;
use super::half::{Half, Taken};
use super::part::{self, Part, Whole};
use super::reader::{Chunk, Context, Reader, ReaderTally};
use super::{Body, Connection, Exchange, Limits, PartKind};
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

/// Where messages go.
pub(super) struct Told<'a> {
    pub(super) connection: &'a Arc<Connection>,
    pub(super) out: &'a mut Vec<Exchange>,
}

impl<'a> Told<'a> {
    const fn of(context: &'a mut Context<'_>) -> Self {
        Self {
            connection: context.connection,
            out: context.out,
        }
    }
}

#[derive(Debug)]
struct Side {
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

    /// Takes the next bytes of a direction.
    pub(super) fn feed(&mut self, travel: Travel, bytes: Bytes, time_ns: u64, told: &mut Told<'_>) {
        self.last_ns = time_ns;
        self.side(travel).half.push(bytes, time_ns);
        self.read(travel, time_ns, told);
    }

    /// The next `missing` bytes of a direction are missing.
    pub(super) fn hole(&mut self, travel: Travel, missing: u64, reason: GapReason, told: &mut Told<'_>) {
        self.side(travel).gap(missing, reason);
        self.read(travel, self.last_ns, told);
    }

    /// No more bytes in a direction.
    pub(super) fn close(&mut self, travel: Travel, time_ns: u64, told: &mut Told<'_>) {
        let side = self.side(travel);
        // Its end of a frame is no more than what is known here.
        let _ = side.half.parser.on_end();
        side.messages.cut();
        self.read(travel, time_ns, told);
    }

    /// Nor in the other; anomalies of frames that belong to no message are told.
    pub(super) fn end_all(&mut self, time_ns: u64, told: &mut Told<'_>) {
        for travel in [Travel::ToServer, Travel::ToClient] {
            self.close(travel, time_ns, told);
        }
        for travel in [Travel::ToServer, Travel::ToClient] {
            let anomalies = self.side(travel).messages.take_blame();
            if !anomalies.is_empty() {
                let done = Done::nothing(anomalies, time_ns);
                self.give(travel, done, time_ns, told);
            }
        }
    }

    /// Anomalies since the last call.
    pub(super) const fn take_anomalies(&mut self) -> u64 {
        std::mem::replace(&mut self.anomalies, 0)
    }

    /// Memory of the messages under way.
    pub(super) fn held_bytes(&self) -> usize {
        let held = |side: &Side| side.half.waiting_bytes() + side.messages.held_bytes();
        held(&self.to_server) + held(&self.to_client)
    }

    const fn travel(&self, direction: Direction) -> Travel {
        match (direction, self.requests_travel) {
            (Direction::Read, Direction::Read) | (Direction::Write, Direction::Write) => Travel::ToServer,
            _ => Travel::ToClient,
        }
    }

    const fn side(&mut self, travel: Travel) -> &mut Side {
        match travel {
            Travel::ToServer => &mut self.to_server,
            Travel::ToClient => &mut self.to_client,
        }
    }

    fn read(&mut self, travel: Travel, time_ns: u64, told: &mut Told<'_>) {
        loop {
            let mut anomalies = 0;
            let done = self.side(travel).next(&mut anomalies);
            self.anomalies += anomalies;
            let Some(done) = done else { return };
            self.give(travel, done, time_ns, told);
        }
    }

    fn give(&mut self, travel: Travel, done: Done, time_ns: u64, told: &mut Told<'_>) {
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
        told.out.push(self.whole.part(told.connection, part));
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
        self.feed(self.travel(direction), bytes, time_ns, &mut Told::of(context));
        true
    }

    fn gap(&mut self, direction: Direction, missing: u64, reason: GapReason, context: &mut Context<'_>) {
        self.hole(self.travel(direction), missing, reason, &mut Told::of(context));
    }

    fn end(&mut self, direction: Direction, time_ns: u64, context: &mut Context<'_>) {
        self.close(self.travel(direction), time_ns, &mut Told::of(context));
    }

    fn finish(&mut self, time_ns: u64, context: &mut Context<'_>) {
        self.end_all(time_ns, &mut Told::of(context));
    }

    fn give_up(&mut self, time_ns: u64, reason: GapReason, context: &mut Context<'_>) {
        for travel in [Travel::ToServer, Travel::ToClient] {
            self.hole(travel, u64::MAX, reason, &mut Told::of(context));
        }
        self.end_all(time_ns, &mut Told::of(context));
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

    fn held_bytes(&self) -> usize {
        Self::held_bytes(self)
    }

    fn take_tally(&mut self) -> ReaderTally {
        ReaderTally {
            anomalies: self.take_anomalies(),
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
