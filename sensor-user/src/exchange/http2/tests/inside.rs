//! What streams carry instead of bodies, and how requests without a plain answer are read.

use super::*;
use crate::exchange::call::CallKind;

/// Literal fields without indexing.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let mut block = Vec::new();
    for (name, value) in fields {
        block.extend([0, length(name)]);
        block.extend(name.as_bytes());
        block.push(length(value));
        block.extend(value.as_bytes());
    }
    block
}

const CONNECT: [(&str, &str); 5] = [
    (":method", "CONNECT"),
    (":scheme", "https"),
    (":path", "/chat"),
    (":authority", "a"),
    (":protocol", "websocket"),
];

/// The first `count` fields of a WebSocket's request and more, without the end of the stream.
fn connect(count: usize, more: &[(&str, &str)]) -> Vec<u8> {
    headers(1, false, &fields(&[&CONNECT[..count], more].concat()))
}

fn bytes(stream: u32, last: bool, payload: &[u8]) -> Vec<u8> {
    frame(0, u8::from(last), stream, payload)
}

#[test]
fn trailers_interim_answers_and_head() {
    let mut play = Play::begun();
    play.request(&headers(
        1,
        true,
        &fields(&[(":method", "HEAD"), (":scheme", "http"), (":path", "/h")]),
    ))
    .response(&headers(1, false, &fields(&[(":status", "100")])))
    .response(&headers(1, false, &fields(&[(":status", "103"), ("link", "x")])))
    .response(&headers(
        1,
        true,
        &fields(&[(":status", "200"), ("content-length", "9")]),
    ))
    // Trailers of a request end it, and those of a response are its own.
    .request(&[headers(3, false, POST), data(3, false, "q")].concat())
    .response(&[headers(3, false, OK), data(3, false, "a")].concat())
    .request(&headers(3, true, &fields(&[("x-sum", "1")])))
    .response(&headers(3, true, &fields(&[("x-done", "1"), ("x-more", "2")])))
    // Interim only, and then nothing; an interim one that ends the stream is wrong, and final.
    .request(&headers(5, true, GET))
    .response(&headers(5, false, &fields(&[(":status", "103")])))
    .request(&headers(7, true, GET))
    .response(&headers(7, true, &fields(&[(":status", "100")])));
    assert_eq!(
        play.end(),
        [
            "HEAD /h[] 200 content-length=9[]",
            "POST /[q] x-sum=1 200[a] x-done=1 x-more=2",
            "GET /[] 100[]",
            "GET /[] Unanswered",
        ]
    );
}

#[test]
fn a_tunnel_is_counted_and_not_kept() {
    let mut play = Play::begun();
    let authority = fields(&[(":method", "CONNECT"), (":authority", "b:443")]);
    play.request(&headers(1, false, &authority))
        .response(&headers(1, false, OK))
        .request(&data(1, false, "GET /secret HTTP/1.1\r\n\r\n"))
        .response(&data(1, true, "HTTP/1.1 200 OK\r\n\r\n"))
        .request(&data(1, true, ""));
    // Refused: the answer has a body.
    play.request(&headers(3, false, &authority))
        .response(&[headers(3, false, b"\x08\x03407"), data(3, true, "log in")].concat())
        .request(&frame(3, 0, 3, &[0, 0, 0, 8]));
    assert_eq!(
        play.end(),
        [
            "CONNECT b:443 host=b:443[<Limited>] 200[<Limited>]",
            "CONNECT b:443 host=b:443[<Cut>] 407[log in]"
        ]
    );
    let tunnel = &play.out[0];
    let response = tunnel.outcome.response().unwrap();
    assert_eq!((tunnel.request.body.total, response.body.total), (24, 19));
}

#[test]
fn a_websocket_of_a_stream_gives_its_messages() {
    let mut play = Play::begun();
    play.request(&connect(5, &[("sec-websocket-protocol", "chat")]))
        .response(&headers(
            1,
            false,
            &fields(&[(":status", "200"), ("sec-websocket-protocol", "chat")]),
        ))
        .request(&bytes(1, false, b"\x81\x85\x01\x02\x03\x04igohn"))
        .response(&bytes(1, false, b"\x81\x05wor"));
    assert_eq!(play.out.len(), 1, "a message is told when it is there");
    play.response(&bytes(1, false, b"ld\x88\x02\x03\xe8"))
        .request(&bytes(1, true, b"\x88\x82\0\0\0\0\x03\xe8"))
        .response(&bytes(1, true, b""));
    let host = "CONNECT /chat host=a";
    assert_eq!(
        play.end(),
        [
            format!("{host}[hello] 200[]"),
            format!("{host}[] 200[world]"),
            format!(
                "{host} :protocol=websocket sec-websocket-protocol=chat[<InParts>] 200 sec-websocket-protocol=chat[<InParts>]"
            ),
        ]
    );
    let kinds: Vec<_> = play
        .out
        .iter()
        .map(|one| one.calls.first().map(|call| call.kind))
        .collect();
    assert_eq!(
        kinds,
        [Some(CallKind::WebSocket), Some(CallKind::WebSocket), None]
    );
}

