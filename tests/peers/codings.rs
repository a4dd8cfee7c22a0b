//! Bodies in gzip, deflate, br and zstd, also one in another, in chunks with extensions, and trailers behind them.

use sensor_tests::payload::body;
use sensor_tests::programs::Program;
use sensor_user::classify::{DataKind, Half};
use sensor_user::exchange::Content;

use crate::stage::Stage;
use crate::watch::assert_same;

#[test]
fn bodies_are_read_in_every_coding_with_trailers_behind_them() {
    let what = "content codings";
    let packages = [
        "python/httpx",
        "python/brotli-1.2.1.dist-info",
        "python/zstandard",
    ];
    let Some(stage) = Stage::new(what, &[Program::Python], &packages) else {
        return;
    };
    let Some(mut watch) = stage.watch() else {
        return;
    };
    let server = stage.serve(&mut watch, &mut stage.python("codings_server.py"));
    // What stands behind fifty thousand bytes is found only where all of them were decoded.
    let text = [
        b"{\"text\": \"".to_vec(),
        body(61, 50_000),
        b"\", \"mail\": \"ann@shop.test\"}".to_vec(),
    ]
    .concat();
    let (file, mut client) = (stage.file("text", &text), stage.python("codings_client.py"));
    let ran = stage.run(&mut watch, client.arg(server.port.to_string()).arg(&file));
    let said: Vec<_> = ran.output.lines().collect();
    assert_eq!(said.len(), 5);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let seen: Vec<_> = watch
            .observed
            .iter()
            .filter(|one| one.exchange.connection.process.pid == pid)
            .collect();
        assert_eq!(seen.len(), said.len(), "{what}, {end}");
        for (number, (observed, target)) in seen.iter().zip(&said).enumerate() {
            let (what, exchange) = (format!("{what}, {end}, {target}"), &observed.exchange);
            assert_eq!(exchange.request.target().expose(), target.as_bytes(), "{what}");
            let response = exchange.outcome.response().unwrap();
            for (name, body) in [("sent", &exchange.request.body), ("received", &response.body)] {
                let wire = std::fs::read(file.with_file_name(format!("text.{name}.{number}"))).unwrap();
                assert_same(&format!("{what}, {name}"), body, &wire);
                assert!(body.is_content_whole(), "{what}, {name}: {body:?}");
                assert!(!matches!(body.content, Content::Plain), "{what}, {name}");
            }
            let mails = observed
                .labels
                .found
                .iter()
                .filter(|label| label.kind == DataKind::Email);
            let mut halves: Vec<_> = mails
                .map(|label| (label.place.half, &*label.place.name))
                .collect();
            halves.sort_unstable();
            assert_eq!(
                halves,
                [(Half::Request, "mail"), (Half::Response, "mail")],
                "{what}"
            );
            let trailers: Vec<_> = response.trailers.fields().map(|(name, _)| name).collect();
            assert_eq!(trailers, [&b"X-Checked"[..], b"Server-Timing"], "{what}");
            assert!(exchange.anomalies.is_empty(), "{what}: {:?}", exchange.anomalies);
        }
    }
    watch.stop();
}
