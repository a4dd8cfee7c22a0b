//! Entries for fuzzing: any bytes as input, and what must hold of every parser.
//!
//! Takes one input: how it is split, and what is lost, are part of it. Gives nothing; an assertion fails where a law is
//! broken.

use super::deflate::{Inflater, MAX_MESSAGE};
use super::handshake::{Extensions, Window};
use super::{Parser, Rules, Travel};
use crate::protocol::{Resync, Step, StreamParser as _};

/// Frames of one direction. The first byte chooses the direction and the rules; then each piece has its length in front,
/// 255 standing for a hole.
pub fn frames(input: &[u8]) {
    let Some((choice, mut rest)) = input.split_first() else {
        return;
    };
    let travel = if choice & 1 == 0 {
        Travel::ToServer
    } else {
        Travel::ToClient
    };
    let rules = Rules {
        deflate: choice & 2 != 0,
        foreign: choice & 4 != 0,
    };
    let mut parser = Parser::new(travel, rules);
    let mut kept: Vec<u8> = Vec::new();
    while let Some((len, behind)) = rest.split_first() {
        let (piece, behind) = behind
            .split_at_checked(usize::from(*len))
            .unwrap_or((behind, &[]));
        rest = behind;
        if *len == 255 {
            let missing = kept.len() as u64 + 7;
            kept.clear();
            let (Resync::Exact(_) | Resync::Searching(_)) = parser.on_gap(missing);
            continue;
        }
        kept.extend_from_slice(piece);
        drain(&mut parser, &mut kept);
    }
    parser.on_end();
}

fn drain(parser: &mut Parser, kept: &mut Vec<u8>) {
    while !kept.is_empty() {
        match parser.step(kept) {
            Step::Advance { consumed, .. } => {
                assert!(consumed.get() <= kept.len(), "more consumed than there was");
                kept.drain(..consumed.get());
            }
            Step::NeedMore { at_least } => {
                assert!(at_least.get() > kept.len(), "more asked for than is missing");
                assert!(kept.len() < super::SEARCH_BYTES, "too much kept");
                return;
            }
            Step::Reject(_) => {
                kept.clear();
                let (Resync::Exact(_) | Resync::Searching(_)) = parser.on_gap(0);
            }
        }
    }
}

/// Compressed messages. The first byte chooses the parameters; then each message has its length in front.
pub fn deflate(input: &[u8]) {
    let Some((choice, mut rest)) = input.split_first() else {
        return;
    };
    let mut inflater = Inflater::new(Window {
        bits: 8 + (choice & 7),
        takeover: choice & 8 != 0,
    });
    while let Some((len, behind)) = rest.split_first() {
        let (piece, behind) = behind
            .split_at_checked(usize::from(*len))
            .unwrap_or((behind, &[]));
        rest = behind;
        let mut given = 0_usize;
        let whole = inflater.feed(piece, &mut |bytes| given += bytes.len());
        let end = inflater.finish(&mut |bytes| given += bytes.len());
        assert!(given <= 2 * MAX_MESSAGE, "too much given");
        if whole.is_err() || end.is_err() || *len == 255 {
            inflater.forget();
        }
    }
}

/// Fields of a handshake.
pub fn handshake(input: &[u8]) {
    let mut extensions = Extensions::default();
    extensions.add(input);
    super::handshake::is_key(input);
}
