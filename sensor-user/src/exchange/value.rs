//! Values to keyed hashes that are equal wherever a value turns up.
//!
//! Takes a value as it stands in a path, query, header, cookie, body or claim, escapes undone. Gives 64 bits that are
//! useless without the installation's key. Never keeps the value. Bounded by the value; nothing is allocated.
//!
//! The canonical form, so that one thing hashes alike everywhere: white space at both ends and ASCII case do not count,
//! nor do the hyphens, braces and `urn:uuid:` of a UUID (RFC 9562, 4). A number is its decimal text as written, so 42 and
//! "42" are one, and "007" is another.

use super::secret::{CallerHash, Domain, HashKey, Secret};

/// Keyed hash of a value: SipHash-1-3 of its canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValueHash(pub u64);

/// What values and names are hashed with; derived from the installation's key.
#[derive(Clone, Copy)]
pub struct ValueKey {
    value: (u64, u64),
    name: (u64, u64),
}

impl std::fmt::Debug for ValueKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[key withheld]")
    }
}

impl ValueKey {
    /// Derives both keys.
    pub fn of(key: &HashKey) -> Self {
        let halves = |domain| {
            let CallerHash(bytes) = key.hash(domain, Secret::new(b""), Secret::new(b"outline")).now;
            let (front, back) = (bytes.first_chunk(), bytes.last_chunk());
            let word = |chunk: Option<&[u8; 8]>| chunk.map_or(0, |chunk| u64::from_le_bytes(*chunk));
            (word(front), word(back))
        };
        Self {
            value: halves(Domain::Values),
            name: halves(Domain::Names),
        }
    }

    /// Hashes a value in its canonical form.
    pub fn hash(&self, value: Secret<'_>) -> ValueHash {
        let value = value.expose().trim_ascii();
        let bare = undressed(value);
        ValueHash(match hex_of_uuid(bare) {
            Some(hex) => sip(self.value, &hex),
            None => sip(self.value, value),
        })
    }

    /// Hashes a name: quick, and equal for equal names only.
    #[inline]
    pub fn name(&self, name: &[u8]) -> u64 {
        let (mut state, factor) = self.name;
        let (words, tail) = name.as_chunks::<8>();
        for word in words {
            state = fold(state ^ u64::from_le_bytes(*word), factor);
        }
        let tail = match (tail.first_chunk::<4>(), tail.last_chunk::<4>()) {
            (Some(front), Some(back)) => {
                u64::from(u32::from_le_bytes(*front)) << 32 | u64::from(u32::from_le_bytes(*back))
            }
            _ => tail.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        };
        fold(state ^ tail, factor ^ (name.len() as u64) << 8)
    }

    /// Hashes the way from a place to one inside of it.
    #[inline]
    pub fn step(&self, parent: u64, step: u64) -> u64 {
        fold(parent.rotate_left(29) ^ step, self.name.1)
    }
}

/// Both halves of a product, folded into one: each bit depends on all bits of both factors.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b | 1);
    let (low, high) = halves(product);
    low ^ high
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
#[inline]
const fn halves(product: u128) -> (u64, u64) {
    (product as u64, (product >> 64) as u64)
}

/// Without what may stand around a UUID.
fn undressed(value: &[u8]) -> &[u8] {
    match value.len() {
        38 => value
            .strip_prefix(b"{")
            .and_then(|rest| rest.strip_suffix(b"}"))
            .unwrap_or(value),
        45 => value
            .split_at_checked(9)
            .filter(|(front, _)| front.eq_ignore_ascii_case(b"urn:uuid:"))
            .map_or(value, |(_, rest)| rest),
        _ => value,
    }
}

/// The 32 characters of `8-4-4-4-12`.
fn hex_of_uuid(value: &[u8]) -> Option<[u8; 32]> {
    if value.len() != 36 || [8, 13, 18, 23].iter().any(|at| value.get(*at) != Some(&b'-')) {
        return None;
    }
    // Whether these are hexadecimal does not matter: what is hyphenated so loses its hyphens.
    let mut hex = [0; 32];
    for (to, from) in [
        (0..8, 0..8),
        (8..12, 9..13),
        (12..16, 14..18),
        (16..20, 19..23),
        (20..32, 24..36),
    ] {
        hex.get_mut(to)?.copy_from_slice(value.get(from)?);
    }
    Some(hex)
}

