//! Wireshark's captures of gRPC and gRPC-Web, call by call, with `tshark` as the oracle: method, length of each message
//! in each direction, and status.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sensor_tests::sources;
use sensor_user::capture::pcapng;
use sensor_user::capture::source::{Progress, RecordSource};
use sensor_user::exchange;
use sensor_user::exchange::call::{CallKind, CallOutcome};
use sensor_user::exchange::secret::HashKey;
use sensor_user::exchange::{Body, Exchange, Head};
use sensor_user::pipeline::{Settings, Shard};
use sensor_user::protocol::grpc::{Event, Media, Unframer};
use sensor_user::telemetry::Counters;

use crate::suite::Suite;

/// Ports of HTTP/2 in the captures, which tshark does not guess.
const HTTP2: [&str; 4] = ["50051", "50052", "57228", "44363"];
/// Of HTTP/1.
const HTTP1: [&str; 1] = ["57226"];

/// What both sides say about one call.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Said {
    method: String,
    to_server: Vec<u32>,
    to_client: Vec<u32>,
    /// `None` when the capture ends before it.
    status: Option<i64>,
}

/// Calls in the order they began, by the client's port and the number on the connection.
type Calls = BTreeMap<(u16, usize), Said>;

#[test]
fn wireshark_grpc() {
    let mut suite = Suite::open("grpc");
    let captures = match sources::debian_source("wireshark") {
        Ok(source) => source.join("test/captures"),
        Err(error) => return suite.absent(&format!("{error:#}")),
    };
    if Command::new("tshark").arg("--version").output().is_err() {
        return suite.absent("tshark is not installed (apt-get install tshark)");
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(captures)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("grpc"))
        .collect();
    files.sort_unstable();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let (oracle, ours) = (of_tshark(&file), of_ours(&file));
        for (key, said) in &oracle {
            let id = format!("{name} port {} call {}", key.0, key.1);
            let outcome = match ours.get(key) {
                Some(found) if found == said => Ok(()),
                found => Err(format!("tshark {said:?}, we {found:?}")),
            };
            suite.case(&id, outcome);
        }
        for (key, found) in ours.iter().filter(|(key, _)| !oracle.contains_key(key)) {
            suite.case(
                &format!("{name} port {} call {}", key.0, key.1),
                Err(format!("tshark has none, we {found:?}")),
            );
        }
        if oracle.is_empty() {
            // Nothing was told, and so nothing may be said.
            suite.case(&format!("{name} without a call"), Ok(()));
        }
    }
    suite.finish();
}

/// A capture without its compression.
fn unpacked(file: &Path) -> tempfile::NamedTempFile {
    let unpacked = tempfile::NamedTempFile::new().unwrap();
    let output = unpacked.reopen().unwrap();
    let mut gzip = Command::new("gzip");
    let status = gzip.arg("-dc").arg(file).stdout(output).status().unwrap();
    assert!(status.success(), "{}", file.display());
    unpacked
}

fn of_ours(file: &Path) -> Calls {
    let capture = unpacked(file);
    let mut shard = Shard::new(&Settings {
        exchange: exchange::Limits {
            // The longest call of the captures has 320 KB.
            body_bytes: 1 << 20,
            ..exchange::Limits::default()
        },
        ..Settings::new(HashKey::new([7; 32]), Arc::new(Counters::default()))
    });
    let mut reader = pcapng::open(capture.path()).unwrap_or_else(|error| panic!("{error}"));
    let (mut records, mut observed) = (Vec::new(), Vec::new());
    while reader
        .next_batch(&mut records)
        .unwrap_or_else(|error| panic!("{error}"))
        != Progress::Ended
    {}
    for record in records {
        shard.push(record, &mut observed);
    }
    shard.finish(&mut observed);
    let mut exchanges: Vec<Exchange> = observed.into_iter().map(|one| one.exchange).collect();
    exchanges.sort_by_key(|exchange| exchange.request.time_ns.0);
    let (mut calls, mut order) = (Calls::new(), BTreeMap::<u16, usize>::new());
    for exchange in &exchanges {
        let Some(call) = exchange.calls.first() else {
            continue;
        };
        if !matches!(call.kind, CallKind::Grpc | CallKind::GrpcWeb) {
            continue;
        }
        let ports = [exchange.connection.local, exchange.connection.remote]
            .map(|end| end.map_or(0, |(_, port)| port));
        let servers = HTTP2.iter().chain(&HTTP1);
        let is_server = |port: u16| servers.clone().any(|known| *known == port.to_string());
        let client = ports
            .into_iter()
            .find(|port| !is_server(*port))
            .unwrap_or_default();
        let number = order.entry(client).or_default();
        *number += 1;
        let response = exchange.outcome.response();
        let said = Said {
            method: String::from_utf8_lossy(call.name.expose()).into_owned(),
            to_server: lengths(&exchange.request.head, &exchange.request.body),
            to_client: response.map_or_else(Vec::new, |response| lengths(&response.head, &response.body)),
            status: match call.outcome {
                CallOutcome::Unknown => None,
                CallOutcome::Success => Some(0),
                CallOutcome::Failure(code) => Some(code),
            },
        };
        calls.insert((client, *number), said);
    }
    calls
}

