//! Server-sent events (WHATWG HTML, 9.2.5 and 9.2.6).
//!
//! Takes the body of a `text/event-stream` in pieces, however split. Gives each event as soon as its empty line is
//! there. Never waits for the stream's end, and never holds more than one event. Bounded by the limit of data handed
//! in, [`MAX_TYPE`] and the longest field's name.

use bytes::Bytes;
use smallvec::SmallVec;

use super::Anomaly;

/// Bytes of an event's type; a longer one is cut. Names of events are words.
pub const MAX_TYPE: usize = 128;

/// The longest name of a field that means something: `event`, `retry`.
const MAX_FIELD: usize = 5;

/// Bytes of a line, its field's name included. Servers write JSON on one line; beyond it the line is no event's.
pub const MAX_LINE: u64 = 16 << 20;

/// An event. Prints sizes only.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// The type as written; empty stands for `message`.
    pub kind: SmallVec<[u8; 32]>,
    /// The data, lines joined by a line feed, up to the limit.
    pub data: Bytes,
    /// Bytes of data on the wire, kept or not.
    pub total: u64,
    /// It has an id, from which a client resumes.
    pub has_id: bool,
    /// The stream or its known part ended within it.
    pub cut: bool,
    /// A line was too long.
    pub anomaly: Option<Anomaly>,
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "[event, {} of {} bytes, cut: {}]",
            self.data.len(),
            self.total,
            self.cut
        )
    }
}

/// One stream of events.
pub struct Parser {
    limit: usize,
    line: Line,
    /// The last byte was a carriage return: a line feed behind it belongs to the same line end.
    after_return: bool,
    /// Bytes of a byte order mark seen; `None` once something else, or all of it, was.
    mark: Option<usize>,
    /// Behind a hole: nothing counts up to the next empty line.
    blind: bool,
    event: Pending,
}

/// Where in a line.
#[derive(Default)]
struct Line {
    place: Place,
    name: SmallVec<[u8; MAX_FIELD]>,
    /// Bytes so far.
    len: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Name,
    /// The value's first byte: one space is dropped.
    ValueStart(Field),
    Value(Field),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Data,
    Event,
    Id,
    /// A comment, `retry`, or unknown.
    Ignored,
}

#[derive(Default)]
struct Pending {
    kind: SmallVec<[u8; 32]>,
    data: Vec<u8>,
    total: u64,
    has_data: bool,
    has_id: bool,
    anomaly: Option<Anomaly>,
}

impl std::fmt::Debug for Parser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[events, {} bytes held]", self.event.data.len())
    }
}

