use super::*;
use crate::protocol::document::tests::Paths;

fn told(document: &str) -> (Vec<String>, Ending, Notes) {
    let (mut paths, mut notes) = (Paths::default(), Notes::default());
    let (ending, accepted) = walk(document, &mut paths, &mut notes);
    assert!(accepted <= document.len());
    (paths.lines, ending, notes)
}

fn lines(document: &str) -> Vec<String> {
    let (lines, ending, notes) = told(document);
    assert_eq!(ending, Ending::Complete, "{lines:?}");
    assert!(notes.all().is_empty(), "{notes:?}");
    lines
}

#[test]
fn elements_attributes_and_text_have_paths() {
    assert_eq!(
        lines(
            "\u{feff}<?xml version='1.0'?>\n<!-- c --><s:Env xmlns:s=\"u\"> <s:Body><user id='7'>bob</user><none/>\n</s:Body></s:Env>\n"
        ),
        [
            "s:Env.xmlns:s=u",
            "s:Env.s:Body.user.id=7",
            "s:Env.s:Body.user=bob",
            "s:Env.s:Body.none="
        ]
    );
    assert_eq!(lines("<a x='1'/>"), ["a.x=1"]);
    assert_eq!(
        lines("<p>one <b>two</b> three</p>"),
        ["p.#text=one", "p.b=two", "p.#text=three"]
    );
}

#[test]
fn text_in_pieces_is_one_value() {
    assert_eq!(
        lines("<c>41<![CDATA[11]]>11&#49;<!-- x -->&#x31;<?pi?>1 &lt;&amp;&gt; </c>"),
        ["c=411111111 <&>"]
    );
    assert_eq!(lines("<c><![CDATA[<a>&amp;]]></c>"), ["c=<a>&amp;"]);
    assert_eq!(lines("<c a='x&quot;y&#64;z'/>"), ["c.a=x\"y@z"]);
    assert_eq!(lines("<c>a & b</c>"), ["c=a & b"]);
}

#[test]
fn entities_are_told_and_never_expanded() {
    let bomb = "<!DOCTYPE l [<!ENTITY a \"xx\"><!ENTITY b \"&a;&a;\">]><l>&b;</l>";
    let (lines, ending, notes) = told(bomb);
    assert_eq!(
        (lines.as_slice(), ending),
        (&["l=&b;".to_owned()][..], Ending::Complete)
    );
    assert_eq!(
        notes.all(),
        [
            Anomaly::XmlDoctype,
            Anomaly::XmlEntityDeclared,
            Anomaly::XmlEntityUsed
        ]
    );
    let (_, _, notes) = told("<!DOCTYPE r SYSTEM \"file:///etc/passwd\"><r/>");
    assert_eq!(notes.all(), [Anomaly::XmlDoctype]);
    let (_, _, notes) = told("<r a='&xxe;'/>");
    assert_eq!(notes.all(), [Anomaly::XmlEntityUsed]);
    let (_, _, notes) = told("<!DOCTYPE r [<!ENTITY x SYSTEM 'file:///");
    assert_eq!(notes.all(), [Anomaly::XmlDoctype, Anomaly::XmlEntityDeclared]);
    assert!(
        told("<r>https://a/?b&c;d</r>")
            .2
            .all()
            .contains(&Anomaly::XmlEntityUsed)
    );
}

#[test]
fn what_is_no_document_is_refused() {
    for document in ["<a></b>", "<a/><b/>", "text", "<a/>text", "</a>"] {
        assert_eq!(
            told(document).1,
            Ending::Refused(Refusal::Malformed),
            "{document}"
        );
    }
    assert_eq!(told("").1, Ending::Cut);
}

#[test]
fn depth_is_bounded() {
    let deep = |levels: usize| "<a>".repeat(levels) + &"</a>".repeat(levels);
    assert_eq!(told(&deep(128)).1, Ending::Complete);
    let (_, ending, notes) = told(&deep(129));
    assert_eq!(ending, Ending::Refused(Refusal::TooDeep));
    assert_eq!(notes.all(), [Anomaly::BodyTooDeep]);
}

#[test]
fn what_is_under_way_at_a_cut_is_told() {
    for (document, last) in [
        ("<a><b>hal", "a.b=hal~"),
        ("<a><b>x</b><c mail=\"bob@ex", "a.c.mail=bob@ex~"),
        ("<a><b><![CDATA[hal", "a.b=hal~"),
        ("<a>x<b/>half", "a.#text=half~"),
    ] {
        let (lines, ending, _) = told(document);
        assert_eq!(
            (lines.last().map(String::as_str), ending),
            (Some(last), Ending::Cut),
            "{document}"
        );
    }
}

#[test]
fn other_encodings_lose_letters_only() {
    let mut scratch = String::new();
    let text = readable(b"<n>M\xfcller</n>", &mut scratch);
    assert_eq!(lines(text), ["n=M?ller"]);
    assert_eq!(
        readable("<n>Müller</n>".as_bytes(), &mut String::new()),
        "<n>Müller</n>"
    );
}

fn survives(document: &str) {
    assert!(told(document).0.len() <= document.len());
}

/// Each of these takes minutes when its cost is the square of its length.
#[test]
fn hostile_values_cost_what_they_are_long() {
    const LENGTH: usize = 1 << 20;
    for piece in ["&", "&a", "<![CDATA[]]>", "<!-- -->", "<b/>", "x<b/>", "&lt;"] {
        let inside = piece.repeat(LENGTH / piece.len());
        survives(&format!("<a>{inside}</a>"));
    }
    for piece in ["&", "x='1' ", "&#"] {
        survives(&format!("<a x=\"{}\"/>", piece.repeat(LENGTH / piece.len())));
        survives(&format!("<a {}/>", piece.repeat(LENGTH / piece.len())));
    }
}
