//! A shard and the judge on the caller's thread: for replay, tests and benchmarks.
//!
//! Takes records. Gives events. Never drops anything between the two. Bounded by both.

use super::{Judge, Observed, Settings, Shard};
use crate::capture::Record;
use crate::export::Event;
use crate::store::Store;

/// Both halves on one thread.
#[derive(Debug)]
pub struct Pipeline {
    shard: Shard,
    judge: Judge,
    observed: Vec<Observed>,
    now_ns: u64,
}

impl Pipeline {
    /// An empty pipeline.
    pub fn new(settings: &Settings) -> Self {
        Self {
            shard: Shard::new(settings),
            judge: Judge::new(settings),
            observed: Vec::new(),
            now_ns: 0,
        }
    }

    /// Keeps what is learnt in `store`, and begins with what it holds.
    #[must_use]
    pub fn with_store(mut self, store: Option<Store>) -> Self {
        self.judge = self.judge.with_store(store);
        self
    }

    /// Takes one record.
    pub fn push(&mut self, record: Record, sink: &mut dyn FnMut(Event)) {
        self.now_ns = self.now_ns.max(record.origin().time_ns);
        self.shard.push(record, &mut self.observed);
        self.settle(sink);
    }

    /// Ends every connection.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event)) {
        self.shard.finish(&mut self.observed);
        self.settle(sink);
        self.judge.finish(sink);
    }

    /// Whoever judges, for what was learnt.
    pub const fn judge(&self) -> &Judge {
        &self.judge
    }

    fn settle(&mut self, sink: &mut dyn FnMut(Event)) {
        for observed in self.observed.drain(..) {
            self.judge.take(observed, self.now_ns, sink);
        }
        self.judge.tick(self.now_ns, sink);
    }
}
