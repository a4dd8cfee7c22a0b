//! nginx that speaks HTTP/2 over TLS, and `HAProxy` that takes HTTP/2 and passes it on as HTTP/1.

use std::process::Command;

use sensor_tests::payload::body;
use sensor_tests::programs::Program;
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::wait;
use sensor_user::exchange::Exchange;

use crate::said::of;
use crate::stage::{Server, Stage};
use crate::watch::{Watch, assert_same};

/// Both sides of a TLS record and of HTTP/2's first window (RFC 9113, 6.9.2).
const LENGTHS: [usize; 5] = [0, 1, 16_385, 65_536, 100_000];

#[test]
fn proxies_speak_http2() {
    let programs = [Program::Nginx, Program::Haproxy, Program::Curl, Program::Python];
    let Some(stage) = Stage::new("proxies", &programs, &["python/httpx", "python/h2"]) else {
        return;
    };
    let Some(mut watch) = stage.watch() else {
        return;
    };
    curl_and_httpx_to_nginx(&stage, &mut watch);
    watch.observed.clear();
    haproxy_passes_on_as_http1(&stage, &mut watch);
    watch.stop();
}

fn nginx(stage: &Stage, watch: &mut Watch) -> Server {
    let port = wait::free_port().unwrap();
    let certificate = stage.certificate();
    let place = stage.path().display();
    let (public, key) = (certificate.certificate.display(), certificate.key.display());
    let text = format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/error; user root; events {{}}\n\
         http {{ access_log off; default_type application/octet-stream; client_max_body_size 0;\n\
         client_body_temp_path {place}/bodies; proxy_temp_path {place}; fastcgi_temp_path {place};\n\
         uwsgi_temp_path {place}; scgi_temp_path {place};\n\
         server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {public}; ssl_certificate_key {key};\n\
         root {place}; location /put/ {{ dav_methods PUT; create_full_put_path on; }} }} }}\n"
    );
    let config = stage.file("nginx.conf", text.as_bytes());
    let mut command = stage.program(Program::Nginx);
    command.arg("-c").arg(config).arg("-p").arg(stage.path());
    stage.serve_on(watch, port, command.stderr(std::process::Stdio::null()))
}

fn curl(stage: &Stage) -> Command {
    let mut curl = stage.program(Program::Curl);
    curl.args([
        "--silent",
        "--show-error",
        "--fail",
        "--insecure",
        "--http2",
        "--max-time",
        "20",
    ]);
    curl.args([
        "--noproxy",
        "*",
        "-H",
        "Expect:",
        "-H",
        "Content-Type: text/plain",
    ]);
    curl
}

/// The one exchange with that target, which has these bodies.
fn assert_exchange(what: &str, seen: &[&Exchange], target: &str, sent: &[u8], received: Option<&[u8]>) {
    let wanted = |exchange: &&&Exchange| exchange.request.target().expose() == target.as_bytes();
    let found: Vec<_> = seen.iter().filter(wanted).collect();
    let what = format!("{what}, {target}");
    let [exchange] = found.as_slice() else {
        panic!("{what}: {} exchanges", found.len())
    };
    assert!(exchange.anomalies.is_empty(), "{what}: {:?}", exchange.anomalies);
    assert_same(&format!("{what}, request"), &exchange.request.body, sent);
    let response = exchange
        .outcome
        .response()
        .unwrap_or_else(|| panic!("{what}: {exchange:?}"));
    if let Some(received) = received {
        assert_same(&format!("{what}, response"), &response.body, received);
    }
}

