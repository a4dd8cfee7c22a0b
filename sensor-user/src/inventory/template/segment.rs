//! One step of a path: a word of the API's vocabulary, a value, or words around values.
//!
//! Takes the bytes between two slashes. Gives a [`Segment`]: its pattern, in which `{}` stands for each value, and what
//! the values look like. Never keeps a value. Bounded by [`MAX_PATTERN`] and [`MAX_VALUES`].

use smallvec::SmallVec;

use super::words;
use crate::classify::shape::Shape;

/// Longest pattern around values; functions of `OData` with four arguments have some 120 characters.
pub(crate) const MAX_PATTERN: usize = 160;
/// Values in one step; functions with more arguments are taken as one value.
const MAX_VALUES: usize = 8;
/// A plain value: the whole step.
pub(super) const PLAIN: &[u8] = b"{}";
/// Longest word that is a step of its own; [`Shape`] draws the same line.
const MAX_DECODED: usize = 128;

/// What a value looks like.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub enum ValueKind {
    /// A whole number, or one with a sign or a point.
    Number,
    /// A UUID.
    Uuid,
    /// A ULID.
    Ulid,
    /// Hexadecimal digits.
    Hex,
    /// A date or time.
    Date,
    /// An e-mail address.
    Email,
    /// Long and random.
    Token,
    /// Words joined to a title.
    Slug,
    /// A word with digits, such as `user_123`.
    Mixed,
    /// A word that could as well be the API's.
    Word,
    /// Anything else: spaces, other scripts, encoded slashes.
    Text,
}

impl ValueKind {
    /// Every kind, in order.
    pub const ALL: [Self; 11] = [
        Self::Number,
        Self::Uuid,
        Self::Ulid,
        Self::Hex,
        Self::Date,
        Self::Email,
        Self::Token,
        Self::Slug,
        Self::Mixed,
        Self::Word,
        Self::Text,
    ];

    /// Name in templates.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Number | Self::Mixed => "id",
            Self::Uuid => "uuid",
            Self::Ulid => "ulid",
            Self::Hex => "hex",
            Self::Date => "date",
            Self::Email => "email",
            Self::Token => "token",
            Self::Slug => "slug",
            Self::Word => "name",
            Self::Text => "param",
        }
    }
}

/// A step as it is looked up.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    /// The step without matrix parameters (RFC 3986, 3.3).
    pub(super) text: &'a [u8],
    /// The words around values; [`PLAIN`] when the step is nothing else.
    pub(super) pattern: Pattern,
    /// Where the values are in `text`: start and end.
    pub(super) values: SmallVec<[(u16, u16); 2]>,
    /// What the first value looks like.
    pub(super) kind: ValueKind,
}

/// Words around values, short enough to live on the stack.
pub(super) type Pattern = SmallVec<[u8; 32]>;

impl<'a> Segment<'a> {
    /// Takes a step apart.
    pub(super) fn of(step: &'a [u8]) -> Self {
        let text = without_matrix(step);
        if let Some(segment) = Self::call(text).or_else(|| Self::pairs(text)) {
            return segment;
        }
        let core = core_length(text);
        let value = text.get(..core).unwrap_or(text);
        let mut pattern = Pattern::from_slice(PLAIN);
        pattern.extend_from_slice(text.get(core..).unwrap_or_default());
        Self {
            text,
            pattern,
            values: SmallVec::from_slice(&[(0, short(core))]),
            kind: kind_of(value),
        }
    }

    /// Whether it may be a word of the API.
    pub(super) fn is_word(&self) -> bool {
        self.kind == ValueKind::Word
    }

    /// The words before the value and after it are all there is: no value can hide in the pattern.
    pub(super) fn is_plain(&self) -> bool {
        self.pattern.as_slice() == PLAIN
    }

    /// `users(123)`, `users('x')`, `of(name='x',size=3)` (`OData` 4.01, part 2, 4.3 and 4.5).
    fn call(text: &'a [u8]) -> Option<Self> {
        let open = memchr::memchr(b'(', text)?;
        let name = text.get(..open).filter(|name| is_identifier(name))?;
        let inner = text.get(open + 1..)?.strip_suffix(b")")?;
        if inner.is_empty() {
            return None;
        }
        let mut pattern = Pattern::from_slice(name);
        pattern.push(b'(');
        let values = arguments(inner, open + 1, &mut pattern)?;
        pattern.push(b')');
        Self::around(text, pattern, values)
    }

    /// `regions=eu`, `id='a',policy='b'`.
    fn pairs(text: &'a [u8]) -> Option<Self> {
        let equals = memchr::memchr(b'=', text)?;
        let after = text.get(equals + 1..).filter(|after| !after.is_empty())?;
        // Padding of base 64 is no name of a value.
        if after.iter().all(|byte| *byte == b'=') || !text.get(..equals).is_some_and(is_identifier) {
            return None;
        }
        let mut pattern = Pattern::new();
        let values = arguments(text, 0, &mut pattern)?;
        Self::around(text, pattern, values)
    }

