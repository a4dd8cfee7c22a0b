use proptest::prelude::*;

use super::*;

fn soap(version: SoapVersion, name: &str, namespace: &str, fault: Option<FaultCode>) -> Message {
    Message::Soap {
        version,
        name: Name::new(name.as_bytes()),
        namespace: Name::new(namespace.as_bytes()),
        fault,
    }
}

fn whole(text: &str) -> (Message, Oddities) {
    read(text.as_bytes(), true)
}

const E11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const E12: &str = "http://www.w3.org/2003/05/soap-envelope";

#[test]
fn the_first_element_of_the_body_is_the_operation() {
    for (text, expected) in [
        (
            format!(
                "<?xml version='1.0'?>\n<s:Envelope xmlns:s='{E11}'><s:Header><a:Body xmlns:a='x'><Get/></a:Body></s:Header><s:Body><m:Get xmlns:m='urn:m'>1</m:Get></s:Body></s:Envelope>"
            ),
            soap(SoapVersion::V11, "Get", "urn:m", None),
        ),
        (
            format!("<Envelope xmlns=\"{E12}\"><Body><Get xmlns=\"\"/></Body></Envelope>"),
            soap(SoapVersion::V12, "Get", "", None),
        ),
        (
            format!("<Envelope xmlns=\"{E12}\"><!-- c --><Body/></Envelope>"),
            soap(SoapVersion::V12, "", "", None),
        ),
    ] {
        assert_eq!(whole(&text), (expected, Oddities::default()), "{text}");
    }
}

#[test]
fn fault_codes_are_read() {
    let v11 = format!(
        "<s:Envelope xmlns:s='{E11}'><s:Body><s:Fault><faultcode> s:Client.Auth </faultcode><faultstring>x</faultstring></s:Fault></s:Body></s:Envelope>"
    );
    assert_eq!(
        whole(&v11).0,
        soap(SoapVersion::V11, "Fault", E11, Some(FaultCode::Sender))
    );
    let v12 = format!(
        "<s:Envelope xmlns:s='{E12}'><s:Body><s:Fault><s:Reason/><s:Code><s:Value>s:Receiver</s:Value></s:Code></s:Fault></s:Body></s:Envelope>"
    );
    assert_eq!(
        whole(&v12).0,
        soap(SoapVersion::V12, "Fault", E12, Some(FaultCode::Receiver))
    );
}

#[test]
fn xml_rpc_is_read() {
    let call =
        whole("<?xml version=\"1.0\"?><methodCall><methodName> a.b </methodName><params/></methodCall>");
    assert_eq!(
        call.0,
        Message::Call {
            method: Name::new(b"a.b"),
            within: Vec::new(),
        }
    );
    let answer = whole("<methodResponse><params><param><value>1</value></param></params></methodResponse>");
    assert_eq!(answer.0, Message::Response { fault: None });
    let fault = whole(
        "<methodResponse><fault><value><struct><member><name>faultString</name><value><string>x</string></value></member><member><name>faultCode</name><value><int>-4</int></value></member></struct></value></fault></methodResponse>",
    );
    assert_eq!(
        fault,
        (Message::Response { fault: Some(-4) }, Oddities::default())
    );
    let bare = whole(
        "<methodResponse><fault><value><struct><member><name>faultCode</name><value>7</value></member></struct></value></fault></methodResponse>",
    );
    assert_eq!(bare.0, Message::Response { fault: Some(7) });
}

/// A `system.multicall` of those methods, as Python writes it.
fn multicall(methods: &[&str]) -> String {
    let calls: Vec<String> = methods
        .iter()
        .map(|method| {
            format!(
                "<value><struct>\n<member>\n<name>params</name>\n<value><array><data><value><int>1</int></value></data></array>\
                 </value>\n</member>\n<member>\n<name>methodName</name>\n<value><string>{method}</string></value>\n</member>\n\
                 </struct></value>\n"
            )
        })
        .collect();
    let calls = calls.concat();
    format!(
        "<methodCall>\n<methodName>system.multicall</methodName>\n<params>\n<param>\n<value><array><data>\n{calls}\
         </data></array></value>\n</param>\n</params>\n</methodCall>\n"
    )
}

