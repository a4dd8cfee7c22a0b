use std::io::Write as _;

use proptest::prelude::*;

use super::super::content::Decoder;
use super::*;
use crate::exchange::call::CallOutcome;
use crate::exchange::test_support::Builder;
use crate::exchange::{BodyPiece, BodyState};

fn looked(mut exchange: Exchange) -> Exchange {
    CallFinder::default().look(&mut exchange);
    exchange
}

/// Kind, name and outcome of each call.
fn calls(builder: Builder) -> Vec<(CallKind, String, CallOutcome)> {
    shown(&looked(builder.build()).calls)
}

fn shown(calls: &[Call]) -> Vec<(CallKind, String, CallOutcome)> {
    calls
        .iter()
        .map(|call| {
            let name = String::from_utf8(call.name.expose().to_vec()).unwrap();
            (call.kind, name, call.outcome)
        })
        .collect()
}

fn anomalies(builder: Builder) -> Vec<Anomaly> {
    looked(builder.build()).anomalies.to_vec()
}

const QUERY: &str =
    r#"{"query":"query Q($id:ID!){user(id:$id){name}}","operationName":"Q","variables":{"id":"7"}}"#;
const SUCCESS: CallOutcome = CallOutcome::Success;
const FAILURE: CallOutcome = CallOutcome::Failure(0);

#[test]
fn graphql_is_known_by_its_content_on_any_path() {
    let expected = [(CallKind::GraphqlQuery, "Q".to_owned(), SUCCESS)];
    let answer = r#"{"data":{"user":null}}"#;
    let sent = [
        Builder::post("/any").json(QUERY),
        Builder::post("/any").body("text/plain", QUERY),
        Builder::post("/any").json(&QUERY.replace("\"query\"", "\"\\u0071uery\"")),
        Builder::post("/any").body("application/graphql", "query Q($id:ID!){user(id:$id){name}}"),
        Builder::get("/any?query=query%20Q(%24id:ID!)%7Buser(id:%24id)%7Bname%7D%7D&variables=%7B%22id%22:7%7D"),
        Builder::get("/any?x=1&%71uery=query+Q%7Ba%7D"),
        Builder::post("/any").body("application/x-www-form-urlencoded; charset=utf-8", "query=query+Q%7Ba%7D"),
        Builder::post("/any").body(
            "multipart/form-data; boundary=\"b0\"",
            &format!("--b0\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{QUERY}\r\n--b0\r\nContent-Disposition: form-data; name=\"0\"\r\n\r\nfile\r\n--b0--\r\n"),
        ),
    ];
    for (number, builder) in sent.into_iter().enumerate() {
        assert_eq!(calls(builder.answer(answer)), expected, "{number}");
    }
    let shape = looked(Builder::post("/any").json(QUERY).build()).calls;
    let shape = shape.first().and_then(Call::graphql).unwrap();
    assert_eq!(
        (shape.document.depth, shape.document.fields, shape.batch),
        (2, 2, 0)
    );
    assert_eq!(shape.variables.iter().count(), 1);
}

