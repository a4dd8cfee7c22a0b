//! One message, field by field, told to a visitor.
//!
//! Takes the bytes of one message, and its type where it is known. Gives names and values to a visitor, and how sure
//! the guesses are. Never recurses: what is open is a stack. Bounded by `MAX_DEPTH` and by `token_bytes` of a value.

use std::io::Write as _;

use super::guess::{Guessed, guess};
use super::schema::{FieldType, Kind, Message};
use super::wire::{Cursor, Field, Stop, Value};
use crate::protocol::chars::Classes;
use crate::protocol::walk::{Coding, Container, Ending, MAX_DEPTH, Refusal, Scalar, Text, Visitor};

/// Bytes of a number as text: 20 digits of 64 bits, 24 characters of a double with its exponent.
const NUMBER_BYTES: usize = 32;

/// Tells messages. Reused, so that nothing is allocated after the first.
#[derive(Debug)]
pub struct Walker {
    token_bytes: usize,
    frames: Vec<Frame>,
    guesses: Guesses,
}

/// What was guessed in one message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guesses {
    /// Length-delimited fields of which the content was guessed.
    pub count: u32,
    /// The least sure of them, in percent; 100 when there was none.
    pub confidence: u8,
}

/// A message or group under way.
#[derive(Clone, Copy, Debug)]
struct Frame {
    /// Where it ends in the input; for a group, where what is around it does.
    end: usize,
    /// Number of the group; 0 is a message.
    group: u32,
    /// Index of its type; `None` without a schema.
    kind: Option<u32>,
    /// The repeated field whose array is open.
    run: Option<u32>,
}

/// What the walk is over.
#[derive(Clone, Copy)]
struct Input<'a, 's> {
    bytes: &'a [u8],
    whole: bool,
    typed: Option<Message<'s>>,
}

impl Walker {
    /// Hands out at most `token_bytes` of a value.
    pub fn new(token_bytes: usize) -> Self {
        Self {
            token_bytes,
            frames: Vec::new(),
            guesses: Guesses::NONE,
        }
    }

    /// Guesses of the last walk.
    pub const fn guesses(&self) -> Guesses {
        self.guesses
    }

    /// Tells one message. `whole`: all of it is there. `typed`: its type, when it is known.
    pub fn walk(
        &mut self,
        bytes: &[u8],
        whole: bool,
        typed: Option<Message<'_>>,
        visitor: &mut impl Visitor,
    ) -> Ending {
        self.guesses = Guesses::NONE;
        self.frames.clear();
        self.frames.push(Frame {
            end: bytes.len(),
            group: 0,
            kind: typed.map(|message| message.id),
            run: None,
        });
        visitor.open(Container::Object);
        let input = Input { bytes, whole, typed };
        let refused = self.run(input, visitor).err();
        let grouped = self.frames.iter().any(|frame| frame.group != 0);
        while let Some(frame) = self.frames.pop() {
            frame.close(visitor);
        }
        match refused {
            Some(Stopped::Refused(refusal)) => Ending::Refused(refusal),
            Some(Stopped::Cut) => Ending::Cut,
            None if !whole => Ending::Cut,
            None if grouped => Ending::Refused(Refusal::Malformed),
            None => Ending::Complete,
        }
    }

    fn run(&mut self, input: Input<'_, '_>, visitor: &mut impl Visitor) -> Result<(), Stopped> {
        let mut at = 0;
        while let Some(frame) = self.frames.last().copied() {
            let rest = input.bytes.get(at..frame.end).unwrap_or_default();
            if rest.is_empty() {
                // Whether groups may be open here is the caller's question.
                if frame.group != 0 || self.frames.len() == 1 {
                    return Ok(());
                }
                frame.close(visitor);
                self.frames.pop();
                continue;
            }
            let mut cursor = Cursor::new(rest);
            let field = cursor.field().map_err(|stop| input.stopped(stop, frame.end))?;
            at += rest.len() - cursor.rest().len();
            let here = Here {
                input,
                frame,
                end: at,
            };
            match self.field(here, field, visitor)? {
                Then::GoOn => {}
                Then::Enter(length) => at -= length,
            }
        }
        Ok(())
    }

