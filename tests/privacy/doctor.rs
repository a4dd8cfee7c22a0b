//! `doctor` on a process that is there to be covered.

use std::process::Output;

use sensor_tests::PrivateTls;
use sensor_tests::guard;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{PythonApi, Transport};
use serde_json::Value as Json;

use crate::sensor::{root_command, soon};

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
        .find(|line| line.trim_start().starts_with(&pid.to_string()));
    assert!(process.is_some_and(|line| line.ends_with("): covered")), "{text}");
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
