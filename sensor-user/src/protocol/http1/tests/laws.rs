//! Laws over generated messages.

use proptest::prelude::*;

use super::*;

/// A well-formed message and its body.
fn message(first_line: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let fields = proptest::collection::vec(("[A-Za-z-]{1,12}", "[ -~]{0,30}"), 0..6);
    let body = proptest::collection::vec(any::<u8>(), 0..80);
    (
        fields,
        body,
        proptest::option::of(proptest::collection::vec(1_usize..30, 0..5)),
    )
        .prop_map(move |(fields, body, chunks)| {
            let mut wire = first_line.as_bytes().to_vec();
            for (name, value) in fields {
                wire.extend_from_slice(format!("X-{name}: {value}\r\n").as_bytes());
            }
            let Some(sizes) = chunks else {
                wire.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                wire.extend_from_slice(&body);
                return wire;
            };
            wire.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            let mut rest = &body[..];
            for size in sizes.into_iter().chain([usize::MAX]) {
                let (chunk, after) = rest.split_at(size.min(rest.len()));
                if !chunk.is_empty() {
                    wire.extend_from_slice(format!("{:X};e\r\n", chunk.len()).as_bytes());
                    wire.extend_from_slice(chunk);
                    wire.extend_from_slice(b"\r\n");
                }
                rest = after;
            }
            wire.extend_from_slice(b"0\r\nT: 1\r\n\r\n");
            wire
        })
}

fn pieces<'a>(wire: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts
        .iter()
        .map(|cut| cut % (wire.len() + 1))
        .chain([0, wire.len()])
        .collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn any_split_of_requests_gives_the_same(
        messages in proptest::collection::vec(message("POST /a?b HTTP/1.1\r\n"), 1..5),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let wire = messages.concat();
        let whole = requests(&[&wire]);
        prop_assert_eq!(whole.iter().filter(|seen| matches!(seen, Seen::Head(_))).count(), messages.len());
        prop_assert_eq!(requests(&pieces(&wire, &cuts)), whole);
    }

    #[test]
    fn any_split_of_responses_gives_the_same(
        messages in proptest::collection::vec(message("HTTP/1.1 200 OK\r\n"), 1..5),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let wire = messages.concat();
        let whole = responses(&[&wire]);
        prop_assert_eq!(whole.iter().filter(|seen| matches!(seen, Seen::Head(_))).count(), messages.len());
        prop_assert_eq!(responses(&pieces(&wire, &cuts)), whole);
    }

    #[test]
    fn a_damaged_message_gives_the_same_however_split(
        mut wire in message("POST /a HTTP/1.1\r\n"),
        damage in proptest::collection::vec((any::<usize>(), prop_oneof![Just(b'\n'), Just(b'\r'), Just(b' '), any::<u8>()]), 1..4),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        for (at, byte) in damage {
            let at = at % wire.len();
            wire[at] = byte;
        }
        let whole = requests(&[&wire]);
        // A message of unknown length is skipped by a search, which may depend on the split.
        prop_assume!(!whole.iter().any(|seen| matches!(seen, Seen::Head(text) if text.contains(" Cut "))));
        prop_assert_eq!(requests(&pieces(&wire, &cuts)), whole);
    }

    #[test]
    fn any_bytes_and_holes_are_survived(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'0')], 0..300),
        front in message("HTTP/1.1 200 OK\r\n"),
        cut in any::<usize>(),
        missing in 0_u64..200,
    ) {
        let front = &front[..cut % (front.len() + 1)];
        let mut parser = ResponseParser::new(LIMITS);
        for input in [front, &bytes] {
            let mut rest = input;
            while let Step::Advance { consumed, .. } = parser.step(rest) {
                prop_assert!(consumed.get() <= rest.len());
                rest = &rest[consumed.get()..];
            }
            let (Resync::Exact(_) | Resync::Searching(_)) = parser.on_gap(missing);
        }
    }
}
