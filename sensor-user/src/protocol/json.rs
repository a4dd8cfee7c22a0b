//! JSON (RFC 8259) as events, without a tree.
//!
//! Takes a document in slices, however split. Gives each key and scalar, once and whole, with the kinds of its
//! characters. Never allocates except for the one token that straddles two slices. Bounded by [`MAX_DEPTH`] and the
//! token limit handed in. Strings need not be UTF-8: the sensor reads what the peer wrote.

mod number;
mod unescape;

use crate::protocol::chars::{self, Classes};
use number::NumberStep;

pub use unescape::unescape;

/// Nesting that is followed. `serde_json` stops at the same depth; a `u128` holds one bit per level.
pub const MAX_DEPTH: u32 = 128;

/// What a document is told to.
pub trait Visitor {
    /// An object or array begins.
    fn open(&mut self, container: Container);
    /// The innermost container ends.
    fn close(&mut self);
    /// Name of the member that follows.
    fn key(&mut self, text: Text<'_>);
    /// A value that is no container.
    fn scalar(&mut self, kind: Scalar, text: Text<'_>);
}

/// Kind of container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Container {
    /// `{`.
    Object,
    /// `[`.
    Array,
}

/// Kind of scalar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scalar {
    /// A string.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// `null`.
    Null,
}

/// A token as written: of a string what is between the quotes, escapes not undone. Prints its length only.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    /// The bytes, at most as many as the token limit.
    pub raw: &'a [u8],
    /// Kinds of characters in the whole token; of a key only [`Classes::ESCAPE`], when an escape is in it.
    pub classes: Classes,
    /// The token is longer than the limit, or the input ended inside of it.
    pub cut: bool,
}

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes, cut: {}]", self.raw.len(), self.cut)
    }
}

/// Why a document was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// It is not JSON.
    Malformed,
    /// It nests deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// How a document ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Ending {
    /// One whole value.
    Complete,
    /// The input ended first; everything up to there was told.
    Cut,
    /// It was refused; everything up to there was told.
    Refused(Refusal),
}

