use proptest::prelude::*;

use super::*;

/// What a client would be told: messages whole, control frames between.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Frame(Opcode, bool, bool, Vec<Anomaly>),
    Payload(Vec<u8>),
    Hole,
    Rejected(Anomaly),
}

const PLAIN: Rules = Rules {
    deflate: false,
    foreign: false,
};
const DEFLATE: Rules = Rules {
    deflate: true,
    foreign: false,
};

/// A frame as a peer writes it.
fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(mask | u8::try_from(len).unwrap()),
        len @ 126..65536 => {
            bytes.push(mask + 126);
            bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            bytes.push(mask + 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(key.into_iter().flatten());
    unmask(payload, key.unwrap_or_default(), &mut bytes);
    bytes
}

/// Feeds parts; `None` is a hole of that many bytes.
fn feed(parser: &mut Parser, parts: &[Result<&[u8], u64>]) -> Vec<Seen> {
    let (mut seen, mut kept) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Ok(bytes) => kept.extend_from_slice(bytes),
            Err(missing) => {
                let missing = missing + kept.len() as u64;
                kept.clear();
                if !matches!(parser.on_gap(missing), Resync::Exact(None)) {
                    seen.push(Seen::Hole);
                }
            }
        }
        while !kept.is_empty() {
            match parser.step(&kept) {
                Step::Advance { consumed, message } => {
                    note(message, &kept, &mut seen);
                    kept.drain(..consumed.get());
                }
                Step::NeedMore { at_least } => {
                    assert!(at_least.get() > kept.len());
                    break;
                }
                Step::Reject(anomaly) => {
                    seen.push(Seen::Rejected(anomaly));
                    kept.clear();
                    assert!(matches!(parser.on_gap(0), Resync::Searching(_)));
                }
            }
        }
    }
    seen
}

fn note(message: Option<Message>, kept: &[u8], seen: &mut Vec<Seen>) {
    match message {
        Some(Message::Frame(frame)) => seen.push(Seen::Frame(
            frame.opcode,
            frame.fin,
            frame.compressed,
            frame.anomalies.to_vec(),
        )),
        Some(Message::Piece { piece, key, .. }) => {
            let mut clear = Vec::new();
            unmask(piece.of(kept), key, &mut clear);
            match seen.last_mut() {
                Some(Seen::Payload(before)) => before.extend(clear),
                _ => seen.push(Seen::Payload(clear)),
            }
        }
        Some(Message::End { .. }) | None => {}
    }
}

fn whole(travel: Travel, rules: Rules, bytes: &[u8]) -> Vec<Seen> {
    feed(&mut Parser::new(travel, rules), &[Ok(bytes)])
}

#[test]
fn examples_of_the_standard() {
    // RFC 6455, 5.7.
    let fine = |opcode, fin| Seen::Frame(opcode, fin, false, vec![]);
    let hello = Seen::Payload(b"Hello".to_vec());
    assert_eq!(
        whole(Travel::ToClient, PLAIN, b"\x81\x05Hello"),
        [fine(Opcode::Text, true), hello.clone()]
    );
    assert_eq!(
        whole(
            Travel::ToServer,
            PLAIN,
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        ),
        [fine(Opcode::Text, true), hello.clone()]
    );
    assert_eq!(
        whole(Travel::ToClient, PLAIN, b"\x01\x03Hel\x89\x05Hello\x80\x02lo"),
        [
            fine(Opcode::Text, false),
            Seen::Payload(b"Hel".to_vec()),
            fine(Opcode::Ping, true),
            hello,
            fine(Opcode::Continuation, true),
            Seen::Payload(b"lo".to_vec())
        ]
    );
    for len in [256, 65536] {
        let seen = whole(Travel::ToClient, PLAIN, &frame(0x82, &vec![7; len], None));
        assert_eq!(seen, [fine(Opcode::Binary, true), Seen::Payload(vec![7; len])]);
    }
}

/// To the client unless there is a key, without extensions.
fn check(bytes: &[u8], travel: Travel, rules: Rules, anomaly: Anomaly) {
    let seen = whole(travel, rules, bytes);
    let is_it = |seen: &Seen| matches!(seen, Seen::Frame(.., list) if list == &[anomaly]);
    assert!(seen.iter().any(is_it), "{anomaly:?}: {seen:?}");
}

