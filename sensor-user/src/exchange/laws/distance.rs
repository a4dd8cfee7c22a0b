//! How far the next message is behind a hole, where a connection is long enough to tell: HTTP/2 and WebSocket.
//!
//! The fixtures of the other laws are shorter than what may be waited for behind a hole, so all they show is which share
//! of the holes costs nothing. Here every chunk of a part of a long connection is missing in turn, and what it costs is
//! counted: messages that are lost behind it, and bytes before the first one that is found.

use super::fixtures::{self, Fixture};
use super::{Distance, Missing, Piece, check_pairs, play, recovery, steps, ways};
use crate::protocol::websocket::SEARCH_BYTES;

/// Exchanges of which each chunk is missing in turn: all sizes of the fixtures' bodies.
const TOUCHED: std::ops::Range<usize> = 20..32;

/// The longest frame that a peer sends which was not allowed more, with its head.
const FRAME: usize = 9 + 16_384;

/// Bytes of the chunks.
const CHUNK: usize = 16;

/// What a hole may cost: bytes behind it that are not read, the message that they end in apart.
fn most_bytes(fixture: &Fixture) -> usize {
    let longest = fixture.steps.iter().map(|step| step.bytes.len()).max();
    let searched = if fixture.name.starts_with("websocket") {
        SEARCH_BYTES
    } else {
        // What looks like the front of a frame's head is waited for (RFC 9113, 4.1 and 4.2).
        FRAME
    };
    // The message that the wait ends within is lost as well, and so may be the one that the hole is in.
    searched + 2 * longest.unwrap_or_default()
}

/// The steps, those of [`TOUCHED`] in chunks; and the chunks' places.
fn pieces(fixture: &Fixture) -> (Vec<Piece>, Vec<usize>) {
    let (mut pieces, mut places) = (Vec::new(), Vec::new());
    for (step, piece) in fixture.steps.iter().zip(steps(fixture)) {
        let size = if TOUCHED.contains(&step.exchange) {
            CHUNK
        } else {
            usize::MAX
        };
        let starts = (piece.from..piece.to).step_by(size.min(piece.to - piece.from).max(1));
        for from in starts {
            if size == CHUNK {
                places.push(pieces.len());
            }
            pieces.push(Piece {
                from,
                to: from.saturating_add(size).min(piece.to),
                ..piece.clone()
            });
        }
    }
    (pieces, places)
}

fn distances(fixture: &Fixture) -> Vec<Distance> {
    let ways = ways(fixture);
    let (pieces, places) = pieces(fixture);
    let mut all = Vec::new();
    for (nth, place) in places.into_iter().enumerate() {
        let holes = Missing {
            pieces: vec![place],
            late: nth % 2 == 0,
        };
        let exchanges = play(&ways, &pieces, &holes);
        check_pairs(fixture, &exchanges, &holes, &pieces);
        all.push(recovery(fixture, &exchanges, &pieces[place]));
    }
    all
}

/// The number that so many of a hundred do not exceed.
fn share(sorted: &[usize], hundredth: usize) -> usize {
    sorted[(sorted.len() * hundredth).div_ceil(100).saturating_sub(1)]
}

#[test]
fn the_next_message_of_a_long_connection_is_within_what_is_searched() {
    let mut beyond = Vec::new();
    for fixture in fixtures::long() {
        let found = distances(&fixture);
        let of = |part: fn(&Distance) -> usize| {
            let mut numbers: Vec<usize> = found.iter().map(part).collect();
            numbers.sort_unstable();
            [50, 90, 99, 100].map(|hundredth| share(&numbers, hundredth))
        };
        let (messages, bytes) = (of(|one| one.messages), of(|one| one.bytes));
        let line = format!(
            "{}: {} holes; of 50, 90, 99, 100 in a hundred: {messages:?} messages, {bytes:?} bytes",
            fixture.name,
            found.len()
        );
        println!("{line}");
        // Half of the rest of the connection is more than what may be lost: it is found at all.
        let left = (fixture.exchanges - TOUCHED.end) / 2;
        if bytes[3] > most_bytes(&fixture) || messages[3] >= left {
            beyond.push(line);
        }
    }
    assert!(beyond.is_empty(), "{beyond:#?}");
}
