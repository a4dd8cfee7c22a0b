//! `/metrics` in the Prometheus text format, `/healthz` and `/readyz`.
//!
//! Takes events (as an [`Exporter`]) and the sensor's accounts. Gives two pages over HTTP. Never holds more series than
//! [`MOST`] and a fixed number more.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sensor_common::counter::Counter;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::series::{DURATION_BOUNDS, Labels, MESSAGES, MOST, Series};
use super::{Event, Exporter, Summary, field, gauges, processes, wording};
use crate::classify::{DataKind, Half};
use crate::detect::Severity;
use crate::telemetry::health::State;
use crate::telemetry::{Accounts, Metric};

/// Connections served at once: a scraper uses one.
const CONNECTIONS: usize = 16;
/// Time a peer has for its request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The series that come from events.
#[derive(Debug)]
struct Table {
    series: Series<Labels>,
    durations: BTreeMap<Labels, Histogram>,
    unanswered: BTreeMap<Labels, u64>,
    parts: BTreeMap<Labels, u64>,
    data: BTreeMap<(Half, DataKind), u64>,
    findings: BTreeMap<(&'static str, Severity), u64>,
}

#[derive(Default, Debug)]
struct Histogram {
    /// Calls per bucket, the last without upper bound.
    buckets: [u64; DURATION_BOUNDS.len() + 1],
    sum_ns: u64,
}

/// Everything that is shown.
#[derive(Clone, Debug)]
pub struct Prometheus {
    table: Arc<Mutex<Table>>,
    accounts: Accounts,
}

impl Prometheus {
    /// Without series.
    pub fn new(accounts: Accounts) -> Self {
        let table = Table {
            series: Series::new(MOST),
            durations: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            parts: BTreeMap::new(),
            data: BTreeMap::new(),
            findings: BTreeMap::new(),
        };
        Self {
            table: Arc::new(Mutex::new(table)),
            accounts,
        }
    }

    /// Listens, and serves on the runtime until it ends. Gives the address, which tells the port when 0 was asked for.
    pub fn serve(&self, address: SocketAddr, runtime: &Handle) -> io::Result<SocketAddr> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener)?
        };
        runtime.spawn(accept(listener, self.clone()));
        Ok(bound)
    }

    /// The page `/metrics`.
    pub fn page(&self) -> String {
        let mut page = String::new();
        for metric in Metric::ALL {
            let name = format!("api_sensor_{}_total", metric.name());
            counter(
                &mut page,
                &name,
                metric.help(),
                self.accounts.sensor.value(*metric),
            );
        }
        for kernel in Counter::ALL {
            let name = format!("api_sensor_kernel_{}_total", kernel.name());
            counter(
                &mut page,
                &name,
                kernel.help(),
                self.accounts.kernel.value(*kernel),
            );
        }
        self.suppressed(&mut page);
        processes::write(&mut page, &self.accounts);
        gauges::write(&mut page, &self.accounts);
        self.table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(&mut page);
        page
    }
}

impl Prometheus {
    fn suppressed(&self, page: &mut String) {
        let name = "api_sensor_findings_suppressed_by_rule_total";
        let rules = self.accounts.sensor.suppressed_by_rule();
        if !rules.is_empty() {
            head(
                page,
                name,
                "Findings that the configuration suppresses.",
                "counter",
            );
        }
        for (rule, count) in rules {
            sample(page, name, &format!("rule=\"{rule}\""), count);
        }
    }
}

impl Exporter for Prometheus {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn export(&mut self, event: &Arc<Event>) -> io::Result<()> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        match &**event {
            Event::Exchange(call) => table.call(call),
            Event::Finding(finding) => {
                *table
                    .findings
                    .entry((finding.rule.id.0, finding.severity))
                    .or_default() += 1;
            }
            Event::Incident(_) | Event::Held(_) | Event::Accounts(_) => {}
        }
        Ok(())
    }
}

impl Table {
    fn call(&mut self, call: &Summary) {
        let labels = self.series.of(call, Labels::clone).clone();
        if call.part.is_some() {
            // No request: its duration would say nothing of the service.
            *self.parts.entry(labels).or_default() += 1;
        } else if let Some(ns) = call.duration_ns {
            let histogram = self.durations.entry(labels).or_default();
            let seconds = field::seconds(ns);
            let bucket = DURATION_BOUNDS.iter().position(|bound| seconds <= *bound);
            if let Some(count) = histogram.buckets.get_mut(bucket.unwrap_or(DURATION_BOUNDS.len())) {
                *count += 1;
            }
            histogram.sum_ns = histogram.sum_ns.saturating_add(ns);
        } else {
            *self.unanswered.entry(labels).or_default() += 1;
        }
        for (half, kind, count) in &call.data {
            *self.data.entry((*half, *kind)).or_default() += u64::from(*count);
        }
    }

