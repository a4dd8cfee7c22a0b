//! Messages to [`Exchange`]s: request and response paired and timed, the caller known by a keyed hash.
//!
//! Takes flow events. Gives exchanges. Never lets a credential out: heads and bodies print nothing, and the caller
//! is hashed here, where the raw credential last exists. Bounded by [`Limits`].

mod body;
pub mod call;
mod calls;
mod content;
mod conversation;
mod conversations;
pub mod credentials;
mod dialogue;
mod ends;
mod events;
mod grpc;
mod half;
mod http1;
mod http2;
#[cfg(test)]
mod laws;
mod part;
mod patience;
mod prefix;
mod reader;
pub mod secret;
mod shed;
mod streams;
#[cfg(test)]
pub(crate) mod test_support;
pub mod trace;
mod turns;
mod upgrade;
pub mod value;
mod websocket;
mod weight;

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::capture::{Comm, Container, Endpoint, Evidence, GapReason, ProcessKey, Role, StreamKey};
use crate::protocol::inflate::{Ended, Unreadable};
use crate::protocol::{Anomaly, Span};

pub use conversations::Conversations;
pub use credentials::{Client, Credentials, Handover};
pub use ends::{Ends, View};
pub use grpc::Frames;
pub use patience::Patience;
pub use secret::{CallerHash, Secret};

/// Bounds of pairing.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes kept of one body; the rest is counted in [`Body::total`] only.
    pub body_bytes: usize,
    /// Bytes of one message head.
    pub head_bytes: usize,
    /// Requests waiting for their response on one connection (pipelining).
    pub pending: usize,
    /// Bytes that wait on all connections of a shard together, beyond what an idle one costs.
    pub waiting_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 64 * 1024,
            head_bytes: 64 * 1024,
            pending: 128,
            // Sixty-four connections at the most that one may hold, or four thousand with a body at its limit.
            waiting_bytes: 256 * 1024 * 1024,
        }
    }
}

/// One connection, as far as it is known when an exchange on it completes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// The stream.
    pub stream: StreamKey,
    /// The process that was watched.
    pub process: ProcessKey,
    /// Its name; empty while unknown.
    pub comm: Comm,
    /// The container it runs in; `None` when in none, or while unknown.
    pub container: Option<Arc<Container>>,
    /// Which end the process is: from accept or connect, else from the direction requests take.
    pub role: Role,
    /// The process's own end.
    pub local: Endpoint,
    /// The peer's end.
    pub remote: Endpoint,
    /// How the socket was found; `None` while unknown.
    pub evidence: Option<Evidence>,
    /// Two sockets were seen for this stream: the peer is not to be trusted.
    pub ambiguous: bool,
    /// The client that a proxy named in front of the first request (PROXY protocol); `remote` is the proxy. The peer
    /// says so, and whoever reaches the port can: as good as the proxy is trusted.
    pub proxied_for: Endpoint,
    /// The bytes travelled inside TLS.
    pub tls: bool,
}

/// A head: the raw bytes and where its parts are. Prints its sizes only.
#[derive(Clone, Default)]
pub struct Head {
    /// The bytes from start line to the empty line.
    pub raw: Bytes,
    /// Header fields in order.
    pub headers: Vec<(Span, Span)>,
}

impl Head {
    /// Value of the first field of that name (compared without case), trimmed.
    pub fn header(&self, name: &str) -> Option<Secret<'_>> {
        self.headers
            .iter()
            // Lengths first: they tell most names apart without a look at the text.
            .filter(|(key, _)| key.len as usize == name.len())
            .find(|(key, _)| key.of(&self.raw).eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| Secret::new(value.of(&self.raw)))
    }

    /// Fields in order: name and value.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], Secret<'_>)> {
        self.headers
            .iter()
            .map(|(name, value)| (name.of(&self.raw), Secret::new(value.of(&self.raw))))
    }
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "[head, {} bytes, {} fields]",
            self.raw.len(),
            self.headers.len()
        )
    }
}

