//! What peers may read in two ways is read in one, and has a name: each row of the table in `mod.rs` and `framing.rs`.

use super::*;

/// The anomalies of the first head and what follows it.
fn of_request(wire: &str) -> (Vec<Seen>, Vec<Seen>) {
    let whole = requests(&[wire.as_bytes()]);
    let bytes: Vec<&[u8]> = wire.as_bytes().chunks(1).collect();
    (whole, requests(&bytes))
}

fn odd(anomaly: Anomaly) -> Seen {
    Seen::Odd([anomaly].into_iter().collect())
}

/// Wire, and the head read of it.
const REQUEST_HEADS: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\nHost: a\n\n", "GET / 11 Host=a Nothing [BareLf]"),
    (
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / 11 Host=a Nothing [BareLf]",
    ),
    (
        "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        "GET / 11 A=b\r\n folded Nothing [ObsoleteFolding]",
    ),
    (
        "GET / HTTP/1.1\r\nA:\r\n\tb\r\nC: d\r\n\r\n",
        "GET / 11 A=b C=d Nothing [ObsoleteFolding]",
    ),
    (
        "GET / HTTP/1.1\r\nA : b\r\n\r\n",
        "GET / 11 A=b Nothing [SpaceBeforeColon]",
    ),
    (
        "GET / HTTP/1.1\r\n A: b\r\nC: d\r\n\r\n",
        "GET / 11 C=d Nothing [SpaceBeforeField]",
    ),
    (
        "GET / HTTP/1.1\r\nA: b\rX: c\r\n\r\n",
        "GET / 11 A=b\rX: c Nothing [BareCr]",
    ),
    (
        "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        "GET / 11 A=b\0c Nothing [NulByte]",
    ),
    (
        "GET / HTTP/1.1\r\nA: b\x07c\r\n\r\n",
        "GET / 11 A=b\x07c Nothing [BadFieldValue]",
    ),
    (
        "GET / HTTP/1.1\r\n: b\r\n\r\n",
        "GET / 11 =b Nothing [BadFieldName]",
    ),
    (
        "GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        "GET / 11 A b=c Nothing [BadFieldName]",
    ),
    (
        "GET / HTTP/1.1\r\nnothing\r\nA: b\r\n\r\n",
        "GET / 11 A=b Nothing [FieldWithoutColon]",
    ),
    ("GET  / HTTP/1.1\r\n\r\n", "GET / 11 Nothing [OddStartLine]"),
    ("GET\t/ HTTP/1.1\r\n\r\n", "GET / 11 Nothing [OddStartLine]"),
    ("GET / HTTP/1.1 \r\n\r\n", "GET / 11 Nothing [OddStartLine]"),
    (
        "GET /a b HTTP/1.1\r\n\r\n",
        "GET /a b 11 Nothing [OddStartLine, BadTarget]",
    ),
    ("GET /\x01 HTTP/1.1\r\n\r\n", "GET /\x01 11 Nothing [BadTarget]"),
    ("GET / HTTP/1.2\r\n\r\n", "GET / 11 Nothing [UnknownVersion]"),
    ("GET / HTTP/3.1\r\n\r\n", "GET / 11 Nothing [UnknownVersion]"),
    ("GET / HTTP/0.9\r\n\r\n", "GET / 10 Nothing [UnknownVersion]"),
    (
        "GET /a\r\nHost: b\r\n\r\n",
        "GET /a 10 Host=b Nothing [MissingVersion]",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / 11 Host=a Host=b Nothing [RepeatedHost]",
    ),
    (
        "GET a.example/ HTTP/1.1\r\n\r\n",
        "GET a.example/ 11 Nothing [BadTarget]",
    ),
    (
        "GET http:/a HTTP/1.1\r\n\r\n",
        "GET http:/a 11 Nothing [BadTarget]",
    ),
    (
        "GET http://a@b@c/ HTTP/1.1\r\n\r\n",
        "GET http://a@b@c/ 11 Nothing [BadTarget]",
    ),
    ("CONNECT /a HTTP/1.1\r\n\r\n", "CONNECT /a 11 Nothing [BadTarget]"),
    (
        "CONNECT a:1 HTTP/1.1\r\nContent-Length: 1\r\n\r\n",
        "CONNECT a:1 11 Content-Length=1 Nothing [FramingNotAllowed]",
    ),
    ("GET http://a/b HTTP/1.1\r\n\r\n", "GET http://a/b 11 Nothing []"),
    ("OPTIONS * HTTP/1.1\r\n\r\n", "OPTIONS * 11 Nothing []"),
];

