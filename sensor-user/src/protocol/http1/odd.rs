//! Heads that are not quite HTTP/1, read in one way: lines, start lines and fields, and trailer sections.
//!
//! Takes a head up to its empty line, or a trailer section. Gives what is in it and every departure it shows. Never
//! decides where a head ends: the first empty line does, as in the strict reading. Bounded by [`MAX_HEADERS`]; one pass.

use super::framing::Fields;
use super::{Anomalies, Anomaly, Headers, MAX_HEADERS, Span};

/// What was read of a head.
pub(super) struct Reading {
    pub(super) headers: Headers,
    pub(super) fields: Fields,
    pub(super) anomalies: Anomalies,
}

/// The words of a request line.
pub(super) struct RequestLine {
    pub(super) method: Span,
    pub(super) target: Span,
    pub(super) version: u8,
}

/// Adds an anomaly that is not there yet.
pub(super) fn note(anomalies: &mut Anomalies, anomaly: Anomaly) {
    if !anomalies.contains(&anomaly) {
        anomalies.push(anomaly);
    }
}

/// A request line and the fields after it.
pub(super) fn request(head: &[u8]) -> Result<(RequestLine, Reading), Anomaly> {
    let mut anomalies = Anomalies::new();
    let (line, next) = first_line(head, &mut anomalies);
    let line = request_line(line, &mut anomalies)?;
    Ok((line, read_fields(head, next, anomalies)))
}

/// The version and status of a status line, and the fields after it.
pub(super) fn response(head: &[u8]) -> Result<((u8, u16), Reading), Anomaly> {
    let mut anomalies = Anomalies::new();
    let (line, next) = first_line(head, &mut anomalies);
    let line = status_line(line, &mut anomalies)?;
    Ok((line, read_fields(head, next, anomalies)))
}

/// The fields of a trailer section, which begins without a start line.
pub(super) fn trailers(section: &[u8]) -> Reading {
    let mut reading = read_fields(section, 0, Anomalies::new());
    if reading.fields.forbids_trailer {
        note(&mut reading.anomalies, Anomaly::ForbiddenTrailer);
    }
    reading
}

/// The line that begins at the front, and where the next one begins.
fn first_line<'a>(head: &'a [u8], anomalies: &mut Anomalies) -> (&'a [u8], usize) {
    let mut lines = Lines { raw: head, at: 0 };
    let line = lines.next(anomalies).map_or(&[][..], |(_, line)| line);
    (line, lines.at)
}

/// Lines, each ended by LF with or without CR.
struct Lines<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// Where the next line begins, and its bytes; `None` behind the last one and at an empty one.
    fn next(&mut self, anomalies: &mut Anomalies) -> Option<(usize, &'a [u8])> {
        let rest = self.raw.get(self.at..).filter(|rest| !rest.is_empty())?;
        let begin = self.at;
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at = begin + end + 1;
        let line = rest.get(..end)?;
        let line = if let Some(line) = line.strip_suffix(b"\r") {
            line
        } else {
            note(anomalies, Anomaly::BareLf);
            line
        };
        if memchr::memchr(b'\r', line).is_some() {
            note(anomalies, Anomaly::BareCr);
        }
        if memchr::memchr(0, line).is_some() {
            note(anomalies, Anomaly::NulByte);
        }
        (!line.is_empty()).then_some((begin, line))
    }
}

/// White space that separates the words of a start line for a lenient recipient (RFC 9112, 3).
const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// First word, and what follows the white space behind it.
fn word(line: &[u8]) -> (&[u8], &[u8]) {
    let len = line.iter().take_while(|byte| !is_blank(**byte)).count();
    let (word, rest) = line.split_at_checked(len).unwrap_or((line, &[]));
    let blank = rest.iter().take_while(|byte| is_blank(**byte)).count();
    (word, rest.get(blank..).unwrap_or_default())
}

/// `method SP target SP version`, with whatever white space there is.
fn request_line(line: &[u8], anomalies: &mut Anomalies) -> Result<RequestLine, Anomaly> {
    const MALFORMED: Anomaly = Anomaly::MalformedHead;
    let blanks = line.iter().rev().take_while(|byte| is_blank(**byte)).count();
    let trimmed = line.get(..line.len() - blanks).unwrap_or(line);
    let (method, rest) = word(trimmed);
    let last = rest
        .iter()
        .rposition(|byte| is_blank(*byte))
        .map_or(0, |at| at + 1);
    let (before, version) = rest.split_at_checked(last).ok_or(MALFORMED)?;
    let (target, version) = if version.starts_with(b"HTTP/") {
        let end = before
            .iter()
            .rposition(|byte| !is_blank(*byte))
            .ok_or(MALFORMED)?;
        (
            before.get(..=end).unwrap_or_default(),
            self::version(version, anomalies)?,
        )
    } else if method == b"GET" && rest.starts_with(b"/") {
        note(anomalies, Anomaly::MissingVersion);
        (rest, 10)
    } else {
        return Err(MALFORMED);
    };
    // HTTP/2's preface in the words of HTTP/1 (RFC 9113, 3.4).
    if target.is_empty() || (method == b"PRI" && target == b"*") {
        return Err(MALFORMED);
    }
    let words = if anomalies.contains(&Anomaly::MissingVersion) {
        method.len() + 1 + target.len()
    } else {
        // ` HTTP/1.1`
        method.len() + 1 + target.len() + 9
    };
    if line.len() != words
        || line.iter().any(|byte| *byte != b' ' && is_blank(*byte))
        || target.contains(&b' ')
    {
        note(anomalies, Anomaly::OddStartLine);
    }
    let place = |part: &[u8], start: usize| span(start, part.len());
    Ok(RequestLine {
        method: place(method, 0),
        target: place(target, trimmed.len() - rest.len()),
        version,
    })
}

