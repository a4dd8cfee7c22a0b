use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::*;
use crate::capture::Role;
use crate::config::{ByteSize, Compression, Protocol};
use crate::exchange::trace::TraceContext;
use crate::export::sample;

/// Paths and bodies.
type Taken = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A receiver that answers as it is told to: no real one can be made to refuse, or to say when to come back.
struct Receiver {
    address: SocketAddr,
    taken: Taken,
}

impl Receiver {
    /// Answers the first requests with these heads, all others with success.
    fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Taken::default();
        let kept = Arc::clone(&taken);
        thread::spawn(move || {
            let mut answers = answers.iter();
            // One connection at a time: the sender has one.
            for connection in listener.incoming().flatten() {
                serve(connection, &mut answers, &kept);
            }
        });
        Self { address, taken }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn requests<M: prost::Message + Default>(&self, path: &str) -> Vec<M> {
        let taken = self.taken.lock().unwrap();
        let of = taken.iter().filter(|(known, _)| known == path);
        of.map(|(_, body)| M::decode(body.as_slice()).unwrap()).collect()
    }

    /// Attribute of each log record.
    fn logged(&self, name: &str) -> Vec<String> {
        let requests: Vec<ExportLogsServiceRequest> = self.requests("/v1/logs");
        let records = requests
            .iter()
            .flat_map(|request| &request.resource_logs)
            .flat_map(|logs| &logs.scope_logs)
            .flat_map(|logs| &logs.log_records);
        records
            .filter_map(|record| text(&record.attributes, name))
            .collect()
    }

    fn spans(&self) -> Vec<Span> {
        let requests: Vec<ExportTraceServiceRequest> = self.requests("/v1/traces");
        let spans = requests
            .iter()
            .flat_map(|request| &request.resource_spans)
            .flat_map(|spans| &spans.scope_spans)
            .flat_map(|spans| &spans.spans);
        spans.cloned().collect()
    }
}

/// Answers the requests of one connection until it ends.
#[expect(
    clippy::disallowed_types,
    reason = "what the sensor itself wrote is read back"
)]
fn serve<'a>(mut connection: TcpStream, answers: &mut impl Iterator<Item = &'a &'static str>, kept: &Taken) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    loop {
        let (mut path, mut length, mut gzip) = (String::new(), 0, false);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim().to_ascii_lowercase();
            if let Some(rest) = line.strip_prefix("post ") {
                path = rest.split(' ').next().unwrap_or_default().to_owned();
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            } else if line == "content-encoding: gzip" {
                gzip = true;
            } else if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let answer = answers.next().copied().unwrap_or("200 OK");
        if gzip {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(body.as_slice())
                .read_to_end(&mut plain)
                .unwrap();
            body = plain;
        }
        if answer.starts_with("200") {
            kept.lock().unwrap().push((path, body));
        }
        let written = write!(connection, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
        if written.is_err() {
            return;
        }
    }
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

/// A port at which nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn settings(endpoint: String, protocol: Protocol) -> config::Otlp {
    config::Otlp {
        endpoint: Some(endpoint),
        protocol,
        ..config::Otlp::default()
    }
}

fn start(otlp: &config::Otlp, state: Option<&Path>, accounts: &Accounts) -> Otlp {
    Otlp::start(otlp, state, accounts, ClockOffset::RECORDED, &|_name| None).unwrap()
}

/// As many findings, each told apart by its time.
fn tell(exporter: &mut Otlp, count: u64) {
    let [finding, ..] = sample::findings();
    for number in 0..count {
        let mut finding = finding.clone();
        finding.time_ns += number;
        exporter
            .export(&Arc::new(Event::Finding(Box::new(finding))))
            .unwrap();
    }
}

/// What became of records, by reason.
fn fates(accounts: &Accounts) -> BTreeMap<&'static str, u64> {
    let fates = [
        Metric::OtlpSent,
        Metric::OtlpRefused,
        Metric::OtlpLostMemory,
        Metric::OtlpLostSpool,
        Metric::OtlpLostDamaged,
        Metric::OtlpLostStop,
    ];
    let counted = fates.map(|fate| (fate.name(), accounts.sensor.value(fate)));
    counted.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn what_no_receiver_takes_is_counted_over_both_transports() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let accounts = Accounts::default();
        let otlp = config::Otlp {
            queue_bytes: ByteSize(1 << 20),
            ..settings(format!("http://127.0.0.1:{}", closed_port()), protocol)
        };
        let mut exporter = start(&otlp, None, &accounts);
        tell(&mut exporter, 3_000);
        exporter.finish();
        let fates = fates(&accounts);
        assert_eq!(fates.values().sum::<u64>(), 3_000, "{protocol:?} {fates:?}");
        assert!(
            fates["otlp_lost_memory"] > 0 && fates["otlp_lost_stop"] > 0,
            "{fates:?}"
        );
        assert!(accounts.sensor.value(Metric::OtlpRetries) > 0);
    }
}

