//! gRPC and gRPC-Web exchanges: the method, what came of it, how many messages went each way.
//!
//! Takes an exchange that is complete. Gives its [`Call`] and what was wrong with its frames. Never keeps a message.
//! Bounded by the body that was kept; of a longer one the counts are least counts ([`Count::more`]).

use smallvec::SmallVec;

use super::call::{Call, CallKind, CallName, CallOutcome, Count, Detail, Messages};
use super::{Body, BodyState, Exchange, Head, Response};
use crate::protocol::Anomaly;
use crate::protocol::grpc::{
    self, Carrier, Event, Fault, MAX_MESSAGE, MAX_TRAILERS, Media, Status, Unframer,
};

/// HTTP/2 as [`super::Request::version`] has it.
const HTTP2: u8 = 20;

/// What an exchange says as a call.
#[derive(Debug)]
pub(super) struct Reading {
    /// The call.
    pub(super) call: Call,
    /// Departures from the protocol.
    pub(super) anomalies: SmallVec<[Anomaly; 2]>,
}

/// The call, when the exchange is one. gRPC is HTTP/2 only, gRPC-Web any HTTP.
pub(super) fn read(exchange: &Exchange) -> Option<Reading> {
    let halves = Halves::of(exchange)?;
    let mut anomalies = SmallVec::new();
    let name = grpc::method(exchange.request.target().expose());
    // Of a connection joined in the middle, parts of heads are not known.
    let known = !exchange.anomalies.contains(&Anomaly::Http2UnknownFields);
    if name.is_none() && known {
        note(&mut anomalies, Anomaly::GrpcBadMethod);
    }
    for half in [Some(&halves.request), halves.response.as_ref()]
        .into_iter()
        .flatten()
    {
        half.anomalies
            .iter()
            .for_each(|anomaly| note(&mut anomalies, *anomaly));
    }
    if halves.request.trailers.is_some() {
        note(&mut anomalies, Anomaly::GrpcAfterTrailers);
    }
    let status = exchange
        .outcome
        .response()
        .and_then(|response| status(response, halves.response.as_ref(), &mut anomalies));
    if !known {
        anomalies.retain(|anomaly| *anomaly != Anomaly::GrpcBadStatus);
    }
    Some(Reading {
        call: Call {
            kind: match halves.carrier {
                Carrier::Grpc => CallKind::Grpc,
                Carrier::Web | Carrier::WebText => CallKind::GrpcWeb,
            },
            name: CallName::new(name.unwrap_or_default()),
            outcome: match status {
                Some(Status::Ok) => CallOutcome::Success,
                Some(Status::Failed(code)) => CallOutcome::Failure(i64::from(code)),
                Some(Status::Bad) | None => CallOutcome::Unknown,
            },
            detail: Some(Box::new(Detail::Grpc(halves.messages(exchange)))),
        },
        anomalies,
    })
}

/// What both bodies say.
struct Halves {
    carrier: Carrier,
    request: Frames,
    response: Option<Frames>,
}

impl Halves {
    fn of(exchange: &Exchange) -> Option<Self> {
        let request = &exchange.request;
        let response = exchange.outcome.response();
        let asked = media(&request.head);
        let answered = response.and_then(|response| media(&response.head));
        // A proxy that refuses answers in another type; the request's may be unknown to who joined in the middle.
        let carrier = asked.or(answered)?.carrier;
        if carrier == Carrier::Grpc && request.version < HTTP2 {
            return None;
        }
        Some(Self {
            carrier,
            request: asked.map_or_else(Frames::default, |asked| {
                Frames::of(asked.carrier, &request.head, &request.body)
            }),
            response: response
                .zip(answered)
                .map(|(response, media)| Frames::of(media.carrier, &response.head, &response.body)),
        })
    }
}

impl Halves {
    fn messages(&self, exchange: &Exchange) -> Messages {
        let unseen = Count {
            seen: 0,
            more: exchange.outcome.response().is_none(),
        };
        Messages {
            to_server: self.request.count,
            to_client: self.response.as_ref().map_or(unseen, |half| half.count),
        }
    }
}

fn media(head: &Head) -> Option<Media> {
    Media::of(head.header("content-type")?.expose())
}

/// What one body's frames say.
#[derive(Default)]
struct Frames {
    count: Count,
    /// The trailers' block of gRPC-Web; `None` when there was no such frame.
    trailers: Option<Block>,
    anomalies: SmallVec<[Anomaly; 2]>,
}

