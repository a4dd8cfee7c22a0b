//! HTTP/2: frames, header tables, connections of any bytes, and lawful connections with and without holes.

use std::collections::BTreeMap;

use sensor_user::capture::Direction;
use sensor_user::exchange::{Exchange, Outcome};
use sensor_user::protocol::http2::frame::{Frame, Kind};
use sensor_user::protocol::http2::hpack::{self, Block, Decoder};
use sensor_user::protocol::http2::{Head, Limits, Message, Opening, PREFACE, Parser};
use sensor_user::protocol::{Resync, Step, StreamParser as _};

use super::connection::{Piece, play, show};
use super::{cut, inside};

#[path = "http2_honest.rs"]
mod honest;
pub(crate) use honest::{Connection, wire};

const HEAD_BYTES: usize = 4096;
const LIMITS: Limits = Limits {
    head_bytes: HEAD_BYTES,
};

/// The largest frame that is waited for, while it is not known what was announced.
const LARGEST_FRAME: usize = 1 << 20;

/// What was seen; adjacent pieces of a body are one, and what no stream needs to know is left out.
#[derive(PartialEq, Debug)]
enum Seen {
    Body(u32, Vec<u8>, bool),
    Message(Message),
    Rejected,
}

/// One direction: whole and split give the same unless the place was lost, and holes are survived.
pub(crate) fn frames(input: &[u8]) {
    let (bytes, at) = cut(input);
    let (front, back) = bytes.split_at(at);
    let whole = run(&mut Parser::new(LIMITS), &[bytes]);
    let split = run(&mut Parser::new(LIMITS), &[front, back]);
    let lost = |seen: &[Seen]| {
        let mut lost = seen.iter();
        lost.any(|seen| matches!(seen, Seen::Rejected | Seen::Message(Message::PlaceLost)))
    };
    if begins(bytes) && !lost(&whole) {
        assert_eq!(whole, split, "split at {at}");
    }
    for mut holed in [
        Parser::new(LIMITS),
        Parser::joined(LIMITS),
        Parser::searching(LIMITS),
    ] {
        run(&mut holed, &[front]);
        let (Resync::Exact(_) | Resync::Searching(_)) = holed.on_gap(at as u64 / 3 + 1);
        run(&mut holed, &[back]);
        holed.allow_frame(u32::try_from(at).unwrap_or(u32::MAX));
        holed.allow_table(u32::try_from(at).unwrap_or(u32::MAX));
        run(&mut holed, &[bytes]);
        assert_eq!(holed.on_end(), None);
    }
}

/// Whether a direction is known for HTTP/2 by its first bytes.
fn begins(bytes: &[u8]) -> bool {
    let settings = |frame: Frame| frame.kind == Kind::Settings && frame.is_lawful() && frame.flags & 1 == 0;
    bytes.starts_with(PREFACE) || Frame::parse(bytes).is_some_and(settings)
}

fn run(parser: &mut Parser, pieces: &[&[u8]]) -> Vec<Seen> {
    let (mut seen, mut buffer, mut wanted) = (Vec::new(), Vec::<u8>::new(), 0);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut at = 0;
        while let Some(rest) = buffer.get(at..)
            && rest.len() >= wanted
            && !rest.is_empty()
        {
            match parser.step(rest) {
                Step::Advance { consumed, message } => {
                    let (raw, _) = rest.split_at(consumed.get());
                    at += consumed.get();
                    wanted = 0;
                    if let Some(message) = message {
                        see(message, raw, &mut seen);
                    }
                }
                Step::NeedMore { at_least } => {
                    assert!(at_least.get() > rest.len(), "no progress");
                    assert!(at_least.get() <= LARGEST_FRAME + 2 * 9, "too much is waited for");
                    wanted = at_least.get();
                }
                Step::Reject(_) => {
                    seen.push(Seen::Rejected);
                    at = buffer.len();
                    let (Resync::Exact(_) | Resync::Searching(_)) = parser.on_gap(0);
                }
            }
        }
        buffer.drain(..at);
    }
    seen
}

