//! gRPC and gRPC-Web exchanges: the method, what came of it, how many messages went each way.
//!
//! Takes an exchange that is complete. Gives its [`Call`] and what was wrong with its frames. Never keeps a message.
//! Frames are followed while a body passes ([`Frames`]); where that was not possible, the counts are least counts
//! ([`Count::more`]).

mod frames;

use smallvec::SmallVec;

use super::call::{Call, CallKind, CallName, CallOutcome, Count, Detail, Messages};
use super::{Body, BodyState, Exchange, Head, Outcome, Response};
use crate::protocol::Anomaly;
use crate::protocol::grpc::{self, Carrier, Media, Status};
use frames::Said;

pub use frames::Frames;
pub(super) use frames::Sender;

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

/// The call, when the exchange is one. gRPC is HTTP/2 only, gRPC-Web any HTTP. What was followed of its frames goes.
pub(super) fn read(exchange: &mut Exchange) -> Option<Reading> {
    let mut halves = Halves::of(exchange)?;
    let mut anomalies = SmallVec::new();
    let name = grpc::method(exchange.request.target().expose());
    // Of a connection joined in the middle, parts of heads are not known.
    let known = !exchange.anomalies.contains(&Anomaly::Http2UnknownFields);
    if name.is_none() && known {
        note(&mut anomalies, Anomaly::GrpcBadMethod);
    }
    let response = exchange.outcome.response();
    let status = response.and_then(|response| status(response, halves.response.as_mut(), &mut anomalies));
    if !known {
        anomalies.retain(|anomaly| *anomaly != Anomaly::GrpcBadStatus);
    }
    if halves.request.as_ref().is_some_and(Frames::has_trailers) {
        note(&mut anomalies, Anomaly::GrpcAfterTrailers);
    }
    let found = [&halves.request, &halves.response];
    for anomaly in found.into_iter().flatten().flat_map(Frames::anomalies) {
        note(&mut anomalies, *anomaly);
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
            detail: Some(Box::new(Detail::Grpc(halves.messages(exchange, known)))),
        },
        anomalies,
    })
}

/// What both bodies say.
struct Halves {
    carrier: Carrier,
    /// `None` when the head does not say that it has frames.
    request: Option<Frames>,
    response: Option<Frames>,
}

impl Halves {
    fn of(exchange: &mut Exchange) -> Option<Self> {
        let version = exchange.request.version;
        let request = &mut exchange.request;
        let asked = frames::media(&request.head);
        let mut response = match &mut exchange.outcome {
            Outcome::Answered(response) => Some(response),
            Outcome::Unanswered | Outcome::Lost => None,
        };
        let answered = response
            .as_ref()
            .and_then(|response| frames::media(&response.head));
        // A proxy that refuses answers in another type; the request's may be unknown to who joined in the middle.
        let carrier = asked.or(answered)?.carrier;
        if carrier == Carrier::Grpc && version < HTTP2 {
            return None;
        }
        let of = |media: Option<Media>, head: &Head, body: &mut Body, sender| {
            let followed = body.frames.take().map(|frames| *frames);
            let carrier = media?.carrier;
            let mut frames = followed.unwrap_or_else(|| Frames::kept(carrier, head, sender, body));
            frames.finish();
            Some(frames)
        };
        Some(Self {
            carrier,
            request: of(asked, &request.head, &mut request.body, Sender::Client),
            response: response.as_mut().and_then(|response| {
                let Response { head, body, .. } = &mut ***response;
                of(answered, head, body, Sender::Server)
            }),
        })
    }

    /// `known` when both heads are; a body that is no gRPC holds no messages.
    fn messages(&self, exchange: &Exchange, known: bool) -> Messages {
        let other = |body: Option<&Body>| Count {
            seen: 0,
            more: body.is_none_or(|body| !known && body.total > 0),
        };
        let request = || other(Some(&exchange.request.body));
        let response = || other(exchange.outcome.response().map(|response| &response.body));
        Messages {
            to_server: self.request.as_ref().map_or_else(request, Frames::count),
            to_client: self.response.as_ref().map_or_else(response, Frames::count),
        }
    }
}

/// Each kind once.
fn note(anomalies: &mut SmallVec<[Anomaly; 2]>, anomaly: Anomaly) {
    if !anomalies.contains(&anomaly) {
        anomalies.push(anomaly);
    }
}

/// From the trailers, else the head (an answer of trailers only), else what clients make of the HTTP status.
fn status(
    response: &Response,
    frames: Option<&mut Frames>,
    anomalies: &mut SmallVec<[Anomaly; 2]>,
) -> Option<Status> {
    const NAME: &str = "grpc-status";
    let field = response
        .trailers
        .header(NAME)
        .or_else(|| response.head.header(NAME));
    // Without holes, trailers of HTTP or of the body would have been seen.
    let state = response.body.state;
    let followed = frames.as_ref().is_some_and(|frames| frames.is_all_seen());
    let complete = matches!(state, BodyState::Empty | BodyState::Whole) || followed;
    let said = match (field, frames) {
        (Some(value), _) => Said::Status(Status::of(value.expose())),
        (None, Some(frames)) => frames.status(&response.head, NAME),
        (None, None) => Said::NoTrailers,
    };
    let found = match said {
        Said::Status(status) => Some(status),
        Said::Unread => return None,
        Said::Nothing | Said::NoTrailers => None,
    };
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