/// Walks one document; [`Walker::restart`] makes it ready for the next.
#[derive(Debug)]
pub struct Walker {
    expect: Expect,
    token: Option<Token>,
    /// One bit per level, innermost lowest: 1 is an object. Invariant: no bit above `depth` is set.
    nesting: u128,
    depth: u32,
    carry: Carry,
    token_bytes: usize,
    consumed: usize,
    /// Bytes of `consumed` that belong to the interrupted token.
    pending: usize,
    refusal: Option<Refusal>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

/// A token that the end of a slice interrupted.
#[derive(Clone, Copy, Debug)]
enum Token {
    String(StringStep),
    Number(NumberStep),
    Word(Word, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum StringStep {
    Plain,
    Escape,
    Hex(u8),
}

#[derive(Clone, Copy, Debug)]
enum Word {
    True,
    False,
    Null,
}

/// Front of the interrupted token.
#[derive(Debug, Default)]
struct Carry {
    /// Invariant: at most the token limit.
    bytes: Vec<u8>,
    classes: Classes,
    overlong: bool,
}

impl Walker {
    /// A walker that hands out at most `token_bytes` of one token.
    pub fn new(token_bytes: usize) -> Self {
        Self {
            expect: Expect::Value,
            token: None,
            nesting: 0,
            depth: 0,
            carry: Carry::default(),
            token_bytes,
            consumed: 0,
            pending: 0,
            refusal: None,
        }
    }

    /// Forgets the document; keeps the memory.
    pub fn restart(&mut self) {
        self.expect = Expect::Value;
        self.token = None;
        self.nesting = 0;
        self.depth = 0;
        self.carry.clear();
        self.consumed = 0;
        self.pending = 0;
        self.refusal = None;
    }

    /// Takes the next slice of the document.
    pub fn feed(&mut self, input: &[u8], visitor: &mut impl Visitor) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let mut rest = input;
        let result = self.run(&mut rest, visitor);
        self.consumed = self.consumed.saturating_add(input.len() - rest.len());
        self.refusal = result.err();
        result
    }

    /// Bytes before the token that was refused or is under way.
    pub const fn accepted(&self) -> usize {
        self.consumed.saturating_sub(self.pending)
    }

    /// The document is over. A token that was under way is told as cut.
    pub fn finish(&mut self, visitor: &mut impl Visitor) -> Ending {
        if let Some(refusal) = self.refusal {
            return Ending::Refused(refusal);
        }
        match self.token.take() {
            // A number at top level has no delimiter of its own.
            Some(Token::Number(step)) if step.accepts() && self.depth == 0 => {
                self.tell_carried(Role::Number, false, visitor);
            }
            Some(Token::Number(_)) => self.tell_carried(Role::Number, true, visitor),
            Some(Token::String(_)) => {
                let role = self.string_role();
                self.tell_carried(role, true, visitor);
            }
            Some(Token::Word(..)) | None => {}
        }
        if self.expect == Expect::Nothing {
            Ending::Complete
        } else {
            Ending::Cut
        }
    }

    fn run(&mut self, rest: &mut &[u8], visitor: &mut impl Visitor) -> Result<(), Refusal> {
        if let Some(token) = self.token.take() {
            self.resume(token, rest, visitor)?;
            if self.token.is_none() {
                self.pending = 0;
            }
        }
        while let Some((byte, after)) = skip_space(rest) {
            match (self.expect, byte) {
                (Expect::CommaOrEnd, b',') => {
                    *rest = after;
                    self.comma(rest, visitor)?;
                }
                (Expect::Key | Expect::KeyOrEnd, b'"') => {
                    *rest = after;
                    self.key(rest, visitor)?;
                }
                (Expect::Colon, b':') => {
                    *rest = after;
                    self.expect = Expect::Value;
                }
                (Expect::CommaOrEnd | Expect::ValueOrEnd, b']') if !self.in_object() => {
                    *rest = after;
                    self.close(visitor);
                }
                (Expect::CommaOrEnd | Expect::KeyOrEnd, b'}') if self.in_object() => {
                    *rest = after;
                    self.close(visitor);
                }
                (Expect::Value | Expect::ValueOrEnd, _) => self.value(byte, after, rest, visitor)?,
                _ => return Err(Refusal::Malformed),
            }
        }
        Ok(())
    }

    /// After a comma. Without white space the key follows at once, and the next state need not be looked up.
    #[inline]
    fn comma(&mut self, rest: &mut &[u8], visitor: &mut impl Visitor) -> Result<(), Refusal> {
        if !self.in_object() {
            self.expect = Expect::Value;
            return Ok(());
        }
        self.expect = Expect::Key;
        if let Some((b'"', after)) = rest.split_first() {
            *rest = after;
            return self.key(rest, visitor);
        }
        Ok(())
    }

    /// A key whose opening quote is behind, and the colon when it follows at once.
    #[inline(always)]
    fn key(&mut self, rest: &mut &[u8], visitor: &mut impl Visitor) -> Result<(), Refusal> {
        let length = chars::plain_length(rest);
        let (token, after) = rest.split_at_checked(length).unwrap_or_default();
        let Some((b'"', after)) = after.split_first() else {
            return self.string(StringStep::Plain, Role::Key, rest, visitor);
        };
        *rest = after;
        self.expect = Expect::Colon;
        visitor.key(self.whole(token, Classes::NONE));
        if let Some((b':', after)) = rest.split_first() {
            *rest = after;
            self.expect = Expect::Value;
        }
        Ok(())
    }

    #[inline(always)]
    fn value<'a>(
        &mut self,
        byte: u8,
        after: &'a [u8],
        rest: &mut &'a [u8],
        visitor: &mut impl Visitor,
    ) -> Result<(), Refusal> {
        let word = match byte {
            b'"' => {
                *rest = after;
                return self.text(rest, visitor);
            }
            b'-' | b'0'..=b'9' => return self.number(NumberStep::Start, rest, visitor),
            b'{' => {
                *rest = after;
                return self.open(Container::Object, visitor);
            }
            b'[' => {
                *rest = after;
                return self.open(Container::Array, visitor);
            }
            b't' => Word::True,
            b'f' => Word::False,
            b'n' => Word::Null,
            _ => return Err(Refusal::Malformed),
        };
        self.word(word, 0, rest, visitor)
    }

