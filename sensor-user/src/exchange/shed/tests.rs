use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::capture::{CloseReason, ProcessKey, Source};
use crate::exchange::secret::HashKey;
use crate::exchange::{BodyState, Limits, Outcome};
use crate::flow::{FlowEvent, Payload};
use crate::telemetry::Counters;
use crate::telemetry::ledger::{Equation, Post};

const LIMITS: Limits = Limits {
    body_bytes: 64 * 1024,
    head_bytes: 64 * 1024,
    pending: 128,
    waiting_bytes: 256 * 1024,
};

const PROCESS: ProcessKey = ProcessKey { pid: 9, start_ns: 3 };

fn stream(id: u64) -> StreamKey {
    StreamKey {
        process: PROCESS,
        source: Source::Tls,
        id,
        generation: 0,
    }
}

/// A shard's connections, with accounts that are looked at after every event.
struct Shard {
    conversations: Conversations,
    counters: Arc<Counters>,
    out: Vec<Exchange>,
    most: usize,
}

impl Shard {
    fn new() -> Self {
        let counters: Arc<Counters> = Arc::default();
        Self {
            conversations: Conversations::new(LIMITS, HashKey::new([0; 32]), Arc::clone(&counters)),
            counters,
            out: Vec::new(),
            most: 0,
        }
    }

    fn say(&mut self, id: u64, direction: Direction, bytes: &[u8]) {
        let books = self.counters.ledger().tally(PROCESS.into());
        books.add(Post::OrderedBytes, bytes.len() as u64);
        books.add(Post::ReceivedBytes, bytes.len() as u64);
        self.push(FlowEvent::Chunk {
            stream: stream(id),
            direction,
            time_ns: 5,
            early: false,
            bytes: Payload(Bytes::copy_from_slice(bytes)),
        });
    }

    fn ask(&mut self, id: u64, bytes: &[u8]) {
        self.say(id, Direction::Read, bytes);
    }

    fn push(&mut self, event: FlowEvent) {
        self.conversations.push(event, &mut self.out);
        let imbalance = self.counters.ledger().unbalanced();
        assert!(
            imbalance.is_none_or(|one| one.equation != Equation::Parsing),
            "{imbalance:?}"
        );
        let table = &self.conversations.table;
        let held: usize = table.values().map(|conversation| conversation.held_bytes()).sum();
        assert_eq!(self.conversations.held, held, "the sum is not that of the parts");
        self.most = self.most.max(held);
    }

    fn close(&mut self, id: u64) {
        self.push(FlowEvent::Closed {
            stream: stream(id),
            time_ns: 9,
            reason: CloseReason::Free,
        });
    }

    fn shed(&self) -> u64 {
        self.counters.value(Metric::ConnectionsShed)
    }
}

/// A request whose body is begun.
fn begun(length: usize) -> Vec<u8> {
    let head = b"POST /slow HTTP/1.1\r\nContent-Length: 60000\r\n\r\n";
    [&head[..], &vec![b'x'; length]].concat()
}

#[test]
fn what_all_connections_hold_is_bounded_and_the_largest_gives_way() {
    let mut shard = Shard::new();
    // Small ones first, each with half a request.
    for id in 0..20 {
        shard.ask(id, &begun(100));
    }
    for id in 100..150 {
        shard.ask(id, &begun(20_000 + usize::try_from(id).unwrap()));
    }
    assert!(shard.most <= LIMITS.waiting_bytes + 32 * 1024, "{}", shard.most);
    assert!(shard.shed() > 0);
    // Told as what they are, whole and for the limit.
    assert_eq!(shard.out.len() as u64, shard.shed());
    for exchange in &shard.out {
        let body = &exchange.request.body;
        assert_eq!(body.state, BodyState::Holed(GapReason::Limit));
        assert!(body.total > 20_000 && matches!(exchange.outcome, Outcome::Lost));
    }
    // The small ones are as they were.
    shard.out.clear();
    for id in 0..20 {
        shard.ask(id, &vec![b'x'; 59_900]);
        shard.say(id, Direction::Write, b"HTTP/1.1 204 No Content\r\n\r\n");
        shard.close(id);
    }
    assert_eq!(
        shard.out.iter().filter(|one| one.request.body.is_whole()).count(),
        20
    );
    for id in 100..150 {
        shard.close(id);
    }
    assert_eq!(shard.conversations.held, 0);
}

#[test]
fn a_connection_that_was_shed_is_joined_anew() {
    let mut shard = Shard::new();
    shard.ask(1, &begun(50_000));
    for id in 2..8 {
        shard.ask(id, &begun(40_000));
    }
    assert!(shard.shed() >= 1, "the first holds most");
    shard.out.clear();
    // The rest of its body is nothing; its answer is nobody's; the next exchange is read.
    shard.ask(1, &vec![b'x'; 10_000]);
    shard.say(
        1,
        Direction::Write,
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    );
    for path in ["/next", "/last"] {
        shard.ask(1, format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes());
        shard.say(
            1,
            Direction::Write,
            b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
        );
    }
    shard.close(1);
    for exchange in &shard.out {
        let answered = exchange
            .outcome
            .response()
            .is_none_or(|response| response.status == 201);
        assert!(answered && exchange.request.target().expose() != b"/slow");
    }
    assert_eq!(shard.out.len(), 2);
}

#[test]
fn streams_and_messages_give_way_as_well() {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, b"")].concat();
    let upgrade = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let agreed = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let mut shard = Shard::new();
    for id in 0..12 {
        if id % 2 == 0 {
            let half = [&b"\x01\xfe\xc3\x50\0\0\0\0"[..], &vec![b'x'; 50_000]].concat();
            shard.ask(id, upgrade);
            shard.say(id, Direction::Write, agreed);
            shard.ask(id, &half);
        } else {
            // POST, https, "/".
            let asked = [
                frame(1, 4, 1, b"\x83\x87\x84"),
                frame(0, 0, 1, &vec![b'x'; 16_000]),
            ]
            .concat();
            shard.ask(id, &[preface.clone(), asked].concat());
            shard.ask(id, &frame(0, 0, 1, &vec![b'y'; 16_000]));
        }
    }
    assert!(
        shard.shed() > 0 && shard.most <= LIMITS.waiting_bytes + 64 * 1024,
        "{}",
        shard.most
    );
    let limited = |exchange: &&Exchange| exchange.request.body.state == BodyState::Holed(GapReason::Limit);
    assert!(shard.out.iter().filter(limited).count() > 0);
    for id in 0..12 {
        shard.close(id);
    }
    assert_eq!(shard.conversations.held, 0);
}
