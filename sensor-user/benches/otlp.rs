//! What it costs to make OTLP batches of events, beside parsing the exchanges that they are about, on one core.
//!
//! `cargo bench -p sensor-user --no-default-features --bench otlp` sends rounds of calls through the pipeline. Each call is
//! exported as a span, as a measurement, as both, and as a finding, which is far more than are ever found; medians of
//! the rounds, by turns, are records a second and the ratio to parsing in the same run. What is made waits in the queue
//! as batches: the receivers here read one request, which is compressed afterwards, and never answer.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops on a mistake and prints its result"
)]
#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are small")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "common/estate.rs"]
mod estate;
#[path = "common/stages.rs"]
mod stages;

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use sensor_user::capture::{Container, Runtime};
use sensor_user::classify::{Confidence, DataKind, Half, Label, Masked, Part, Place};
use sensor_user::config::{self, ByteSize, Compression, Interval, Protocol, Sampler, Signal};
use sensor_user::detect::{Evidence, Finding, RuleId, RuleMeta, Severity};
use sensor_user::exchange::Connection;
use sensor_user::export::json::JsonLines;
use sensor_user::export::otlp::Otlp;
use sensor_user::export::{ClockOffset, Event, Exporter, Summary};
use sensor_user::telemetry::receiver::Waiting;
use sensor_user::telemetry::{Accounts, Metric};

use stages::{CALLS, Round, STAGES, Stages};

/// Rounds before anything is measured.
const WARM: usize = 12;
/// Rounds that are measured.
const ROUNDS: usize = 31;
/// Room for everything that is made: nothing is taken.
const QUEUE: u64 = 1 << 30;
/// The request that a receiver reads is one of so many records.
const BATCH: f64 = 512.0;

static RULE: RuleMeta = RuleMeta {
    id: RuleId("API3-001"),
    title: "Sensitive data in a response",
    owasp_2019: "API3:2019 Excessive Data Exposure",
    owasp_2023: "API3:2023 Broken Object Property Level Authorization",
    cwe: 213,
    severity: Severity::High,
    needs: &[],
    evidence: &[],
    description: "",
    remedy: "Return only the properties that the client needs, and none that it may not see.",
};

/// An exporter, and what its receiver read.
struct Made {
    name: &'static str,
    exporter: Otlp,
    accounts: Accounts,
    request: Receiver<Vec<u8>>,
    times: Vec<Duration>,
}

impl Made {
    fn new(name: &'static str, signals: &[Signal]) -> Self {
        let (endpoint, request) = silent();
        let otlp = config::Otlp {
            endpoint: Some(endpoint),
            protocol: Protocol::HttpProtobuf,
            compression: Compression::None,
            queue_bytes: ByteSize(QUEUE),
            timeout: Interval(Duration::from_hours(1)),
            interval: Interval(Duration::from_hours(1)),
            sampler: Sampler::AlwaysOn,
            spans_per_second: u32::MAX,
            signals: signals.to_vec(),
            ..config::Otlp::default()
        };
        let accounts = Accounts::default();
        let exporter = Otlp::start(&otlp, None, &accounts, ClockOffset::RECORDED, &|_name| None).unwrap();
        Self {
            name,
            exporter,
            accounts,
            request,
            times: Vec::new(),
        }
    }

    fn export(&mut self, events: &[Arc<Event>]) -> Duration {
        let start = Instant::now();
        for event in events {
            self.exporter.export(event).unwrap();
        }
        start.elapsed()
    }

    /// Records that were made, and their bytes in batches.
    fn told(&self) -> (u64, u64) {
        assert_eq!(self.accounts.sensor.value(Metric::OtlpLostMemory), 0);
        let queues = [
            &self.accounts.receiver.logs.queue,
            &self.accounts.receiver.traces.queue,
        ];
        let records = queues.map(Waiting::records).iter().sum();
        (records, queues.map(Waiting::bytes).iter().sum())
    }
}

/// A receiver that reads a request and never answers.
fn silent() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (taken, request) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(listener.accept().unwrap().0);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        taken.send(body).unwrap();
        // The connection stays open.
        thread::park();
    });
    (endpoint, request)
}

/// Exchanges as a cluster has them: each connection's process is in a container.
fn contained(call: &mut Summary, known: &mut HashMap<u64, Arc<Connection>>) {
    let connection = known.entry(call.connection.stream.id).or_insert_with(|| {
        let mut connection = Connection::clone(&call.connection);
        let id = format!("{:064x}", connection.process.pid);
        connection.container = Some(Arc::new(Container {
            id: id.into(),
            pod: Some("1f0c9f6e-2a8b-4c5d-9e7f-0123456789ab".into()),
            runtime: Some(Runtime::Containerd),
        }));
        Arc::new(connection)
    });
    call.connection = Arc::clone(connection);
}

