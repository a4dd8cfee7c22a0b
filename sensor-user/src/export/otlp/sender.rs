//! The thread that sends: from memory and from the spool by turns, one request at a time.
//!
//! Takes batches. Gives them to the receiver, or to the spool while it takes none. Every record ends as one that was
//! sent, or lost for a reason that is counted. Disk and network are waited for here and nowhere else.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout_at};

use super::answer::Answer;
use super::backoff::Backoff;
use super::batch::{Batch, Signal};
use super::client::Client;
use super::queue::Queue;
use super::spool::Spool;
use super::told_of;
use crate::telemetry::contact::Contact;
use crate::telemetry::log::Repeat;
use crate::telemetry::receiver::Receiver;
use crate::telemetry::{Counters, Metric};

/// How long a spool whose directory refused is left alone.
const SPOOL_REST: Duration = Duration::from_secs(5);
/// The sender looks up at least this often.
const IDLE: Duration = Duration::from_mins(1);

/// Sends until the sensor stops.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) queue: Arc<Queue>,
    pub(super) client: Client,
    /// Of findings, and of spans.
    pub(super) spools: Vec<(Signal, Spool)>,
    pub(super) counters: Arc<Counters>,
    pub(super) receiver: Arc<Receiver>,
    pub(super) state: State,
}

/// What the next step depends on.
#[derive(Default, Debug)]
pub(super) struct State {
    backoff: Backoff,
    /// The receiver is left alone until then.
    rest: Option<Instant>,
    /// And the spool.
    spool_rest: Option<Instant>,
    /// It is the spool's turn.
    spool_next: bool,
    random: RandomState,
    drawn: u64,
}

/// Where a batch came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    Memory,
    Spool(Signal),
}

impl Sender {
    /// Until the queue is stopped and empty, or its time is over.
    pub(super) async fn run(mut self) {
        loop {
            let due = self.queue.seal();
            let until = self.queue.until();
            if until.is_some_and(|until| super::now() >= until) {
                break;
            }
            let rest = self.state.rest.filter(|rest| super::now() < *rest);
            if rest.is_some() {
                self.put_away();
            } else if let Some((batch, from)) = self.next(until.is_some()) {
                self.send(batch, from).await;
                continue;
            }
            // Nothing is left; or the receiver takes nothing now, and the spool did.
            if until.is_some() && (rest.is_none() || !self.spools.is_empty()) {
                break;
            }
            let at = until.unwrap_or_else(|| super::now() + due.unwrap_or(IDLE));
            let at = rest.map_or(at, |rest| rest.min(at));
            let _woken_or_due = timeout_at(at.into(), self.queue.wake.notified()).await.is_ok();
        }
        self.give_up();
    }

    /// What is new and what is on disk by turns: what happens now is not kept waiting by an hour's backlog, nor the other
    /// way round. Once the sensor stops, what is on disk stays there.
    fn next(&mut self, stopping: bool) -> Option<(Batch, From)> {
        self.state.spool_next = !self.state.spool_next;
        if self.state.spool_next && !stopping {
            self.of_spool().or_else(|| self.of_memory())
        } else {
            let memory = self.of_memory();
            if stopping {
                memory
            } else {
                memory.or_else(|| self.of_spool())
            }
        }
    }

    fn of_memory(&self) -> Option<(Batch, From)> {
        Some((self.queue.take()?, From::Memory))
    }

    fn of_spool(&mut self) -> Option<(Batch, From)> {
        let found = self
            .spools
            .iter_mut()
            .find_map(|(signal, spool)| Some((spool.front()?, From::Spool(*signal))));
        self.tell_spools();
        found
    }

    async fn send(&mut self, batch: Batch, from: From) {
        let queue = Arc::clone(&self.queue);
        let answer = {
            let Self {
                client,
                spools,
                counters,
                receiver,
                state,
                ..
            } = self;
            let mut sending = std::pin::pin!(client.send(&batch));
            loop {
                let until = queue.until().unwrap_or_else(|| super::now() + IDLE);
                tokio::select! {
                    answer = &mut sending => break answer,
                    () = queue.wake.notified() => {
                        queue.seal();
                        if queue.is_crowded() && from == From::Memory {
                            spool_all(&queue, spools, (counters, receiver), state);
                        }
                    }
                    () = sleep_until(until.into()), if queue.until().is_some() => {
                        break Answer::Later { after: None, why: "the sensor stops".to_owned() };
                    }
                }
            }
        };
        self.settle(batch, from, answer);
    }

