//! The sensor in this process: kernel source and one shard, driven until something was seen.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sensor_common::account::Entry;
use sensor_common::counter::Counter;
use sensor_tests::held::Running;
use sensor_tests::programs::{self, Program};
use sensor_tests::wait::{DEADLINE, Deadline};
use sensor_user::capture::accounts::AccountReader;
use sensor_user::capture::attach::trial;
use sensor_user::capture::coverage::Observer;
use sensor_user::capture::discover::FileIdentity;
use sensor_user::capture::kernel::{Effort, KernelError, KernelSource, Options, monotonic_ns};
use sensor_user::capture::load::LoadError;
use sensor_user::capture::{Notice, Record};
use sensor_user::exchange;
use sensor_user::exchange::secret::HashKey;
use sensor_user::exchange::{Body, Exchange};
use sensor_user::pipeline::{Observed, Settings, Shard};
use sensor_user::telemetry::ledger::{Account, Imbalance, Ledger};
use sensor_user::telemetry::{Counters, Metric};

use crate::tally::Tally;

/// One sensor at a time: tests that run side by side would slow each other past their deadlines.
static ONE: Mutex<()> = Mutex::new(());

/// How long one look at the rings lasts at most.
const LOOK: Duration = Duration::from_millis(20);

/// How long nothing may come before it is believed that nothing more comes: four times the flow stage's patience
/// with a record that is out of order.
const QUIET: Duration = Duration::from_millis(200);

/// A running sensor.
pub(crate) struct Watch {
    source: KernelSource,
    shard: Shard,
    batch: Vec<Record>,
    /// Exchanges in order of completion.
    pub(crate) observed: Vec<Observed>,
    /// What the records account for.
    pub(crate) tally: Tally,
    /// What was told of bytes that nobody saw.
    pub(crate) unseen: Vec<Record>,
    /// Processes whose TLS no probe saw, as often as that was said.
    pub(crate) unhooked: Vec<u32>,
    /// Processes of any record.
    pub(crate) mentioned: HashSet<u32>,
    /// Processes and what was noticed of them.
    pub(crate) notices: Vec<(u32, Notice)>,
    counters: Arc<Counters>,
    accounts: AccountReader,
    _alone: MutexGuard<'static, ()>,
}

/// Options of the tests: no limit, and a ring in which the largest test fits twice.
pub(crate) fn options(tls: &sensor_tests::PrivateTls, pids: &[u32]) -> Options {
    options_for(vec![tls.libssl()], pids)
}

/// The same with other libraries.
pub(crate) fn options_for(libraries: Vec<PathBuf>, pids: &[u32]) -> Options {
    Options {
        pids: pids.to_vec(),
        libraries,
        ring_bytes: 32 * 1024 * 1024,
        message_limit: u64::MAX,
        ..Options::default()
    }
}