fn see(message: Message, raw: &[u8], seen: &mut Vec<Seen>) {
    match message {
        Message::Other => {}
        Message::Body { stream, piece, last } => {
            inside(raw, &[piece]);
            let bytes = piece.of(raw);
            match seen.last_mut() {
                Some(Seen::Body(same, before, ended)) if *same == stream && !*ended => {
                    before.extend_from_slice(bytes);
                    *ended = last;
                }
                _ if bytes.is_empty() && !last => {}
                _ => seen.push(Seen::Body(stream, bytes.to_vec(), last)),
            }
        }
        Message::Head { ref head, .. } => {
            check(head);
            seen.push(Seen::Message(message));
        }
        other => seen.push(Seen::Message(other)),
    }
}

fn check(head: &Head) {
    for (name, value) in &head.fields {
        inside(&head.raw, &[*name, *value]);
    }
    if let Opening::Request { method, target } = head.opening {
        inside(&head.raw, &[method, target]);
    }
    // Line ends within a value are told.
    let lines = head.raw.split(|byte| *byte == b'\n').count();
    let told = !head.anomalies.is_empty();
    assert!(
        told || lines <= head.fields.len() + 3,
        "a field became several lines"
    );
}

/// The first byte names a block that is not seen, the second the announced size of the table; then blocks with their
/// lengths in front. Who joined later or missed a block knows less, and never anything else.
pub(crate) fn header_tables(input: &[u8]) {
    let [missed, size, rest @ ..] = input else {
        return;
    };
    let limits = hpack::Limits {
        bytes: HEAD_BYTES,
        fields: 64,
    };
    let (mut whole, mut joined, mut holed) = (
        Decoder::new(limits),
        Decoder::joined(limits),
        Decoder::new(limits),
    );
    for decoder in [&mut whole, &mut joined, &mut holed] {
        decoder.allow_table(u32::from(*size) * 64);
    }
    let missed = usize::from(*missed) % 8;
    for (nth, block) in pieces(rest).enumerate() {
        let mut all = Block::default();
        let good = whole.decode(block, &mut all).is_ok();
        bounded(&all, block);
        if nth == missed {
            holed.lose();
        }
        for (decoder, sees) in [(&mut joined, nth >= missed), (&mut holed, nth != missed)] {
            let mut known = Block::default();
            if sees {
                let read = decoder.decode(block, &mut known).is_ok();
                bounded(&known, block);
                if good && !all.overflowed && !all.table_too_large {
                    assert!(read, "a block is a mistake to who knows less");
                    less(&known, &all);
                }
            }
        }
        if !good || all.table_too_large || all.overflowed {
            return;
        }
    }
}

fn less(known: &Block, all: &Block) {
    assert_eq!(known.fields.len(), all.fields.len());
    for (ours, truth) in known.fields.iter().zip(&all.fields) {
        for (ours, truth) in [(ours.name, truth.name), (ours.value, truth.value)] {
            if let Some(ours) = ours {
                let truth = truth.map(|span| all.bytes(span));
                assert_eq!(Some(known.bytes(ours)), truth, "a wrong field");
            }
        }
        assert_eq!(ours.never_indexed, truth.never_indexed);
    }
}

fn bounded(block: &Block, wire: &[u8]) {
    for field in &block.fields {
        let spans = [field.name.unwrap_or_default(), field.value.unwrap_or_default()];
        inside(&block.text, &spans);
    }
    assert!(block.fields.len() <= 64);
    // A field may begin below the limit: then it is as long as an entry of the table, or Huffman's 8/5 of the wire.
    let most = HEAD_BYTES + hpack::MAX_TABLE as usize + 2 * wire.len();
    assert!(block.text.len() <= most, "{} bytes of text", block.text.len());
}

/// Pieces with a byte of length in front.
fn pieces(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first()?;
        let (piece, behind) = behind
            .split_at_checked(usize::from(*length))
            .unwrap_or((behind, &[]));
        rest = behind;
        Some(piece)
    })
}

