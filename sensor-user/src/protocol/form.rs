//! `application/x-www-form-urlencoded`, query strings and cookies: pairs of name and value.
//!
//! Takes bytes. Gives pairs as written, and their decoded form on request. Never allocates unless an escape is
//! there to undo, and then only in the buffer handed in. Bounded by the input: decoding never lengthens.

use super::chars::Classes;
use super::walk::{Coding, Container, Ending, Scalar, Text, Visitor};

/// Pairs of a query string or form body, as written; a part without `=` has an empty value.
pub fn pairs(input: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    input
        .split(|byte| *byte == b'&')
        .filter(|part| !part.is_empty())
        .map(split_pair)
}

/// Levels of a name such as `a[b][c]` that are followed; what is deeper stays as written. PHP stops at 64 (its
/// `max_input_nesting_level`), qs at 5.
const MAX_LEVELS: usize = 8;

/// Tells a form body: an object with a member for each pair. `a[b]=1` is told as `{"a": {"b": 1}}` and `a[]=1` as
/// `{"a": [1]}`, once for each pair: a name may come more than once. `cut`: the last value may be longer.
pub fn walk(input: &[u8], cut: bool, visitor: &mut impl Visitor) -> Ending {
    visitor.open(Container::Object);
    let mut rest = Some(input);
    while let Some(input) = rest {
        let end = memchr::memchr(b'&', input);
        let part = input.get(..end.unwrap_or(input.len())).unwrap_or_default();
        rest = end.and_then(|end| input.get(end + 1..));
        if part.is_empty() {
            continue;
        }
        let (name, value) = split_pair(part);
        let levels = names(name, visitor);
        let text = Text {
            cut: cut && rest.is_none(),
            ..coded(value)
        };
        visitor.scalar(Scalar::String, text);
        for _ in 0..levels {
            visitor.close();
        }
    }
    visitor.close();
    if cut { Ending::Cut } else { Ending::Complete }
}

/// Tells a name; gives how many containers it opened.
fn names(name: &[u8], visitor: &mut impl Visitor) -> usize {
    let (first, mut rest) = match bracket(name, Bracket::Open) {
        Some((first, rest)) if !first.is_empty() && ends_with_bracket(name) => (first, Some(rest)),
        _ => (name, None),
    };
    visitor.key(coded(first));
    let mut levels = 0;
    while let Some(inside) = rest {
        let Some((level, after)) = bracket(inside, Bracket::Close) else {
            break;
        };
        let index = level.iter().all(u8::is_ascii_digit);
        levels += 1;
        if index {
            visitor.open(Container::Array);
        } else {
            visitor.open(Container::Object);
            visitor.key(coded(level));
        }
        let next = bracket(after, Bracket::Open).filter(|(between, _)| between.is_empty());
        rest = next.map(|(_, inside)| inside).filter(|_| levels < MAX_LEVELS);
    }
    levels
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Open,
    Close,
}

impl Bracket {
    /// As they are, and as browsers write them.
    const fn forms(self) -> [&'static [u8]; 3] {
        match self {
            Self::Open => [b"[", b"%5B", b"%5b"],
            Self::Close => [b"]", b"%5D", b"%5d"],
        }
    }
}

/// Splits at the first bracket of that kind, escaped or not.
fn bracket(text: &[u8], bracket: Bracket) -> Option<(&[u8], &[u8])> {
    let [plain, ..] = bracket.forms();
    let plain = *plain.first()?;
    for at in memchr::memchr2_iter(plain, b'%', text) {
        let (front, back) = text.split_at_checked(at)?;
        let form = bracket.forms().into_iter().find(|form| back.starts_with(form));
        if let Some(after) = form.and_then(|form| back.strip_prefix(form)) {
            return Some((front, after));
        }
    }
    None
}

fn ends_with_bracket(name: &[u8]) -> bool {
    Bracket::Close.forms().iter().any(|form| name.ends_with(form))
}

