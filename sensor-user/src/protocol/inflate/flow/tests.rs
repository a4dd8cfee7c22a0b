use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

const HELD: usize = 64 * 1024;

/// Each part flushed, as servers do behind an event; `end`: the body ends, too.
pub(crate) fn encode(how: &str, parts: &[&[u8]], end: bool) -> Vec<Vec<u8>> {
    fn flushed<W: std::io::Write>(
        mut writer: W,
        taken: impl Fn(&mut W) -> Vec<u8>,
        parts: &[&[u8]],
    ) -> (W, Vec<Vec<u8>>) {
        let mut out = Vec::new();
        for part in parts {
            writer.write_all(part).unwrap();
            writer.flush().unwrap();
            out.push(taken(&mut writer));
        }
        (writer, out)
    }
    let level = Compression::new(6);
    let (mut out, last) = match how {
        "gzip" => {
            let writer = GzEncoder::new(Vec::new(), level);
            let (writer, out) = flushed(writer, |writer| std::mem::take(writer.get_mut()), parts);
            (out, writer.finish().unwrap())
        }
        "zlib" => {
            let writer = ZlibEncoder::new(Vec::new(), level);
            let (writer, out) = flushed(writer, |writer| std::mem::take(writer.get_mut()), parts);
            (out, writer.finish().unwrap())
        }
        "raw" => {
            let writer = DeflateEncoder::new(Vec::new(), level);
            let (writer, out) = flushed(writer, |writer| std::mem::take(writer.get_mut()), parts);
            (out, writer.finish().unwrap())
        }
        "br" => {
            let writer = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            let (writer, out) = flushed(writer, |writer| std::mem::take(writer.get_mut()), parts);
            (out, writer.into_inner())
        }
        // A frame of blocks that are sent as they are (RFC 8878, 3.1.1).
        "zstd" => {
            let mut out: Vec<Vec<u8>> = parts.iter().map(|part| block(part, 0)).collect();
            out[0].splice(0..0, *b"\x28\xb5\x2f\xfd\x00\x58");
            (out, block(b"", 1))
        }
        _ => unreachable!(),
    };
    if end {
        out.push(last);
    }
    out
}

fn block(content: &[u8], last: u32) -> Vec<u8> {
    let header = u32::try_from(content.len()).unwrap() << 3 | last;
    [&header.to_le_bytes()[..3], content].concat()
}

fn coding(how: &str) -> Coding {
    match how {
        "gzip" => Coding::Gzip,
        "br" => Coding::Brotli,
        "zstd" => Coding::Zstd,
        _ => Coding::Deflate,
    }
}

const ALL: [&str; 5] = ["gzip", "zlib", "raw", "br", "zstd"];

fn flow(how: &str) -> Flow {
    Flow::new(coding(how), HELD, Limits::default())
}

/// What comes of pieces, and how it ended.
fn undo(flow: &mut Flow, pieces: &[&[u8]]) -> (Vec<u8>, Option<Ended>) {
    let mut out = Vec::new();
    let mut ended = None;
    for piece in pieces {
        ended = ended.or(flow.feed(piece, &mut |content| out.extend_from_slice(content)));
    }
    let last = flow.finish(&mut |content| out.extend_from_slice(content));
    (out, ended.or(last))
}

#[test]
fn each_part_is_there_when_it_was_flushed() {
    let parts: Vec<String> = (0..300).map(|n| format!("data: {{\"n\":{n}}}\n\n")).collect();
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    for how in ALL {
        let mut flow = flow(how);
        let mut last = Vec::new();
        for (index, piece) in encode(how, &parts, false).iter().enumerate() {
            let mut out = Vec::new();
            assert_eq!(
                flow.feed(piece, &mut |content| out.extend_from_slice(content)),
                None,
                "{how}"
            );
            assert_eq!(out, parts[index], "{how} at {index}");
            last = out;
        }
        assert!(!last.is_empty());
        assert_eq!(flow.finish(&mut |_| ()), Some(Ended::Cut), "{how}");
        assert_eq!(flow.held_bytes(), 0, "{how}");
    }
}

