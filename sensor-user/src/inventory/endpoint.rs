//! What an endpoint is, and what is known of one.
//!
//! Takes names that are safe to show. Gives [`Endpoint`]s with a stable id. Holds no state.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::exchange::call::CallKind;
use crate::exchange::{Caller, Exchange, Method};

/// An API endpoint. Its text is safe to show: values in the path became `{...}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// Of kind, method, host, template and operation: the same on every run and host of the sensor.
    pub id: EndpointId,
    /// Kind of API.
    pub kind: EndpointKind,
    /// Method.
    pub method: Method,
    /// Host from the `Host` header without its port, lower case; `-` when absent or not a host name.
    pub host: Box<str>,
    /// Path template, such as `/users/{id}`.
    pub template: Box<str>,
    /// What is called, of kinds whose path does not say it: a GraphQL operation, a method. Safe to show.
    pub operation: Option<Box<str>>,
}

/// By its id, which follows from all else.
impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// Shared endpoint.
pub type EndpointRef = Arc<Endpoint>;

/// Stable id of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub [u8; 16]);

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Kind of API of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum EndpointKind {
    /// The method and the path say what is called.
    Rest,
    /// A call inside the exchange says it.
    Call(CallKind),
}

impl EndpointKind {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Call(kind) => kind.name(),
        }
    }

    /// By its name in outputs.
    pub fn of_name(name: &str) -> Option<Self> {
        let calls = CallKind::ALL.into_iter().map(Self::Call);
        std::iter::once(Self::Rest)
            .chain(calls)
            .find(|kind| kind.name() == name)
    }
}

impl Endpoint {
    /// An endpoint whose path says what is called.
    pub fn rest(method: Method, host: &str, template: &str) -> Self {
        Self::new(EndpointKind::Rest, method, host, template, None)
    }

    /// Any endpoint; its id follows from the rest.
    pub fn new(
        kind: EndpointKind,
        method: Method,
        host: &str,
        template: &str,
        operation: Option<&str>,
    ) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [
            kind.name(),
            method.name(),
            host,
            template,
            operation.unwrap_or_default(),
        ] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        Self {
            id: EndpointId(id),
            kind,
            method,
            host: host.into(),
            template: template.into(),
            operation: operation.map(Into::into),
        }
    }
}

/// What is known of one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize, serde::Deserialize)]
pub struct History {
    /// Exchanges seen.
    pub exchanges: u64,
    /// Successes ([`Exchange::is_success`]) with credentials; parts of longer exchanges are none of their own.
    pub success_known: u64,
    /// Successes without credentials, where the head was whole.
    pub success_anonymous: u64,
}

impl History {
    pub(super) fn learn(&mut self, exchange: &Exchange) {
        self.exchanges += 1;
        let success = exchange.part.is_none() && exchange.is_success();
        match exchange.caller {
            Caller::Known { .. } if success => self.success_known += 1,
            Caller::Anonymous if success => self.success_anonymous += 1,
            Caller::Known { .. } | Caller::Anonymous | Caller::Unseen => {}
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        self.success_known += other.success_known;
        self.success_anonymous += other.success_anonymous;
    }
}

/// Whether an endpoint exists.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// The server answered it as existing, several times.
    Known,
    /// The server answered it as existing once or twice: a page for errors with status 200 would look the same.
    Tentative,
    /// No answer says that it exists: a probe, or not seen yet with an answer that does.
    Probe,
}

impl Standing {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Tentative => "tentative",
            Self::Probe => "probe",
        }
    }
}
