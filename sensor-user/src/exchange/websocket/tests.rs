use crate::capture::{Direction, GapReason};
use crate::exchange::call::CallKind;
use crate::exchange::test_support::Step::{self, Lost, ToClient, ToServer};
use crate::exchange::test_support::{STREAM, closed, drive};
use crate::exchange::{BodyState, Exchange, Limits};
use crate::protocol::Anomaly;
use crate::protocol::websocket::unmask;

mod calls;
mod events;

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Authorization: Bearer abc\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// What comes of a connection, and that its accounts close at every step.
fn run(steps: Vec<Step>) -> Vec<Exchange> {
    let events = steps.into_iter().map(|step| step.event(STREAM, 5));
    drive(STREAM, events.chain([closed(STREAM, 9)]))
}

fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    if payload.len() < 126 {
        bytes.push(mask | u8::try_from(payload.len()).unwrap());
    } else {
        bytes.push(mask + 127);
        bytes.extend((payload.len() as u64).to_be_bytes());
        if payload.len() < 65536 {
            bytes.drain(1..);
            bytes.push(mask + 126);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(key.into_iter().flatten());
    unmask(payload, key.unwrap_or_default(), &mut bytes);
    bytes
}

fn client(payload: &[u8]) -> Vec<u8> {
    frame(0x81, payload, Some([7, 8, 9, 1]))
}

fn server(payload: &[u8]) -> Vec<u8> {
    frame(0x81, payload, None)
}

fn opened(ask: &str, answer: &str) -> Vec<Step> {
    vec![
        ToServer(format!("{ASK}{ask}\r\n").into_bytes()),
        ToClient(format!("{ANSWER}{answer}\r\n").into_bytes()),
    ]
}

/// Messages: to the server?, body, state.
fn told(exchanges: &[Exchange]) -> Vec<(bool, Vec<u8>, BodyState)> {
    let messages = exchanges.iter().filter(|exchange| is_message(exchange));
    messages
        .map(|exchange| {
            let (request, response) = (&exchange.request.body, &exchange.outcome.response().unwrap().body);
            let to_server = response.state == BodyState::Empty && request.state != BodyState::Empty;
            let body = if to_server { request } else { response };
            let bytes = body.pieces.iter().flat_map(|piece| piece.0.to_vec()).collect();
            (to_server, bytes, body.state)
        })
        .collect()
}

fn is_message(exchange: &Exchange) -> bool {
    exchange
        .calls
        .first()
        .is_some_and(|call| call.kind == CallKind::WebSocket)
}

#[test]
fn each_message_is_an_exchange_at_the_endpoint_of_its_handshake() {
    let mut steps = opened("", "");
    steps.extend([
        ToServer(client(b"{\"a\":1}")),
        ToClient(server(b"hello")),
        ToClient(frame(0x82, b"\0\x01", None)),
    ]);
    let out = run(steps);
    assert_eq!(
        told(&out),
        [
            (true, b"{\"a\":1}".to_vec(), BodyState::Whole),
            (false, b"hello".to_vec(), BodyState::Whole),
            (false, b"\0\x01".to_vec(), BodyState::Whole),
        ]
    );
    assert_eq!((out.len(), is_message(&out[0])), (4, false));
    for exchange in &out {
        assert!(exchange.anomalies.is_empty());
        assert_eq!(exchange.caller, out[0].caller);
        assert_eq!(exchange.request.target().expose(), b"/chat");
        assert_eq!(
            exchange
                .request
                .head
                .header("host")
                .map(crate::exchange::Secret::expose),
            Some(&b"a.example"[..])
        );
        assert_eq!(exchange.outcome.response().unwrap().status, 101);
        // The credential is judged once, with the handshake.
        assert_eq!(
            exchange.request.head.header("authorization").is_some(),
            !is_message(exchange)
        );
    }
}

#[test]
fn what_came_with_the_handshake_is_not_lost() {
    let [mut ask, mut answer] = [
        format!("{ASK}\r\n").into_bytes(),
        format!("{ANSWER}\r\n").into_bytes(),
    ];
    ask.extend(client(b"too early"));
    answer.extend(server(b"at once"));
    answer.extend(&server(b"in two")[..4]);
    let rest = server(b"in two")[4..].to_vec();
    let out = run(vec![ToServer(ask), ToClient(answer), ToClient(rest)]);
    let texts: Vec<_> = told(&out).into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(
        texts,
        [b"too early".to_vec(), b"at once".to_vec(), b"in two".to_vec()]
    );
}

#[test]
fn any_split_gives_the_same() {
    let ask = format!("{ASK}\r\n").into_bytes();
    let answer = [
        format!("{ANSWER}\r\n").into_bytes(),
        frame(0x01, b"frag", None),
        frame(0x89, b"ping", None),
        frame(0x80, b"ments", None),
        server(&vec![b'x'; 300]),
        frame(0x88, b"\x03\xe8bye", None),
    ]
    .concat();
    let whole = told(&run(vec![ToServer(ask.clone()), ToClient(answer.clone())]));
    assert_eq!(whole[0], (false, b"fragments".to_vec(), BodyState::Whole));
    assert_eq!(whole.len(), 2);
    for cut in 0..answer.len() {
        let (first, rest) = answer.split_at(cut);
        let steps = vec![
            ToServer(ask.clone()),
            ToClient(first.to_vec()),
            ToClient(rest.to_vec()),
        ];
        assert_eq!(told(&run(steps)), whole, "{cut}");
    }
    let mut bytewise = vec![ToServer(ask)];
    bytewise.extend(answer.iter().map(|byte| ToClient(vec![*byte])));
    assert_eq!(told(&run(bytewise)), whole);
}

#[test]
fn without_any_one_chunk_later_messages_are_right() {
    let texts: Vec<Vec<u8>> = (0..30)
        .map(|id| format!("{{\"id\":{id},\"text\":\"a message of some length\"}}").into_bytes())
        .collect();
    let wire: Vec<u8> = texts.iter().flat_map(|text| client(text)).collect();
    for size in [10, 64, 333] {
        let chunks: Vec<&[u8]> = wire.chunks(size).collect();
        for lost in 0..chunks.len() {
            let mut steps = opened("", "");
            steps.extend(chunks.iter().enumerate().map(|(index, chunk)| {
                if index == lost {
                    Lost(Direction::Read, chunk.len() as u64)
                } else {
                    ToServer(chunk.to_vec())
                }
            }));
            let seen = told(&run(steps));
            let mut whole = 0;
            for (_, text, state) in &seen {
                match state {
                    BodyState::Whole => {
                        assert!(texts.contains(text), "{size} {lost}");
                        whole += 1;
                    }
                    state => assert_eq!(*state, BodyState::Holed(GapReason::Lost)),
                }
            }
            assert!(
                whole + size / texts[0].len() + 2 >= texts.len(),
                "{size} {lost}: {whole}"
            );
        }
    }
}

#[test]
fn a_long_message_keeps_its_front_and_its_length() {
    let limit = Limits::default().body_bytes;
    let mut steps = opened("", "");
    steps.push(ToClient(server(&vec![b'x'; limit + 100])));
    steps.push(ToServer(client(&vec![b'y'; limit + 100])));
    let out = run(steps);
    for (_, bytes, state) in told(&out) {
        assert_eq!((bytes.len(), state), (limit, BodyState::Limited));
    }
    assert_eq!(out[1].outcome.response().unwrap().body.total, limit as u64 + 100);
    assert_eq!(out[2].request.body.total, limit as u64 + 100);
}

#[test]
fn compressed_messages_are_inflated() {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    let agree = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut steps = opened(offer, agree);
    // RFC 7692, 7.2.3.1 and 7.2.3.2: the second refers to the first.
    let (first, second) = (b"\xf2\x48\xcd\xc9\xc9\x07\x00", b"\xf2\x00\x11\x00\x00");
    steps.push(ToServer(frame(0xc1, first, Some([1, 2, 3, 4]))));
    steps.push(ToServer(
        [
            frame(0x41, &second[..2], Some([9, 9, 1, 4])),
            frame(0x80, &second[2..], Some([5, 6, 7, 8])),
        ]
        .concat(),
    ));
    steps.push(ToClient(frame(0xc1, first, None)));
    let hello = |to_server| (to_server, b"Hello".to_vec(), BodyState::Whole);
    let out = run(steps.clone());
    assert_eq!(told(&out), [hello(true), hello(true), hello(false)]);
    assert!(out.iter().all(|exchange| exchange.anomalies.is_empty()));
    // Without the first the second cannot be read, and nobody is to blame.
    let ToServer(lost) = steps[2].clone() else {
        panic!()
    };
    steps[2] = Lost(Direction::Read, lost.len() as u64);
    let out = run(steps);
    // Its first character stands for itself.
    assert_eq!(
        told(&out),
        [
            (true, b"H".to_vec(), BodyState::Holed(GapReason::Lost)),
            hello(false)
        ]
    );
    assert!(out.iter().all(|exchange| exchange.anomalies.is_empty()));
}

#[test]
fn a_false_handshake_is_an_anomaly() {
    let wrong = ANSWER.replace("s3pPL", "S3pPL");
    let steps = vec![
        ToServer(format!("{ASK}\r\n").into_bytes()),
        ToClient(format!("{wrong}\r\n").into_bytes()),
    ];
    assert_eq!(run(steps)[0].anomalies.as_slice(), [Anomaly::WebSocketHandshake]);
    let unasked = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    assert_eq!(
        run(opened("", unasked))[0].anomalies.as_slice(),
        [Anomaly::WebSocketHandshake]
    );
    let unasked = "Sec-WebSocket-Protocol: chat\r\n";
    assert_eq!(
        run(opened("", unasked))[0].anomalies.as_slice(),
        [Anomaly::WebSocketHandshake]
    );
}

#[test]
fn anomalies_of_frames_are_told() {
    let mut steps = opened("", "");
    steps.push(ToServer(frame(0x81, b"no mask", None)));
    steps.push(ToClient(frame(0x81, b"\xff\xfe", None)));
    // 1005 is never sent (RFC 6455, 7.4.1).
    steps.push(ToClient(frame(0x88, &1005_u16.to_be_bytes(), None)));
    let out = run(steps);
    let anomalies: Vec<_> = out
        .iter()
        .flat_map(|exchange| exchange.anomalies.to_vec())
        .collect();
    assert_eq!(
        anomalies,
        [
            Anomaly::WebSocketMask,
            Anomaly::WebSocketText,
            Anomaly::WebSocketControl
        ]
    );
}

#[test]
fn without_a_handshake_nothing_is_guessed() {
    let frames = [server(b"hello"), server(b"again")].concat();
    assert!(run(vec![ToClient(frames.clone())]).is_empty());
    let answer = format!("{ANSWER}\r\n").into_bytes();
    assert!(run(vec![ToClient([answer, frames].concat())]).is_empty());
}

#[test]
fn behind_a_connect_a_connection_begins() {
    let ask = "CONNECT b.example:80 HTTP/1.1\r\nHost: b.example:80\r\n\r\n";
    let inside = "GET /inside HTTP/1.1\r\nHost: b.example\r\n\r\n";
    let answers = "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    // What the client sends before its answer is the tunnel's, too.
    let out = run(vec![
        ToServer(format!("{ask}{inside}").into_bytes()),
        ToClient(answers.into()),
    ]);
    let targets: Vec<_> = out
        .iter()
        .map(|exchange| exchange.request.target().expose().to_vec())
        .collect();
    assert_eq!(targets, [b"b.example:80".to_vec(), b"/inside".to_vec()]);
    assert_eq!(out[1].outcome.response().unwrap().status, 204);
    // A PROXY header in there is the client's own word.
    let proxy = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    let out = run(vec![
        ToServer(ask.into()),
        ToClient("HTTP/1.1 200 OK\r\n\r\n".into()),
        ToServer(proxy.into()),
        ToServer(inside.into()),
        ToClient("HTTP/1.1 204 No Content\r\n\r\n".into()),
    ]);
    assert_eq!((out.len(), out[1].connection.proxied_for), (2, None));
    // TLS stays closed.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let out = run(vec![
        ToServer(ask.into()),
        ToClient("HTTP/1.1 200 OK\r\n\r\n".into()),
        ToServer(hello),
    ]);
    assert_eq!(out.len(), 1);
}