    /// A string value whose opening quote is behind.
    #[inline(always)]
    fn text(&mut self, rest: &mut &[u8], visitor: &mut impl Visitor) -> Result<(), Refusal> {
        let (length, classes) = chars::plain_run(rest);
        let (token, after) = rest.split_at_checked(length).unwrap_or_default();
        let Some((b'"', after)) = after.split_first() else {
            return self.string(StringStep::Plain, Role::String, rest, visitor);
        };
        *rest = after;
        self.after_value();
        visitor.scalar(Scalar::String, self.whole(token, classes));
        Ok(())
    }

    fn resume(&mut self, token: Token, rest: &mut &[u8], visitor: &mut impl Visitor) -> Result<(), Refusal> {
        match token {
            Token::String(step) => self.string(step, self.string_role(), rest, visitor),
            Token::Number(step) => self.number(step, rest, visitor),
            Token::Word(word, matched) => self.word(word, matched, rest, visitor),
        }
    }

    fn open(&mut self, container: Container, visitor: &mut impl Visitor) -> Result<(), Refusal> {
        if self.depth == MAX_DEPTH {
            return Err(Refusal::TooDeep);
        }
        self.depth += 1;
        self.nesting <<= 1;
        self.expect = Expect::ValueOrEnd;
        if container == Container::Object {
            self.nesting |= 1;
            self.expect = Expect::KeyOrEnd;
        }
        visitor.open(container);
        Ok(())
    }

    fn close(&mut self, visitor: &mut impl Visitor) {
        self.depth = self.depth.saturating_sub(1);
        self.nesting >>= 1;
        self.after_value();
        visitor.close();
    }

    #[inline]
    fn after_value(&mut self) {
        self.expect = if self.depth == 0 {
            Expect::Nothing
        } else {
            Expect::CommaOrEnd
        };
    }

    #[inline]
    const fn in_object(&self) -> bool {
        self.nesting & 1 == 1
    }

    const fn string_role(&self) -> Role {
        if matches!(self.expect, Expect::Key | Expect::KeyOrEnd) {
            Role::Key
        } else {
            Role::String
        }
    }

    /// Reads on in a string whose opening quote is behind: one with escapes, or interrupted.
    #[cold]
    fn string(
        &mut self,
        mut step: StringStep,
        role: Role,
        rest: &mut &[u8],
        visitor: &mut impl Visitor,
    ) -> Result<(), Refusal> {
        let mut classes = Classes::NONE;
        let end = scan_string(rest, &mut step, &mut classes)?;
        if role == Role::Key {
            classes = classes.escape();
        }
        let Some(end) = end else {
            self.carry.push(rest, classes, self.token_bytes);
            self.interrupt(Token::String(step), rest);
            return Ok(());
        };
        let (token, after) = rest.split_at_checked(end).unwrap_or_default();
        *rest = after.get(1..).unwrap_or_default();
        self.tell(role, token, classes, visitor);
        Ok(())
    }

    #[inline]
    fn number(
        &mut self,
        mut step: NumberStep,
        rest: &mut &[u8],
        visitor: &mut impl Visitor,
    ) -> Result<(), Refusal> {
        let mut classes = Classes::NONE;
        let Some(end) = number::scan(rest, &mut step, &mut classes)? else {
            self.carry.push(rest, classes, self.token_bytes);
            self.interrupt(Token::Number(step), rest);
            return Ok(());
        };
        let (token, after) = rest.split_at_checked(end).unwrap_or_default();
        *rest = after;
        self.tell(Role::Number, token, classes, visitor);
        Ok(())
    }

    fn interrupt(&mut self, token: Token, rest: &mut &[u8]) {
        self.token = Some(token);
        self.pending = self.pending.saturating_add(rest.len());
        *rest = &[];
    }

    fn word(
        &mut self,
        word: Word,
        matched: usize,
        rest: &mut &[u8],
        visitor: &mut impl Visitor,
    ) -> Result<(), Refusal> {
        let whole = word.text();
        let wanted = whole.get(matched..).unwrap_or_default();
        let here = wanted.len().min(rest.len());
        if rest.get(..here) != wanted.get(..here) {
            return Err(Refusal::Malformed);
        }
        if here < wanted.len() {
            self.interrupt(Token::Word(word, matched + here), rest);
            return Ok(());
        }
        *rest = rest.get(here..).unwrap_or_default();
        self.after_value();
        let text = Text {
            raw: whole,
            classes: Classes::NONE,
            cut: false,
        };
        visitor.scalar(word.kind(), text);
        Ok(())
    }

