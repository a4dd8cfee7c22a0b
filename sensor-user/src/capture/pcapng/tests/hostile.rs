use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::capture::{CloseReason, Evidence};

fn recording() -> Vec<u8> {
    let key = stream(6);
    file_of(&[
        Record::Bind {
            origin: origin(key),
            stream: key,
            socket: socket(Role::Server, "10.0.0.1:443", "10.0.0.2:50000"),
            evidence: Evidence::SetFd,
            ambiguous: false,
        },
        data(key, Direction::Read, 0, b"GET / HTTP/1.1\r\n\r\n"),
        gap(key, Direction::Write, 0, 500, GapReason::Limit),
        data(key, Direction::Write, 500, b"the rest"),
        Record::Close {
            origin: origin(key),
            stream: key,
            reason: CloseReason::Socket,
            ends: None,
        },
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damaged_recordings_never_panic(changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut file = recording();
        for (at, value) in changes {
            let at = at.index(file.len());
            file[at] = value;
        }
        let (_, _, error) = read(&file);
        prop_assert!(error.is_none_or(|error| error.to_string().contains("test")));
    }

    #[test]
    fn noise_never_panics(noise in vec(any::<u8>(), 0..300), prefix in 0..4_usize) {
        let whole = recording();
        let magic: &[u8] = [&[][..], &[0xd4, 0xc3, 0xb2, 0xa1], &[0x0a, 0x0d, 0x0d, 0x0a], &whole[..64]][prefix];
        let _ = read(&[magic, noise.as_slice()].concat());
    }
}

#[test]
fn every_cut_is_told_apart_from_an_end() {
    let file = recording();
    let mut whole = Vec::new();
    let mut at = 0;
    while at < file.len() {
        whole.push(at);
        at += u32::from_le_bytes(file[at + 4..at + 8].try_into().expect("four bytes")) as usize;
    }
    for cut in 0..file.len() {
        let (_, _, error) = read(&file[..cut]);
        let kind = error.map(|error| error.kind());
        if cut < 4 {
            assert_eq!(kind, Some("not_a_capture"), "cut at {cut}");
        } else if whole.contains(&cut) {
            assert_eq!(kind, None, "cut at {cut}");
        } else {
            assert_eq!(kind, Some("cut_short"), "cut at {cut}");
        }
    }
}

#[test]
fn errors_name_file_place_and_remedy() {
    let mut file = recording();
    let second = u32::from_le_bytes(file[4..8].try_into().expect("four bytes")) as usize;
    file[second + 4] = 7;
    let error = read(&file)
        .2
        .expect("the second block's length is odd")
        .to_string();
    assert_eq!(
        error,
        "recording test is damaged at block 2: the block's length is below 12 or no multiple of 4; what came before it \
         was read, `editcap` may save more"
    );
    let error = read(b"\x1f\x8b\x08\0 gzip").2.expect("no capture").to_string();
    assert!(error.contains("decompress"), "{error}");
}

#[test]
fn records_before_the_damage_are_given() {
    let mut file = recording();
    file.truncate(file.len() - 1);
    let (records, _, error) = read(&file);
    assert_eq!(error.map(|error| error.kind()), Some("cut_short"));
    assert!(!content(&records).is_empty());
}

#[test]
fn an_impossible_length_takes_no_memory() {
    let mut file = recording();
    let second = u32::from_le_bytes(file[4..8].try_into().expect("four bytes")) as usize;
    file[second + 4..second + 8].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    assert_eq!(read(&file).2.map(|error| error.kind()), Some("malformed"));
}
