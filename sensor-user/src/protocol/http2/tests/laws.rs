//! What holds of any cut, any hole and any bytes.

use proptest::prelude::*;

use super::*;

/// Frames of one client, with the streams that begin in each.
fn frames() -> Vec<Vec<u8>> {
    (0..12_u32)
        .flat_map(|nth| {
            let stream = 2 * nth + 1;
            let name = [b'a' + nth as u8];
            let block = [
                &b"\x83\x87\x84\x40\x01"[..],
                &name,
                b"\x01v",
                if nth > 0 { b"\xbf" } else { b"" },
            ]
            .concat();
            let piece = [b'0' + (nth % 10) as u8; 100];
            [
                frame(1, 4, stream, &block),
                frame(0, 0, stream, &piece),
                frame(0, 1, stream, &piece),
            ]
        })
        .collect()
}

proptest! {
    #[test]
    fn any_split_gives_the_same(cuts in prop::collection::vec(0_usize..1000, 0..8)) {
        let wire = client();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % wire.len()).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&wire[from..cut]);
            from = cut;
        }
        pieces.push(&wire[from..]);
        pieces.retain(|piece| !piece.is_empty());
        prop_assert_eq!(run(&pieces), client_seen());
    }

    /// A hole anywhere, followed by bytes in calls of one frame each: no field is wrong, and the third frame that was
    /// not touched is read again.
    #[test]
    fn any_removed_piece_is_survived(from in 0_usize..3000, len in 1_usize..700) {
        let frames = frames();
        let wire = [SETTINGS.to_vec(), frames.concat()].concat();
        let whole = run(&[&wire]);
        let from = from % wire.len();
        let end = (from + len).min(wire.len());
        let mut holed = Run::new(Parser::new(LIMITS));
        let mut at = 0;
        for piece in std::iter::once(&SETTINGS.to_vec()).chain(&frames) {
            let piece_end = at + piece.len();
            let keep = |range: std::ops::Range<usize>| &wire[range.start.min(range.end)..range.end];
            if at < from {
                holed.push(keep(at..piece_end.min(from)));
            }
            if (at..piece_end).contains(&from) {
                holed.gap((end - from) as u64);
            }
            if piece_end > end {
                holed.push(keep(at.max(end)..piece_end));
            }
            at = piece_end;
        }
        for seen in &holed.seen {
            if let Seen::Head(stream, text) = seen {
                let is_whole = whole.contains(seen);
                prop_assert!(is_whole || text.contains("Http2UnknownFields"), "{stream} {text}");
            }
        }
        let third = frames.len() - frames.iter().rev().scan(wire.len(), |left, frame| {
            *left -= frame.len();
            Some(*left)
        }).take_while(|start| *start >= end).count() + 3;
        if let Some(nth) = frames.iter().skip(third).position(|frame| frame[3] == 1) {
            let stream = 2 * ((third + nth) / 3) as u32 + 1;
            let found = holed.seen.iter().any(|seen| matches!(seen, Seen::Head(known, _) if *known == stream));
            prop_assert!(found, "{stream} {:?}", holed.seen);
        }
    }

    #[test]
    fn nothing_panics(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..10), gap in 0_u64..100) {
        for parser in [Parser::new(LIMITS), Parser::searching(LIMITS), Parser::joined(LIMITS)] {
            let mut run = Run::new(parser);
            for piece in &pieces {
                run.push(piece);
                if gap % 3 == 0 {
                    run.gap(gap);
                }
            }
        }
    }

    /// Well-formed headers with any content: deeper than random bytes get.
    #[test]
    fn odd_frames_do_not_panic(frames in prop::collection::vec((0_u8..12, any::<u8>(), 0_u32..6, prop::collection::vec(any::<u8>(), 0..40)), 0..12), cut in 1_usize..50) {
        let wire: Vec<u8> = frames.iter().flat_map(|(kind, flags, stream, payload)| frame(*kind, *flags, *stream, payload)).collect();
        let wire = [SETTINGS, &wire].concat();
        let pieces: Vec<&[u8]> = wire.chunks(cut).collect();
        prop_assert_eq!(run(&pieces), run(&[&wire]));
        let mut holed = Run::new(Parser::new(LIMITS));
        for (nth, piece) in pieces.iter().enumerate() {
            if nth % 3 == 1 { holed.gap(piece.len() as u64) } else { holed.push(piece) }
        }
    }
}
