//! How things stand: what is seen, what waits for the receiver, and whether the servers that are asked answer.
//!
//! Takes the accounts. Gives one table, from which `/metrics`, OTLP and `docs/OPERATIONS.md` are made. Few series.

use super::prometheus;
use crate::telemetry::Accounts;
use crate::telemetry::contact::{Contact, Line};
use crate::telemetry::receiver::{Signal, Waiting, now_s};
use crate::telemetry::strain::Cause;

/// A number that goes up and down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gauge {
    /// As in OTLP, without `api_sensor.`.
    pub(super) name: &'static str,
    /// In the form of UCUM.
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
    /// What its series differ in: an attribute of OTLP.
    pub(super) by: Option<&'static str>,
    /// Values, each with that attribute's; none where there is nothing to say.
    pub(super) read: fn(&Accounts) -> Vec<(&'static str, u64)>,
    /// When to be told.
    pub(super) alert: &'static str,
    /// What then.
    pub(super) to_do: &'static str,
}

const SIGNAL: Option<&str> = Some("api_sensor.signal");

#[rustfmt::skip]
pub(super) const GAUGES: [Gauge; 14] = [
    Gauge { name: "coverage", unit: "{process}", by: Some("api_sensor.coverage.state"),
        help: "Processes by what is seen of them.",
        read: |accounts| accounts.coverage.states(),
        alert: "`never_fired`, `opaque` or `lost` above 0",
        to_do: "`api-sensor doctor --watch 30s` names the processes, with reason and remedy" },
    Gauge { name: "strain.grade", unit: "1", by: None,
        help: "How much is left out for want of processor time or memory: 0 (nothing) to 3.",
        read: |accounts| vec![("", accounts.sensor.strain().grade().into())],
        alert: "above 0 for 10 min",
        to_do: "see *Under strain* above; `strain.active` has the cause" },
    Gauge { name: "strain.active", unit: "1", by: Some("api_sensor.strain.cause"),
        help: "Whether this is why.",
        read: |accounts| {
            let strain = accounts.sensor.strain();
            Cause::ALL.map(|cause| (cause.name(), strain.is_by(cause).into())).into()
        },
        alert: "-",
        to_do: "give more of it and raise the ceiling, or watch fewer processes" },
    Gauge { name: "otlp.up", unit: "1", by: SIGNAL,
        help: "Whether the receiver answered the last request, and not that it takes nothing now; absent until then.",
        read: |accounts| of_signals(accounts, |signal| up(&signal.line)),
        alert: "0 for 10 min",
        to_do: "look at the receiver; the log says what it answers. What waits, and since when, is below" },
    Gauge { name: "otlp.up_changed", unit: "s", by: SIGNAL,
        help: "Time since that changed.",
        read: |accounts| of_signals(accounts, |signal| up(&signal.line).map(|_| signal.line.since().as_secs())),
        alert: "-",
        to_do: "nothing: since when the receiver is away, or back" },
    Gauge { name: "otlp.queue.bytes", unit: "By", by: SIGNAL,
        help: "Bytes that wait in memory or are on their way.",
        read: |accounts| of_queues(accounts, Waiting::bytes),
        alert: "more than half of `otlp.queue_bytes`",
        to_do: "look at the receiver; without a spool what comes next is lost: set `otlp.spool_bytes`" },
    Gauge { name: "otlp.queue.records", unit: "{record}", by: SIGNAL,
        help: "Log records, spans or batches of metrics that wait in memory or are on their way.",
        read: |accounts| of_queues(accounts, Waiting::records),
        alert: "-",
        to_do: "nothing: a second's records are usual" },
    Gauge { name: "otlp.queue.age", unit: "s", by: SIGNAL,
        help: "Age of the oldest of them.",
        read: |accounts| of_queues(accounts, |waiting| waiting.age_s(now_s())),
        alert: "above 60",
        to_do: "look at the receiver: it is slow, or away and there is no spool" },
    Gauge { name: "otlp.spool.bytes", unit: "By", by: SIGNAL,
        help: "Bytes of the spool on disk.",
        read: |accounts| of_spools(accounts, Waiting::bytes),
        alert: "more than half of `otlp.spool_bytes` (spans: an eighth)",
        to_do: "look at the receiver before the oldest make room; raise `otlp.spool_bytes`" },
    Gauge { name: "otlp.spool.records", unit: "{record}", by: SIGNAL,
        help: "Log records or spans that wait there.",
        read: |accounts| of_spools(accounts, Waiting::records),
        alert: "-",
        to_do: "nothing: it falls when the receiver is back" },
    Gauge { name: "otlp.spool.age", unit: "s", by: SIGNAL,
        help: "Age of the oldest of them.",
        read: |accounts| of_spools(accounts, |waiting| waiting.age_s(now_s())),
        alert: "above what a finding may be late",
        to_do: "look at the receiver; where it is up, it takes less than comes" },
    Gauge { name: "kubernetes.up", unit: "1", by: None,
        help: "Whether the API server answers; absent where it is not asked.",
        read: |accounts| of_server(accounts, u64::from(accounts.apiserver.line.contact() == Contact::InTouch)),
        alert: "0 for 10 min",
        to_do: "see the log; pods keep the names that are known, new ones have none" },
    Gauge { name: "kubernetes.up_changed", unit: "s", by: None,
        help: "Time since that changed.",
        read: |accounts| of_server(accounts, accounts.apiserver.line.since().as_secs()),
        alert: "-",
        to_do: "nothing: since when the API server is away, or back" },
    Gauge { name: "kubernetes.pods", unit: "{pod}", by: None,
        help: "Pods that the directory knows.",
        read: |accounts| of_server(accounts, accounts.apiserver.known_pods()),
        alert: "-",
        to_do: "nothing, unless it is 0 on a node with pods: see `kubernetes.up` and the log" },
];

