//! Ids as services hand them out: UUIDs, ULIDs, slugs, opaque tokens. Each follows from a number, so none is stored.

use std::fmt::{self, Write as _};

use super::clock::{EPOCH_S, SECOND};
use super::rng::mix;

/// What ids are of; the same number of two kinds has nothing in common.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    User = 1,
    Post,
    Document,
    Talk,
    Invoice,
    Refresh,
    Opaque,
    Session,
    Key,
    Link,
    Signature,
    Code,
    Password,
    Nobody,
}

fn words(seed: u64, of: Of, number: u64) -> (u64, u64) {
    let first = mix(seed ^ mix(number ^ ((of as u64) << 56)));
    (first, mix(first))
}

/// A random UUID (RFC 9562, 5.4).
pub(crate) fn uuid(seed: u64, of: Of, number: u64) -> impl fmt::Display {
    let (a, b) = words(seed, of, number);
    fmt::from_fn(move |f| {
        write!(
            f,
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            (b >> 48 & 0x3fff) | 0x8000,
            b & 0xffff_ffff_ffff
        )
    })
}

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A ULID of that moment (milliseconds in 48 bits, then 80 random bits).
pub(crate) fn ulid(seed: u64, of: Of, number: u64, made: u64) -> impl fmt::Display {
    let (a, b) = words(seed, of, number);
    let ms = EPOCH_S * 1000 + made / (SECOND / 1000);
    fmt::from_fn(move |f| {
        let value = u128::from(ms) << 80 | u128::from(a & 0xffff) << 64 | u128::from(b);
        (0..26)
            .rev()
            .try_for_each(|place| f.write_char(CROCKFORD[(value >> (place * 5) & 31) as usize] as char))
    })
}

/// So many characters of base64url.
pub(crate) fn token(seed: u64, of: Of, number: u64, len: usize) -> impl fmt::Display {
    let (a, b) = words(seed, of, number);
    fmt::from_fn(move |f| {
        let (mut state, mut left) = (a ^ b, 0);
        let mut bits = 0;
        (0..len).try_for_each(|_| {
            if left == 0 {
                state = mix(state);
                (bits, left) = (state, 10);
            }
            let letter = URL_SAFE[(bits & 63) as usize];
            (bits, left) = (bits >> 6, left - 1);
            f.write_char(letter as char)
        })
    })
}

/// A number of its own for each number, which looks random.
pub(crate) fn scattered(seed: u64, of: Of, number: u64) -> u64 {
    words(seed, of, number).0
}

const COLOURS: [&str; 16] = [
    "amber", "azure", "beige", "black", "coral", "cream", "green", "ivory", "khaki", "lemon", "olive",
    "pearl", "ruby", "sand", "teal", "white",
];
const MATERIALS: [&str; 12] = [
    "oak", "steel", "linen", "wool", "glass", "cork", "paper", "cotton", "bamboo", "brass", "leather",
    "marble",
];
const GOODS: [&str; 20] = [
    "lamp", "chair", "shelf", "notebook", "kettle", "mug", "blanket", "clock", "mirror", "basket", "vase",
    "desk", "rug", "tray", "stool", "cushion", "frame", "bowl", "candle", "bench",
];

/// Products there are.
pub(crate) const PRODUCTS: usize = COLOURS.len() * MATERIALS.len() * GOODS.len();

/// `oak-desk-teal`.
pub(crate) fn product(number: usize) -> impl fmt::Display {
    let goods = GOODS[number % GOODS.len()];
    let material = MATERIALS[number / GOODS.len() % MATERIALS.len()];
    let colour = COLOURS[number / (GOODS.len() * MATERIALS.len()) % COLOURS.len()];
    fmt::from_fn(move |f| write!(f, "{material}-{goods}-{colour}"))
}

const FIRST: [&str; 24] = [
    "anna", "ben", "carla", "david", "elena", "felix", "greta", "hugo", "ines", "jonas", "klara", "liam",
    "mara", "nils", "olga", "paul", "rosa", "simon", "tessa", "udo", "vera", "walter", "xenia", "yann",
];
const LAST: [&str; 24] = [
    "abel", "brandt", "conrad", "duran", "ernst", "fuchs", "gomez", "haas", "ibsen", "jansen", "koch",
    "lopez", "maier", "novak", "otten", "petit", "quist", "ricci", "stein", "tanaka", "urban", "vogel",
    "weber", "zeller",
];

/// `anna.abel17`: the part of a person's address before the `@`.
pub(crate) fn person(number: u32) -> impl fmt::Display {
    let number = number as usize;
    let first = FIRST[number % FIRST.len()];
    let last = LAST[number / FIRST.len() % LAST.len()];
    let rest = number / (FIRST.len() * LAST.len());
    fmt::from_fn(move |f| write!(f, "{first}.{last}{rest}"))
}

/// Names of tenants.
pub(crate) fn tenant(number: u16) -> impl fmt::Display {
    let number = usize::from(number);
    let (a, b) = (LAST[number * 7 % LAST.len()], GOODS[number % GOODS.len()]);
    let rest = number / GOODS.len();
    fmt::from_fn(move |f| {
        if rest == 0 {
            write!(f, "{a}-{b}")
        } else {
            write!(f, "{a}-{b}-{rest}")
        }
    })
}

#[test]
fn ids_have_their_forms() {
    let uuid = uuid(1, Of::User, 7).to_string();
    assert!(uuid.len() == 36 && uuid.as_bytes()[14] == b'4', "{uuid}");
    let (first, later) = (
        ulid(1, Of::Invoice, 1, 0).to_string(),
        ulid(1, Of::Invoice, 2, SECOND).to_string(),
    );
    assert!(first.len() == 26 && first < later, "{first} {later}");
    assert_eq!(token(1, Of::Session, 3, 43).to_string().len(), 43);
    let names: std::collections::BTreeSet<_> = (0..3000).map(|n| person(n).to_string()).collect();
    assert_eq!(names.len(), 3000);
    let names: std::collections::BTreeSet<_> = (0..90).map(|n| tenant(n).to_string()).collect();
    assert_eq!(names.len(), 90);
}
