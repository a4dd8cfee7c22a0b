//! The audits of a GraphQL server that graphql-http has, run against graphql-yoga: what is said of each request.

use sensor_tests::programs::Program;
use serde_json::Value;

use crate::said::{assert_said, lines, of};
use crate::stage::Stage;

/// As many as graphql-http 1.23 has.
const AUDITS: usize = 61;

#[test]
fn every_audit_is_seen_as_what_it_is() {
    let what = "audits of GraphQL";
    let packages = ["node/graphql-yoga", "node/graphql-ws", "node/graphql-http"];
    let Some(stage) = Stage::new(what, &[Program::Node], &packages) else {
        return;
    };
    let server = stage.serve(&mut stage.node("graphql_server.js"));
    let Some(mut watch) = stage.watch(&[server.pid()]) else {
        return;
    };
    let mut client = stage.node("audits.js");
    let url = format!("http://127.0.0.1:{}/graphql", server.port);
    let ran = stage.run(&mut watch, client.arg(url));
    let results: Value = serde_json::from_str(&ran.errors).unwrap();
    let results = results.as_object().unwrap();
    assert_eq!(results.len(), AUDITS);
    // The peer does what the specification wants, so its requests are what a server meets.
    assert!(results.values().all(|result| result == "ok"), "{results:?}");
    let said = lines(&ran.output);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let seen = of(&watch, pid, |_| true);
        assert_said(&format!("{what}, {end}"), &seen, &said);
    }
    watch.stop();
}
