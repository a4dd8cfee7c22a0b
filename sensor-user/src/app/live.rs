//! The live sensor: one thread drains the ring, shards parse, one judges, outputs follow.
//!
//! Takes a configuration. Gives exchanges and findings to the outputs until it is told to stop. Never drops between
//! its threads: full channels make the ring wait, where loss is counted. Bounded by `BATCHES` in each channel.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::announce::announce;
use super::books::Books;
use super::governor::Governor;
use super::judge::GuardedJudge;
use super::names::Names;
use super::outputs::Outputs;
use super::shard::Guarded;
use super::{Error, Reread, alerts, installation_key, outputs, reload, settings, stored};
use crate::capture::attach::Backend;
use crate::capture::beyond::Beyond;
use crate::capture::kernel::{Exclude, KernelSource, Options, monotonic_ns};
use crate::capture::{Record, pcapng};
use crate::cli::Exit;
use crate::config::{AttachBackend, Config, Interval, ReturnProbes, TcpHooks, WatchedPods};
use crate::export::{ClockOffset, Event, Snapshot};
use crate::kubernetes::{self, Directory};
use crate::pipeline::{Judge, Observed, Settings};
use crate::telemetry::{Accounts, log};

/// The reader looks at the rings at least this often: wake-ups are only for a filling ring, because one costs the
/// observed program more than the copy.
const IDLE_POLL: Duration = Duration::from_millis(5);
/// How often while there is traffic. Parsing in small portions leaves the processor to others in between: with 5 ms a
/// client on the same core stood still long enough for its server to run dry (85 % of what a counting probe keeps,
/// 93 % with 1 ms).
const BUSY_POLL: Duration = Duration::from_millis(1);
/// Batches waiting for a shard or for the judge. When full the sender waits and the ring takes the pressure.
const BATCHES: usize = 16;
/// How often the judge looks up when nothing arrives.
const TICK: Duration = Duration::from_millis(50);
/// How often the kernel object's counters are read for the metrics outputs.
const REFRESH: Duration = Duration::from_secs(1);
/// Parsing threads at most when the number is left to the sensor: it is a guest on its host.
const MAX_SHARDS: usize = 4;

