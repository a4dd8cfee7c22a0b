//! The look at a document's front.
//!
//! Takes a document. Gives its call or answer and what is odd about it. Never reads external entities, nor more than
//! it needs to tell. Bounded by `MAX_EVENTS`, and in a multicall by `MAX_WITHIN`.

use std::borrow::Cow;

use quick_xml::errors::SyntaxError;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::{FaultCode, MAX_EVENTS, Message, Oddities, SoapVersion};
use crate::protocol::name::Name;

mod multicall;

pub use multicall::MAX_WITHIN;

const SOAP_11: &[u8] = b"http://schemas.xmlsoap.org/soap/envelope/";
const SOAP_12: &[u8] = b"http://www.w3.org/2003/05/soap-envelope";

/// What ended the look.
enum Stop {
    /// The input ended.
    End,
    /// It is not well-formed, or longer than [`MAX_EVENTS`].
    Broken,
}

/// An element that begins, or the end of one.
enum Tag {
    Begins { name: Name, namespace: Name },
    Ends,
}

struct Front<'a> {
    reader: NsReader<&'a [u8]>,
    document: &'a [u8],
    events: usize,
    odd: Oddities,
    /// Text since the last tag.
    text: Vec<u8>,
}

/// Reads the front of a document. `whole` says that its end was seen.
pub fn read(document: &[u8], whole: bool) -> (Message, Oddities) {
    let text = readable(document);
    let mut front = Front::of(&text);
    let mut message = Message::Other;
    let stop = front.root(&mut message).err();
    let known = message != Message::Other;
    front.odd.malformed = known
        && match stop {
            None => false,
            Some(Stop::Broken) => true,
            Some(Stop::End) => whole,
        };
    (message, front.odd)
}

/// What came of each call in a `system.multicall`, by the answer to it: `None` for success, else the fault's code. Of an
/// answer that is cut, or a fault as a whole, those that are there.
pub fn answers(document: &[u8]) -> Vec<Option<i64>> {
    let mut answers = Vec::new();
    // What stopped the look was told when the message was read.
    Front::of(&readable(document)).answers_within(&mut answers).ok();
    answers
}

/// Only names are looked at, so that what is not UTF-8 may be lost.
fn readable(document: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document))
}

impl<'a> Front<'a> {
    fn of(text: &'a str) -> Self {
        let mut reader = NsReader::from_str(text);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = false;
        Self {
            reader,
            document: text.as_bytes(),
            events: 0,
            odd: Oddities::default(),
            text: Vec::new(),
        }
    }
}

