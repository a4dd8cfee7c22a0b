//! What a piece of a path or a field name looks like: a word of the API's own vocabulary, or somebody's value.
//!
//! Shared by places (names that may be shown) and by the inventory (path templates). When in doubt it is a value.

/// Looks of a piece of text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shape {
    /// A word that the API's author chose; safe to show.
    Word,
    /// Digits, or a word around digits.
    Number,
    /// A UUID (RFC 9562).
    Uuid,
    /// A ULID: 26 characters of Crockford's base 32.
    Ulid,
    /// Hexadecimal of eight or more, with a digit.
    Hex,
    /// A date or time.
    Date,
    /// An e-mail address.
    Email,
    /// Long and random, or a JSON Web Token.
    Token,
    /// Words joined to a title.
    Slug,
    /// Anything else: odd characters, too long, empty.
    Odd,
}

/// Longest word: longer names exist, but a value that happens to be letters is likelier.
const MAX_WORD: usize = 40;
/// Joined words of more parts are a title, not a name (`my-first-post-about-rust`).
const MAX_PARTS: usize = 4;
/// Letters and digits that long are a token even without an odd mixture.
const MIN_TOKEN: usize = 20;
/// Capitals and digits in a row that may be a word.
const LONGEST_SHOUT: usize = 16;

impl Shape {
    /// Judges a piece of text.
    pub fn of(text: &[u8]) -> Self {
        if text.is_empty() || text.len() > 4096 {
            return Self::Odd;
        }
        let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Self::without_digits(text);
        }
        if digits == text.len() {
            return if is_compact_date(text) {
                Self::Date
            } else {
                Self::Number
            };
        }
        Self::with_digits(text, digits)
    }

    fn without_digits(text: &[u8]) -> Self {
        if memchr::memchr(b'@', text).is_some() {
            return Self::Email;
        }
        if !text.iter().all(|byte| is_name(*byte)) {
            return Self::Odd;
        }
        let longest = text
            .split(|byte| !byte.is_ascii_alphabetic())
            .map(<[u8]>::len)
            .max();
        if longest.unwrap_or(0) > 16 && is_jumbled(text) || is_access_key(text) {
            return Self::Token;
        }
        let parts = text.split(|byte| matches!(byte, b'-' | b'_')).count();
        match (parts > MAX_PARTS, text.len() > MAX_WORD) {
            (true, _) => Self::Slug,
            (false, true) => Self::Token,
            (false, false) if text.iter().any(u8::is_ascii_alphabetic) => Self::Word,
            (false, false) => Self::Odd,
        }
    }

    fn with_digits(text: &[u8], digits: usize) -> Self {
        if is_uuid(text) {
            return Self::Uuid;
        }
        if text.len() >= 8 && text.iter().all(u8::is_ascii_hexdigit) {
            return Self::Hex;
        }
        if text.len() == 26 && text.iter().all(|byte| is_crockford(*byte)) {
            return Self::Ulid;
        }
        if is_date(text) {
            return Self::Date;
        }
        if memchr::memchr(b'@', text).is_some() {
            return Self::Email;
        }
        if text.starts_with(b"eyJ") && memchr::memchr(b'.', text).is_some() {
            return Self::Token;
        }
        if is_version(text) || is_numbered_word(text, digits) {
            return Self::Word;
        }
        Self::mixed(text)
    }

    fn mixed(text: &[u8]) -> Self {
        if !text.iter().all(|byte| is_name(*byte)) {
            return Self::Odd;
        }
        let longest = text
            .split(|byte| !byte.is_ascii_alphanumeric())
            .map(<[u8]>::len)
            .max();
        if longest.unwrap_or(0) >= MIN_TOKEN {
            return Self::Token;
        }
        let parts = text.split(|byte| matches!(byte, b'-' | b'_')).count();
        if parts > MAX_PARTS {
            Self::Slug
        } else {
            Self::Number
        }
    }
}

/// Characters of names in paths, JSON and headers.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'$' | b'~')
}

const fn is_crockford(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() && !matches!(byte.to_ascii_uppercase(), b'I' | b'L' | b'O' | b'U')
}

/// Changes from lower to upper case more often than words in camel case do.
fn is_jumbled(text: &[u8]) -> bool {
    let changes = text
        .array_windows()
        .filter(|[first, second]| first.is_ascii_lowercase() && second.is_ascii_uppercase())
        .count();
    changes * 5 > text.len()
}

