//! Records between the thread that tells and the one that sends.
//!
//! Takes encoded records. Gives batches. Never waits; bounded by bytes: what finds no room is counted as
//! [`Metric::OtlpLostMemory`]. Spans have half of the room, so that they never take that of findings.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::batch::{Batch, Open, Signal};
use crate::telemetry::{Counters, Metric};

/// Time a record waits for others.
pub(super) const DELAY: Duration = Duration::from_secs(1);

/// Shared by both threads.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something new for the sender.
    pub(super) wake: Notify,
    most: usize,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct State {
    open: [Open; 2],
    sealed: VecDeque<Batch>,
    /// Bytes of what is sealed.
    bytes: usize,
    /// The newest: sums go on counting, so an older one says nothing that it does not.
    metrics: Option<Batch>,
    /// Until when what waits may be sent, once the sensor stops.
    until: Option<Instant>,
}

impl Queue {
    pub(super) fn new(most: usize, counters: Arc<Counters>) -> Self {
        let state = State {
            open: [Open::new(Signal::Logs), Open::new(Signal::Traces)],
            sealed: VecDeque::new(),
            bytes: 0,
            metrics: None,
            until: None,
        };
        Self {
            state: Mutex::new(state),
            wake: Notify::new(),
            most,
            counters,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record of a resource.
    pub(super) fn add(&self, signal: Signal, resource: &Bytes, record: &[u8]) {
        let mut state = self.state();
        let most = if signal == Signal::Logs {
            self.most
        } else {
            self.most / 2
        };
        let waiting: usize = state.open.iter().map(Open::bytes).sum::<usize>() + state.bytes;
        if waiting + record.len() > most {
            self.counters.add(Metric::OtlpLostMemory, 1);
            return;
        }
        let [logs, traces] = &mut state.open;
        let open = if signal == Signal::Logs { logs } else { traces };
        let first = open.since().is_none();
        let full = open.add(resource, record, super::now());
        let wake = first || full.is_some();
        state.push(full);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Takes the newest metrics in place of those that still wait.
    pub(super) fn metrics(&self, batch: Batch) {
        if self.state().metrics.replace(batch).is_some() {
            self.counters.add(Metric::OtlpMetricsSkipped, 1);
        }
        self.wake.notify_one();
    }

    /// Gives back metrics that were not taken, unless there are newer ones.
    pub(super) fn metrics_again(&self, batch: Batch) {
        let mut state = self.state();
        if state.metrics.is_some() {
            self.counters.add(Metric::OtlpMetricsSkipped, 1);
        } else {
            state.metrics = Some(batch);
        }
    }

    /// The oldest batch: of findings or spans, then of metrics.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut state = self.state();
        state.take().or_else(|| state.metrics.take())
    }

    /// The oldest batch of findings or spans.
    pub(super) fn take_records(&self) -> Option<Batch> {
        self.state().take()
    }

    /// Gives back a batch that nobody took: the next one to be taken.
    pub(super) fn again(&self, batch: Batch) {
        let mut state = self.state();
        state.bytes += batch.bytes.len();
        state.sealed.push_front(batch);
    }

    /// Makes batches of what waited long enough, of everything once the sensor stops. Gives the time until more will
    /// have.
    pub(super) fn seal(&self) -> Option<Duration> {
        let mut state = self.state();
        let (now, all) = (super::now(), state.until.is_some());
        let mut next = None::<Duration>;
        for at in 0..state.open.len() {
            let Some(open) = state.open.get_mut(at) else {
                continue;
            };
            let Some(since) = open.since() else { continue };
            let left = DELAY.saturating_sub(now.saturating_duration_since(since));
            if all || left.is_zero() {
                let batch = open.seal();
                state.push(batch);
            } else {
                next = Some(next.map_or(left, |next| next.min(left)));
            }
        }
        next
    }

    /// More than half of the room is taken.
    pub(super) fn is_crowded(&self) -> bool {
        self.state().bytes > self.most / 2
    }

    /// No more records come, and what waits may be sent until then.
    pub(super) fn stop(&self, until: Instant) {
        self.state().until = Some(until);
        self.wake.notify_one();
    }

    /// Until when what waits may be sent; `None` while the sensor runs.
    pub(super) fn until(&self) -> Option<Instant> {
        self.state().until
    }
}

impl State {
    fn push(&mut self, batch: Option<Batch>) {
        if let Some(batch) = batch {
            self.bytes += batch.bytes.len();
            self.sealed.push_back(batch);
        }
    }

    fn take(&mut self) -> Option<Batch> {
        let batch = self.sealed.pop_front()?;
        self.bytes = self.bytes.saturating_sub(batch.bytes.len());
        Some(batch)
    }
}