    /// Tells one field, or opens it.
    fn field(
        &mut self,
        here: Here<'_, '_>,
        field: Field<'_>,
        visitor: &mut impl Visitor,
    ) -> Result<Then, Stopped> {
        if field.value == Value::EndGroup {
            return self.end_group(here.frame, field.number, visitor);
        }
        let typed = here
            .input
            .typed
            .zip(here.frame.kind)
            .and_then(|(message, kind)| message.of_same(kind).field(field.number))
            .filter(|known| known.accepts(field.value));
        self.name(here.frame, field.number, typed, visitor);
        let kind = typed.map_or(Kind::Unknown, |known| known.kind);
        match field.value {
            Value::StartGroup => self.enter(here.frame.end, field.number, kind, visitor)?,
            Value::Bytes { bytes, missing } => return self.delimited(here, kind, bytes, missing, visitor),
            Value::Varint(value) => varint(kind, value, visitor),
            Value::Fixed32(value) => fixed32(kind, value, visitor),
            Value::Fixed64(value) => fixed64(kind, value, visitor),
            Value::EndGroup => {}
        }
        Ok(Then::GoOn)
    }

    /// Tells the name, and where the values of a repeated field begin and end.
    fn name(&mut self, frame: Frame, number: u32, typed: Option<&FieldType>, visitor: &mut impl Visitor) {
        if frame.run == Some(number) {
            return;
        }
        if frame.run.is_some() {
            visitor.close();
        }
        let mut buffer = Digits::default();
        let (raw, coding) = match typed {
            Some(known) => (&*known.name, Coding::Plain),
            None => (buffer.write(format_args!("{number}")), Coding::FieldNumber),
        };
        visitor.key(Text {
            raw,
            classes: Classes::NONE,
            coding,
            cut: false,
        });
        let repeated = typed.is_some_and(|known| known.repeated);
        if repeated {
            visitor.open(Container::Array);
        }
        if let Some(top) = self.frames.last_mut() {
            top.run = repeated.then_some(number);
        }
    }

    fn delimited(
        &mut self,
        here: Here<'_, '_>,
        kind: Kind,
        bytes: &[u8],
        missing: u64,
        visitor: &mut impl Visitor,
    ) -> Result<Then, Stopped> {
        let whole = missing == 0;
        let (opens, kind) = self.meaning(kind, bytes, whole);
        match opens {
            Guessed::Message => {
                self.enter(here.end, 0, kind, visitor)?;
                return Ok(Then::Enter(bytes.len()));
            }
            Guessed::Packed => {
                let in_run = self.frames.last().is_some_and(|top| top.run.is_some());
                packed(kind, bytes, in_run, visitor);
            }
            Guessed::Text => self.text(Scalar::String, bytes, whole, visitor),
            Guessed::Bytes => self.text(Scalar::Bytes, bytes, whole, visitor),
        }
        if whole {
            Ok(Then::GoOn)
        } else {
            Err(here.input.stopped(Stop::Cut, here.frame.end))
        }
    }

    /// What is made of a length-delimited field: by its type, else by a guess.
    fn meaning(&mut self, kind: Kind, bytes: &[u8], whole: bool) -> (Guessed, Kind) {
        match kind {
            Kind::Message(_) => (Guessed::Message, kind),
            Kind::Text if whole && std::str::from_utf8(bytes).is_err() => (Guessed::Bytes, kind),
            Kind::Text => (Guessed::Text, kind),
            Kind::Bytes => (Guessed::Bytes, kind),
            Kind::Unknown => {
                let guess = guess(bytes, whole);
                self.guesses.count = self.guesses.count.saturating_add(1);
                self.guesses.confidence = self.guesses.confidence.min(guess.confidence);
                (guess.kind, Kind::Unknown)
            }
            _ => (Guessed::Packed, kind),
        }
    }

