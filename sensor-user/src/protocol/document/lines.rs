//! JSON texts one after the other: by lines, by record separators (RFC 7464), or in the data of server-sent events.

use crate::protocol::json::Walker;
use crate::protocol::walk::{Container, Ending, Refusal, Scalar, Text, Visitor};

/// RFC 7464, 2.2.
const RECORD_SEPARATOR: u8 = 0x1e;

/// An array of texts. What is not JSON is told as text, and the next line is read as if nothing had been.
pub(super) fn walk(walker: &mut Walker, input: &[u8], visitor: &mut impl Visitor) -> Ending {
    let mut texts = Texts::new(walker, visitor);
    // A text behind a record separator may have line breaks of its own.
    let sequence = input.first() == Some(&RECORD_SEPARATOR);
    let end = if sequence { RECORD_SEPARATOR } else { b'\n' };
    for text in input.split(|byte| *byte == end) {
        texts.begin();
        texts.add(text);
        texts.end();
    }
    texts.finish()
}

/// The data of each event (HTML, 9.2.6), which is one text however many lines it has.
pub(super) fn events(walker: &mut Walker, input: &[u8], visitor: &mut impl Visitor) -> Ending {
    let mut texts = Texts::new(walker, visitor);
    let mut inside = false;
    for line in input.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            if std::mem::take(&mut inside) {
                texts.end();
            }
            continue;
        }
        let Some(data) = line
            .strip_prefix(b"data")
            .filter(|rest| rest.is_empty() || rest.starts_with(b":"))
        else {
            continue;
        };
        let data = data.strip_prefix(b":").unwrap_or(data);
        if std::mem::replace(&mut inside, true) {
            texts.add(b"\n");
        } else {
            texts.begin();
        }
        texts.add(data.strip_prefix(b" ").unwrap_or(data));
    }
    if inside {
        texts.end();
    }
    texts.finish()
}

/// The texts of one body.
struct Texts<'w, 'v, V> {
    walker: &'w mut Walker,
    visitor: &'v mut V,
    reading: Reading,
    /// How the last text ended, and whether any was wrong.
    ending: Ending,
    wrong: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Nothing,
    Json,
    /// Words, as `[DONE]` behind the last event of some APIs.
    Words,
}

impl<'w, 'v, V: Visitor> Texts<'w, 'v, V> {
    fn new(walker: &'w mut Walker, visitor: &'v mut V) -> Self {
        visitor.open(Container::Array);
        Self {
            walker,
            visitor,
            reading: Reading::Nothing,
            ending: Ending::Complete,
            wrong: false,
        }
    }

    fn begin(&mut self) {
        self.walker.restart();
        self.reading = Reading::Nothing;
    }

    fn add(&mut self, bytes: &[u8]) {
        if self.reading == Reading::Nothing {
            if bytes.trim_ascii().is_empty() {
                return;
            }
            self.reading = Reading::Json;
        }
        if self.reading == Reading::Words {
            return self.words(bytes);
        }
        let before = self.walker.accepted();
        if self.walker.feed(bytes, self.visitor).is_err() {
            self.wrong = true;
            self.reading = Reading::Words;
            let accepted = self.walker.accepted();
            self.walker.abandon(self.visitor);
            self.words(bytes.get(accepted.saturating_sub(before)..).unwrap_or_default());
        }
    }

    fn words(&mut self, bytes: &[u8]) {
        if !bytes.trim_ascii().is_empty() {
            self.visitor.scalar(Scalar::String, Text::plain(bytes));
        }
    }

    fn end(&mut self) {
        match self.reading {
            Reading::Nothing => {}
            Reading::Words => self.ending = Ending::Complete,
            Reading::Json => {
                self.ending = self.walker.finish(self.visitor);
                self.walker.abandon(self.visitor);
            }
        }
        // A text that ends too early is the last one of a cut body, or wrong.
        self.wrong |= self.ending == Ending::Cut;
        self.reading = Reading::Nothing;
    }

    fn finish(self) -> Ending {
        self.visitor.close();
        match (self.ending, self.wrong) {
            (Ending::Cut, _) => Ending::Cut,
            (_, true) => Ending::Refused(Refusal::Malformed),
            (ending, false) => ending,
        }
    }
}
