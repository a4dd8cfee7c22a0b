use std::io::Write as _;

use super::*;
use crate::capture::GapReason;
use crate::exchange::test_support::Builder;
use crate::exchange::{BodyState, Exchange};

fn classify(exchange: &Exchange) -> Labels {
    Classifier::new(Limits::default()).classify(exchange)
}

fn found(exchange: &Exchange) -> Vec<(DataKind, Half, Part, String, u32)> {
    let labels = classify(exchange).found.into_iter();
    labels
        .map(|label| {
            let place = label.place;
            (label.kind, place.half, place.part, place.name.into(), label.count)
        })
        .collect()
}

#[test]
fn every_part_is_looked_at() {
    let exchange = Builder::post("/users/alice%40example.com/cards?api_key=abcdef123456&q=x")
        .field("Authorization", "Bearer opaque-token-value")
        .field("Cookie", "theme=dark; JSESSIONID=ABCDEF123456")
        .field("User-Agent", "curl/8.0 (bob@example.com)")
        .field("X-Note", "call +1 415 555 2671")
        .json(r#"{"login":{"password":"hunter2"}}"#)
        .response_field("Set-Cookie", "sessionid=0123456789abcdef; Path=/; HttpOnly")
        .answer(r#"{"users":[{"mail":"a@example.org"},{"mail":"b@example.org"}]}"#)
        .build();
    let expected = [
        (DataKind::Email, Half::Request, Part::Path, "users", 1),
        (DataKind::SecretField, Half::Request, Part::Query, "api_key", 1),
        (
            DataKind::SecretField,
            Half::Request,
            Part::Header,
            "authorization",
            1,
        ),
        (
            DataKind::SecretField,
            Half::Request,
            Part::Cookie,
            "JSESSIONID",
            1,
        ),
        (DataKind::Phone, Half::Request, Part::Header, "x-note", 1),
        (DataKind::Password, Half::Request, Part::Body, "login.password", 1),
        (
            DataKind::SecretField,
            Half::Response,
            Part::Cookie,
            "sessionid",
            1,
        ),
        (DataKind::Email, Half::Response, Part::Body, "users[].mail", 2),
    ];
    let expected = expected.map(|(kind, half, part, name, count)| (kind, half, part, name.to_owned(), count));
    assert_eq!(found(&exchange), expected);
}

#[test]
fn trailers_of_either_half_are_fields_like_others() {
    let exchange = Builder::post("/")
        .json("{}")
        .request_trailers(&[("X-Owner", "alice@example.com"), ("X-Auth-Token", "abcdef123456")])
        .answer("{}")
        .trailers(&[("X-Card", "4111 1111 1111 1111")])
        .build();
    let expected = [
        (DataKind::Email, Half::Request, "x-owner"),
        (DataKind::SecretField, Half::Request, "x-auth-token"),
        (DataKind::PaymentCard, Half::Response, "x-card"),
    ];
    let expected = expected.map(|(kind, half, name)| (kind, half, Part::Header, name.to_owned(), 1));
    assert_eq!(found(&exchange), expected);
    let said = format!("{:?} {exchange:?}", classify(&exchange));
    assert!(
        ["alice@", "abcdef123456", "4111 1111"]
            .iter()
            .all(|value| !said.contains(value)),
        "{said}"
    );
}

#[test]
fn basic_credentials_are_a_password() {
    let exchange = Builder::get("/")
        .field("Authorization", "Basic dXNlcjpwYXNz")
        .build();
    let labels = classify(&exchange);
    assert_eq!(labels.found.len(), 1);
    assert_eq!(labels.found[0].kind, DataKind::Password);
    assert_eq!(&*labels.found[0].sample.0, "********");
}

#[test]
fn forms_and_text_are_read() {
    let form = Builder::post("/login")
        .body(
            "application/x-www-form-urlencoded",
            "user=bob%40example.org&password=hunter2&p%61sswd=x1",
        )
        .build();
    let names: Vec<_> = found(&form).into_iter().map(|label| (label.0, label.3)).collect();
    assert_eq!(
        names,
        [
            (DataKind::Email, "user".to_owned()),
            (DataKind::Password, "password".to_owned()),
            (DataKind::Password, "passwd".to_owned()),
        ]
    );
    let text = Builder::get("/")
        .answer_pieces("text/html", &[b"<p>bob@exam", b"ple.org</p>"])
        .build();
    assert_eq!(found(&text)[0].0, DataKind::Email);
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A card of a user in every format: media type, body, place.
const CARDS: [(&str, &[u8], &str); 9] = [
    (
        "application/json",
        br#"{"user":{"card":"4111 1111 1111 1111"}}"#,
        "user.card",
    ),
    (
        "application/x-ndjson",
        b"{}\n{\"user\":{\"card\":\"4111 1111 1111 1111\"}}\n",
        "[].user.card",
    ),
    (
        "application/x-www-form-urlencoded",
        b"user[card]=4111+1111%201111+1111&x=1",
        "user.card",
    ),
    (
        "multipart/form-data; boundary=b",
        b"--b\r\nContent-Disposition: form-data; name=\"user\"\r\nContent-Type: application/json\r\n\r\n\
            {\"card\":\"4111 1111 1111 1111\"}\r\n--b--\r\n",
        "user.card",
    ),
    (
        "application/xml",
        b"<user><card>4111 1111<![CDATA[ 1111 ]]>&#49;111</card></user>",
        "user.card",
    ),
    ("text/xml", b"<user card='4111 1111 1111 1111'/>", "user.card"),
    (
        "text/event-stream",
        b"data: {\"user\":{\"card\":\"4111 1111 1111 1111\"}}\n\n",
        "[].user.card",
    ),
    (
        "application/msgpack",
        b"\x81\xa4user\x81\xa4card\xb34111 1111 1111 1111",
        "user.card",
    ),
    (
        "application/cbor",
        b"\xa1\x64user\xa1\x64card\x734111 1111 1111 1111",
        "user.card",
    ),
];

#[test]
fn every_format_is_looked_into() {
    for (media, body, place) in CARDS {
        let kind = DataKind::PaymentCard;
        let expected = [(kind, Half::Response, Part::Body, place.to_owned(), 1)];
        let exchange = Builder::get("/").answer_bytes(media, body).build();
        assert_eq!(found(&exchange), expected, "{media}");
        let labels = classify(&exchange);
        let sure = labels.blind.is_empty() && labels.anomalies.is_empty();
        assert!(sure, "{media}: {:?}", labels.blind);
        let (front, back) = body.split_at(body.len() / 2);
        let split = Builder::get("/").answer_pieces(media, &[front, back]).build();
        assert_eq!(found(&split), expected, "{media} in two pieces");
        let packed = Builder::get("/")
            .response_field("Content-Encoding", "gzip")
            .answer_bytes(media, &gzip(body))
            .build();
        assert_eq!(found(&packed), expected, "{media} in gzip");
    }
}

#[test]
fn what_is_odd_about_a_body_is_told() {
    let exchange = Builder::get("/")
        .answer_bytes(
            "text/xml",
            b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        )
        .build();
    let odd = classify(&exchange).anomalies;
    assert_eq!(
        odd.as_slice(),
        [
            Anomaly::XmlDoctype,
            Anomaly::XmlEntityDeclared,
            Anomaly::XmlEntityUsed
        ]
    );
}

#[test]
fn pieces_of_json_give_the_same_labels() {
    let body = r#"{"note":"a\u0040example.com","card":{"number":"4111 1111 1111 1111"},"tok\u0065n":"a8f5f167f44f4964"}"#;
    let whole = classify(&Builder::get("/").answer(body).build());
    assert_eq!(whole.found.len(), 3);
    for at in 0..body.len() {
        let (front, back) = body.as_bytes().split_at(at);
        let split = Builder::get("/")
            .answer_pieces("application/json", &[front, back])
            .build();
        assert_eq!(classify(&split).found, whole.found, "split at {at}");
    }
}

#[test]
fn keys_that_are_values_are_found_and_hidden() {
    let exchange = Builder::get("/")
        .answer(r#"{"alice@example.com":{"x":1},"4111111111111111":"b@example.org"}"#)
        .build();
    assert!(found(&exchange).iter().all(|label| label.3 == "*"));
    assert_eq!(found(&exchange).len(), 2);
    assert!(!format!("{:?}", classify(&exchange)).contains("alice"));
}

#[test]
fn what_could_not_be_read_is_said() {
    let coded = |coding: &str, body: &[u8]| {
        let exchange = Builder::get("/")
            .response_field("Content-Encoding", coding)
            .answer_bytes("application/json", body)
            .build();
        classify(&exchange).blind
    };
    assert_eq!(coded("gzip", b"{}").as_slice(), [BlindSpot::BadCoding]);
    assert_eq!(coded("dcb", b"{}").as_slice(), [BlindSpot::UnknownCoding]);
    let packed = gzip(b"{\"a\":\"b@example.org\"}");
    assert_eq!(coded("gzip", &packed).as_slice(), []);
    assert_eq!(
        coded("gzip", &packed[..packed.len() - 3]).as_slice(),
        [BlindSpot::BadCoding]
    );
    assert_eq!(
        coded("gzip", &gzip(&vec![b' '; 5 << 20])).first(),
        Some(&BlindSpot::DecodedLimit)
    );
    let holed = Builder::get("/")
        .answer(r#"{"password":"hunter2","x"#)
        .answer_state(BodyState::Holed(GapReason::Lost))
        .build();
    assert_eq!(classify(&holed).blind.as_slice(), [BlindSpot::ResponseBodyCut]);
    assert_eq!(found(&holed).len(), 1);
    let binary = Builder::get("/")
        .answer_pieces("application/octet-stream", &[&[0, 1, 2]])
        .build();
    assert_eq!(classify(&binary).blind.as_slice(), [BlindSpot::UnreadEncoding]);
}

#[test]
fn what_follows_broken_json_is_looked_at_as_text() {
    let exchange = Builder::get("/")
        .answer("{\"a\":1}\n{\"mail\":\"bob@example.org\"}")
        .build();
    let labels = classify(&exchange);
    assert_eq!(labels.blind.as_slice(), [BlindSpot::Malformed]);
    assert_eq!(labels.found[0].kind, DataKind::Email);
}

#[test]
fn labels_are_bounded() {
    let body: Vec<_> = (0..200)
        .map(|number| format!("\"{}\":\"b@example.org\"", letters(number)))
        .collect();
    let exchange = Builder::get("/")
        .answer(&format!("{{{}}}", body.join(",")))
        .build();
    let labels = classify(&exchange);
    assert_eq!(labels.found.len(), Limits::default().labels);
    assert_eq!(labels.blind.as_slice(), [BlindSpot::TooManyLabels]);
}

fn letters(number: u8) -> String {
    [number / 26, number % 26]
        .map(|letter| char::from(b'a' + letter))
        .iter()
        .collect()
}

#[test]
fn values_beyond_the_limit_are_marked() {
    let long = "x".repeat(20_000);
    let exchange = Builder::get("/").answer(&format!("[\"{long}\"]")).build();
    assert_eq!(classify(&exchange).blind.as_slice(), [BlindSpot::ValueCut]);
}

#[test]
fn no_planted_value_prints() {
    let planted = [
        "4111111111111111",
        "DE89370400440532013000",
        "alice@example.com",
        "+14155552671",
        "536-22-8726",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
        "AKIAQ2W3E4R5T6Y7UUIP",
        "glpat-a1B2c3D4e5F6g7H8i9J0",
        "hunter2-hunter2",
        "s3cr3t-value-of-mine",
    ];
    let body: Vec<_> = planted
        .iter()
        .map(|value| format!("\"{value}\":\"{value}\""))
        .collect();
    let body = format!(
        "{{{},\"password\":\"hunter2-hunter2\",\"api_key\":\"s3cr3t-value-of-mine\"}}",
        body.join(",")
    );
    let exchange = Builder::post("/x?q=alice@example.com")
        .json(&body)
        .answer(&body)
        .build();
    let mut classifier = Classifier::new(Limits::default());
    let labels = classifier.classify(&exchange);
    let kinds: std::collections::BTreeSet<_> = labels.found.iter().map(|label| label.kind).collect();
    assert_eq!(kinds.len(), 10, "{kinds:?}");
    let printed = format!("{labels:?} {classifier:?} {exchange:?}");
    for value in planted {
        assert!(!printed.contains(value), "{value}");
    }
}
