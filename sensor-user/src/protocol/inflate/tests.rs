use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

const LEVEL: Compression = Compression::new(6);

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), LEVEL);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), LEVEL);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn raw(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), LEVEL);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

fn brotli(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let params = ::brotli::enc::BrotliEncoderParams {
        quality: 5,
        ..Default::default()
    };
    ::brotli::BrotliCompress(&mut &*content, &mut out, &params).unwrap();
    out
}

fn encode(coding: Coding, content: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => gzip(content),
        Coding::Deflate => zlib(content),
        Coding::Brotli => brotli(content),
        Coding::Zstd => zstd(content),
    }
}

const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

fn undo(codings: &[Coding], input: &[u8]) -> (Vec<u8>, Ended) {
    let mut out = b"left over".to_vec();
    let ended = decode(codings, input, Limits::default(), &mut out);
    (out, ended)
}

/// Text that compresses as text does.
fn text(length: usize) -> Vec<u8> {
    let records = (0_u32..).flat_map(|number| {
        format!(
            "{{\"id\":{number},\"mail\":\"u{}@example.com\"}},",
            number.wrapping_mul(2_654_435_761)
        )
        .into_bytes()
    });
    records.take(length).collect()
}

#[test]
fn every_coding_is_undone() {
    for length in [0, 1, 100, 50_000, 300_000] {
        let content = text(length);
        for coding in ALL {
            let packed = encode(coding, &content);
            assert!(
                undo(&[coding], &packed) == (content.clone(), Ended::Whole),
                "{coding:?} of {length}"
            );
        }
        assert!(
            undo(&[Coding::Deflate], &raw(&content)) == (content.clone(), Ended::Whole),
            "{length}"
        );
    }
}

#[test]
fn layers_are_undone_from_the_last() {
    let content = text(3000);
    for first in ALL {
        for second in ALL {
            let packed = encode(second, &encode(first, &content));
            assert_eq!(undo(&[first, second], &packed), (content.clone(), Ended::Whole));
        }
    }
}

#[test]
fn the_field_is_read_as_a_list() {
    let read = |values: &[&str]| codings(values.iter().map(|value| value.as_bytes()));
    assert_eq!(
        read(&["GZip, identity", " br ,x-gzip"]).unwrap().as_slice(),
        [Coding::Gzip, Coding::Brotli, Coding::Gzip]
    );
    assert_eq!(read(&["", "identity"]).unwrap().len(), 0);
    assert_eq!(read(&["gzip, dcb"]), Err(Unreadable::Unknown));
    assert_eq!(read(&["gzip,gzip,gzip", "gzip,gzip"]), Err(Unreadable::TooMany));
}

#[test]
fn members_and_frames_follow_each_other() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let packed = [
            encode(coding, b"one,"),
            encode(coding, b""),
            encode(coding, b"two"),
        ]
        .concat();
        assert_eq!(undo(&[coding], &packed), (b"one,two".to_vec(), Ended::Whole));
        let many = encode(coding, b"x").repeat(MAX_MEMBERS + 1);
        assert_eq!(undo(&[coding], &many).1, Ended::Bomb);
    }
    let long = text(200_000);
    let packed = [gzip(&long), gzip(&long), gzip(&long)].concat();
    assert_eq!(undo(&[Coding::Gzip], &packed), (long.repeat(3), Ended::Whole));
    let padded = [gzip(b"one"), vec![0; 9]].concat();
    assert_eq!(undo(&[Coding::Gzip], &padded), (b"one".to_vec(), Ended::Whole));
    let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9], &*zstd(b"content")].concat();
    assert_eq!(
        undo(&[Coding::Zstd], &skipped),
        (b"content".to_vec(), Ended::Whole)
    );
}

#[test]
fn what_is_behind_the_end_is_told() {
    for coding in ALL {
        let packed = [encode(coding, b"content"), b"and more, of no coding".to_vec()].concat();
        assert_eq!(
            undo(&[coding], &packed),
            (b"content".to_vec(), Ended::Broken),
            "{coding:?}"
        );
    }
}

