use super::*;

mod streams;

use crate::exchange::Outcome;
use crate::exchange::test_support::Builder;

const OK: &[(&str, &str)] = &[("grpc-status", "0")];

fn frame(flags: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[flags][..], &length, content].concat()
}

/// A call over HTTP/2 with these bodies and trailers.
fn call(media: &'static str, request: &[u8], response: &[&[u8]], trailers: &[(&str, &str)]) -> Exchange {
    let mut exchange = Builder::post("/shop.Orders/Place")
        .body_bytes(media, &[request])
        .answer_pieces(media, response)
        .trailers(trailers)
        .build();
    exchange.request.version = HTTP2;
    exchange
}

fn reading(exchange: &Exchange) -> Option<Reading> {
    read(&mut exchange.clone())
}

fn messages(exchange: &Exchange) -> Option<Messages> {
    reading(exchange)?.call.grpc()
}

fn outcome(exchange: &Exchange) -> (CallOutcome, Vec<Anomaly>) {
    let reading = reading(exchange).unwrap();
    (reading.call.outcome, reading.anomalies.to_vec())
}

#[test]
fn a_unary_call_has_a_name_and_a_status() {
    let exchange = call("application/grpc", &frame(0, b"in"), &[&frame(0, b"out")], OK);
    let reading = reading(&exchange).unwrap();
    assert_eq!(reading.call.kind, CallKind::Grpc);
    assert_eq!(reading.call.name.expose(), b"shop.Orders/Place");
    assert_eq!(outcome(&exchange), (CallOutcome::Success, vec![]));
    let one = Count { seen: 1, more: false };
    let expected = Messages {
        to_server: one,
        to_client: one,
    };
    assert_eq!(messages(&exchange), Some(expected));
}

#[test]
fn messages_of_a_stream_are_counted_each_way() {
    let request = [frame(0, b"a"), frame(0, b""), frame(0, b"ccc")].concat();
    let response = [frame(0, b"1"), frame(0, b"2")].concat();
    // In pieces that cut the header of a frame.
    let (front, back) = response.split_at(3);
    let exchange = call("application/grpc+proto", &request, &[front, back], OK);
    let counted = messages(&exchange).unwrap();
    assert_eq!((counted.to_server.seen, counted.to_client.seen), (3, 2));
}

#[test]
fn a_status_comes_from_trailers_or_from_trailers_only() {
    let failed = |code: &'static str| {
        outcome(&call(
            "application/grpc",
            &frame(0, b"x"),
            &[],
            &[("grpc-status", code), ("grpc-message", "no%20way")],
        ))
    };
    assert_eq!(failed("5"), (CallOutcome::Failure(5), vec![]));
    assert_eq!(failed("99"), (CallOutcome::Unknown, vec![Anomaly::GrpcBadStatus]));
    let mut only = Builder::post("/shop.Orders/Place")
        .body_bytes("application/grpc", &[&frame(0, b"x")])
        .response_field("content-type", "application/grpc")
        .response_field("grpc-status", "12")
        .build();
    only.request.version = HTTP2;
    assert_eq!(outcome(&only), (CallOutcome::Failure(12), vec![]));
}

#[test]
fn an_answer_without_a_status_is_odd_unless_it_is_not_all_there() {
    let mut exchange = call("application/grpc", &frame(0, b"x"), &[&frame(0, b"y")], &[]);
    assert_eq!(
        outcome(&exchange),
        (CallOutcome::Unknown, vec![Anomaly::GrpcBadStatus])
    );
    let Outcome::Answered(response) = &mut exchange.outcome else {
        unreachable!()
    };
    response.body.state = BodyState::Cut;
    assert_eq!(outcome(&exchange), (CallOutcome::Unknown, vec![]));
    let Outcome::Answered(response) = &mut exchange.outcome else {
        unreachable!()
    };
    (response.body.state, response.status) = (BodyState::Whole, 503);
    assert_eq!(outcome(&exchange), (CallOutcome::Failure(14), vec![]));
    exchange.outcome = Outcome::Unanswered;
    assert_eq!(outcome(&exchange), (CallOutcome::Unknown, vec![]));
}

