//! What HTTP/1 becomes: messages by table, limits, holes, and laws over any split.

mod cases;
mod holes;
mod laws;
mod limits;
mod odd;

use super::*;

const LIMITS: Limits = Limits { head_bytes: 1024 };

/// What a parser gave, in a form that does not depend on how pieces were cut.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Head(String),
    Body(Vec<u8>),
    End,
    Trailers(String),
    Odd(Anomalies),
    Cut,
    Rejected(Anomaly),
}

/// Drives a parser over `pieces`, stopping at a rejection.
fn run<K: Kind>(
    mut parser: Parser<K>,
    pieces: &[&[u8]],
    name: impl Fn(&K::Head, &[u8]) -> String,
) -> Vec<Seen> {
    let (mut seen, mut buffer, mut wanted) = (Vec::new(), Vec::new(), 0);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while buffer.len() >= wanted && !buffer.is_empty() {
            match parser.step(&buffer) {
                Step::Advance { consumed, message } => {
                    let raw: Vec<u8> = buffer.drain(..consumed.get()).collect();
                    if let Some(message) = message {
                        note(&mut seen, message, &raw, &name);
                    }
                    wanted = 0;
                }
                Step::NeedMore { at_least } => {
                    assert!(at_least.get() > buffer.len(), "no progress");
                    wanted = at_least.get();
                }
                Step::Reject(anomaly) => {
                    seen.push(Seen::Rejected(anomaly));
                    return seen;
                }
            }
        }
    }
    if let Some(message) = parser.on_end() {
        note(&mut seen, message, &[], &name);
    }
    seen
}

fn note<H>(seen: &mut Vec<Seen>, message: Message<H>, raw: &[u8], name: impl Fn(&H, &[u8]) -> String) {
    match message {
        Message::Head(head) => seen.push(Seen::Head(name(&head, raw))),
        Message::Body { piece, last } => {
            assert!(piece.len > 0);
            if let Some(Seen::Body(body)) = seen.last_mut() {
                body.extend_from_slice(piece.of(raw));
            } else {
                seen.push(Seen::Body(piece.of(raw).to_vec()));
            }
            if last {
                seen.push(Seen::End);
            }
        }
        Message::End { .. } => seen.push(Seen::End),
        Message::Odd { anomalies, last } => {
            seen.push(Seen::Odd(anomalies));
            if last {
                seen.push(Seen::End);
            }
        }
        Message::Trailers(trailers) => {
            let shown = format!("{}{:?}", fields(&trailers.headers, raw), trailers.anomalies);
            seen.push(Seen::Trailers(shown));
            seen.push(Seen::End);
        }
        Message::Cut => seen.push(Seen::Cut),
    }
}

fn text(span: Span, raw: &[u8]) -> String {
    String::from_utf8_lossy(span.of(raw)).into_owned()
}

fn fields(headers: &Headers, raw: &[u8]) -> String {
    let mut shown = String::new();
    for (name, value) in headers {
        shown.extend([" ", &text(*name, raw), "=", &text(*value, raw)]);
    }
    shown
}

fn requests(pieces: &[&[u8]]) -> Vec<Seen> {
    run(RequestParser::new(LIMITS), pieces, |head, raw| {
        format!(
            "{} {} {}{} {:?} {:?}",
            text(head.method, raw),
            text(head.target, raw),
            head.version,
            fields(&head.headers, raw),
            head.rest,
            head.anomalies
        )
    })
}

fn responses_to(answering: Answering, pieces: &[&[u8]]) -> Vec<Seen> {
    let mut parser = ResponseParser::new(LIMITS);
    parser.answering(answering);
    run(parser, pieces, |head, raw| {
        format!(
            "{} {}{} {:?} {:?}",
            head.status,
            head.version,
            fields(&head.headers, raw),
            head.rest,
            head.anomalies
        )
    })
}

fn responses(pieces: &[&[u8]]) -> Vec<Seen> {
    responses_to(Answering::Other, pieces)
}

fn head(text: &str) -> Seen {
    Seen::Head(text.into())
}

fn body(text: &str) -> Seen {
    Seen::Body(text.as_bytes().to_vec())
}

/// Wire and what is to be seen of it.
type Case = (&'static str, Vec<Seen>);
