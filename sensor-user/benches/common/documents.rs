//! Documents that benchmarks share, a visitor that does nothing, and the floors of JSON.

use std::fmt::Write as _;

use sensor_user::protocol::walk::{Container, Scalar, Text, Visitor};

/// Sees everything, does nothing.
#[derive(Default)]
pub(crate) struct Nothing(pub(crate) usize);

impl Visitor for Nothing {
    fn open(&mut self, _container: Container) {}
    fn close(&mut self) {}
    fn key(&mut self, text: Text<'_>) {
        self.0 += text.raw.len();
    }
    fn scalar(&mut self, _kind: Scalar, text: Text<'_>) {
        self.0 += text.raw.len();
    }
}

/// What a record is made of: text before its number, and between and behind its values.
pub(crate) struct Layout {
    pub(crate) begin: &'static str,
    pub(crate) record: fn(&mut String, u32),
    pub(crate) end: &'static str,
}

pub(crate) fn document(layout: &Layout, bytes: usize) -> String {
    let mut text = String::from(layout.begin);
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        (layout.record)(&mut text, number);
    }
    text.push_str(layout.end);
    text
}

/// Orders as shops return them: words, identifiers, times and sums; one e-mail address in each.
pub(crate) const JSON: Layout = Layout {
    begin: "[{}",
    record: |text, number| {
        write!(
            text,
            ",{{\"id\":{},\"uuid\":\"550e8400-e29b-41d4-a716-4466554{:05}\",\"status\":\"shipped\",\"total\":{}.99,\
             \"customer\":{{\"name\":\"Alice Johnson\",\"email\":\"user{number}@example.com\",\"verified\":true}},\
             \"note\":\"Please leave the parcel with the neighbours, thank you very much.\",\"tags\":[\"a\",\"gift\"]}}",
            1_000_000 + number,
            number % 100_000,
            number % 500
        )
        .unwrap_or_default();
    },
    end: "]",
};

/// One pass of `serde_json` that builds nothing.
pub(crate) fn ignored(text: &str) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text.as_bytes()).is_ok()
}

/// A pass of `simd-json` over a copy: it parses in place, so the copy is a part of its cost.
pub(crate) fn tape(text: &str, (copy, buffers): &mut (Vec<u8>, simd_json::Buffers)) -> bool {
    copy.clear();
    copy.extend_from_slice(text.as_bytes());
    simd_json::to_tape_with_buffers(copy, buffers).is_ok()
}
