use proptest::prelude::*;

use super::*;
use crate::protocol::json::Walker;

fn read(pieces: &[&[u8]], wrap: Wrap) -> (Vec<Envelope>, (bool, u32)) {
    let mut walker = Walker::new(1024);
    let mut envelope = Envelope::default();
    let mut all = Vec::new();
    let mut envelopes = Envelopes::new(&mut envelope, wrap, |one: &mut Envelope| all.push(one.clone()));
    for piece in pieces {
        if walker.feed(piece, &mut envelopes).is_err() {
            break;
        }
    }
    let _ending = walker.finish(&mut envelopes);
    let batch = envelopes.finish();
    (all, batch)
}

fn of(text: &str) -> Envelope {
    let (all, batch) = read(&[text.as_bytes()], Wrap::Bare);
    assert_eq!((all.len(), batch), (1, (false, 0)), "{text}");
    all.into_iter().next().unwrap()
}

fn name(text: &str) -> Option<Name> {
    Some(Name::new(text.as_bytes()))
}

fn paths(set: &NameSet) -> Vec<String> {
    set.iter()
        .map(|name| String::from_utf8(name.expose().to_vec()).unwrap())
        .collect()
}

#[test]
fn graphql_members_are_found_at_their_place_only() {
    let envelope = of(
        r#"{"x":{"query":"no","variables":{"no":1}},"operationName":"Q","variables":{"id":1,"input":{"tags":["a","b"],"items":[{"price":2},{"n":[[3]]}],"none":null}},"query":"{a\n}","extensions":{"y":{"sha256Hash":"no"}}}"#,
    );
    assert_eq!(envelope.query, Value::String);
    assert_eq!(envelope.document, b"{a\n}");
    assert_eq!(envelope.operation, name("Q"));
    assert!(!envelope.persisted);
    assert_eq!(envelope.others, 1);
    assert_eq!(
        paths(&envelope.variable_paths),
        [
            "id",
            "input.tags[]",
            "input.items[].price",
            "input.items[].n[][]",
            "input.none"
        ]
    );
    let hash = r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"}},"id":7}"#;
    assert!(of(hash).persisted);
    assert_eq!(of(hash).id, name("7"));
}

#[test]
fn json_rpc_members_are_found() {
    let call = of(r#"{"jsonrpc":"2.0","method":"a.b","params":{"method":"no","id":3},"id":"7"}"#);
    assert_eq!(
        (call.jsonrpc, call.method, call.id),
        (Some(true), name("a.b"), name("\"7"))
    );
    let answer = of(r#"{"jsonrpc":"1.0","error":{"message":"x","data":{"code":1},"code":-32601},"id":null}"#);
    assert_eq!(
        (answer.jsonrpc, answer.error, answer.code),
        (Some(false), Value::Object, -32_601)
    );
    assert_eq!((answer.id, answer.result), (name("null"), Value::Absent));
}

#[test]
fn answers_of_graphql_are_found() {
    let answer = of(r#"{"errors":[],"data":{"errors":[1]}}"#);
    assert_eq!((answer.errors, answer.data), (Value::Empty, Value::Object));
    let answer = of(r#"{"data":null,"errors":[{"message":"x"}]}"#);
    assert_eq!((answer.errors, answer.data), (Value::Array, Value::Null));
    assert_eq!(of(r#"{"errors":["x"]}"#).errors, Value::Array);
}

#[test]
fn batches_give_each_element() {
    let (all, batch) = read(
        &[br#"[{"query":"{a}"},1,[{"query":"no"}],{"query":"{b}"},"x"]"#],
        Wrap::Bare,
    );
    let documents: Vec<_> = all.iter().map(|one| one.document.as_slice()).collect();
    assert_eq!((documents, batch), (vec![&b"{a}"[..], b"{b}"], (true, 3)));
    let (none, batch) = read(&[b"[]"], Wrap::Bare);
    assert_eq!((none.len(), batch), (0, (true, 0)));
}

#[test]
fn a_cut_envelope_is_told() {
    let (all, _) = read(&[br#"{"query":"{a b"#], Wrap::Bare);
    let [one] = all.as_slice() else {
        panic!("{}", all.len())
    };
    assert!(one.cut && one.document_cut);
    assert_eq!(one.document, b"{a b");
}

#[test]
fn messages_are_unwrapped() {
    let text = br#"{"id":"1","type":"subscribe","payload":{"query":"subscription{a}","variables":{"b":1}},"x":{"query":"no"}}"#;
    let (all, _) = read(&[text], Wrap::Message);
    let [one] = all.as_slice() else {
        panic!("{}", all.len())
    };
    assert_eq!((&one.id, &one.kind), (&name("\"1"), &name("subscribe")));
    assert_eq!(one.document, b"subscription{a}");
    assert_eq!(paths(&one.variable_paths), ["b"]);
    let (bare, _) = read(&[text], Wrap::Bare);
    assert_eq!(bare.first().unwrap().query, Value::Absent);
}

proptest! {
    #[test]
    fn any_split_gives_the_same(cut in 0..200_usize, other in 0..200_usize) {
        let text = br#"[{"jsonrpc":"2.0","method":"a","id":1,"params":[{"id":2}]},{"query":"{a \u0062}","variables":{"x":[{"y":1}]},"extensions":{"persistedQuery":{"sha256Hash":"q"}}}]"#;
        let (first, second) = (cut.min(other).min(text.len()), cut.max(other).min(text.len()));
        let (whole, batch) = read(&[text], Wrap::Bare);
        let (split, same) = read(&[&text[..first], &text[first..second], &text[second..]], Wrap::Bare);
        prop_assert_eq!(batch, same);
        prop_assert_eq!(whole.len(), split.len());
        for (one, other) in whole.iter().zip(&split) {
            prop_assert_eq!(&one.document, &other.document);
            prop_assert_eq!(&one.id, &other.id);
            prop_assert_eq!(&one.method, &other.method);
            prop_assert_eq!(&one.variable_paths, &other.variable_paths);
            prop_assert_eq!(one.persisted, other.persisted);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(text in "[\\[\\]{}:,\"a-z0-9 ]{0,120}") {
        let _ = read(&[text.as_bytes()], Wrap::Bare);
        let _ = read(&[text.as_bytes()], Wrap::Message);
    }
}
