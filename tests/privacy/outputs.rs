//! Planted secrets and personal values: each found, none in any output.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::receiver::{self, Receiver};
use sensor_tests::servers::Certificate;
use sensor_tests::{Guard, PrivateTls, wait};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::calls::{self, Call, LAST};
use crate::leaks::Forbidden;
use crate::sensor::{Sensor, fetch, lines, root_command, script, soon};
use crate::tap::Tap;

const NEEDED: [Program; 3] = [Program::Curl, Program::Openssl, Program::Python];

/// Servers, a client that waits, and where everything is.
struct Stage {
    calls: Vec<Call>,
    tls: PrivateTls,
    client: Held,
    servers: [(Guard, u16); 2],
    _directory: TempDir,
}

impl Stage {
    fn set() -> Self {
        let (calls, tls) = (calls::all(), PrivateTls::new().unwrap());
        let directory = TempDir::with_prefix("api-sensor-planted-").unwrap();
        let certificate = Certificate::create(directory.path()).unwrap();
        let files = [
            directory.path(),
            certificate.certificate.as_path(),
            certificate.key.as_path(),
        ];
        let servers = [
            script("planted.py", &files, &tls),
            script("planted.py", &files[..1], &tls),
        ];
        let mut client = calls::prepare(&calls, directory.path(), servers[0].1, servers[1].1);
        Self {
            client: Held::new(tls.apply(&mut client)).unwrap(),
            calls,
            tls,
            servers,
            _directory: directory,
        }
    }

    /// Makes `sensor` watch the servers and the client, and nobody else.
    fn watched_by(&self, sensor: &mut Command) {
        let pids = [
            self.servers[0].0.pid(),
            self.servers[1].0.pid(),
            self.client.pid(),
        ];
        for pid in pids {
            sensor.arg("--pid").arg(pid.to_string());
        }
        sensor.arg("--library").arg(self.tls.libssl());
    }
}

/// What one run of the sensor gave to the outside.
struct Given {
    stdout: String,
    stderr: String,
    otlp: Vec<u8>,
    received: String,
    page: String,
    state: Vec<u8>,
}

/// Where the sensor exports to.
#[derive(Clone, Copy)]
enum Collector {
    /// A receiver that takes everything, by this protocol.
    Takes(&'static str),
    /// A port where nobody listens, so that everything is spooled.
    Gone,
}

impl Collector {
    const fn protocol(self) -> &'static str {
        match self {
            Self::Takes(protocol) => protocol,
            Self::Gone => "grpc",
        }
    }
}

/// A receiver, and the tap before it.
fn otlp(what: &str, protocol: &str) -> Option<(Receiver, Tap)> {
    match receiver::install(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(program) => {
            let receiver = Receiver::start(&program).unwrap();
            let grpc = protocol == "grpc";
            let tap = Tap::to(if grpc { receiver.grpc } else { receiver.http });
            Some((receiver, tap))
        }
        Err(error) => {
            let reason = format!("the receiver `rotel` cannot be had: {error:#}");
            programs::skipped(&format!("{what} over OTLP"), &reason);
            None
        }
    }
}

/// Runs the sensor with both kinds of output at once: `form` on standard output, OTLP to `collector`.
fn run(what: &str, form: &str, collector: Collector) -> Option<(Vec<Call>, Given)> {
    let mut command = root_command(what, &NEEDED)?;
    let protocol = collector.protocol();
    let otlp = match collector {
        Collector::Takes(protocol) => otlp(what, protocol),
        Collector::Gone => None,
    };
    let stage = Stage::set();
    let page = format!("127.0.0.1:{}", wait::free_port().unwrap());
    command.args([
        "run",
        "--log",
        "trace",
        "--output",
        form,
        "--metrics-listen",
        &page,
    ]);
    let address = match (&otlp, collector) {
        (Some((_, tap)), _) => Some(tap.address.to_string()),
        (None, Collector::Gone) => Some(format!("127.0.0.1:{}", wait::free_port().unwrap())),
        (None, Collector::Takes(_)) => None,
    };
    if let Some(address) = address {
        let endpoint = format!("http://{address}");
        command.args(["--otlp-endpoint", &endpoint, "--otlp-protocol", protocol]);
    }
    stage.watched_by(&mut command);
    // Compressed, what is sent could not be searched.
    let config = "[otlp]\ninterval = \"200ms\"\ncompression = \"none\"\n";
    let mut sensor = Sensor::start(what, command, config)?;
    let output = stage.client.release().unwrap().finish(soon()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "a call failed: {errors}");
    sensor.wait_for(&format!("/{LAST}"), 1);
    let page = fetch(&format!("http://{page}/metrics"));
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    let (otlp, received) = otlp.map_or_else(Default::default, |(receiver, tap)| {
        let last = ["api_sensor.finding".to_owned(), format!("/{LAST}")];
        receiver.wait_for(&last).unwrap();
        (tap.sent(), receiver.printed())
    });
    let given = Given {
        stdout: sensor.stdout(),
        stderr: sensor.stderr(),
        otlp,
        received,
        page,
        state: sensor.state(),
    };
    Some((stage.calls, given))
}