impl Front<'_> {
    fn root(&mut self, message: &mut Message) -> Result<(), Stop> {
        let Tag::Begins { name, namespace } = self.tag()? else {
            return Err(Stop::Broken);
        };
        match (name.expose(), namespace.expose()) {
            (b"Envelope", SOAP_11) => self.envelope(SoapVersion::V11, SOAP_11, message),
            (b"Envelope", SOAP_12) => self.envelope(SoapVersion::V12, SOAP_12, message),
            (b"methodCall", b"") => self.method_call(message),
            (b"methodResponse", b"") => self.method_response(message),
            _ => Ok(()),
        }
    }

    /// Finds the body's first element.
    fn envelope(&mut self, version: SoapVersion, soap: &[u8], message: &mut Message) -> Result<(), Stop> {
        *message = Message::Soap {
            version,
            name: Name::default(),
            namespace: Name::default(),
            fault: None,
        };
        loop {
            match self.tag()? {
                Tag::Begins { name, namespace } if name.expose() == b"Body" && namespace.expose() == soap => {
                    break;
                }
                Tag::Begins { .. } => self.skip()?,
                // An envelope without a body (SOAP 1.1, 4.3; SOAP 1.2, 5.3).
                Tag::Ends => return Err(Stop::Broken),
            }
        }
        let Tag::Begins {
            name: first,
            namespace: of,
        } = self.tag()?
        else {
            return Ok(());
        };
        let is_fault = first.expose() == b"Fault" && of.expose() == soap;
        if let Message::Soap {
            name,
            namespace,
            fault,
            ..
        } = message
        {
            (*name, *namespace) = (first, of);
            if is_fault {
                *fault = Some(FaultCode::Other);
                *fault = Some(self.fault(version)?);
            }
        }
        Ok(())
    }

    /// `faultcode` of 1.1, `Code` and in it `Value` of 1.2.
    fn fault(&mut self, version: SoapVersion) -> Result<FaultCode, Stop> {
        let wanted: &[&[u8]] = match version {
            SoapVersion::V11 => &[b"faultcode"],
            SoapVersion::V12 => &[b"Code", b"Value"],
        };
        if self.find(wanted)? {
            self.text_of().map(|text| FaultCode::of(&text))
        } else {
            Ok(FaultCode::Other)
        }
    }

    fn method_call(&mut self, message: &mut Message) -> Result<(), Stop> {
        *message = Message::Call {
            method: Name::default(),
            within: Vec::new(),
        };
        if !self.find(&[b"methodName"])? {
            return Err(Stop::Broken);
        }
        let text = self.text_of()?;
        let method = text.trim_ascii();
        let is_several = method == multicall::METHOD;
        let mut names = Vec::new();
        let looked = if is_several {
            self.calls_within(&mut names)
        } else {
            Ok(())
        };
        *message = Message::Call {
            method: Name::new(method),
            within: names,
        };
        // Long parameters are no fault of the document.
        if self.events > MAX_EVENTS { Ok(()) } else { looked }
    }

    /// `fault`, in it a struct of which one member is `faultCode`.
    fn method_response(&mut self, message: &mut Message) -> Result<(), Stop> {
        *message = Message::Response { fault: None };
        match self.tag()? {
            Tag::Begins { name, .. } if name.expose() == b"fault" => {}
            Tag::Begins { name, .. } if name.expose() == b"params" => return Ok(()),
            _ => return Err(Stop::Broken),
        }
        *message = Message::Response { fault: Some(0) };
        if !self.find(&[b"value", b"struct"])? {
            return Err(Stop::Broken);
        }
        while self.find(&[b"member"])? {
            let mut is_code = false;
            while let Tag::Begins { name, .. } = self.tag()? {
                match name.expose() {
                    b"name" => is_code = self.text_of()?.trim_ascii() == b"faultCode",
                    b"value" if is_code => {
                        let code = self.number()?;
                        *message = Message::Response { fault: Some(code) };
                        return Ok(());
                    }
                    _ => self.skip()?,
                }
            }
        }
        Ok(())
    }

    /// The integer in a `value`.
    fn number(&mut self) -> Result<i64, Stop> {
        let text = match self.tag()? {
            Tag::Begins { .. } => self.text_of()?,
            Tag::Ends => std::mem::take(&mut self.text),
        };
        let digits = std::str::from_utf8(&text).ok().map(str::trim);
        Ok(digits.and_then(|digits| digits.parse().ok()).unwrap_or_default())
    }

    /// Goes down through these elements, skipping their siblings. `false` when one is not there.
    fn find(&mut self, path: &[&[u8]]) -> Result<bool, Stop> {
        for wanted in path {
            loop {
                match self.tag()? {
                    Tag::Begins { name, .. } if name.expose() == *wanted => break,
                    Tag::Begins { .. } => self.skip()?,
                    Tag::Ends => return Ok(false),
                }
            }
        }
        Ok(true)
    }

    /// The text of the element that just began; elements in it are passed over.
    fn text_of(&mut self) -> Result<Vec<u8>, Stop> {
        let mut text = Vec::new();
        loop {
            let tag = self.tag()?;
            text.append(&mut self.text);
            match tag {
                Tag::Begins { .. } => self.skip()?,
                Tag::Ends => return Ok(text),
            }
        }
    }

    /// To the end of the element that just began.
    fn skip(&mut self) -> Result<(), Stop> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.tag()? {
                Tag::Begins { .. } => depth += 1,
                Tag::Ends => depth -= 1,
            }
        }
        self.text.clear();
        Ok(())
    }

    /// The next tag; text before it is in `text`.
    fn tag(&mut self) -> Result<Tag, Stop> {
        self.text.clear();
        loop {
            self.events += 1;
            if self.events > MAX_EVENTS {
                return Err(Stop::Broken);
            }
            let tag = match self.reader.read_event() {
                Ok(Event::Start(start)) => self.begins(&start),
                Ok(Event::End(_)) => Tag::Ends,
                Ok(Event::Text(text)) => {
                    self.keep(text.as_bytes());
                    continue;
                }
                Ok(Event::CData(text)) => {
                    self.keep(text.as_bytes());
                    continue;
                }
                Ok(Event::GeneralRef(reference)) => {
                    self.refer(&reference);
                    continue;
                }
                Ok(Event::DocType(text)) => {
                    self.odd.doctype = true;
                    self.odd.declared |= memchr::memmem::find(text.as_bytes(), b"<!ENTITY").is_some();
                    continue;
                }
                Ok(Event::Eof) => return Err(Stop::End),
                Ok(_) => continue,
                // A declaration that is longer than what was captured hides nothing.
                Err(quick_xml::Error::Syntax(SyntaxError::UnclosedDoctype)) => {
                    self.odd.doctype = true;
                    self.odd.declared |= memchr::memmem::find(self.document, b"<!ENTITY").is_some();
                    return Err(Stop::End);
                }
                // What ends within a tag is cut, not broken.
                Err(quick_xml::Error::Syntax(_)) => return Err(Stop::End),
                Err(_) => return Err(Stop::Broken),
            };
            return Ok(tag);
        }
    }

    fn begins(&self, start: &BytesStart<'_>) -> Tag {
        let (namespace, local) = self.reader.resolver().resolve_element(start.name());
        Tag::Begins {
            name: Name::new(local.as_ref().as_bytes()),
            namespace: match namespace {
                ResolveResult::Bound(Namespace(uri)) => Name::new(uri.as_bytes()),
                ResolveResult::Unbound | ResolveResult::Unknown(_) => Name::default(),
            },
        }
    }

    fn keep(&mut self, text: &[u8]) {
        // What is looked for is a name or a number.
        let room = crate::protocol::name::MAX_NAME.saturating_sub(self.text.len());
        self.text.extend_from_slice(text.get(..room).unwrap_or(text));
    }

    /// Characters are put in; entities of XML itself stay out, since no name has one; others are told.
    fn refer(&mut self, reference: &BytesRef<'_>) {
        if let Ok(Some(character)) = reference.resolve_char_ref() {
            let mut buffer = [0; 4];
            self.keep(character.encode_utf8(&mut buffer).as_bytes());
        } else if !matches!(&**reference, "lt" | "gt" | "amp" | "apos" | "quot") {
            self.odd.used = true;
        }
    }
}
