//! One value to what is in it: the kinds of its characters decide which validators run at all.
//!
//! Takes one decoded value, the kinds of its characters and what its name says. Gives hits with their confidence.
//! Never keeps a value, and allocates nothing where nothing is found. Bounded by the value; each validator looks at it
//! once.

use aho_corasick::{AhoCorasick, MatchKind};

use super::hint::Hint;
use super::validate::token::FAMILIES;
use super::validate::{Hit, before, card, email, iban, phone, run, ssn};
use super::{Confidence, DataKind};
use crate::protocol::chars::Classes;

/// Prepared once; holds no value.
pub(super) struct Scanner {
    /// `None` only if the table of prefixes were no valid set, which a test excludes.
    prefixes: Option<AhoCorasick>,
}

/// The automaton would print its tables, hundreds of lines for each parsing thread.
impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[scanner]")
    }
}

/// A value, and what is known of it before it is looked at.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    /// Decoded.
    pub(super) bytes: &'a [u8],
    /// Kinds of its characters.
    pub(super) classes: Classes,
    /// What its name says.
    pub(super) hint: Hint,
    /// Written as a JSON number.
    pub(super) is_number: bool,
}

/// The shortest token: a prefix of three or four and sixteen characters.
const MIN_TOKEN: usize = 20;

/// Digits of the shortest telephone number.
const MIN_DIGITS: u16 = 8;

/// Whether a value with these characters can hold anything. Wrong in one direction only.
#[inline]
pub(super) const fn is_worth_a_look(classes: Classes, length: usize) -> bool {
    classes.has(Classes::AT.and(Classes::ESCAPE))
        || classes.digits() >= MIN_DIGITS
        || (length >= MIN_TOKEN && classes.has(Classes::MARK))
}

impl Scanner {
    pub(super) fn new() -> Self {
        let prefixes = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(FAMILIES.iter().map(|family| family.prefix))
            .ok();
        Self { prefixes }
    }

    /// Appends what is in the value. A password is one whatever else it looks like.
    pub(super) fn scan(&self, value: Value<'_>, hits: &mut Vec<Hit>) {
        if let Some(password) = named_password(value) {
            hits.push(password);
            return;
        }
        let before_scan = hits.len();
        if is_worth_a_look(value.classes, value.bytes.len()) {
            self.patterns(value, hits);
        }
        if hits.len() == before_scan
            && let Some((kind, confidence)) = named(value)
        {
            hits.push(whole(kind, confidence, value.bytes));
        }
    }

    fn patterns(&self, value: Value<'_>, hits: &mut Vec<Hit>) {
        let Value { bytes, classes, .. } = value;
        if is_uuid(bytes) || is_time(value) {
            return;
        }
        if classes.has(Classes::AT) {
            emails(bytes, hits);
        }
        if bytes.len() >= MIN_TOKEN && classes.has(Classes::MARK) {
            self.tokens(bytes, hits);
        }
        if classes.digits() >= MIN_DIGITS {
            numbers(value, hits);
        }
    }

    fn tokens(&self, bytes: &[u8], hits: &mut Vec<Hit>) {
        let Some(prefixes) = &self.prefixes else {
            return;
        };
        let mut at = 0;
        while let Some(found) = prefixes.find(aho_corasick::Input::new(bytes).range(at..)) {
            let family = FAMILIES.get(found.pattern().as_usize());
            at = found.end();
            if let Some((kind, confidence, len)) =
                family.and_then(|family| family.judge(bytes, found.start()))
            {
                let start = found.start();
                hits.push(Hit {
                    kind,
                    confidence,
                    start,
                    len,
                });
                at = at.max(start + len).min(bytes.len());
            }
        }
    }
}

fn whole(kind: DataKind, confidence: u8, bytes: &[u8]) -> Hit {
    Hit {
        kind,
        confidence: Confidence(confidence),
        start: 0,
        len: bytes.len(),
    }
}

fn emails(bytes: &[u8], hits: &mut Vec<Hit>) {
    for at in memchr::memchr_iter(b'@', bytes) {
        if let Some((start, len)) = email::around(bytes, at) {
            hits.push(Hit {
                kind: DataKind::Email,
                confidence: Confidence(90),
                start,
                len,
            });
        }
    }
}

