//! Messages by table, whole and split at every byte.

use super::*;

fn request_cases() -> Vec<Case> {
    [sound_requests(), odd_requests()].concat()
}

fn sound_requests() -> Vec<Case> {
    vec![
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            vec![head("GET / 11 Host=a Nothing []")],
        ),
        (
            "\r\n\nGET /a HTTP/1.0\n\nGET /b HTTP/1.1\r\n\r\n",
            vec![
                head("GET /a 10 Nothing [BareLf]"),
                head("GET /b 11 Nothing [DataAfterClose]"),
            ],
        ),
        (
            "POST /a HTTP/1.1\r\ncontent-length: 5\r\n\r\nhelloPUT /b HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            vec![
                head("POST /a 11 content-length=5 Body []"),
                body("hello"),
                Seen::End,
                head("PUT /b 11 Content-Length=0 Nothing []"),
            ],
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3;a=b\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n000\r\nX-T: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            vec![
                head("POST / 11 Transfer-Encoding=gzip, chunked Body []"),
                body("abc0123456789"),
                Seen::Trailers(" X-T=1[]".into()),
                Seen::End,
                head("GET / 11 Nothing []"),
            ],
        ),
    ]
}

fn odd_requests() -> Vec<Case> {
    vec![
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
            vec![
                head("POST / 11 Content-Length=3 Transfer-Encoding=chunked Body [LengthAndChunked]"),
                Seen::End,
                head("GET /smuggled 11 Nothing []"),
            ],
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy\nGET /next HTTP/1.1\r\n\r\n",
            vec![
                head("POST / 11 Content-Length=1 Content-Length=2 Cut [ConflictingLengths]"),
                head("GET /next 11 Nothing []"),
            ],
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\nabc",
            vec![head(
                "POST / 11 Transfer-Encoding=identity Cut [UnknownTransferCoding, BadTransferEncoding]",
            )],
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc",
            vec![head("POST / 11 Content-Length=9 Body []"), body("abc"), Seen::Cut],
        ),
        (
            "CONNECT a:443 HTTP/1.1\r\n\r\n\x16\x03\x01",
            vec![head("CONNECT a:443 11 Nothing []")],
        ),
        ("{\"json\":1}", vec![Seen::Rejected(Anomaly::MalformedHead)]),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
            vec![
                head("POST / 11 Transfer-Encoding=chunked Body []"),
                body("ab"),
                Seen::Rejected(Anomaly::BadChunk),
            ],
        ),
    ]
}

fn response_cases() -> Vec<Case> {
    vec![
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
            vec![
                head("100 11 Nothing []"),
                head("200 11 Content-Length=2 Body []"),
                body("ok"),
                Seen::End,
                head("204 11 Content-Length=7 Nothing [FramingNotAllowed]"),
                head("304 11 Content-Length=7 Nothing []"),
            ],
        ),
        (
            "HTTP/1.0 200 OK\r\n\r\nall the rest\r\nHTTP/1.1 200 OK\r\n\r\n",
            vec![
                head("200 10 Body []"),
                body("all the rest\r\nHTTP/1.1 200 OK\r\n\r\n"),
                Seen::End,
            ],
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nrest",
            vec![
                head("200 11 Transfer-Encoding=gzip Body []"),
                body("rest"),
                Seen::End,
            ],
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\0\x01\x02",
            vec![head("101 11 Upgrade=x Tunnel []")],
        ),
        (
            "HTTP/1.1 200\r\nA: b\r\n\tc\r\nContent-Length: 0\r\n\r\n",
            vec![head(
                "200 11 A=b\r\n\tc Content-Length=0 Nothing [ObsoleteFolding]",
            )],
        ),
        (
            "HTTP/1.1 099 Low\r\n\r\n",
            vec![Seen::Rejected(Anomaly::MalformedHead)],
        ),
        ("HTTQ", vec![Seen::Rejected(Anomaly::MalformedHead)]),
    ]
}

#[test]
fn requests_are_read() {
    for (wire, expected) in request_cases() {
        assert_eq!(requests(&[wire.as_bytes()]), expected, "{wire:?}");
    }
}

#[test]
fn responses_are_read() {
    for (wire, expected) in response_cases() {
        assert_eq!(responses(&[wire.as_bytes()]), expected, "{wire:?}");
    }
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    let split = |cases: Vec<Case>, run: fn(&[&[u8]]) -> Vec<Seen>| {
        for (wire, expected) in cases {
            for cut in 0..wire.len() {
                let (front, back) = wire.as_bytes().split_at(cut);
                assert_eq!(run(&[front, back]), expected, "{wire:?} at {cut}");
            }
            let bytes: Vec<&[u8]> = wire.as_bytes().chunks(1).collect();
            assert_eq!(run(&bytes), expected, "{wire:?} byte by byte");
        }
    };
    split(request_cases(), requests);
    split(response_cases(), responses);
}

#[test]
fn what_a_response_answers_decides_its_body() {
    let wire: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
    let two = [
        head("200 11 Content-Length=3 Nothing []"),
        head("404 11 Content-Length=0 Nothing []"),
    ];
    assert_eq!(responses_to(Answering::Head, &[wire]), two);
    // The request was not seen: a response in place of the body tells that it was HEAD.
    let doubted = [
        head("200 11 Content-Length=3 Body []"),
        head("404 11 Content-Length=0 Nothing []"),
    ];
    for cut in 0..wire.len() {
        let (front, back) = wire.split_at(cut);
        assert_eq!(responses_to(Answering::Unknown, &[front, back]), doubted, "{cut}");
    }
    let plain: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTT";
    assert_eq!(responses_to(Answering::Unknown, &[plain, b"P"])[0], doubted[0]);
    let tunnel: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x16\x03";
    assert_eq!(
        responses_to(Answering::Connect, &[tunnel]),
        [head("200 11 Content-Length=3 Tunnel [FramingNotAllowed]")]
    );
}

#[test]
fn a_request_for_a_tunnel_waits_for_its_answer() {
    let wire: &[u8] = b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx";
    let mut parser = RequestParser::new(LIMITS);
    for _ in 0..2 {
        let at = if parser.is_between() { 0 } else { wire.len() - 1 };
        assert!(matches!(parser.step(&wire[at..]), Step::Advance { .. }));
    }
    assert!(parser.is_waiting());
    assert!(matches!(
        parser.step(b"GET / HTTP/1.1\r\n\r\n"),
        Step::NeedMore { .. }
    ));
    parser.resolve(false);
    assert!(matches!(
        parser.step(b"GET / HTTP/1.1\r\n\r\n"),
        Step::Advance { .. }
    ));
    parser.resolve(true);
    assert!(matches!(
        parser.step(b"\x81\x05hello"),
        Step::Advance { message: None, .. }
    ));
}
