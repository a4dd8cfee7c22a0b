//! Fan-out of events to the outputs, through the output filters.
//!
//! Takes events from one thread. Gives each output its own bounded queue and thread. When a queue is full the event is
//! dropped for that output and counted as [`Metric::ExportDropped`]: the pipeline never waits for an output.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use super::{Event, Exporter, Summary};
use crate::incident::Incident;
use crate::inventory::EndpointRef;
use crate::telemetry::{Counters, Metric};

/// Which events are shown. An empty list lets everything through.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    /// Either end of the connection has one of these ports.
    pub ports: Vec<u16>,
    /// The template begins with one of these, at the end of a segment.
    pub paths: Vec<String>,
}

impl Filter {
    /// Whether an exchange is shown.
    pub fn passes(&self, call: &Summary) -> bool {
        let ends = [call.connection.local, call.connection.remote];
        let port = self.ports.is_empty() || ends.iter().flatten().any(|(_, port)| self.ports.contains(port));
        port && (self.paths.is_empty()
            || self
                .paths
                .iter()
                .any(|path| begins(&call.endpoint.template, path)))
    }
}

impl Filter {
    /// Whether an incident is shown: it is about an endpoint that is.
    fn passes_incident(&self, incident: &Incident) -> bool {
        let shown = |endpoint: &EndpointRef| self.paths.iter().any(|path| begins(&endpoint.template, path));
        self.paths.is_empty() || incident.endpoints.iter().any(shown)
    }
}

fn begins(template: &str, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    template
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Time an output has at the end to write what it holds.
const FINISH: Duration = Duration::from_secs(5);

/// Every output.
#[derive(Debug)]
pub struct Sink {
    filter: Filter,
    queues: Vec<Queue>,
    counters: Arc<Counters>,
    passing: bool,
}

impl Sink {
    /// A sink without outputs.
    pub const fn new(filter: Filter, counters: Arc<Counters>) -> Self {
        Self {
            filter,
            queues: Vec::new(),
            counters,
            passing: true,
        }
    }

    /// Shows other events from now on.
    pub fn filter(&mut self, filter: Filter) {
        self.filter = filter;
    }

    /// Adds an output with a queue of that many events.
    pub fn add(&mut self, exporter: impl Exporter, capacity: usize) -> io::Result<()> {
        self.queues
            .push(Queue::start(exporter, capacity, Arc::clone(&self.counters))?);
        Ok(())
    }

    /// Tells every output. A finding follows its exchange at once ([`crate::export`]'s caller sees to that) and is
    /// shown when that exchange was.
    pub fn send(&mut self, event: Event) {
        let Some(event) = self.shown(event) else { return };
        for queue in &self.queues {
            if !queue.offer(&event) {
                self.counters.add(Metric::ExportDropped, 1);
            }
        }
    }

    /// Tells every output and waits for those that are behind: for a replay, which nobody else waits for.
    pub fn send_waiting(&mut self, event: Event) {
        let Some(event) = self.shown(event) else { return };
        for queue in &self.queues {
            queue.offer_waiting(&event);
        }
    }

    /// A finding follows its exchange at once and is shown when that exchange was.
    fn shown(&mut self, event: Event) -> Option<Arc<Event>> {
        if let Event::Exchange(call) = &event {
            self.passing = self.filter.passes(call);
        }
        let passes = match &event {
            Event::Exchange(_) | Event::Finding(_) => self.passing,
            Event::Incident(incident) => {
                let port = self.filter.ports.is_empty() || self.passing;
                port && self.filter.passes_incident(incident)
            }
            Event::Held(_) | Event::Accounts(_) => true,
        };
        passes.then(|| Arc::new(event))
    }

    /// Whether an output has ended by itself: standard output was closed, for instance.
    pub fn has_ended(&self) -> bool {
        self.queues.iter().any(|queue| queue.thread.is_finished())
    }

    /// Lets every output write what it holds. Events that are still waiting after a few seconds are counted.
    pub fn finish(self) {
        let ending: Vec<_> = self.queues.into_iter().map(Queue::close).collect();
        for (name, done) in ending {
            if done.recv_timeout(FINISH) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!(
                    output = name,
                    "gave up waiting for an output that does not take what it is given"
                );
            }
        }
    }
}

#[derive(Debug)]
struct Queue {
    name: &'static str,
    to: SyncSender<Arc<Event>>,
    done: Receiver<()>,
    thread: thread::JoinHandle<()>,
}

