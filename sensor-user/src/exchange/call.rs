//! Calls of an API inside an exchange: a gRPC method, GraphQL operations, a SOAP action, JSON-RPC methods.
//!
//! Takes a complete exchange. Gives its [`Call`]s, none for plain REST. Never keeps a value: names only, and those print
//! nothing until whoever shows them has judged them. Bounded by [`MAX_CALLS`] and [`MAX_NAME`].

use smallvec::SmallVec;

/// Calls of one exchange that are told apart; a batch beyond it is an anomaly. Apollo Server and common gateways allow
/// ten by default, JSON-RPC nodes up to 1,000.
pub const MAX_CALLS: usize = 64;

/// Bytes of a name; what is longer is cut. Longer names of fields and methods are not written by people.
pub const MAX_NAME: usize = 128;

/// Calls in the order they were made.
pub type Calls = SmallVec<[Call; 1]>;

/// One call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// What kind of API it belongs to.
    pub kind: CallKind,
    /// What is called; empty when the call has no name.
    pub name: CallName,
    /// What came of it, as the API itself says.
    pub outcome: CallOutcome,
}

/// Kind of API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum CallKind {
    /// gRPC over HTTP/2: `package.Service/Method`.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// GraphQL query.
    GraphqlQuery,
    /// GraphQL mutation.
    GraphqlMutation,
    /// GraphQL subscription.
    GraphqlSubscription,
    /// SOAP 1.1 or 1.2: the body's first element with its namespace.
    Soap,
    /// XML-RPC method.
    XmlRpc,
    /// JSON-RPC 2.0 method.
    JsonRpc,
    /// A message on a WebSocket; its name is the channel or subprotocol's message type.
    WebSocket,
    /// A server-sent event; its name is the event's type.
    ServerSentEvent,
}

impl CallKind {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc_web",
            Self::GraphqlQuery => "graphql_query",
            Self::GraphqlMutation => "graphql_mutation",
            Self::GraphqlSubscription => "graphql_subscription",
            Self::Soap => "soap",
            Self::XmlRpc => "xml_rpc",
            Self::JsonRpc => "json_rpc",
            Self::WebSocket => "websocket",
            Self::ServerSentEvent => "server_sent_event",
        }
    }
}

/// What came of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CallOutcome {
    /// Not seen, or the API does not say.
    #[default]
    Unknown,
    /// Success.
    Success,
    /// Failure, with the API's own code where it has one (gRPC status, JSON-RPC and XML-RPC fault codes), else 0.
    Failure(i64),
}

/// Name of what is called, at most [`MAX_NAME`] bytes, as the peer wrote it. Hostile, so it prints its length only.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct CallName(SmallVec<[u8; 32]>);

impl CallName {
    /// The front of a name.
    pub fn new(name: &[u8]) -> Self {
        Self(SmallVec::from_slice(name.get(..MAX_NAME).unwrap_or(name)))
    }

    /// The bytes. Whoever shows them judges them first.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for CallName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[name, {} bytes]", self.0.len())
    }
}
