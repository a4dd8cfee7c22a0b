//! `doctor` on a process that is there to be covered.

use std::process::{Command, Output, Stdio};

use sensor_tests::clients::Call;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::{Guard, PrivateTls, guard, wait};
use serde_json::Value as Json;

use crate::sensor::{Sensor, fetch, root_command, soon};

/// Columns and lines of a terminal; `doctor` on one process is read at once.
const COLUMNS: usize = 160;
const LINES: usize = 50;

/// Runs `doctor` on an HTTPS server of the test's own; gives that, the server's id and its library.
fn doctor(what: &str, arguments: &[&str]) -> Option<(Output, u32, String)> {
    let mut command = root_command(what, &[Program::Python, Program::Openssl])?;
    let tls = PrivateTls::new().unwrap();
    let server = PythonApi::start(&tls, Transport::Tls).unwrap();
    tls.assert_mapped(server.pid()).unwrap();
    let state = tempfile::tempdir().unwrap();
    command.arg("doctor").args(arguments).arg("--pid");
    command
        .arg(server.pid().to_string())
        .arg("--state-dir")
        .arg(state.path());
    let output = guard::finish(&mut command, soon()).unwrap();
    let library = tls.libssl().to_string_lossy().into_owned();
    Some((output, server.pid(), library))
}

