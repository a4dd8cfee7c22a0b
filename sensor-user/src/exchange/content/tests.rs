use std::io::Write as _;

use flate2::write::GzEncoder;

use super::*;
use crate::exchange::BodyState;
use crate::exchange::test_support::Builder;
use crate::protocol::inflate::{Ended, flushed};

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn response(exchange: &Exchange) -> &Body {
    &exchange.outcome.response().unwrap().body
}

fn content(body: &Body) -> Vec<u8> {
    body.content().iter().flat_map(|piece| piece.0.to_vec()).collect()
}

#[test]
fn a_coded_body_is_decoded_once_it_is_complete() {
    let packed = gzip(b"{\"a\":1}");
    let (front, back) = packed.split_at(packed.len() / 2);
    let exchange = Builder::get("/")
        .response_field("Content-Encoding", "gzip")
        .answer_pieces("application/json", &[front, back])
        .build();
    let body = response(&exchange);
    assert_eq!(content(body), b"{\"a\":1}");
    assert!(body.is_content_whole() && exchange.anomalies.is_empty());
    assert!(!format!("{body:?}").contains("{\"a\""));
}

#[test]
fn a_body_without_coding_is_its_own_content() {
    let exchange = Builder::get("/")
        .response_field("Content-Encoding", "identity")
        .answer_pieces("text/plain", &[b"ab", b"c"])
        .build();
    assert_eq!(content(response(&exchange)), b"abc");
    assert_eq!(response(&exchange).content().len(), 2);
}

#[test]
fn layers_may_come_in_several_fields() {
    let exchange = Builder::get("/")
        .response_field("Content-Encoding", "gzip")
        .response_field("content-encoding", "gzip")
        .answer_bytes("text/plain", &gzip(&gzip(b"abc")))
        .build();
    assert_eq!(content(response(&exchange)), b"abc");
}

/// Codings over each other, in the order in which the field names them, within the bounds of one.
#[test]
fn layers_of_several_kinds_are_undone_in_order() {
    let brotli = |content: &[u8]| flushed("br", &[content], true).concat();
    let zstd = |content: &[u8]| flushed("zstd", &[content], true).concat();
    let coded = |coding: &str, bytes: &[u8]| {
        let built = Builder::post("/").field("Content-Encoding", coding);
        built.body_bytes("text/plain", &[bytes]).build()
    };
    let both = brotli(&gzip(b"abc"));
    let exchange = coded("gzip, br", &both);
    assert_eq!(content(&exchange.request.body), b"abc");
    assert!(exchange.request.body.is_content_whole() && exchange.anomalies.is_empty());
    let four = brotli(&gzip(&zstd(&gzip(b"abc"))));
    assert_eq!(
        content(&coded("gzip, zstd, gzip, br", &four).request.body),
        b"abc"
    );
    let wrong = coded("br, gzip", &both);
    assert_eq!(wrong.anomalies.as_slice(), [Anomaly::BadContentCoding]);
    assert!(content(&wrong.request.body).is_empty());
    // What is small within is none the less too much when it comes out.
    let bomb = coded("gzip, br", &brotli(&gzip(&vec![0; 10 << 20])));
    assert_eq!(bomb.anomalies.as_slice(), [Anomaly::DecompressionBomb]);
    assert!(content(&bomb.request.body).len() <= 1 << 20);
    let five = coded("gzip, br, gzip, br, gzip", &both);
    assert_eq!(five.anomalies.as_slice(), [Anomaly::TooManyCodings]);
}

#[test]
fn what_cannot_be_decoded_says_why() {
    let coded = |coding: &str, bytes: &[u8]| {
        Builder::get("/")
            .response_field("Content-Encoding", coding)
            .answer_bytes("text/plain", bytes)
            .build()
    };
    let unknown = coded("dcb", b"abc");
    assert!(matches!(
        response(&unknown).content,
        Content::Unread(Unreadable::Unknown)
    ));
    assert_eq!(unknown.anomalies.as_slice(), [Anomaly::UnknownContentCoding]);
    assert!(response(&unknown).content().is_empty() && !response(&unknown).is_content_whole());
    let many = coded("gzip,gzip,gzip,gzip,gzip", b"abc");
    assert_eq!(many.anomalies.as_slice(), [Anomaly::TooManyCodings]);
    let broken = coded("gzip", b"abc");
    assert_eq!(broken.anomalies.as_slice(), [Anomaly::BadContentCoding]);
    let bomb = coded("gzip", &gzip(&vec![0; 10 << 20]));
    assert_eq!(bomb.anomalies.as_slice(), [Anomaly::DecompressionBomb]);
}

#[test]
fn of_a_cut_body_the_front_is_decoded() {
    let packed = gzip(&b"abc".repeat(1000));
    let exchange = Builder::get("/")
        .response_field("Content-Encoding", "gzip")
        .answer_bytes("text/plain", &packed[..packed.len() - 9])
        .answer_state(BodyState::Cut)
        .build();
    let body = response(&exchange);
    assert!(matches!(
        body.content,
        Content::Decoded {
            ended: Ended::Cut,
            ..
        }
    ));
    assert!(content(body).starts_with(b"abcabc") && exchange.anomalies.is_empty());
}