#[test]
fn a_wrong_checksum_is_told() {
    let mut packed = gzip(b"content");
    let last = packed.len() - 5;
    packed[last] ^= 1;
    assert_eq!(
        undo(&[Coding::Gzip], &packed),
        (b"content".to_vec(), Ended::Broken)
    );
}

#[test]
fn optional_gzip_header_fields_are_skipped() {
    let mut packed = flate2::GzBuilder::new()
        .filename("file.json")
        .comment("none")
        .extra(vec![1, 2, 3])
        .write(Vec::new(), LEVEL);
    packed.write_all(b"content").unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(
        undo(&[Coding::Gzip], &packed),
        (b"content".to_vec(), Ended::Whole)
    );
    assert_eq!(undo(&[Coding::Gzip], &packed[..12]).1, Ended::Cut);
    let mut reserved = packed;
    reserved[3] |= 0x80;
    assert_eq!(undo(&[Coding::Gzip], &reserved).1, Ended::Broken);
}

#[test]
fn bombs_are_stopped() {
    let zeros = vec![0; 40 << 20];
    let limits = Limits::default();
    for coding in ALL {
        let mut out = Vec::new();
        let packed = encode(coding, &zeros);
        assert_eq!(
            decode(&[coding], &packed, limits, &mut out),
            Ended::Bomb,
            "{coding:?}"
        );
        assert!(out.len() <= limits.output_bytes, "{coding:?}");
        // A bomb within another coding is one, too.
        let (out, ended) = undo(&[coding, Coding::Gzip], &gzip(&packed));
        assert_eq!(ended, Ended::Bomb, "{coding:?} in gzip");
        assert!(out.len() <= limits.output_bytes);
        // One byte many times is common where it is short.
        let short = vec![b' '; limits.free_bytes];
        assert_eq!(undo(&[coding], &encode(coding, &short)), (short, Ended::Whole));
    }
}

#[test]
fn more_than_the_limit_is_cut_off() {
    let limits = Limits {
        output_bytes: 10_000,
        ..Limits::default()
    };
    for length in [9_999, 10_000, 10_001, 90_000] {
        let content = text(length);
        for coding in ALL {
            let mut out = Vec::new();
            let ended = decode(&[coding], &encode(coding, &content), limits, &mut out);
            let over = length > 10_000;
            assert_eq!(
                ended == Ended::TooLarge,
                over,
                "{coding:?} of {length}: {ended:?}"
            );
            assert!(out == content[..length.min(10_000)], "{coding:?} of {length}");
        }
    }
}

#[test]
fn a_frame_that_asks_for_too_much_memory_is_refused() {
    // Window descriptor 14 << 3: 16 MiB (RFC 8878, 3.1.1.1.2).
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3, 1, 0, 0];
    assert_eq!(undo(&[Coding::Zstd], &frame), (Vec::new(), Ended::Bomb));
}

#[test]
fn of_a_cut_raw_block_the_front_is_told() {
    // Single segment of 11 bytes, one raw block, last.
    let frame = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 11, 11 << 3 | 1, 0, 0],
        &b"hello world"[..],
    ]
    .concat();
    assert_eq!(
        undo(&[Coding::Zstd], &frame),
        (b"hello world".to_vec(), Ended::Whole)
    );
    assert_eq!(
        undo(&[Coding::Zstd], &frame[..14]),
        (b"hello".to_vec(), Ended::Cut)
    );
}

#[test]
fn a_cut_gives_nearly_everything_before_it() {
    let content = text(60_000);
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli] {
        let packed = encode(coding, &content);
        let (out, ended) = undo(&[coding], &packed[..packed.len() / 2]);
        assert_eq!(ended, Ended::Cut, "{coding:?}");
        assert!(
            content.starts_with(&out) && out.len() > content.len() / 3,
            "{coding:?}: {}",
            out.len()
        );
    }
    let content = text(700_000);
    let packed = zstd(&content);
    let (out, ended) = undo(&[Coding::Zstd], &packed[..packed.len() / 2]);
    assert_eq!(ended, Ended::Cut);
    // Blocks are of 128 KiB.
    assert!(
        content.starts_with(&out) && out.len() + (128 << 10) > content.len() / 3,
        "{}",
        out.len()
    );
}