/// Lengths of the messages that are whole, trailers in the body left out.
fn lengths(head: &Head, body: &Body) -> Vec<u32> {
    let mut lengths = Vec::new();
    let media = head
        .header("content-type")
        .and_then(|value| Media::of(value.expose()));
    let Some(media) = media else { return lengths };
    let mut unframer = Unframer::new(media.carrier);
    for piece in &body.pieces {
        let fed = unframer.feed(&piece.0, &mut |event| {
            if let Event::End(frame) = event
                && !frame.trailers
            {
                lengths.push(frame.length);
            }
        });
        assert!(fed.is_ok(), "a bad frame in a good capture");
    }
    lengths
}

/// One frame of tshark's with its fields.
struct Row<'a>(Vec<&'a str>);

const FIELDS: [&str; 9] = [
    "tcp.srcport",
    "tcp.dstport",
    "http2.streamid",
    "http2.header.name",
    "http2.header.value",
    "http.request.uri",
    "grpc.frame_type",
    "grpc.message_length",
    "grpc.message_data",
];

impl<'a> Row<'a> {
    fn field(&self, name: &str) -> &'a str {
        let at = FIELDS.iter().position(|field| *field == name).unwrap();
        self.0.get(at).copied().unwrap_or_default()
    }

    fn list(&self, name: &str) -> Vec<&'a str> {
        self.field(name)
            .split('\u{1f}')
            .filter(|part| !part.is_empty())
            .collect()
    }
}

fn of_tshark(file: &Path) -> Calls {
    let mut command = Command::new("tshark");
    command.args([
        "-n",
        "-2",
        "-o",
        "tcp.check_checksum:FALSE",
        "-T",
        "fields",
        "-E",
        "aggregator=\u{1f}",
    ]);
    for port in HTTP2 {
        command.args(["-d", &format!("tcp.port=={port},http2")]);
    }
    for port in HTTP1 {
        command.args(["-d", &format!("tcp.port=={port},http")]);
    }
    for field in FIELDS {
        command.args(["-e", field]);
    }
    command
        .args([
            "-Y",
            "grpc || http2.headers || http.request || http.response",
            "-r",
        ])
        .arg(file);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (mut calls, mut numbers) = (Calls::new(), BTreeMap::<(u16, String), usize>::new());
    for line in text.lines() {
        let row = Row(line.split('\t').collect());
        take(&row, &mut calls, &mut numbers);
    }
    calls
}

/// Adds what one frame of the capture says to its call.
fn take(row: &Row<'_>, calls: &mut Calls, numbers: &mut BTreeMap<(u16, String), usize>) {
    let servers = HTTP2.iter().chain(&HTTP1);
    let (from, to) = (row.field("tcp.srcport"), row.field("tcp.dstport"));
    let from_server = servers.clone().any(|known| *known == from);
    let client: u16 = if from_server { to } else { from }.parse().unwrap();
    // Stream 0 is the connection's own. Of HTTP/1 each request begins a call.
    let stream = row.list("http2.streamid").into_iter().rfind(|id| *id != "0");
    let uri = row.field("http.request.uri");
    let begun = numbers.iter().filter(|((port, _), _)| *port == client).count();
    let key = (client, stream.map_or_else(|| "http1".to_owned(), str::to_owned));
    let number = match numbers.get(&key) {
        Some(number) if uri.is_empty() => *number,
        Some(number) => number + 1,
        None => begun + 1,
    };
    numbers.insert(key, number);
    let said = calls.entry((client, number)).or_default();
    let names = row.list("http2.header.name");
    for (name, value) in names.iter().zip(row.list("http2.header.value")) {
        match *name {
            ":path" => value.trim_start_matches('/').clone_into(&mut said.method),
            "grpc-status" => said.status = value.parse().ok(),
            _ => {}
        }
    }
    if !uri.is_empty() {
        uri.trim_start_matches('/').clone_into(&mut said.method);
    }
    let (kinds, contents) = (row.list("grpc.frame_type"), row.list("grpc.message_data"));
    for (at, length) in row.list("grpc.message_length").into_iter().enumerate() {
        // gRPC-Web only: the second kind of frame holds trailers.
        if kinds.get(at) == Some(&"1") {
            let text = hex(contents.last().unwrap());
            let status = text.lines().find_map(|line| line.strip_prefix("grpc-status:"));
            said.status = status.and_then(|value| value.trim().parse().ok());
        } else if from_server {
            said.to_client.push(length.parse().unwrap());
        } else {
            said.to_server.push(length.parse().unwrap());
        }
    }
}

fn hex(digits: &str) -> String {
    let bytes = (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap());
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}
