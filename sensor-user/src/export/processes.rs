//! The ledger as metrics: few series, however many processes there are.
//!
//! Takes the accounts. Gives the [`MOST`] processes that moved most bytes by name and id, and the rest as one.

use sensor_common::account::Entry;

use super::prometheus::{escaped, head, sample};
use crate::capture::Comm;
use crate::telemetry::Accounts;
use crate::telemetry::ledger::{Account, Key};

/// Processes with series of their own.
pub(super) const MOST: usize = 20;

/// Bytes of a process by what became of them. `fired` is the sum of the four that follow it.
pub(super) const STAGES: [&str; 7] = [
    "fired",
    "submitted",
    "tls_on_sockets",
    "unrecognised_on_sockets",
    "not_captured",
    "parsed",
    "ring_full",
];

/// One process's figures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Figures {
    /// Process id; 0 for all others.
    pub(super) pid: u32,
    /// Its name; `_OTHER` for all others.
    pub(super) comm: String,
    /// Calls that fired.
    pub(super) calls: u64,
    /// Bytes, in the order of [`STAGES`].
    pub(super) bytes: [u64; STAGES.len()],
}

impl Figures {
    fn of(account: &Account) -> Self {
        let calls = account.kernel(Entry::TlsCalls) + account.kernel(Entry::SocketCalls);
        Self {
            pid: account.process.pid,
            comm: Comm(account.comm).to_string(),
            calls,
            bytes: [
                account.fired_bytes(),
                account.kernel(Entry::SubmittedBytes),
                account.kernel(Entry::CipherBytes),
                account.kernel(Entry::UnknownBytes),
                account.uncaptured_bytes(),
                account.parsed_bytes(),
                account.kernel(Entry::RingFullBytes),
            ],
        }
    }
}

/// The processes that moved most, and the others as one. Those that ended are among the others, so that a host of short
/// processes does not make series without end.
pub(super) fn figures(accounts: &Accounts) -> Vec<Figures> {
    let mut all = accounts.sensor.ledger().accounts();
    all.sort_by_key(|account| {
        let named = account.process != Key::OTHERS && !account.ended;
        std::cmp::Reverse((named, account.fired_bytes()))
    });
    let named = all
        .iter()
        .take(MOST)
        .take_while(|account| account.process != Key::OTHERS && !account.ended)
        .count();
    let (named, others) = all.split_at_checked(named).unwrap_or_default();
    let mut figures: Vec<Figures> = named.iter().map(Figures::of).collect();
    let mut rest = Figures {
        pid: 0,
        comm: "_OTHER".to_owned(),
        calls: 0,
        bytes: [0; STAGES.len()],
    };
    for account in others.iter().map(Figures::of) {
        rest.calls += account.calls;
        for (sum, value) in rest.bytes.iter_mut().zip(account.bytes) {
            *sum += value;
        }
    }
    figures.push(rest);
    figures
}

/// Appends the series to a page of Prometheus's text format. Gauges: a process leaves its series when it ends.
pub(super) fn write(page: &mut String, accounts: &Accounts) {
    let figures = figures(accounts);
    let bytes = "api_sensor_process_bytes";
    head(page, bytes, "Bytes of a process by what became of them.", "gauge");
    for process in &figures {
        for (stage, value) in STAGES.iter().zip(process.bytes) {
            let labels = format!(
                "pid=\"{}\",comm=\"{}\",stage=\"{stage}\"",
                process.pid,
                escaped(&process.comm)
            );
            sample(page, bytes, &labels, value);
        }
    }
    let calls = "api_sensor_process_calls";
    head(page, calls, "Calls of a process that moved bytes.", "gauge");
    for process in &figures {
        let labels = format!("pid=\"{}\",comm=\"{}\"", process.pid, escaped(&process.comm));
        sample(page, calls, &labels, process.calls);
    }
}

#[cfg(test)]
mod tests {
    use sensor_common::account::ENTRIES;

    use super::*;

    #[test]
    fn most_processes_by_name_and_the_rest_as_one() {
        let accounts = Accounts::default();
        let ledger = accounts.sensor.ledger();
        for pid in 1..=30 {
            let key = Key { pid, start_ns: 1 };
            let mut values = [0; ENTRIES];
            values[Entry::TlsBytes as usize] = u64::from(pid);
            values[Entry::TlsCalls as usize] = 1;
            ledger.set_kernel(key, values);
            ledger.name(key, *b"a\"\n\0\0\0\0\0\0\0\0\0\0\0\0\0");
        }
        ledger.end(Key { pid: 30, start_ns: 1 });
        let figures = figures(&accounts);
        assert_eq!(figures.len(), MOST + 1);
        assert_eq!((figures[0].pid, figures[MOST - 1].pid), (29, 10));
        let rest = figures.last().unwrap();
        assert_eq!((rest.pid, rest.calls, rest.bytes[0]), (0, 10, 45 + 30));
        let mut page = String::new();
        write(&mut page, &accounts);
        assert!(
            page.contains("api_sensor_process_bytes{pid=\"29\",comm=\"a\\\"?\",stage=\"fired\"} 29"),
            "{page}"
        );
    }
}
