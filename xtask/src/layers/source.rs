//! Reading Rust well enough to find paths: comments, strings and test code are blanked, lines keep their numbers.

/// A path that stands in the code, such as `["crate", "flow", "Limits"]`, and its line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Path {
    pub(super) line: usize,
    pub(super) parts: Vec<String>,
}

/// The code alone: comments, literals and whatever `#[cfg(test)]` stands before become spaces.
pub(super) fn code(text: &str) -> String {
    without_tests(&without_text(text))
}

fn without_text(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'/')) => find(bytes, at, b"\n"),
            (b'/', Some(b'*')) => comment_end(bytes, at),
            (b'r', Some(b'"' | b'#')) if !is_word(at.checked_sub(1).map(|before| bytes[before])) => {
                raw_string_end(bytes, at)
            }
            (b'"', _) => string_end(bytes, at),
            (b'\'', _) => char_end(bytes, at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        for byte in out.iter_mut().take(end).skip(at).filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn find(bytes: &[u8], from: usize, needle: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(needle.len())
        .position(|window| window == needle)
        .map_or(bytes.len(), |found| from + found)
}

/// Block comments nest.
fn comment_end(bytes: &[u8], from: usize) -> usize {
    let (mut depth, mut at) = (0_u32, from);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") if depth == 1 => return at + 2,
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `r"..."` and `r##"..."##`; an `r#name` is no string.
fn raw_string_end(bytes: &[u8], from: usize) -> usize {
    let hashes = bytes[from + 1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(from + 1 + hashes) != Some(&b'"') {
        return from;
    }
    let closing = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    (find(bytes, from + 2 + hashes, &closing) + closing.len()).min(bytes.len())
}

fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character literal; a lifetime stays.
fn char_end(bytes: &[u8], from: usize) -> usize {
    let escaped = bytes.get(from + 1) == Some(&b'\\');
    // The longest is '\u{10ffff}'; one of several bytes is at most four.
    let reach = if escaped { 12 } else { 6 };
    let start = from + if escaped { 3 } else { 2 };
    let window = bytes
        .get(start..(from + reach).min(bytes.len()))
        .unwrap_or_default();
    match window.iter().position(|byte| *byte == b'\'') {
        Some(found) if escaped || !is_word(bytes.get(from + 1).copied()) || found == 0 => start + found + 1,
        _ => from,
    }
}

fn is_word(byte: Option<u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Blanks the item behind each `#[cfg(test)]`: up to its `;`, or over its braces.
fn without_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    let mut from = 0;
    loop {
        let start = find(&out, from, b"#[cfg(test)]");
        if start >= out.len() {
            return String::from_utf8_lossy(&out).into_owned();
        }
        let end = item_end(&out, start + b"#[cfg(test)]".len());
        for byte in out
            .iter_mut()
            .take(end)
            .skip(start)
            .filter(|byte| **byte != b'\n')
        {
            *byte = b' ';
        }
        from = end;
    }
}

fn item_end(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0_u32;
    for (at, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    bytes.len()
}

/// Every path with at least two parts, trees of `use` taken apart.
pub(super) fn paths(code: &str) -> Vec<Path> {
    let mut reader = Reader {
        tokens: tokens(code),
        at: 0,
        found: Vec::new(),
    };
    while reader.at < reader.tokens.len() {
        let before = reader.at;
        reader.path(&[]);
        reader.at = reader.at.max(before + 1);
    }
    reader.found
}

/// Whether a word stands in the code, and where.
pub(super) fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    tokens(code)
        .into_iter()
        .filter(|(_, token)| token == word)
        .map(|(line, _)| line)
        .collect()
}

/// Lines that call a macro of that name.
pub(super) fn lines_with_macro(code: &str, name: &str) -> Vec<usize> {
    let tokens = tokens(code);
    let calls = tokens.windows(3).filter(|three| {
        // `name != 1` is a comparison.
        three[0].1 == name && three[1].1 == "!" && ["(", "[", "{"].contains(&three[2].1.as_str())
    });
    calls.map(|three| three[0].0).collect()
}

/// Words, `::`, and single other characters, with their lines.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = match first {
                _ if is_name(first) => rest.find(|other| !is_name(other)).unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            let (token, tail) = rest.split_at(len);
            out.push((index + 1, token.to_owned()));
            rest = tail.trim_start();
        }
    }
    out
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

struct Reader {
    tokens: Vec<(usize, String)>,
    at: usize,
    found: Vec<Path>,
}

impl Reader {
    fn token(&self) -> &str {
        self.tokens.get(self.at).map_or("", |(_, token)| token)
    }

    /// One path, or one tree of them behind `front`.
    fn path(&mut self, front: &[String]) {
        let mut parts = front.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |(line, _)| *line);
        while self.token().starts_with(is_name) {
            parts.push(self.token().to_owned());
            self.at += 1;
            if self.token() != "::" {
                break;
            }
            self.at += 1;
            if self.token() == "{" {
                return self.tree(&parts);
            }
        }
        if parts.len() > 1 && parts.len() > front.len() {
            self.found.push(Path { line, parts });
        }
    }

    /// `{a, b::{c, d}}` behind `front`.
    fn tree(&mut self, front: &[String]) {
        self.at += 1;
        while self.at < self.tokens.len() && self.token() != "}" {
            let before = self.at;
            self.path(front);
            self.at = self.at.max(before + 1);
        }
        self.at += 1;
    }
}