#[test]
fn the_operation_that_is_named_is_the_one_that_runs() {
    let body = r#"{"query":"query A{a} mutation B{b}","operationName":"B"}"#;
    assert_eq!(
        calls(
            Builder::post("/")
                .json(body)
                .answer(r#"{"errors":[{"message":"no"}],"data":null}"#)
        ),
        [(CallKind::GraphqlMutation, "B".to_owned(), FAILURE)]
    );
}

#[test]
fn batches_of_graphql_are_paired_by_order() {
    let body = r#"[{"query":"{a}"},{"query":"mutation M{b}"}]"#;
    let exchange = looked(
        Builder::post("/")
            .json(body)
            .answer(r#"[{"errors":[{}]},{"data":{}}]"#)
            .build(),
    );
    assert_eq!(
        shown(&exchange.calls),
        [
            (CallKind::GraphqlQuery, String::new(), FAILURE),
            (CallKind::GraphqlMutation, "M".to_owned(), SUCCESS)
        ]
    );
    assert!(
        exchange
            .calls
            .iter()
            .all(|call| call.graphql().unwrap().batch == 2)
    );
    let many = format!("[{}]", vec![r#"{"query":"{a}"}"#; 100].join(","));
    let exchange = looked(Builder::post("/").json(&many).build());
    assert_eq!(exchange.calls.len(), MAX_CALLS);
    assert_eq!(exchange.anomalies.as_slice(), [Anomaly::TooManyCalls]);
    assert_eq!(exchange.calls.first().and_then(Call::graphql).unwrap().batch, 100);
}

#[test]
fn persisted_queries_are_calls_without_a_document() {
    let hash = r#"{"operationName":"Q","variables":{"a":1},"extensions":{"persistedQuery":{"version":1,"sha256Hash":"abc"}}}"#;
    let expected = [(CallKind::GraphqlQuery, "Q".to_owned(), SUCCESS)];
    let answer = r#"{"data":{}}"#;
    assert_eq!(calls(Builder::post("/").json(hash).answer(answer)), expected);
    let get = "/g?operationName=Q&extensions=%7B%22persistedQuery%22:%7B%22sha256Hash%22:%22abc%22%7D%7D";
    assert_eq!(calls(Builder::get(get).answer(answer)), expected);
    let id = r#"{"documentId":"abc","operationName":"Q"}"#;
    assert_eq!(calls(Builder::post("/").json(id).answer(answer)), expected);
    assert!(calls(Builder::post("/").json(id).answer(r#"{"status":"saved"}"#)).is_empty());
}

#[test]
fn what_only_looks_like_graphql_is_plain_rest() {
    for builder in [
        Builder::post("/search").json(r#"{"query":"shoes"}"#),
        Builder::post("/search").json(r#"{"query":{"match":{"a":1}}}"#),
        Builder::post("/search")
            .json(r#"{"query":"{broken"}"#)
            .answer(r#"{"hits":[]}"#),
        Builder::post("/search")
            .json(r#"{"query":"{shoes}"}"#)
            .answer(r#"{"hits":[]}"#),
        Builder::post("/search").json(r#"{"query":"type A { b: C }"}"#),
        Builder::get("/loki?query=%7Bjob%3D%22a%22%7D").answer(r#"{"status":"success","data":{}}"#),
        Builder::get("/search?query=shoes&documentId=3").answer(r#"{"hits":[]}"#),
        Builder::post("/x").json(r#"{"jsonrpc":2,"method":"a"}"#),
        Builder::post("/x").json("[1,2,3]"),
        Builder::post("/x").body("text/plain", "hello"),
        Builder::get("/x"),
    ] {
        let exchange = looked(builder.build());
        assert_eq!(shown(&exchange.calls), []);
        assert!(exchange.anomalies.is_empty());
    }
}

#[test]
fn hostile_documents_are_anomalies() {
    let post = |document: &str| Builder::post("/").json(&format!(r#"{{"query":"{document}"}}"#));
    let deep = "{a".repeat(200) + &"}".repeat(200);
    let answered = |document: &str| post(document).answer(r#"{"errors":[{"message":"no"}]}"#);
    assert_eq!(anomalies(answered(&deep)), [Anomaly::GraphqlTooDeep]);
    let long = format!("{{{}}}", "a ".repeat(16_000));
    assert_eq!(anomalies(answered(&long)), [Anomaly::GraphqlTooLong]);
    assert_eq!(anomalies(answered("{a(")), [Anomaly::GraphqlMalformed]);
    assert_eq!(
        anomalies(post("{...a} fragment a on Q{...a}")),
        [Anomaly::GraphqlFragmentCycle]
    );
    assert_eq!(anomalies(post("{...a}")), [Anomaly::GraphqlMalformed]);
}

#[test]
fn a_cut_document_is_partial_and_no_anomaly() {
    let mut exchange = Builder::post("/").json(r#"{"query":"query Q{a b{c"#).build();
    exchange.request.body.state = BodyState::Limited;
    let exchange = looked(exchange);
    assert!(exchange.anomalies.is_empty());
    let shape = exchange.calls.first().and_then(Call::graphql).unwrap();
    assert!(shape.partial);
    assert_eq!(shape.document.fields, 3);
}

#[test]
fn a_body_in_pieces_is_the_same() {
    let whole = looked(Builder::post("/").json(QUERY).build());
    for cut in 1..QUERY.len() {
        let mut exchange = Builder::post("/").json(QUERY).build();
        let bytes = exchange.request.body.pieces.remove(0).0;
        exchange.request.body.pieces.push(BodyPiece(bytes.slice(..cut)));
        exchange.request.body.pieces.push(BodyPiece(bytes.slice(cut..)));
        assert_eq!(looked(exchange).calls, whole.calls, "{cut}");
    }
}

#[test]
fn json_rpc_is_paired_by_id() {
    let body = r#"[{"jsonrpc":"2.0","method":"a","id":1},{"jsonrpc":"2.0","method":"note"},{"jsonrpc":"2.0","method":"b","id":"1"},{"jsonrpc":"2.0","method":"c","id":2}]"#;
    let answer = r#"[{"jsonrpc":"2.0","error":{"code":-32601,"message":"x"},"id":"1"},{"jsonrpc":"2.0","result":null,"id":1}]"#;
    let rpc = |name: &str, outcome| (CallKind::JsonRpc, name.to_owned(), outcome);
    assert_eq!(
        calls(Builder::post("/").json(body).answer(answer)),
        [
            rpc("a", SUCCESS),
            rpc("note", CallOutcome::Unknown),
            rpc("b", CallOutcome::Failure(-32_601)),
            rpc("c", CallOutcome::Unknown)
        ]
    );
    assert!(anomalies(Builder::post("/").json(body).answer(answer)).is_empty());
}

#[test]
fn broken_json_rpc_is_told() {
    let call = r#"{"jsonrpc":"2.0","method":"a","id":1}"#;
    for (body, answer, expected) in [
        (
            call,
            r#"{"jsonrpc":"2.0","result":1,"id":2}"#,
            vec![Anomaly::JsonRpcUnpaired],
        ),
        (
            call,
            r#"[{"jsonrpc":"2.0","result":1,"id":1},{"jsonrpc":"2.0","result":1,"id":1}]"#,
            vec![Anomaly::JsonRpcUnpaired],
        ),
        (
            call,
            r#"{"jsonrpc":"2.0","error":{"code":-32700},"id":null}"#,
            vec![],
        ),
        (call, r#"{"message":"bad gateway"}"#, vec![]),
        (
            r#"{"jsonrpc":"1.0","method":"a","id":1}"#,
            "{}",
            vec![Anomaly::JsonRpcMalformed],
        ),
        (
            r#"{"jsonrpc":"2.0","id":1}"#,
            "{}",
            vec![Anomaly::JsonRpcMalformed],
        ),
        (
            r#"{"jsonrpc":"2.0","method":"a","params":["#,
            r#"{"jsonrpc":"2.0","error":{"code":-32700},"id":null}"#,
            vec![Anomaly::JsonRpcMalformed],
        ),
        (
            r#"{"jsonrpc":"2.0","method":"a","params":[1}"#,
            "{}",
            vec![Anomaly::JsonRpcMalformed],
        ),
        (
            r#"[1,{"jsonrpc":"2.0","method":"a","id":1}]"#,
            "{}",
            vec![Anomaly::JsonRpcMalformed],
        ),
    ] {
        assert_eq!(
            anomalies(Builder::post("/").json(body).answer(answer)),
            expected,
            "{body} {answer}"
        );
    }
}

const ENVELOPE: &str = "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>";

#[test]
fn soap_has_name_namespace_action_and_fault() {
    let call = format!("{ENVELOPE}<m:Get xmlns:m='urn:m'/></s:Body></s:Envelope>");
    let fault = format!("{ENVELOPE}<s:Fault><faultcode>s:Server</faultcode></s:Fault></s:Body></s:Envelope>");
    let sent = Builder::post("/")
        .body("text/xml; charset=utf-8", &call)
        .field("SOAPAction", "\"urn:m#Get\"");
    let exchange = looked(
        sent.status(500)
            .answer_pieces("text/xml", &[fault.as_bytes()])
            .build(),
    );
    assert_eq!(
        shown(&exchange.calls),
        [(CallKind::Soap, "Get".to_owned(), FAILURE)]
    );
    let detail = exchange.calls.first().and_then(Call::soap).unwrap();
    assert_eq!(
        (detail.namespace.expose(), detail.action.expose()),
        (&b"urn:m"[..], &b"urn:m#Get"[..])
    );
    assert_eq!(detail.fault, Some(crate::protocol::soap::FaultCode::Receiver));

    let media = "multipart/related; type=\"application/xop+xml\"; boundary=b";
    let parts = format!("--b\r\nContent-Type: application/xop+xml\r\n\r\n{call}\r\n--b--");
    let answer = format!("{ENVELOPE}<m:GetResponse xmlns:m='urn:m'/></s:Body></s:Envelope>");
    let sent = Builder::post("/")
        .body(media, &parts)
        .answer_pieces("text/xml", &[answer.as_bytes()]);
    assert_eq!(calls(sent), [(CallKind::Soap, "Get".to_owned(), SUCCESS)]);
    let typed = Builder::post("/").body("application/soap+xml; action=\"urn:x\"", &call);
    let exchange = looked(typed.build());
    let detail = exchange.calls.first().and_then(Call::soap).unwrap();
    assert_eq!(detail.action.expose(), b"urn:x");
}

#[test]
fn xml_rpc_has_method_and_fault() {
    let call = "<methodCall><methodName>a.b</methodName></methodCall>";
    let fault = b"<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>4</int></value></member></struct></value></fault></methodResponse>";
    let sent = Builder::post("/RPC2")
        .body("text/xml", call)
        .answer_pieces("text/xml", &[fault]);
    assert_eq!(
        calls(sent),
        [(CallKind::XmlRpc, "a.b".to_owned(), CallOutcome::Failure(4))]
    );
}

#[test]
fn calls_in_an_xml_rpc_multicall_have_outcomes_of_their_own() {
    let one = |name: &str| {
        format!(
            "<value><struct><member><name>methodName</name><value>{name}</value></member></struct></value>"
        )
    };
    let call = |calls: String| {
        format!(
            "<methodCall><methodName>system.multicall</methodName><params><param><value><array><data>{calls}</data></array>\
             </value></param></params></methodCall>"
        )
    };
    let answer = b"<methodResponse><params><param><value><array><data><value><array/></value><value><struct><member><name>faultCode</name><value>5</value></member></struct></value></data></array></value></param></params></methodResponse>";
    let sent = Builder::post("/RPC2")
        .body("text/xml", &call([one("a"), one("b"), one("c")].concat()))
        .answer_pieces("text/xml", &[answer]);
    let of = |name: &str, outcome| (CallKind::XmlRpc, name.to_owned(), outcome);
    let expected = [
        of("system.multicall", SUCCESS),
        of("a", SUCCESS),
        of("b", CallOutcome::Failure(5)),
        of("c", CallOutcome::Unknown),
    ];
    assert_eq!(calls(sent), expected);
    let many = Builder::post("/RPC2").body("text/xml", &call(one("login").repeat(200)));
    let exchange = looked(many.build());
    assert_eq!(exchange.calls.len(), MAX_CALLS);
    assert_eq!(exchange.anomalies.as_slice(), [Anomaly::TooManyCalls]);
}

#[test]
fn entities_are_anomalies_in_any_xml_but_pages() {
    let attack = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>";
    let sent = |media| Builder::post("/").body(media, attack);
    assert_eq!(
        anomalies(sent("application/xml")),
        [Anomaly::XmlDoctype, Anomaly::XmlEntityDeclared]
    );
    assert!(anomalies(sent("text/html")).is_empty());
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        let wide: Vec<u8> = format!("\u{feff}{attack}")
            .encode_utf16()
            .flat_map(order)
            .collect();
        let mut exchange = Builder::post("/").body("application/xml", "x").build();
        exchange.request.body.pieces = std::iter::once(BodyPiece(wide.into())).collect();
        assert_eq!(
            looked(exchange).anomalies.as_slice(),
            [Anomaly::XmlDoctype, Anomaly::XmlEntityDeclared]
        );
    }
}

#[test]
fn messages_of_web_sockets_are_read() {
    let found = message(br#"{"id":"1","type":"subscribe","payload":{"query":"subscription S{a}"}}"#);
    assert_eq!(
        shown(&found.calls),
        [(
            CallKind::GraphqlSubscription,
            "S".to_owned(),
            CallOutcome::Unknown
        )]
    );
    assert_eq!(found.ids.first().unwrap().as_ref().unwrap().expose(), b"\"1");
    let found = message(br#"{"query":"{a}"}"#);
    assert_eq!(found.calls.len(), 1);
    let found = message(br#"{"jsonrpc":"2.0","method":"m","id":5}"#);
    assert_eq!(
        shown(&found.calls),
        [(CallKind::JsonRpc, "m".to_owned(), CallOutcome::Unknown)]
    );
    assert!(message(br#"{"type":"ping"}"#).is_empty());
}

#[test]
fn calls_are_found_behind_a_content_coding() {
    let gzip = |content: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let builder = Builder::post("/").json("{}").field("Content-Encoding", "gzip");
    let answer = gzip(r#"{"data":{"user":null}}"#);
    let builder = builder.response_field("Content-Encoding", "gzip");
    let mut exchange = builder.answer_pieces("application/json", &[&answer]).build();
    exchange.request.body.pieces = std::iter::once(BodyPiece(gzip(QUERY).into())).collect();
    Decoder::default().decode(&mut exchange);
    assert_eq!(
        shown(&looked(exchange).calls),
        [(CallKind::GraphqlQuery, "Q".to_owned(), SUCCESS)]
    );
}

proptest! {
    #[test]
    fn any_body_is_looked_at_without_a_panic(body in "[{}\\[\\]<>/a-c:\"'!?&;,= \\\\-]{0,80}", wrap in 0..6_usize) {
        let text = match wrap {
            0 => body.clone(),
            1 => format!("{{\"query\":\"{{{body}"),
            2 => format!("[{{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"id\":{body}"),
            3 => format!("{ENVELOPE}{body}"),
            4 => format!("--b\r\n\r\n{body}\r\n--b--"),
            _ => format!("query={body}&variables={body}&extensions={body}"),
        };
        for media in ["application/json", "multipart/form-data; boundary=b", "application/x-www-form-urlencoded", "application/graphql"] {
            looked(Builder::post(&format!("/?{body}")).body(media, &text).answer(&text).build());
        }
    }
}