impl Parser {
    /// A stream at its beginning, of which at most `limit` bytes of data of one event are kept.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Line::default(),
            after_return: false,
            mark: Some(0),
            blind: false,
            event: Pending::default(),
        }
    }

    /// Whether the next byte begins an event.
    pub fn is_between(&self) -> bool {
        self.line.len == 0 && !self.event.has_data && self.event.kind.is_empty() && !self.event.has_id
    }

    /// Bytes of the event under way.
    pub fn held_bytes(&self) -> usize {
        self.event.data.capacity() + self.event.kind.len()
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut input: &[u8], sink: &mut dyn FnMut(Event)) {
        input = self.skip_mark(input);
        while let Some(first) = input.first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                input = input.get(1..).unwrap_or_default();
                continue;
            }
            let end = memchr::memchr2(b'\r', b'\n', input);
            let (part, rest) = input
                .split_at_checked(end.unwrap_or(input.len()))
                .unwrap_or_default();
            self.part(part);
            let Some((end, rest)) = rest.split_first() else {
                return;
            };
            self.after_return = *end == b'\r';
            self.end_line(sink);
            input = rest;
        }
    }

    /// Bytes are missing: the event under way is given as far as it was seen.
    pub fn gap(&mut self, sink: &mut dyn FnMut(Event)) {
        self.give(true, sink);
        self.line = Line::default();
        self.after_return = false;
        self.mark = None;
        self.blind = true;
    }

    /// The stream ends. Clients discard an event without its empty line; what it held was sent all the same.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        self.give(true, sink);
        self.line = Line::default();
    }

    /// A byte order mark in front is no part of it (9.2.5).
    fn skip_mark<'a>(&mut self, mut input: &'a [u8]) -> &'a [u8] {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        while let (Some(seen), Some((first, rest))) = (self.mark, input.split_first()) {
            if MARK.get(seen) == Some(first) {
                self.mark = (seen + 1 < MARK.len()).then_some(seen + 1);
                input = rest;
            } else {
                self.mark = None;
                // What looked like one was the front of a line.
                self.part(MARK.get(..seen).unwrap_or_default());
            }
        }
        input
    }

    fn part(&mut self, mut part: &[u8]) {
        self.line.len = self.line.len.saturating_add(part.len() as u64);
        while !part.is_empty() && !self.blind {
            match self.line.place {
                Place::Name => {
                    let colon = memchr::memchr(b':', part);
                    let name = part.get(..colon.unwrap_or(part.len())).unwrap_or_default();
                    // One more than means something tells a longer name from it.
                    let room = (MAX_FIELD + 1).saturating_sub(self.line.name.len());
                    self.line.name.extend(name.iter().take(room).copied());
                    let Some(colon) = colon else { return };
                    self.line.place = Place::ValueStart(self.begin_value());
                    part = part.get(colon + 1..).unwrap_or_default();
                }
                Place::ValueStart(field) => {
                    self.line.place = Place::Value(field);
                    part = part.strip_prefix(b" ").unwrap_or(part);
                }
                Place::Value(field) => return self.value(field, part),
            }
        }
    }

    /// The name is whole.
    fn begin_value(&mut self) -> Field {
        let field = match self.line.name.as_slice() {
            b"data" => Field::Data,
            b"event" => Field::Event,
            b"id" => Field::Id,
            _ => Field::Ignored,
        };
        match field {
            Field::Data => {
                if self.event.has_data {
                    self.data(b"\n");
                }
                self.event.has_data = true;
            }
            Field::Event => self.event.kind.clear(),
            Field::Id => self.event.has_id = true,
            Field::Ignored => {}
        }
        field
    }

    fn value(&mut self, field: Field, part: &[u8]) {
        if self.line.len > MAX_LINE {
            self.event.anomaly = Some(Anomaly::EventTooLong);
        }
        match field {
            Field::Data => self.data(part),
            Field::Event => {
                let room = MAX_TYPE.saturating_sub(self.event.kind.len());
                self.event.kind.extend(part.iter().take(room).copied());
            }
            // An id with a zero byte is none.
            Field::Id => self.event.has_id &= !part.contains(&0),
            Field::Ignored => {}
        }
    }

    fn data(&mut self, part: &[u8]) {
        self.event.total = self.event.total.saturating_add(part.len() as u64);
        let room = self.limit.saturating_sub(self.event.data.len());
        let kept = part.get(..room).unwrap_or(part);
        self.event.data.extend_from_slice(kept);
    }

    fn end_line(&mut self, sink: &mut dyn FnMut(Event)) {
        let line = std::mem::take(&mut self.line);
        if line.len == 0 {
            self.blind = false;
            return self.give(false, sink);
        }
        // A line without colon is a field without value.
        if line.place == Place::Name && !self.blind {
            self.line.name = line.name;
            self.begin_value();
            self.line = Line::default();
        }
    }

    /// Hands on the event under way, if it has data.
    fn give(&mut self, cut: bool, sink: &mut dyn FnMut(Event)) {
        let event = std::mem::take(&mut self.event);
        if event.has_data && (!cut || event.total > 0) {
            sink(Event {
                kind: event.kind,
                data: Bytes::from(event.data),
                total: event.total,
                has_id: event.has_id,
                cut,
                anomaly: event.anomaly,
            });
        }
    }
}

