//! Multipart bodies (RFC 2046, 5.1; `multipart/form-data`, RFC 7578): the parts with their names, file names and types.
//!
//! Takes a whole body or the front of one. Gives its parts in order, as slices. Never allocates or decodes: a
//! `Content-Transfer-Encoding` is left as it is (RFC 7578, 4.7 forbids it). Bounded by [`MAX_PARTS`] and [`MAX_HEADER`].

#[cfg(test)]
mod tests;

use memchr::memmem::Finder;

use super::Anomaly;
use super::walk::Notes;

/// Parts that are told. Servers stop at 1,000 (PHP's `max_input_vars`, Django's `DATA_UPLOAD_MAX_NUMBER_FIELDS`).
pub const MAX_PARTS: usize = 1000;

/// Bytes of a part's header: sixteen times what a browser writes for a long file name.
pub const MAX_HEADER: usize = 8 * 1024;

/// Characters of a boundary (RFC 2046, 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// One part. Holds observed bytes, so it prints their number only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// `name` of its `Content-Disposition`, as written.
    pub name: Option<&'a [u8]>,
    /// `filename` of it.
    pub filename: Option<&'a [u8]>,
    /// Its `Content-Type`.
    pub media: Option<&'a [u8]>,
    /// Its content.
    pub content: &'a [u8],
    /// The body ended inside of it.
    pub cut: bool,
}

impl std::fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[part of {} bytes, cut: {}]", self.content.len(), self.cut)
    }
}

/// How a multipart body ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum End {
    /// With its last boundary.
    Closed,
    /// Before it.
    Open,
    /// It is none, or a limit was hit.
    Refused,
}

/// The boundary of a `Content-Type`, or the one that the body itself begins with.
pub fn boundary<'a>(media: &'a [u8], body: &'a [u8], notes: &mut Notes) -> Option<&'a [u8]> {
    let named = parameter(media, b"boundary");
    if let Some(named) = named.filter(|named| is_boundary(named)) {
        return Some(named);
    }
    notes.add(Anomaly::BadBoundary);
    let line = body.strip_prefix(b"--")?;
    let end = memchr::memchr(b'\n', line)?;
    let line = line.get(..end)?.trim_ascii_end();
    is_boundary(line).then_some(line)
}