    fn text(&self, scalar: Scalar, bytes: &[u8], whole: bool, visitor: &mut impl Visitor) {
        let raw = bytes.get(..self.token_bytes).unwrap_or(bytes);
        visitor.scalar(
            scalar,
            Text {
                raw,
                classes: if scalar == Scalar::String {
                    Classes::of(raw)
                } else {
                    Classes::NONE
                },
                coding: Coding::Plain,
                cut: !whole || raw.len() < bytes.len(),
            },
        );
    }

    fn enter(
        &mut self,
        end: usize,
        group: u32,
        kind: Kind,
        visitor: &mut impl Visitor,
    ) -> Result<(), Stopped> {
        // Arrays of repeated fields nest as well.
        let arrays = self.frames.iter().filter(|frame| frame.run.is_some()).count();
        if self.frames.len() + arrays >= MAX_DEPTH as usize {
            return Err(Stopped::Refused(Refusal::TooDeep));
        }
        visitor.open(Container::Object);
        self.frames.push(Frame {
            end,
            group,
            kind: match kind {
                Kind::Message(id) => Some(id),
                _ => None,
            },
            run: None,
        });
        Ok(())
    }

    fn end_group(&mut self, frame: Frame, number: u32, visitor: &mut impl Visitor) -> Result<Then, Stopped> {
        if frame.group != number {
            return Err(Stopped::Refused(Refusal::Malformed));
        }
        frame.close(visitor);
        self.frames.pop();
        Ok(Then::GoOn)
    }
}

impl Guesses {
    const NONE: Self = Self {
        count: 0,
        confidence: 100,
    };
}

impl Frame {
    fn close(self, visitor: &mut impl Visitor) {
        if self.run.is_some() {
            visitor.close();
        }
        visitor.close();
    }
}

/// Where a field stands.
#[derive(Clone, Copy)]
struct Here<'a, 's> {
    input: Input<'a, 's>,
    frame: Frame,
    /// Its end in the input.
    end: usize,
}

/// How the walk goes on after a field.
enum Then {
    GoOn,
    /// With its content, which has so many bytes.
    Enter(usize),
}

/// Why the walk ends early.
enum Stopped {
    Cut,
    Refused(Refusal),
}

impl Input<'_, '_> {
    /// What ends early at the end of a cut message was cut with it; elsewhere it is malformed.
    fn stopped(&self, stop: Stop, end: usize) -> Stopped {
        if stop == Stop::Cut && !self.whole && end == self.bytes.len() {
            Stopped::Cut
        } else {
            Stopped::Refused(Refusal::Malformed)
        }
    }
}

impl FieldType {
    /// Whether the value can be of this type; a schema may be older than the message. Numbers may be packed or not,
    /// whatever the schema says.
    fn accepts(&self, value: Value<'_>) -> bool {
        match (self.kind, value) {
            (Kind::Text | Kind::Bytes, Value::Bytes { .. })
            | (Kind::Message(_), Value::Bytes { .. } | Value::StartGroup)
            | (Kind::Unknown, _)
            | (Kind::Signed | Kind::Unsigned | Kind::Zigzag | Kind::Bool, Value::Varint(_))
            | (Kind::Float | Kind::Fixed32 | Kind::SignedFixed32, Value::Fixed32(_))
            | (Kind::Double | Kind::Fixed64 | Kind::SignedFixed64, Value::Fixed64(_)) => true,
            (Kind::Text | Kind::Bytes | Kind::Message(_), _) => false,
            (_, Value::Bytes { .. }) => self.repeated,
            _ => false,
        }
    }
}