    fn around(text: &'a [u8], pattern: Pattern, values: SmallVec<[(u16, u16); 2]>) -> Option<Self> {
        let (start, end) = values.first()?;
        let first = text.get(usize::from(*start)..usize::from(*end))?;
        let kind = match kind_of(first) {
            // Between parentheses and behind `=` stands a value, whatever it looks like.
            ValueKind::Word => ValueKind::Mixed,
            kind => kind,
        };
        (pattern.len() <= MAX_PATTERN).then_some(Self {
            text,
            pattern,
            values,
            kind,
        })
    }
}

/// Writes `name={},name='{}'` and gives where the values are; `None` when it is no list of arguments.
fn arguments(list: &[u8], at: usize, pattern: &mut Pattern) -> Option<SmallVec<[(u16, u16); 2]>> {
    let mut values = SmallVec::new();
    let mut start = at;
    for (number, part) in list.split(|byte| *byte == b',').enumerate() {
        if number > 0 {
            pattern.push(b',');
        }
        let name = memchr::memchr(b'=', part).map_or(0, |equals| equals + 1);
        let (key, value) = part.split_at_checked(name)?;
        let named = key.is_empty() || key.strip_suffix(b"=").is_some_and(is_identifier);
        let quoted = value.len() >= 2 && value.starts_with(b"'") && value.ends_with(b"'");
        if !named || values.len() >= MAX_VALUES {
            return None;
        }
        pattern.extend_from_slice(key);
        pattern.extend_from_slice(if quoted { b"'{}'" } else { PLAIN });
        let inset = usize::from(quoted);
        let from = start + name + inset;
        values.push((short(from), short(start + part.len() - inset)));
        start += part.len() + 1;
    }
    Some(values)
}

/// Where a word is and may be shown: letters, with digits inside that are few.
fn is_identifier(name: &[u8]) -> bool {
    name.len() <= MAX_DECODED
        && name
            .split(|byte| *byte == b'.')
            .all(|part| part.len() <= MAX_IDENTIFIER && is_code_name(part) && may_be_shown(part))
}

/// Longest name of a function or argument in code: generated ones reach 60.
const MAX_IDENTIFIER: usize = 64;

/// Letters with at most four digits, as in `getM365AppUserCounts`.
fn is_code_name(part: &[u8]) -> bool {
    let digits = part.iter().filter(|byte| byte.is_ascii_digit()).count();
    digits <= 4
        && part.first().is_some_and(u8::is_ascii_alphabetic)
        && part
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'$'))
}

/// `;name=value` behind a step is not part of its name.
fn without_matrix(step: &[u8]) -> &[u8] {
    match memchr::memchr(b';', step) {
        Some(at) if at > 0 => step.get(..at).unwrap_or(step),
        _ => step,
    }
}

/// Bytes before `:verb` or `.json`.
fn core_length(text: &[u8]) -> usize {
    if let Some(at) = memchr::memrchr(b':', text)
        && at > 0
        && text.get(at + 1..).is_some_and(is_verb)
    {
        return at;
    }
    if let Some(at) = memchr::memrchr(b'.', text)
        && at > 0
        && text.get(at + 1..).is_some_and(is_extension)
    {
        return at;
    }
    text.len()
}

/// A custom method (AIP-136): camel case, or joined by `_`.
fn is_verb(text: &[u8]) -> bool {
    (2..=40).contains(&text.len())
        && text.first().is_some_and(u8::is_ascii_lowercase)
        && is_code_name(text)
        && !text.contains(&b'-')
        && may_be_shown(text)
}

/// Formats that are an interface's own choice of words.
fn is_extension(text: &[u8]) -> bool {
    const KNOWN: [&[u8]; 34] = [
        b"json", b"xml", b"html", b"htm", b"csv", b"txt", b"pdf", b"png", b"jpg", b"jpeg", b"gif", b"svg",
        b"webp", b"atom", b"rss", b"zip", b"gz", b"tar", b"mp3", b"mp4", b"wav", b"yaml", b"yml", b"jsonld",
        b"js", b"css", b"ico", b"docx", b"xlsx", b"md", b"ics", b"vcf", b"kml", b"php",
    ];
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(text))
}

/// Whether a name may be kept and shown: by its shape, or because it is made of words of interfaces. What [`Shape`] takes
/// for a value and what is no such word is one here, too.
fn may_be_shown(name: &[u8]) -> bool {
    Shape::of(name) == Shape::Word || words::weight(name) <= words::OWN
}