/// What would be found if something were in every exchange.
fn finding(call: &Summary) -> Event {
    let place = Place {
        half: Half::Response,
        part: Part::Body,
        name: "customer.bank.iban".into(),
    };
    let label = Label {
        kind: DataKind::Iban,
        place,
        confidence: Confidence(90),
        count: 1,
        sample: Masked("DE****************03".into()),
    };
    Event::Finding(Box::new(Finding {
        rule: &RULE,
        severity: Severity::High,
        confidence: Confidence(90),
        endpoint: Arc::clone(&call.endpoint),
        caller: call.caller.map(|(_, hash)| hash),
        process: call.connection.process,
        container: call.connection.container.clone(),
        pod: None,
        time_ns: call.time_ns,
        evidence: Evidence::Data(label),
        repeats: 0,
        partial: false,
        part: None,
        status: call.status,
    }))
}

fn main() {
    let mut stages = Stages::new();
    let mut known = HashMap::new();
    let mut made = [
        Made::new("spans", &[Signal::Traces]),
        Made::new("metrics", &[Signal::Metrics]),
        Made::new("spans, metrics", &[Signal::Traces, Signal::Metrics]),
        Made::new("findings", &[Signal::Logs]),
    ];
    let mut lines = JsonLines::new(std::io::sink(), ClockOffset::RECORDED);
    let (mut parsing, mut writing) = (Vec::new(), Vec::new());
    for number in 0..WARM + ROUNDS {
        let mut round = Round::new(&mut stages, number);
        let mut parse = Duration::ZERO;
        for stage in STAGES.iter().filter(|stage| stage.name != "judge") {
            let start = Instant::now();
            (stage.work)(&mut stages, &mut round);
            if matches!(stage.name, "heads" | "bodies") {
                parse += start.elapsed();
            }
        }
        let (mut calls, mut findings) = (Vec::new(), Vec::new());
        stages::told(&mut stages, &mut round, &mut |event| {
            if let Event::Exchange(mut call) = event {
                contained(&mut call, &mut known);
                findings.push(Arc::new(finding(&call)));
                calls.push(Arc::new(Event::Exchange(call)));
            }
        });
        round.check();
        let start = Instant::now();
        for event in &calls {
            lines.export(event).unwrap();
        }
        let written = start.elapsed();
        for made in &mut made {
            let took = made.export(if made.name == "findings" {
                &findings
            } else {
                &calls
            });
            made.times.extend((number >= WARM).then_some(took));
        }
        if number >= WARM {
            parsing.push(parse);
            writing.push(written);
        }
    }
    stages.check();
    print(&mut made, median(parsing), median(writing));
}

fn print(made: &mut [Made], parse: Duration, lines: Duration) {
    println!(
        "{:<16} {:>12} {:>10} {:>9}",
        "", "records/s", "ns each", "of parse"
    );
    told("parse", parse, parse);
    told("JSON lines", lines, parse);
    for Made { name, times, .. } in &mut *made {
        told(name, median(std::mem::take(times)), parse);
    }
    for made in &*made {
        sizes(made);
    }
    compressed(made);
}

fn told(name: &str, each: Duration, parse: Duration) {
    let seconds = each.as_secs_f64();
    println!(
        "{name:<16} {:>12.0} {:>10.0} {:>9.2}",
        CALLS as f64 / seconds,
        seconds * 1e9 / CALLS as f64,
        seconds / parse.as_secs_f64(),
    );
}

fn sizes(made: &Made) {
    let (records, bytes) = made.told();
    if records > 0 {
        let expected = (CALLS * (WARM + ROUNDS)) as u64;
        assert_eq!(records, expected, "{}", made.name);
        println!(
            "{}: {:.0} bytes a record",
            made.name,
            bytes as f64 / records as f64
        );
    }
}

/// The batches that the receivers read, by level of gzip: 1 is what the sensor uses.
fn compressed(made: &[Made]) {
    for made in made
        .iter()
        .filter(|made| matches!(made.name, "spans" | "findings"))
    {
        let request = made.request.recv().unwrap();
        for level in [1, 6] {
            let mut times = Vec::new();
            let mut small = 0;
            for _ in 0..ROUNDS {
                let start = Instant::now();
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::new(level));
                encoder.write_all(black_box(&request)).unwrap();
                small = encoder.finish().unwrap().len();
                times.push(start.elapsed());
            }
            println!(
                "gzip {level} of {}: {:.0} records/s, {} bytes to {small}",
                made.name,
                BATCH / median(times).as_secs_f64(),
                request.len()
            );
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap()
}