#[test]
fn doctor_says_in_json_that_a_python_server_is_covered() {
    let what = "doctor --json";
    let Some((output, pid, library)) = doctor(what, &["--json"]) else {
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Json = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let objects = text.lines().filter(|line| line.starts_with('{')).count();
    assert_eq!(objects, 1, "one object, on the last line: {text}");
    let loads = report["host"]["abilities"].as_array().unwrap();
    let loads = loads.iter().find(|ability| ability["name"] == "kernel object");
    if loads.is_none_or(|ability| ability["available"] != true) {
        return programs::skipped(what, &"the kernel object cannot be loaded here");
    }
    let processes = report["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 1, "{report:#}");
    let process = &processes[0];
    assert_eq!(process["pid"], pid);
    assert_eq!(process["verdict"], "covered", "{process:#}");
    let stacks = process["stacks"].as_array().unwrap();
    let found = stacks.iter().find(|stack| stack["file"] == library.as_str());
    let found = found.unwrap_or_else(|| panic!("{library} is not named: {process:#}"));
    assert!(found["functions"].as_u64().unwrap() > 4, "{found:#}");
    assert_eq!(found["reason"], Json::Null);
}

#[test]
fn doctor_says_it_in_text_that_fits_a_terminal() {
    let Some((output, pid, library)) = doctor("doctor", &[]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let process = text
        .lines()
        .find(|line| line.split_whitespace().nth(1) == Some(&pid.to_string()));
    assert!(
        process.is_some_and(|line| line.trim_start().starts_with("covered")),
        "{text}"
    );
    assert!(text.contains(&library), "{text}");
    assert!(
        text.lines().count() <= LINES,
        "{} lines: {text}",
        text.lines().count()
    );
    let wide = text.lines().find(|line| line.chars().count() > COLUMNS);
    assert_eq!(wide, None);
    println!("{text}");
}

/// A server with TLS, and a client that calls it once a line.
struct Stage {
    tls: PrivateTls,
    server: PythonApi,
}

impl Stage {
    fn set() -> Self {
        let tls = PrivateTls::new().unwrap();
        let server = PythonApi::start(&tls, Transport::Tls).unwrap();
        tls.assert_mapped(server.pid()).unwrap();
        Self { tls, server }
    }

    fn call(&self) {
        let url = Transport::Tls.url(self.server.port(), "/echo?seed=1&length=3000");
        let call = Call::new("POST", &url, b"secret-of-the-caller").unwrap();
        let output = guard::finish(&mut call.curl(&self.tls).unwrap(), soon()).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

fn of(report: &Json, pid: u32) -> &Json {
    let processes = report["processes"].as_array().unwrap();
    let found = processes.iter().find(|process| process["pid"] == pid);
    found.unwrap_or_else(|| panic!("{pid} is not in {report:#}"))
}

#[test]
fn doctor_watches_for_a_while_and_says_what_fired() {
    let what = "doctor --watch";
    let needed = [Program::Python, Program::Openssl, Program::Curl];
    for json in [true, false] {
        let Some(mut command) = root_command(what, &needed) else {
            return;
        };
        let stage = Stage::set();
        command.args(["doctor", "--watch", "4s", "--pid"]);
        command.arg(stage.server.pid().to_string());
        command.args(json.then_some("--json"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut doctor = Guard::start(&mut command).unwrap();
        // Whenever it begins to watch, calls follow.
        while doctor.ended().unwrap().is_none() {
            stage.call();
        }
        let output = guard::collect(&mut doctor, soon()).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(3) {
            return programs::skipped(what, &errors.trim());
        }
        assert_eq!(output.status.code(), Some(0), "{errors}");
        // Kernels differ in the ways to attach that they have.
        let kernel = |line: &&str| line.contains("this way to attach does not work");
        let beside: Vec<&str> = errors.lines().filter(|line| !kernel(line)).collect();
        assert!(
            beside.is_empty(),
            "the accounts close, and nothing else is worth a word: {errors}"
        );
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("secret-of"), "{text}");
        if json {
            let report: Json = serde_json::from_str(text.trim()).unwrap();
            let process = of(&report, stage.server.pid());
            assert_eq!(process["state"], "captured", "{process:#}");
            let seen = &process["activity"];
            assert!(seen["tls_calls"].as_u64().unwrap() > 1, "{seen:#}");
            assert!(seen["tls_bytes"].as_u64().unwrap() > 3000, "{seen:#}");
            assert_eq!(seen["lost_bytes"], 0, "{seen:#}");
            assert!(
                process["stacks"][0]["probes"].as_u64().unwrap() > 10,
                "{process:#}"
            );
            assert_eq!(report["watched"], 4);
        } else {
            let pid = stage.server.pid().to_string();
            let line = text
                .lines()
                .find(|line| line.split_whitespace().nth(1) == Some(&pid));
            let line = line.unwrap_or_else(|| panic!("{text}"));
            assert!(line.trim_start().starts_with("captured"), "{text}");
            assert!(line.contains("python3") && line.contains("; parsed "), "{text}");
            println!("{text}");
        }
    }
}

#[test]
fn a_running_sensor_serves_the_same_report_and_its_ledger() {
    let what = "/coverage";
    let needed = [Program::Python, Program::Openssl, Program::Curl];
    let Some(mut command) = root_command(what, &needed) else {
        return;
    };
    let stage = Stage::set();
    let pid = stage.server.pid();
    let port = wait::free_port().unwrap();
    let page = format!("http://127.0.0.1:{port}");
    let listen = format!("127.0.0.1:{port}");
    command.args(["run", "--output", "json", "--metrics-listen", &listen, "--pid"]);
    command.arg(pid.to_string());
    let Some(mut sensor) = Sensor::start(what, command, "") else {
        return;
    };
    let captured = wait::until("the report", soon(), || {
        stage.call();
        let Ok(report) = serde_json::from_str::<Json>(&fetch(&format!("{page}/coverage"))) else {
            return Ok(None);
        };
        let process = report["processes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|process| process["pid"] == pid);
        Ok(process.filter(|process| process["state"] == "captured").cloned())
    })
    .unwrap();
    assert_eq!(captured["comm"], "python3", "{captured:#}");
    let metrics = fetch(&format!("{page}/metrics"));
    for line in [
        "api_sensor_coverage{state=\"captured\"} 1",
        "api_sensor_coverage{state=\"never_fired\"} 0",
        "api_sensor_ledger_unbalanced_total 0",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} is missing in {metrics}"
        );
    }
    let stage_of = |stage: &str| -> u64 {
        let wanted = format!("api_sensor_process_bytes{{pid=\"{pid}\",comm=\"python3\",stage=\"{stage}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&wanted));
        line.unwrap_or_else(|| panic!("{wanted} is missing in {metrics}"))
            .parse()
            .unwrap()
    };
    assert!(stage_of("fired") > 3000);
    assert_eq!(
        stage_of("fired"),
        stage_of("submitted")
            + stage_of("tls_on_sockets")
            + stage_of("unrecognised_on_sockets")
            + stage_of("not_captured")
    );
    assert!(sensor.stop().success(), "{}", sensor.stderr());
    let accounts = sensor.stdout();
    let accounts = crate::sensor::lines(&accounts);
    assert_eq!(accounts.last().unwrap()["sensor"]["ledger_unbalanced"], 0);
}

/// LESSONS 17: a tracefs that is missing, or mounted where nobody looks, took half the probes without a word.
#[test]
fn a_missing_or_misplaced_tracefs_is_mounted_or_said_aloud() {
    let what = "tracefs elsewhere";
    let Some(doctor) = root_command(what, &[]) else {
        return;
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let run = |may_mount: bool| {
        // In a mount namespace of its own, so that this machine's mounts stay.
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c"]);
        let drop = if may_mount {
            ""
        } else {
            "setpriv --bounding-set -sys_admin --inh-caps -sys_admin "
        };
        command.arg(format!(
            "umount -l /sys/kernel/tracing && umount -l /sys/kernel/debug/tracing 2>/dev/null; \
             mount -t tracefs nodev \"$1\" && exec {drop}\"$0\" doctor --pid $$"
        ));
        command.arg(doctor.get_program()).arg(elsewhere.path());
        let output = guard::finish(&mut command, soon()).unwrap();
        (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (text, errors) = run(true);
    if text.is_empty() {
        return programs::skipped(what, &errors.trim());
    }
    assert!(
        !text.contains("HAS NOT  kernel object"),
        "it can be mounted where it belongs: {text}"
    );
    let (text, errors) = run(false);
    if text.is_empty() {
        return programs::skipped(what, &errors.trim());
    }
    let place = elsewhere.path().to_string_lossy();
    assert!(
        text.contains("HAS NOT  tracefs: without it no call on a socket"),
        "{text}"
    );
    assert!(
        errors.contains(&format!("tracefs is mounted at {place} only")),
        "{errors}"
    );
}