impl Queue {
    fn start(mut exporter: impl Exporter, capacity: usize, counters: Arc<Counters>) -> io::Result<Self> {
        let name = exporter.name();
        // Full: the event is dropped and counted by `Sink::send`.
        let (to, from) = sync_channel(capacity);
        let (ended, done) = sync_channel(1);
        let thread = thread::Builder::new()
            .name(format!("export-{name}"))
            .spawn(move || {
                if let Err(error) = drain(&from, &mut exporter) {
                    let lost = 1 + from.try_iter().count() as u64;
                    counters.add(Metric::ExportDropped, lost);
                    tracing::info!(output = name, %error, "output ended");
                }
                exporter.finish();
                drop(exporter);
                let _sink_gave_up = ended.send(()).is_err();
            })?;
        Ok(Self {
            name,
            to,
            done,
            thread,
        })
    }

    fn offer(&self, event: &Arc<Event>) -> bool {
        self.to.try_send(Arc::clone(event)).is_ok()
    }

    fn offer_waiting(&self, event: &Arc<Event>) {
        // Fails only when the output has ended, which `has_ended` tells.
        self.to.send(Arc::clone(event)).ok();
    }

    fn close(self) -> (&'static str, Receiver<()>) {
        (self.name, self.done)
    }
}

fn drain(from: &Receiver<Arc<Event>>, exporter: &mut impl Exporter) -> io::Result<()> {
    loop {
        let next = match from.try_recv() {
            Err(TryRecvError::Empty) => {
                exporter.rest()?;
                from.recv().ok()
            }
            next => next.ok(),
        };
        let Some(event) = next else { return Ok(()) };
        exporter.export(&event)?;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::capture::Role;
    use crate::export::sample;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<&'static str>>>);

    impl Exporter for Kept {
        fn name(&self) -> &'static str {
            "kept"
        }
        fn export(&mut self, event: &Arc<Event>) -> io::Result<()> {
            self.0.lock().unwrap().push(crate::export::field::kind(event));
            Ok(())
        }
    }

    /// Takes nothing until the gate opens.
    struct Stuck(Receiver<()>);

    impl Exporter for Stuck {
        fn name(&self) -> &'static str {
            "stuck"
        }
        fn export(&mut self, _event: &Arc<Event>) -> io::Result<()> {
            self.0.recv().map_err(io::Error::other)
        }
    }

    fn sent(filter: Filter) -> Vec<&'static str> {
        let kept = Kept::default();
        let mut sink = Sink::new(filter, Arc::default());
        sink.add(kept.clone(), 100).unwrap();
        for event in sample::events() {
            sink.send(event);
        }
        sink.finish();
        Arc::try_unwrap(kept.0).unwrap().into_inner().unwrap()
    }

    #[test]
    fn everything_passes_without_a_filter() {
        assert_eq!(sent(Filter::default()).len(), sample::events().len());
    }

    #[test]
    fn a_finding_follows_its_exchange() {
        let filter = Filter {
            ports: vec![443],
            paths: vec!["/users/".to_owned()],
        };
        assert_eq!(sent(filter).len(), sample::events().len());
        assert_eq!(
            sent(Filter {
                ports: vec![80],
                ..Filter::default()
            }),
            ["held", "accounts"]
        );
        assert_eq!(
            sent(Filter {
                paths: vec!["/user".to_owned()],
                ..Filter::default()
            }),
            ["held", "accounts"]
        );
    }

    #[test]
    fn a_path_ends_with_a_segment() {
        let call = sample::summary(Role::Client);
        for (path, passes) in [
            ("/users", true),
            ("/", true),
            ("/users/{id}", true),
            ("/users/{id}/a", false),
        ] {
            let filter = Filter {
                paths: vec![path.to_owned()],
                ..Filter::default()
            };
            assert_eq!(filter.passes(&call), passes, "{path}");
        }
    }

    #[test]
    fn a_full_queue_drops_counts_and_never_waits() {
        let (gate, closed) = sync_channel(0);
        let counters = Arc::<Counters>::default();
        let mut sink = Sink::new(Filter::default(), Arc::clone(&counters));
        sink.add(Stuck(closed), 2).unwrap();
        let kept = Kept::default();
        sink.add(kept.clone(), 100).unwrap();
        for _ in 0..10 {
            sink.send(Event::Exchange(sample::summary(Role::Client)));
        }
        let dropped = counters.value(Metric::ExportDropped);
        assert!(
            (7..=8).contains(&dropped),
            "2 wait and at most 1 is being taken: {dropped}"
        );
        drop(gate);
        sink.finish();
        assert_eq!(kept.0.lock().unwrap().len(), 10, "the other output has all");
    }

    #[test]
    fn an_output_that_ends_is_noticed() {
        let (gate, closed) = sync_channel(0);
        drop(gate);
        let mut sink = Sink::new(Filter::default(), Arc::default());
        sink.add(Stuck(closed), 2).unwrap();
        assert!(!sink.has_ended());
        sink.send(Event::Exchange(sample::summary(Role::Client)));
        for _ in 0..500 {
            if sink.has_ended() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("not noticed within 5 s");
    }
}