/// What a value looks like, percent-encoding undone.
fn kind_of(value: &[u8]) -> ValueKind {
    let mut room = [0; MAX_DECODED];
    let plain = undo_escapes(value, &mut room).unwrap_or(value);
    if is_signed_number(plain) {
        return ValueKind::Number;
    }
    if is_version(plain) || is_few_digits(plain) && may_be_shown(plain) {
        return ValueKind::Word;
    }
    match Shape::of(plain) {
        // What is encoded needlessly is a value: no author writes his words so.
        Shape::Word if plain.len() != value.len() => ValueKind::Text,
        Shape::Word => ValueKind::Word,
        Shape::Number if plain.iter().all(u8::is_ascii_digit) => ValueKind::Number,
        Shape::Number => ValueKind::Mixed,
        Shape::Uuid => ValueKind::Uuid,
        Shape::Ulid => ValueKind::Ulid,
        Shape::Hex => ValueKind::Hex,
        Shape::Date => ValueKind::Date,
        Shape::Email => ValueKind::Email,
        Shape::Token => long_word(plain),
        Shape::Slug if plain.len() <= MAX_IDENTIFIER && may_be_shown(plain) => ValueKind::Word,
        Shape::Slug => ValueKind::Slug,
        Shape::Odd => ValueKind::Text,
    }
}

/// Words of an API are longer than others where code is generated; they hold no digits and are no jumble.
fn long_word(text: &[u8]) -> ValueKind {
    let letters = text
        .iter()
        .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_' | b'.'));
    let turns = text
        .array_windows()
        .filter(|[first, second]| first.is_ascii_lowercase() && second.is_ascii_uppercase())
        .count();
    if letters && turns * 5 <= text.len() && text.len() <= MAX_IDENTIFIER && may_be_shown(text) {
        ValueKind::Word
    } else {
        ValueKind::Token
    }
}

/// `-3`, `12.5`, `-0.12`: what [`Shape`] would call a version or odd. A version has one digit before its point.
fn is_signed_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let signed = digits.len() != text.len();
    let mut parts = digits.split(|byte| *byte == b'.');
    let number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let (whole, fraction, more) = (parts.next(), parts.next(), parts.next());
    let long = whole.is_some_and(|whole| whole.len() > 1) && fraction.is_some_and(|part| part.len() > 1);
    more.is_none() && whole.is_some_and(number) && fraction.is_none_or(number) && (signed || long)
}

/// `v1`, `v1beta1`, `v1.2`, `V2p1alpha`.
pub(super) fn is_version(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"v").or_else(|| text.strip_prefix(b"V")) else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let tail = rest.get(digits..).unwrap_or_default();
    let runs = tail.split(|byte| !byte.is_ascii_digit());
    let number = rest.get(..digits).unwrap_or_default();
    // A longer number is one of a year, or of a year and a month.
    (matches!(digits, 1..=3) || matches!(digits, 4 | 6) && number.starts_with(b"20"))
        && text.len() <= 16
        && tail
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'.')
        && runs.map(<[u8]>::len).all(|run| run <= 3)
        && is_stage(tail)
}

/// Letters of a version are few words.
fn is_stage(tail: &[u8]) -> bool {
    let mut words = tail
        .split(|byte| !byte.is_ascii_lowercase())
        .filter(|word| !word.is_empty());
    words.all(|word| {
        matches!(
            word,
            b"alpha" | b"beta" | b"p" | b"rc" | b"b" | b"a" | b"preview" | b"eap"
        )
    })
}

/// Long words with one or two digits among many letters: `b2xUserFlows`, `getM365Usage`, `api2`.
fn is_few_digits(text: &[u8]) -> bool {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = text.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let last = text.last().is_some_and(u8::is_ascii_digit);
    (1..=3).contains(&digits)
        && letters >= digits * 6
        && !last
        && text.len() <= MAX_IDENTIFIER
        && text.contains(&b'.').then_some(()).is_none_or(|()| letters >= 8)
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && long_enough_runs(text)
}

/// Letters stand together: a token changes from letters to digits and case at once.
fn long_enough_runs(text: &[u8]) -> bool {
    let longest = text
        .split(|byte| !byte.is_ascii_lowercase())
        .map(<[u8]>::len)
        .max();
    longest.unwrap_or(0) >= 3
}

/// Undoes percent-encoding of a short step; `None` when there is none, or it does not fit.
fn undo_escapes<'a>(step: &[u8], out: &'a mut [u8; MAX_DECODED]) -> Option<&'a [u8]> {
    memchr::memchr(b'%', step)?;
    let mut length = 0;
    let mut rest = step;
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *byte == b'%');
        let decoded = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        *out.get_mut(length)? = decoded.unwrap_or(*byte);
        length += 1;
        rest = if decoded.is_some() { after.get(2..)? } else { after };
    }
    out.get(..length)
}

fn short(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}
