//! Programs that live for an instant: each is seen from its first byte.

use std::collections::HashSet;
use std::fs;

use sensor_tests::clients::Call;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_tests::wait::Deadline;
use sensor_tests::{PrivateTls, guard};
use std::process::Command;
use std::time::Duration;

use crate::sensor::{Sensor, lines, root_command};

/// At most 15 bytes, and no other program's name.
const NAME: &str = "apicurl";

#[test]
fn a_hundred_short_lived_curls_are_seen_from_their_first_byte() {
    short_lived(100);
}

#[test]
#[ignore = "a thousand processes in a row"]
fn a_thousand_short_lived_curls_are_seen_from_their_first_byte() {
    short_lived(1000);
}

fn short_lived(count: usize) {
    let what = "short-lived programs";
    let needed = [Program::Nginx, Program::Curl, Program::Openssl];
    let Some(mut command) = root_command(what, &needed) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let curl = directory.path().join(NAME);
    fs::copy(Program::Curl.find().unwrap(), &curl).unwrap();
    command.args([
        "run",
        "--comm",
        NAME,
        "--output",
        "json",
        "--metrics-listen",
        "off",
    ]);
    command.arg("--library").arg(tls.libssl());
    let Some(mut sensor) = Sensor::start(what, command, "") else {
        return;
    };
    for number in 0..count {
        let url = Transport::Tls.url(nginx.port(Transport::Tls), &format!("/who/n{number}n"));
        let call = Call::new("GET", &url, b"").unwrap();
        let asked = call.curl(&tls).unwrap();
        let mut copied = Command::new(&curl);
        copied.args(asked.get_args());
        guard::run(tls.apply(&mut copied), Deadline::after(Duration::from_secs(20))).unwrap();
    }
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    let lines = lines(&sensor.stdout());
    let exchanges = lines.iter().filter(|line| line["type"] == "exchange");
    let (mut pids, mut seen) = (HashSet::new(), 0);
    for exchange in exchanges {
        assert_eq!(exchange["api_sensor.process.comm"], NAME, "{exchange:#}");
        assert_eq!(exchange["http.response.status_code"], 200, "{exchange:#}");
        assert_eq!(
            exchange["server.port"],
            nginx.port(Transport::Tls),
            "{exchange:#}"
        );
        pids.insert(exchange["process.pid"].as_u64().unwrap());
        seen += 1;
    }
    println!("{seen} calls of {} processes", pids.len());
    assert_eq!(seen, count, "calls seen");
    assert_eq!(pids.len(), count, "processes seen");
}
