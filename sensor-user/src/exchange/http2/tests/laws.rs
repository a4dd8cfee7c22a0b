//! What holds of any order, any cut and any bytes.

use proptest::prelude::*;

use super::*;

/// Numbers that only the seed decides.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn lesson_13_random_and_tls_bytes_are_not_taken_for_http2() {
    use crate::protocol::detect::{Verdict, detect};
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut taken = [0_u64; 2];
    for round in 0..2_000_000_u64 {
        let mut bytes = [0; 64];
        for word in bytes.as_chunks_mut::<8>().0 {
            *word = random(&mut state).to_le_bytes();
        }
        // Every other prefix begins as every frame does, and is a frame but for the rest.
        if round % 2 == 1 {
            bytes[0] = 0;
            bytes[3] &= 15;
        }
        let verdict = detect(&bytes);
        let http2 = matches!(
            verdict,
            Verdict::Http2 | Verdict::Http2Server | Verdict::Http2Requests | Verdict::Http2Responses
        );
        taken[(round % 2) as usize] += u64::from(http2);
    }
    assert_eq!(taken, [0, 0]);
}

proptest! {
    /// Any order of the two directions that causality permits, and any cut of each, gives the same exchanges.
    #[test]
    fn order_and_cuts_do_not_matter(turns in prop::collection::vec((any::<bool>(), 1_usize..40), 0..60)) {
        let requests: Vec<u8> = (0..6)
            .flat_map(|nth| [headers(2 * nth + 1, false, &[&get(nth)[..], b"\x40\x01a\x01b"].concat()), data(2 * nth + 1, true, "body")].concat())
            .collect();
        let responses: Vec<u8> = (0..6)
            .flat_map(|nth| [headers(2 * nth + 1, false, b"\x88\x40\x01c\x01d"), data(2 * nth + 1, true, "answer")].concat())
            .collect();
        let each = requests.len() / 6;
        let mut play = Play::begun();
        let (mut asked, mut answered) = (0, 0);
        for (ask, len) in turns {
            if ask {
                let end = (asked + len).min(requests.len());
                play.request(&requests[asked..end]);
                asked = end;
            } else {
                // An answer to what was asked.
                let most = asked / each * (responses.len() / 6);
                let end = (answered + len).min(most).max(answered);
                play.response(&responses[answered..end]);
                answered = end;
            }
        }
        play.request(&requests[asked..]).response(&responses[answered..]);
        let expected: Vec<String> = (0..6).map(|nth| format!("GET /{nth} a=b[body] 200 c=d[answer]")).collect();
        prop_assert_eq!(play.end(), expected);
    }

    #[test]
    fn nothing_panics_and_every_byte_is_accounted_for(
        frames in prop::collection::vec((any::<bool>(), 0_u8..11, any::<u8>(), 0_u32..8, prop::collection::vec(any::<u8>(), 0..40), 0_u8..8), 0..40)
    ) {
        let mut play = Play::begun();
        for (ask, kind, flags, stream, payload, gap) in frames {
            let direction = if ask { Direction::Read } else { Direction::Write };
            let wire = frame(kind, flags, stream, &payload);
            if gap == 0 {
                play.push(direction, &wire[..wire.len() / 2]).gap(direction, wire.len());
            } else {
                play.push(direction, &wire);
            }
        }
        play.end();
    }
}
