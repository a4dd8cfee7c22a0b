//! Lawful HTTP/2 connections: every choice that RFC 9113 and RFC 7541 leave to a sender is taken from the input.

use std::collections::VecDeque;

use sensor_user::capture::Direction;
use sensor_user::protocol::http2::PREFACE;

use super::Piece;

/// Exchanges of one connection.
const MOST: usize = 12;

/// What was sent in an exchange.
#[derive(Default)]
pub(crate) struct Sizes {
    pub(crate) asked: usize,
    pub(crate) answered: usize,
    pub(crate) trailers: bool,
}

/// A connection seen from the server.
pub(crate) struct Connection {
    /// By the number of each.
    pub(crate) exchanges: Vec<Sizes>,
    frames: Vec<(Direction, Vec<u8>)>,
    choices: Choices,
}

/// Numbers from the input, and zeros behind it.
#[derive(Clone)]
struct Choices {
    bytes: Vec<u8>,
    at: usize,
}

impl Choices {
    fn byte(&mut self) -> usize {
        self.at += 1;
        self.bytes.get(self.at - 1).copied().map_or(0, usize::from)
    }

    fn below(&mut self, end: usize) -> usize {
        self.byte() % end.max(1)
    }

    fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }
}

/// What one exchange has still to send: frames in order, and whether its request's head is behind.
struct Under {
    ask: VecDeque<Part>,
    answer: VecDeque<Part>,
    begun: bool,
    stream: u32,
}

enum Part {
    Head(Vec<(String, String)>, bool),
    Data(Vec<u8>, bool),
}

impl Connection {
    pub(crate) fn of(input: &[u8]) -> Self {
        let mut choices = Choices {
            bytes: input.to_vec(),
            at: 0,
        };
        let count = 1 + choices.below(MOST);
        let (mut exchanges, mut waiting) = (Vec::new(), VecDeque::new());
        for number in 0..count {
            let (sizes, under) = exchange(number, &mut choices);
            exchanges.push(sizes);
            waiting.push_back(under);
        }
        let mut frames = vec![
            (Direction::Read, [&PREFACE[..], &frame(4, 0, 0, &[])].concat()),
            (Direction::Write, frame(4, 0, 0, &[])),
        ];
        let (mut ask, mut answer) = (Encoder::default(), Encoder::default());
        let mut under: Vec<Under> = Vec::new();
        while !waiting.is_empty() || !under.is_empty() {
            // Streams begin in order; those that are under way go on in any.
            let next = choices.below(under.len() + usize::from(!waiting.is_empty()));
            if next >= under.len() {
                under.extend(waiting.pop_front());
            }
            let Some(one) = under.get_mut(next) else { continue };
            let back = one.begun && (one.ask.is_empty() || choices.flag()) && !one.answer.is_empty();
            let (direction, parts, encoder) = if back {
                (Direction::Write, &mut one.answer, &mut answer)
            } else {
                (Direction::Read, &mut one.ask, &mut ask)
            };
            if let Some(part) = parts.pop_front() {
                for bytes in write(part, one.stream, encoder, &mut choices) {
                    frames.push((direction, bytes));
                }
            }
            one.begun = true;
            if one.ask.is_empty() && one.answer.is_empty() {
                under.remove(next);
            }
            if choices.below(8) == 7 {
                let direction = if choices.flag() {
                    Direction::Read
                } else {
                    Direction::Write
                };
                frames.push((direction, between(&mut choices)));
            }
        }
        Self {
            exchanges,
            frames,
            choices,
        }
    }

    /// The frames, cut and joined as the rest of the input says; the one at `missing` is a hole.
    pub(crate) fn pieces(&self, missing: Option<usize>) -> Vec<(Direction, Piece)> {
        let mut choices = self.choices.clone();
        let mut pieces: Vec<(Direction, Piece)> = Vec::new();
        for (direction, bytes) in &self.frames {
            let (front, back) = bytes.split_at(choices.below(bytes.len() + 1));
            match pieces.last_mut() {
                Some((same, Piece::Bytes(before))) if same == direction && choices.flag() => {
                    before.extend_from_slice(front);
                }
                _ => pieces.push((*direction, Piece::Bytes(front.to_vec()))),
            }
            pieces.push((*direction, Piece::Bytes(back.to_vec())));
        }
        pieces.retain(|(_, piece)| !matches!(piece, Piece::Bytes(bytes) if bytes.is_empty()));
        if let Some(missing) = missing.map(|missing| missing % pieces.len().max(1))
            && let Some((_, piece)) = pieces.get_mut(missing)
            && let Piece::Bytes(bytes) = piece
        {
            *piece = Piece::Hole(bytes.len() as u64);
        }
        pieces
    }
}

/// The bytes of both directions, for seeds.
pub(crate) fn wire(input: &[u8]) -> Vec<(Direction, Vec<u8>)> {
    Connection::of(input).frames
}

fn exchange(number: usize, choices: &mut Choices) -> (Sizes, Under) {
    let text = |text: &str| text.to_owned();
    let mut ask = vec![
        (text(":method"), text(["GET", "POST", "PUT"][choices.below(3)])),
        (text(":scheme"), text("https")),
        (text(":path"), format!("/n/{number}")),
        (text(":authority"), text("a.example")),
    ];
    ask.extend(fields(choices));
    let mut answer = vec![(text(":status"), text(["200", "404", "599"][choices.below(3)]))];
    answer.push((text("x-n"), number.to_string()));
    answer.extend(fields(choices));
    let trailers = choices.flag();
    let (asked, answered) = (choices.byte(), choices.byte());
    let interim = choices.below(4) == 3;
    let mut back = VecDeque::new();
    if interim {
        back.push_back(Part::Head(vec![(text(":status"), text("103"))], false));
    }
    back.extend(message(answer, answered, trailers, choices));
    let under = Under {
        ask: message(ask, asked, false, choices),
        answer: back,
        begun: false,
        stream: u32::try_from(number).unwrap_or_default() * 2 + 1,
    };
    let sizes = Sizes {
        asked,
        answered,
        trailers,
    };
    (sizes, under)
}