fn named_password(value: Value<'_>) -> Option<Hit> {
    let bytes = value.bytes;
    // The longest password that OWASP's application security standard asks servers to take is 128.
    let fits = value.hint.has(Hint::PASSWORD) && bytes.len() <= 256 && !is_placeholder(bytes);
    fits.then(|| whole(DataKind::Password, 95, bytes))
}

/// What a value is by its name alone.
fn named(value: Value<'_>) -> Option<(DataKind, u8)> {
    let Value {
        bytes,
        hint,
        is_number,
        ..
    } = value;
    if hint.has(Hint::SECRET) && !is_number && is_secret(bytes, 6) {
        return Some((DataKind::SecretField, 90));
    }
    // A bare `token` may be anything; one that looks random is a credential more often than not.
    if hint.has(Hint::MAYBE_SECRET) && !is_number && is_secret(bytes, 12) && is_mixed(bytes) {
        return Some((DataKind::SecretField, 70));
    }
    if hint.has(Hint::SSN) && bytes.len() == 9 && bytes.iter().all(u8::is_ascii_digit) && ssn::is_plain(bytes)
    {
        return Some((DataKind::UsSsn, 85));
    }
    if hint.has(Hint::PHONE) && !hint.has(Hint::COUNTER) && phone::is_national(bytes) {
        return Some((DataKind::Phone, if is_number { 65 } else { 75 }));
    }
    None
}

/// One word of at least `least` characters that is neither a placeholder nor a URL.
fn is_secret(bytes: &[u8], least: usize) -> bool {
    let word = bytes.iter().all(u8::is_ascii_graphic);
    let is_url = || memchr::memchr_iter(b':', bytes).any(|at| starts_at(bytes, at, b"://"));
    bytes.len() >= least && word && !is_placeholder(bytes) && !is_url()
}

fn starts_at(bytes: &[u8], at: usize, wanted: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(wanted))
}

fn is_mixed(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_digit) && bytes.iter().any(u8::is_ascii_alphabetic)
}

/// The dashes of a UUID. Nothing else that is looked for has them there, and identifiers are what APIs hold most.
#[inline]
fn is_uuid(bytes: &[u8]) -> bool {
    let dash = |at: usize| bytes.get(at) == Some(&b'-');
    bytes.len() == 36 && dash(8) && dash(13) && dash(18) && dash(23)
}

/// An RFC 3339 time; what follows its minutes is too short to be a card (14 digits).
#[inline]
fn is_time(value: Value<'_>) -> bool {
    let is = |at: usize, wanted: u8| value.bytes.get(at) == Some(&wanted);
    (16..=29).contains(&value.bytes.len())
        && is(4, b'-')
        && is(7, b'-')
        && (is(10, b'T') || is(10, b' '))
        && is(13, b':')
        && !value.classes.has(Classes::AT)
        && value.bytes.first().is_some_and(u8::is_ascii_digit)
}

/// Empty, masked already, or a word that stands for a value.
fn is_placeholder(bytes: &[u8]) -> bool {
    const WORDS: [&[u8]; 13] = [
        b"null",
        b"none",
        b"nil",
        b"undefined",
        b"true",
        b"false",
        b"string",
        b"redacted",
        b"masked",
        b"hidden",
        b"filtered",
        b"removed",
        b"protected",
    ];
    let inner = bytes
        .iter()
        .position(u8::is_ascii_alphanumeric)
        .and_then(|first| bytes.get(first..))
        .unwrap_or_default();
    let inner = inner
        .get(..run(inner, |byte| byte.is_ascii_alphanumeric()))
        .unwrap_or_default();
    let first = bytes.first().copied().unwrap_or_default();
    let repeated = bytes.len() >= 3 && bytes.iter().all(|byte| *byte == first);
    let stars = memchr::memchr2_iter(b'*', b'.', bytes)
        .any(|at| starts_at(bytes, at, b"***") || starts_at(bytes, at, b"..."));
    // U+2022, the bullet that forms show.
    let bullets = bytes.starts_with("\u{2022}\u{2022}".as_bytes());
    let word = inner.len() + 4 >= bytes.len() && WORDS.iter().any(|word| word.eq_ignore_ascii_case(inner));
    bytes.is_empty() || repeated || stars || bullets || word
}