/// SipHash-1-3 (Aumasson and Bernstein, 2012: one round a word, three at the end), letters made lower case.
fn sip(key: (u64, u64), bytes: &[u8]) -> u64 {
    let mut state = State::new(key);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        state.word(lower(u64::from_le_bytes(*word)));
    }
    let mut last = [0; 8];
    if let Some(place) = last.get_mut(..tail.len()) {
        place.copy_from_slice(tail);
    }
    // The length modulo 256 is the last byte.
    state.word(lower(u64::from_le_bytes(last)) | (bytes.len() as u64) << 56);
    state.finish()
}

/// ASCII capitals of eight bytes made small.
const fn lower(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let low = word & (ONES * 0x7f);
    let above_z = low + ONES * (0x7f - b'Z' as u64);
    let from_a = low + ONES * (0x80 - b'A' as u64);
    let capital = (from_a ^ above_z) & !word & (ONES * 0x80);
    word | capital >> 2
}

struct State(u64, u64, u64, u64);

impl State {
    const fn new((k0, k1): (u64, u64)) -> Self {
        Self(
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        )
    }

    const fn word(&mut self, word: u64) {
        self.3 ^= word;
        self.round();
        self.0 ^= word;
    }

    const fn finish(mut self) -> u64 {
        self.2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.0 ^ self.1 ^ self.2 ^ self.3
    }

    const fn round(&mut self) {
        self.0 = self.0.wrapping_add(self.1);
        self.1 = self.1.rotate_left(13) ^ self.0;
        self.0 = self.0.rotate_left(32);
        self.2 = self.2.wrapping_add(self.3);
        self.3 = self.3.rotate_left(16) ^ self.2;
        self.0 = self.0.wrapping_add(self.3);
        self.3 = self.3.rotate_left(21) ^ self.0;
        self.2 = self.2.wrapping_add(self.1);
        self.1 = self.1.rotate_left(17) ^ self.2;
        self.2 = self.2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::Hasher as _;

    fn key() -> ValueKey {
        ValueKey::of(&HashKey::new([7; 32]))
    }

    #[test]
    fn it_is_siphash() {
        // The standard library's hasher is SipHash-1-3 with a key of zeros.
        for length in 0..70_usize {
            let bytes: Vec<u8> = (0..length)
                .map(|at| b'a' + u8::try_from(at % 26).unwrap())
                .collect();
            let mut reference = std::collections::hash_map::DefaultHasher::new();
            reference.write(&bytes);
            assert_eq!(sip((0, 0), &bytes), reference.finish(), "{length}");
            assert_eq!(
                sip((0, 0), &bytes.to_ascii_uppercase()),
                reference.finish(),
                "{length}"
            );
        }
    }

    #[test]
    fn only_capitals_become_small() {
        for byte in 0..=255_u8 {
            let word = lower(u64::from_le_bytes([byte, b'A', byte, b'z', byte, 0, 0xff, byte]));
            let small = byte.to_ascii_lowercase();
            let expected = [small, b'a', small, b'z', small, 0, 0xff, small];
            assert_eq!(word.to_le_bytes(), expected, "{byte}");
        }
    }

    #[test]
    fn one_thing_has_one_hash() {
        let hash = |text: &str| key().hash(Secret::new(text.as_bytes()));
        let uuid = hash("550e8400-e29b-41d4-a716-446655440000");
        for same in [
            "550E8400-E29B-41D4-A716-446655440000",
            "550e8400e29b41d4a716446655440000",
            "{550e8400-e29b-41d4-a716-446655440000}",
            "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
            " 550e8400-e29b-41d4-a716-446655440000\n",
        ] {
            assert_eq!(hash(same), uuid, "{same}");
        }
        assert_eq!(hash("Alice@Example.com"), hash("alice@example.com"));
        for (one, other) in [("42", "43"), ("7", "007"), ("a", "b"), ("", "0"), ("ab", "a b")] {
            assert_ne!(hash(one), hash(other), "{one} {other}");
        }
        let elsewhere = ValueKey::of(&HashKey::new([8; 32]));
        assert_ne!(hash("42"), elsewhere.hash(Secret::new(b"42")));
    }

    #[test]
    fn names_of_every_length_differ() {
        let mut seen = std::collections::HashSet::new();
        for length in 0..60 {
            for last in 0..=255_u8 {
                let mut name = vec![b'x'; length];
                if let Some(byte) = name.last_mut() {
                    *byte = last;
                }
                if length > 0 || last == 0 {
                    assert!(seen.insert(key().name(&name)), "{length} {last}");
                }
            }
        }
    }
}
