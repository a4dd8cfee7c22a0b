//! Calls of an API inside an exchange: a gRPC method, GraphQL operations, a SOAP action, JSON-RPC methods.
//!
//! Takes what the readers of calls found. Gives [`Call`]s, none for plain REST. Never keeps a value: names only, and those
//! print nothing until whoever shows them has judged them. Bounded by [`MAX_CALLS`] and [`MAX_NAME`].

use smallvec::SmallVec;

use crate::protocol::graphql::Shape;
use crate::protocol::name::NameSet;
use crate::protocol::soap::{FaultCode, SoapVersion};

pub use crate::protocol::name::{MAX_NAME, Name as CallName};

/// Calls of one exchange that are told apart; a batch beyond it is an anomaly. Apollo Server and common gateways allow
/// ten by default, JSON-RPC nodes up to 1,000.
pub const MAX_CALLS: usize = 64;

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
    /// What only its kind of API has.
    pub detail: Option<Box<Detail>>,
}

impl Call {
    /// A call of which nothing more is known.
    pub const fn new(kind: CallKind, name: CallName) -> Self {
        Self {
            kind,
            name,
            outcome: CallOutcome::Unknown,
            detail: None,
        }
    }

    /// The shape of a GraphQL operation.
    pub fn graphql(&self) -> Option<&GraphqlShape> {
        match self.detail.as_deref() {
            Some(Detail::Graphql(shape)) => Some(shape),
            Some(Detail::Soap(_) | Detail::Grpc(_)) | None => None,
        }
    }

    /// What is special to a SOAP call.
    pub fn soap(&self) -> Option<&SoapDetail> {
        match self.detail.as_deref() {
            Some(Detail::Soap(detail)) => Some(detail),
            Some(Detail::Graphql(_) | Detail::Grpc(_)) | None => None,
        }
    }

    /// Messages of a gRPC call.
    pub fn grpc(&self) -> Option<Messages> {
        match self.detail.as_deref() {
            Some(Detail::Grpc(messages)) => Some(*messages),
            Some(Detail::Graphql(_) | Detail::Soap(_)) | None => None,
        }
    }
}

/// What only one kind of API has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Of a GraphQL operation.
    Graphql(GraphqlShape),
    /// Of a SOAP call.
    Soap(SoapDetail),
    /// Of a call of gRPC or gRPC-Web.
    Grpc(Messages),
}

/// Messages of a call, each way: more than one of them is a stream.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Messages {
    /// From the client.
    pub to_server: Count,
    /// From the server.
    pub to_client: Count,
}

/// How many there were.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// That were seen to begin.
    pub seen: u32,
    /// There may have been more: in a hole, or behind a cut.
    pub more: bool,
}

/// A GraphQL operation as it was sent.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct GraphqlShape {
    /// Sizes and names of the document's operation; empty when only the server has the document.
    pub document: Shape,
    /// Paths of the variables' values, such as `input.email`.
    pub variables: NameSet,
    /// Requests in the same batch, this one included; 0 when it was not a batch.
    pub batch: u32,
    /// The server has the document under a hash or id.
    pub persisted: bool,
    /// The document was not read whole: it was cut, or refused.
    pub partial: bool,
}

/// What is special to a SOAP call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SoapDetail {
    /// Version of the envelope.
    pub version: SoapVersion,
    /// Namespace of the body's first element; empty when it has none.
    pub namespace: CallName,
    /// `SOAPAction`, or the media type's `action`; empty when there is none. Peers choose it apart from the body.
    pub action: CallName,
    /// Code of the fault that came back.
    pub fault: Option<FaultCode>,
}

/// Kind of API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum CallKind {
    /// gRPC over HTTP/2: `package.Service/Method`.
    Grpc,
    /// gRPC-Web.
    GrpcWeb,
    /// GraphQL query, or an operation of which only the server has the document.
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
    /// Every kind, in order.
    pub const ALL: [Self; 10] = [
        Self::Grpc,
        Self::GrpcWeb,
        Self::GraphqlQuery,
        Self::GraphqlMutation,
        Self::GraphqlSubscription,
        Self::Soap,
        Self::XmlRpc,
        Self::JsonRpc,
        Self::WebSocket,
        Self::ServerSentEvent,
    ];

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
