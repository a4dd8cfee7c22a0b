//! SHA-256 (FIPS 180-4) and HMAC (RFC 2104), for tokens whose secret can be guessed. Not for anything that is secret.

/// The fractional parts of the roots of the first primes, as the standard defines its constants.
fn constants() -> ([u32; 64], [u32; 8]) {
    let mut primes = (2_u32..).filter(|n| (2..*n).all(|d| n % d != 0));
    let primes: [u32; 64] = std::array::from_fn(|_| primes.next().unwrap_or(2));
    let fraction = |root: f64| ((root - root.floor()) * 4_294_967_296.0) as u32;
    (
        primes.map(|prime| fraction(f64::from(prime).cbrt())),
        std::array::from_fn(|n| fraction(f64::from(primes[n]).sqrt())),
    )
}

fn digest(parts: [&[u8]; 2]) -> [u8; 32] {
    let (k, mut state) = constants();
    let mut text = parts.concat();
    let bits = text.len() as u64 * 8;
    text.push(0x80);
    while text.len() % 64 != 56 {
        text.push(0);
    }
    text.extend(bits.to_be_bytes());
    for block in text.chunks_exact(64) {
        compress(&k, &mut state, block);
    }
    let mut out = [0; 32];
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

#[expect(clippy::many_single_char_names, reason = "the standard calls them so")]
fn compress(k: &[u32; 64], state: &mut [u32; 8], block: &[u8]) {
    let mut w = [0_u32; 64];
    for (word, bytes) in w.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    for n in 16..64 {
        let (a, b) = (w[n - 15], w[n - 2]);
        let a = a.rotate_right(7) ^ a.rotate_right(18) ^ a >> 3;
        let b = b.rotate_right(17) ^ b.rotate_right(19) ^ b >> 10;
        w[n] = w[n - 16].wrapping_add(a).wrapping_add(w[n - 7]).wrapping_add(b);
    }
    let mut v = *state;
    for n in 0..64 {
        let [a, b, c, d, e, f, g, h] = v;
        let s1 = e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25);
        let choice = e & f ^ !e & g;
        let one = h
            .wrapping_add(s1)
            .wrapping_add(choice)
            .wrapping_add(k[n])
            .wrapping_add(w[n]);
        let s0 = a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22);
        let two = s0.wrapping_add(a & b ^ a & c ^ b & c);
        v = [one.wrapping_add(two), a, b, c, d.wrapping_add(one), e, f, g];
    }
    for (word, more) in state.iter_mut().zip(v) {
        *word = word.wrapping_add(more);
    }
}

/// Keys of 64 bytes at most are used as they are.
pub(crate) fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&digest([key, b""]));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = digest([&block.map(|byte| byte ^ 0x36), text]);
    digest([&block.map(|byte| byte ^ 0x5c), &inner])
}

#[test]
fn digests_are_those_of_the_standard() {
    use std::fmt::Write as _;
    let mut hex = String::new();
    for byte in digest([b"ab", b"c"]) {
        let _fits = write!(hex, "{byte:02x}");
    }
    assert_eq!(
        hex,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}
