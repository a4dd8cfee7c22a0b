//! XML 1.0 as events, without a tree and without entities.
//!
//! Takes a whole document or the front of one. Gives each element, attribute and text under its name as written,
//! namespace prefix included. Never expands an entity, fetches or validates anything; what tries to is an anomaly.
//! Bounded by [`MAX_DEPTH`] and the input.
//!
//! An element is a member of the one around it: `<a><b>1</b></a>` is told as `{"a": {"b": "1"}}`. Attributes are members
//! of their element. Where an element has both attributes and text only, it is told twice, as an object of its
//! attributes and as its text, so that the text of an element has the same path with and without them. Text between
//! elements is a member named `#text`.

mod attribute;
#[cfg(test)]
mod tests;
mod text;

use quick_xml::Reader;
use quick_xml::errors::{Error, SyntaxError};
use quick_xml::events::Event;

use super::Anomaly;
use super::walk::{Container, Ending, MAX_DEPTH, Notes, Refusal, Scalar, Text, Visitor};
pub use text::undo;
use text::{is_predefined, told};

/// Name of text that stands between elements. No element can have it.
const MIXED: &[u8] = b"#text";

/// Walks one document; gives the bytes before what was refused. Bytes that are not UTF-8 are to be replaced before: see
/// [`readable`].
pub fn walk(input: &str, visitor: &mut impl Visitor, notes: &mut Notes) -> (Ending, usize) {
    let whole = input.len();
    let input = input.strip_prefix('\u{feff}').unwrap_or(input);
    let mark = whole - input.len();
    let mut reader = Reader::from_str(input);
    let config = reader.config_mut();
    // `a & b` is wrong, and common; it is read as it was meant.
    config.allow_dangling_amp = true;
    let mut walk = Walk {
        input,
        visitor,
        notes,
        leaf: None,
        run: None,
        depth: 0,
        root: false,
    };
    walk.visitor.open(Container::Object);
    loop {
        let from = position(reader.buffer_position());
        let event = reader.read_event();
        let to = position(reader.buffer_position());
        let stepped = match event {
            Ok(Event::Eof) => return (walk.end_of_input(), whole),
            Ok(event) => walk.step(&event, from, to),
            Err(Error::Syntax(error)) => {
                return (walk.cut(error, position(reader.error_position())), whole);
            }
            Err(_) => Err(Refusal::Malformed),
        };
        if let Err(refusal) = stepped {
            walk.flush(false);
            return (Ending::Refused(refusal), mark + from);
        }
    }
}

/// A document as text: itself, or a copy in `scratch` in which what is not UTF-8 is replaced, byte by byte. Markup
/// is ASCII in every encoding that extends ASCII, so only letters of names and values suffer.
pub fn readable<'a>(input: &'a [u8], scratch: &'a mut String) -> &'a str {
    if let Ok(text) = std::str::from_utf8(input) {
        return text;
    }
    scratch.clear();
    for chunk in input.utf8_chunks() {
        scratch.push_str(chunk.valid());
        scratch.extend(chunk.invalid().iter().map(|_| '?'));
    }
    scratch
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

struct Walk<'a, 'v, V> {
    input: &'a str,
    visitor: &'v mut V,
    notes: &'v mut Notes,
    /// The innermost element, while it has no element inside.
    leaf: Option<Leaf<'a>>,
    /// Text under way.
    run: Option<Run>,
    depth: u32,
    /// The root element was seen.
    root: bool,
}

struct Leaf<'a> {
    name: &'a str,
    /// It was told as an object, for its attributes.
    opened: bool,
}

/// Text from its first to its last piece, with what is in between.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
    /// There are references, CDATA sections or comments in it.
    marked: bool,
}