fn is_boundary(text: &[u8]) -> bool {
    (1..=MAX_BOUNDARY).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

/// Calls `tell` for each part.
pub fn parts<'a>(
    boundary: &[u8],
    body: &'a [u8],
    notes: &mut Notes,
    mut tell: impl FnMut(Part<'a>, &mut Notes),
) -> End {
    let mut delimiter = [0_u8; MAX_BOUNDARY + 2];
    let Some(delimiter) = delimiter.get_mut(..boundary.len() + 2) else {
        return End::Refused;
    };
    delimiter.fill(b'-');
    for (to, from) in delimiter.iter_mut().skip(2).zip(boundary) {
        *to = *from;
    }
    let finder = Finder::new(&*delimiter);
    // What comes before the first boundary is for people to read (RFC 2046, 5.1.1).
    let Some(first) = Delimiter::find(&finder, body) else {
        notes.add(Anomaly::BadBoundary);
        return End::Refused;
    };
    let (mut rest, mut closed) = (body.get(first.end..).unwrap_or_default(), first.last);
    for _ in 0..MAX_PARTS {
        if closed {
            return End::Closed;
        }
        let next = Delimiter::find(&finder, rest);
        let end = next.as_ref().map_or(rest.len(), |next| next.start);
        let raw = rest.get(..end).unwrap_or_default();
        if next.is_some() || !raw.is_empty() {
            match part(raw, next.is_none()) {
                Ok(part) => tell(part, notes),
                Err(Bad::Header) => notes.add(Anomaly::BadPartHeader),
                Err(Bad::Cut) => {}
            }
        }
        let Some(next) = next else {
            return End::Open;
        };
        rest = rest.get(next.end..).unwrap_or_default();
        closed = next.last;
    }
    if closed {
        return End::Closed;
    }
    notes.add(Anomaly::TooManyParts);
    End::Refused
}

/// A boundary's line, with the line break before it, which belongs to it.
struct Delimiter {
    start: usize,
    end: usize,
    last: bool,
}

impl Delimiter {
    fn find(finder: &Finder<'_>, body: &[u8]) -> Option<Self> {
        for at in finder.find_iter(body) {
            let before = body.get(..at).unwrap_or_default();
            let content = match before.strip_suffix(b"\n") {
                Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
                None if before.is_empty() => before,
                None => continue,
            };
            let behind = body.get(at + finder.needle().len()..).unwrap_or_default();
            let (behind, last) = match behind.strip_prefix(b"--") {
                Some(behind) => (behind, true),
                None => (behind, false),
            };
            // White space may follow (RFC 2046, 5.1.1), and nothing else: a longer boundary may begin with this one.
            let blank = behind
                .iter()
                .take_while(|byte| matches!(byte, b' ' | b'\t'))
                .count();
            let line = behind.get(blank..).unwrap_or_default();
            let length = match line {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                [] => 0,
                _ if last => 0,
                _ => continue,
            };
            return Some(Self {
                start: content.len(),
                end: body.len() - line.len() + length,
                last,
            });
        }
        None
    }
}

enum Bad {
    Header,
    Cut,
}

/// Parts a part into its header and its content.
fn part(raw: &[u8], cut: bool) -> Result<Part<'_>, Bad> {
    let mut part = Part {
        name: None,
        filename: None,
        media: None,
        content: &[],
        cut,
    };
    let mut rest = raw;
    loop {
        if raw.len() - rest.len() > MAX_HEADER {
            return Err(Bad::Header);
        }
        let near = rest.get(..=MAX_HEADER).unwrap_or(rest);
        let Some(end) = memchr::memchr(b'\n', near) else {
            // The line break before the boundary may be the one that ends an empty header.
            return match (near.len() > MAX_HEADER, cut, rest.is_empty()) {
                (false, true, _) => Err(Bad::Cut),
                (false, false, true) => Ok(part),
                _ => Err(Bad::Header),
            };
        };
        let (line, after) = rest.split_at_checked(end + 1).unwrap_or_default();
        rest = after;
        let line = line.trim_ascii_end();
        if line.is_empty() {
            part.content = rest;
            return Ok(part);
        }
        let colon = memchr::memchr(b':', line).ok_or(Bad::Header)?;
        let (name, value) = line.split_at_checked(colon).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-disposition") {
            part.name = parameter(value, b"name");
            part.filename = parameter(value, b"filename").or_else(|| parameter(value, b"filename*"));
        } else if name.eq_ignore_ascii_case(b"content-type") {
            part.media = Some(value);
        }
    }
}

/// Value of a parameter (RFC 9110, 5.6.6), quotes removed, escapes left as they are: browsers write none (RFC 7578, 2).
pub fn parameter<'a>(value: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let semicolon = memchr::memchr(b';', value)?;
    let mut rest = value.get(semicolon + 1..)?;
    loop {
        rest = rest.trim_ascii_start();
        let equals = memchr::memchr2(b'=', b';', rest)?;
        let (name, behind) = rest.split_at_checked(equals)?;
        let behind = behind.get(1..)?;
        if rest.get(equals) == Some(&b';') {
            rest = behind;
            continue;
        }
        let (value, after) = if let Some(inside) = behind.strip_prefix(b"\"") {
            quoted(inside)
        } else {
            let end = memchr::memchr(b';', behind).unwrap_or(behind.len());
            let (value, after) = behind.split_at_checked(end)?;
            (value.trim_ascii(), after)
        };
        if name.trim_ascii().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        let semicolon = memchr::memchr(b';', after)?;
        rest = after.get(semicolon + 1..)?;
    }
}

/// The inside of a quoted string whose opening quote is behind, and what follows it.
fn quoted(inside: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(found) = inside
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        let here = at + found;
        if inside.get(here) == Some(&b'"') {
            let (value, after) = inside.split_at_checked(here).unwrap_or_default();
            return (value, after.get(1..).unwrap_or_default());
        }
        at = here + 2;
    }
    (inside, &[])
}