/// A name or value as a visitor gets it.
fn coded(raw: &[u8]) -> Text<'_> {
    let mut text = Text::plain(raw);
    text.coding = Coding::Form;
    if memchr::memchr(b'%', raw).is_some() {
        text.classes = text.classes.and(Classes::ESCAPE);
    }
    text
}

/// Pairs of a `Cookie` field (RFC 6265, 4.2.1), or of the parts of a `Set-Cookie` field, quotes removed.
pub fn cookies(input: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    input
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = split_pair(part);
            let inner = value
                .strip_prefix(b"\"")
                .and_then(|value| value.strip_suffix(b"\""));
            (name, inner.unwrap_or(value))
        })
}

/// Whether `+` stands for a space: in queries and forms, not in paths and cookies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plus {
    /// It does.
    Space,
    /// It does not.
    Literal,
}

/// Undoes percent-encoding (RFC 3986, 2.1). What is no escape stays as written. `scratch` is used only when there
/// is something to undo.
pub fn decode<'a>(raw: &'a [u8], plus: Plus, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    let escaped = match plus {
        Plus::Space => memchr::memchr2(b'%', b'+', raw),
        Plus::Literal => memchr::memchr(b'%', raw),
    };
    let Some(first) = escaped else {
        return raw;
    };
    scratch.clear();
    let (plain, mut rest) = raw.split_at_checked(first).unwrap_or_default();
    scratch.extend_from_slice(plain);
    while let Some((byte, after)) = rest.split_first() {
        let decoded = if *byte == b'%' { hex2(after) } else { None };
        if let Some(value) = decoded {
            scratch.push(value);
            rest = after.get(2..).unwrap_or_default();
        } else {
            let space = *byte == b'+' && plus == Plus::Space;
            scratch.push(if space { b' ' } else { *byte });
            rest = after;
        }
    }
    scratch
}

fn split_pair(part: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', part) {
        Some(at) => (
            part.get(..at).unwrap_or_default(),
            part.get(at + 1..).unwrap_or_default(),
        ),
        None => (part, &[]),
    }
}

fn hex2(digits: &[u8]) -> Option<u8> {
    let high = char::from(*digits.first()?).to_digit(16)?;
    let low = char::from(*digits.get(1)?).to_digit(16)?;
    u8::try_from(high << 4 | low).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(raw: &[u8], plus: Plus) -> Vec<u8> {
        decode(raw, plus, &mut Vec::new()).to_vec()
    }

    #[test]
    fn pairs_are_split_at_the_first_equals_sign() {
        let all: Vec<_> = pairs(b"a=1&b=x=y&&flag&=v").collect();
        let expected: [(&[u8], &[u8]); 4] = [(b"a", b"1"), (b"b", b"x=y"), (b"flag", b""), (b"", b"v")];
        assert_eq!(all, expected);
    }

    #[test]
    fn cookies_lose_spaces_and_quotes() {
        let all: Vec<_> = cookies(b"sid=abc; theme=\"dark\";  q=\"open ;").collect();
        let expected: [(&[u8], &[u8]); 3] = [(b"sid", b"abc"), (b"theme", b"dark"), (b"q", b"\"open")];
        assert_eq!(all, expected);
    }

    #[test]
    fn escapes_are_undone_and_broken_ones_kept() {
        assert_eq!(decoded(b"a%40b.c+d", Plus::Space), b"a@b.c d");
        assert_eq!(decoded(b"+49%zz%4", Plus::Literal), b"+49%zz%4");
        assert_eq!(decoded(b"%2B49", Plus::Space), b"+49");
    }

    #[test]
    fn nothing_is_copied_without_an_escape() {
        let mut scratch = Vec::new();
        assert_eq!(decode(b"plain", Plus::Space, &mut scratch), b"plain");
        assert_eq!(scratch.capacity(), 0);
    }

    proptest! {
        #[test]
        fn decoding_never_lengthens(raw in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(decoded(&raw, Plus::Space).len() <= raw.len());
        }
    }
}
