use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::protocol::walk::{Container, Ending, Refusal, Scalar, Text, Visitor};

mod accuracy;
mod typed;

/// Writes messages.
#[derive(Clone, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn tag(mut self, number: u32, kind: u8) -> Self {
        push_varint(u64::from(number) << 3 | u64::from(kind), &mut self.0);
        self
    }

    pub(super) fn varint(self, number: u32, value: u64) -> Self {
        let mut written = self.tag(number, 0);
        push_varint(value, &mut written.0);
        written
    }

    pub(super) fn bytes(self, number: u32, bytes: &[u8]) -> Self {
        let mut written = self.tag(number, 2);
        push_varint(bytes.len() as u64, &mut written.0);
        written.0.extend_from_slice(bytes);
        written
    }

    pub(super) fn fixed(self, number: u32, kind: u8, bytes: &[u8]) -> Self {
        let mut written = self.tag(number, kind);
        written.0.extend_from_slice(bytes);
        written
    }
}

pub(super) fn push_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

/// Writes what it is told as one line.
#[derive(Default)]
pub(super) struct Line(pub(super) String);

impl Visitor for Line {
    fn open(&mut self, container: Container) {
        self.0
            .push(if container == Container::Object { '{' } else { '[' });
    }
    fn close(&mut self) {
        self.0.push('}');
    }
    fn key(&mut self, text: Text<'_>) {
        self.0.push_str(std::str::from_utf8(text.raw).unwrap());
        self.0.push(':');
    }
    fn scalar(&mut self, kind: Scalar, text: Text<'_>) {
        let value = String::from_utf8_lossy(text.raw);
        let cut = if text.cut { "~" } else { "" };
        match kind {
            Scalar::String => write!(self.0, "'{value}'{cut} "),
            Scalar::Bytes => write!(self.0, "x{}{cut} ", text.raw.len()),
            Scalar::Number | Scalar::Bool | Scalar::Null => write!(self.0, "{value}{cut} "),
        }
        .unwrap();
    }
}

fn told(bytes: &[u8], whole: bool) -> (String, Ending) {
    let mut line = Line::default();
    let ending = Walker::new(1024).walk(bytes, whole, None, &mut line);
    (line.0, ending)
}

#[test]
fn every_wire_type_is_told() {
    let inner = Writer::default().bytes(1, b"alice@example.com").varint(2, 7);
    let bytes = Writer::default()
        .varint(1, 150)
        .bytes(2, b"testing")
        .bytes(3, &inner.0)
        .fixed(4, 1, &2.5_f64.to_le_bytes())
        .fixed(5, 5, &1_700_000_000_u32.to_le_bytes())
        .varint(6, (-2_i64).cast_unsigned())
        .tag(7, 3)
        .varint(1, 1)
        .tag(7, 4)
        .bytes(8, &[0xde, 0xad, 0xbe, 0xef, 0xff])
        .bytes(9, &[3, 0x8e, 2, 0x9e, 0xa7, 5]);
    let (line, ending) = told(&bytes.0, true);
    assert_eq!(ending, Ending::Complete);
    let expected =
        "{1:150 2:'testing' 3:{1:'alice@example.com' 2:7 }4:2.5e0 5:1700000000 6:-2 7:{1:1 }8:x5 9:x6 }";
    assert_eq!(line, expected);
}

#[test]
fn what_is_cut_is_told_up_to_the_cut() {
    let inner = Writer::default().bytes(1, b"Berlin, Germany").varint(2, 7);
    let bytes = Writer::default()
        .varint(1, 5)
        .bytes(2, &inner.0)
        .bytes(3, b"last text")
        .0;
    let cut = |at: usize| told(&bytes[..at], false);
    assert_eq!(
        cut(10),
        ("{1:5 2:{1:'Berli'~ }}".replace("Berli", "Berl"), Ending::Cut)
    );
    assert_eq!(
        cut(bytes.len() - 2).0,
        "{1:5 2:{1:'Berlin, Germany' 2:7 }3:'last te'~ }"
    );
    // The same bytes said to be all are not protobuf.
    assert_eq!(told(&bytes[..10], true).1, Ending::Refused(Refusal::Malformed));
}

#[test]
fn nonsense_is_refused() {
    for (name, bytes) in [
        ("field 0", &[0x00, 1][..]),
        ("wire type 6", &[0x0e]),
        ("wire type 7", &[0x0f]),
        (
            "varint of eleven bytes",
            &[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
        ),
        (
            "varint of 65 bits",
            &[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
        ),
        ("group that ends another", &[0x0b, 0x14]),
        ("group without beginning", &[0x0c]),
        ("group without end", &[0x0b, 0x10, 1]),
        ("number of 30 bits", &[0x80, 0x80, 0x80, 0x80, 0x10, 1]),
        ("length beyond the end", &[0x0a, 5, b'a']),
    ] {
        assert_eq!(told(bytes, true).1, Ending::Refused(Refusal::Malformed), "{name}");
    }
    assert_eq!(told(&[], true), ("{}".to_owned(), Ending::Complete));
}

#[test]
fn depth_is_bounded() {
    // Groups need no length, so they nest as deep as there are bytes.
    let groups = vec![0x0b; 100_000];
    assert_eq!(told(&groups, true).1, Ending::Refused(Refusal::TooDeep));
    let mut nested = Writer::default().varint(1, 300).0;
    for _ in 0..300 {
        nested = Writer::default().bytes(1, &nested).varint(2, 1).0;
    }
    assert_eq!(told(&nested, true).1, Ending::Refused(Refusal::TooDeep));
}

#[test]
fn the_least_sure_guess_is_kept() {
    let mut walker = Walker::new(1024);
    let sure = Writer::default().bytes(1, b"a sentence of some words");
    let _ending = walker.walk(&sure.0, true, None, &mut Line::default());
    assert_eq!(
        walker.guesses(),
        Guesses {
            count: 1,
            confidence: 97
        }
    );
    let unsure = sure.bytes(2, b"hi");
    let _ending = walker.walk(&unsure.0, true, None, &mut Line::default());
    assert_eq!(
        walker.guesses(),
        Guesses {
            count: 2,
            confidence: 75
        }
    );
    let _ending = walker.walk(&[8, 1], true, None, &mut Line::default());
    assert_eq!(walker.guesses().count, 0);
}

#[test]
fn long_values_are_cut() {
    let bytes = Writer::default().bytes(1, &[b'a'; 50]);
    let mut line = Line::default();
    let ending = Walker::new(10).walk(&bytes.0, true, None, &mut line);
    assert_eq!(
        (line.0.as_str(), ending),
        ("{1:'aaaaaaaaaa'~ }", Ending::Complete)
    );
}

proptest! {
    #[test]
    fn whatever_comes_the_walk_ends_balanced(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&bytes);
    }

    #[test]
    fn any_front_of_a_message_tells_a_front_of_its_paths(
        texts in prop::collection::vec("[a-z ]{0,20}", 1..6), cut in any::<prop::sample::Index>(),
    ) {
        let mut written = Writer::default();
        for (at, text) in (1..).zip(&texts) {
            written = written.varint(at, 1).bytes(at + 10, text.as_bytes());
        }
        let cut = cut.index(written.0.len());
        let (_, ending) = told(&written.0[..cut], false);
        prop_assert_eq!(ending, Ending::Cut);
    }
}