/// `version SP status [ SP reason ]`, with whatever white space there is.
fn status_line(line: &[u8], anomalies: &mut Anomalies) -> Result<(u8, u16), Anomaly> {
    let (version, rest) = word(line);
    let (status, reason) = word(rest);
    let &[a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = status else {
        return Err(Anomaly::MalformedHead);
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    let status = digit(a) * 100 + digit(b) * 10 + digit(c);
    let exact = [version.len() + 4, version.len() + 5 + reason.len()].contains(&line.len());
    // RFC 9112, 4: a reason is text; CR and NUL have names of their own.
    let is_odd = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | 0);
    if !exact || reason.iter().any(is_odd) || line.get(version.len()) != Some(&b' ') {
        note(anomalies, Anomaly::OddStartLine);
    }
    Ok((self::version(version, anomalies)?, status))
}

/// `HTTP/` and two digits: 1.1 and above are read as 1.1, below it as 1.0.
fn version(word: &[u8], anomalies: &mut Anomalies) -> Result<u8, Anomaly> {
    let &[b'H', b'T', b'T', b'P', b'/', major, b'.', minor] = word else {
        return Err(Anomaly::MalformedHead);
    };
    if !major.is_ascii_digit() || !minor.is_ascii_digit() {
        return Err(Anomaly::MalformedHead);
    }
    if major != b'1' || !matches!(minor, b'0' | b'1') {
        note(anomalies, Anomaly::UnknownVersion);
    }
    Ok(if (major, minor) >= (b'1', b'1') { 11 } else { 10 })
}

/// A field whose last line may not have been seen.
struct Open {
    name: Span,
    begin: usize,
    end: usize,
}

/// Field lines from `from` to the empty line.
fn read_fields(raw: &[u8], from: usize, anomalies: Anomalies) -> Reading {
    let mut reading = Reading {
        headers: Headers::new(),
        fields: Fields::default(),
        anomalies,
    };
    let mut lines = Lines { raw, at: from };
    let mut open: Option<Open> = None;
    while let Some((begin, line)) = lines.next(&mut reading.anomalies) {
        let end = begin + line.len();
        if matches!(line, [b' ' | b'\t', ..]) {
            if let Some(open) = &mut open {
                note(&mut reading.anomalies, Anomaly::ObsoleteFolding);
                open.end = end;
            } else {
                note(&mut reading.anomalies, Anomaly::SpaceBeforeField);
            }
            continue;
        }
        if let Some(open) = open.take() {
            reading.close(raw, &open);
        }
        let Some(colon) = memchr::memchr(b':', line) else {
            note(&mut reading.anomalies, Anomaly::FieldWithoutColon);
            continue;
        };
        let name = reading.name(line.get(..colon).unwrap_or_default());
        open = Some(Open {
            name: span(begin, name),
            begin: begin + colon + 1,
            end,
        });
    }
    if let Some(open) = open {
        reading.close(raw, &open);
    }
    reading
}

impl Reading {
    /// Length of a name without the white space behind it.
    fn name(&mut self, raw: &[u8]) -> usize {
        let blanks = raw.iter().rev().take_while(|byte| is_blank(**byte)).count();
        if blanks > 0 {
            note(&mut self.anomalies, Anomaly::SpaceBeforeColon);
        }
        let len = raw.len() - blanks;
        let name = raw.get(..len).unwrap_or_default();
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            note(&mut self.anomalies, Anomaly::BadFieldName);
        }
        len
    }

    /// A field is complete. All count for the framing; so many are kept.
    fn close(&mut self, raw: &[u8], open: &Open) {
        let whole = raw.get(open.begin..open.end).unwrap_or_default();
        let value = trim(whole);
        // Tab, and what has a name of its own: NUL, CR, and the line ends of folding.
        let is_odd = |byte: &u8| byte.is_ascii_control() && !matches!(byte, 0 | b'\t' | b'\r' | b'\n');
        if value.iter().any(is_odd) {
            note(&mut self.anomalies, Anomaly::BadFieldValue);
        }
        self.fields.add(open.name.of(raw), value);
        if self.headers.len() >= MAX_HEADERS {
            return note(&mut self.anomalies, Anomaly::TooManyHeaders);
        }
        let front = whole.iter().take_while(|byte| is_trimmed(**byte)).count();
        self.headers
            .push((open.name, span(open.begin + front, value.len())));
    }
}

/// A value without the white space around it; a bare CR reads as a space (RFC 9112, 2.2), and so does the line end of
/// folding (RFC 9112, 5.2).
pub(super) fn trim(value: &[u8]) -> &[u8] {
    let front = value.iter().take_while(|byte| is_trimmed(**byte)).count();
    let value = value.get(front..).unwrap_or_default();
    let back = value.iter().rev().take_while(|byte| is_trimmed(**byte)).count();
    value.get(..value.len() - back).unwrap_or_default()
}

const fn is_trimmed(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Heads end below 4 GiB, so the numbers fit.
fn span(start: usize, len: usize) -> Span {
    Span {
        start: u32::try_from(start).unwrap_or(u32::MAX),
        len: u32::try_from(len).unwrap_or(0),
    }
}

/// `tchar` of RFC 9110, 5.6.2.
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