/// Entry for fuzzing: the first byte says how the rest is split, which must not matter.
pub fn fuzz(input: &[u8]) {
    const LIMIT: usize = 64;
    let Some((size, rest)) = input.split_first() else {
        return;
    };
    let read = |size: usize| {
        let (mut parser, mut events) = (Parser::new(LIMIT), Vec::new());
        let mut sink = |event: Event| events.push(event);
        rest.chunks(size.max(1))
            .for_each(|piece| parser.feed(piece, &mut sink));
        parser.finish(&mut sink);
        events
    };
    let events = read(rest.len());
    assert!(events == read(usize::from(*size)), "a split mattered");
    assert!(
        events.iter().all(|event| event.data.len() <= LIMIT),
        "too much kept"
    );
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(parts: &[&[u8]], limit: usize) -> Vec<Event> {
        let (mut parser, mut events) = (Parser::new(limit), Vec::new());
        for part in parts {
            parser.feed(part, &mut |event| events.push(event));
        }
        parser.finish(&mut |event| events.push(event));
        events
    }

    fn texts(stream: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let events = events(&[stream.as_bytes()], 1024);
        events
            .iter()
            .map(|event| (text(&event.kind), text(&event.data)))
            .collect()
    }

    fn pair(kind: &str, data: &str) -> (String, String) {
        (kind.to_owned(), data.to_owned())
    }

    #[test]
    fn the_streams_of_the_standard() {
        // What the examples of 9.2.6 describe, in words of our own.
        assert_eq!(texts("data: A\ndata: +1\ndata: 9\n\n"), [pair("", "A\n+1\n9")]);
        assert_eq!(
            texts(": hello\n\ndata: one\nid: 1\n\ndata:two\nid\n\ndata:  three\n\n"),
            [pair("", "one"), pair("", "two"), pair("", " three")]
        );
        // The third is never ended, and empty.
        assert_eq!(
            texts("data\n\ndata\ndata\n\ndata:"),
            [pair("", ""), pair("", "\n")]
        );
        assert_eq!(texts("data:x\n\ndata: x\n\n"), [pair("", "x"), pair("", "x")]);
        assert_eq!(
            texts("event: add\r\ndata: 1\r\revent:a\nevent: b\ndata: 2\r\n\r\nevent: no data\n\n"),
            [pair("add", "1"), pair("b", "2")]
        );
        assert_eq!(texts("\u{feff}data: m\n\n\u{feff}data: n\n\n"), [pair("", "m")]);
        assert_eq!(texts("datax: 1\nDATA: 2\ndat: 3\ndata: 4\n\n"), [pair("", "4")]);
    }

    #[test]
    fn an_event_without_its_end_is_cut() {
        let seen = events(&[b"data: a\n\ndata: b\ndata: half"], 1024);
        assert_eq!((seen[0].cut, seen[1].cut), (false, true));
        assert_eq!(&*seen[1].data, b"b\nhalf");
    }

    #[test]
    fn data_is_kept_up_to_the_limit_and_counted() {
        let seen = events(&[b"data: 12345\ndata: 678\nid: 7\n\ndata: ok\nid: a\0\n\n"], 6);
        assert_eq!(
            (&*seen[0].data, seen[0].total, seen[0].has_id),
            (&b"12345\n"[..], 9, true)
        );
        assert_eq!((&*seen[1].data, seen[1].has_id), (&b"ok"[..], false));
    }

    #[test]
    fn behind_a_hole_the_next_whole_event_counts() {
        let (mut parser, mut seen) = (Parser::new(100), Vec::new());
        let mut sink = |event: Event| seen.push((event.data.to_vec(), event.cut));
        parser.feed(b"data: fro", &mut sink);
        parser.gap(&mut sink);
        parser.feed(b"est\ndata: of another\n\ndata: next\n\n", &mut sink);
        assert_eq!(seen, [(b"fro".to_vec(), true), (b"next".to_vec(), false)]);
    }

    proptest! {
        #[test]
        fn splits_do_not_matter(
            stream in "(\u{feff}|data|event|id|:| |\r|\n|\r\n|\n\n|[a-c]){0,60}",
            cuts in prop::collection::vec(0usize..200, 0..6),
        ) {
            let bytes = stream.as_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                parts.push(&bytes[from..cut]);
                from = cut;
            }
            prop_assert_eq!(events(&parts, 64), events(&[bytes], 64));
        }
    }
}
