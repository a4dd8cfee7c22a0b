//! The same stream of events over both versions, in every coding.

use proptest::prelude::*;

use crate::capture::{Direction, GapReason};
use crate::exchange::call::CallKind;
use crate::exchange::test_support::{STREAM, chunk, closed, drive, gap};
use crate::exchange::{BodyState, Exchange, Limits};
use crate::protocol::Anomaly;
use crate::protocol::inflate::flushed;

const CODINGS: [&str; 5] = ["identity", "gzip", "zlib", "br", "zstd"];

/// A piece of the body, or so many bytes of the wire that are missing.
#[derive(Clone, Debug)]
enum Step {
    Piece(Vec<u8>),
    Lost(u64),
    /// The body ends.
    End,
}
use Step::{End, Lost, Piece};

/// What carries the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    One,
    Two,
}

impl Version {
    fn opening(self, encoding: &str) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::One => (
                b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nContent-Encoding: {encoding}\r\n\
                     Transfer-Encoding: chunked\r\n\r\n"
                )
                .into_bytes(),
            ),
            Self::Two => {
                let length = u8::try_from(encoding.len()).unwrap();
                let block = [&b"\x88\x0f\x10\x11text/event-stream\x0f\x0b"[..], &[length], encoding.as_bytes()].concat();
                (
                    [
                        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
                        frame(1, 5, b"\x82\x87\x04\x07/events\x41\x01a"),
                    ]
                    .concat(),
                    [b"\0\0\0\x04\0\0\0\0\0".to_vec(), frame(1, 4, &block)].concat(),
                )
            }
        }
    }

    fn piece(self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::One => [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat(),
            Self::Two => frame(0, 0, body),
        }
    }

    fn end(self) -> Vec<u8> {
        match self {
            Self::One => b"0\r\n\r\n".to_vec(),
            Self::Two => frame(0, 1, b""),
        }
    }
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    wire.extend([kind, flags, 0, 0, 0, 1]);
    wire.extend(payload);
    wire
}

fn name(how: &str) -> &str {
    if how == "zlib" { "deflate" } else { how }
}

/// A piece of a body each, flushed.
fn packed(how: &str, parts: &[&[u8]]) -> Vec<Vec<u8>> {
    match how {
        "identity" => parts.iter().map(|part| part.to_vec()).collect(),
        how => flushed(how, parts, true),
    }
}

/// What comes of it; the accounts close at every step.
fn run(version: Version, encoding: &str, steps: &[Step]) -> Vec<Exchange> {
    let (asked, answered) = version.opening(encoding);
    let answer = |bytes: &[u8]| chunk(STREAM, Direction::Write, 5, bytes);
    let mut events = vec![chunk(STREAM, Direction::Read, 5, &asked), answer(&answered)];
    events.extend(steps.iter().map(|step| match step {
        Piece(body) => answer(&version.piece(body)),
        End => answer(&version.end()),
        Lost(missing) => gap(STREAM, Direction::Write, 5, *missing),
    }));
    events.push(closed(STREAM, 9));
    drive(STREAM, events)
}

type Told = (Vec<u8>, Vec<u8>, BodyState);

/// Types, data and states of the events.
fn told(exchanges: &[Exchange]) -> Vec<Told> {
    let events = exchanges.iter().filter(|exchange| {
        exchange
            .calls
            .first()
            .is_some_and(|call| call.kind == CallKind::ServerSentEvent)
    });
    let tell = |exchange: &Exchange| {
        assert_eq!(exchange.request.target().expose(), b"/events");
        let body = &exchange.outcome.response().unwrap().body;
        let data = body.pieces.iter().flat_map(|piece| piece.0.to_vec()).collect();
        (exchange.calls[0].name.expose().to_vec(), data, body.state)
    };
    events.map(tell).collect()
}

/// The exchange of the stream itself.
fn stream(exchanges: &[Exchange]) -> &Exchange {
    let mut streams = exchanges.iter().filter(|exchange| exchange.calls.is_empty());
    let stream = streams.next().expect("a stream");
    assert!(streams.next().is_none(), "one stream");
    stream
}

fn pieces(how: &str, parts: &[&[u8]]) -> Vec<Step> {
    let mut steps: Vec<Step> = packed(how, parts).into_iter().map(Piece).collect();
    steps.push(End);
    steps
}

#[test]
fn each_event_is_the_same_on_both_versions_and_in_every_coding() {
    let parts: [&[u8]; 4] = [
        b"event: price\ndata: {\"a\"",
        b":1}\n\ndata: two\n\n",
        b": nothing\n\n",
        b"data: half",
    ];
    for version in [Version::One, Version::Two] {
        for how in CODINGS {
            let what = format!("{version:?} {how}");
            let steps = pieces(how, &parts);
            let out = run(version, name(how), &steps);
            assert_eq!(
                told(&out),
                [
                    (b"price".to_vec(), b"{\"a\":1}".to_vec(), BodyState::Whole),
                    (b"message".to_vec(), b"two".to_vec(), BodyState::Whole),
                    (b"message".to_vec(), b"half".to_vec(), BodyState::Cut),
                ],
                "{what}"
            );
            // They are told when they are there.
            let early = run(version, name(how), &steps[..2]);
            assert_eq!(told(&early).len(), 2, "{what}");
            let stream = stream(&out);
            let body = &stream.outcome.response().unwrap().body;
            let sent: usize = packed(how, &parts).iter().map(Vec::len).sum();
            assert_eq!((body.total, body.pieces.len()), (sent as u64, 0), "{what}");
            assert!(stream.anomalies.is_empty(), "{what} {:?}", stream.anomalies);
        }
    }
}

