//! What is called, as one number.
//!
//! Takes an endpoint, which of GraphQL, gRPC and their like is one operation. Gives keys that are the same in every run.
//! Never keeps them. Names only, no values, so no key is needed.

use std::hash::{DefaultHasher, Hasher};

use crate::exchange::Method;
use crate::inventory::{Endpoint, EndpointId};

/// A host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HostKey(pub(crate) u64);

/// An operation: method, host, path template and the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OperationKey(pub(crate) u64);

impl HostKey {
    /// Where an endpoint is.
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        // SipHash without a key: of names that an attacker chooses, two of equal hash are too far to search for.
        let mut hasher = DefaultHasher::new();
        hasher.write(endpoint.host.as_bytes());
        hasher.write_u8(0xff);
        Self(hasher.finish())
    }
}

impl OperationKey {
    /// By the id of an endpoint, which is BLAKE3 of names: half of it is enough.
    pub(crate) fn of(id: EndpointId) -> Self {
        Self(id.0.first_chunk().map_or(0, |front| u64::from_le_bytes(*front)))
    }

    /// The operation of another method where an endpoint is.
    pub(crate) fn with(endpoint: &Endpoint, method: Method) -> Self {
        if endpoint.method == method {
            return Self::of(endpoint.id);
        }
        let operation = endpoint.operation.as_deref();
        let other = Endpoint::new(
            endpoint.kind,
            method,
            &endpoint.host,
            &endpoint.template,
            operation,
        );
        Self::of(other.id)
    }
}