fn fields(choices: &mut Choices) -> Vec<(String, String)> {
    let names = ["accept", "x-a", "user-agent", "x-request-id"];
    let fields = (0..choices.below(5)).map(|_| {
        let name = names[choices.below(names.len())].to_owned();
        let value = match choices.below(3) {
            0 => "*/*".to_owned(),
            1 => choices.byte().to_string(),
            // So that entries leave the table; four of them are less than the limit of a head here.
            _ => "v".repeat(choices.byte() * 3),
        };
        (name, value)
    });
    fields.collect()
}

fn message(
    head: Vec<(String, String)>,
    length: usize,
    trailers: bool,
    choices: &mut Choices,
) -> VecDeque<Part> {
    let mut parts = VecDeque::from([Part::Head(head, length == 0 && !trailers)]);
    let mut left = length;
    while left > 0 {
        let taken = 1 + choices.below(left);
        left -= taken;
        parts.push_back(Part::Data(vec![b'd'; taken], left == 0 && !trailers));
    }
    if trailers {
        parts.push_back(Part::Head(vec![("x-t".to_owned(), "1".to_owned())], true));
    }
    parts
}

/// Frames of a part.
fn write(part: Part, stream: u32, encoder: &mut Encoder, choices: &mut Choices) -> Vec<Vec<u8>> {
    match part {
        Part::Data(bytes, last) => {
            let (flags, payload) = padded(&bytes, choices);
            vec![frame(0, flags | u8::from(last), stream, &payload)]
        }
        Part::Head(fields, last) => {
            let block = encoder.block(&fields, choices);
            let (front, back) = block.split_at(if choices.flag() {
                choices.below(block.len() + 1)
            } else {
                block.len()
            });
            let whole = back.is_empty();
            let priority = choices.below(4) == 3;
            let mut body = if priority {
                vec![0, 0, 0, 0, 16]
            } else {
                Vec::new()
            };
            body.extend_from_slice(front);
            let (mut flags, payload) = padded(&body, choices);
            flags |= u8::from(last) | u8::from(whole) << 2 | u8::from(priority) << 5;
            // Nothing may stand between them.
            let mut bytes = frame(1, flags, stream, &payload);
            if !whole {
                bytes.extend(frame(9, 4, stream, back));
            }
            vec![bytes]
        }
    }
}

fn padded(bytes: &[u8], choices: &mut Choices) -> (u8, Vec<u8>) {
    if choices.below(4) < 3 {
        return (0, bytes.to_vec());
    }
    let padding = choices.below(40);
    let length = u8::try_from(padding).unwrap_or_default();
    (8, [&[length][..], bytes, &vec![0; padding]].concat())
}

/// What may stand between the frames of streams.
fn between(choices: &mut Choices) -> Vec<u8> {
    match choices.below(4) {
        0 => frame(6, 0, 0, b"pingping"),
        1 => frame(8, 0, 0, &[0, 0, 1, 0]),
        2 => frame(4, 1, 0, &[]),
        _ => frame(0xfa, 0, 0, b"an extension"),
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// RFC 7541 without Huffman and without the static table but for `:method: GET`.
struct Encoder {
    /// The latest first.
    table: VecDeque<(String, String)>,
    most: usize,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            table: VecDeque::new(),
            most: 4096,
        }
    }
}

/// Entries of the static table.
const STATIC: usize = 61;

impl Encoder {
    fn block(&mut self, fields: &[(String, String)], choices: &mut Choices) -> Vec<u8> {
        let mut out = Vec::new();
        if choices.below(8) == 7 {
            self.most = choices.below(64) * 64;
            self.evict();
            integer(&mut out, 0x20, 5, self.most);
        }
        for (name, value) in fields {
            self.field(name, value, choices, &mut out);
        }
        out
    }

    fn field(&mut self, name: &str, value: &str, choices: &mut Choices, out: &mut Vec<u8>) {
        let known = self
            .table
            .iter()
            .position(|entry| entry.0 == name && entry.1 == value);
        let named = self.table.iter().position(|entry| entry.0 == name);
        let kind = choices.below(4);
        if let (Some(index), true) = (known, kind > 0) {
            return integer(out, 0x80, 7, index + STATIC + 1);
        }
        let named = named
            .filter(|_| choices.flag())
            .map_or(0, |index| index + STATIC + 1);
        let (pattern, prefix) = match kind {
            0 => (0x10, 4),
            1 => (0, 4),
            _ => (0x40, 6),
        };
        integer(out, pattern, prefix, named);
        if named == 0 {
            string(out, name);
        }
        string(out, value);
        if pattern == 0x40 {
            self.table.push_front((name.to_owned(), value.to_owned()));
            self.evict();
        }
    }

    fn evict(&mut self) {
        let size = |table: &VecDeque<(String, String)>| -> usize {
            table
                .iter()
                .map(|(name, value)| name.len() + value.len() + 32)
                .sum()
        };
        while size(&self.table) > self.most {
            self.table.pop_back();
        }
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    integer(out, 0, 7, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// 5.1.
fn integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let most = (1_usize << prefix) - 1;
    let byte = |value: usize| u8::try_from(value).unwrap_or_default();
    if value < most {
        return out.push(pattern | byte(value));
    }
    out.push(pattern | byte(most));
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(byte(rest & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(byte(rest));
}
