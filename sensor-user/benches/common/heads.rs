//! Heads of HTTP/1 that browsers and servers send, what reads them, and the floor: bare `httparse`.

use std::fmt::Write as _;
use std::hint::black_box;

use sensor_user::protocol::http1::{Answering, Limits, RequestParser, ResponseParser};
use sensor_user::protocol::{Step, StreamParser};

/// Heads in a row.
pub(crate) const HEADS: usize = 1000;

/// Requests without a body.
pub(crate) fn requests() -> String {
    let mut text = String::new();
    for nth in 0..HEADS {
        write!(
            text,
            "GET /api/v1/shops/{nth}/orders?page={}&limit=100 HTTP/1.1\r\nHost: api.example.com\r\n\
             User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
             Accept: application/json\r\nAccept-Encoding: gzip, deflate, br\r\n\
             Authorization: Bearer 8f14e45fceea167a5a36dedd4bea2543\r\nX-Client: web-frontend\r\n\
             Connection: keep-alive\r\n\r\n",
            nth % 7
        )
        .unwrap_or_default();
    }
    text
}

/// Answers without a body.
pub(crate) fn responses() -> String {
    "HTTP/1.1 200 OK\r\nServer: nginx/1.27.3\r\nDate: Sun, 01 Mar 2026 10:11:12 GMT\r\n\
     Content-Type: application/json; charset=utf-8\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\
     Cache-Control: no-store\r\nStrict-Transport-Security: max-age=31536000\r\n\
     X-Request-Id: 0af7651916cd43dd8448eb211c80319c\r\n\r\n"
        .repeat(HEADS)
}

const LIMITS: Limits = Limits { head_bytes: 65_536 };

fn run<P: StreamParser>(parser: &mut P, mut rest: &[u8], mut before: impl FnMut(&mut P)) -> usize {
    let mut heads = 0;
    loop {
        before(parser);
        let Step::Advance { consumed, message } = parser.step(rest) else {
            return heads;
        };
        heads += usize::from(black_box(&message).is_some());
        rest = rest.get(consumed.get()..).unwrap_or_default();
    }
}

/// Requests, by ours.
pub(crate) fn our_requests(text: &str) -> usize {
    run(&mut RequestParser::new(LIMITS), text.as_bytes(), |_| {})
}

/// Answers, by ours.
pub(crate) fn our_responses(text: &str) -> usize {
    let mut parser = ResponseParser::new(LIMITS);
    run(&mut parser, text.as_bytes(), |parser| {
        parser.answering(Answering::Other);
    })
}

/// Requests, by the floor.
pub(crate) fn bare_requests(text: &str) -> usize {
    bare(text, |rest, fields| {
        let mut request = httparse::Request::new(fields);
        let parsed = request.parse(rest);
        black_box(&request);
        parsed
    })
}

/// Answers, by the floor.
pub(crate) fn bare_responses(text: &str) -> usize {
    bare(text, |rest, fields| {
        let mut response = httparse::Response::new(fields);
        let parsed = response.parse(rest);
        black_box(&response);
        parsed
    })
}

fn bare<'a>(
    text: &'a str,
    mut parse: impl FnMut(&'a [u8], &mut [httparse::Header<'a>]) -> httparse::Result<usize>,
) -> usize {
    let (mut rest, mut heads) = (text.as_bytes(), 0);
    let mut fields = [httparse::EMPTY_HEADER; 32];
    while let Ok(httparse::Status::Complete(length)) = parse(rest, &mut fields) {
        heads += 1;
        rest = rest.get(length..).unwrap_or_default();
    }
    heads
}
