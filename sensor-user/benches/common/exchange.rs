//! An exchange that benchmarks share: a GET with seven fields, answered with JSON.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use sensor_user::capture::{Comm, Evidence, ProcessKey, Role, Source, StreamKey};
use sensor_user::exchange::{
    Body, BodyPiece, BodyState, Caller, Connection, Exchange, Head, Outcome, Request, Response,
};
use sensor_user::protocol::Span;

fn head(text: &str) -> Head {
    let mut headers = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive("\r\n") {
        if let Some((name, value)) = line.split_once(": ") {
            let span = |start: usize, len: usize| Span {
                start: u32::try_from(start).unwrap_or(0),
                len: u32::try_from(len).unwrap_or(0),
            };
            let value_at = at + name.len() + 2;
            headers.push((span(at, name.len()), span(value_at, value.trim_end().len())));
        }
        at += line.len();
    }
    Head {
        raw: Bytes::copy_from_slice(text.as_bytes()),
        headers,
    }
}

/// Its request.
pub(crate) const REQUEST: &str = "GET /api/v1/shops/42/orders?page=2&limit=100 HTTP/1.1\r\nHost: api.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: application/json\r\n\
    Accept-Encoding: gzip, deflate, br\r\nAuthorization: Bearer 8f14e45fceea167a5a36dedd4bea2543\r\n\
    X-Client: web-frontend\r\nConnection: keep-alive\r\n\r\n";
/// The head of its answer.
pub(crate) const RESPONSE: &str = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 01 May 2024 10:00:00 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\nX-Frame-Options: DENY\r\nCache-Control: no-store\r\n\
    Connection: keep-alive\r\n\r\n";

/// A call that is answered with a document.
pub(crate) fn exchange(document: &str) -> Exchange {
    let process = ProcessKey { pid: 1, start_ns: 1 };
    let address = Some((IpAddr::V4(Ipv4Addr::LOCALHOST), 443));
    let connection = Connection {
        stream: StreamKey {
            process,
            source: Source::Tls,
            id: 1,
            generation: 0,
        },
        process,
        comm: Comm::default(),
        container: None,
        role: Role::Server,
        local: address,
        remote: address,
        evidence: Some(Evidence::Recorded),
        ambiguous: false,
        proxied_for: None,
        tls: true,
    };
    let body = Body {
        pieces: smallvec::smallvec![BodyPiece(Bytes::copy_from_slice(document.as_bytes()))],
        total: document.len() as u64,
        state: BodyState::Whole,
        ..Body::default()
    };
    Exchange {
        connection: Arc::new(connection),
        request: Request {
            head: head(REQUEST),
            method: Span { start: 0, len: 3 },
            target: Span { start: 4, len: 40 },
            version: 11,
            trailers: Head::default(),
            body: Body::default(),
            time_ns: (0, 1),
            early_data: false,
        },
        outcome: Outcome::Answered(Box::new(Response {
            trailers: Head::default(),
            head: head(RESPONSE),
            status: 200,
            body,
            time_ns: (2, 3),
        })),
        caller: Caller::Anonymous,
        credentials: sensor_user::exchange::Credentials::default(),
        client: sensor_user::exchange::Client::default(),
        handover: None,
        calls: sensor_user::exchange::call::Calls::new(),
        anomalies: smallvec::SmallVec::new(),
        part: None,
    }
}
