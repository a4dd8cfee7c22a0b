//! What the second receiver gets, held against JSON lines; and what becomes of records when it is killed under load.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sensor_tests::programs;
use sensor_tests::servers::Certificate;
use sensor_tests::wait::{self, Deadline};
use sensor_user::capture::Role;
use sensor_user::config::{self, ByteSize, Protocol};
use sensor_user::export::ClockOffset;
use sensor_user::export::json::JsonLines;
use sensor_user::export::sink::{Filter, Sink};
use sensor_user::telemetry::contact::Contact;
use sensor_user::telemetry::receiver::now_s;
use sensor_user::telemetry::{Accounts, Metric};
use serde_json::Value as Json;

use super::reader::Reader;
use crate::{exchange, finding, settings, start};

/// The receiver, or why not.
fn reader(what: &str, tls: bool) -> Option<Reader> {
    let started = Reader::start(tls);
    started
        .inspect_err(|error| programs::skipped(&format!("otlp {what}"), &format!("{error:#}")))
        .ok()
}

/// JSON lines, kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    /// Fields of the events of a type, but for those that every line has.
    fn lines(&self, kind: &str) -> Vec<Json> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Json>(line).unwrap());
        let mut of_kind: Vec<_> = lines.filter(|line| line["type"] == kind).collect();
        for line in &mut of_kind {
            let fields = line.as_object_mut().unwrap();
            fields.retain(|name, _| !matches!(name.as_str(), "type" | "time" | "duration"));
        }
        of_kind
    }
}

fn attributes(records: &[Json]) -> Vec<Json> {
    let attributes = records.iter().map(|record| {
        let mut attributes = record["attributes"].clone();
        attributes
            .as_object_mut()
            .unwrap()
            .retain(|name, _| name != "error.type");
        attributes
    });
    attributes.collect()
}

#[test]
fn a_second_reader_agrees_with_json_lines_over_mutual_tls() {
    let Some(reader) = reader("second reader", true) else {
        return;
    };
    let Some(Certificate { certificate, key }) = reader.certificate() else {
        panic!("it was asked for")
    };
    let accounts = Accounts::default();
    let otlp = config::Otlp {
        ca_file: Some(certificate.clone()),
        client_certificate_file: Some(certificate.clone()),
        client_key_file: Some(key.clone()),
        ..settings(format!("https://localhost:{}", reader.port), Protocol::Grpc)
    };
    let lines = Kept::default();
    let mut sink = Sink::new(Filter::default(), Arc::clone(&accounts.sensor));
    sink.add(start(&otlp, None, &accounts), 4_096).unwrap();
    sink.add(JsonLines::new(lines.clone(), ClockOffset::RECORDED), 4_096)
        .unwrap();
    for number in 0..300 {
        sink.send(exchange(
            if number % 2 == 0 {
                Role::Server
            } else {
                Role::Client
            },
            Some(1_000),
        ));
        sink.send(finding(number));
    }
    sink.finish();
    let (logs, spans) = (reader.records("logs").unwrap(), reader.records("traces").unwrap());
    assert_eq!(attributes(&logs), lines.lines("finding"));
    assert_eq!(attributes(&spans), lines.lines("exchange"));
    let by_id: BTreeMap<_, _> = spans
        .iter()
        .map(|span| (span["span"].as_str().unwrap(), span))
        .collect();
    assert_eq!(by_id.len(), 300, "each span has an identifier of its own");
    for log in &logs {
        let span = by_id[log["span"].as_str().unwrap()];
        assert_eq!(
            (&log["trace"], &span["scope"]),
            (&span["trace"], &Json::from("api-sensor"))
        );
    }
    let names: BTreeSet<_> = reader
        .records("metrics")
        .unwrap()
        .iter()
        .map(|metric| metric["name"].to_string())
        .collect();
    assert!(
        names.contains("\"http.server.request.duration\"") && names.contains("\"api_sensor.otlp_sent\""),
        "{names:?}"
    );
    turned_away(&reader, otlp.clone());
    replaced(&reader, otlp);
}

/// Whoever does not show a certificate is turned away, and nothing is lost without being counted.
fn turned_away(reader: &Reader, mut otlp: config::Otlp) {
    (otlp.client_certificate_file, otlp.client_key_file) = (None, None);
    let accounts = Accounts::default();
    let mut sink = Sink::new(Filter::default(), Arc::clone(&accounts.sensor));
    sink.add(start(&otlp, None, &accounts), 64).unwrap();
    sink.send(finding(0));
    sink.finish();
    assert_eq!(reader.records("logs").unwrap().len(), 300);
    assert_eq!(accounts.sensor.value(Metric::OtlpLostStop), 1);
}

