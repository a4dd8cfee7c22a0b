//! Server-sent events, the other stream of messages of HTTP/1.

use std::sync::Arc;

use super::*;
use crate::exchange::secret::HashKey;
use crate::exchange::{Conversations, PartKind};
use crate::telemetry::Counters;

#[test]
fn a_stream_of_events_is_whole_when_all_were_told() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 22\r\n\r\n";
    let stream = run(vec![
        ToServer(b"GET /events HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec()),
        ToClient(head.into()),
        ToClient(b"data: one\n\n".to_vec()),
        ToClient(b"data: two\n\n".to_vec()),
    ]);
    let kinds: Vec<_> = stream.iter().map(|exchange| exchange.part).collect();
    assert_eq!(kinds, [Some(PartKind::Event), Some(PartKind::Event), None]);
    let body = &stream[2].outcome.response().unwrap().body;
    assert_eq!(
        (body.state, body.total, body.is_whole()),
        (BodyState::InParts, 22, true)
    );
}

#[test]
fn events_are_told_as_they_come() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = |text: &str| ToClient(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes());
    let counters: Arc<Counters> = Arc::default();
    let mut conversations = Conversations::new(Limits::default(), HashKey::new([0; 32]), counters);
    let mut out = Vec::new();
    let steps = [
        ToServer(b"GET /events HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec()),
        ToClient(head.into()),
        chunked("event: price\ndata: {\"a\""),
        chunked(":1}\n\ndata: two\n\n"),
    ];
    for (now, step) in (1..).zip(steps) {
        conversations.push(step.event(STREAM, now), &mut out);
    }
    let seen = |exchange: &Exchange| {
        let call = &exchange.calls[0];
        assert_eq!(
            (call.kind, exchange.request.target().expose()),
            (CallKind::ServerSentEvent, &b"/events"[..])
        );
        let body = &exchange.outcome.response().unwrap().body;
        (call.name.expose().to_vec(), body.pieces[0].0.to_vec(), body.state)
    };
    // Each lasts from its own first byte to its last.
    let times = |exchange: &Exchange| {
        (
            exchange.request.time_ns,
            exchange.outcome.response().unwrap().time_ns,
        )
    };
    assert_eq!(
        out.iter().map(times).collect::<Vec<_>>(),
        [((3, 4), (3, 4)), ((4, 4), (4, 4))]
    );
    // The stream has not ended.
    assert_eq!(
        out.iter().map(seen).collect::<Vec<_>>(),
        [
            (b"price".to_vec(), b"{\"a\":1}".to_vec(), BodyState::Whole),
            (b"message".to_vec(), b"two".to_vec(), BodyState::Whole)
        ]
    );
    out.clear();
    for step in [
        chunked("data: th"),
        Lost(Direction::Write, 40),
        ToClient(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
    ] {
        conversations.push(step.event(STREAM, 5), &mut out);
    }
    assert_eq!(
        seen(&out[0]),
        (
            b"message".to_vec(),
            b"th".to_vec(),
            BodyState::Holed(GapReason::Lost)
        )
    );
    // The exchange itself counts what the events held.
    let stream = out.iter().find(|exchange| exchange.calls.is_empty()).unwrap();
    let body = &stream.outcome.response().unwrap().body;
    assert!(body.pieces.is_empty() && body.total == 47 && !body.is_whole());
}