/// Nothing of signals that are not sent.
fn of_signals(accounts: &Accounts, value: impl Fn(&Signal) -> Option<u64>) -> Vec<(&'static str, u64)> {
    let signals = accounts.receiver.signals().into_iter();
    signals
        .filter(|(_, signal)| signal.line.contact() != Contact::Off)
        .filter_map(|(name, signal)| Some((name, value(signal)?)))
        .collect()
}

/// Nothing before the first answer: who has nothing to tell asks for none.
fn up(line: &Line) -> Option<u64> {
    match line.contact() {
        Contact::Off | Contact::Starting => None,
        Contact::InTouch => Some(1),
        Contact::Lost => Some(0),
    }
}

fn of_queues(accounts: &Accounts, value: fn(&Waiting) -> u64) -> Vec<(&'static str, u64)> {
    of_signals(accounts, |signal| Some(value(&signal.queue)))
}

fn of_spools(accounts: &Accounts, value: fn(&Waiting) -> u64) -> Vec<(&'static str, u64)> {
    let mut values = of_signals(accounts, |signal| Some(value(&signal.spool)));
    // Metrics are not spooled.
    values.retain(|(signal, _)| *signal != "metrics");
    values
}

fn of_server(accounts: &Accounts, value: u64) -> Vec<(&'static str, u64)> {
    let asked = accounts.apiserver.line.contact() != Contact::Off;
    asked.then_some(("", value)).into_iter().collect()
}

impl Gauge {
    /// As in Prometheus, which has units in names and dots in none.
    pub(super) fn in_prometheus(&self) -> String {
        let unit = if self.unit == "s" { "_seconds" } else { "" };
        format!("api_sensor_{}{unit}", self.name.replace('.', "_"))
    }

    /// The label for what series differ in: the last part of the attribute's name.
    pub(super) fn label(&self) -> Option<&'static str> {
        self.by.and_then(|by| by.rsplit('.').next())
    }
}