fn assert_private(calls: &[Call], protocol: &str, given: &Given) {
    let planted = calls
        .iter()
        .flat_map(|call| call.values.iter().map(|value| (call.word, value)));
    let forbidden = Forbidden::of(planted);
    let outputs: [(&str, &[u8]); 6] = [
        ("standard output", given.stdout.as_bytes()),
        ("the log", given.stderr.as_bytes()),
        ("OTLP bytes", &given.otlp),
        ("what the OTLP receiver read", given.received.as_bytes()),
        ("the metrics page", given.page.as_bytes()),
        ("the state directory", &given.state),
    ];
    for (output, bytes) in outputs {
        println!(
            "{output} ({protocol}): {} bytes, {} texts not found",
            bytes.len(),
            forbidden.len()
        );
        forbidden.assert_absent(&format!("{output} ({protocol})"), bytes);
    }
    // What was searched is what it is taken for.
    assert!(given.stdout.contains("/records") && given.page.contains("/records"));
    assert!(given.stderr.contains("TRACE"), "no trace in the log");
    for written in ["installation.key", "SQLite format 3", "/records", "payment_card"] {
        let mut windows = given.state.windows(written.len());
        assert!(windows.any(|window| window == written.as_bytes()), "{written}");
    }
    if !given.received.is_empty() {
        let holds = |text: &[u8]| given.otlp.windows(text.len()).any(|window| window == text);
        assert!(holds(b"/records") && holds(b"payment_card"));
        assert!(given.received.contains("/records"));
    }
}

#[test]
fn planted_values_are_found_and_in_none_of_the_outputs() {
    let what = "planted values in JSON";
    let Some((calls, given)) = run(what, "json", Collector::Takes("http/protobuf")) else {
        return;
    };
    assert_private(&calls, "json, http/protobuf", &given);
    let lines = lines(&given.stdout);
    let missed: Vec<String> = calls.iter().flat_map(|call| missed(call, &lines)).collect();
    assert!(missed.is_empty(), "not found: {missed:#?}");
    let rules: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line["api_sensor.rule.id"].as_str())
        .collect();
    for rule in ["API2-001", "API3-001", "API8-001"] {
        assert!(rules.contains(rule), "no finding of {rule}: {rules:?}");
    }
    let expected: usize = calls.iter().flat_map(|call| &call.expected).map(Vec::len).sum();
    println!(
        "{} calls, {} planted values, {expected} expected and found",
        calls.len(),
        calls.iter().map(|call| call.values.len()).sum::<usize>()
    );
}

/// Expected kinds that were not reported. Both ends are watched, so each call is told once, as its server saw it.
fn missed(call: &Call, lines: &[Json]) -> Vec<String> {
    let path = format!("/{}", call.word);
    let of_call = |line: &&Json| {
        let template = line["url.template"].as_str().unwrap_or_default();
        line["type"] == "exchange"
            && (template == path
                || template
                    .strip_prefix(&path)
                    .is_some_and(|rest| rest.starts_with('/')))
    };
    let seen: Vec<_> = lines.iter().filter(of_call).collect();
    let [line] = seen.as_slice() else {
        return vec![format!("{path}: told {} times", seen.len())];
    };
    let mut missed = Vec::new();
    if line["api_sensor.role"] != "server" {
        missed.push(format!("{path}: told as the {}", line["api_sensor.role"]));
    }
    let data: Vec<&str> = line["api_sensor.data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    for (half, kinds) in ["request", "response"].iter().zip(&call.expected) {
        for kind in kinds {
            if !data.iter().any(|one| one.starts_with(&format!("{half}.{kind}:"))) {
                missed.push(format!("{kind} of the {half} of {path}; found {data:?}"));
            }
        }
    }
    missed
}

#[test]
fn planted_values_are_not_in_text_or_grpc() {
    let what = "planted values in text";
    let Some((calls, given)) = run(what, "text", Collector::Takes("grpc")) else {
        return;
    };
    assert_private(&calls, "text, grpc", &given);
    for kind in ["payment_card", "private_key", "code_host_token"] {
        assert!(given.stdout.contains(kind), "{kind} is not in the text");
    }
}

#[test]
fn planted_values_are_not_in_the_spool() {
    let what = "planted values in the spool";
    let Some((calls, given)) = run(what, "json", Collector::Gone) else {
        return;
    };
    assert_private(&calls, "json, collector gone", &given);
    // Spans and findings wait in the state directory, as they would be sent: without compression.
    for written in ["url.template", "api_sensor.finding"] {
        let mut windows = given.state.windows(written.len());
        assert!(windows.any(|window| window == written.as_bytes()), "{written}");
    }
}