#[test]
fn a_websocket_that_is_refused_or_unknown_is_none() {
    // Refused; another protocol; something that was not offered; frames before the answer.
    let mut play = Play::begun();
    play.request(&connect(5, &[]))
        .response(&[headers(1, false, b"\x08\x03403"), data(1, true, "no")].concat());
    play.request(&frame(3, 0, 1, &[0; 4]));
    assert_eq!(
        play.end(),
        ["CONNECT /chat host=a :protocol=websocket[<Cut>] 403[no]"]
    );
    let mut play = Play::begun();
    play.request(&connect(4, &[(":protocol", "connect-udp")]))
        .response(&headers(1, false, OK))
        .request(&bytes(1, true, b"\x81\x85\x01\x02\x03\x04igohn"))
        .response(&bytes(1, true, b"\x81\x02ok"));
    assert_eq!(
        play.end(),
        ["CONNECT /chat host=a :protocol=connect-udp[<Limited>] 200[<Limited>]"]
    );
    let mut play = Play::begun();
    play.request(&connect(5, &[]))
        .request(&bytes(1, false, b"\x81\x85\x01\x02\x03\x04ig"))
        .response(&headers(
            1,
            false,
            &fields(&[
                (":status", "200"),
                ("sec-websocket-extensions", "permessage-deflate"),
            ]),
        ))
        .request(&bytes(1, false, b"ohn"))
        .response(&bytes(1, true, b"\x81\x02ok"))
        .request(&bytes(1, true, b""));
    let lines = play.end();
    assert_eq!(lines[0], "CONNECT /chat host=a[] 200[ok]");
    assert!(lines[1].ends_with("[WebSocketHandshake]"), "{lines:?}");
    assert_eq!(lines.len(), 2, "{lines:?}");
}

#[test]
fn a_hole_in_a_websocket_spoils_its_message_only() {
    let mut play = Play::begun();
    play.request(&connect(5, &[])).response(&headers(1, false, OK));
    let wire = bytes(1, false, b"\x81\x0aabcdefghij\x81\x02ok");
    let at = 9 + 2 + 3;
    play.response(&wire[..at])
        .gap(Direction::Write, 4)
        .response(&wire[at + 4..]);
    let lines = play.end();
    assert_eq!(
        lines[..2],
        [
            "CONNECT /chat host=a[] 200[abc<Holed(Lost)>]",
            "CONNECT /chat host=a[] 200[ok]"
        ]
    );
}

const EVENTS: &[u8] = b"\x88\x0f\x10\x11text/event-stream";

#[test]
fn events_of_streams_are_told_as_they_come() {
    let mut play = Play::begun();
    play.request(&[headers(1, true, &get(1)), headers(3, true, &get(3))].concat())
        .response(&[headers(1, false, EVENTS), headers(3, false, EVENTS)].concat())
        .response(
            &[
                data(1, false, "event: a\ndata: 1\n"),
                data(3, false, "data: 3\n\nda"),
            ]
            .concat(),
        )
        .response(&data(1, false, "\ndata: half"));
    assert_eq!(play.out.len(), 2);
    play.response(&data(3, true, "ta: 33\n\n"))
        .response(&frame(3, 0, 1, &[0; 4]));
    assert_eq!(
        play.end(),
        [
            "GET /3[] 200[3]",
            "GET /1[] 200[1]",
            "GET /3[] 200[33]",
            "GET /3[] 200 content-type=text/event-stream[<InParts>]",
            "GET /1[] 200[half<Cut>]",
            "GET /1[] 200 content-type=text/event-stream[<Cut>]",
        ]
    );
    assert_eq!(play.out[1].calls[0].name.expose(), b"a");
}

#[test]
fn a_hole_in_events_spoils_one() {
    let mut play = Play::begun();
    play.request(&headers(1, true, &get(1)))
        .response(&headers(1, false, EVENTS));
    let wire = data(1, false, "data: abcdef\n\ndata: next\n\n");
    play.response(&wire[..18])
        .gap(Direction::Write, 2)
        .response(&wire[20..])
        // And one in which frames were lost.
        .response(&data(1, false, "data: lo"))
        .gap(Direction::Write, 50)
        .response(&data(1, false, "st\n\ndata: found\n\n"))
        .response(&data(1, true, ""));
    let lines = play.end();
    assert_eq!(
        lines[..4],
        [
            "GET /1[] 200[abc<Holed(Lost)>]",
            "GET /1[] 200[next]",
            "GET /1[] 200[lo<Holed(Lost)>]",
            "GET /1[] 200[found]"
        ]
    );
    assert_eq!(lines.len(), 5);
}

#[test]
fn what_events_and_websockets_hold_is_bounded() {
    let mut play = Play::begun();
    let half = format!("data: {}", "x".repeat(16_000));
    for stream in (1..2001).step_by(2) {
        play.request(&headers(stream, true, GET));
        play.response(&headers(stream, false, EVENTS));
        for _ in 0..4 {
            play.response(&data(stream, false, &half));
        }
    }
    assert!(play.out.iter().all(|one| !one.calls.is_empty()));
    let lines = play.end();
    assert_eq!(play.out.iter().filter(|one| one.calls.is_empty()).count(), 1000);
    let limited = lines
        .iter()
        .filter(|line| line.contains("Http2TooManyStreams"))
        .count();
    // Three megabytes of 64 KiB each were kept.
    assert!(limited > 900, "{limited}");
}