#[test]
fn what_is_wrong_with_a_coding_is_told_of_the_stream() {
    let bomb = vec![b'x'; 8 << 20];
    for version in [Version::One, Version::Two] {
        for how in ["gzip", "zlib", "br"] {
            let mut broken = pieces(how, &[b"data: one\n\n", b"data: two"]);
            let end = broken.len() - 2;
            broken[end] = Piece(vec![0xff; 9]);
            broken.insert(end + 1, Piece(b"data: never\n\n".to_vec()));
            let out = run(version, name(how), &broken);
            assert_eq!(
                told(&out),
                [
                    (b"message".to_vec(), b"one".to_vec(), BodyState::Whole),
                    (b"message".to_vec(), b"two".to_vec(), BodyState::Cut),
                ],
                "{version:?} {how}"
            );
            assert_eq!(stream(&out).anomalies[..], [Anomaly::BadContentCoding]);
            let out = run(version, name(how), &pieces(how, &[b"data: ", &bomb]));
            assert_eq!(stream(&out).anomalies[..], [Anomaly::DecompressionBomb], "{how}");
            assert!(told(&out)[0].1.len() <= Limits::default().body_bytes);
        }
        // Not known, and too many to undo while they come: a body like any other.
        let out = run(version, "rot13", &pieces("identity", &[b"data: one\n\n"]));
        assert_eq!(stream(&out).anomalies[..], [Anomaly::UnknownContentCoding]);
        let twice = packed("gzip", &[&packed("gzip", &[b"data: one\n\n"]).concat()]).concat();
        let out = run(version, "gzip, gzip", &[Piece(twice), End]);
        let content = stream(&out).outcome.response().unwrap().body.content();
        assert_eq!(&*content[0].0, b"data: one\n\n");
    }
}

#[test]
fn behind_a_hole_a_compressed_stream_is_not_guessed() {
    for version in [Version::One, Version::Two] {
        for how in CODINGS {
            let body = packed(how, &[b"data: one\n\ndata: t", b"wo\n\n", b"data: three\n\n"]);
            // A whole frame or chunk is missing.
            let missing = version.piece(&body[1]).len() as u64;
            let steps = [Piece(body[0].clone()), Lost(missing), Piece(body[2].clone()), End];
            let seen = told(&run(version, name(how), &steps));
            let mut expected = vec![(b"message".to_vec(), b"one".to_vec(), BodyState::Whole)];
            if !(how != "identity" && seen.len() == 1) {
                expected.push((
                    b"message".to_vec(),
                    b"t".to_vec(),
                    BodyState::Holed(GapReason::Lost),
                ));
            }
            let seen_first: Vec<Told> = seen.iter().take(expected.len()).cloned().collect();
            assert_eq!(seen_first, expected, "{version:?} {how}");
            assert!(
                seen.iter()
                    .skip(expected.len())
                    .all(|(_, data, _)| how == "identity" && data == b"three"),
                "{version:?} {how} {seen:?}"
            );
        }
    }
}

proptest! {
    /// However the body is cut into chunks or frames.
    #[test]
    fn any_split_gives_the_same(
        how in prop::sample::select(&CODINGS[..]),
        text in "(data|event|id|:| |\n|\n\n|[a-c]){0,60}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let whole = packed(how, &[text.as_bytes()]).concat();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(whole.len() + 1)).collect();
        at.sort_unstable();
        let (mut steps, mut from) = (Vec::new(), 0);
        for to in at.into_iter().chain([whole.len()]) {
            if to > from {
                steps.push(Piece(whole[from..to].to_vec()));
            }
            from = to;
        }
        steps.push(End);
        let expected = told(&run(Version::One, "identity", &[Piece(format!("{text}\n").into_bytes()), End]));
        let plain = if text.is_empty() { Vec::new() } else { told(&run(Version::One, "identity", &[Piece(text.into_bytes()), End])) };
        prop_assert!(expected.len() >= plain.len());
        for version in [Version::One, Version::Two] {
            prop_assert_eq!(told(&run(version, name(how), &steps)), plain.clone(), "{:?} {}", version, how);
        }
    }

    #[test]
    fn nothing_panics_and_the_accounts_close(
        two: bool,
        how in prop::sample::select(&CODINGS[..]),
        steps in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..30)), 0..8),
    ) {
        let steps: Vec<Step> = steps.into_iter().map(|(lost, body)| if lost { Lost(body.len() as u64) } else { Piece(body) }).collect();
        run(if two { Version::Two } else { Version::One }, name(how), &steps);
    }
}