fn varint(kind: Kind, value: u64, visitor: &mut impl Visitor) {
    let mut buffer = Digits::default();
    match kind {
        Kind::Bool => {
            let word: &[u8] = if value == 0 { b"false" } else { b"true" };
            visitor.scalar(Scalar::Bool, Text::plain(word));
        }
        Kind::Unsigned => whole_number(buffer.write(format_args!("{value}")), visitor),
        Kind::Zigzag => {
            let value = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
            whole_number(buffer.write(format_args!("{value}")), visitor);
        }
        // Negative numbers are written as 64 bits; unsigned ones above 2^63 are rare.
        _ => whole_number(buffer.write(format_args!("{}", value.cast_signed())), visitor),
    }
}

fn fixed32(kind: Kind, bytes: [u8; 4], visitor: &mut impl Visitor) {
    let mut buffer = Digits::default();
    let (value, float) = (u32::from_le_bytes(bytes), f32::from_le_bytes(bytes));
    match kind {
        Kind::Fixed32 => whole_number(buffer.write(format_args!("{value}")), visitor),
        Kind::SignedFixed32 => whole_number(buffer.write(format_args!("{}", value.cast_signed())), visitor),
        Kind::Unknown if !is_likely_float(f64::from(float)) => {
            whole_number(buffer.write(format_args!("{value}")), visitor);
        }
        _ => fraction(buffer.write(format_args!("{float:e}")), visitor),
    }
}

fn fixed64(kind: Kind, bytes: [u8; 8], visitor: &mut impl Visitor) {
    let mut buffer = Digits::default();
    let (value, float) = (u64::from_le_bytes(bytes), f64::from_le_bytes(bytes));
    match kind {
        Kind::Fixed64 => whole_number(buffer.write(format_args!("{value}")), visitor),
        Kind::SignedFixed64 => whole_number(buffer.write(format_args!("{}", value.cast_signed())), visitor),
        Kind::Unknown if !is_likely_float(float) => {
            whole_number(buffer.write(format_args!("{value}")), visitor);
        }
        _ => fraction(buffer.write(format_args!("{float:e}")), visitor),
    }
}

/// Whether bits without a type are a fraction: people's quantities are of such size, and read as a fraction small
/// whole numbers are far below it, times in seconds and nanoseconds and most hashes far beyond.
fn is_likely_float(value: f64) -> bool {
    (1e-9..1e15).contains(&value.abs())
}

/// Tells packed numbers. Without a type they are varints.
fn packed(kind: Kind, bytes: &[u8], in_run: bool, visitor: &mut impl Visitor) {
    if !in_run {
        visitor.open(Container::Array);
    }
    let mut cursor = Cursor::new(bytes);
    // What is not a whole number at the end was cut, or is the peer's mistake.
    while !cursor.is_empty() {
        let told = match kind {
            Kind::Double | Kind::Fixed64 | Kind::SignedFixed64 => {
                cursor.fixed().map(|value| fixed64(kind, value, visitor))
            }
            Kind::Float | Kind::Fixed32 | Kind::SignedFixed32 => {
                cursor.fixed().map(|value| fixed32(kind, value, visitor))
            }
            _ => cursor.varint().map(|value| varint(kind, value, visitor)),
        };
        if told.is_err() {
            break;
        }
    }
    if !in_run {
        visitor.close();
    }
}

fn whole_number(digits: &[u8], visitor: &mut impl Visitor) {
    visitor.scalar(Scalar::Number, Text::plain(digits));
}

fn fraction(digits: &[u8], visitor: &mut impl Visitor) {
    let text = Text::plain(digits);
    let classes = text.classes.and(Classes::FRACTION);
    visitor.scalar(Scalar::Number, Text { classes, ..text });
}

/// A number as text, on the stack.
#[derive(Default)]
struct Digits([u8; NUMBER_BYTES]);

impl Digits {
    fn write(&mut self, number: std::fmt::Arguments<'_>) -> &[u8] {
        let mut rest = self.0.as_mut_slice();
        // Every number fits; one that did not would be cut.
        let left = match rest.write_fmt(number) {
            Ok(()) => rest.len(),
            Err(_) => 0,
        };
        self.0.get(..NUMBER_BYTES - left).unwrap_or_default()
    }
}
