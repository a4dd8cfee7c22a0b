//! Keeps the accounts of the running sensor: reads the kernel object's, checks that they add up, and puts up the
//! coverage report.

use std::path::Path;

use sensor_common::counter::Counter;

use crate::capture::accounts::AccountReader;
use crate::capture::coverage::Observer;
use crate::capture::kernel::KernelSource;
use crate::capture::load::CounterReader;
use crate::capture::skipped::SkippedReader;
use crate::telemetry::ledger::Imbalance;
use crate::telemetry::log::Repeat;
use crate::telemetry::{Accounts, Metric};

/// How often the coverage report is made: it reads some files of each process.
const REPORT_NS: u64 = 5_000_000_000;

/// Readers of the kernel object's figures, and what is made of them.
pub(super) struct Books {
    counters: CounterReader,
    reader: AccountReader,
    observer: Observer,
    accounts: Accounts,
    skipped: SkippedReader,
    /// What of it is counted.
    skipped_before: u64,
    next_report: u64,
}

impl Books {
    pub(super) fn new(source: &KernelSource, accounts: &Accounts) -> Self {
        Self {
            counters: source.counter_reader(),
            reader: source.account_reader(),
            observer: Observer::new(source.attachments(), source.rings()),
            accounts: accounts.clone(),
            skipped: source.skipped_reader(),
            skipped_before: 0,
            next_report: 0,
        }
    }

    /// Reads the figures, and checks those of processes at rest.
    pub(super) fn refresh(&mut self, now_ns: u64) {
        self.read();
        tell(
            &self.accounts,
            &self.accounts.sensor.ledger().check(now_ns),
            "at rest",
        );
        if now_ns >= self.next_report {
            self.next_report = now_ns.saturating_add(REPORT_NS);
            self.report(now_ns);
        }
    }

    /// Everything has ended: now every account must close.
    pub(super) fn close(&mut self, now_ns: u64) {
        self.read();
        let open = self.accounts.sensor.ledger().unbalanced();
        tell(&self.accounts, open.as_slice(), "at the end");
        self.report(now_ns);
    }

    fn read(&self) {
        for counter in Counter::ALL {
            self.accounts.kernel.set(*counter, self.counters.value(*counter));
        }
        self.reader.refresh(self.accounts.sensor.ledger());
    }

    fn report(&mut self, now_ns: u64) {
        let skipped = self.skipped.value();
        let more = skipped.saturating_sub(self.skipped_before);
        self.accounts.sensor.add(Metric::HookRunsSkipped, more);
        self.skipped_before = skipped;
        let ledger = self.accounts.sensor.ledger();
        let live = self.observer.report(Path::new("/proc"), ledger, now_ns);
        let json = serde_json::to_string(&live).unwrap_or_default();
        self.accounts.coverage.show(json, live.states());
    }
}

fn tell(accounts: &Accounts, open: &[Imbalance], when: &str) {
    static OPEN: Repeat = Repeat::new();
    accounts.sensor.add(Metric::LedgerUnbalanced, open.len() as u64);
    for imbalance in open {
        if let Some(repeats) = OPEN.pass() {
            tracing::error!(%imbalance, when, repeats, "the accounts do not add up: a fault of the sensor");
        }
    }
}