/// Skips, aloud, when this machine cannot run the test.
pub(crate) fn able(what: &str, needed: &[Program]) -> bool {
    if let Some(absent) = needed.iter().find_map(|program| program.find().err()) {
        programs::skipped(what, &absent);
        return false;
    }
    if !is_root() {
        programs::skipped(what, &"not root");
        return false;
    }
    true
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A deadline for one step.
pub(crate) fn soon() -> Deadline {
    Deadline::after(DEADLINE)
}

impl Watch {
    /// Starts the sensor; skips, aloud, where root may not use BPF, and fails for any other reason.
    pub(crate) fn start(what: &str, options: &Options) -> Option<Self> {
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = settings();
        let source = match KernelSource::start(options, Arc::clone(&settings.counters)) {
            Ok(source) => source,
            Err(error) if error.is_privilege() => {
                programs::skipped(what, &format_args!("no right to use BPF: {error}"));
                return None;
            }
            Err(KernelError::Load(LoadError::Functions(why))) => {
                programs::skipped(
                    what,
                    &format_args!("this kernel hooks no function: {}", trial::chain(&*why)),
                );
                return None;
            }
            Err(error) => panic!("{what}: the sensor does not start: {error:?}"),
        };
        Some(Self {
            accounts: source.account_reader(),
            notices: Vec::new(),
            counters: Arc::clone(&settings.counters),
            source,
            shard: Shard::new(&settings),
            batch: Vec::new(),
            observed: Vec::new(),
            tally: Tally::default(),
            unseen: Vec::new(),
            unhooked: Vec::new(),
            mentioned: HashSet::new(),
            _alone: alone,
        })
    }

    /// Also watches a process.
    pub(crate) fn also(&mut self, pid: u32) {
        self.source.watch(pid).unwrap();
    }

    /// Takes what is in the rings; gives the number of records.
    pub(crate) fn look(&mut self) -> usize {
        self.source.poll(LOOK, &mut self.batch);
        let count = self.batch.len();
        for record in self.batch.drain(..) {
            self.tally.add(&record);
            if matches!(record, Record::Unseen { .. }) {
                self.unseen.push(record.clone());
            }
            if let Record::Unhooked(event) = &record {
                self.unhooked.push(event.origin.process.pid);
            }
            self.mentioned.insert(record.origin().process.pid);
            self.notices.extend(notice_of(&record));
            self.shard.push(record, &mut self.observed);
        }

        self.shard.tick(monotonic_ns(), &mut self.observed);

        count
    }

    /// Looks until `seen`; fails, with what was seen instead, when it does not come.
    pub(crate) fn until(&mut self, what: &str, mut seen: impl FnMut(&Self) -> bool) {
        let deadline = soon();
        while !seen(self) {
            let closest = self
                .observed
                .iter()
                .rev()
                .take(5)
                .map(describe)
                .collect::<Vec<_>>();
            assert!(
                !deadline.is_over(),
                "waited in vain for {what}; {} exchanges, the last: {closest:#?}; bytes: {:#?}; not probed: {:?}",
                self.observed.len(),
                self.tally,
                self.source.take_failures()
            );
            self.look();
        }
    }

    /// Looks until a program ended, then until nothing more comes.
    pub(crate) fn follow(&mut self, running: Running) -> std::process::Output {
        self.follow_until(running, soon())
    }

    /// As [`Watch::follow`], for a program that takes longer.
    pub(crate) fn follow_until(&mut self, mut running: Running, deadline: Deadline) -> std::process::Output {
        while !running.has_ended().unwrap() {
            assert!(!deadline.is_over(), "the client does not end");
            self.look();
        }
        let output = running.finish(deadline).unwrap();
        self.settle();
        output
    }

    /// Looks until nothing more comes.
    pub(crate) fn settle(&mut self) {
        let deadline = soon();
        let mut quiet = Deadline::after(QUIET);
        while !quiet.is_over() {
            assert!(!deadline.is_over(), "records never end");
            if self.look() > 0 {
                quiet = Deadline::after(QUIET);
            }
        }
    }

    /// Exchanges of a process with that target.
    pub(crate) fn exchanges(&self, pid: u32, target: &str) -> Vec<&Observed> {
        let wanted = |observed: &&Observed| {
            let exchange = &observed.exchange;
            exchange.connection.process.pid == pid && exchange.request.target().expose() == target.as_bytes()
        };
        self.observed.iter().filter(wanted).collect()
    }

    /// The kernel source.
    pub(crate) const fn source(&self) -> &KernelSource {
        &self.source
    }

    /// What attaching has cost.
    pub(crate) fn effort(&self) -> Effort {
        self.source.effort()
    }

    /// A counter of the kernel object.
    pub(crate) fn counter(&self, counter: Counter) -> u64 {
        self.source.counter(counter)
    }

    /// Probes in place.
    pub(crate) fn probes(&self) -> usize {
        self.source.probes()
    }

    /// What could not be probed, and why.
    pub(crate) fn failures(&self) -> Vec<String> {
        self.source.take_failures()
    }

    /// How probes are attached, and which helpers of younger kernels are there.
    pub(crate) fn ways(&self) -> (&'static str, [(&'static str, bool); 4]) {
        (self.source.backend(), self.source.helpers())
    }

    /// The ledger, brought up to date.
    pub(crate) fn ledger(&self) -> &Ledger {
        self.accounts.refresh(self.counters.ledger());
        self.counters.ledger()
    }

    /// For coverage reports on what this sensor sees.
    pub(crate) fn observer(&self) -> Observer {
        Observer::new(self.source.attachments(), self.source.rings())
    }

    /// Whether that file has probes.
    pub(crate) fn is_probed(&self, library: &Path) -> bool {
        let identity = FileIdentity::of(&File::open(library).unwrap()).unwrap();
        let outcome = self.source.attachments().outcome(identity);
        outcome.is_some_and(|placed| placed.is_ok_and(|placed| placed.probes > 0))
    }

    /// The account of a process.
    pub(crate) fn account(&self, pid: u32) -> Account {
        let accounts = self.ledger().accounts();
        let found = accounts.into_iter().find(|account| account.process.pid == pid);
        found.unwrap_or_else(|| panic!("process {pid} has no account"))
    }

    /// Ends every connection and stops the sensor; gives the exchanges. Every byte of every process must be accounted
    /// for by then, and each process's account be part of the kernel object's sums.
    pub(crate) fn stop(mut self) -> Vec<Observed> {
        self.source.detach();
        while self.source.drain_rest(&mut self.batch) > 0 {
            for record in self.batch.drain(..) {
                self.tally.add(&record);
                self.shard.push(record, &mut self.observed);
            }
        }
        self.shard.finish(&mut self.observed);
        let skipped = self.source.skipped_reader();
        let skipped: Vec<_> = skipped.by_program().collect();
        assert!(skipped.is_empty(), "the kernel left out runs of {skipped:?}");
        assert_eq!(self.counters.value(Metric::RecordsMalformed), 0);
        let open: Option<Imbalance> = self.ledger().unbalanced();
        assert_eq!(open, None, "{:#?}", self.ledger().accounts());
        self.assert_sums();
        self.source.stop();
        self.observed
    }

    /// What all accounts hold together is what the kernel object counted as a whole.
    fn assert_sums(&self) {
        let accounts = self.ledger().accounts();
        for (entry, counter) in [
            (Entry::TlsCalls, Counter::TlsCalls),
            (Entry::TlsBytes, Counter::TlsBytes),
            (Entry::SubmittedBytes, Counter::DataBytes),
            (Entry::RingFullBytes, Counter::RingFullBytes),
            (Entry::RingFullRecords, Counter::RingFullRecords),
            (Entry::LimitBytes, Counter::LimitBytes),
            (Entry::FaultBytes, Counter::FaultBytes),
            (Entry::IovecBytes, Counter::IovecBytes),
            (Entry::UnseenBytes, Counter::UnseenBytes),
            (Entry::CipherBytes, Counter::SocketTlsBytes),
            (Entry::UnknownBytes, Counter::SocketUnknownBytes),
        ] {
            let sum: u64 = accounts.iter().map(|account| account.kernel(entry)).sum();
            assert_eq!(sum, self.counter(counter), "{}", entry.name());
        }
    }
}