/// Watches until it is asked to stop, `duration` is over or the output is closed. On SIGHUP the configuration is read
/// again.
pub fn run(config: &Config, duration: Option<Interval>, reread: Reread<'_>) -> Result<(), Error> {
    let accounts = Accounts::default();
    let clock = clock_offset();
    let mut settings = settings(config, &accounts.sensor, installation_key(config)?, clock)?;
    // What is judged and told has the calendar's times.
    let state = Some(config.state.directory.as_path());
    let mut outputs = outputs::start(config, &accounts, ClockOffset::RECORDED, state)?;
    // From the first moment on: unheeded, SIGHUP ends a program, and systemd takes that for a clean end.
    let hung_up = hangups(&outputs.runtime)?;
    settings.pods = kubernetes::start(&config.kubernetes, outputs.runtime.handle(), &accounts);
    // Before capture: reading what was learnt may take longer than the rings hold.
    let store = stored::live(config, settings.key.print(), &accounts.sensor)?;
    let judge = Judge::new(&settings).with_store(store);
    let source = source(config, settings.pods.as_ref(), &accounts)?;
    let asked = signals(&outputs.runtime)?;
    let mut in_force = config.clone();
    announce(config, settings.pods.as_ref(), &source);
    let mut books = Books::new(&source, &accounts);
    let mut governor = Governor::new(&config.limits, source.attaching_thread());
    let stop = Arc::new(AtomicBool::new(false));
    let threads = start_threads(config, &settings, source, &stop)?;
    let end = duration.map(|Interval(duration)| monotonic_ns().saturating_add(nanoseconds(duration)));
    let mut judge = GuardedJudge::new(judge, Arc::clone(&settings.counters));
    let mut next_refresh = 0;
    accounts.health.ready();
    // The end begins with the ring thread, which detaches; what it still gave runs through the shards to here, and
    // the channel closes behind it.
    loop {
        if asked.load(Ordering::Relaxed) || over(end) || outputs.sink.has_ended() {
            stop.store(true, Ordering::Relaxed);
        }
        if hung_up.swap(false, Ordering::Relaxed)
            && let Some((next, schema)) = reload::reload(&in_force, reread, &accounts.sensor)
        {
            settings.schema.replace(schema);
            take_over(&next, &mut judge, &mut outputs, &mut governor);
            in_force = next;
        }
        match threads.observed.recv_timeout(TICK) {
            Ok(batch) => {
                let now = monotonic_ns();
                for observed in batch {
                    judge.take(observed, now, &mut |event| outputs.sink.send(event));
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        accounts.health.sign();
        let now = monotonic_ns();
        judge.tick(now, &mut |event| outputs.sink.send(event));
        if now >= next_refresh {
            next_refresh = now.saturating_add(nanoseconds(REFRESH));
            books.refresh(now);
            governor.look(&accounts, now);
        }
    }
    judge.finish(&mut |event| outputs.sink.send(event));
    let whole = threads.join();
    books.close(monotonic_ns());
    outputs.sink.send(Event::Accounts(Box::new(Snapshot::take(
        &accounts,
        clock.unix_ns(monotonic_ns()),
    ))));
    outputs.sink.finish();
    if whole { Ok(()) } else { Err(Error::Panicked) }
}

/// What a running sensor takes of a configuration that was read again.
fn take_over(next: &Config, judge: &mut GuardedJudge, outputs: &mut Outputs, governor: &mut Governor) {
    judge.decide(alerts(next));
    outputs.sink.filter(outputs::filter(next));
    governor.limit(&next.limits);
    // Levels are checked where the configuration is read.
    log::change(&next.output.log).ok();
}

/// Writes what is captured, in plaintext, to a new file.
pub fn record(config: &Config, path: &Path, duration: Option<Interval>) -> Result<(), Error> {
    let accounts = Accounts::default();
    let clock = clock_offset();
    let mut writer = pcapng::create(path, clock.unix_ns(0))?;
    let runtime = outputs::runtime()?;
    // Whose annotation forbids it is not recorded either.
    let pods = kubernetes::start(&config.kubernetes, runtime.handle(), &accounts);
    let mut source = source(config, pods.as_ref(), &accounts)?;
    let asked = signals(&runtime)?;
    announce(config, pods.as_ref(), &source);
    let end = duration.map(|Interval(duration)| monotonic_ns().saturating_add(nanoseconds(duration)));
    let mut records = Vec::new();
    let mut names = Names::default();
    let mut write = |records: &mut Vec<Record>| -> Result<(), Error> {
        for record in records.drain(..) {
            for told in names.of(&record).into_iter().flatten() {
                writer.write(&told)?;
            }
            writer.write(&record)?;
        }
        Ok(())
    };
    while !over(end) && !asked.load(Ordering::Relaxed) {
        source.poll(IDLE_POLL, &mut records);
        write(&mut records)?;
    }
    source.detach();
    while source.drain_rest(&mut records) > 0 {
        write(&mut records)?;
    }
    writer.finish()?;
    Ok(())
}

/// The running capture.
pub(super) fn source(
    config: &Config,
    pods: Option<&Arc<Directory>>,
    accounts: &Accounts,
) -> Result<KernelSource, Error> {
    Ok(KernelSource::start(
        &options(config, pods),
        Arc::clone(&accounts.sensor),
    )?)
}

/// What the kernel source is told.
pub(super) fn options(config: &Config, pods: Option<&Arc<Directory>>) -> Options {
    let watch = &config.watch;
    let everyone = watch.pid.is_empty()
        && watch.comm.is_empty()
        && watch.exe.is_empty()
        && watch.cgroup.is_empty()
        && watch.container.is_empty()
        && watch.label.is_empty()
        && pods.is_none_or(|pods| pods.watched() != WatchedPods::Annotated);
    let bytes = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
    Options {
        pids: watch.pid.clone(),
        comms: watch.comm.clone(),
        exes: watch.exe.clone(),
        cgroups: watch.cgroup.clone(),
        containers: watch.container.clone(),
        labels: watch.label.clone(),
        exclude: Exclude {
            comms: watch.exclude_comm.clone(),
            exes: watch.exclude_exe.clone(),
            cgroups: watch.exclude_cgroup.clone(),
            containers: watch.exclude_container.clone(),
            labels: watch.exclude_label.clone(),
        },
        pods: pods.map(Arc::clone),
        everyone,
        libraries: config.capture.libraries.clone(),
        ring_bytes: bytes(config.capture.ring_bytes.0),
        control_ring_bytes: bytes(config.capture.control_ring_bytes.0),
        message_limit: config.capture.body_limit.0,
        call_limit: config.capture.call_limit.0,
        streams: config.capture.stream_entries,
        backend: match config.capture.attach_backend {
            AttachBackend::Auto => Backend::Auto,
            AttachBackend::Multi => Backend::Multi,
            AttachBackend::Perf => Backend::Perf,
        },
        return_probes: config.capture.return_probes == ReturnProbes::Auto,
        use_bpf_loop: true,
        beyond: match config.capture.tcp_hooks {
            TcpHooks::Auto => Beyond::Auto,
            TcpHooks::Never => Beyond::Off,
        },
        ..Options::default()
    }
}

struct Threads {
    ring: JoinHandle<()>,
    shards: Vec<JoinHandle<()>>,
    observed: Receiver<Vec<Observed>>,
}

impl Threads {
    /// Waits for every thread; whether each ended by itself.
    fn join(self) -> bool {
        let mut whole = true;
        for thread in self.shards.into_iter().chain([self.ring]) {
            whole &= thread.join().is_ok();
        }
        whole
    }
}

fn start_threads(
    config: &Config,
    settings: &Settings,
    source: KernelSource,
    stop: &Arc<AtomicBool>,
) -> Result<Threads, Error> {
    let start = |what| move |source| Error::Start { what, source };
    let (judge, observed) = sync_channel(BATCHES);
    let (mut shards, mut inboxes) = (Vec::new(), Vec::new());
    for number in 0..shard_count(config) {
        let (to_shard, inbox) = sync_channel(BATCHES);
        let (judge, shard) = (judge.clone(), Guarded::new(settings));
        let thread = thread::Builder::new()
            .name(format!("shard-{number}"))
            .spawn(move || shard.run(&inbox, &judge))
            .map_err(start("a parsing thread"))?;
        shards.push(thread);
        inboxes.push(to_shard);
    }
    let stop = Arc::clone(stop);
    let ring = thread::Builder::new()
        .name("ring".to_owned())
        .spawn(move || run_ring(source, &inboxes, &stop))
        .map_err(start("the ring thread"))?;
    Ok(Threads {
        ring,
        shards,
        observed,
    })
}

fn shard_count(config: &Config) -> usize {
    match config.limits.shards {
        0 => thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, MAX_SHARDS)),
        chosen => usize::from(chosen),
    }
}

/// Drains the rings until the end, detaches, and drains what is left.
fn run_ring(mut source: KernelSource, shards: &[SyncSender<Vec<Record>>], stop: &AtomicBool) {
    let mut records = Vec::new();
    let mut router = Router::new(shards);
    let mut pause = IDLE_POLL;
    while !stop.load(Ordering::Relaxed) {
        let many = source.poll(pause, &mut records);
        pause = if many > 0 { BUSY_POLL } else { IDLE_POLL };
        if router.route(&mut records).is_err() {
            return;
        }
    }
    source.detach();
    while source.drain_rest(&mut records) > 0 {
        if router.route(&mut records).is_err() {
            return;
        }
    }
}

/// Hands each record to the shard of its stream, and what happens to a process to all.
struct Router<'a> {
    shards: &'a [SyncSender<Vec<Record>>],
    batches: Vec<Vec<Record>>,
    names: Names,
}