#[test]
fn each_departure_is_an_anomaly() {
    let plain = |first: u8, payload: &[u8], anomaly| {
        check(&frame(first, payload, None), Travel::ToClient, PLAIN, anomaly);
    };
    plain(0xc1, b"a", Anomaly::WebSocketReservedBit);
    plain(0x83, b"a", Anomaly::WebSocketOpcode);
    plain(0x8f, b"a", Anomaly::WebSocketOpcode);
    plain(0x09, b"a", Anomaly::WebSocketControl);
    plain(0x89, &[b'a'; 126], Anomaly::WebSocketControl);
    plain(0x80, b"a", Anomaly::WebSocketFragment);
    for first in [0xa1, 0xc9, 0xf1] {
        let bytes = frame(first, b"a", None);
        check(&bytes, Travel::ToClient, DEFLATE, Anomaly::WebSocketReservedBit);
    }
    let masked = frame(0x81, b"a", Some([1, 2, 3, 4]));
    check(&masked, Travel::ToClient, PLAIN, Anomaly::WebSocketMask);
    check(
        &frame(0x81, b"a", None),
        Travel::ToServer,
        PLAIN,
        Anomaly::WebSocketMask,
    );
    for padded in [&b"\x81\x7e\x00\x01a"[..], b"\x81\x7f\0\0\0\0\0\0\0\x01a"] {
        check(padded, Travel::ToClient, PLAIN, Anomaly::WebSocketLength);
    }
    check(
        b"\x01\x01a\x81\x01b",
        Travel::ToClient,
        PLAIN,
        Anomaly::WebSocketFragment,
    );
}

#[test]
fn what_is_no_frame_is_refused() {
    assert_eq!(
        whole(Travel::ToClient, PLAIN, b"\x81\x7f\xff\0\0\0\0\0\0\0"),
        [Seen::Rejected(Anomaly::WebSocketLength)]
    );
    assert_eq!(
        whole(Travel::ToClient, PLAIN, &frame(0xb3, b"a", None)),
        [Seen::Rejected(Anomaly::WebSocketFrame)]
    );
}

#[test]
fn an_extension_that_is_not_read_is_no_anomaly() {
    let foreign = Rules {
        foreign: true,
        ..PLAIN
    };
    assert_eq!(
        whole(Travel::ToClient, foreign, &frame(0xd1, b"", None)),
        [Seen::Frame(Opcode::Text, true, false, vec![])]
    );
}

#[test]
fn a_hole_in_a_payload_is_skipped_exactly() {
    let bytes = [
        frame(0x82, &[9; 5000], Some([1, 2, 3, 4])),
        frame(0x81, b"next", Some([5, 6, 7, 8])),
    ]
    .concat();
    for hole in [1, 2, 3, 100, 4000] {
        let (before, behind) = (&bytes[..1000], &bytes[1000 + hole..]);
        let mut parser = Parser::new(Travel::ToServer, PLAIN);
        let seen = feed(&mut parser, &[Ok(before), Err(hole as u64), Ok(behind)]);
        assert_eq!(
            seen,
            [
                Seen::Frame(Opcode::Binary, true, false, vec![]),
                Seen::Payload(vec![9; 5000 - hole]),
                Seen::Frame(Opcode::Text, true, false, vec![]),
                Seen::Payload(b"next".to_vec()),
            ]
        );
    }
    // To its very end.
    let mut parser = Parser::new(Travel::ToServer, PLAIN);
    let seen = feed(
        &mut parser,
        &[Ok(&bytes[..1000]), Err(5008 - 1000), Ok(&bytes[5008..])],
    );
    assert_eq!(seen.last(), Some(&Seen::Payload(b"next".to_vec())));
    assert!(seen.contains(&Seen::Hole));
}

/// Messages as APIs send them.
fn talk(travel: Travel, compressed: bool) -> Vec<Vec<u8>> {
    let key =
        |index: u32| (travel == Travel::ToServer).then(|| (index.wrapping_mul(0x9e37_79b9)).to_be_bytes());
    (0..40_u32)
        .map(|index| {
            if compressed {
                // Of no form, as compressed bytes are.
                let noise: Vec<u8> = (0..60 + index)
                    .map(|at| (at.wrapping_mul(2_654_435_761) ^ index.wrapping_mul(40_503)).to_be_bytes()[1])
                    .collect();
                frame(0xc1, &noise, key(index))
            } else {
                let text = format!(
                    "{{\"type\":\"next\",\"id\":\"{index}\",\"payload\":{{\"city\":\"Málaga, Ávila сто\"}}}}"
                );
                frame(0x81, text.as_bytes(), key(index))
            }
        })
        .collect()
}