/// A certificate that the receiver does not trust is replaced, in its file, by one that it does: nobody restarts the sensor.
fn replaced(reader: &Reader, mut otlp: config::Otlp) {
    let trusted = reader.certificate().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let own = Certificate::create(directory.path()).unwrap();
    otlp.client_certificate_file = Some(own.certificate.clone());
    otlp.client_key_file = Some(own.key.clone());
    let accounts = Accounts::default();
    let mut sink = Sink::new(Filter::default(), Arc::clone(&accounts.sensor));
    sink.add(start(&otlp, None, &accounts), 64).unwrap();
    sink.send(finding(0));
    let deadline = || Deadline::after(Duration::from_secs(30));
    wait::until("the refusal", deadline(), || {
        Ok((accounts.sensor.value(Metric::OtlpRetries) > 0).then_some(()))
    })
    .unwrap();
    // One after the other, as files are replaced: a certificate without its key is not used.
    std::fs::copy(&trusted.certificate, &own.certificate).unwrap();
    std::fs::copy(&trusted.key, &own.key).unwrap();
    wait::until("the finding", deadline(), || {
        Ok((accounts.sensor.value(Metric::OtlpSent) == 1).then_some(()))
    })
    .unwrap();
    sink.finish();
    assert_eq!(reader.records("logs").unwrap().len(), 301);
}

/// Bytes of the files below a directory.
fn size(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.len(),
        // The sender removed it meanwhile.
        Err(_) => 0,
    });
    sizes.sum()
}

/// What the gauges said at most, and what of the receiver.
#[derive(Default, Debug)]
struct Told {
    bytes: u64,
    records: u64,
    age_s: u64,
    contacts: BTreeSet<bool>,
}

impl Told {
    fn look(&mut self, accounts: &Accounts) {
        let logs = &accounts.receiver.logs;
        self.bytes = self.bytes.max(logs.spool.bytes());
        self.records = self.records.max(logs.spool.records());
        self.age_s = self.age_s.max(logs.spool.age_s(now_s()));
        if logs.line.contact() != Contact::Starting {
            self.contacts.insert(logs.line.contact() == Contact::InTouch);
        }
    }

    /// They rose with the spool, and fell when all of it was sent.
    fn check(&self, accounts: &Accounts, most: u64) {
        let spooled = accounts.sensor.value(Metric::OtlpSpooled);
        assert!(self.bytes > 0 && self.bytes <= most, "{self:?}");
        assert!(self.records > 0 && self.records <= spooled, "{self:?}");
        // The receiver was gone for a second at a time, and what waits for it is older than that.
        assert!((1..60).contains(&self.age_s), "{self:?}");
        assert_eq!(self.contacts.len(), 2, "it was away, and back: {self:?}");
        let logs = &accounts.receiver.logs;
        for waiting in [&logs.queue, &logs.spool] {
            let all = (waiting.bytes(), waiting.records(), waiting.age_s(now_s()));
            assert_eq!(all, (0, 0, 0));
        }
        assert_eq!(logs.line.contact(), Contact::InTouch);
    }
}

#[test]
fn a_receiver_that_is_killed_under_load_gets_every_finding_at_least_once() {
    const ROUNDS: usize = 60;
    const EACH: usize = 50;
    let Some(mut reader) = reader("kill", false) else {
        return;
    };
    let state = tempfile::tempdir().unwrap();
    let accounts = Accounts::default();
    let otlp = config::Otlp {
        spool_bytes: ByteSize(8 << 20),
        timeout: config::Interval(Duration::from_secs(2)),
        ..settings(format!("http://127.0.0.1:{}", reader.port), Protocol::Grpc)
    };
    let mut sink = Sink::new(Filter::default(), Arc::clone(&accounts.sensor));
    sink.add(start(&otlp, Some(state.path()), &accounts), 65_536)
        .unwrap();
    let (mut most, mut told) = (0, Told::default());
    for round in 0..ROUNDS {
        // Killed with requests under way, gone for a while, back at the same port: three times.
        match round % 20 {
            5 => reader.kill().unwrap(),
            15 => reader.again().unwrap(),
            _ => {}
        }
        for number in 0..EACH {
            sink.send(finding(round * EACH + number));
        }
        std::thread::sleep(Duration::from_millis(100));
        most = most.max(size(state.path()));
        told.look(&accounts);
    }
    let all = (ROUNDS * EACH) as u64;
    let sent = || accounts.sensor.value(Metric::OtlpSent);
    let everything = wait::until("every record", Deadline::after(Duration::from_mins(1)), || {
        Ok((sent() >= all).then_some(()))
    });
    // On a busy machine it may be back only now.
    told.look(&accounts);
    sink.finish();
    let records = reader.records("logs").unwrap();
    let ids: BTreeSet<_> = records
        .iter()
        .map(|record| record["attributes"]["log.record.uid"].to_string())
        .collect();
    let spooled = accounts.sensor.value(Metric::OtlpSpooled);
    println!(
        "kill: {all} findings, {} arrived, {} twice, {spooled} by the spool, which had {most} bytes at most",
        ids.len(),
        records.len() - ids.len(),
    );
    everything.unwrap();
    assert_eq!((ids.len() as u64, sent()), (all, all));
    assert!(spooled > 0, "the receiver was gone");
    assert!(most <= 8 << 20, "the spool is bounded");
    told.check(&accounts, most);
    let lost = [
        Metric::ExportDropped,
        Metric::OtlpLostMemory,
        Metric::OtlpLostSpool,
        Metric::OtlpLostStop,
    ];
    assert_eq!(lost.map(|metric| accounts.sensor.value(metric)), [0; 4]);
}