/// One line for a failure; holds sizes, never content.
pub(crate) fn describe(observed: &Observed) -> String {
    let Exchange {
        connection,
        request,
        outcome,
        ..
    } = &observed.exchange;
    format!(
        "{:?} {:?} {outcome:?} on {connection:?}",
        request.target(),
        request.body
    )
}

/// The captured bytes of a body.
pub(crate) fn bytes(body: &Body) -> Vec<u8> {
    body.pieces
        .iter()
        .flat_map(|piece| piece.0.iter().copied())
        .collect()
}

/// Fails unless the body is whole and its digest is that of `expected`.
pub(crate) fn assert_same(what: &str, body: &Body, expected: &[u8]) {
    assert!(
        body.is_whole(),
        "{what}: {body:?}, {} bytes were sent",
        expected.len()
    );
    assert_eq!(body.total, expected.len() as u64, "{what}");
    assert_eq!(
        blake3::hash(&bytes(body)),
        blake3::hash(expected),
        "{what}: digest of {body:?}"
    );
}

pub(crate) fn settings() -> Settings {
    Settings {
        exchange: exchange::Limits {
            body_bytes: 4 * 1024 * 1024,
            ..exchange::Limits::default()
        },
        ..Settings::new(HashKey::new([7; 32]), Arc::new(Counters::default()))
    }
}

/// What a record says that is no data.
fn notice_of(record: &Record) -> Option<(u32, Notice)> {
    match record {
        Record::Notice(event, notice) => Some((event.origin.process.pid, *notice)),
        _ => None,
    }
}