proptest! {
    #[test]
    fn every_cut_gives_a_front(length in 0..5000_usize, at in any::<prop::sample::Index>(), which in 0..4_usize) {
        let content = text(length);
        let packed = encode(ALL[which], &content);
        let cut = at.index(packed.len());
        let (out, ended) = undo(&[ALL[which]], &packed[..cut]);
        prop_assert_eq!(ended, Ended::Cut);
        prop_assert!(content.starts_with(&out));
    }

    #[test]
    fn nothing_breaks_the_door(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        which in 0..4_usize,
    ) {
        let limits = Limits { output_bytes: 4096, ..Limits::default() };
        let mut out = Vec::new();
        for coding in ALL {
            let _ended: Ended = decode(&[coding], &bytes, limits, &mut out);
            prop_assert!(out.len() <= 4096);
        }
        let mut packed = encode(ALL[which], &text(3000));
        for (at, value) in flips {
            let at = at.index(packed.len());
            packed[at] = value;
        }
        let _ended: Ended = decode(&[ALL[which], Coding::Gzip], &gzip(&packed), limits, &mut out);
        prop_assert!(out.len() <= 4096);
        let mut given = 0;
        let (_used, _ended) = Stream::behind(&bytes).feed(&packed, limits, &mut |piece| given += piece.len());
        // What goes beyond a bound is seen once it is there.
        prop_assert!(given <= 2 * 4096);
    }
}

/// What a packer of this machine makes of `content`; nothing when there is none.
fn packed_by(program: &str, arguments: &[&str], content: &[u8]) -> Option<Vec<u8>> {
    use std::process::{Command, Stdio};
    let mut command = Command::new(program);
    let started = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else {
        println!("SKIPPED {program}: not on this machine");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(content).unwrap());
        child.wait_with_output()
    })
    .map(|output| output.stdout)
    .ok()
}

#[test]
fn what_other_packers_write_is_read() {
    for content in [
        Vec::new(),
        b"x".to_vec(),
        text(1000),
        text(900_000),
        vec![b'x'; 100_000],
    ] {
        for level in ["-1", "-6", "-9"] {
            if let Some(packed) = packed_by("gzip", &["-c", level], &content) {
                assert!(
                    undo(&[Coding::Gzip], &packed) == (content.clone(), Ended::Whole),
                    "gzip {level}"
                );
            }
        }
        for level in [
            &["-1"][..],
            &["-3", "--no-check"],
            &["-9"],
            &["-19"],
            &["-3", "--long=23"],
        ] {
            if let Some(packed) = packed_by("zstd", &[&["-c", "-q"], level].concat(), &content) {
                assert!(
                    undo(&[Coding::Zstd], &packed) == (content.clone(), Ended::Whole),
                    "zstd {level:?}"
                );
                let (front, ended) = undo(&[Coding::Zstd], &packed[..packed.len() * 2 / 3]);
                assert!(
                    ended == Ended::Cut && content.starts_with(&front),
                    "zstd {level:?}, cut"
                );
            }
        }
    }
}

#[test]
fn of_a_body_that_is_cut_all_that_can_be_known_is_given() {
    let content = b"the same again and again, ".repeat(8000);
    for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli] {
        let packed = encode(coding, &[&content[..], &text(200_000)].concat());
        let (out, ended) = undo(&[coding], &packed[..packed.len() / 2]);
        assert_eq!(ended, Ended::Cut, "{coding:?}");
        assert!(out.len() > content.len() - 32_768, "{coding:?} {}", out.len());
    }
}