impl<'a, V: Visitor> Walk<'a, '_, V> {
    fn step(&mut self, event: &Event<'a>, from: usize, to: usize) -> Result<(), Refusal> {
        match event {
            Event::Start(_) => self.start(self.slice(from, to)),
            Event::Empty(_) => {
                self.start(self.slice(from, to))?;
                self.end();
                Ok(())
            }
            Event::End(_) => {
                self.end();
                Ok(())
            }
            Event::Text(_) => self.text(from, to, false),
            Event::CData(_) => self.text(from, to, true),
            Event::GeneralRef(name) => {
                if !name.is_char_ref() && !is_predefined(name.as_bytes()) {
                    self.notes.add(Anomaly::XmlEntityUsed);
                }
                self.text(from, to, true)
            }
            Event::DocType(_) => {
                self.doctype(self.slice(from, to));
                Ok(())
            }
            Event::Comment(_) | Event::PI(_) => {
                if let Some(run) = &mut self.run {
                    run.marked = true;
                }
                Ok(())
            }
            Event::Decl(_) | Event::Eof => Ok(()),
        }
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.input.get(from..to).unwrap_or_default()
    }

    fn doctype(&mut self, markup: &str) {
        self.notes.add(Anomaly::XmlDoctype);
        if memchr::memmem::find(markup.as_bytes(), b"<!ENTITY").is_some() {
            self.notes.add(Anomaly::XmlEntityDeclared);
        }
    }

    /// An element begins; `tag` is from `<` to `>`.
    fn start(&mut self, tag: &'a str) -> Result<(), Refusal> {
        if self.depth == MAX_DEPTH {
            self.notes.add(Anomaly::BodyTooDeep);
            return Err(Refusal::TooDeep);
        }
        if self.depth == 0 && std::mem::replace(&mut self.root, true) {
            return Err(Refusal::Malformed);
        }
        self.enter();
        self.depth += 1;
        let content = tag.strip_prefix('<').unwrap_or(tag);
        let content = content.strip_suffix('>').unwrap_or(content);
        let content = content.strip_suffix('/').unwrap_or(content);
        self.element(content);
        Ok(())
    }

    /// The element around is one with elements inside: it is told as an object, with the text before them.
    fn enter(&mut self) {
        if let Some(leaf) = self.leaf.take()
            && !leaf.opened
        {
            self.visitor.key(Text::plain(leaf.name.as_bytes()));
            self.visitor.open(Container::Object);
        }
        self.flush(false);
    }

    /// Name and attributes of an element that begins.
    fn element(&mut self, content: &'a str) {
        let (name, attributes) = attribute::split_name(content);
        let mut opened = false;
        for attribute in attribute::Attributes::new(attributes) {
            if !opened {
                self.visitor.key(Text::plain(name.as_bytes()));
                self.visitor.open(Container::Object);
                opened = true;
            }
            self.visitor.key(Text::plain(attribute.name));
            let value = told(
                attribute.value,
                attribute.cut,
                memchr::memchr(b'&', attribute.value).is_some(),
            );
            text::references(attribute.value, self.notes);
            self.visitor.scalar(Scalar::String, value);
        }
        self.leaf = Some(Leaf { name, opened });
    }

    fn end(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        let Some(leaf) = self.leaf.take() else {
            self.flush(false);
            return self.visitor.close();
        };
        self.leaf_text(&leaf, false);
    }

    /// Text of an element without elements inside.
    fn leaf_text(&mut self, leaf: &Leaf<'a>, cut: bool) {
        let run = self.run.take();
        if leaf.opened {
            self.visitor.close();
            if run.is_none() {
                return;
            }
        }
        self.visitor.key(Text::plain(leaf.name.as_bytes()));
        let (raw, marked) = run.map_or(("", false), |run| (self.slice(run.start, run.end), run.marked));
        self.visitor
            .scalar(Scalar::String, told(raw.as_bytes(), cut, marked));
    }

    fn text(&mut self, from: usize, to: usize, marked: bool) -> Result<(), Refusal> {
        if let Some(run) = &mut self.run {
            run.end = to;
            run.marked |= marked;
            return Ok(());
        }
        // White space between elements is layout.
        let raw = self.slice(from, to);
        let blank = raw.len() - raw.trim_ascii_start().len();
        if blank == raw.len() {
            return Ok(());
        }
        if self.depth == 0 {
            return Err(Refusal::Malformed);
        }
        self.run = Some(Run {
            start: from + blank,
            end: to,
            marked,
        });
        Ok(())
    }

    /// Tells text between elements.
    fn flush(&mut self, cut: bool) {
        if let Some(run) = self.run.take() {
            self.visitor.key(Text::plain(MIXED));
            let raw = self.slice(run.start, run.end);
            self.visitor
                .scalar(Scalar::String, told(raw.as_bytes(), cut, run.marked));
        }
    }

    fn end_of_input(&mut self) -> Ending {
        if self.depth == 0 {
            self.visitor.close();
            return if self.root { Ending::Complete } else { Ending::Cut };
        }
        self.tell_rest();
        Ending::Cut
    }

    /// What is under way at a cut.
    fn tell_rest(&mut self) {
        match self.leaf.take() {
            Some(leaf) if self.run.is_some() => self.leaf_text(&leaf, true),
            _ => self.flush(true),
        }
    }

    /// The input ends inside of the markup that begins at `at`.
    fn cut(&mut self, error: SyntaxError, at: usize) -> Ending {
        const CDATA: &str = "<![CDATA[";
        let markup = self.input.get(at..).unwrap_or_default();
        match error {
            SyntaxError::UnclosedTag
            | SyntaxError::UnclosedSingleQuotedAttributeValue
            | SyntaxError::UnclosedDoubleQuotedAttributeValue
                if !markup.starts_with("</") && self.depth < MAX_DEPTH =>
            {
                self.enter();
                let content = markup.strip_prefix('<').unwrap_or_default();
                // Without anything behind it, the name itself may be cut.
                if content.bytes().any(|byte| byte.is_ascii_whitespace()) {
                    self.element(content);
                }
            }
            SyntaxError::UnclosedCData => {
                let inside = markup.strip_prefix(CDATA).unwrap_or_default();
                let end = self.input.len();
                // Without text before it, the section is told as it is.
                match &mut self.run {
                    Some(run) => (run.end, run.marked) = (end, true),
                    None if inside.is_empty() => {}
                    None => {
                        self.run = Some(Run {
                            start: end - inside.len(),
                            end,
                            marked: false,
                        });
                    }
                }
            }
            SyntaxError::UnclosedDoctype => self.doctype(markup),
            _ => {}
        }
        self.tell_rest();
        Ending::Cut
    }
}