/// Any frames in both directions of a connection that begins as one: operations of two bytes (bit 0 the direction, the
/// others where the piece is cut; a length), then so many bytes. How pieces are cut changes nothing, unless a direction
/// lost its place; a hole for any piece is survived. [`play`] checks the accounts.
pub(crate) fn connection(input: &[u8]) {
    let mut rest = input;
    let mut script = vec![
        (Direction::Read, PREFACE.to_vec(), 0),
        (Direction::Write, b"\0\0\0\x04\0\0\0\0\0".to_vec(), 0),
    ];
    while let [operation, length, behind @ ..] = rest {
        let (bytes, behind) = behind
            .split_at_checked(usize::from(*length))
            .unwrap_or((behind, &[]));
        rest = behind;
        let direction = if operation & 1 == 0 {
            Direction::Read
        } else {
            Direction::Write
        };
        script.push((direction, bytes.to_vec(), usize::from(operation >> 1)));
    }
    let whole: Vec<_> = script
        .iter()
        .map(|(way, bytes, _)| (*way, Piece::Bytes(bytes.clone())))
        .collect();
    let found = play(&whole);
    let split: Vec<_> = script
        .iter()
        .flat_map(|(way, bytes, at)| {
            let (front, back) = bytes.split_at(*at % (bytes.len() + 1));
            [
                (*way, Piece::Bytes(front.to_vec())),
                (*way, Piece::Same(back.to_vec())),
            ]
        })
        .collect();
    let split = play(&split);
    if !lost_place(&script) {
        assert_eq!(shown(&found), shown(&split), "how pieces were cut mattered");
    }
    let hole = input.len() % script.len();
    let mut holed = whole;
    if let Some((_, piece)) = holed.get_mut(hole) {
        *piece = Piece::Hole(script.get(hole).map_or(1, |(_, bytes, _)| bytes.len() as u64 + 1));
    }
    play(&holed);
}

fn shown(exchanges: &[Exchange]) -> Vec<String> {
    let mut shown: Vec<String> = exchanges.iter().map(show).collect();
    shown.sort_unstable();
    shown
}

/// Whether a parser of either direction, which is told of no settings, loses its place.
fn lost_place(script: &[(Direction, Vec<u8>, usize)]) -> bool {
    [Direction::Read, Direction::Write].into_iter().any(|way| {
        let ours = script.iter().filter(|(direction, ..)| *direction == way);
        let bytes: Vec<u8> = ours.flat_map(|(_, bytes, _)| bytes.clone()).collect();
        let seen = run(&mut Parser::new(LIMITS), &[&bytes]);
        let mut seen = seen.iter();
        seen.any(|seen| matches!(seen, Seen::Rejected | Seen::Message(Message::PlaceLost)))
    })
}

/// A lawful connection whose every choice is of the input (see [`Connection`]): exchange N asks for `/n/N` and is
/// answered `x-n: N`. Cut anywhere, all of them are found as they were sent; with a piece missing, none gets another's
/// answer.
pub(crate) fn lawful(input: &[u8]) {
    let sent = Connection::of(input);
    let found = play(&sent.pieces(None));
    let mut answers: BTreeMap<usize, &Exchange> = BTreeMap::new();
    for exchange in &found {
        let (asked, answered) = numbers(exchange);
        assert!(asked.is_some() && asked == answered, "{}", show(exchange));
        answers.insert(asked.unwrap_or_default(), exchange);
    }
    assert_eq!(
        (found.len(), answers.len()),
        (sent.exchanges.len(), found.len()),
        "exchanges are missing"
    );
    for (number, sizes) in sent.exchanges.iter().enumerate() {
        let exchange = answers.get(&number).expect("every exchange is found");
        let answer = exchange.outcome.response().expect("it was answered");
        assert_eq!(exchange.request.body.total, sizes.asked as u64);
        assert_eq!(answer.body.total, sizes.answered as u64);
        assert_eq!(answer.trailers.headers.len(), usize::from(sizes.trailers));
        assert!(exchange.request.body.is_whole() && answer.body.is_whole());
        assert!(exchange.anomalies.is_empty(), "{:?}", exchange.anomalies);
    }
    for exchange in play(&sent.pieces(Some(input.len()))) {
        if let (Some(asked), Some(answered)) = numbers(&exchange) {
            assert_eq!(asked, answered, "an answer to another: {}", show(&exchange));
        }
    }
}

/// Numbers of an exchange's request and of its answer.
fn numbers(exchange: &Exchange) -> (Option<usize>, Option<usize>) {
    let parse = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let target = exchange.request.target();
    let asked = target.expose().strip_prefix(b"/n/").and_then(parse);
    let answered = match &exchange.outcome {
        Outcome::Answered(answer) => answer.head.header("x-n").and_then(|value| parse(value.expose())),
        Outcome::Unanswered | Outcome::Lost => None,
    };
    (asked, answered)
}