impl<'a> Router<'a> {
    fn new(shards: &'a [SyncSender<Vec<Record>>]) -> Self {
        Self {
            shards,
            batches: shards.iter().map(|_| Vec::new()).collect(),
            names: Names::default(),
        }
    }

    /// An error means that the shards are gone.
    fn route(&mut self, records: &mut Vec<Record>) -> Result<(), SendError<Vec<Record>>> {
        for record in records.drain(..) {
            for told in self.names.of(&record).into_iter().flatten() {
                for batch in &mut self.batches {
                    batch.push(told.clone());
                }
            }
            let many = self.batches.len().max(1) as u64;
            match record.stream() {
                Some(stream) => {
                    let shard = usize::try_from(stream.spread() % many).unwrap_or(0);
                    if let Some(batch) = self.batches.get_mut(shard) {
                        batch.push(record);
                    }
                }
                None => {
                    for batch in &mut self.batches {
                        batch.push(record.clone());
                    }
                }
            }
        }
        for (batch, shard) in self.batches.iter_mut().zip(self.shards) {
            if !batch.is_empty() {
                shard.send(std::mem::take(batch))?;
            }
        }
        Ok(())
    }
}

/// A flag that SIGINT and SIGTERM raise; the second of them ends the process.
fn signals(runtime: &tokio::runtime::Runtime) -> Result<Arc<AtomicBool>, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let refused = |source: io::Error| Error::Start {
        what: "signal handling",
        source,
    };
    let asked = Arc::new(AtomicBool::new(false));
    let context = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(refused)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(refused)?;
    drop(context);
    let raised = Arc::clone(&asked);
    runtime.spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        raised.store(true, Ordering::Relaxed);
        // Asked again while an output does not take what it is given: go at once. The kernel takes the probes out.
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(i32::from(Exit::Failure as u8));
    });
    Ok(asked)
}

/// Raised whenever the configuration is to be read again.
fn hangups(runtime: &tokio::runtime::Runtime) -> Result<Arc<AtomicBool>, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let _context = runtime.enter();
    let mut hangup = signal(SignalKind::hangup()).map_err(|source| Error::Start {
        what: "signal handling",
        source,
    })?;
    let asked = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&asked);
    runtime.spawn(async move {
        while hangup.recv().await.is_some() {
            raised.store(true, Ordering::Relaxed);
        }
    });
    Ok(asked)
}

fn over(end_ns: Option<u64>) -> bool {
    end_ns.is_some_and(|end| monotonic_ns() >= end)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "calendar time enters here, once")]
fn clock_offset() -> ClockOffset {
    let now = std::time::SystemTime::now();
    let unix = now.duration_since(std::time::UNIX_EPOCH).map_or(0, nanoseconds);
    ClockOffset::between(monotonic_ns(), unix)
}
