//! The judge, which outlives a fault in what it judges by.
//!
//! Takes what the shards observed. Gives events. A panic costs what would have been concluded from one exchange and is
//! counted; what was learnt stays, for whoever could make it be forgotten would have rules go blind at will. Bounded by the
//! judge's own limits.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::export::Event;
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

    pub(super) fn tick(&mut self, now_ns: u64, sink: &mut dyn FnMut(Event)) {
        self.guarded(|judge| judge.tick(now_ns, sink));
    }

    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        self.guarded(|judge| judge.finish(sink));
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
