//! Rows: what each is, how it is measured, and the line it prints.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use sensor_common::counter::Counter;
use sensor_tests::clients::Call;
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Certificate, PythonApi, Transport};
use sensor_tests::{Guard, PrivateTls, payload};
use sensor_user::capture::kernel::Options;
use sensor_user::exchange::Body;
use sensor_user::pipeline::Observed;
use tempfile::TempDir;

use crate::others::{self, Seen};
use crate::watch::{Watch, bytes, options};
use crate::{clients, opaque, servers, workerd};

/// Both sides of a TLS record and of a page, and several records.
pub(crate) const LENGTHS: [usize; 3] = [1, 16_385, 100_000];

/// What every row has at hand.
pub(crate) struct Bench {
    pub(crate) tls: PrivateTls,
    /// The echo API, over TLS for clients and plain behind proxies.
    pub(crate) api: PythonApi,
    pub(crate) backend: PythonApi,
    pub(crate) certificate: Certificate,
    pub(crate) directory: TempDir,
}

/// A program of the matrix.
pub(crate) struct Row {
    /// Program, as people call it.
    pub(crate) runtime: &'static str,
    /// Its TLS implementation.
    pub(crate) stack: &'static str,
    pub(crate) kind: Kind,
}

/// How a row is run.
pub(crate) enum Kind {
    /// Command line of one call; the sensor is told the file to probe.
    Client(fn(&Bench, &Call, &str) -> Result<Launch>),
    /// A running server that answers `/echo` as the API does.
    Server(fn(&Bench) -> Result<Server>),
}

/// A client ready to start.
pub(crate) struct Launch {
    pub(crate) command: Command,
    /// File to probe in advance.
    pub(crate) library: PathBuf,
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) guard: Guard,
    pub(crate) port: u16,
    pub(crate) library: PathBuf,
}

/// What was found for a row.
#[derive(Default)]
pub(crate) struct Found {
    bodies: usize,
    peers: usize,
    evidence: Vec<&'static str>,
}