/// Cards, IBANs, telephone and Social Security numbers: everything that is found at a run of digits.
fn numbers(value: Value<'_>, hits: &mut Vec<Hit>) {
    let bytes = value.bytes;
    let mut at = 0;
    while let Some(offset) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(u8::is_ascii_digit))
    {
        let start = at + offset;
        let found = at_digits(value, start, hits);
        // Invariant: `found` is greater than `start`.
        at = found.max(start + 1);
    }
}

/// Judges the run of digits at `start`; gives where to look on.
fn at_digits(value: Value<'_>, start: usize, hits: &mut Vec<Hit>) -> usize {
    let bytes = value.bytes;
    let rest = bytes.get(start..).unwrap_or_default();
    let mut push = |kind, confidence, start, len| {
        hits.push(Hit {
            kind,
            confidence: Confidence(confidence),
            start,
            len,
        });
        start + len
    };
    let left = before(bytes, start);
    if left == Some(b'+')
        && before(bytes, start - 1).is_none_or(|byte| !byte.is_ascii_alphanumeric())
        && let Some(len) = phone::international(rest)
    {
        let confidence = if value.hint.has(Hint::PHONE) { 95 } else { 80 };
        return push(DataKind::Phone, confidence, start - 1, len + 1);
    }
    if left.is_some_and(|byte| byte.is_ascii_uppercase())
        && let Some(country) = start.checked_sub(2)
        && before(bytes, country).is_none_or(|byte| !byte.is_ascii_alphanumeric())
        && let Some(len) = iban::at_front(bytes.get(country..).unwrap_or_default())
    {
        return push(DataKind::Iban, 95, country, len);
    }
    let groups = Groups::read(bytes, start);
    if left.is_some_and(is_glue) || groups.glued {
        return start
            + run(rest, |byte| {
                byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
            });
    }
    match groups.judge(value) {
        Some((kind, confidence, start, len)) => push(kind, confidence, start, len),
        None => groups.end,
    }
}

