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
use super::told_of;
use crate::telemetry::receiver::Receiver;
use crate::telemetry::{Counters, Metric};

/// Time a record waits for others.
pub(super) const DELAY: Duration = Duration::from_secs(1);
/// Signals whose records wait for others.
const OF_RECORDS: [Signal; 2] = [Signal::Logs, Signal::Traces];

/// Shared by both threads.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// There is something new for the sender.
    pub(super) wake: Notify,
    most: usize,
    counters: Arc<Counters>,
    receiver: Arc<Receiver>,
}

#[derive(Debug)]
struct State {
    /// In the order of [`OF_RECORDS`].
    lanes: [Lane; 2],
    /// The newest: sums go on counting, so an older one says nothing that it does not.
    metrics: Option<Batch>,
    /// What the sender took and has not settled.
    sending: Option<(Signal, Held)>,
    /// Until when what waits may be sent, once the sensor stops.
    until: Option<Instant>,
}

/// Records of one signal.
#[derive(Debug)]
struct Lane {
    open: Open,
    /// Oldest first.
    sealed: VecDeque<Batch>,
    /// Of what is sealed.
    held: Held,
}

/// How much there is of something.
#[derive(Clone, Copy, Default, Debug)]
struct Held {
    bytes: usize,
    records: u64,
    since_s: Option<u64>,
}

impl Held {
    fn of(batch: &Batch) -> Self {
        Self {
            bytes: batch.bytes.len(),
            records: batch.records.into(),
            since_s: Some(batch.since_s),
        }
    }

    fn and(self, other: Self) -> Self {
        let times = self.since_s.into_iter().chain(other.since_s);
        Self {
            bytes: self.bytes + other.bytes,
            records: self.records + other.records,
            since_s: times.min(),
        }
    }
}

