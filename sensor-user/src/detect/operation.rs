//! What is called, as one number.
//!
//! Takes an endpoint and the first call inside an exchange: GraphQL, gRPC and their like have one path for many functions.
//! Gives keys that are the same in every run. Never allocates. Names only, no values, so no key is needed.

use std::hash::{DefaultHasher, Hasher};

use super::Observation;
use crate::exchange::Method;

/// A host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HostKey(pub(crate) u64);

/// Method, host, path template and the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct OperationKey(pub(crate) u64);

/// The way to an operation, without its method.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// Its host.
    pub(crate) host: HostKey,
    path: DefaultHasher,
}

impl Address {
    /// Of an exchange.
    pub(crate) fn of(seen: &Observation<'_>) -> Self {
        // SipHash without a key: of names that an attacker chooses, two of equal hash are too far to search for.
        let mut hasher = DefaultHasher::new();
        let mut write = |text: &str| {
            hasher.write(text.as_bytes());
            hasher.write_u8(0xff);
            hasher.finish()
        };
        let host = HostKey(write(&seen.endpoint.host));
        write(&seen.endpoint.template);
        if let Some(call) = seen.labels.calls.first() {
            write(call.kind.name());
            write(&call.name);
        }
        Self { host, path: hasher }
    }

    /// The operation of that method there.
    pub(crate) fn operation(&self, method: Method) -> OperationKey {
        let mut hasher = self.path.clone();
        hasher.write_u8(method as u8);
        OperationKey(hasher.finish())
    }
}