/// A body as far as it was captured.
#[derive(Clone, Default, Debug)]
pub struct Body {
    /// The captured bytes in order, without transfer coding. Most bodies are one piece.
    pub pieces: SmallVec<[BodyPiece; 1]>,
    /// Bytes of the body on the wire after transfer coding was removed, captured or not.
    pub total: u64,
    /// Whether `pieces` is all of it.
    pub state: BodyState,
    /// What it says once its content coding is undone, which is when the exchange is complete.
    pub content: Content,
    /// Its frames, followed beyond what is kept, until the exchange is complete; of gRPC only.
    pub frames: Option<Box<Frames>>,
}

/// A body without its content coding (RFC 9110, 8.4).
#[derive(Clone, Default, Debug)]
pub enum Content {
    /// It has none: `pieces` is the content.
    #[default]
    Plain,
    /// Its content.
    Decoded {
        /// Everything up to where decoding ended.
        piece: BodyPiece,
        /// How it ended.
        ended: Ended,
    },
    /// Its content was looked at and let go: exchanges wait for their other end, and a decoded body is many times what
    /// was captured.
    Forgotten {
        /// How decoding ended.
        ended: Ended,
    },
    /// Why it was not decoded.
    Unread(Unreadable),
}

/// Part of a body. Prints its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct BodyPiece(pub Bytes);

impl std::fmt::Debug for BodyPiece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

/// Why a body is not whole. Absence carries its reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BodyState {
    /// The message has no body.
    #[default]
    Empty,
    /// Every byte is in `pieces`.
    Whole,
    /// Only the front is in `pieces`: the limit was reached.
    Limited,
    /// Bytes are missing inside or at the end; `pieces` ends where the first hole begins.
    Holed(GapReason),
    /// The connection ended first.
    Cut,
    /// Every byte was told in parts, each an exchange of its own ([`PartKind`]); none is in `pieces`.
    InParts,
}

impl Body {
    /// Whether a judgement about absence ("contains no ...") may rest on it.
    pub const fn is_whole(&self) -> bool {
        matches!(
            self.state,
            BodyState::Empty | BodyState::Whole | BodyState::InParts
        )
    }

    /// The content, as far as it is known, without content coding. Parsers of bodies read this.
    pub fn content(&self) -> &[BodyPiece] {
        match &self.content {
            Content::Plain => &self.pieces,
            Content::Decoded { piece, .. } => std::slice::from_ref(piece),
            Content::Forgotten { .. } | Content::Unread(_) => &[],
        }
    }

    /// Lets decoded content go. What was captured stays.
    pub(crate) fn forget_decoded(&mut self) {
        if let Content::Decoded { ended, .. } = self.content {
            self.content = Content::Forgotten { ended };
        }
    }

    /// Whether the content is, or was, all of it.
    pub const fn is_content_whole(&self) -> bool {
        let decoded = matches!(
            self.content,
            Content::Plain
                | Content::Decoded {
                    ended: Ended::Whole,
                    ..
                }
                | Content::Forgotten { ended: Ended::Whole }
        );
        self.is_whole() && decoded
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Head.
    pub head: Head,
    /// Method within `head.raw`.
    pub method: Span,
    /// Request target within `head.raw`, as sent.
    pub target: Span,
    /// HTTP version: 10, 11 or 20. A head of HTTP/2 is written out as one of HTTP/1 would be: request or status line,
    /// pseudo-header fields left out, `:authority` as `host`.
    pub version: u8,
    /// Fields after the body (RFC 9110, 6.5), as a head without start line; empty when there are none.
    pub trailers: Head,
    /// Body.
    pub body: Body,
    /// Nanoseconds: first byte, last byte.
    pub time_ns: (u64, u64),
    /// Its head came as TLS early data: whoever recorded the connection's beginning can send it again
    /// (RFC 8446, 8; RFC 8470).
    pub early_data: bool,
}

impl Exchange {
    /// Puts its times on another clock.
    pub fn retime(&mut self, onto: impl Fn(u64) -> u64) {
        let both = |(first, last): (u64, u64)| (onto(first), onto(last));
        self.request.time_ns = both(self.request.time_ns);
        if let Outcome::Answered(response) = &mut self.outcome {
            response.time_ns = both(response.time_ns);
        }
    }
}

impl Request {
    /// The method as sent; hostile, so map it with [`Method::of`] before it is shown.
    pub fn method(&self) -> &[u8] {
        self.method.of(&self.head.raw)
    }