#[test]
fn odd_request_heads_have_one_reading() {
    for (wire, expected) in REQUEST_HEADS {
        let (whole, bytes) = of_request(wire);
        assert_eq!(whole, [head(expected)], "{wire:?}");
        assert_eq!(bytes, whole, "{wire:?}");
    }
}

#[test]
fn odd_fields_still_frame() {
    let framed = |fields: &str| {
        let wire = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\nabGET /next HTTP/1.1\r\n\r\n");
        let (whole, bytes) = of_request(&wire);
        // What has no known end is skipped by a search, which takes the start of an input for a likelier start.
        let searched = matches!(&whole[0], Seen::Head(head) if head.contains(" Cut "));
        assert!(searched || bytes == whole, "{fields:?}");
        whole.get(1) == Some(&body("ab"))
            && whole
                .get(3)
                .is_some_and(|next| matches!(next, Seen::Head(head) if head.starts_with("GET /next")))
    };
    for fields in [
        "Content-Length : 2",
        "Content-Length:\r\n 2",
        "Content-Length: 2\nA: b",
        "Content-Length: 2\r",
        "X: y\rContent-Length: 3\r\nContent-Length: 2",
        "nonsense\r\nContent-Length: 2",
        "Content-Length: 02\r\nContent-Length: 2",
        " Content-Length: 3\r\nContent-Length: 2",
    ] {
        assert!(framed(fields), "{fields:?}");
    }
    for fields in [
        "Content-Length: 2\r\n 0",
        "Content-Length\u{b}: 2x",
        "Content-Length: 2, 3",
    ] {
        assert!(!framed(fields), "{fields:?}");
    }
}

#[test]
fn a_message_behind_the_last_one_is_marked() {
    let wire =
        "GET /a HTTP/1.1\r\nConnection: a, Close\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n";
    let (whole, bytes) = of_request(wire);
    let expected = [
        head("GET /a 11 Connection=a, Close Nothing []"),
        head("GET /b 11 Nothing [DataAfterClose]"),
        head("GET /c 11 Nothing []"),
    ];
    assert_eq!(whole, expected);
    assert_eq!(bytes, expected);
}

#[test]
fn what_is_no_head_is_refused() {
    for wire in [
        "POST /a\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET / HTTP/11\r\n\r\n",
        "GET / HTTP/x.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "G\0T / HTTP/1.1\r\n\r\n",
    ] {
        let (whole, bytes) = of_request(wire);
        let refused = vec![Seen::Rejected(Anomaly::MalformedHead)];
        assert_eq!((&whole, &bytes), (&refused, &refused), "{wire:?}");
    }
}

#[test]
fn odd_response_heads_have_one_reading() {
    for (wire, expected) in [
        ("HTTP/1.1  204 No\r\n\r\n", "204 11 Nothing [OddStartLine]"),
        ("HTTP/1.1 204 N\x01\r\n\r\n", "204 11 Nothing [OddStartLine]"),
        ("HTTP/1.1 204 \r\n\r\n", "204 11 Nothing []"),
        ("HTTP/2.0 204 No\r\n\r\n", "204 11 Nothing [UnknownVersion]"),
        ("HTTP/0.9 204 No\r\n\r\n", "204 10 Nothing [UnknownVersion]"),
        (
            "HTTP/1.1 204\nA: b\n c\n\n",
            "204 11 A=b\n c Nothing [BareLf, ObsoleteFolding]",
        ),
        (
            "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            "204 11 Transfer-Encoding=chunked Nothing [FramingNotAllowed]",
        ),
        (
            "HTTP/1.1 103 Early\r\nContent-Length: 3\r\n\r\n",
            "103 11 Content-Length=3 Nothing [FramingNotAllowed]",
        ),
        (
            "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
            "204 11 Content-Length=0 Nothing []",
        ),
    ] {
        let bytes: Vec<&[u8]> = wire.as_bytes().chunks(1).collect();
        assert_eq!(responses(&[wire.as_bytes()]), [head(expected)], "{wire:?}");
        assert_eq!(responses(&bytes), [head(expected)], "{wire:?}");
    }
    for wire in [
        "HTTP/1.1 20 x\r\n\r\n",
        "HTTP/1.1 2000\r\n\r\n",
        "HTTP/1.1 200x\r\n\r\n",
        "HTTP/1 200 x\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
    ] {
        assert_eq!(
            responses(&[wire.as_bytes()]),
            [Seen::Rejected(Anomaly::MalformedHead)],
            "{wire:?}"
        );
    }
}

