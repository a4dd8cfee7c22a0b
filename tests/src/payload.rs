//! Bodies that can be recognised: every length and seed gives other bytes, and any cut or repetition shows.

/// Bytes of a message body: lower-case letters in an order that does not repeat within a megabyte.
pub fn body(seed: u64, len: usize) -> Vec<u8> {
    // Marsaglia's xorshift64 (2003, Journal of Statistical Software 8(14)); its state must not be zero.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes().map(|byte| b'a' + byte % 26));
    }
    bytes.truncate(len);
    bytes
}

/// The lengths that matter: nothing, one, both sides of a page and of a TLS record (16,384 bytes, RFC 8446, 5.1),
/// beyond the default limit of 64 KiB, and one mebibyte.
pub const LENGTHS: [usize; 8] = [0, 1, 4095, 16_383, 16_384, 16_385, 100_000, 1_048_576];
