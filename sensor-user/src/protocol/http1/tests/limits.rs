//! Each limit that is hit is an anomaly.

use super::*;

#[test]
fn limits_are_anomalies_however_the_bytes_come() {
    let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(2000));
    let endless = format!("GET /{}", "a".repeat(2000));
    let limits = Limits { head_bytes: 1024 };
    for (wire, anomaly) in [(long, Anomaly::HeadTooLong), (endless, Anomaly::HeadTooLong)] {
        for size in [1, 7, 4096] {
            let parser = RequestParser::new(limits);
            let pieces: Vec<&[u8]> = wire.as_bytes().chunks(size).collect();
            assert_eq!(
                run(parser, &pieces, |_, _| String::new()),
                [Seen::Rejected(anomaly)]
            );
        }
    }
}

#[test]
fn fields_beyond_the_limit_still_frame() {
    let many = format!(
        "POST / HTTP/1.1\r\n{}Content-Length: 2\r\n\r\nab",
        "A: b\r\n".repeat(MAX_HEADERS)
    );
    for size in [1, 7, 4096] {
        let parser = RequestParser::new(Limits { head_bytes: 4096 });
        let pieces: Vec<&[u8]> = many.as_bytes().chunks(size).collect();
        let seen = run(parser, &pieces, |head, _| {
            format!("{} {:?}", head.headers.len(), head.anomalies)
        });
        let kept = format!("{MAX_HEADERS} [TooManyHeaders]");
        assert_eq!(seen, [head(&kept), body("ab"), Seen::End]);
    }
}

#[test]
fn what_is_longer_than_it_may_be_is_refused() {
    let long = format!(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;{}",
        "x".repeat(CHUNK_LINE)
    );
    assert_eq!(
        requests(&[long.as_bytes()]).last(),
        Some(&Seen::Rejected(Anomaly::ChunkLineTooLong))
    );
    let trailers = format!(
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{}",
        "A: b\r\n".repeat(400)
    );
    assert_eq!(
        requests(&[trailers.as_bytes()]).last(),
        Some(&Seen::Rejected(Anomaly::HeadTooLong))
    );
}