    /// The target as sent, query included.
    pub fn target(&self) -> Secret<'_> {
        Secret::new(self.target.of(&self.head.raw))
    }
}

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Head.
    pub head: Head,
    /// Status code, 100 to 999.
    pub status: u16,
    /// Fields after the body (RFC 9110, 6.5), as a head without start line; empty when there are none.
    pub trailers: Head,
    /// Body.
    pub body: Body,
    /// Nanoseconds: first byte, last byte.
    pub time_ns: (u64, u64),
}

/// What became of the response.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was seen.
    Answered(Box<Response>),
    /// The connection ended first.
    Unanswered,
    /// Bytes were lost where it should have been.
    Lost,
}

impl Outcome {
    /// The response, if seen.
    pub const fn response(&self) -> Option<&Response> {
        match self {
            Self::Answered(response) => Some(response),
            Self::Unanswered | Self::Lost => None,
        }
    }
}

/// Who called, as far as the request says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    /// Credentials were present; the hash is keyed by installation.
    Known {
        /// Where they were.
        scheme: AuthScheme,
        /// Keyed hash of the credential (the subject, for Basic the user name).
        hash: CallerHash,
    },
    /// The head was whole and held no credentials that the sensor knows.
    Anonymous,
    /// The head was cut, so nothing can be said (LESSONS 27).
    Unseen,
}

/// Kind of credentials.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AuthScheme {
    /// `Authorization: Bearer` with a JWT.
    Jwt,
    /// `Authorization: Bearer`, opaque.
    Bearer,
    /// `Authorization: Basic`.
    Basic,
    /// Another `Authorization` scheme.
    Other,
    /// `X-API-Key` and its siblings.
    ApiKey,
    /// A session cookie.
    Session,
}

impl AuthScheme {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Jwt,
        Self::Bearer,
        Self::Basic,
        Self::Other,
        Self::ApiKey,
        Self::Session,
    ];

    /// The one of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Other => "other",
            Self::ApiKey => "api_key",
            Self::Session => "session",
        }
    }
}

/// Methods that are shown by name; others are `_OTHER` (OpenTelemetry HTTP conventions).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// OPTIONS.
    Options,
    /// CONNECT.
    Connect,
    /// TRACE.
    Trace,
    /// Anything else.
    Other,
}

impl Method {
    /// Maps the bytes of a method.
    pub fn of(raw: &[u8]) -> Self {
        match raw {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            b"OPTIONS" => Self::Options,
            b"CONNECT" => Self::Connect,
            b"TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }

    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Other => "_OTHER",
        }
    }
}

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The connection it ran on.
    pub connection: Arc<Connection>,
    /// The request.
    pub request: Request,
    /// The response, or why there is none.
    pub outcome: Outcome,
    /// Who called: the quick answer.
    pub caller: Caller,
    /// Every credential of the request's head.
    pub credentials: Credentials,
    /// Which client sent it.
    pub client: Client,
    /// Who asked for tokens and what was handed out; none for most exchanges.
    pub handover: Option<Box<Handover>>,
    /// Calls of an API inside, as far as its messages say; none for plain REST.
    pub calls: call::Calls,
    /// Departures from the protocol seen on the way.
    pub anomalies: SmallVec<[Anomaly; 2]>,
    /// It is a part of a longer exchange, which was or will be told as well: head, target, status and caller are those
    /// of that one.
    pub part: Option<PartKind>,
}

impl Exchange {
    /// Whether the answer is a success: 2xx, and not every call inside says that it failed. gRPC, GraphQL and JSON-RPC
    /// refuse with 200.
    pub fn is_success(&self) -> bool {
        let failed = |call: &call::Call| matches!(call.outcome, call::CallOutcome::Failure(_));
        let refused = !self.calls.is_empty() && self.calls.iter().all(failed);
        let response = self.outcome.response();
        !refused && response.is_some_and(|response| (200..300).contains(&response.status))
    }
}

/// Which part of a longer exchange.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum PartKind {
    /// A message of a WebSocket that the client sent.
    MessageToServer,
    /// A message of a WebSocket that the server sent.
    MessageToClient,
    /// An event of a stream of events.
    Event,
}

impl PartKind {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MessageToServer => "message_to_server",
            Self::MessageToClient => "message_to_client",
            Self::Event => "event",
        }
    }
}