/// Trailers as they came in a body.
#[derive(Default)]
struct Block {
    bytes: SmallVec<[u8; 64]>,
    /// Compressed or cut: what it says is not known.
    unread: bool,
}

impl Frames {
    fn of(carrier: Carrier, head: &Head, body: &Body) -> Self {
        let mut frames = Self::default();
        let coded = |name: &str| {
            let value = head.header(name).map(|value| value.expose().trim_ascii());
            value.is_some_and(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity"))
        };
        frames.count.more = !body.is_content_whole();
        let encoded = coded("grpc-encoding");
        let mut unframer = Unframer::new(carrier);
        for piece in body.content() {
            let fed = unframer.feed(&piece.0, &mut |event| frames.take(carrier, encoded, event));
            if let Err(fault) = fed {
                frames.count.more = true;
                note(&mut frames.anomalies, anomaly(fault));
                return frames;
            }
        }
        if let Err(fault) = unframer.finish() {
            if body.is_content_whole() {
                note(&mut frames.anomalies, anomaly(fault));
            }
            if let Some(block) = &mut frames.trailers {
                block.unread = true;
            }
        }
        frames
    }

    fn take(&mut self, carrier: Carrier, encoded: bool, event: Event<'_>) {
        match event {
            Event::Begin(frame) => {
                if self.trailers.is_some() {
                    note(&mut self.anomalies, Anomaly::GrpcAfterTrailers);
                }
                if frame.compressed && !encoded {
                    note(&mut self.anomalies, Anomaly::GrpcNoEncoding);
                }
                if frame.length > MAX_MESSAGE {
                    note(&mut self.anomalies, Anomaly::GrpcMessageTooLong);
                }
                if !frame.trailers {
                    self.count.seen = self.count.seen.saturating_add(1);
                } else if carrier == Carrier::Grpc {
                    note(&mut self.anomalies, Anomaly::GrpcBadFrame);
                } else if self.trailers.is_none() {
                    self.trailers = Some(Block {
                        bytes: SmallVec::new(),
                        unread: frame.compressed,
                    });
                }
            }
            Event::Content(part) => {
                if let Some(block) = &mut self.trailers {
                    let room = MAX_TRAILERS.saturating_sub(block.bytes.len());
                    block.bytes.extend_from_slice(part.get(..room).unwrap_or(part));
                }
            }
            Event::End(_) => {}
        }
    }
}

/// Each kind once: one broken peer repeats itself.
fn note(anomalies: &mut SmallVec<[Anomaly; 2]>, anomaly: Anomaly) {
    if !anomalies.contains(&anomaly) {
        anomalies.push(anomaly);
    }
}

const fn anomaly(fault: Fault) -> Anomaly {
    match fault {
        Fault::Frame => Anomaly::GrpcBadFrame,
        Fault::Base64 => Anomaly::GrpcBadBase64,
    }
}

/// From the trailers, else the head (an answer of trailers only), else what clients make of the HTTP status.
fn status(
    response: &Response,
    frames: Option<&Frames>,
    anomalies: &mut SmallVec<[Anomaly; 2]>,
) -> Option<Status> {
    const NAME: &str = "grpc-status";
    let field = response
        .trailers
        .header(NAME)
        .or_else(|| response.head.header(NAME));
    let block = frames.and_then(|frames| frames.trailers.as_ref());
    let found = match (field, block) {
        (Some(value), _) => Some(Status::of(value.expose())),
        (None, Some(block)) if block.unread => return None,
        (None, Some(block)) => grpc::trailers(&block.bytes)
            .find(|(name, _)| name.eq_ignore_ascii_case(NAME.as_bytes()))
            .map(|(_, value)| Status::of(value)),
        (None, None) => None,
    };
    let complete = matches!(response.body.state, BodyState::Empty | BodyState::Whole);
    match found {
        Some(Status::Bad) => {
            note(anomalies, Anomaly::GrpcBadStatus);
            found
        }
        Some(_) => found,
        // What is not known to be all may have had one.
        None if !complete || !response.trailers.headers.is_empty() => None,
        None if response.status != 200 => Some(Status::of_http(response.status)),
        None => {
            note(anomalies, Anomaly::GrpcBadStatus);
            None
        }
    }
}

#[cfg(test)]
mod tests;