fn within(text: &[u8], is_whole: bool) -> (Vec<Name>, Oddities) {
    match read(text, is_whole) {
        (Message::Call { method, within }, odd) => {
            assert_eq!(method, Name::new(b"system.multicall"));
            (within, odd)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_in_a_multicall_are_named() {
    let text = multicall(&["a.b", "c"]);
    let names = vec![Name::new(b"a.b"), Name::new(b"c")];
    assert_eq!(
        within(text.as_bytes(), true),
        (names.clone(), Oddities::default())
    );
    let bare = text.replace("<string>", "").replace("</string>", "");
    assert_eq!(within(bare.as_bytes(), true).0, names);
    for end in 55..text.len() {
        let (seen, odd) = within(&text.as_bytes()[..end], false);
        assert!(names.starts_with(&seen) && !odd.malformed, "{end}: {seen:?}");
    }
    let many = multicall(&["x"; 100]);
    assert_eq!(within(many.as_bytes(), true).0.len(), MAX_WITHIN);
    // A struct without a name is a call all the same, and no array is none.
    let odd = text.replace(
        "methodName</name>\n<value><string>a.b",
        "other</name>\n<value><string>a.b",
    );
    assert_eq!(within(odd.as_bytes(), true).0, [Name::default(), Name::new(b"c")]);
    let empty = "<methodCall><methodName>system.multicall</methodName></methodCall>";
    assert_eq!(within(empty.as_bytes(), true).0, []);
    let long = multicall(&["a.b"]).replace("<int>1</int>", &"<a/>".repeat(MAX_EVENTS));
    assert_eq!(within(long.as_bytes(), true), (vec![], Oddities::default()));
}

#[test]
fn answers_to_a_multicall_are_told_apart() {
    let one = "<value><array><data><value><struct><member><name>faultCode</name><value>1</value></member></struct></value>\
               </data></array></value>";
    let fault = "<value><struct>\n<member><name>faultCode</name><value><int>-3</int></value></member><member>\
                 <name>faultString</name><value>x</value></member></struct></value>";
    let text = format!(
        "<methodResponse><params><param><value><array><data>{one}\n{fault}{one}</data></array></value></param></params>\
         </methodResponse>"
    );
    let expected = [None, Some(-3), None];
    assert_eq!(answers(text.as_bytes()), expected);
    for end in 0..text.len() {
        assert!(expected.starts_with(&answers(&text.as_bytes()[..end])), "{end}");
    }
    assert_eq!(answers(b"<methodResponse><fault/></methodResponse>"), []);
}

#[test]
fn entities_are_told_and_stand_for_nothing() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><methodCall><methodName>x&b;y&#65;&amp;</methodName></methodCall>";
    let (message, odd) = whole(bomb);
    assert_eq!(
        message,
        Message::Call {
            method: Name::new(b"xyA"),
            within: Vec::new(),
        }
    );
    assert!(odd.doctype && odd.declared && odd.used && !odd.malformed);
    let (_, cut) = read(b"<!DOCTYPE x [<!ENTITY a 'b'><!ENTITY c '", false);
    assert!(cut.doctype && cut.declared);
    let plain = whole("<!DOCTYPE html><html/>").1;
    assert!(plain.doctype && !plain.declared);
}

#[test]
fn other_documents_are_nothing() {
    for text in [
        "<a/>",
        "<html><body>",
        "<Envelope/>",
        "<",
        "",
        "<a xmlns='urn:Envelope'>",
        "<\u{0}>",
    ] {
        assert_eq!(
            read(text.as_bytes(), false),
            (Message::Other, Oddities::default()),
            "{text}"
        );
    }
}

#[test]
fn what_is_broken_is_told_and_what_is_cut_is_not() {
    let text =
        format!("<s:Envelope xmlns:s='{E11}'><s:Body><m:Get xmlns:m='urn:m'>1</m:Get></s:Body></s:Envelope>");
    for end in 70..text.len() {
        let (message, odd) = read(&text.as_bytes()[..end], false);
        assert!(matches!(message, Message::Soap { .. }), "{end}");
        assert!(!odd.malformed, "{end}");
    }
    let broken = format!("<s:Envelope xmlns:s='{E11}'><s:Header></s:Body></s:Envelope>");
    assert!(whole(&broken).1.malformed);
    let deep = format!("<s:Envelope xmlns:s='{E11}'><s:Header>{}", "<a>".repeat(20_000));
    assert!(whole(&deep).1.malformed);
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "[<>/!?a-c:='\"& ;#x\\[\\]\u{e9}-]{0,120}") {
        let _ = read(text.as_bytes(), true);
        let wrapped = format!("<s:Envelope xmlns:s='{E11}'><s:Body>{text}");
        let _ = read(wrapped.as_bytes(), true);
    }
}
