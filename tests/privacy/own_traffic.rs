//! The sensor among those it is told to watch: its own export traffic is not captured, others' traffic is.

use std::process::Command;

use sensor_tests::PrivateTls;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::wait;

use crate::calls::{self, Call};
use crate::sensor::{Sensor, lines, root_command, script, soon};
use crate::tap::Tap;

/// Exports before the sensor is stopped: each would be an exchange of the sensor's own.
const EXPORTS: usize = 5;

#[test]
fn the_sensors_own_exports_are_not_captured() {
    let what = "own export traffic";
    let Some(command) = root_command(what, &[Program::Curl, Program::Python]) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (server, port) = script("planted.py", &[directory.path()], &tls);
    let (receiver, receiver_port) = script("sink.py", &[], &tls);
    let tap = Tap::to(([127, 0, 0, 1], receiver_port).into());
    let list = plain_calls();
    let mut client = calls::prepare(&list, directory.path(), 0, port);
    let client = Held::new(tls.apply(&mut client)).unwrap();
    let mut command = watching_itself(&command);
    // This process is the sensor's parent, so the sensor is a descendant of a watched process; so is everything else.
    for pid in [std::process::id(), receiver.pid(), server.pid()] {
        command.arg("--pid").arg(pid.to_string());
    }
    let endpoint = format!("http://{}", tap.address);
    command.args(["--otlp-endpoint", &endpoint, "--otlp-protocol", "http/protobuf"]);
    command.args(["--output", "json", "--metrics-listen", "off"]);
    let Some(mut sensor) = Sensor::start(what, command, "[otlp]\ninterval = \"200ms\"\n") else {
        return;
    };
    assert_is_watched(&sensor);
    let output = client.release().unwrap().finish(soon()).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    sensor.wait_for(&format!("/{}", calls::LAST), 1);
    let before = exports(&tap);
    wait::until("exports", soon(), || {
        Ok((exports(&tap) >= before + EXPORTS).then_some(()))
    })
    .unwrap();
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    let lines = lines(&sensor.stdout());
    let of = |pid: u32| lines.iter().filter(|line| line["process.pid"] == pid).count();
    assert_eq!(of(sensor.pid()), 0, "the sensor saw itself");
    assert!(of(server.pid()) >= list.len(), "the server was not seen");
    // curl was seen as well: its view of each call was left out for the server's.
    let accounts = lines.iter().rfind(|line| line["type"] == "accounts");
    let twice = accounts.and_then(|line| line["sensor"]["exchanges_twice"].as_u64());
    assert!(
        twice >= Some(list.len() as u64),
        "curl was seen {twice:?} times only"
    );
    println!(
        "{} exports: {} lines of the sensor, {twice:?} calls seen twice, {} of the server, {} of the watched receiver's end",
        exports(&tap),
        of(sensor.pid()),
        of(server.pid()),
        of(receiver.pid())
    );
}

/// The sensor in place of a shell, told to watch the id that both have.
fn watching_itself(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "exec \"$0\" run --pid $$ \"$@\""]);
    shell.arg(command.get_program());
    for (name, _) in command.get_envs() {
        shell.env_remove(name);
    }
    shell
}

/// Fails unless the sensor was told to watch its parent and itself.
fn assert_is_watched(sensor: &Sensor) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", sensor.pid())).unwrap();
    let parent = format!("PPid:\t{}\n", std::process::id());
    assert!(status.contains(&parent), "no child of this process: {status}");
    let said = sensor.stderr();
    assert!(said.contains(&format!("pid {} ", sensor.pid())), "{said}");
}

/// Calls without TLS: curl is a descendant of this process whatever its library.
fn plain_calls() -> Vec<Call> {
    let mut calls = calls::all();
    calls.retain(|call| !call.tls || call.word == calls::LAST);
    for call in &mut calls {
        call.tls = false;
    }
    calls
}

/// Requests of OTLP over HTTP so far.
fn exports(tap: &Tap) -> usize {
    let (sent, head) = (tap.sent(), b"POST /v1/");
    sent.windows(head.len()).filter(|window| window == head).count()
}
