//! `system.multicall`, which is XML-RPC's way to make many calls in one: introspection extension of XML-RPC
//! (xmlrpc-c and Python's `xmlrpc` speak it alike). Behind it, one request tries hundreds of passwords.
//!
//! Takes a document that is one, or the answer to one. Gives the names of its calls, or what came of each. Never keeps a
//! parameter. Bounded by [`MAX_WITHIN`] and the look's own limit.

use super::{Front, Stop, Tag};
use crate::protocol::name::Name;

/// Name of the method.
pub(super) const METHOD: &[u8] = b"system.multicall";

/// Calls in it that are named: one more than any exchange keeps, so that the rest is told.
pub const MAX_WITHIN: usize = 65;

impl Front<'_> {
    /// The names of the calls: an array of structs with a member `methodName`. A name that is not there is empty.
    pub(super) fn calls_within(&mut self, names: &mut Vec<Name>) -> Result<(), Stop> {
        if !self.find(&[b"params", b"param", b"value", b"array", b"data"])? {
            return Ok(());
        }
        while names.len() < MAX_WITHIN && self.find(&[b"value"])? {
            let mut name = Name::default();
            while self.find(&[b"struct"])? {
                name = Name::new(self.member(b"methodName")?.trim_ascii());
            }
            names.push(name);
        }
        Ok(())
    }

    /// What came of each: an array of one value, or a struct that is a fault with its code.
    pub(super) fn answers_within(&mut self, answers: &mut Vec<Option<i64>>) -> Result<(), Stop> {
        let path: [&[u8]; 6] = [
            b"methodResponse",
            b"params",
            b"param",
            b"value",
            b"array",
            b"data",
        ];
        if !self.find(&path)? {
            return Ok(());
        }
        while answers.len() < MAX_WITHIN && self.find(&[b"value"])? {
            let mut fault = None;
            while self.find(&[b"struct"])? {
                let code = self.member(b"faultCode")?;
                let digits = std::str::from_utf8(&code).ok().map(str::trim);
                fault = Some(digits.and_then(|digits| digits.parse().ok()).unwrap_or_default());
            }
            answers.push(fault);
        }
        Ok(())
    }

    /// The text of the member of that name, of the struct that just began; to the struct's end.
    fn member(&mut self, wanted: &[u8]) -> Result<Vec<u8>, Stop> {
        let mut text = Vec::new();
        while self.find(&[b"member"])? {
            let mut is_wanted = false;
            while let Tag::Begins { name, .. } = self.tag()? {
                match name.expose() {
                    b"name" => is_wanted = self.text_of()?.trim_ascii() == wanted,
                    b"value" if is_wanted => text = self.value()?,
                    _ => self.skip()?,
                }
            }
        }
        Ok(text)
    }

    /// The text of the `value` that just began, in an element for its type or without; to the value's end.
    fn value(&mut self) -> Result<Vec<u8>, Stop> {
        let text = match self.tag()? {
            Tag::Begins { .. } => self.text_of()?,
            Tag::Ends => return Ok(std::mem::take(&mut self.text)),
        };
        while let Tag::Begins { .. } = self.tag()? {
            self.skip()?;
        }
        Ok(text)
    }
}
