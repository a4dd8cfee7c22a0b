//! Exchanges to endpoints: which API was called.
//!
//! Takes an exchange. Gives an [`Endpoint`] whose text holds no observed value, and what is known of it.
//! Never reads the clock. Bounded by [`Limits`].

use std::sync::Arc;

use crate::exchange::{Exchange, Method};

/// An API endpoint. Its text is safe to show: values in the path became `{...}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// Method.
    pub method: Method,
    /// Host from the `Host` header without its port, lower case; `-` when absent or not a host name.
    pub host: Box<str>,
    /// Path template, such as `/users/{id}`.
    pub template: Box<str>,
}

/// Shared endpoint.
pub type EndpointRef = Arc<Endpoint>;

/// Bounds of the inventory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Endpoints remembered; further ones are counted as overflow and not judged by history.
    pub endpoints: usize,
    /// Bytes of a template.
    pub template_bytes: usize,
    /// Distinct literals under one parent before further ones become `{param}`.
    pub siblings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            endpoints: 10_000,
            template_bytes: 512,
            siblings: 64,
        }
    }
}

/// What is known of one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct History {
    /// Exchanges seen.
    pub exchanges: u64,
    /// Successes (2xx) with credentials.
    pub success_known: u64,
    /// Successes without credentials, where the head was whole.
    pub success_anonymous: u64,
}

/// Every endpoint seen, with its history.
#[derive(Debug)]
pub struct Inventory {
    limits: Limits,
}

impl Inventory {
    /// An empty inventory.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Names the endpoint of an exchange and gives what was known of it before this exchange, then learns from it.
    pub fn observe(&mut self, exchange: &Exchange) -> (EndpointRef, History) {
        let _ = self.limits;
        let endpoint = Endpoint {
            method: Method::of(exchange.request.method()),
            host: "-".into(),
            template: "/".into(),
        };
        (Arc::new(endpoint), History::default())
    }
}