/// A digit next to one of these is a part of something longer: a word, a decimal, a UUID.
const fn is_glue(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// Runs of digits joined by single spaces or by single dashes.
struct Groups {
    /// Start and length of each. Invariant: ascending, `count` of them.
    parts: [(usize, usize); MAX_GROUPS],
    count: usize,
    end: usize,
    /// A letter or the like follows directly.
    glued: bool,
}

/// A card has at most five groups; more are a table of numbers.
const MAX_GROUPS: usize = 6;

impl Groups {
    fn read(bytes: &[u8], start: usize) -> Self {
        let mut groups = Self {
            parts: [(0, 0); MAX_GROUPS],
            count: 0,
            end: start,
            glued: false,
        };
        let mut separator = None;
        let mut at = start;
        while let Some(slot) = groups.parts.get_mut(groups.count) {
            let len = run(bytes.get(at..).unwrap_or_default(), |byte| byte.is_ascii_digit());
            *slot = (at, len);
            groups.count += 1;
            groups.end = at + len;
            let next = bytes.get(groups.end).copied();
            let after = bytes.get(groups.end + 1).copied();
            let joins = matches!(next, Some(b' ' | b'-')) && (separator.is_none() || separator == next);
            if !joins || !after.is_some_and(|byte| byte.is_ascii_digit()) {
                let word = next.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                let joined = matches!(next, Some(b'-' | b'.'))
                    && after.is_some_and(|byte| byte.is_ascii_alphanumeric());
                groups.glued = word || joined;
                break;
            }
            separator = next;
            at = groups.end + 1;
        }
        groups
    }

    fn judge(&self, value: Value<'_>) -> Option<(DataKind, u8, usize, usize)> {
        let parts = self.parts.get(..self.count)?;
        // Not a part of more groups: those are a telephone number or a list.
        social_security(parts, value).or_else(|| {
            (0..parts.len()).find_map(|from| {
                let parts = parts.get(from..)?;
                single_card(parts, value).or_else(|| grouped_card(parts, value))
            })
        })
    }
}

fn single_card(parts: &[(usize, usize)], value: Value<'_>) -> Option<(DataKind, u8, usize, usize)> {
    let (start, len) = *parts.first()?;
    let digits = value.bytes.get(start..start + len)?;
    if !(14..=card::MAX_DIGITS).contains(&len) || !card::is_card(digits) {
        return None;
    }
    let named = value.hint.has(Hint::CARD);
    let counted = value.hint.has(Hint::COUNTER) || follows_counter_word(value.bytes, start);
    // 17 to 19 digits are identifiers (snowflakes, nanoseconds) far more often than cards.
    let confidence = match (named, counted, len) {
        (true, ..) => 98,
        (false, true, _) | (false, false, 17..) => return None,
        (false, false, _) if value.is_number => 65,
        (false, false, _) => 80,
    };
    Some((DataKind::PaymentCard, confidence, start, len))
}

/// `4-4-4-4`, `4-4-4-4-3`, `4-6-5` and `4-6-4`: how cards are printed.
fn grouped_card(parts: &[(usize, usize)], value: Value<'_>) -> Option<(DataKind, u8, usize, usize)> {
    const LAYOUTS: [&[usize]; 4] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];
    LAYOUTS.iter().find_map(|layout| {
        let parts = parts.get(..layout.len())?;
        if !parts.iter().map(|part| part.1).eq(layout.iter().copied()) {
            return None;
        }
        let mut digits = [0; card::MAX_DIGITS];
        let mut count = 0;
        for (start, len) in parts {
            digits
                .get_mut(count..count + len)?
                .copy_from_slice(value.bytes.get(*start..start + len)?);
            count += len;
        }
        let (start, _) = *parts.first()?;
        let (last, len) = *parts.last()?;
        let confidence = if value.hint.has(Hint::CARD) { 99 } else { 92 };
        card::is_card(digits.get(..count)?).then_some((
            DataKind::PaymentCard,
            confidence,
            start,
            last + len - start,
        ))
    })
}

fn social_security(parts: &[(usize, usize)], value: Value<'_>) -> Option<(DataKind, u8, usize, usize)> {
    let bytes = value.bytes;
    let text = |at: usize| {
        let (start, len) = *parts.get(at)?;
        bytes.get(start..start + len)
    };
    if parts.len() != 3 || !ssn::is_ssn(text(0)?, text(1)?, text(2)?) {
        return None;
    }
    let (start, _) = *parts.first()?;
    let dashes = bytes.get(start + 3) == Some(&b'-');
    let confidence = match (value.hint.has(Hint::SSN), dashes) {
        (true, _) => 97,
        (false, true) => 75,
        (false, false) => 50,
    };
    Some((DataKind::UsSsn, confidence, start, 11))
}

/// Whether the word before `start` says that a number is a reference: `order 4539...`, `Tracking no. 4539...`.
fn follows_counter_word(bytes: &[u8], start: usize) -> bool {
    const WORDS: [&[u8]; 14] = [
        b"order",
        b"tracking",
        b"invoice",
        b"reference",
        b"ref",
        b"id",
        b"number",
        b"no",
        b"ticket",
        b"timestamp",
        b"ts",
        b"shipment",
        b"serial",
        b"transaction",
    ];
    // Words before the number within reach of a phrase such as "tracking number: ".
    const REACH: usize = 24;
    let from = start.saturating_sub(REACH);
    let front = bytes.get(from..start).unwrap_or_default();
    let words = front
        .split(|byte| !byte.is_ascii_alphabetic())
        .filter(|word| !word.is_empty());
    let is = |word: &[u8], listed: &[u8]| word.eq_ignore_ascii_case(listed);
    let card = words
        .clone()
        .any(|word| is(word, b"card") || is(word, b"credit") || is(word, b"visa"));
    !card
        && words
            .clone()
            .any(|word| WORDS.iter().any(|listed| is(word, listed)))
}

#[cfg(test)]
mod tests;
