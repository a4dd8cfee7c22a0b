//! XML-RPC, JSON-RPC and SOAP between Python's own, jsonrpcserver, spyne, zeep.

use sensor_tests::programs::Program;
use sensor_user::exchange::Exchange;
use sensor_user::protocol::soap::{FaultCode, SoapVersion};

use crate::said::{assert_said, lines, of};
use crate::stage::Stage;
use crate::watch::Watch;

#[test]
fn xml_rpc_and_json_rpc_and_soap() {
    let packages = ["httpx", "jsonrpcserver", "spyne", "zeep"].map(|name| format!("python/{name}"));
    let packages = packages.each_ref().map(String::as_str);
    let Some(stage) = Stage::new("RPC", &[Program::Python], &packages) else {
        return;
    };
    let Some(mut watch) = stage.watch() else {
        return;
    };
    both_ends(&stage, &mut watch, "xml", xml_rpc);
    both_ends(&stage, &mut watch, "json", |_, _| {});
    both_ends(&stage, &mut watch, "soap", soap);
    watch.stop();
}

/// Runs a client of `kind` against a server and holds both ends against what the client says.
fn both_ends(stage: &Stage, watch: &mut Watch, what: &str, check: impl Fn(&str, &[&Exchange])) {
    let server = stage.serve(watch, stage.python("rpc_server.py").arg(what));
    let mut client = stage.python("rpc_client.py");
    let ran = stage.run(watch, client.args([what, &server.port.to_string()]));
    let said = lines(&ran.output);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let what = format!("{what}, {end}");
        // Descriptions of services are fetched beside.
        let seen = of(watch, pid, |exchange| exchange.request.method() == b"POST");
        assert_said(&what, &seen, &said);
        check(&what, &seen);
    }
}

/// Long answers come in gzip.
fn xml_rpc(what: &str, seen: &[&Exchange]) {
    let compressed = seen.iter().filter(|exchange| {
        let response = exchange.outcome.response().unwrap();
        response.head.header("content-encoding").is_some()
    });
    assert!(compressed.count() > 0, "{what}: nothing was compressed");
}

fn soap(what: &str, seen: &[&Exchange]) {
    let versions = [SoapVersion::V11, SoapVersion::V12];
    for (exchange, version) in seen.iter().zip(versions.iter().flat_map(|version| [version; 2])) {
        let call = &exchange.calls[0];
        let soap = call.soap().unwrap();
        assert_eq!(soap.version, *version, "{what}");
        assert_eq!(soap.namespace.expose(), b"urn:shop", "{what}");
        assert_eq!(soap.action.expose(), call.name.expose(), "{what}");
        let refused = call.name.expose() == b"Refuse";
        assert_eq!(soap.fault, refused.then_some(FaultCode::Sender), "{what}");
    }
}
