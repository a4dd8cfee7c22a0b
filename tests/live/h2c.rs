//! A connection that HTTP/1 turns into HTTP/2 (RFC 7540, 3.2), between curl or nghttp and Apache: every exchange once?

use std::path::Path;
use std::process::{Command, Stdio};

use sensor_tests::programs::Program;
use sensor_tests::{Guard, PrivateTls, wait};

use crate::bodies::perform;
use crate::watch::{Watch, able, bytes, options, soon};

/// From Debian's nghttp2-client.
const NGHTTP: &str = "/usr/bin/nghttp";

const MODULES: &str = "/usr/lib/apache2/modules";

/// Apache without TLS that speaks these protocols.
fn apache(tls: &PrivateTls, directory: &Path, protocols: &str) -> (Guard, u16) {
    let port = wait::free_port().unwrap();
    let place = directory.display();
    let modules: String = ["mpm_worker", "authz_core", "http2"]
        .iter()
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .collect();
    let text = format!(
        "ServerRoot {place}\nPidFile {place}/pid\nListen 127.0.0.1:{port}\nErrorLog {place}/error\nServerName localhost\n\
         {modules}Protocols {protocols}\nDocumentRoot {place}/files\n"
    );
    std::fs::create_dir_all(directory.join("files")).unwrap();
    for name in ["one", "two", "three"] {
        std::fs::write(directory.join("files").join(name), name.repeat(1000)).unwrap();
    }
    let config = directory.join("apache.conf");
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(Program::Apache.find().unwrap());
    command.arg("-X").arg("-f").arg(&config);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let guard = Guard::start(tls.apply(&mut command)).unwrap();
    wait::listening(port, soon()).unwrap();
    (guard, port)
}

fn client(program: &Path, arguments: &[&str], port: u16) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command.args(["one", "two", "three"].map(|name| format!("http://127.0.0.1:{port}/{name}")));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// One process saw each of three exchanges once, whole; the first asked in HTTP/1.1.
fn check(what: &str, watch: &Watch, pid: u32, others: u8) {
    for (name, version) in [("one", 11), ("two", others), ("three", others)] {
        let seen = watch.exchanges(pid, &format!("/{name}"));
        assert_eq!(seen.len(), 1, "{what}, {name}");
        let exchange = &seen[0].exchange;
        let response = exchange.outcome.response().unwrap();
        assert_eq!(
            (exchange.request.version, response.status),
            (version, 200),
            "{what}, {name}"
        );
        assert_eq!(
            bytes(&response.body),
            name.repeat(1000).into_bytes(),
            "{what}, {name}"
        );
        assert!(exchange.anomalies.is_empty(), "{what}: {:?}", exchange.anomalies);
    }
}

#[test]
fn what_asked_for_http2_is_answered_in_it_or_refused() {
    let what = "Upgrade: h2c";
    if !able(what, &[Program::Apache, Program::Curl]) {
        return;
    }
    let curl = Program::Curl.find().unwrap();
    let nghttp = Path::new(NGHTTP);
    let clients: [(&Path, &[&str]); 2] = [(&curl, &["--http2", "--silent"]), (nghttp, &["-u", "-n"])];
    for protocols in ["h2c http/1.1", "http/1.1"] {
        for (program, arguments) in clients {
            let what = format!("{what}, {}, {protocols}", program.display());
            if !program.exists() {
                println!("SKIPPED {what}: no nghttp (nghttp2-client)");
                continue;
            }
            let agreed = protocols.starts_with("h2c");
            if !agreed && program == nghttp {
                println!("SKIPPED {what}: nghttp speaks no HTTP/1");
                continue;
            }
            let tls = PrivateTls::new().unwrap();
            let directory = tempfile::tempdir().unwrap();
            let (server, port) = apache(&tls, directory.path(), protocols);
            let Some(mut watch) = Watch::start(&what, &options(&tls, &[server.pid()])) else {
                return;
            };
            let pid = perform(&mut watch, &client(program, arguments, port));
            watch.until(&what, |watch| {
                !watch.exchanges(server.pid(), "/three").is_empty()
                    && !watch.exchanges(pid, "/three").is_empty()
            });
            let others = if agreed { 20 } else { 11 };
            check(&format!("{what}, client's end"), &watch, pid, others);
            check(&format!("{what}, server's end"), &watch, server.pid(), others);
            watch.stop();
        }
    }
}