fn curl_and_httpx_to_nginx(stage: &Stage, watch: &mut Watch) {
    let what = "HTTP/2, nginx over TLS";
    let server = nginx(stage, watch);
    let base = format!("https://127.0.0.1:{}", server.port);
    let mut get = curl(stage);
    // All on one connection, at once.
    get.args(["--parallel", "--parallel-max", "5"]);
    for length in LENGTHS {
        stage.file(&format!("f{length}"), &body(51, length));
        get.args([format!("{base}/f{length}"), "--output".to_owned()])
            .arg(stage.path().join("got"));
    }
    let ran = stage.run(watch, &get);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let what = format!("{what}, curl, {end}");
        let seen = of(watch, pid, |_| true);
        assert_eq!(seen.len(), LENGTHS.len(), "{what}");
        assert!(
            seen.iter()
                .all(|exchange| exchange.request.version == 20 && exchange.connection.tls)
        );
        for length in LENGTHS {
            assert_exchange(&what, &seen, &format!("/f{length}"), b"", Some(&body(51, length)));
        }
    }
    let whole = body(52, 20_000);
    let mut put = stage.python("httpx_client.py");
    put.arg(format!("{base}/put"))
        .arg(stage.file("body", &whole))
        .args(["20", "PUT"]);
    let ran = stage.run(watch, &put);
    for (end, pid) in [("client", ran.pid), ("server", server.pid())] {
        let what = format!("{what}, httpx, {end}");
        let seen = of(watch, pid, |exchange| exchange.request.method() == b"PUT");
        assert_eq!(seen.len(), 20, "{what}");
        for number in 0..20 {
            assert_exchange(
                &what,
                &seen,
                &format!("/put/{number}"),
                &whole[..number * 1000],
                None,
            );
        }
    }
}

fn haproxy_passes_on_as_http1(stage: &Stage, watch: &mut Watch) {
    let what = "HTTP/2, HAProxy to HTTP/1";
    let api = PythonApi::start(&stage.tls, Transport::Plain).unwrap();
    watch.also(api.pid());
    let proxy = haproxy(stage, watch, api.port());
    for length in LENGTHS {
        let (sent, received) = (body(53, length), body(4, length));
        let target = format!("/echo?seed=4&length={length}");
        let mut post = curl(stage);
        post.arg("--data-binary")
            .arg(format!("@{}", stage.file("sent", &sent).display()));
        post.arg("--output").arg(stage.path().join("got"));
        post.arg(format!("https://127.0.0.1:{}{target}", proxy.port));
        let ran = stage.run(watch, &post);
        for (end, pid, tls, version) in [
            ("client", ran.pid, true, 20),
            ("in front", proxy.pid(), true, 20),
            ("behind", proxy.pid(), false, 11),
            ("server", api.pid(), false, 11),
        ] {
            let what = format!("{what}, {end}, {length} bytes");
            let seen = of(watch, pid, |exchange| {
                exchange.connection.tls == tls && exchange.request.version == version
            });
            assert_exchange(&what, &seen, &target, &sent, Some(&received));
        }
    }
    let of_proxy = of(watch, proxy.pid(), |_| true).len();
    assert_eq!(of_proxy, 2 * LENGTHS.len(), "each call once on either leg");
}

/// One that answers by HTTP/2 over TLS and asks `to` by HTTP/1.
fn haproxy(stage: &Stage, watch: &mut Watch, to: u16) -> Server {
    let port = wait::free_port().unwrap();
    let certificate = stage.certificate();
    let mut both = std::fs::read(&certificate.certificate).unwrap();
    both.extend(std::fs::read(&certificate.key).unwrap());
    let both = stage.file("both.pem", &both);
    let text = format!(
        "global\n maxconn 100\n nbthread 1\ndefaults\n mode http\n timeout connect 10s\n timeout client 20s\n timeout server \
         20s\nfrontend front\n bind 127.0.0.1:{port} ssl crt {} alpn h2,http/1.1\n default_backend back\nbackend back\n \
         server one 127.0.0.1:{to}\n",
        both.display()
    );
    let config = stage.file("haproxy.cfg", text.as_bytes());
    let mut command = stage.program(Program::Haproxy);
    stage.serve_on(watch, port, command.args(["-db", "-f"]).arg(config))
}
