use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::*;

const TAKEOVER: Window = Window {
    bits: 15,
    takeover: true,
};
const NO_TAKEOVER: Window = Window {
    bits: 15,
    takeover: false,
};

/// A sender (RFC 7692, 7.2.1).
struct Sender {
    compressor: Compress,
    takeover: bool,
}

impl Sender {
    fn new(takeover: bool) -> Self {
        Self {
            // Without zlib's header.
            compressor: Compress::new(Compression::new(6), false),
            takeover,
        }
    }

    fn send(&mut self, message: &[u8]) -> Vec<u8> {
        if !self.takeover {
            self.compressor.reset();
        }
        if message.is_empty() {
            // RFC 7692, 7.2.3.6; zlib flushes nothing twice.
            return vec![0];
        }
        let mut out = Vec::with_capacity(message.len() + 64);
        let before = self.compressor.total_in();
        self.compressor
            .compress_vec(message, &mut out, FlushCompress::Sync)
            .unwrap();
        assert_eq!(self.compressor.total_in() - before, message.len() as u64);
        assert_eq!(out.split_off(out.len() - 4), TAIL);
        out
    }
}

fn receive(inflater: &mut Inflater, pieces: &[&[u8]]) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    let mut result = Ok(());
    for piece in pieces {
        result = result.and(inflater.feed(piece, &mut |bytes| out.extend_from_slice(bytes)));
    }
    let end = inflater.finish(&mut |bytes| out.extend_from_slice(bytes));
    result.and(end).map(|()| out)
}

#[test]
fn examples_of_the_standard() {
    // RFC 7692, 7.2.3: one block, the same again with takeover, a stored block, a last block.
    let mut inflater = Inflater::new(TAKEOVER);
    let hello = Ok(b"Hello".to_vec());
    assert_eq!(receive(&mut inflater, &[b"\xf2\x48\xcd\xc9\xc9\x07\x00"]), hello);
    assert_eq!(receive(&mut inflater, &[b"\xf2\x00\x11\x00\x00"]), hello);
    assert_eq!(receive(&mut inflater, &[b"\x00\x05\x00\xfa\xffHello\x00"]), hello);
    assert_eq!(
        receive(&mut inflater, &[b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"]),
        hello
    );
    assert_eq!(
        receive(
            &mut inflater,
            &[b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"]
        ),
        hello
    );
    assert_eq!(receive(&mut inflater, &[b"\x00"]), Ok(vec![]));
}

#[test]
fn what_does_not_inflate_is_an_anomaly_and_the_next_goes_on() {
    for window in [TAKEOVER, NO_TAKEOVER] {
        let mut inflater = Inflater::new(window);
        assert_eq!(
            receive(&mut inflater, &[b"\xff\xff\xff"]),
            Err(Failure::Bad(Anomaly::WebSocketDeflate))
        );
        assert_eq!(
            receive(&mut inflater, &[b"\xf2\x48\xcd\xc9\xc9\x07\x00"]),
            Ok(b"Hello".to_vec())
        );
    }
    // A distance beyond what was sent.
    let mut inflater = Inflater::new(NO_TAKEOVER);
    assert_eq!(
        receive(&mut inflater, &[b"\xf2\x48\xcd\xc9\xc9\x07\x00"]),
        Ok(b"Hello".to_vec())
    );
    assert_eq!(
        receive(&mut inflater, &[b"\xf2\x00\x11\x00\x00"]),
        Err(Failure::Bad(Anomaly::WebSocketDeflate))
    );
}

/// Five bytes that refer to "Hello" of the message before (RFC 7692, 7.2.3.2), which was not seen.
#[test]
fn nothing_is_made_up_for_what_was_not_seen() {
    let referring = [&b"\xf2\x00\x11\x00\x00"[..], TAIL].concat();
    let mut out = Vec::new();
    let mut feed = |history: &[u8]| {
        out.clear();
        let (_, ended) =
            Stream::behind(history).feed(&referring, LIMITS, &mut |piece| out.extend_from_slice(piece));
        (ended, out.clone())
    };
    for history in [&b""[..], b"Hel"] {
        let (ended, given) = feed(history);
        assert_eq!(ended, Ended::Broken);
        assert!(b"H".starts_with(&given), "{given:?}");
    }
    assert_eq!(feed(b"Hello"), (Ended::Cut, b"Hello".to_vec()));
    assert_eq!(
        feed(&[vec![b'x'; 100_000], b"Hello".to_vec()].concat()).1,
        b"Hello"
    );
}

#[test]
fn a_bomb_is_refused_and_little_is_kept() {
    let mut sender = Sender::new(true);
    let bomb = sender.send(&vec![0; 40 << 20]);
    let mut inflater = Inflater::new(TAKEOVER);
    let mut out = 0;
    let result = inflater.feed(&bomb, &mut |bytes| out += bytes.len());
    assert_eq!(result, Err(Failure::Bad(Anomaly::WebSocketInflated)));
    assert!(out <= (FREE + bomb.len() * MAX_RATIO).min(MAX_MESSAGE) + 4096);
    assert!(inflater.history.capacity() < 1024);
}

#[test]
fn between_messages_the_window_is_all_that_is_kept() {
    let mut sender = Sender::new(true);
    let mut inflater = Inflater::new(TAKEOVER);
    let text: Vec<u8> = (0..200_000_u32)
        .flat_map(|number| number.to_string().into_bytes())
        .collect();
    assert_eq!(receive(&mut inflater, &[&sender.send(&text)]), Ok(text));
    assert!(inflater.history.len() <= 32 << 10 && inflater.history.capacity() <= 40 << 10);
    assert!(inflater.stream.is_none());
}

fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let text = "(\\{\"type\":\"next\"|,\"id\":|[0-9]{1,4}|\"name\":\"[a-z]{0,6}\"|\\}|[a-f ]{0,40}){0,60}";
    prop::collection::vec(text.prop_map(String::into_bytes), 1..8)
}

proptest! {
    #[test]
    fn splits_do_not_matter(messages in messages(), takeover in any::<bool>(), size in 1usize..50) {
        let mut sender = Sender::new(takeover);
        let mut inflater = Inflater::new(Window { bits: 15, takeover });
        for message in messages {
            let wire = sender.send(&message);
            let pieces: Vec<&[u8]> = wire.chunks(size).collect();
            prop_assert_eq!(receive(&mut inflater, &pieces), Ok(message));
        }
    }

    /// Without a message, the later ones are right, or fail without blame.
    #[test]
    fn a_lost_message_never_gives_a_wrong_one(messages in messages(), lost in any::<prop::sample::Index>()) {
        let lost = lost.index(messages.len());
        let mut sender = Sender::new(true);
        let mut inflater = Inflater::new(TAKEOVER);
        for (index, message) in messages.into_iter().enumerate() {
            let wire = sender.send(&message);
            if index == lost {
                inflater.forget();
                continue;
            }
            match receive(&mut inflater, &[&wire]) {
                Ok(given) => prop_assert_eq!(given, message),
                Err(failure) => prop_assert!(failure == Failure::Unseen && index > lost),
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..6)) {
        let mut inflater = Inflater::new(TAKEOVER);
        for part in &parts {
            receive(&mut inflater, &[part]).ok();
        }
    }
}
