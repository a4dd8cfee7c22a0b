use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::protocol::chars::Classes;
use crate::protocol::walk::{Container, Ending, Refusal, Scalar, Text, Visitor};

#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Open(Container),
    Close,
    Key(Vec<u8>, Classes, bool),
    Scalar(Scalar, Vec<u8>, Classes, bool),
}

#[derive(Default)]
struct Log(Vec<Seen>);

impl Visitor for Log {
    fn open(&mut self, container: Container) {
        self.0.push(Seen::Open(container));
    }
    fn close(&mut self) {
        self.0.push(Seen::Close);
    }
    fn key(&mut self, text: Text<'_>) {
        self.0.push(Seen::Key(text.raw.to_vec(), text.classes, text.cut));
    }
    fn scalar(&mut self, kind: Scalar, text: Text<'_>) {
        self.0
            .push(Seen::Scalar(kind, text.raw.to_vec(), text.classes, text.cut));
    }
}

fn walk(parts: &[&[u8]], token_bytes: usize) -> (Vec<Seen>, Ending, usize) {
    let mut log = Log::default();
    let mut walker = Walker::new(token_bytes);
    for part in parts {
        if walker.feed(part, &mut log).is_err() {
            break;
        }
    }
    let ending = walker.finish(&mut log);
    (log.0, ending, walker.accepted())
}

fn texts(document: &str) -> Vec<String> {
    walk(&[document.as_bytes()], 1024)
        .0
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Key(text, ..) | Seen::Scalar(_, text, ..) => Some(String::from_utf8(text).unwrap()),
            Seen::Open(_) | Seen::Close => None,
        })
        .collect()
}

#[test]
fn keys_and_scalars_come_in_order() {
    let document = r#" {"a" : [1, -2.5e+3, "x\"y", {}], "b":{"c":null},"d":true , "" : "" } "#;
    assert_eq!(
        texts(document),
        [
            "a", "1", "-2.5e+3", r#"x\"y"#, "b", "c", "null", "d", "true", "", ""
        ]
    );
    assert_eq!(walk(&[document.as_bytes()], 1024).1, Ending::Complete);
}

#[test]
fn a_cut_document_gives_everything_before_the_cut() {
    let (seen, ending, _) = walk(&[br#"{"a":1,"b":"half a val"#], 1024);
    assert_eq!(ending, Ending::Cut);
    assert!(
        matches!(seen.last(), Some(Seen::Scalar(Scalar::String, text, _, true)) if text == b"half a val")
    );
    let (seen, ending, _) = walk(&[b"[12"], 1024);
    assert_eq!(ending, Ending::Cut);
    assert!(matches!(
        seen.last(),
        Some(Seen::Scalar(Scalar::Number, _, _, true))
    ));
}

#[test]
fn a_number_alone_is_a_document() {
    assert_eq!(walk(&[b"12", b"3"], 1024).1, Ending::Complete);
    assert_eq!(walk(&[b"-"], 1024).1, Ending::Cut);
}

#[test]
fn what_was_refused_is_located() {
    let (_, ending, accepted) = walk(&[b"[1,2", b"] x"], 1024);
    assert_eq!(ending, Ending::Refused(Refusal::Malformed));
    assert_eq!(accepted, 6);
}

#[test]
fn depth_is_bounded() {
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert_eq!(walk(&[deep(128).as_bytes()], 64).1, Ending::Complete);
    assert_eq!(
        walk(&[deep(129).as_bytes()], 64).1,
        Ending::Refused(Refusal::TooDeep)
    );
}

#[test]
fn a_token_beyond_the_limit_is_cut_and_marked() {
    let (seen, ending, _) = walk(&[br#"["abcdefgh"]"#], 4);
    assert_eq!(ending, Ending::Complete);
    assert!(matches!(seen.get(1), Some(Seen::Scalar(_, text, _, true)) if text == b"abcd"));
}

#[test]
fn escapes_are_undone() {
    let undo = |raw: &str| {
        let mut out = Vec::new();
        unescape(raw.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(undo(r"a\u0040b\n\/\\"), "a@b\n/\\");
    assert_eq!(undo(r"\ud83d\ude00!"), "\u{1f600}!");
    assert_eq!(undo(r"\ud83dx"), "\u{fffd}x");
    assert_eq!(undo(r"x\u00"), "x", "torn");
    assert_eq!(undo("x\\"), "x", "torn");
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("false".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        (-1e9..1e9f64).prop_map(|number| number.to_string()),
        "[a-z@ \\PC]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\u00e9\n\\ \"""#.to_owned()),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[ {}]", items.join(","))),
            prop::collection::vec(("[a-z]{0,9}", inner), 0..5).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":\t{value}"))
                    .collect();
                format!("{{{} }}", members.join(" ,"))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_split_gives_the_same_visits(
        document in json(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        broken in any::<(bool, prop::sample::Index, u8)>(),
        token_bytes in 1..40usize,
    ) {
        let mut bytes = document.into_bytes();
        if broken.0 {
            let at = broken.1.index(bytes.len());
            bytes[at] = broken.2;
        }
        let whole = walk(&[&bytes], token_bytes);
        if !broken.0 {
            prop_assert_eq!(whole.1, Ending::Complete);
        }
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut parts = Vec::new();
        let mut start = 0;
        for cut in cuts {
            parts.push(&bytes[start..cut]);
            start = cut;
        }
        parts.push(&bytes[start..]);
        prop_assert_eq!(&walk(&parts, token_bytes), &whole);
        let each: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(&walk(&each, token_bytes), &whole);
    }

    #[test]
    fn what_serde_accepts_is_accepted_and_the_reverse(bytes in "[\\[\\]{}\",:0-9eE.+\\-truefalsn\\\\u ]{0,16}") {
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&bytes).is_ok();
        prop_assert_eq!(walk(&[bytes.as_bytes()], 64).1 == Ending::Complete, theirs, "{}", bytes);
    }
}

/// `JSONTestSuite`, whole: `y_` accepted, `n_` refused or reported, `i_` either.
#[test]
fn the_public_suite_agrees() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora/json/test_parsing");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("SKIPPED the_public_suite_agrees: no corpus at ../shared/corpora/json/test_parsing");
        return;
    };
    let mut ran = 0;
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        let (seen, ending, _) = walk(&[&bytes], 1 << 20);
        let each: Vec<_> = bytes.chunks(7).collect();
        let (split, split_ending, _) = walk(&each, 1 << 20);
        assert!(
            seen == split && ending == split_ending,
            "{name}: a split changes it"
        );
        match name.as_bytes().first() {
            Some(b'y') => assert_eq!(ending, Ending::Complete, "{name}"),
            Some(b'n') => assert_ne!(ending, Ending::Complete, "{name}"),
            _ => {}
        }
        ran += 1;
    }
    assert!(ran > 300, "only {ran} documents");
    println!("{ran} documents");
}