#[test]
fn behind_a_hole_the_next_frame_is_found() {
    for travel in [Travel::ToServer, Travel::ToClient] {
        let frames = talk(travel, false);
        let bytes = frames.concat();
        let payload = |frame: &[u8]| match &whole(travel, PLAIN, frame)[..] {
            [_, Seen::Payload(payload)] => payload.clone(),
            other => panic!("{other:?}"),
        };
        let all: Vec<_> = frames.iter().map(|frame| payload(frame)).collect();
        for from in (0..1500).step_by(7) {
            for len in [1_usize, 13, 90, 200, 700] {
                let mut parser = Parser::new(travel, PLAIN);
                let seen = feed(
                    &mut parser,
                    &[Ok(&bytes[..from]), Err(len as u64), Ok(&bytes[from + len..])],
                );
                let found: Vec<_> = seen
                    .iter()
                    .filter_map(|seen| match seen {
                        Seen::Payload(payload) => Some(payload.clone()),
                        _ => None,
                    })
                    .collect();
                let whole = found.iter().filter(|payload| all.contains(payload)).count();
                let spoilt = 2 + len / frames[0].len() + 1;
                // Every other payload is one that was sent, but for the one that the hole is in.
                let unknown: Vec<_> = found
                    .iter()
                    .filter(|one| !all.contains(one))
                    .map(|one| String::from_utf8_lossy(one))
                    .collect();
                assert!(unknown.len() <= 1, "{travel:?} {from} {len} {unknown:?} {seen:?}");
                assert!(whole + spoilt >= all.len(), "{travel:?} {from} {len}: {whole}");
            }
        }
    }
}

#[test]
fn compressed_frames_are_found_where_chunks_begin() {
    for travel in [Travel::ToServer, Travel::ToClient] {
        let frames = talk(travel, true);
        let mut parts: Vec<Result<&[u8], u64>> = vec![Ok(&frames[0]), Err(frames[1].len() as u64)];
        parts.extend(frames[2..].iter().map(|frame| Ok(&frame[..])));
        let seen = feed(&mut Parser::new(travel, DEFLATE), &parts);
        let frames = seen
            .iter()
            .filter(|seen| matches!(seen, Seen::Frame(.., list) if list.is_empty()));
        assert_eq!(frames.count(), 39);
    }
}

#[test]
fn noise_is_not_taken_for_frames() {
    let mut state = 1_u64;
    let mut noise = |len: usize| -> Vec<u8> {
        let next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(len).collect()
    };
    let mut taken = 0;
    for _ in 0..64 {
        let mut parser = Parser::new(Travel::ToClient, DEFLATE);
        assert_eq!(parser.on_gap(1), Resync::Searching(None));
        let bytes = noise(16 * 1024);
        let parts: Vec<Result<&[u8], u64>> = bytes.chunks(1400).map(Ok).collect();
        let seen = feed(&mut parser, &parts);
        taken += usize::from(seen.iter().any(|seen| matches!(seen, Seen::Frame(..))));
    }
    // A megabyte.
    assert!(taken <= 2, "{taken}");
}

proptest! {
    #[test]
    fn splits_do_not_matter(
        frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300), any::<Option<[u8; 4]>>()), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload, key)| frame(*first, payload, *key)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut parts: Vec<Result<&[u8], u64>> = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            parts.push(Ok(&bytes[from..cut]));
            from = cut;
        }
        let rules = Rules { deflate: true, foreign: false };
        let split = feed(&mut Parser::new(Travel::ToServer, rules), &parts);
        let whole = whole(Travel::ToServer, rules, &bytes);
        // Up to where the place is lost: from there on where a chunk begins counts.
        let until = |seen: &[Seen]| -> Vec<Seen> {
            seen.iter().take_while(|seen| !matches!(seen, Seen::Rejected(_))).cloned().collect()
        };
        prop_assert_eq!(until(&split), until(&whole));
    }

    #[test]
    fn any_bytes_and_holes_are_survived(
        parts in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200).prop_map(Ok),
            any::<u64>().prop_map(Err),
        ], 0..12),
        to_server in any::<bool>(),
    ) {
        let parts: Vec<Result<&[u8], u64>> = parts
            .iter()
            .map(|part| match part { Ok(bytes) => Ok(&bytes[..]), Err(missing) => Err(*missing >> 8) })
            .collect();
        let travel = if to_server { Travel::ToServer } else { Travel::ToClient };
        feed(&mut Parser::new(travel, DEFLATE), &parts);
    }
}

#[test]
fn the_fuzz_entries_run() {
    for seed in 0..=255_u8 {
        let bytes: Vec<u8> = (0..400_u32)
            .map(|at| (at.wrapping_mul(0x9e37_79b1 ^ u32::from(seed)) >> 13).to_le_bytes()[0])
            .collect();
        fuzz::frames(&bytes);
        fuzz::deflate(&bytes);
        crate::protocol::sse::fuzz(&bytes);
    }
}
