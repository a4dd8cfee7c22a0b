use super::*;
use crate::capture::{Evidence, Origin, ProcessEvent, Role, SocketAddress};
use crate::exchange::test_support::{self, STREAM};

const PROCESS: ProcessKey = ProcessKey { pid: 9, start_ns: 3 };

fn stream(id: u64) -> StreamKey {
    StreamKey { id, ..STREAM }
}

fn chunk(id: u64, direction: Direction, text: &str) -> FlowEvent {
    test_support::chunk(stream(id), direction, 5, text.as_bytes())
}

fn early(mut event: FlowEvent) -> FlowEvent {
    if let FlowEvent::Chunk { early, .. } = &mut event {
        *early = true;
    }
    event
}

#[test]
fn a_request_whose_head_began_in_early_data_is_marked() {
    let [first, rest] = ["GET /a HTTP/1.1\r\n", "\r\n"];
    let events = [
        early(chunk(1, Direction::Read, first)),
        chunk(1, Direction::Read, rest),
        chunk(1, Direction::Write, RESPONSE),
        chunk(1, Direction::Read, REQUEST),
        // What a server says early is not the client's to repeat.
        early(chunk(1, Direction::Write, RESPONSE)),
    ];
    let marks: Vec<bool> = exchanges(events)
        .iter()
        .map(|exchange| exchange.request.early_data)
        .collect();
    assert_eq!(marks, [true, false]);
}

fn named(comm: &[u8; 16]) -> FlowEvent {
    let origin = Origin {
        time_ns: 0,
        process: PROCESS,
        tid: 9,
        cgroup: 0,
    };
    FlowEvent::ProcessStarted(ProcessEvent {
        origin,
        comm: Comm(*comm),
    })
}

fn conversations() -> Conversations {
    Conversations::new(Limits::default(), HashKey::new([0; 32]), Arc::default())
}

fn exchanges(events: impl IntoIterator<Item = FlowEvent>) -> Vec<Exchange> {
    let (mut conversations, mut out) = (conversations(), Vec::new());
    for event in events {
        conversations.push(event, &mut out);
    }
    out
}

const REQUEST: &str = "GET / HTTP/1.1\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[test]
fn an_exchange_knows_what_is_known_when_it_completes() {
    let socket = SocketAddress {
        inode: 7,
        local: Some(("127.0.0.1".parse().unwrap(), 8443)),
        remote: Some(("127.0.0.2".parse().unwrap(), 50_000)),
        role: Role::Unknown,
    };
    let done = exchanges([
        chunk(1, Direction::Read, REQUEST),
        FlowEvent::Bound {
            stream: stream(1),
            socket,
            evidence: Evidence::SetFd,
            ambiguous: false,
        },
        named(b"first\0\0\0\0\0\0\0\0\0\0\0"),
        chunk(1, Direction::Write, RESPONSE),
        named(b"second\0\0\0\0\0\0\0\0\0\0"),
        chunk(1, Direction::Read, REQUEST),
        chunk(1, Direction::Write, RESPONSE),
    ]);
    let seen: Vec<_> = done
        .iter()
        .map(|exchange| (exchange.connection.comm.to_string(), exchange.connection.role))
        .collect();
    assert_eq!(
        seen,
        [
            ("first".to_owned(), Role::Server),
            ("second".to_owned(), Role::Server)
        ]
    );
    for exchange in &done {
        assert_eq!(
            (exchange.connection.local, exchange.connection.remote),
            (socket.local, socket.remote)
        );
        assert_eq!(exchange.connection.evidence, Some(Evidence::SetFd));
        assert!(exchange.connection.tls && !exchange.connection.ambiguous);
    }
}

#[test]
fn who_sends_the_requests_is_the_client() {
    let done = exchanges([
        chunk(1, Direction::Write, REQUEST),
        chunk(1, Direction::Read, RESPONSE),
    ]);
    assert_eq!(done[0].connection.role, Role::Client);
    // Joined at an answer.
    let done = exchanges([
        chunk(1, Direction::Read, RESPONSE),
        chunk(1, Direction::Write, REQUEST),
        chunk(1, Direction::Read, RESPONSE),
    ]);
    assert_eq!((done.len(), done[0].connection.role), (1, Role::Client));
}

#[test]
fn a_closed_connection_leaves_nothing_unanswered_behind() {
    let closed = FlowEvent::Closed {
        stream: stream(1),
        time_ns: 9,
        reason: CloseReason::Free,
    };
    let done = exchanges([chunk(1, Direction::Read, REQUEST), closed]);
    assert!(matches!(done[0].outcome, crate::exchange::Outcome::Unanswered));
}

#[test]
fn a_shutdown_ends_what_this_side_wrote() {
    let shutdown = FlowEvent::Closed {
        stream: stream(1),
        time_ns: 9,
        reason: CloseReason::Shutdown,
    };
    let until_close = "HTTP/1.0 200 OK\r\n\r\nall";
    let done = exchanges([
        chunk(1, Direction::Read, REQUEST),
        chunk(1, Direction::Write, until_close),
        shutdown,
    ]);
    let response = done[0].outcome.response().unwrap();
    assert!(response.body.is_whole());
    assert_eq!((response.body.total, response.time_ns), (3, (5, 9)));
}

#[test]
fn a_prefix_that_turns_out_to_be_nothing_is_counted() {
    let counters: Arc<Counters> = Arc::default();
    let mut conversations =
        Conversations::new(Limits::default(), HashKey::new([0; 32]), Arc::clone(&counters));
    let mut out = Vec::new();
    for event in [
        chunk(1, Direction::Read, "GET"),
        chunk(1, Direction::Read, "TING"),
        chunk(1, Direction::Read, " ready"),
        chunk(2, Direction::Write, "PO"),
        FlowEvent::Forgotten {
            stream: stream(2),
            time_ns: 9,
        },
    ] {
        conversations.push(event, &mut out);
    }
    assert!(out.is_empty());
    assert_eq!(counters.value(Metric::BytesUnrecognised), 15);
}

#[test]
fn names_are_bounded() {
    let mut conversations = conversations();
    for pid in 0..u32::try_from(NAMES).unwrap() + 10 {
        conversations.set_comm(ProcessKey { pid, start_ns: 0 }, Comm::default());
    }
    assert_eq!(conversations.names.len(), NAMES);
}
