//! What `MessagePack` and CBOR have in common: items with their lengths in front.
//!
//! Takes whole bodies. Gives containers, names and values to a visitor. Never recurses, nor believes a length that the
//! input does not hold. Bounded by `MAX_DEPTH` frames.

use std::fmt::Write as _;

use crate::protocol::chars::Classes;
use crate::protocol::walk::{Coding, Container, Ending, MAX_DEPTH, Refusal, Scalar, Text, Visitor};

/// A format of such items.
pub(super) trait Items {
    /// The item at the front of `input`.
    fn next(input: &[u8]) -> Result<Found<'_>, Stop<'_>>;
}

/// An item and its length; of a container, that of its beginning.
pub(super) struct Found<'a> {
    pub(super) item: Item<'a>,
    pub(super) length: usize,
}

/// One item.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    /// A container of so many values, or up to [`Item::Break`].
    Array(Option<u64>),
    /// As many names and values.
    Map(Option<u64>),
    Break,
    /// Says something of the next item, and is not told.
    Tag,
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Integer(i128),
    Float(f64),
    Bool(bool),
    Null,
}

/// Why there is no item.
pub(super) enum Stop<'a> {
    /// The input ends inside of it; of a text, what is there.
    Cut(Option<&'a [u8]>),
    /// It is none.
    Malformed,
}

/// A container that is not over.
#[derive(Clone, Copy)]
struct Frame {
    /// Items to come, names counted; `None` up to a break.
    left: Option<u64>,
    map: bool,
    /// In a map: a name is next.
    name: bool,
}

/// The containers around, innermost last; so many fit on the stack.
struct Frames {
    frames: [Frame; MAX_DEPTH as usize],
    depth: usize,
}

impl Frames {
    fn innermost(&mut self) -> Option<&mut Frame> {
        let last = self.depth.checked_sub(1)?;
        self.frames.get_mut(last)
    }

    fn push(&mut self, frame: Frame) -> Result<(), Refusal> {
        *self.frames.get_mut(self.depth).ok_or(Refusal::TooDeep)? = frame;
        self.depth += 1;
        Ok(())
    }
}

/// Walks a body of one item, or of several one after the other; gives the bytes before a mistake.
pub(super) fn walk<I: Items>(input: &[u8], visitor: &mut impl Visitor) -> (Ending, usize) {
    let empty = Frame {
        left: Some(0),
        map: false,
        name: false,
    };
    let mut frames = Frames {
        frames: [empty; MAX_DEPTH as usize],
        depth: 0,
    };
    let mut rest = input;
    while !rest.is_empty() {
        let before = input.len() - rest.len();
        match I::next(rest) {
            Ok(found) => {
                if let Err(refusal) = step(found.item, &mut frames, visitor) {
                    return (Ending::Refused(refusal), before);
                }
                rest = rest.get(found.length..).unwrap_or_default();
            }
            Err(Stop::Malformed) => return (Ending::Refused(Refusal::Malformed), before),
            Err(Stop::Cut(text)) => {
                let is_name = frames.innermost().is_some_and(|frame| frame.map && frame.name);
                if let Some(text) = text.filter(|_| !is_name) {
                    let text = Text {
                        cut: true,
                        ..Text::plain(text)
                    };
                    visitor.scalar(Scalar::String, text);
                }
                return (Ending::Cut, input.len());
            }
        }
    }
    let whole = frames.depth == 0 && !input.is_empty();
    (if whole { Ending::Complete } else { Ending::Cut }, input.len())
}

fn step(item: Item<'_>, frames: &mut Frames, visitor: &mut impl Visitor) -> Result<(), Refusal> {
    match item {
        Item::Tag => return Ok(()),
        Item::Break => {
            let open = frames.innermost().filter(|frame| frame.left.is_none());
            // A name without its value is no member.
            if open.is_none_or(|frame| frame.map && !frame.name) {
                return Err(Refusal::Malformed);
            }
            frames.depth = frames.depth.saturating_sub(1);
            visitor.close();
            over(frames, visitor);
            return Ok(());
        }
        _ => {}
    }
    if let Some(frame) = frames.innermost().filter(|frame| frame.map && frame.name) {
        frame.name = false;
        frame.left = frame.left.map(|left| left.saturating_sub(1));
        return name(item, visitor);
    }
    let (left, map) = match item {
        Item::Array(left) => (left, false),
        Item::Map(pairs) => (pairs.map(|pairs| pairs.saturating_mul(2)), true),
        _ => {
            value(item, visitor);
            taken(frames);
            over(frames, visitor);
            return Ok(());
        }
    };
    taken(frames);
    frames.push(Frame { left, map, name: map })?;
    visitor.open(if map { Container::Object } else { Container::Array });
    over(frames, visitor);
    Ok(())
}

