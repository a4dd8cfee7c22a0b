//! The judge, which outlives a fault in what it judges by.
//!
//! Takes what the shards observed. Gives events. A panic costs what would have been concluded from one exchange and is
//! counted; what was learnt stays, for whoever could make it be forgotten would have rules go blind at will. Bounded by the
//! judge's own limits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::export::Event;
#[cfg(feature = "kernel")]
use crate::incident;
use crate::pipeline::{Judge, Observed};
use crate::telemetry::{Counters, Metric};

/// A judge and where its faults are counted.
pub(super) struct GuardedJudge {
    judge: Judge,
    counters: Arc<Counters>,
}

impl GuardedJudge {
    pub(super) const fn new(judge: Judge, counters: Arc<Counters>) -> Self {
        Self { judge, counters }
    }

    pub(super) fn take(&mut self, observed: Observed, now_ns: u64, sink: &mut dyn FnMut(Event)) {
        let fault = is_fault(&observed);
        self.guarded(|judge| {
            fail_if(fault);
            judge.take(observed, now_ns, sink);
        });
    }

    /// Takes other decisions on what is told.
    #[cfg(feature = "kernel")]
    pub(super) fn decide(&mut self, alerts: incident::Settings) {
        self.guarded(|judge| judge.decide(alerts));
    }

    pub(super) fn tick(&mut self, now_ns: u64, sink: &mut dyn FnMut(Event)) {
        self.guarded(|judge| judge.tick(now_ns, sink));
    }

    /// Nothing more comes. A fault in one of its parts leaves the others: what was learnt is kept whatever the rest does.
    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        let mut waiting = usize::MAX;
        // Each round judges one at least.
        while self.judge.waiting() > 0 && self.judge.waiting() < waiting {
            waiting = self.judge.waiting();
            self.guarded(|judge| judge.settle(sink));
        }
        self.guarded(|judge| judge.close(sink));
        self.guarded(Judge::keep_all);
    }

    fn guarded(&mut self, work: impl FnOnce(&mut Judge)) {
        if catch_unwind(AssertUnwindSafe(|| work(&mut self.judge))).is_err() {
            self.counters.add(Metric::JudgePanics, 1);
            self.judge.recover();
        }
    }
}

/// Whether the exchange orders a fault, so that tests see what becomes of one. Release builds have none.
fn is_fault(observed: &Observed) -> bool {
    cfg!(debug_assertions) && observed.exchange.request.target().expose() == b"/api-sensor-fault/judge"
}

/// The fault that the guard is tested with.
fn fail_if(fault: bool) {
    assert!(!fault, "a fault was asked for");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Role;
    use crate::classify::Labels;
    use crate::exchange::secret::HashKey;
    use crate::exchange::test_support::Builder;
    use crate::export::ClockOffset;
    use crate::pipeline::Settings;
    use crate::store::{self, Bounds, FILE, Filter, Pace, Reader, Store, Whose};

    /// A client's view, which waits for its server's.
    fn waits(target: &str) -> Observed {
        let mut exchange = Builder::get(target)
            .remote(std::net::Ipv4Addr::LOCALHOST.into())
            .build();
        Arc::make_mut(&mut exchange.connection).role = Role::Client;
        Observed {
            exchange,
            labels: Labels::default(),
        }
    }

    #[test]
    fn a_fault_at_the_end_leaves_the_rest_and_what_was_learnt_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let settings = Settings::new(HashKey::new([7; 32]), Arc::default());
        let how = store::Settings {
            interval_ns: 1_000_000_000,
            bounds: Bounds {
                retention_ns: 0,
                max_bytes: 64 << 20,
            },
            pace: Pace::Live,
            whose: Whose::Own,
            clock: ClockOffset::RECORDED,
            key: settings.key.print(),
        };
        let store = Store::open(&path, how, &settings.counters).unwrap();
        let judge = Judge::new(&settings).with_store(Some(store));
        let mut judge = GuardedJudge::new(judge, Arc::clone(&settings.counters));
        for target in ["/one", "/two", "/three"] {
            judge.take(waits(target), 1, &mut |_| panic!("it waits"));
        }
        judge.tick(1, &mut |_| panic!("they wait"));
        let mut told = 0;
        judge.finish(&mut |_| {
            told += 1;
            assert!(told != 1, "a fault was asked for");
        });
        assert_eq!(settings.counters.value(Metric::JudgePanics), 1);
        assert_eq!(told, 3);
        let kept = Reader::open(&path).unwrap().endpoints(&Filter::default());
        assert_eq!(kept.unwrap().rows.len(), 3);
    }
}