#[test]
#[ignore = "the matrix, run by cargo xtask coverage"]
fn matrix() {
    if !crate::watch::able("coverage", &[Program::Python, Program::Openssl, Program::Curl]) {
        return;
    }
    let bench = Bench::new().unwrap();
    let rows: Vec<Line> = rows().filter(Line::is_wanted).collect();
    let mut failed = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let name = row.name();
        println!("MEASURING {} of {}: {name}", number + 1, rows.len());
        match (row.measure)(&bench) {
            Ok(seen) => println!("COVERAGE {}", row.line(&seen)),
            Err(error) if is_absence(&error) => programs::skipped(&name, &error),
            Err(error) => {
                println!("COVERAGE FAILED {name}: {error:#}");
                failed.push(name);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Runs the program of a row.
type Measure = Box<dyn Fn(&Bench) -> Result<Seen>>;

/// A row of the table, whatever its kind.
struct Line {
    runtime: &'static str,
    stack: &'static str,
    role: &'static str,
    measure: Measure,
}

/// Every row, in the order of the table.
fn rows() -> impl Iterator<Item = Line> {
    let own = clients::ROWS
        .iter()
        .chain(clients::OTHER_ROWS)
        .chain(servers::ROWS)
        .chain(workerd::ROWS);
    let own = own.map(|row| Line {
        runtime: row.runtime,
        stack: row.stack,
        role: match row.kind {
            Kind::Client(_) => "client",
            Kind::Server(_) => "server",
        },
        measure: Box::new(|bench| measure(row, bench).map(Seen::Captured)),
    });
    let others = others::ROWS.iter().chain(opaque::ROWS);
    own.chain(others.map(|other| Line {
        runtime: other.runtime,
        stack: other.stack,
        role: other.role,
        measure: Box::new(other.measure),
    }))
}

impl Line {
    fn name(&self) -> String {
        format!("{} {} {}", self.runtime, self.stack, self.role)
    }

    /// Whoever works on some rows names them, by parts of their names between commas; the table needs all of them.
    fn is_wanted(&self) -> bool {
        let name = self.name();
        std::env::var("SENSOR_TEST_ROWS")
            .map_or(true, |parts| parts.split(',').any(|part| name.contains(part)))
    }

    fn line(&self, seen: &Seen) -> serde_json::Value {
        let (bytes, peer, evidence) = match seen {
            Seen::Captured(found) => found.words(),
            Seen::Opaque(reason) => (format!("opaque: {reason}"), "-", "-".to_owned()),
        };
        serde_json::json!({
            "runtime": self.runtime,
            "stack": self.stack,
            "role": self.role,
            "bytes": bytes,
            "peer": peer,
            "evidence": evidence,
        })
    }
}

/// Whether a row could not be measured because its program is not on this machine.
fn is_absence(error: &anyhow::Error) -> bool {
    error.downcast_ref::<programs::Absent>().is_some() || error.downcast_ref::<others::NotHere>().is_some()
}

impl Found {
    /// Bytes, peer and evidence.
    fn words(&self) -> (String, &'static str, String) {
        let mut evidence = self.evidence.clone();
        evidence.sort_unstable();
        evidence.dedup();
        let bytes = if self.bodies == LENGTHS.len() {
            "exact"
        } else {
            "missing"
        };
        let peer = if self.peers == LENGTHS.len() {
            "right"
        } else {
            "unknown"
        };
        (bytes.to_owned(), peer, evidence.join(", "))
    }
}

impl Bench {
    fn new() -> Result<Self> {
        let tls = PrivateTls::new()?;
        let directory = TempDir::with_prefix("api-sensor-coverage-")?;
        Ok(Self {
            api: PythonApi::start(&tls, Transport::Tls)?,
            backend: PythonApi::start(&tls, Transport::Plain)?,
            certificate: Certificate::create(directory.path())?,
            directory,
            tls,
        })
    }

    /// A private copy of a program, made once.
    pub(crate) fn copy_of(&self, path: &str) -> Result<PathBuf> {
        let copy = self
            .directory
            .path()
            .join(path.trim_start_matches('/').replace('/', "-"));
        if !copy.exists() {
            std::fs::copy(path, &copy).with_context(|| format!("cannot copy {path}"))?;
        }
        Ok(copy)
    }
}

fn measure(row: &Row, bench: &Bench) -> Result<Found> {
    match row.kind {
        Kind::Client(launch) => measure_client(launch, bench),
        Kind::Server(start) => measure_server(start, bench),
    }
}

fn measure_client(launch: fn(&Bench, &Call, &str) -> Result<Launch>, bench: &Bench) -> Result<Found> {
    let mut found = Found::default();
    for length in LENGTHS {
        let sent = payload::body(11, length);
        let path = format!("/echo?seed=5&length={length}");
        let url = Transport::Tls.url(bench.api.port(), &path);
        let call = Call::new("POST", &url, &sent)?;
        let Launch { command, library } = launch(bench, &call, &url)?;
        let held = Held::new(&command)?;
        let pid = held.pid();
        let mut watch = start(bench, vec![pid], library)?;
        let output = watch.follow(held.release()?);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the client failed: {errors}");
        ensure!(
            call.received()? == payload::body(5, length),
            "the client received something else"
        );
        let port = bench.api.port();
        judge(
            &mut found,
            watch,
            &path,
            &sent,
            &payload::body(5, length),
            |observed| {
                observed
                    .exchange
                    .connection
                    .remote
                    .map(|(_, remote)| remote == port)
            },
        )?;
    }
    Ok(found)
}

fn measure_server(start_server: fn(&Bench) -> Result<Server>, bench: &Bench) -> Result<Found> {
    let server = start_server(bench)?;
    let mut found = Found::default();
    for length in LENGTHS {
        let mut pids = server.guard.children()?;
        pids.push(server.guard.pid());
        let watch = start(bench, pids, server.library.clone())?;
        let sent = payload::body(11, length);
        let path = format!("/echo?seed=5&length={length}");
        let call = Call::new("POST", &Transport::Tls.url(server.port, &path), &sent)?;
        let mut curl = call.curl(&bench.tls)?;
        curl.args(["--write-out", "%{local_port}"]);
        let mut watch = watch;
        let output = watch.follow(Held::new(&curl)?.release()?);
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "curl failed: {errors}");
        ensure!(
            call.received()? == payload::body(5, length),
            "curl received something else"
        );
        let client: u16 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
        judge(
            &mut found,
            watch,
            &path,
            &sent,
            &payload::body(5, length),
            |observed| {
                observed
                    .exchange
                    .connection
                    .remote
                    .map(|(_, remote)| remote == client)
            },
        )?;
    }
    Ok(found)
}

fn start(bench: &Bench, pids: Vec<u32>, library: PathBuf) -> Result<Watch> {
    start_with(bench, pids, vec![library])
}

/// Watches processes, and these files in advance.
pub(crate) fn start_with(bench: &Bench, pids: Vec<u32>, libraries: Vec<PathBuf>) -> Result<Watch> {
    let chosen = Options {
        libraries,
        pids,
        ..options(&bench.tls, &[])
    };
    Watch::start("coverage", &chosen).context("the sensor does not start")
}

/// Ends the watch and takes the one call into account.
fn judge(
    found: &mut Found,
    mut watch: Watch,
    path: &str,
    request: &[u8],
    response: &[u8],
    is_peer: impl Fn(&Observed) -> Option<bool>,
) -> Result<()> {
    watch.settle();
    let calls = watch.counter(Counter::TlsCalls);
    let observed = watch.stop();
    take(found, &observed, path, request, response, is_peer)
        .with_context(|| format!("{calls} TLS calls were seen"))
}

/// Takes one call into account. What was seen must be right; that something was not seen is a figure of the matrix.
pub(crate) fn take(
    found: &mut Found,
    observed: &[Observed],
    path: &str,
    request: &[u8],
    response: &[u8],
    is_peer: impl Fn(&Observed) -> Option<bool>,
) -> Result<()> {
    let mine = |one: &&Observed| {
        one.exchange.connection.tls && one.exchange.request.target().expose() == path.as_bytes()
    };
    let seen: Vec<&Observed> = observed.iter().filter(mine).collect();
    let [one] = seen.as_slice() else {
        bail!("{} exchanges of {path} were seen", seen.len());
    };
    let same = |body: &Body, expected: &[u8]| {
        body.is_whole()
            && body.total == expected.len() as u64
            && blake3::hash(&bytes(body)) == blake3::hash(expected)
    };
    let answer = one.exchange.outcome.response().context("no answer was seen")?;
    ensure!(
        same(&one.exchange.request.body, request),
        "the request differs: {:?}",
        one.exchange.request.body
    );
    ensure!(
        same(&answer.body, response),
        "the answer differs: {:?}",
        answer.body
    );
    found.bodies += 1;
    let connection = &one.exchange.connection;
    match is_peer(one) {
        Some(true) => found.peers += 1,
        Some(false) => bail!("a wrong peer: {connection:?}"),
        None => {}
    }
    found
        .evidence
        .push(connection.evidence.map_or("unknown", |evidence| evidence.name()));
    Ok(())
}
