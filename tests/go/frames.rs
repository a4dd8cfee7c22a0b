//! HTTP/2 over Go's TLS: is the byte stream whole? Frames are walked here (RFC 9113, 4.1); headers stay packed.

use std::collections::BTreeMap;

use sensor_tests::golang::{GoApi, Release, Symbols};
use sensor_tests::payload;
use sensor_user::capture::Direction;
use sensor_user::capture::kernel::Options;

use crate::bytes::{Streams, streams};
use crate::setup::{End, client, options, program};

/// The client connection preface (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Go 1.27 writes a body of any of these as one frame in one call, whose limit is one mebibyte.
const LENGTHS: [usize; 4] = [1, 16_385, 100_000, 1_000_000];

#[test]
fn http_2_of_debian_12() {
    both_ends(Release::Debian, Symbols::Kept);
}

#[test]
fn http_2_of_a_stripped_program_of_a_new_release() {
    both_ends(Release::Newest, Symbols::Stripped);
}

#[test]
#[ignore = "a third release; needs a download of 60 MB"]
fn http_2_of_go_1_23() {
    both_ends(Release::Middle, Symbols::Stripped);
}

fn both_ends(release: Release, symbols: Symbols) {
    let what = format!("HTTP/2 {release:?} {symbols:?}");
    let Some(binary) = program(&what, release, symbols) else {
        return;
    };
    let server = GoApi::start(&binary, &[]).unwrap();
    let lengths = LENGTHS.map(|length| length.to_string());
    let port = server.port().to_string();
    let mut arguments = vec!["exchange", &port, "h2"];
    arguments.extend(lengths.iter().map(String::as_str));
    for end in [End::Server, End::Client] {
        let held = client(&binary, &arguments, &[]);
        let pid = if end == End::Server {
            server.pid()
        } else {
            held.pid()
        };
        let wanted: Options = options(&binary, &[pid]);
        let Some(seen) = streams(&what, &wanted, held) else {
            return;
        };
        let to_server = if end == End::Server {
            Direction::Read
        } else {
            Direction::Write
        };
        let what = format!("{what} {end:?}");
        check(&what, &seen, to_server);
    }
}

/// One connection; the bodies of its streams, in the order of the exchanges, are what was sent.
fn check(what: &str, seen: &Streams, to_server: Direction) {
    assert_eq!(seen.len(), 2, "{what}: {:?}", seen.keys());
    let of = |wanted| {
        let found = seen.iter().find(|((_, direction), _)| *direction == wanted);
        found
            .unwrap_or_else(|| panic!("{what}: nothing of {wanted:?}"))
            .1
            .as_slice()
    };
    let requests = of(to_server)
        .strip_prefix(PREFACE)
        .unwrap_or_else(|| panic!("{what}: no preface"));
    let (requests, responses) = (bodies(what, requests), bodies(what, of(to_server.opposite())));
    assert_eq!(
        (requests.len(), responses.len()),
        (LENGTHS.len(), LENGTHS.len()),
        "{what}"
    );
    let both = requests.values().zip(responses.values());
    for ((request, response), (index, length)) in both.zip((0..).zip(LENGTHS)) {
        let (sent, answered) = (
            payload::body(1 + 2 * index, length),
            payload::body(2 + 2 * index, length),
        );
        assert_eq!(
            blake3::hash(request),
            blake3::hash(&sent),
            "{what}: request of {length}"
        );
        assert_eq!(
            blake3::hash(response),
            blake3::hash(&answered),
            "{what}: response of {length}"
        );
    }
}

/// The DATA of each stream. Fails unless frames fill the bytes to the last one.
fn bodies(what: &str, mut bytes: &[u8]) -> BTreeMap<u32, Vec<u8>> {
    let mut bodies: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let [a, b, c, kind, flags, stream @ ..] = *head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let (payload, rest) = rest
            .split_at_checked(length)
            .unwrap_or_else(|| panic!("{what}: a cut frame"));
        if kind == 0 {
            assert_eq!(flags & 0x8, 0, "{what}: padding is not expected");
            bodies
                .entry(u32::from_be_bytes(stream))
                .or_default()
                .extend_from_slice(payload);
        }
        bytes = rest;
    }
    assert!(
        bytes.is_empty(),
        "{what}: {} bytes that are no frame",
        bytes.len()
    );
    bodies
}