/// A value of the innermost container was met.
fn taken(frames: &mut Frames) {
    if let Some(frame) = frames.innermost() {
        frame.left = frame.left.map(|left| left.saturating_sub(1));
        frame.name = frame.map;
    }
}

/// Closes what is over.
fn over(frames: &mut Frames, visitor: &mut impl Visitor) {
    while frames.innermost().is_some_and(|frame| frame.left == Some(0)) {
        frames.depth = frames.depth.saturating_sub(1);
        visitor.close();
    }
}

fn name(item: Item<'_>, visitor: &mut impl Visitor) -> Result<(), Refusal> {
    match item {
        Item::Text(text) | Item::Bytes(text) => visitor.key(Text::plain(text)),
        Item::Integer(number) => visitor.key(Written::new(format_args!("{number}")).text(Classes::NONE)),
        Item::Bool(_) | Item::Null | Item::Float(_) => visitor.key(Text::plain(b"")),
        // A container as a name is legal, and nobody's.
        Item::Array(_) | Item::Map(_) | Item::Break | Item::Tag => return Err(Refusal::Malformed),
    }
    Ok(())
}

fn value(item: Item<'_>, visitor: &mut impl Visitor) {
    let word = |text| Text {
        raw: text,
        classes: Classes::NONE,
        coding: Coding::Plain,
        cut: false,
    };
    match item {
        Item::Text(text) => visitor.scalar(Scalar::String, Text::plain(text)),
        Item::Bytes(bytes) => visitor.scalar(Scalar::Bytes, Text::plain(bytes)),
        Item::Integer(number) => {
            visitor.scalar(
                Scalar::Number,
                Written::new(format_args!("{number}")).text(Classes::NONE),
            );
        }
        // With an exponent, so that it is short.
        Item::Float(number) => {
            let written = Written::new(format_args!("{number:e}"));
            visitor.scalar(Scalar::Number, written.text(Classes::FRACTION));
        }
        Item::Bool(true) => visitor.scalar(Scalar::Bool, word(b"true")),
        Item::Bool(false) => visitor.scalar(Scalar::Bool, word(b"false")),
        Item::Null => visitor.scalar(Scalar::Null, word(b"null")),
        Item::Array(_) | Item::Map(_) | Item::Break | Item::Tag => {}
    }
}

/// A number as decimal text: at most 20 digits and a sign, or 17 digits and an exponent.
struct Written {
    text: [u8; 32],
    length: usize,
}

impl Written {
    fn new(number: std::fmt::Arguments<'_>) -> Self {
        let mut written = Self {
            text: [0; 32],
            length: 0,
        };
        // What does not fit is left out.
        written.write_fmt(number).ok();
        written
    }

    fn text(&self, more: Classes) -> Text<'_> {
        let raw = self.text.get(..self.length).unwrap_or_default();
        let digits = raw.iter().filter(|byte| byte.is_ascii_digit()).count();
        Text {
            raw,
            classes: Classes::of_digits(digits).and(more),
            coding: Coding::Plain,
            cut: false,
        }
    }
}

impl std::fmt::Write for Written {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length.saturating_add(text.len());
        let room = self.text.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// The unsigned number in the `length` bytes behind the first, big-endian; at most eight.
pub(super) fn number(input: &[u8], length: usize) -> Result<u64, Stop<'_>> {
    let bytes = input.get(1..=length).ok_or(Stop::Cut(None))?;
    Ok(bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// The `length` bytes from `start` on, as an item.
pub(super) fn bytes<'a>(
    input: &'a [u8],
    start: usize,
    length: u64,
    item: fn(&'a [u8]) -> Item<'a>,
) -> Result<Found<'a>, Stop<'a>> {
    let end = usize::try_from(length)
        .ok()
        .and_then(|length| start.checked_add(length));
    let found = end.and_then(|end| Some((input.get(start..end)?, end)));
    let Some((text, end)) = found else {
        let there = input.get(start..).unwrap_or_default();
        let told = matches!(item(there), Item::Text(_)).then_some(there);
        return Err(Stop::Cut(told));
    };
    Ok(Found {
        item: item(text),
        length: end,
    })
}
