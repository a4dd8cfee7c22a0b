//! XML-RPC, JSON-RPC and SOAP between Python's own, jsonrpcserver, spyne, zeep.

use sensor_tests::programs::Program;
use sensor_user::exchange::Exchange;
use sensor_user::protocol::soap::{FaultCode, SoapVersion};

use crate::said::{assert_said, lines, of};
use crate::stage::Stage;

/// Runs a client of `kind` against a server and holds both ends against what the client says.
fn both_ends(what: &str, kind: &str, packages: &[&str], check: impl Fn(&str, &[&Exchange])) {
    let Some(stage) = Stage::new(what, &[Program::Python], packages) else {
        return;
    };
    let server = stage.serve(stage.python("rpc_server.py").arg(kind));
    let Some(mut watch) = stage.watch(&[server.pid()]) else {
        return;
    };
    let mut client = stage.python("rpc_client.py");
    let ran = stage.run(&mut watch, client.args([kind, &server.port.to_string()]));
    let said = lines(&ran.output);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let what = format!("{what}, {end}");
        // Descriptions of services are fetched beside.
        let seen = of(&watch, pid, |exchange| exchange.request.method() == b"POST");
        assert_said(&what, &seen, &said);
        check(&what, &seen);
    }
    watch.stop();
}

#[test]
fn xml_rpc() {
    both_ends("XML-RPC", "xml", &[], |what, seen| {
        let compressed = seen.iter().filter(|exchange| {
            let response = exchange.outcome.response().unwrap();
            response.head.header("content-encoding").is_some()
        });
        assert!(compressed.count() > 0, "{what}: nothing was compressed");
    });
}

#[test]
fn json_rpc() {
    both_ends(
        "JSON-RPC",
        "json",
        &["python/httpx", "python/jsonrpcserver"],
        |_, _| {},
    );
}

#[test]
fn soap() {
    both_ends("SOAP", "soap", &["python/spyne", "python/zeep"], |what, seen| {
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
    });
}