    fn write(&self, page: &mut String) {
        for (server, side) in [(true, "server"), (false, "client")] {
            let name = format!("http_{side}_request_duration_seconds");
            head(page, &name, "Duration of API calls.", "histogram");
            for (labels, histogram) in self
                .durations
                .iter()
                .filter(|(labels, _)| labels.server == server)
            {
                histogram.write(page, &name, &shown(labels));
            }
        }
        head(
            page,
            "api_sensor_unanswered_total",
            "Requests whose response was not seen.",
            "counter",
        );
        for (labels, count) in &self.unanswered {
            sample(page, "api_sensor_unanswered_total", &shown(labels), count);
        }
        head(page, "api_sensor_messages_total", MESSAGES, "counter");
        for (labels, count) in &self.parts {
            sample(page, "api_sensor_messages_total", &shown(labels), count);
        }
        head(
            page,
            "api_sensor_sensitive_data_total",
            "Values of sensitive data seen.",
            "counter",
        );
        for ((half, kind), count) in &self.data {
            let labels = format!("half=\"{}\",kind=\"{}\"", wording::half_name(*half), kind.name());
            sample(page, "api_sensor_sensitive_data_total", &labels, count);
        }
        head(page, "api_sensor_findings_by_rule_total", "Findings.", "counter");
        for ((rule, severity), count) in &self.findings {
            let labels = format!("rule=\"{rule}\",severity=\"{}\"", severity.name());
            sample(page, "api_sensor_findings_by_rule_total", &labels, count);
        }
    }
}

impl Histogram {
    fn write(&self, page: &mut String, name: &str, labels: &str) {
        let mut sum = 0;
        let bounds = DURATION_BOUNDS
            .iter()
            .map(ToString::to_string)
            .chain(["+Inf".to_owned()]);
        for (count, bound) in self.buckets.iter().zip(bounds) {
            sum += count;
            sample(
                page,
                &format!("{name}_bucket"),
                &format!("{labels},le=\"{bound}\""),
                sum,
            );
        }
        sample(page, &format!("{name}_sum"), labels, field::seconds(self.sum_ns));
        sample(page, &format!("{name}_count"), labels, sum);
    }
}

fn shown(labels: &Labels) -> String {
    let (method, host, route) = (
        labels.method.name(),
        escaped(&labels.host),
        escaped(&labels.route),
    );
    let mut shown = format!("method=\"{method}\",server_address=\"{host}\",route=\"{route}\"");
    if labels.status != 0 {
        let _infallible = write!(shown, ",status=\"{}\"", labels.status);
    }
    if let Some(call) = labels.call {
        let _infallible = write!(shown, ",call=\"{}\"", call.name());
    }
    if let Some(part) = labels.part {
        let _infallible = write!(shown, ",part=\"{}\"", part.name());
    }
    shown
}

/// Label values of the text format: `\`, `"` and line feed are escaped; the last cannot be in a cleaned text.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn counter(page: &mut String, name: &str, help: &str, value: u64) {
    head(page, name, help, "counter");
    alone(page, name, value);
}

/// A series that differs from no other.
pub(super) fn alone(page: &mut String, name: &str, value: u64) {
    let _infallible = writeln!(page, "{name} {value}");
}

pub(super) fn head(page: &mut String, name: &str, help: &str, kind: &str) {
    let _infallible = write!(page, "# HELP {name} {}\n# TYPE {name} {kind}\n", help.trim());
}

pub(super) fn sample(page: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _infallible = writeln!(page, "{name}{{{labels}}} {value}");
}

async fn accept(listener: TcpListener, shown: Prometheus) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // Full: the peer waits in the listen queue.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "metrics endpoint cannot accept");
                tokio::time::sleep(HEAD_TIMEOUT).await;
                continue;
            }
        };
        let shown = shown.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| {
                let response = answer(&shown, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a peer of the metrics endpoint broke off");
            }
            drop(place);
        });
    }
}

