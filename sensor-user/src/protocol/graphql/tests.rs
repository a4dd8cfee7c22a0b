use proptest::prelude::*;

use super::*;

fn one(text: &str) -> Operation {
    let document = read(text, 8);
    assert_eq!(document.faults, Faults::default(), "{text}");
    assert_eq!((document.operations.len(), document.count), (1, 1), "{text}");
    document.operations.into_iter().next().unwrap()
}

fn texts(names: &NameSet) -> Vec<String> {
    names
        .iter()
        .map(|name| String::from_utf8(name.expose().to_vec()).unwrap())
        .collect()
}

#[test]
fn an_operation_is_measured_and_named() {
    let operation = one(
        "query Hero($id: ID!, $n: Int = 3) @cached { me: hero(id: $id) { name ...f ... on Droid @skip(if: true) { job } } }
         fragment f on Character { friends(first: $n) { edges { node { id } } } }",
    );
    assert_eq!(operation.kind, OperationKind::Query);
    assert_eq!(operation.name.expose(), b"Hero");
    let shape = &operation.shape;
    assert_eq!((shape.depth, shape.fields, shape.aliases), (5, 7, 1));
    assert_eq!((shape.arguments, shape.variables, shape.directives), (3, 2, 2));
    assert!(!shape.introspection);
    assert_eq!(texts(&shape.top), ["hero"]);
    assert_eq!(
        texts(&shape.selected),
        ["hero.name", "hero.friends.edges.node.id", "hero.job"]
    );
    assert_eq!(texts(&shape.argument_paths), ["hero.id", "hero.friends.first"]);
    assert_eq!(texts(&shape.variable_names), ["id", "n"]);
}

#[test]
fn kinds_and_introspection_are_told() {
    assert_eq!(one("{a}").kind, OperationKind::Query);
    assert_eq!(one("mutation{a}").kind, OperationKind::Mutation);
    assert_eq!(one("subscription S{a}").kind, OperationKind::Subscription);
    assert!(one("{__schema{types{name}}}").shape.introspection);
    assert!(
        one("{...q} fragment q on Query{__type(name:\"A\"){name}}")
            .shape
            .introspection
    );
    assert!(!one("{a{__typename}}").shape.introspection);
}

#[test]
fn fragments_that_multiply_cost_no_more_than_their_length() {
    let mut text = String::from("{...f0}");
    for number in 0..40 {
        text.push_str(&format!(
            " fragment f{number} on Q{{a{{...f{0} ...f{0}}}}}",
            number + 1
        ));
    }
    text.push_str(" fragment f40 on Q{b}");
    let operation = one(&text);
    assert_eq!(operation.shape.fields, u32::MAX);
    assert_eq!(operation.shape.depth, 41);
}

#[test]
fn fragment_faults_are_told() {
    let faults = |text: &str| read(text, 8).faults;
    assert!(faults("{...a} fragment a on Q{x{...b}} fragment b on Q{y{...a}}").cyclic);
    assert!(faults("{...a} fragment a on Q{...a}").cyclic);
    assert!(!faults("{...a ...b} fragment a on Q{...b} fragment b on Q{y}").cyclic);
    assert!(faults("{...a}").fragments);
    assert!(faults("{...a} fragment a on Q{x} fragment a on Q{y}").fragments);
    assert!(faults("{a(").malformed);
}

#[test]
fn limits_are_met_not_crashed_into() {
    for deep in ["{a", "{a(b:[", "{a(b:{c:"] {
        for count in [129, 30_000] {
            let document = read(&deep.repeat(count), 8);
            assert!(!document.faults.is_readable(), "{deep}");
        }
    }
    let nested = "{a(b:".to_owned() + &"[".repeat(30_000);
    assert!(read(&nested, 8).faults.too_deep);
    let deep = "{a".repeat(130) + &"}".repeat(130);
    assert!(read(&deep, 8).faults.too_deep);
    let fits = "{a".repeat(128) + &"}".repeat(128);
    assert_eq!(one(&fits).shape.depth, 128);
    let long = "{".to_owned() + &"a ".repeat(20_000) + "}";
    assert!(read(&long, 8).faults.too_long);
    let broken = "%".repeat(60_000);
    assert!(!read(&broken, 8).faults.is_readable());
    let comments = "...#\n".repeat(12_000);
    assert!(!read(&comments, 8).faults.is_readable());
}

#[test]
fn documents_are_told_from_other_texts() {
    for text in [
        "{a}",
        " query{a}",
        "query Q{a}",
        "#c\nmutation($a:Int){a}",
        "fragment a on B{c} {d}",
        ",,{a}",
    ] {
        assert!(may_be_document(text.as_bytes()), "{text}");
    }
    for text in [
        "shoes",
        "query",
        "query1{a}",
        "queryable {x}",
        "",
        "SELECT * FROM a",
        "up{job=\"a\"}",
        "fragments of {love}",
    ] {
        assert!(!may_be_document(text.as_bytes()), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "[{}()\\[\\]a-c:$@!|&=.\"#\\\\ \n0-9\u{e9}-]{0,200}") {
        let _ = read(&text, 4);
        let _ = may_be_document(text.as_bytes());
    }

    #[test]
    fn any_words_are_read_without_a_panic(words in prop::collection::vec(prop::sample::select(vec![
        "query", "mutation", "fragment", "on", "type", "extend", "schema", "{", "}", "(", ")", "[", "]", "...", "$", "@",
        ":", "=", "!", "|", "&", "a", "b", "1", "-1.5", "\"s\"", "\"\"\"b\"\"\"", "\"", "directive", "input", "enum",
        "union", "interface", "implements", "scalar", "repeatable", "null", "true", "#c\n", ",", "%",
    ]), 0..60)) {
        let _ = read(&words.join(" "), 4);
        let _ = read(&words.concat(), 4);
    }
}