#[test]
fn what_waits_on_disk_is_sent_by_the_next_run() {
    let directory = tempfile::tempdir().unwrap();
    let accounts = Accounts::default();
    let otlp = settings(
        format!("http://127.0.0.1:{}", closed_port()),
        Protocol::HttpProtobuf,
    );
    let mut exporter = start(&otlp, Some(directory.path()), &accounts);
    tell(&mut exporter, 1_500);
    exporter.finish();
    drop(exporter);
    assert_eq!(fates(&accounts), BTreeMap::new(), "all of them wait");
    assert_eq!(accounts.sensor.value(Metric::OtlpSpooled), 1_500);

    let receiver = Receiver::start(&[]);
    let accounts = Accounts::default();
    let otlp = settings(receiver.endpoint(), Protocol::HttpProtobuf);
    let mut exporter = start(&otlp, Some(directory.path()), &accounts);
    assert_eq!(accounts.sensor.value(Metric::OtlpRecovered), 1_500);
    wait(|| accounts.sensor.value(Metric::OtlpSent) == 1_500);
    exporter.finish();
    let ids: BTreeSet<_> = receiver.logged("log.record.uid").into_iter().collect();
    assert_eq!(ids.len(), 1_500);
}

fn wait(mut done: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if done() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("not within 10 s");
}

#[test]
fn what_a_receiver_cannot_take_now_is_sent_again_and_what_it_refuses_is_not() {
    let again = &[
        "503 Service Unavailable",
        "429 Too Many\r\nretry-after: 0",
        "502 Bad Gateway",
    ];
    for (answers, fate) in [
        (again.as_slice(), "otlp_sent"),
        (&["400 Bad Request"; 9], "otlp_refused"),
    ] {
        let receiver = Receiver::start(answers);
        let accounts = Accounts::default();
        let otlp = config::Otlp {
            signals: vec![Signal::Logs],
            ..settings(receiver.endpoint(), Protocol::HttpProtobuf)
        };
        let mut exporter = start(&otlp, None, &accounts);
        tell(&mut exporter, 100);
        wait(|| !fates(&accounts).is_empty());
        exporter.finish();
        assert_eq!(fates(&accounts), BTreeMap::from([(fate, 100)]));
        let taken = if fate == "otlp_sent" { 100 } else { 0 };
        assert_eq!(receiver.logged("log.record.uid").len(), taken);
    }
}

#[test]
fn a_finding_is_in_the_span_of_its_exchange_and_that_in_its_trace() {
    let receiver = Receiver::start(&[]);
    let accounts = Accounts::default();
    let otlp = config::Otlp {
        sampler: config::Sampler::AlwaysOff,
        compression: Compression::None,
        ..settings(receiver.endpoint(), Protocol::HttpProtobuf)
    };
    let mut exporter = start(&otlp, None, &accounts);
    let context = TraceContext {
        trace: [7; 16],
        parent: [1; 8],
        sampled: false,
    };
    let mut call = sample::summary(Role::Server);
    exporter.export(&Arc::new(Event::Exchange(call.clone()))).unwrap();
    call.trace = Some(context);
    exporter.export(&Arc::new(Event::Exchange(call.clone()))).unwrap();
    let [mut finding, ..] = sample::findings();
    finding.endpoint = Arc::clone(&call.endpoint);
    for _ in 0..2 {
        finding.time_ns += 1;
        exporter
            .export(&Arc::new(Event::Finding(Box::new(finding.clone()))))
            .unwrap();
    }
    exporter.finish();
    let [span] = receiver.spans().try_into().unwrap();
    assert_eq!(
        (span.trace_id.as_slice(), span.parent_span_id.as_slice()),
        ([7; 16].as_slice(), [1; 8].as_slice())
    );
    assert_eq!(span.name, "GET /users/{id}");
    assert_eq!(
        (span.kind, span.end_time_unix_nano - span.start_time_unix_nano),
        (2, 12_345_678)
    );
    assert_eq!(text(&span.attributes, "http.route").unwrap(), "/users/{id}");
    let requests: Vec<ExportLogsServiceRequest> = receiver.requests("/v1/logs");
    let [request] = requests.try_into().unwrap();
    let records = &request.resource_logs[0].scope_logs[0].log_records;
    assert_eq!(records.len(), 2);
    for record in records {
        assert_eq!(
            (&record.trace_id, &record.span_id),
            (&span.trace_id, &span.span_id)
        );
        assert_eq!(record.event_name, FINDING_EVENT);
    }
    assert_eq!(accounts.sensor.value(Metric::SpansLeftOut), 2);
    let metrics: Vec<ExportMetricsServiceRequest> = receiver.requests("/v1/metrics");
    let names = metrics
        .iter()
        .flat_map(|request| &request.resource_metrics)
        .flat_map(|metrics| &metrics.scope_metrics)
        .flat_map(|metrics| metrics.metrics.iter().map(|metric| metric.name.as_str()));
    assert!(
        names
            .into_iter()
            .any(|name| name == "http.server.request.duration")
    );
}

#[test]
fn what_tls_needs_is_named_when_it_does_not_fit() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "planted").unwrap();
    let otlp = config::Otlp {
        ca_file: Some(file.path().to_owned()),
        ..settings("https://127.0.0.1:4317".to_owned(), Protocol::Grpc)
    };
    let error = Otlp::start(
        &otlp,
        None,
        &Accounts::default(),
        ClockOffset::RECORDED,
        &|_name| None,
    )
    .unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("no certificate in it") && !said.contains("planted"),
        "{said}"
    );
}
