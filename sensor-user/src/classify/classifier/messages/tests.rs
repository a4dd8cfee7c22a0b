use std::sync::Arc;

use super::*;
use crate::classify::{DataKind, Limits};
use crate::exchange::secret::HashKey;
use crate::exchange::test_support::Builder;
use crate::protocol::protobuf::Schema;

fn delimited(number: u8, content: &[u8]) -> Vec<u8> {
    [
        &[number << 3 | 2, u8::try_from(content.len()).unwrap()][..],
        content,
    ]
    .concat()
}

fn frame(flags: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[flags][..], &length, content].concat()
}

fn customer() -> Vec<u8> {
    let card = delimited(3, &delimited(1, b"4111 1111 1111 1111"));
    [delimited(1, b"alice@example.com"), card].concat()
}

/// Kind and place of everything found in the request.
fn found(classifier: &mut Classifier, media: &str, pieces: &[&[u8]]) -> Vec<(DataKind, String)> {
    let exchange = Builder::post("/shop.Orders/Place")
        .body_bytes(media, pieces)
        .build();
    let labels = classifier.classify(&exchange);
    labels
        .found
        .iter()
        .map(|label| (label.kind, label.place.name.to_string()))
        .collect()
}

#[test]
fn values_are_found_under_the_numbers_of_their_fields() {
    let body = [frame(0, b""), frame(0, &customer())].concat();
    let expected = [
        (DataKind::Email, "1".to_owned()),
        (DataKind::PaymentCard, "3.1".to_owned()),
    ];
    let mut classifier = Classifier::new(Limits::default());
    for cut in 0..body.len() {
        let (front, back) = body.split_at(cut);
        let found = found(&mut classifier, "application/grpc", &[front, back]);
        assert_eq!(found, expected, "in two pieces at {cut}");
    }
    assert_eq!(
        found(&mut classifier, "application/x-protobuf", &[&customer()]),
        expected
    );
    // A number beyond what schemas have may be a value itself.
    let far = [&[0x82, 0xa8, 0xd6, 0xb9, 0x07, 17][..], b"alice@example.com"].concat();
    assert_eq!(
        found(&mut classifier, "application/protobuf", &[&far]),
        [(DataKind::Email, "*".to_owned())]
    );
}

#[test]
fn names_come_from_the_descriptors_of_the_method() {
    let field = |name: &[u8], number: u8| [delimited(1, name), vec![0x18, number, 0x20, 1, 0x28, 9]].concat();
    let message = [delimited(1, b"Order"), delimited(2, &field(b"contact", 1))].concat();
    let method = [
        delimited(1, b"Place"),
        delimited(2, b".shop.Order"),
        delimited(3, b".shop.Order"),
    ]
    .concat();
    let service = [delimited(1, b"Orders"), delimited(2, &method)].concat();
    let file = [
        delimited(2, b"shop"),
        delimited(4, &message),
        delimited(6, &service),
    ]
    .concat();
    let schema = Schema::parse(&delimited(1, &file)).unwrap();
    let types = Arc::new(Types::new(schema));
    let mut classifier =
        Classifier::with_schema(Limits::default(), Arc::clone(&types), &HashKey::new([0; 32]));
    let body = frame(0, &delimited(1, b"alice@example.com"));
    let mut found = || found(&mut classifier, "application/grpc", &[&body]);
    assert_eq!(found(), [(DataKind::Email, "contact".to_owned())]);
    types.replace(Schema::default());
    assert_eq!(found(), [(DataKind::Email, "1".to_owned())], "its number");
}

#[test]
fn trailers_are_looked_at() {
    let trailers = frame(
        0x80,
        b"grpc-status:5\r\ngrpc-message:no user alice%40example.com\r\n",
    );
    let web = Builder::post("/a/B")
        .answer_pieces("application/grpc-web", &[&trailers])
        .build();
    let fields = [
        ("grpc-status", "5"),
        ("grpc-message", "no user alice%40example.com"),
    ];
    let plain = Builder::post("/a/B")
        .answer_pieces("application/grpc", &[])
        .trailers(&fields)
        .build();
    for exchange in [web, plain] {
        let labels = Classifier::new(Limits::default()).classify(&exchange);
        let [label] = labels.found.as_slice() else {
            panic!("{:?}", labels.found);
        };
        assert_eq!(
            (label.kind, &*label.place.name),
            (DataKind::Email, "grpc-message")
        );
    }
}

#[test]
fn what_is_not_read_is_said() {
    let blind = |media: &str, body: &[u8]| {
        let exchange = Builder::post("/a/B").body_bytes(media, &[body]).build();
        Classifier::new(Limits::default())
            .classify(&exchange)
            .blind
            .to_vec()
    };
    assert_eq!(blind("application/grpc", &frame(2, b"x")), [BlindSpot::Malformed]);
    assert_eq!(
        blind("application/grpc", &frame(0, b"\x0f")),
        [BlindSpot::Malformed]
    );
    assert_eq!(
        blind("application/grpc+thrift", &frame(0, b"x")),
        [BlindSpot::UnreadEncoding]
    );
    assert_eq!(
        blind("application/grpc", &frame(1, b"x")),
        [BlindSpot::UnknownCoding]
    );
    assert_eq!(blind("application/grpc", &frame(0, &customer())), []);
}

#[test]
fn compressed_messages_are_undone() {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&customer()).unwrap();
    let mut body = frame(1, &encoder.finish().unwrap());
    let labels = |body: &[u8], coding: &str| {
        let built = Builder::post("/a/B").field("grpc-encoding", coding);
        let exchange = built.body_bytes("application/grpc", &[body]).build();
        let labels = Classifier::new(Limits::default()).classify(&exchange);
        (labels.found.len(), labels.blind.to_vec())
    };
    assert_eq!(labels(&body, "gzip"), (2, vec![]));
    assert_eq!(labels(&body, "snappy"), (0, vec![BlindSpot::UnknownCoding]));
    assert_eq!(labels(&body, "gzip, gzip"), (0, vec![BlindSpot::UnknownCoding]));
    let last = body.len() - 5;
    body[last] ^= 0xff;
    assert_eq!(labels(&body, "gzip").1, [BlindSpot::BadCoding]);
}

#[test]
fn json_in_frames_is_walked() {
    let body = frame(0, br#"{"contact":"alice@example.com"}"#);
    let found = found(
        &mut Classifier::new(Limits::default()),
        "application/grpc+json",
        &[&body],
    );
    assert_eq!(found, [(DataKind::Email, "contact".to_owned())]);
}
