//! Messages of HTTP/1.1 (RFC 9112) with the fields that such clients and servers send.

use std::io::Write as _;

use super::super::clock;
use super::super::world::{Draft, Format};

pub(crate) fn request(
    draft: &Draft,
    host: &str,
    agent: &str,
    auth: &str,
    client: Option<&str>,
    out: &mut Vec<u8>,
) {
    for part in [
        draft.method,
        " ",
        &draft.target,
        " HTTP/1.1\r\nHost: ",
        host,
        "\r\nUser-Agent: ",
        agent,
    ] {
        out.extend(part.as_bytes());
    }
    out.extend(b"\r\nAccept: application/json\r\nAccept-Encoding: identity\r\n");
    if let Some(client) = client {
        for part in ["X-Forwarded-For: ", client, "\r\nX-Forwarded-Proto: https\r\n"] {
            out.extend(part.as_bytes());
        }
    }
    out.extend(auth.as_bytes());
    out.extend(draft.fields.as_bytes());
    if !draft.body.is_empty() {
        let kind = if draft.format == Format::Form {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        let _fits = write!(
            out,
            "Content-Type: {kind}\r\nContent-Length: {}\r\n",
            draft.body.len()
        );
    }
    out.extend(b"\r\n");
    out.extend(&draft.body);
}

pub(crate) fn response(draft: &Draft, now: u64, out: &mut Vec<u8>) {
    let _fits = write!(
        out,
        "HTTP/1.1 {} {}\r\nServer: nginx\r\nDate: ",
        draft.status,
        reason(draft.status)
    );
    clock::http(now, out);
    out.extend(b"\r\n");
    out.extend(draft.answer_fields.as_bytes());
    // Neither has content (RFC 9110, 15.3.5 and 15.4.5).
    if !matches!(draft.status, 204 | 304) {
        let length = draft.answer.len();
        let _fits = write!(
            out,
            "Content-Type: application/json\r\nContent-Length: {length}\r\n"
        );
    }
    out.extend(b"\r\n");
    if !matches!(draft.status, 204 | 304) {
        out.extend(&draft.answer);
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