/// What follows a head that says chunked, and what is read of it.
type Chunks = (&'static str, Vec<Seen>);

fn chunks_read_on() -> Vec<Chunks> {
    use Anomaly::{BadChunkExtension, BareCr, BareLf, NulByte, SpaceAfterChunkSize};
    let end = Seen::End;
    vec![
        ("1\nx\r\n0\r\n\r\n", vec![odd(BareLf), body("x"), end.clone()]),
        ("1\r\nx\n0\r\n\r\n", vec![body("x"), odd(BareLf), end.clone()]),
        ("0\r\n\n", vec![odd(BareLf), end.clone()]),
        (
            "1 \r\nx\r\n0\r\n\r\n",
            vec![odd(SpaceAfterChunkSize), body("x"), end.clone()],
        ),
        (
            "1\t;a=b\r\nx\r\n0\r\n\r\n",
            vec![odd(SpaceAfterChunkSize), body("x"), end.clone()],
        ),
        (
            "1;a\rb\r\nx\r\n0\r\n\r\n",
            vec![
                Seen::Odd([BareCr, BadChunkExtension].into_iter().collect()),
                body("x"),
                end.clone(),
            ],
        ),
        (
            "1;a\0\r\nx\r\n0\r\n\r\n",
            vec![
                Seen::Odd([NulByte, BadChunkExtension].into_iter().collect()),
                body("x"),
                end.clone(),
            ],
        ),
        (
            "1;=\r\nx\r\n0\r\n\r\n",
            vec![odd(BadChunkExtension), body("x"), end.clone()],
        ),
        (
            "1;a=\"b\r\nx\r\n0\r\n\r\n",
            vec![odd(BadChunkExtension), body("x"), end.clone()],
        ),
        (
            "1;a = \"b\\\";\" ; c\r\nx\r\n0\r\n\r\n",
            vec![body("x"), end.clone()],
        ),
        (
            "00000000000000000001\r\nx\r\n0\r\n\r\n",
            vec![body("x"), end.clone()],
        ),
    ]
}

fn trailers_read() -> Vec<Chunks> {
    let end = Seen::End;
    vec![
        (
            "0\r\nContent-Length: 7\r\n\r\n",
            vec![
                Seen::Trailers(" Content-Length=7[ForbiddenTrailer]".into()),
                end.clone(),
            ],
        ),
        (
            "0\r\nA: b\r\nC: d\r\n\r\n",
            vec![Seen::Trailers(" A=b C=d[]".into()), end.clone()],
        ),
        (
            "0\r\nA: b\n\n",
            vec![Seen::Trailers(" A=b[BareLf]".into()), end.clone()],
        ),
    ]
}

fn chunks_refused() -> Vec<Chunks> {
    use Anomaly::{BadChunk, BadChunkSize, ChunkTooBig};
    vec![
        ("0x1\r\n", vec![Seen::Rejected(BadChunkSize)]),
        ("+1\r\n", vec![Seen::Rejected(BadChunkSize)]),
        (" 1\r\n", vec![Seen::Rejected(BadChunkSize)]),
        (";a\r\n", vec![Seen::Rejected(BadChunkSize)]),
        ("1 1\r\n", vec![Seen::Rejected(BadChunkSize)]),
        ("1\r\r\n", vec![Seen::Rejected(BadChunkSize)]),
        ("8000000000000000\r\n", vec![Seen::Rejected(ChunkTooBig)]),
        ("1\r\nxy\r\n", vec![body("x"), Seen::Rejected(BadChunk)]),
        ("1\r\nx\ry", vec![body("x"), Seen::Rejected(BadChunk)]),
    ]
}

#[test]
fn odd_chunks_have_one_reading() {
    let read = |chunks: &str| {
        let wire = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let (whole, bytes) = of_request(&wire);
        assert_eq!(bytes, whole, "{chunks:?}");
        whole.get(1..).unwrap_or_default().to_vec()
    };
    for (chunks, expected) in [chunks_read_on(), trailers_read(), chunks_refused()].concat() {
        assert_eq!(read(chunks), expected, "{chunks:?}");
    }
}
