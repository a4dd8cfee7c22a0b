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
            method: Name::new(b"a.b")
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

#[test]
fn entities_are_told_and_stand_for_nothing() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><methodCall><methodName>x&b;y&#65;&amp;</methodName></methodCall>";
    let (message, odd) = whole(bomb);
    assert_eq!(
        message,
        Message::Call {
            method: Name::new(b"xyA")
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
