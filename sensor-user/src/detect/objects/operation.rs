//! Keys of what is called, and of who calls: the one place where an operation is made a number.
//!
//! Takes endpoints, calls and callers. Gives 64 bits. Never keeps them. Bounded: nothing is stored.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::callers::Resolved;
use crate::classify::Labels;
use crate::inventory::Endpoint;

/// The operation: method, host and template, and of GraphQL, gRPC and their like which call. Without a key, so that it is
/// the same in every process; what it is mixed with has one.
pub(in crate::detect) fn operation(endpoint: &Endpoint, labels: &Labels) -> u64 {
    let mut state = DefaultHasher::new();
    endpoint.hash(&mut state);
    if let Some(call) = labels.calls.first() {
        call.kind.name().hash(&mut state);
        call.name.hash(&mut state);
    }
    state.finish()
}

/// The group: kind of caller, roles and scopes. Customers do one thing, support staff another.
pub(super) fn group(caller: &Resolved) -> u64 {
    let attributes = caller.attributes.iter();
    // Tokens list them in any order.
    let sum = attributes.fold(0_u64, |sum, id| sum.wrapping_add(mix(id.0, 1)));
    mix(sum, caller.kind as u64)
}

/// Two numbers to one (the finaliser of `SplitMix64`).
pub(super) const fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.rotate_left(29) ^ b.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    // 0 is nobody's key.
    (z ^ z >> 31) | 1
}

/// The upper half, which is never 0.
pub(super) const fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}