/// A sensor that starts is healthy and not ready; one that stands still is neither.
fn health(state: State, asks_ready: bool) -> (StatusCode, String) {
    match state {
        State::Ready => (StatusCode::OK, "ok\n".to_owned()),
        State::Starting if asks_ready => {
            let body = "starting: probes are not attached yet\n";
            (StatusCode::SERVICE_UNAVAILABLE, body.to_owned())
        }
        State::Starting => (StatusCode::OK, "starting\n".to_owned()),
        State::Still(silent) => {
            let body = format!(
                "nothing is judged since {} s: restart the sensor, and report it\n",
                silent.as_secs()
            );
            (StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}

fn answer(shown: &Prometheus, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            shown.page(),
        ),
        (&Method::GET, "/coverage") => match shown.accounts.coverage.json() {
            Some(json) => (StatusCode::OK, "application/json", json.to_string()),
            None => (
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain",
                "no report yet\n".to_owned(),
            ),
        },
        (&Method::GET, page @ ("/healthz" | "/readyz")) => {
            let (status, body) = health(shown.accounts.health.state(), page == "/readyz");
            (status, "text/plain", body)
        }
        (&Method::GET, _) => (
            StatusCode::NOT_FOUND,
            "text/plain",
            "see /metrics, /coverage, /healthz or /readyz\n".to_owned(),
        ),
        _ => (
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            "GET only\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static(kind);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::export::sample;

    fn filled(events: &[Event]) -> Prometheus {
        let accounts = Accounts::default();
        accounts.sensor.add(Metric::Exchanges, 3);
        accounts.kernel.set(Counter::TlsCalls, 7);
        let mut prometheus = Prometheus::new(accounts);
        for event in events {
            prometheus.export(&Arc::new(event.clone())).unwrap();
        }
        prometheus
    }

    #[test]
    fn the_page_has_calls_findings_and_accounts() {
        let page = filled(&sample::events()).page();
        let labels = "method=\"GET\",server_address=\"api.example.com\",route=\"/users/{id}\"";
        for expected in [
            "api_sensor_exchanges_total 3".to_owned(),
            "api_sensor_kernel_tls_calls_total 7".to_owned(),
            format!("http_client_request_duration_seconds_bucket{{{labels},status=\"200\",le=\"0.01\"}} 0"),
            format!("http_client_request_duration_seconds_bucket{{{labels},status=\"200\",le=\"0.025\"}} 1"),
            format!("http_client_request_duration_seconds_bucket{{{labels},status=\"200\",le=\"+Inf\"}} 1"),
            format!("http_server_request_duration_seconds_sum{{{labels},status=\"200\"}} 0.012345678"),
            format!("api_sensor_unanswered_total{{{labels},call=\"graphql_query\"}} 1"),
            format!(
                "api_sensor_messages_total{{{labels},status=\"101\",call=\"websocket\",part=\"message_to_client\"}} 1"
            ),
            format!("http_server_request_duration_seconds_count{{{labels},status=\"200\"}} 1"),
            "api_sensor_sensitive_data_total{half=\"response\",kind=\"email\"} 4".to_owned(),
            "api_sensor_findings_by_rule_total{rule=\"API3-001\",severity=\"high\"} 19".to_owned(),
        ] {
            assert!(
                page.lines().any(|line| line == expected),
                "missing {expected}\n{page}"
            );
        }
        let metrics = page.lines().filter(|line| line.starts_with("# TYPE")).count();
        assert_eq!(metrics, Metric::ALL.len() + Counter::ALL.len() + 6 + 4);
    }

    #[test]
    fn hostile_names_stay_within_their_quotes() {
        let page = filled(&sample::hostile()).page();
        assert!(page.chars().all(|c| c == '\n' || !c.is_control()));
        assert_eq!(escaped("a\"b\\"), "a\\\"b\\\\");
    }

    #[test]
    fn pages_are_served() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let address = filled(&[])
            .serve(([127, 0, 0, 1], 0).into(), runtime.handle())
            .unwrap();
        let get = |line: &str| {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            write!(stream, "{line} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        assert!(get("GET /healthz").starts_with("HTTP/1.1 200"));
        assert!(get("GET /metrics").contains("api_sensor_exchanges_total 3"));
        assert!(get("GET /coverage").starts_with("HTTP/1.1 503"));
        assert!(get("GET /").starts_with("HTTP/1.1 404"));
        assert!(get("POST /metrics").starts_with("HTTP/1.1 405"));
    }
}