#[test]
fn grpc_web_has_its_trailers_in_the_body() {
    let body = [
        frame(0, b"out"),
        frame(0x80, b"grpc-status: 7\r\ngrpc-message: nope\r\n"),
    ]
    .concat();
    let web = |media: &'static str, body: &[u8]| {
        let mut exchange = call(media, &frame(0, b"in"), &[body], &[]);
        exchange.request.version = 11;
        exchange
    };
    let exchange = web("application/grpc-web+proto", &body);
    assert_eq!(reading(&exchange).unwrap().call.kind, CallKind::GrpcWeb);
    assert_eq!(outcome(&exchange), (CallOutcome::Failure(7), vec![]));
    assert_eq!(messages(&exchange).unwrap().to_client.seen, 1);
    let after = [body, frame(0, b"more")].concat();
    assert_eq!(
        outcome(&web("application/grpc-web", &after)).1,
        [Anomaly::GrpcAfterTrailers]
    );
    // gRPC itself is HTTP/2 only.
    assert!(reading(&web("application/grpc", b"")).is_none());
}

#[test]
fn grpc_web_text_is_undone() {
    // One message "out", padded by itself, and trailers with status 0.
    let text = b"AAAAAANvdXQ=gAAAAA9ncnBjLXN0YXR1czogMA0K";
    let mut exchange = call(
        "application/grpc-web-text",
        b"AAAAAAJpbg==",
        &[&text[..9], &text[9..]],
        &[],
    );
    exchange.request.version = 11;
    assert_eq!(
        outcome(&exchange).1,
        [Anomaly::GrpcBadFrame],
        "the length of the trailers is one too few"
    );
    let text = b"AAAAAANvdXQ=gAAAABBncnBjLXN0YXR1czogMA0K";
    let mut exchange = call(
        "application/grpc-web-text",
        b"AAAAAAJpbg==",
        &[&text[..9], &text[9..]],
        &[],
    );
    exchange.request.version = 11;
    assert_eq!(outcome(&exchange), (CallOutcome::Success, vec![]));
    let counted = messages(&exchange).unwrap();
    assert_eq!((counted.to_server.seen, counted.to_client.seen), (1, 1));
    let broken = call("application/grpc-web-text", b"AAAA!!", &[text], &[]);
    assert_eq!(outcome(&broken).1, [Anomaly::GrpcBadBase64]);
}

#[test]
fn bad_frames_are_anomalies() {
    let with = |request: &[u8]| outcome(&call("application/grpc", request, &[&frame(0, b"x")], OK)).1;
    assert_eq!(with(&frame(2, b"x")), [Anomaly::GrpcBadFrame]);
    assert_eq!(
        with(&frame(0x80, b"x")),
        [Anomaly::GrpcBadFrame, Anomaly::GrpcAfterTrailers][..1]
    );
    assert_eq!(with(&frame(0, b"cut")[..6]), [Anomaly::GrpcBadFrame]);
    assert_eq!(with(&frame(1, b"x")), [Anomaly::GrpcNoEncoding]);
    assert_eq!(
        with(&[0, 0xff, 0, 0, 0, 1]),
        [Anomaly::GrpcMessageTooLong, Anomaly::GrpcBadFrame]
    );
    let mut exchange = call("application/grpc", &frame(0, b"x"), &[&frame(0, b"x")], OK);
    exchange.request.target.len = 1;
    assert_eq!(outcome(&exchange).1, [Anomaly::GrpcBadMethod]);
}

#[test]
fn what_is_no_grpc_is_left_alone() {
    assert!(reading(&Builder::post("/a/b").json("{}").build()).is_none());
    assert!(messages(&Builder::get("/a/b").build()).is_none());
}