#[test]
fn deflate_goes_on_for_hours_and_a_front_is_held() {
    let part = b"data: something that happens again and again, \n\n".repeat(40);
    for how in ALL {
        let mut flow = flow(how);
        let parts: Vec<Vec<u8>> = (0..600_u32)
            .map(|n| [&n.wrapping_mul(2_654_435_761).to_le_bytes()[..], &part].concat())
            .collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let (mut told, mut held, mut ended) = (0, 0, None);
        for piece in encode(how, &parts, true) {
            ended = ended.or(flow.feed(&piece, &mut |content| told += content.len()));
            held = held.max(flow.held_bytes());
        }
        assert!(held <= HELD.max(STATE_BYTES) * 2, "{how} {held}");
        if matches!(how, "gzip" | "zlib" | "raw") {
            assert_eq!(
                (told, ended, flow.finish(&mut |_| ())),
                (1_154_400, None, Some(Ended::Whole)),
                "{how}"
            );
        } else {
            assert!(told > 60_000, "{how} {told} {ended:?} {flow:?}");
        }
        if how == "zstd" {
            assert_eq!(
                ended,
                Some(Ended::TooLarge),
                "what is not compressed does not fit: {told}"
            );
        }
    }
}

#[test]
fn what_is_wrong_is_told_once_and_nothing_follows() {
    for how in ALL {
        let pieces = encode(how, &[b"one", b"two"], true);
        let mut bad = pieces.clone();
        let end = bad.len() - 1;
        // Of zstd a reserved kind of block.
        bad[end] = if how == "zstd" {
            vec![6, 0, 0, 0]
        } else {
            vec![0xff; 9]
        };
        let mut flow = flow(how);
        let bad: Vec<&[u8]> = bad.iter().map(Vec::as_slice).collect();
        let (out, ended) = undo(&mut flow, &bad);
        assert_eq!((&*out, ended), (&b"onetwo"[..], Some(Ended::Broken)), "{how}");
        assert_eq!(flow.feed(b"more", &mut |_| panic!("nothing")), None);
        assert_eq!(flow.held_bytes(), 0);
    }
    // A second body behind that of `deflate` is not of the coding; behind gzip's it is.
    let twice = |how| {
        let pieces = [encode(how, &[b"a"], true), encode(how, &[b"b"], true)].concat();
        undo(
            &mut flow(how),
            &pieces.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        )
    };
    assert_eq!(twice("zlib"), (b"a".to_vec(), Some(Ended::Broken)));
    assert_eq!(twice("gzip"), (b"ab".to_vec(), Some(Ended::Whole)));
    let padded = [encode("gzip", &[b"a"], true).concat(), vec![0; 100]].concat();
    assert_eq!(
        undo(&mut flow("gzip"), &[&padded]),
        (b"a".to_vec(), Some(Ended::Whole))
    );
}

#[test]
fn a_bomb_ends_it() {
    let zeros = vec![0; 4 << 20];
    for how in ["gzip", "zlib", "raw", "br"] {
        let pieces = encode(how, &[&zeros], true);
        let mut flow = flow(how);
        let (out, ended) = undo(&mut flow, &pieces.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(ended, Some(Ended::Bomb), "{how}");
        assert!(out.len() <= 1 << 20, "{how} {}", out.len());
    }
    let member = encode("gzip", &[b""], true).concat();
    let (_, ended) = undo(&mut flow("gzip"), &[&member.repeat(1000)]);
    assert_eq!(ended, Some(Ended::Bomb), "members without content");
}

/// However small the pieces, a front is not undone from its beginning each time.
#[test]
fn the_work_of_a_front_is_bounded() {
    let content: Vec<u8> = (0..40_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let packed = encode("br", &[&content[..60_000]], true).concat();
    let mut flow = flow("br");
    for byte in &packed {
        let _ = flow.feed(std::slice::from_ref(byte), &mut |_| ());
    }
    let Kind::Front(front) = &flow.kind else { panic!() };
    assert!(front.work < 4 * ANEW_BYTES, "{}", front.work);
}

proptest! {
    /// However it is cut, the same comes out, and no more than the door gives of the whole.
    #[test]
    fn any_split_gives_the_same(
        how in prop::sample::select(&ALL[..]),
        parts in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"abc\n"[..]), 1..60), 1..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        cut_off in any::<prop::sample::Index>(),
    ) {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let whole = encode(how, &parts, true).concat();
        for input in [&whole[..], &whole[..cut_off.index(whole.len())]] {
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
            at.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for to in at.into_iter().chain([input.len()]) {
                pieces.push(&input[from..to]);
                from = to;
            }
            let split = undo(&mut flow(how), &pieces);
            prop_assert_eq!(&split, &undo(&mut flow(how), &[input]), "{}", how);
            let mut out = Vec::new();
            let ended = super::super::decode(&[coding(how)], input, Limits::default(), &mut out);
            prop_assert_eq!(split, (out, Some(ended)), "{}", how);
        }
    }

    #[test]
    fn nothing_panics(how in prop::sample::select(&ALL[..]), pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        undo(&mut flow(how), &pieces.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
}