    /// Tells a token whose last part is `token`; an earlier part is in the carry.
    #[inline]
    fn tell(&mut self, role: Role, token: &[u8], classes: Classes, visitor: &mut impl Visitor) {
        if !self.carry.is_empty() {
            self.carry.push(token, classes, self.token_bytes);
            return self.tell_carried(role, false, visitor);
        }
        self.expect_after(role);
        role.tell(self.whole(token, classes), visitor);
    }

    #[inline]
    fn whole<'a>(&self, token: &'a [u8], classes: Classes) -> Text<'a> {
        Text {
            raw: token.get(..self.token_bytes).unwrap_or(token),
            classes,
            cut: token.len() > self.token_bytes,
        }
    }

    #[cold]
    fn tell_carried(&mut self, role: Role, ended: bool, visitor: &mut impl Visitor) {
        if !ended {
            self.expect_after(role);
        }
        let text = Text {
            raw: &self.carry.bytes,
            classes: self.carry.classes,
            cut: ended || self.carry.overlong,
        };
        role.tell(text, visitor);
        self.carry.clear();
    }

    #[inline]
    fn expect_after(&mut self, role: Role) {
        match role {
            Role::Key => self.expect = Expect::Colon,
            Role::String | Role::Number => self.after_value(),
        }
    }
}

/// What a token that may be interrupted is to the document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Key,
    String,
    Number,
}

impl Role {
    #[inline]
    fn tell(self, text: Text<'_>, visitor: &mut impl Visitor) {
        match self {
            Self::Key => visitor.key(text),
            Self::String => visitor.scalar(Scalar::String, text),
            Self::Number => visitor.scalar(Scalar::Number, text),
        }
    }
}

impl Word {
    const fn text(self) -> &'static [u8] {
        match self {
            Self::True => b"true",
            Self::False => b"false",
            Self::Null => b"null",
        }
    }

    const fn kind(self) -> Scalar {
        match self {
            Self::True | Self::False => Scalar::Bool,
            Self::Null => Scalar::Null,
        }
    }
}

impl Carry {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn push(&mut self, part: &[u8], classes: Classes, limit: usize) {
        let room = limit.saturating_sub(self.bytes.len());
        self.overlong |= part.len() > room;
        self.bytes.extend_from_slice(part.get(..room).unwrap_or(part));
        self.classes = self.classes.and(classes);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.classes = Classes::NONE;
        self.overlong = false;
    }
}

/// Moves to the next byte that is no white space (RFC 8259, 2); gives it and what follows.
#[inline]
fn skip_space<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let mut bytes = *rest;
    loop {
        let (byte, after) = bytes.split_first()?;
        if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            *rest = bytes;
            return Some((*byte, after));
        }
        bytes = after;
        *rest = bytes;
    }
}

/// Finds the closing quote; `None` when the slice ends first.
fn scan_string(bytes: &[u8], step: &mut StringStep, classes: &mut Classes) -> Result<Option<usize>, Refusal> {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        *step = match (*step, byte) {
            (StringStep::Plain, b'"') => return Ok(Some(at - 1)),
            (StringStep::Plain, b'\\') => {
                *classes = classes.and(Classes::ESCAPE);
                StringStep::Escape
            }
            (StringStep::Plain, 0..0x20) => return Err(Refusal::Malformed),
            (StringStep::Plain, _) => {
                let (run, seen) = chars::plain_run(bytes.get(at - 1..).unwrap_or_default());
                *classes = classes.and(seen);
                at = at - 1 + run;
                StringStep::Plain
            }
            (StringStep::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => StringStep::Plain,
            (StringStep::Escape, b'u') => StringStep::Hex(4),
            (StringStep::Hex(left), digit) if digit.is_ascii_hexdigit() => match left {
                0 | 1 => StringStep::Plain,
                _ => StringStep::Hex(left - 1),
            },
            (StringStep::Escape | StringStep::Hex(_), _) => return Err(Refusal::Malformed),
        };
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
