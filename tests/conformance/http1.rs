//! What the sensor's HTTP/1 parsers make of a wire, in a form that suites can compare.

use sensor_user::protocol::http1::{
    Answering, Headers, Limits, Message, Parser, RequestHead, RequestParser, ResponseHead, ResponseParser,
    Rest,
};
use sensor_user::protocol::{Anomaly, Span, Step, StreamParser};

const LIMITS: Limits = Limits { head_bytes: 65_536 };

/// A message as it was read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Read {
    /// `METHOD target` or the status.
    pub(crate) start: String,
    /// 10 or 11.
    pub(crate) version: u8,
    /// Fields, those of the trailer section behind the others; white space in values made one space.
    pub(crate) fields: Vec<(String, String)>,
    /// Its body.
    pub(crate) body: Vec<u8>,
    /// Its end was seen.
    pub(crate) complete: bool,
}

/// Everything read of a wire.
#[derive(Default, Debug)]
pub(crate) struct Account {
    pub(crate) messages: Vec<Read>,
    /// Departures, and what was refused.
    pub(crate) anomalies: Vec<Anomaly>,
}

/// A value in which folding and odd white space do not matter.
pub(crate) fn plain(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What becomes of requests for an upgrade or a tunnel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tunnels {
    /// Nobody knows, so nothing is read behind one.
    Unknown,
    /// The answer refuses.
    Refused,
}

/// A client's bytes.
pub(crate) fn requests(wire: &[u8], tunnels: Tunnels) -> Account {
    let open = |head: &RequestHead, raw: &[u8]| {
        let text = |span: Span| String::from_utf8_lossy(span.of(raw)).into_owned();
        Opened {
            start: format!("{} {}", text(head.method), text(head.target)),
            version: head.version,
            headers: head.headers.clone(),
            rest: head.rest,
            anomalies: head.anomalies.to_vec(),
        }
    };
    let before = |parser: &mut RequestParser, _: Option<&RequestHead>| {
        if tunnels == Tunnels::Refused {
            parser.resolve(false);
        }
    };
    run(RequestParser::new(LIMITS), wire, before, open)
}

/// A server's bytes, and the requests they answer: the last one of the list goes for all that follow.
pub(crate) fn responses(wire: &[u8], answers: &[Answering]) -> Account {
    let mut finals = 0;
    let before = |parser: &mut ResponseParser, last: Option<&ResponseHead>| {
        finals += usize::from(last.is_some_and(|head| !head.is_interim()));
        let answer = answers.get(finals).or(answers.last()).copied();
        parser.answering(answer.unwrap_or(Answering::Other));
    };
    let open = |head: &ResponseHead, _: &[u8]| Opened {
        start: head.status.to_string(),
        version: head.version,
        headers: head.headers.clone(),
        rest: head.rest,
        anomalies: head.anomalies.to_vec(),
    };
    run(ResponseParser::new(LIMITS), wire, before, open)
}

struct Opened {
    start: String,
    version: u8,
    headers: Headers,
    rest: Rest,
    anomalies: Vec<Anomaly>,
}

fn run<K, H>(
    mut parser: Parser<K>,
    wire: &[u8],
    mut before: impl FnMut(&mut Parser<K>, Option<&H>),
    open: impl Fn(&H, &[u8]) -> Opened,
) -> Account
where
    Parser<K>: StreamParser<Message = Message<H>>,
{
    let mut account = Account::default();
    let mut rest = wire;
    before(&mut parser, None);
    loop {
        match parser.step(rest) {
            Step::Advance { consumed, message } => {
                let (raw, after) = rest.split_at(consumed.get());
                rest = after;
                if let Some(message) = message {
                    if let Message::Head(head) = &message {
                        before(&mut parser, Some(head));
                    }
                    account.take(message, raw, &open);
                }
            }
            Step::NeedMore { .. } => break,
            Step::Reject(anomaly) => {
                account.anomalies.push(anomaly);
                return account;
            }
        }
    }
    if let Some(message) = parser.on_end() {
        account.take(message, &[], &open);
    }
    account
}

impl Account {
    fn take<H>(&mut self, message: Message<H>, raw: &[u8], open: impl Fn(&H, &[u8]) -> Opened) {
        if let Message::Head(head) = &message {
            let opened = open(head, raw);
            self.anomalies.extend(opened.anomalies);
            self.messages.push(Read {
                start: opened.start,
                version: opened.version,
                fields: fields(&opened.headers, raw),
                complete: matches!(opened.rest, Rest::Nothing | Rest::Tunnel),
                ..Read::default()
            });
            return;
        }
        let Some(last) = self.messages.last_mut() else {
            return;
        };
        match message {
            Message::Head(_) | Message::Cut => {}
            Message::Body { piece, last: end } => {
                last.body.extend_from_slice(piece.of(raw));
                last.complete = end;
            }
            Message::End { .. } => last.complete = true,
            Message::Odd { anomalies, last: end } => {
                self.anomalies.extend(anomalies);
                last.complete = end;
            }
            Message::Trailers(trailers) => {
                last.fields.extend(fields(&trailers.headers, raw));
                self.anomalies.extend(trailers.anomalies);
                last.complete = true;
            }
        }
    }
}

fn fields(headers: &Headers, raw: &[u8]) -> Vec<(String, String)> {
    let field = |(name, value): &(Span, Span)| (plain(name.of(raw)), plain(value.of(raw)));
    headers.iter().map(field).collect()
}
