//! Keys of who calls.
//!
//! Takes callers. Gives 64 bits. Never keeps them. Bounded: nothing is stored.

use crate::callers::Resolved;

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
