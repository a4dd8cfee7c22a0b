//! The walk itself: which token may come next (RFC 8259, 2 to 5).
//!
//! Takes a document in any pieces. Gives containers, names and values to a visitor. Never builds a tree, and keeps of
//! the input only the token that a piece cut. Bounded by one bit per level up to `MAX_DEPTH` and by `token_bytes` of a
//! token.

use super::carry::Carry;
use super::number::{self, NumberStep};
use super::string::{self, StringStep};
use crate::protocol::chars::{self, Classes};
use crate::protocol::walk::{Coding, Container, Ending, MAX_DEPTH, Refusal, Scalar, Text, Visitor};

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

#[derive(Clone, Copy, Debug)]
enum Word {
    True,
    False,
    Null,
}

/// What is left of the slice after a step; empty when the slice ended within a token.
type Rest<'a> = Result<&'a [u8], Refusal>;

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
            Some(Token::String(_)) => self.tell_carried(self.string_role(), true, visitor),
            Some(Token::Word(..)) | None => {}
        }
        if self.expect == Expect::Nothing {
            Ending::Complete
        } else {
            Ending::Cut
        }
    }

    /// Closes the containers that a document which ended early left open; [`Self::restart`] is next.
    pub fn abandon(&mut self, visitor: &mut impl Visitor) {
        for _ in 0..std::mem::take(&mut self.depth) {
            visitor.close();
        }
    }

    /// Walks to the end of the slice. On refusal `rest` begins with the refused token, after its quote.
    fn run(&mut self, rest: &mut &[u8], visitor: &mut impl Visitor) -> Result<(), Refusal> {
        if let Some(token) = self.token.take() {
            *rest = self.resume(token, rest, visitor)?;
            if self.token.is_none() {
                self.pending = 0;
            }
        }
        while let Some((byte, after)) = rest.split_first() {
            // White space (RFC 8259, 2) is below every byte of the grammar.
            if *byte <= b' ' {
                *rest = skip_space(rest)?;
                continue;
            }
            *rest = match (self.expect, *byte) {
                (Expect::CommaOrEnd, b',') if self.in_object() => {
                    self.expect = Expect::Key;
                    // Without white space the key follows at once: no need to look the state up.
                    *rest = after;
                    match after.split_first() {
                        Some((b'"', body)) => self.key(body, rest, visitor)?,
                        _ => after,
                    }
                }
                (Expect::Value | Expect::ValueOrEnd, b'"') => self.text(after, rest, visitor)?,
                (Expect::Key | Expect::KeyOrEnd, b'"') => self.key(after, rest, visitor)?,
                (Expect::CommaOrEnd, b',') | (Expect::Colon, b':') => {
                    self.expect = Expect::Value;
                    after
                }
                (Expect::CommaOrEnd | Expect::KeyOrEnd, _) | (Expect::ValueOrEnd, b']') => {
                    self.close(*byte, after, visitor)?
                }
                (Expect::Value | Expect::ValueOrEnd, _) => self.value(*byte, rest, after, visitor)?,
                (Expect::Key | Expect::Colon | Expect::Nothing, _) => return Err(Refusal::Malformed),
            };
        }
        Ok(())
    }

    /// A key whose opening quote is behind, and the colon when it follows at once.
    #[inline]
    fn key<'a>(&mut self, body: &'a [u8], rest: &mut &'a [u8], visitor: &mut impl Visitor) -> Rest<'a> {
        let length = chars::plain_length(body);
        let (token, after) = body.split_at_checked(length).unwrap_or_default();
        let Some((b'"', after)) = after.split_first() else {
            *rest = body;
            return self.string(StringStep::Plain, Role::Key, body, visitor);
        };
        visitor.key(self.whole(token, Classes::NONE));
        if let Some((b':', after)) = after.split_first() {
            self.expect = Expect::Value;
            return Ok(after);
        }
        self.expect = Expect::Colon;
        Ok(after)
    }

    #[inline]
    fn value<'a>(
        &mut self,
        byte: u8,
        rest: &'a [u8],
        after: &'a [u8],
        visitor: &mut impl Visitor,
    ) -> Rest<'a> {
        match byte {
            b'-' | b'0'..=b'9' => self.number(NumberStep::Start, rest, visitor),
            b'{' => self.open(Container::Object, after, visitor),
            b'[' => self.open(Container::Array, after, visitor),
            b't' => self.word(Word::True, 0, rest, visitor),
            b'f' => self.word(Word::False, 0, rest, visitor),
            b'n' => self.word(Word::Null, 0, rest, visitor),
            _ => Err(Refusal::Malformed),
        }
    }

    /// A string value whose opening quote is behind.
    #[inline]
    fn text<'a>(&mut self, body: &'a [u8], rest: &mut &'a [u8], visitor: &mut impl Visitor) -> Rest<'a> {
        let (length, classes) = chars::plain_run(body);
        let (token, after) = body.split_at_checked(length).unwrap_or_default();
        let Some((b'"', after)) = after.split_first() else {
            *rest = body;
            return self.string(StringStep::Plain, Role::String, body, visitor);
        };
        self.after_value();
        visitor.scalar(Scalar::String, self.whole(token, classes));
        Ok(after)
    }

    fn open<'a>(&mut self, container: Container, after: &'a [u8], visitor: &mut impl Visitor) -> Rest<'a> {
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
        Ok(after)
    }

    fn close<'a>(&mut self, byte: u8, after: &'a [u8], visitor: &mut impl Visitor) -> Rest<'a> {
        let wanted = if self.in_object() { b'}' } else { b']' };
        if byte != wanted {
            return Err(Refusal::Malformed);
        }
        self.depth = self.depth.saturating_sub(1);
        self.nesting >>= 1;
        self.after_value();
        visitor.close();
        Ok(after)
    }

    #[inline]
    const fn after_value(&mut self) {
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

    fn resume<'a>(&mut self, token: Token, rest: &'a [u8], visitor: &mut impl Visitor) -> Rest<'a> {
        match token {
            Token::String(step) => self.string(step, self.string_role(), rest, visitor),
            Token::Number(step) => self.number(step, rest, visitor),
            Token::Word(word, matched) => self.word(word, matched, rest, visitor),
        }
    }

    /// Reads on in a string whose opening quote is behind: one with escapes, or interrupted.
    #[cold]
    fn string<'a>(
        &mut self,
        mut step: StringStep,
        role: Role,
        rest: &'a [u8],
        visitor: &mut impl Visitor,
    ) -> Rest<'a> {
        let mut classes = Classes::NONE;
        let end = string::scan(rest, &mut step, &mut classes)?;
        if role == Role::Key {
            classes = classes.escape();
        }
        let Some(end) = end else {
            return Ok(self.interrupt(Token::String(step), rest, classes));
        };
        let (token, after) = rest.split_at_checked(end).unwrap_or_default();
        self.tell(role, token, classes, visitor);
        Ok(after.get(1..).unwrap_or_default())
    }

    fn number<'a>(&mut self, mut step: NumberStep, rest: &'a [u8], visitor: &mut impl Visitor) -> Rest<'a> {
        let mut classes = Classes::NONE;
        let Some(end) = number::scan(rest, &mut step, &mut classes)? else {
            return Ok(self.interrupt(Token::Number(step), rest, classes));
        };
        let (token, after) = rest.split_at_checked(end).unwrap_or_default();
        self.tell(Role::Number, token, classes, visitor);
        Ok(after)
    }

    fn word<'a>(
        &mut self,
        word: Word,
        matched: usize,
        rest: &'a [u8],
        visitor: &mut impl Visitor,
    ) -> Rest<'a> {
        let whole = word.text();
        let wanted = whole.get(matched..).unwrap_or_default();
        let here = wanted.len().min(rest.len());
        if rest.get(..here) != wanted.get(..here) {
            return Err(Refusal::Malformed);
        }
        if here < wanted.len() {
            self.token = Some(Token::Word(word, matched + here));
            self.pending = self.pending.saturating_add(here);
            return Ok(&[]);
        }
        self.after_value();
        let text = Text {
            coding: Coding::Json,
            raw: whole,
            classes: Classes::NONE,
            cut: false,
        };
        visitor.scalar(word.kind(), text);
        Ok(rest.get(here..).unwrap_or_default())
    }

    /// Keeps the rest of the slice as the front of a token.
    #[cold]
    fn interrupt(&mut self, token: Token, rest: &[u8], classes: Classes) -> &'static [u8] {
        self.carry.push(rest, classes, self.token_bytes);
        self.token = Some(token);
        self.pending = self.pending.saturating_add(rest.len());
        &[]
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

    #[cold]
    fn tell_carried(&mut self, role: Role, cut: bool, visitor: &mut impl Visitor) {
        if !cut {
            self.expect_after(role);
        }
        role.tell(self.carry.text(cut), visitor);
        self.carry.clear();
    }

    #[inline]
    const fn expect_after(&mut self, role: Role) {
        match role {
            Role::Key => self.expect = Expect::Colon,
            Role::String | Role::Number => self.after_value(),
        }
    }

    #[inline]
    fn whole<'a>(&self, token: &'a [u8], classes: Classes) -> Text<'a> {
        Text {
            coding: Coding::Json,
            raw: token.get(..self.token_bytes).unwrap_or(token),
            classes,
            cut: token.len() > self.token_bytes,
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

/// What follows white space; a control character that is none is refused.
fn skip_space(bytes: &[u8]) -> Rest<'_> {
    let length = bytes
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
        .unwrap_or(bytes.len());
    if length == 0 {
        return Err(Refusal::Malformed);
    }
    Ok(bytes.get(length..).unwrap_or_default())
}