/// Appends the series to a page of Prometheus's text format.
pub(super) fn write(page: &mut String, accounts: &Accounts) {
    for gauge in &GAUGES {
        let values = (gauge.read)(accounts);
        if values.is_empty() {
            continue;
        }
        let name = gauge.in_prometheus();
        prometheus::head(page, &name, gauge.help, "gauge");
        for (of, value) in values {
            match gauge.label() {
                Some(label) => prometheus::sample(page, &name, &format!("{label}=\"{of}\""), value),
                None => prometheus::alone(page, &name, value),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(accounts: &Accounts) -> String {
        let mut page = String::new();
        write(&mut page, accounts);
        page
    }

    fn has(accounts: &Accounts, line: &str) {
        let page = page(accounts);
        assert!(page.lines().any(|known| known == line), "no {line}\n{page}");
    }

    #[test]
    fn nothing_is_said_of_what_is_not_asked() {
        let accounts = Accounts::default();
        assert!(!page(&accounts).contains("coverage"));
        accounts.coverage.show("{}".to_owned(), vec![("captured", 3)]);
        has(&accounts, "api_sensor_coverage{state=\"captured\"} 3");
        assert!(!page(&accounts).contains("otlp") && !page(&accounts).contains("kubernetes"));
    }

    #[test]
    fn strain_is_told_with_its_cause() {
        let accounts = Accounts::default();
        has(&accounts, "api_sensor_strain_grade 0");
        accounts.sensor.strain().set(2, Cause::Ring.bit());
        has(&accounts, "api_sensor_strain_grade 2");
        has(&accounts, "api_sensor_strain_active{cause=\"ring\"} 1");
        has(&accounts, "api_sensor_strain_active{cause=\"cpu\"} 0");
    }

    #[test]
    fn the_receivers_state_and_what_waits_are_told_by_signal() {
        let accounts = Accounts::default();
        let receiver = &accounts.receiver;
        receiver.logs.line.set(Contact::Starting);
        receiver.traces.line.set(Contact::Starting);
        receiver.metrics.line.set(Contact::Lost);
        receiver.logs.queue.set(700, 2, None);
        receiver.traces.spool.set(9_000, 12, Some(now_s() - 3_600));
        let told = page(&accounts);
        assert!(!told.contains("up{signal=\"logs\"}"), "not asked yet: {told}");
        assert!(!told.contains("spool_bytes{signal=\"metrics\"}"), "{told}");
        for line in [
            "# TYPE api_sensor_otlp_up gauge",
            "api_sensor_otlp_up{signal=\"metrics\"} 0",
            "api_sensor_otlp_queue_bytes{signal=\"logs\"} 700",
            "api_sensor_otlp_queue_records{signal=\"logs\"} 2",
            "api_sensor_otlp_queue_age_seconds{signal=\"logs\"} 0",
            "api_sensor_otlp_queue_records{signal=\"metrics\"} 0",
            "api_sensor_otlp_spool_bytes{signal=\"traces\"} 9000",
            "api_sensor_otlp_spool_records{signal=\"traces\"} 12",
        ] {
            has(&accounts, line);
        }
        let age = told
            .lines()
            .find_map(|line| line.strip_prefix("api_sensor_otlp_spool_age_seconds{signal=\"traces\"} "));
        let age: u64 = age.unwrap().parse().unwrap();
        assert!((3_600..3_610).contains(&age), "{age}");
        receiver.metrics.line.set(Contact::InTouch);
        has(&accounts, "api_sensor_otlp_up{signal=\"metrics\"} 1");
    }

    #[test]
    fn the_api_servers_state_is_told_where_it_is_asked() {
        let accounts = Accounts::default();
        accounts.apiserver.line.set(Contact::Starting);
        has(&accounts, "api_sensor_kubernetes_up 0");
        accounts.apiserver.line.set(Contact::InTouch);
        accounts.apiserver.pods(12);
        has(&accounts, "api_sensor_kubernetes_up 1");
        has(&accounts, "api_sensor_kubernetes_up_changed_seconds 0");
        has(&accounts, "api_sensor_kubernetes_pods 12");
    }
}
