//! The parts of a multipart body (RFC 2046, 5.1), as far as calls are in them.

/// Parts that are looked at: the one that is wanted is the first, or among the first.
const MAX_PARTS: usize = 16;

/// A part: its head and body.
pub(super) struct Part<'b> {
    head: &'b [u8],
    pub(super) body: &'b [u8],
}

impl Part<'_> {
    /// Whether its `Content-Disposition` gives it this name (RFC 7578, 4.2).
    pub(super) fn is_named(&self, name: &[u8]) -> bool {
        self.head
            .split(|byte| matches!(byte, b'\n' | b';'))
            .filter_map(|item| item.trim_ascii().strip_prefix(b"name="))
            .any(|value| {
                value == name
                    || value
                        .strip_prefix(b"\"")
                        .and_then(|value| value.strip_suffix(b"\""))
                        == Some(name)
            })
    }
}

/// The parts of a body; the last may be cut.
pub(super) fn of<'b>(media: &[u8], body: &'b [u8]) -> impl Iterator<Item = Part<'b>> + use<'b> {
    let mark = super::parameter(media, b"boundary").map(|boundary| {
        // Before the first boundary there is no line feed, so the mark is without one.
        let mut mark = b"--".to_vec();
        mark.extend_from_slice(boundary);
        mark
    });
    let mut rest = mark.as_ref().and_then(|mark| after(body, mark));
    std::iter::from_fn(move || {
        let (mark, part) = (mark.as_ref()?, rest?);
        if part.starts_with(b"--") {
            return None;
        }
        let (body, next) = match memchr::memmem::find(part, mark) {
            Some(at) => (part.get(..at)?, part.get(at + mark.len()..)),
            None => (part, None),
        };
        rest = next;
        split(body)
    })
    .take(MAX_PARTS)
}

fn after<'b>(body: &'b [u8], mark: &[u8]) -> Option<&'b [u8]> {
    let at = memchr::memmem::find(body, mark)?;
    body.get(at + mark.len()..)
}

/// Head and body, at the empty line.
fn split(part: &[u8]) -> Option<Part<'_>> {
    const BLANK: &[u8] = b"\r\n\r\n";
    let at = memchr::memmem::find(part, BLANK)?;
    let body = part.get(at + BLANK.len()..)?;
    Some(Part {
        head: part.get(..at)?,
        body: body.strip_suffix(b"\r\n").unwrap_or(body),
    })
}
