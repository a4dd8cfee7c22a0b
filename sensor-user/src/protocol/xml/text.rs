//! Character data: references and sections undone, entities not (XML 1.0, 2.4, 2.7, 4.1, 4.6).

use crate::protocol::Anomaly;
use crate::protocol::chars::Classes;
use crate::protocol::walk::{Coding, Notes, Text};

const CDATA: &[u8] = b"<![CDATA[";
const CDATA_END: &[u8] = b"]]>";
const COMMENT: &[u8] = b"<!--";
const COMMENT_END: &[u8] = b"-->";
const INSTRUCTION: &[u8] = b"<?";
const INSTRUCTION_END: &[u8] = b"?>";

/// Longest reference that is looked for: `&#x10FFFF;` with a few zeros in front.
const LONGEST: usize = 16;

/// Longest name of an entity that is looked for: none in use is near, and without a bound a value of ampersands would
/// cost its square.
const LONGEST_ENTITY: usize = 128;

/// The five entities that need no declaration (XML 1.0, 4.6).
const PREDEFINED: [(&[u8], u8); 5] = [
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"amp", b'&'),
    (b"apos", b'\''),
    (b"quot", b'"'),
];

pub(super) fn is_predefined(name: &[u8]) -> bool {
    PREDEFINED.iter().any(|(known, _)| *known == name)
}

/// A value as the visitor gets it. `marked` where there is something to undo.
pub(super) fn told(raw: &[u8], cut: bool, marked: bool) -> Text<'_> {
    let raw = raw.trim_ascii_end();
    // One section and nothing else stands for itself.
    let section = raw
        .strip_prefix(CDATA)
        .and_then(|inside| inside.strip_suffix(CDATA_END));
    let section = section.filter(|inside| memchr::memmem::find(inside, CDATA_END).is_none());
    if let Some(plain) = section.or((!marked).then_some(raw)) {
        return Text {
            cut,
            ..Text::plain(plain)
        };
    }
    Text {
        raw,
        classes: Classes::of(raw).and(Classes::ESCAPE),
        coding: Coding::Xml,
        cut,
    }
}

/// Notes references to entities that were to be expanded.
pub(super) fn references(value: &[u8], notes: &mut Notes) {
    let mut rest = value;
    while let Some(at) = memchr::memchr(b'&', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        let near = rest.get(..=LONGEST_ENTITY).unwrap_or(rest);
        let name = memchr::memchr(b';', near).and_then(|end| near.get(..end));
        // A lone ampersand, as in an address, is a mistake and no reference.
        let is_name = |byte: &u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'.') || *byte >= 0x80
        };
        let foreign = name.filter(|name| {
            !name.is_empty() && !name.starts_with(b"#") && name.iter().all(is_name) && !is_predefined(name)
        });
        if foreign.is_some() {
            return notes.add(Anomaly::XmlEntityUsed);
        }
    }
}

/// Appends what a piece of character data means: references to characters and predefined entities undone, CDATA
/// sections unwrapped, comments and instructions left out. References to other entities stay as written.
pub fn undo(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr2(b'&', b'<', rest) {
        let (plain, markup) = rest.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(plain);
        let used = if markup.first() == Some(&b'&') {
            reference(markup, out)
        } else {
            section(markup, out)
        };
        rest = markup.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// A CDATA section, comment or instruction at the front; gives its length.
fn section(markup: &[u8], out: &mut Vec<u8>) -> usize {
    for (begin, end, keep) in [
        (CDATA, CDATA_END, true),
        (COMMENT, COMMENT_END, false),
        (INSTRUCTION, INSTRUCTION_END, false),
    ] {
        let Some(inside) = markup.strip_prefix(begin) else {
            continue;
        };
        let length = memchr::memmem::find(inside, end);
        let inside = inside.get(..length.unwrap_or(inside.len())).unwrap_or_default();
        if keep {
            out.extend_from_slice(inside);
        }
        return begin.len() + inside.len() + length.map_or(0, |_| end.len());
    }
    out.push(b'<');
    1
}

/// A reference at the front; gives its length.
fn reference(markup: &[u8], out: &mut Vec<u8>) -> usize {
    let near = markup.get(..LONGEST).unwrap_or(markup);
    let name = memchr::memchr(b';', near).and_then(|end| near.get(1..end));
    let Some(name) = name else {
        out.push(b'&');
        return 1;
    };
    let length = name.len() + 2;
    if let Some((_, byte)) = PREDEFINED.iter().find(|(known, _)| *known == name) {
        out.push(*byte);
        return length;
    }
    let code = name
        .strip_prefix(b"#")
        .and_then(|number| match number.strip_prefix(b"x") {
            Some(digits) => number_of(digits, 16),
            None => number_of(number, 10),
        });
    let Some(letter) = code.and_then(char::from_u32) else {
        out.push(b'&');
        return 1;
    };
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    length
}

fn number_of(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        number.checked_mul(radix)?.checked_add(digit)
    })
}