impl Queue {
    pub(super) fn new(most: usize, counters: Arc<Counters>, receiver: Arc<Receiver>) -> Self {
        let state = State {
            lanes: OF_RECORDS.map(Lane::new),
            metrics: None,
            sending: None,
            until: None,
        };
        Self {
            state: Mutex::new(state),
            wake: Notify::new(),
            most,
            counters,
            receiver,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what waits of a signal.
    fn show(&self, state: &State, signal: Signal) {
        let [logs, traces] = &state.lanes;
        let waits = match signal {
            Signal::Logs => logs.all(),
            Signal::Traces => traces.all(),
            Signal::Metrics => state.metrics.as_ref().map(Held::of).unwrap_or_default(),
        };
        let sending = state.sending.filter(|(known, _)| *known == signal);
        let all = waits.and(sending.map(|(_, held)| held).unwrap_or_default());
        told_of(&self.receiver, signal)
            .queue
            .set(all.bytes as u64, all.records, all.since_s);
    }

    /// Adds a record of a resource.
    pub(super) fn add(&self, signal: Signal, resource: &Bytes, record: &[u8]) {
        let mut state = self.state();
        let most = if signal == Signal::Logs {
            self.most
        } else {
            self.most / 2
        };
        let waiting: usize = state
            .lanes
            .iter()
            .map(|lane| lane.open.bytes() + lane.held.bytes)
            .sum();
        if waiting + record.len() > most {
            self.counters.add(Metric::OtlpLostMemory, 1);
            return;
        }
        let lane = state.lane(signal);
        let first = lane.open.since().is_none();
        let full = lane.open.add(resource, record, super::now());
        let wake = first || full.is_some();
        lane.push(full);
        self.show(&state, signal);
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Takes the newest metrics in place of those that still wait.
    pub(super) fn metrics(&self, batch: Batch) {
        let mut state = self.state();
        if state.metrics.replace(batch).is_some() {
            self.counters.add(Metric::OtlpMetricsSkipped, 1);
        }
        self.show(&state, Signal::Metrics);
        drop(state);
        self.wake.notify_one();
    }

    /// The oldest batch to be sent: of findings or spans, then of metrics. It is [`Self::settled`] before the next one.
    pub(super) fn take(&self) -> Option<Batch> {
        let mut state = self.state();
        let batch = state.take().or_else(|| state.metrics.take())?;
        state.sending = Some((batch.signal, Held::of(&batch)));
        self.show(&state, batch.signal);
        Some(batch)
    }

    /// The batch that was to be sent is the receiver's, or is given back, next to be taken: metrics, unless there are
    /// newer ones.
    pub(super) fn settled(&self, signal: Signal, back: Option<Batch>) {
        let mut state = self.state();
        state.sending = None;
        match back {
            Some(_) if signal == Signal::Metrics && state.metrics.is_some() => {
                self.counters.add(Metric::OtlpMetricsSkipped, 1);
            }
            Some(batch) if signal == Signal::Metrics => state.metrics = Some(batch),
            Some(batch) => state.lane(signal).again(batch),
            None => {}
        }
        self.show(&state, signal);
    }

    /// The oldest batch of findings or spans, for another place to wait in.
    pub(super) fn take_records(&self) -> Option<Batch> {
        let mut state = self.state();
        let batch = state.take()?;
        self.show(&state, batch.signal);
        Some(batch)
    }

    /// Gives back a batch for which there is no other place: the next one to be taken.
    pub(super) fn again(&self, batch: Batch) {
        let mut state = self.state();
        let signal = batch.signal;
        state.lane(signal).again(batch);
        self.show(&state, signal);
    }

    /// Makes batches of what waited long enough, of everything once the sensor stops. Gives the time until more will
    /// have.
    pub(super) fn seal(&self) -> Option<Duration> {
        let mut state = self.state();
        let (now, all) = (super::now(), state.until.is_some());
        let mut next = None::<Duration>;
        for signal in OF_RECORDS {
            let lane = state.lane(signal);
            let Some(since) = lane.open.since() else { continue };
            let left = DELAY.saturating_sub(now.saturating_duration_since(since));
            if all || left.is_zero() {
                let batch = lane.open.seal();
                lane.push(batch);
                self.show(&state, signal);
            } else {
                next = Some(next.map_or(left, |next| next.min(left)));
            }
        }
        next
    }

    /// More than half of the room is taken.
    pub(super) fn is_crowded(&self) -> bool {
        let sealed: usize = self.state().lanes.iter().map(|lane| lane.held.bytes).sum();
        sealed > self.most / 2
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
    fn lane(&mut self, signal: Signal) -> &mut Lane {
        let [logs, traces] = &mut self.lanes;
        if signal == Signal::Logs { logs } else { traces }
    }

    /// The oldest batch; of two that are as old, the one of findings.
    fn take(&mut self) -> Option<Batch> {
        let [logs, traces] = &mut self.lanes;
        let older = match (logs.sealed.front(), traces.sealed.front()) {
            (Some(log), Some(span)) if span.since_s < log.since_s => traces,
            (Some(_), _) => logs,
            (None, _) => traces,
        };
        older.take()
    }
}

impl Lane {
    fn new(signal: Signal) -> Self {
        Self {
            open: Open::new(signal),
            sealed: VecDeque::new(),
            held: Held::default(),
        }
    }

    fn push(&mut self, batch: Option<Batch>) {
        if let Some(batch) = batch {
            self.held = self.held.and(Held::of(&batch));
            self.sealed.push_back(batch);
        }
    }

    fn again(&mut self, batch: Batch) {
        self.held = self.held.and(Held::of(&batch));
        self.sealed.push_front(batch);
    }

    fn take(&mut self) -> Option<Batch> {
        let batch = self.sealed.pop_front()?;
        self.held = Held {
            bytes: self.held.bytes.saturating_sub(batch.bytes.len()),
            records: self.held.records.saturating_sub(batch.records.into()),
            since_s: self.sealed.front().map(|batch| batch.since_s),
        };
        Some(batch)
    }

    /// What is sealed, and what still waits for others.
    fn all(&self) -> Held {
        self.held.and(Held {
            bytes: self.open.bytes(),
            records: self.open.records().into(),
            since_s: self.open.since_s(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::receiver::now_s;

    fn queue() -> (Queue, Arc<Receiver>) {
        let receiver = Arc::<Receiver>::default();
        (
            Queue::new(1 << 20, Arc::default(), Arc::clone(&receiver)),
            receiver,
        )
    }

    #[test]
    fn what_waits_is_told_until_it_is_settled() {
        let (queue, receiver) = queue();
        let waits = || (receiver.logs.queue.records(), receiver.traces.queue.records());
        let resource = Bytes::from_static(b"resource");
        for _ in 0..3 {
            queue.add(Signal::Logs, &resource, &[7; 100]);
        }
        queue.add(Signal::Traces, &resource, &[7; 50]);
        assert_eq!(waits(), (3, 1));
        assert_eq!(receiver.logs.queue.bytes(), 300);
        let age_s = receiver.logs.queue.age_s(now_s() + 100);
        assert!((100..110).contains(&age_s), "{age_s}");
        queue.stop(super::super::now());
        queue.seal();
        let batch = queue.take().unwrap();
        assert_eq!((batch.signal, waits()), (Signal::Logs, (3, 1)), "on its way");
        queue.settled(Signal::Logs, Some(batch));
        assert_eq!(waits(), (3, 1));
        let batch = queue.take().unwrap();
        queue.settled(batch.signal, None);
        assert_eq!((waits(), receiver.logs.queue.bytes()), ((0, 1), 0));
        assert_eq!(receiver.logs.queue.age_s(u64::MAX), 0);
        let batch = queue.take_records().unwrap();
        assert_eq!((batch.signal, waits()), (Signal::Traces, (0, 0)), "elsewhere");
        queue.again(batch);
        assert_eq!(waits(), (0, 1));
    }

    #[test]
    fn of_metrics_the_newest_waits() {
        let (queue, receiver) = queue();
        let batch = |length: usize, since_s| Batch {
            signal: Signal::Metrics,
            records: 1,
            since_s,
            bytes: vec![0; length].into(),
        };
        queue.metrics(batch(10, 100));
        queue.metrics(batch(20, 160));
        let waiting = &receiver.metrics.queue;
        assert_eq!(
            (waiting.bytes(), waiting.records(), waiting.age_s(200)),
            (20, 1, 40)
        );
        let taken = queue.take().unwrap();
        queue.metrics(batch(30, 220));
        assert_eq!((waiting.bytes(), waiting.age_s(230)), (50, 70));
        queue.settled(Signal::Metrics, Some(taken));
        assert_eq!((waiting.bytes(), waiting.age_s(230)), (30, 10));
    }

    #[test]
    fn the_oldest_is_taken_first_whatever_its_signal() {
        let (queue, _) = queue();
        let batch = |signal, since_s| Batch {
            signal,
            records: 1,
            since_s,
            bytes: Bytes::from_static(b"0"),
        };
        queue.again(batch(Signal::Logs, 20));
        queue.again(batch(Signal::Traces, 10));
        queue.again(batch(Signal::Logs, 10));
        let order: Vec<_> = std::iter::from_fn(|| queue.take_records())
            .map(|batch| (batch.signal, batch.since_s))
            .collect();
        assert_eq!(
            order,
            [(Signal::Logs, 10), (Signal::Traces, 10), (Signal::Logs, 20)]
        );
    }
}
