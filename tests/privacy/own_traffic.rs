//! The sensor among those it is told to watch: its own export traffic is not captured, others' traffic is.

use sensor_tests::PrivateTls;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::wait;
use serde_json::Value as Json;

use crate::calls;
use crate::sensor::{Sensor, lines, root_command, script, soon};
use crate::tap::Tap;

/// Exports before the sensor is stopped: each would be an exchange of the sensor's own.
const EXPORTS: usize = 5;

#[test]
fn the_sensors_own_exports_are_not_captured() {
    let what = "own export traffic";
    let Some(mut command) = root_command(what, &[Program::Curl, Program::Python]) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (server, port) = script("planted.py", &[directory.path()], &tls);
    let (receiver, receiver_port) = script("sink.py", &[], &tls);
    let tap = Tap::to(([127, 0, 0, 1], receiver_port).into());
    let mut list = calls::all();
    list.retain(|call| !call.tls || call.word == calls::LAST);
    list.iter_mut().for_each(|call| call.tls = false);
    let client = Held::new(tls.apply(&mut calls::prepare(&list, directory.path(), 0, port))).unwrap();
    // This process is the sensor's parent, so the sensor is a descendant of a watched process; so is everything else.
    command.arg("run");
    for pid in [std::process::id(), receiver.pid(), server.pid()] {
        command.arg("--pid").arg(pid.to_string());
    }
    let endpoint = format!("http://{}", tap.address);
    command.args(["--otlp-endpoint", &endpoint, "--otlp-protocol", "http/protobuf"]);
    command.args(["--output", "json", "--metrics-listen", "off"]);
    let Some(mut sensor) = Sensor::start(what, command, "[otlp]\ninterval = \"200ms\"\n") else {
        return;
    };
    let status = std::fs::read_to_string(format!("/proc/{}/status", sensor.pid())).unwrap();
    let parent = format!("PPid:\t{}\n", std::process::id());
    assert!(
        status.contains(&parent),
        "the sensor is no child of a watched process: {status}"
    );
    let client_pid = client.pid();
    let output = client.release().unwrap().finish(soon()).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let exports = || {
        let sent = tap.sent();
        let head = b"POST /v1/";
        sent.windows(head.len()).filter(|window| window == head).count()
    };
    let before = exports();
    wait::until("exports", soon(), || {
        let seen = sensor.stdout().matches(calls::LAST).count() >= 2;
        Ok((seen && exports() >= before + EXPORTS).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", sensor.stdout()));
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    let lines = lines(&sensor.stdout());
    let of = |pid: u32| lines.iter().filter(|line| line["process.pid"] == pid).count();
    assert_eq!(of(sensor.pid()), 0, "the sensor saw itself");
    let clients = lines
        .iter()
        .filter(|line| line["api_sensor.process.comm"] == "curl");
    assert!(
        clients.count() >= list.len(),
        "curl, a descendant of {client_pid}, was not seen"
    );
    assert!(of(server.pid()) >= list.len());
    let exported = |line: &&Json| {
        line["url.template"]
            .as_str()
            .is_some_and(|path| path.starts_with("/v1/"))
    };
    println!(
        "{} exports; lines of the sensor: {}; of its receiver: {}, of exports: {}",
        exports(),
        of(sensor.pid()),
        of(receiver.pid()),
        lines.iter().filter(exported).count()
    );
}
