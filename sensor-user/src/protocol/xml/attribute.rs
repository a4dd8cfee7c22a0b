//! Attributes of a start tag, whole or cut (XML 1.0, 3.1). Duplicates are told as often as they come: looking for them
//! costs the square of their number.

/// An attribute as written.
pub(super) struct Attribute<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    /// The closing quote is missing.
    pub(super) cut: bool,
}

/// The rest of a tag.
pub(super) struct Attributes<'a>(&'a [u8]);

/// Parts a tag's content into its name and the rest.
pub(super) fn split_name(content: &str) -> (&str, &str) {
    let end = content
        .find(|letter: char| letter.is_ascii_whitespace() || letter == '/')
        .unwrap_or(content.len());
    content.split_at_checked(end).unwrap_or_default()
}

impl<'a> Attributes<'a> {
    pub(super) fn new(rest: &'a str) -> Self {
        Self(rest.as_bytes())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        // A word without a value is none of XML, and skipped.
        let equals = memchr::memchr(b'=', self.0)?;
        let (front, behind) = self.0.split_at_checked(equals)?;
        let name = front.trim_ascii_end();
        let start = name.iter().rposition(u8::is_ascii_whitespace);
        let name = name.get(start.map_or(0, |start| start + 1)..)?;
        let behind = behind.get(1..)?.trim_ascii_start();
        let (quote, inside) = behind.split_first()?;
        if !matches!(quote, b'"' | b'\'') {
            // Unquoted, as in HTML: up to the next white space.
            let end = behind.iter().position(u8::is_ascii_whitespace);
            let (value, rest) = behind.split_at_checked(end.unwrap_or(behind.len()))?;
            self.0 = rest;
            return Some(Attribute {
                name,
                value,
                cut: false,
            });
        }
        let end = memchr::memchr(*quote, inside);
        let (value, rest) = inside.split_at_checked(end.unwrap_or(inside.len()))?;
        self.0 = rest.get(1..).unwrap_or_default();
        Some(Attribute {
            name,
            value,
            cut: end.is_none(),
        })
    }
}
