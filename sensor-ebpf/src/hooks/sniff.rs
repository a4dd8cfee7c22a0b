//! The first bytes of a call: enough to tell a plaintext API from TLS and from anything else.

/// What the front of a call looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// A request or response line of HTTP/1, the HTTP/2 preface, or a frame that an HTTP/2 call begins with.
    Api,
    /// A TLS record header (RFC 8446, 5.1).
    Tls,
    /// A PROXY protocol header, version 1 or 2.
    Proxy,
    Unknown,
}

const fn word(bytes: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*bytes)
}

const PROXY_V1_END: u64 = u16::from_le_bytes(*b"Y ") as u64;
pub const PROXY_V2: u64 = u64::from_le_bytes(*b"\r\n\r\n\0\r\nQ");

/// Whether a TLS record of the handshake carries a ClientHello (1) or a ServerHello (2) (RFC 8446, 4).
#[inline(always)]
pub fn is_hello(first: u64) -> bool {
    first as u8 == 22 && matches!((first >> 40) as u8, 1 | 2)
}

/// Judges the first eight bytes, as one little-endian number; `available` of them are real, the others zero.
#[inline(always)]
pub fn front(first: u64, available: u64) -> Front {
    let low = first as u32;
    // Record types change_cipher_spec (20) to application_data (23), major version 3, minor 0 to 4.
    let kind = low & 0xff;
    if matches!(kind, 20..=23) && (low >> 8) & 0xff == 3 && (low >> 16) & 0xff <= 4 && available >= 5 {
        return Front::Tls;
    }
    // haproxy.org, proxy-protocol.txt: "PROXY " (2.1), or twelve bytes of which these are the first eight (2.2).
    if first == PROXY_V2 || (low == word(b"PROX") && (first >> 32) & 0xffff == PROXY_V1_END) {
        return Front::Proxy;
    }
    let fifth = (first >> 32) as u8;
    // RFC 9113, 6.2 and 6.5: SETTINGS of a server (less than 256 bytes, no flag, stream 0), which comes before anything
    // else it says; HEADERS (less than 64 KiB, a stream below 2^24), which begin a message on a connection joined later.
    let settings = first & !0xff_0000 == 0x0400_0000;
    let headers = first & 0xffd2_ff00_00ff == 0x0100_0000;
    let known = ((settings | headers) & (available >= 8))
        | (low == word(b"GET "))
        | (low == word(b"PUT "))
        | (low == word(b"POST") && fifth == b' ')
        | (low == word(b"HEAD") && fifth == b' ')
        | (low == word(b"HTTP") && fifth == b'/')
        | (low == word(b"PRI ") && fifth == b'*')
        | (low == word(b"PATC") && fifth == b'H')
        | (low == word(b"DELE") && fifth == b'T')
        | (low == word(b"OPTI") && fifth == b'O')
        | (low == word(b"CONN") && fifth == b'E')
        | (low == word(b"TRAC") && fifth == b'E');
    if known { Front::Api } else { Front::Unknown }
}