/// `8-4-4-4-12` hexadecimal digits.
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2024-05-01`, `2024-05` and times that begin so.
fn is_date(text: &[u8]) -> bool {
    let Some((year, rest)) = text.split_at_checked(4) else {
        return false;
    };
    let front = rest.get(..3).unwrap_or_default();
    let month = matches!(front, [b'-', tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit());
    let tail = rest
        .iter()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'T' | b'Z' | b'.' | b'+'));
    is_year(year) && month && tail
}

/// `20240501`.
fn is_compact_date(text: &[u8]) -> bool {
    let month = matches!(text.get(4..6), Some([b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2']));
    let day = matches!(
        text.get(6..8),
        Some([b'0', b'1'..=b'9'] | [b'1' | b'2', _] | [b'3', b'0' | b'1'])
    );
    text.len() == 8 && is_year(text.get(..4).unwrap_or_default()) && month && day
}

fn is_year(text: &[u8]) -> bool {
    matches!(text, [b'1', b'9', _, _] | [b'2', b'0', _, _]) && text.iter().all(u8::is_ascii_digit)
}

/// `v1`, `v2.1`, `1.0`: names of versions, at most two points and three digits each.
fn is_version(text: &[u8]) -> bool {
    let numbers = text
        .strip_prefix(b"v")
        .or_else(|| text.strip_prefix(b"V"))
        .filter(|rest| !rest.is_empty());
    let dotted = memchr::memchr(b'.', text).is_some();
    let parts = numbers.unwrap_or(text).split(|byte| *byte == b'.');
    let fits = parts
        .clone()
        .all(|part| (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit));
    fits && parts.count() <= 3 && (numbers.is_some() || dotted)
}

/// `oauth2`, `s3`, `2fa`, `address_line_1`: letters with one digit; or one of the few names with two.
fn is_numbered_word(text: &[u8], digits: usize) -> bool {
    const KNOWN: [&[u8]; 8] = [
        b"base64", b"sha256", b"sha512", b"x509", b"k8s", b"i18n", b"l10n", b"md5",
    ];
    let letters = text.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let known = KNOWN.iter().any(|known| known.eq_ignore_ascii_case(text));
    let one = digits == 1 && letters >= 1 && text.len() <= MAX_WORD / 2;
    known || (one && text.iter().all(|byte| is_name(*byte)) && !is_jumbled(text) && !is_shouted(text))
}

/// More capitals and digits in a row than a word has that somebody numbered. Of random keys of Amazon's form (`AKIA` and
/// sixteen of 36) every thirtieth has one digit, and looks like such a word otherwise.
fn is_shouted(text: &[u8]) -> bool {
    let capital = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    text.len() > LONGEST_SHOUT && text.iter().all(capital)
}

/// Amazon's access keys (`AKIA`, `ASIA`) without a digit: one in two hundred.
fn is_access_key(text: &[u8]) -> bool {
    text.len() == 20
        && (text.starts_with(b"AKIA") || text.starts_with(b"ASIA"))
        && text.iter().all(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        for text in [
            "users",
            "getUserAccountDetails",
            "password_reset",
            "v1",
            "v2.1",
            "oauth2",
            "s3",
            "sha256",
            "index.html",
            "pkg.v1.UserService",
            "x-api-key",
            "address_line_1",
            "ADDRESSLINE1",
            "ACCOUNTINFORMATION",
            "$filter",
        ] {
            assert_eq!(Shape::of(text.as_bytes()), Shape::Word, "{text}");
        }
    }

    #[test]
    fn values_are_told_apart() {
        for (text, shape) in [
            ("42", Shape::Number),
            ("user42", Shape::Number),
            ("ORD-2024-17", Shape::Number),
            ("550e8400-e29b-41d4-a716-446655440000", Shape::Uuid),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", Shape::Ulid),
            ("deadbee1", Shape::Hex),
            ("2024-05-01", Shape::Date),
            ("2024-05-01T10:00:00Z", Shape::Date),
            ("20240501", Shape::Date),
            ("alice@example.com", Shape::Email),
            ("a1b2c3d4e5f6g7h8i9j0", Shape::Token),
            // Nearly without digits, as few of them are.
            ("AKIAOSJMPY4MQIEURPLV", Shape::Token),
            ("AKIAOSJMPYXMQIEURPLV", Shape::Token),
            ("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.", Shape::Token),
            ("aGVsbG8gd29ybGQhISEh", Shape::Token),
            ("aGVsbGFkZGVsbGFkZGVs", Shape::Token),
            ("my-first-post-about-rust", Shape::Slug),
            ("4111 1111", Shape::Odd),
            ("a b", Shape::Odd),
            ("caf\u{e9}", Shape::Odd),
            ("", Shape::Odd),
            ("--", Shape::Odd),
        ] {
            assert_eq!(Shape::of(text.as_bytes()), shape, "{text}");
        }
    }
}
