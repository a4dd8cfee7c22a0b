//! The PROXY protocol's header (haproxy.org, proxy-protocol.txt): what follows it is what the connection speaks.

use super::sniff::PROXY_V2;
use crate::copy;

/// Longest header of version 1, its line end included (2.1 of the specification).
const V1_MOST: u64 = 107;
/// Fixed part of a header of version 2; the length of the rest is its last two bytes (2.2).
const V2_FIXED: u64 = 16;

/// Length of the header that `length` bytes at `base` begin with; `length` when it does not end within them.
#[inline(always)]
pub fn length(base: u64, length: u64) -> u64 {
    if copy::user::<u64>(base) == Some(PROXY_V2) {
        if length < V2_FIXED {
            return length;
        }
        let rest = copy::user::<u16>(base + V2_FIXED - 2).map_or(0, u16::from_be);
        return V2_FIXED + rest as u64;
    }
    // The verifier would walk what follows once for each end, and for each bound of the length that a round teaches it
    // ("BPF program is too large").
    let mut most = length;
    copy::forget_value(&mut most);
    let (mut end, mut at) = (length, 8);
    while at < V1_MOST {
        if at >= most {
            break;
        }
        if copy::user::<u8>(base + at).unwrap_or(0) == b'\n' {
            end = at + 1;
            break;
        }
        at += 1;
    }
    copy::forget_value(&mut end);
    end
}