    fn settle(&mut self, batch: Batch, from: From, answer: Answer) {
        let records = u64::from(batch.records);
        let signal = batch.signal;
        let line = &told_of(&self.receiver, signal).line;
        match answer {
            Answer::Taken { rejected, why } => {
                line.set(Contact::InTouch);
                self.state.backoff.reset();
                self.state.rest = None;
                let rejected = rejected.min(records);
                self.refused(signal, rejected, &why);
                self.count(signal, Metric::OtlpSent, records - rejected);
                self.done(signal, from);
            }
            Answer::Refused { why } => {
                line.set(Contact::InTouch);
                self.refused(signal, records, &why);
                self.done(signal, from);
            }
            Answer::Later { after, why } => {
                static LATER: Repeat = Repeat::new();
                line.set(Contact::Lost);
                if let Some(repeats) = LATER.pass() {
                    tracing::warn!(
                        signal = signal.name(),
                        why,
                        repeats,
                        "the OTLP receiver takes nothing now; sent again later"
                    );
                }
                self.counters.add(Metric::OtlpRetries, 1);
                let random = self.state.random();
                let delay = self.state.backoff.next(random, after);
                self.state.rest = Some(super::now() + delay);
                if from == From::Memory {
                    self.queue.settled(signal, Some(batch));
                }
            }
        }
    }

    fn done(&mut self, signal: Signal, from: From) {
        match from {
            From::Memory => self.queue.settled(signal, None),
            From::Spool(of) => {
                let mut spools = self.spools.iter_mut();
                if let Some((_, spool)) = spools.find(|(known, _)| *known == of) {
                    spool.pop();
                }
                self.tell_spools();
            }
        }
    }

    fn refused(&self, signal: Signal, records: u64, why: &str) {
        static REFUSED: Repeat = Repeat::new();
        if records == 0 {
            return;
        }
        self.count(signal, Metric::OtlpRefused, records);
        if let Some(repeats) = REFUSED.pass() {
            tracing::warn!(
                signal = signal.name(),
                records,
                why,
                repeats,
                "the OTLP receiver refused records"
            );
        }
    }

    /// Batches of metrics are no records.
    fn count(&self, signal: Signal, metric: Metric, records: u64) {
        if signal != Signal::Metrics {
            self.counters.add(metric, records);
        } else if metric == Metric::OtlpRefused {
            self.counters.add(Metric::OtlpMetricsSkipped, 1);
        }
    }

    fn put_away(&mut self) {
        let told = (&*self.counters, &*self.receiver);
        spool_all(&self.queue, &mut self.spools, told, &mut self.state);
    }

    fn tell_spools(&mut self) {
        for (signal, spool) in &mut self.spools {
            tell_spool(*signal, spool, (&self.counters, &self.receiver));
        }
    }

    /// The sensor stops: what neither the receiver nor the spool takes is lost.
    fn give_up(mut self) {
        self.state.spool_rest = None;
        self.put_away();
        let mut left = 0;
        while let Some(batch) = self.queue.take_records() {
            left += u64::from(batch.records);
        }
        if left > 0 {
            self.counters.add(Metric::OtlpLostStop, left);
            tracing::warn!(
                records = left,
                "the OTLP receiver did not take the last records, and no spool did"
            );
        }
    }
}

/// Moves what waits in memory to disk.
fn spool_all(queue: &Queue, spools: &mut [(Signal, Spool)], told: Told<'_>, state: &mut State) {
    if spools.is_empty() || state.spool_rest.is_some_and(|rest| super::now() < rest) {
        return;
    }
    while let Some(batch) = queue.take_records() {
        let Some((signal, spool)) = spools.iter_mut().find(|(signal, _)| *signal == batch.signal) else {
            return queue.again(batch);
        };
        let pushed = spool.push(&batch);
        tell_spool(*signal, spool, told);
        match pushed {
            Ok(()) => told.0.add(Metric::OtlpSpooled, batch.records.into()),
            Err(error) => {
                static FAILED: Repeat = Repeat::new();
                if let Some(repeats) = FAILED.pass() {
                    tracing::warn!(%error, repeats, "cannot write to the spool; what waits stays in memory");
                }
                told.0.add(Metric::OtlpSpoolFailed, 1);
                state.spool_rest = Some(super::now() + SPOOL_REST);
                return queue.again(batch);
            }
        }
    }
}

/// Where it is told what becomes of records.
type Told<'a> = (&'a Counters, &'a Receiver);

/// Tells what waits in a spool, and counts what it lost.
pub(super) fn tell_spool(signal: Signal, spool: &mut Spool, (counters, receiver): Told<'_>) {
    let waiting = &told_of(receiver, signal).spool;
    waiting.set(spool.bytes(), spool.records(), spool.since_s());
    let lost = spool.take_lost();
    counters.add(Metric::OtlpLostSpool, lost.crowded);
    counters.add(Metric::OtlpLostDamaged, lost.damaged);
}

impl State {
    /// Evenly distributed.
    fn random(&mut self) -> u32 {
        self.drawn += 1;
        let [a, b, c, d, ..] = self.random.hash_one(self.drawn).to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}
