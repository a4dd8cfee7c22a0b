//! The sensor about itself: counters with a closed set of names. A leaf: uses nothing else of this crate.
//!
//! Every queue is bounded and every loss is named here. Labels are enum values, never text from outside.

pub mod apiserver;
pub mod contact;
pub mod coverage;
pub mod health;
pub mod ledger;
pub mod log;
pub mod receiver;
pub mod strain;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sensor_common::counter::Counter;

pub use ledger::Ledger;

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What is counted.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(usize)]
        pub enum Metric { $($(#[doc = $doc])+ $variant,)+ }

        impl Metric {
            /// Every metric, in index order.
            pub const ALL: &[Metric] = &[$(Metric::$variant,)+];

            /// Name without prefix, such as `exchanges`.
            pub const fn name(self) -> &'static str {
                match self { $(Metric::$variant => $name,)+ }
            }

            /// What it counts.
            pub const fn help(self) -> &'static str {
                match self { $(Metric::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

metrics! {
    /// Records read from the rings or a recording.
    Records = "records",
    /// Records whose bytes were not a record of this version.
    RecordsMalformed = "records_malformed",
    /// Bytes handed to a protocol parser.
    BytesParsed = "bytes_parsed",
    /// Bytes of streams in which no protocol was recognised.
    BytesUnrecognised = "bytes_unrecognised",
    /// Bytes declared missing: the kernel or the recording says so.
    BytesMissing = "bytes_missing",
    /// Bytes that arrived after their place was declared missing, or twice.
    BytesLate = "bytes_late",
    /// TLS streams whose socket was found by the lengths of records next to their calls.
    SocketsInferred = "sockets_inferred",
    /// TLS streams whose socket stays unknown, because such evidence contradicted itself.
    SocketsContradicted = "sockets_contradicted",
    /// Streams forgotten to make room.
    StreamsEvicted = "streams_evicted",
    /// Connections of which everything that waited was given up, because the connections of a shard held too much: what
    /// follows on them is read as on one joined in its middle.
    ConnectionsShed = "connections_shed",
    /// Connections that are left out, whole, while the sensor is under strain; each time that one is counts.
    StreamsLeftOut = "streams_left_out",
    /// Bytes of connections that are left out while the sensor is under strain.
    BytesLeftOut = "bytes_left_out",
    /// Exchanges completed.
    Exchanges = "exchanges",
    /// Exchanges seen from the client as well as from the server, of which only the server's view is told.
    ExchangesTwice = "exchanges_twice",
    /// Exchanges of which bytes were missing or no response was seen.
    ExchangesPartial = "exchanges_partial",
    /// Responses whose request was not seen or could not be told.
    ResponsesUnpaired = "responses_unpaired",
    /// Departures from a protocol.
    Anomalies = "anomalies",
    /// Findings.
    Findings = "findings",
    /// Findings that were told before: counted, and told again only now and then.
    FindingsRepeated = "findings_repeated",
    /// Findings that the configuration suppresses, told or not.
    FindingsSuppressed = "findings_suppressed",
    /// Incidents that opened.
    Incidents = "incidents",
    /// Incidents that were closed early, because there were too many at a time.
    IncidentsCrowded = "incidents_crowded",
    /// Findings and incidents that were held back, because the budget of the hour was spent.
    AlertsHeld = "alerts_held",
    /// Rules that could not judge an exchange.
    RulesBlind = "rules_blind",
    /// Endpoints not remembered because the inventory was full.
    EndpointsOverflow = "endpoints_overflow",
    /// Exchanges with what is no endpoint: the server did not answer it as existing.
    Probes = "probes",
    /// Callers on probation that were forgotten to make room for new ones.
    CallersForgotten = "callers_forgotten",
    /// Places of messages, and exchanges of endpoints, that schemas had no room for.
    SchemasLeftOut = "schemas_left_out",
    /// Faults of a parser that cost the state of a shard's streams; a defect of the sensor, worth a report.
    ShardPanics = "shard_panics",
    /// Faults of the judge, each of which cost what is concluded from one exchange; a defect of the sensor, worth a report.
    JudgePanics = "judge_panics",
    /// Processes whose accounts did not add up: bytes are nowhere, or counted twice. A fault of the sensor.
    LedgerUnbalanced = "ledger_unbalanced",
    /// Runs of hooks that the kernel left out, because one was under way on the same processor: what they would have told
    /// is lost, and nobody knows of which stream.
    HookRunsSkipped = "hook_runs_skipped",
    /// Events that an exporter could not take in time.
    ExportDropped = "export_dropped",
    // otlp
    /// Log records and spans that the OTLP receiver took.
    OtlpSent = "otlp_sent",
    /// Log records and spans that the OTLP receiver refused for good.
    OtlpRefused = "otlp_refused",
    /// Requests to the OTLP receiver that failed and are made again.
    OtlpRetries = "otlp_retries",
    /// Log records and spans that found no room in memory while the receiver took none.
    OtlpLostMemory = "otlp_lost_memory",
    /// Log records and spans that were written to the spool; those that the receiver took from there are in `otlp_sent`.
    OtlpSpooled = "otlp_spooled",
    /// Log records and spans of an earlier run that waited in the spool at the start.
    OtlpRecovered = "otlp_recovered",
    /// Log records and spans that made room in the spool for newer ones.
    OtlpLostSpool = "otlp_lost_spool",
    /// Log records and spans in the spool that were damaged on disk, as far as it says how many.
    OtlpLostDamaged = "otlp_lost_damaged",
    /// Writes that the spool's directory refused: no room, or read-only. What was to be written waits in memory.
    OtlpSpoolFailed = "otlp_spool_failed",
    /// Log records and spans that neither the receiver nor a spool had taken when the sensor stopped.
    OtlpLostStop = "otlp_lost_stop",
    /// Batches of metrics that newer ones replaced before the receiver took them, or that it refused; sums go on
    /// counting, so that only their times are lost.
    OtlpMetricsSkipped = "otlp_metrics_skipped",
    /// Exchanges that the sampler makes no spans of.
    SpansLeftOut = "spans_left_out",
    /// Exchanges that are no spans because of the bound of a second.
    SpansHeldBack = "spans_held_back",
    // kubernetes
    /// Complete lists of the node's pods that the API server gave.
    PodsListed = "pods_listed",
    /// Failures of watches on the API server: each is tried again, and what is known stays.
    KubernetesFailures = "kubernetes_failures",
    /// Pods, and namespaces with an annotation, that the directory had no room for.
    PodsOverflow = "pods_overflow",
    /// Starts of programs in pods that waited, unwatched, until the directory knew the pod.
    PodsHeld = "pods_held",
    /// Starts of programs in pods that were judged without the directory: the API server was away, or did not tell of the
    /// pod in time. An annotation against being watched was not known.
    PodsUnjudged = "pods_unjudged",
    // configuration
    /// Times that a changed configuration was taken over.
    Reloads = "reloads",
    /// Times that a changed configuration was refused for its mistakes; the one before stayed in force.
    ReloadsRefused = "reloads_refused",
    // store
    /// Flushes of the store put off because the one before was not written yet; what they hold goes with the next.
    StoreSkipped = "store_skipped",
    /// Transactions that the store's file refused: no room, read-only or damaged.
    StoreFailed = "store_failed",
    /// Flushes lost because the store's file refused them for too long.
    StoreLost = "store_lost",
    /// Details of endpoints, and callers, that did not fit into one flush and are missing in the store.
    StoreOverflow = "store_overflow",
    /// Stores that were damaged and moved aside, or deleted or replaced under the sensor.
    StoreDamaged = "store_damaged",
    /// What stages learnt, and schemas, that could not be taken back at the start or were too large to be kept.
    StoreStates = "store_states",
    /// Times that nothing was deleted for its age, because the clock leapt by more than what is kept.
    StoreClock = "store_clock",
}

/// One slot per [`Metric`], and the accounts of each process; shared by reference.
#[derive(Debug)]
pub struct Counters {
    sums: [AtomicU64; Metric::ALL.len()],
    /// By rule: a closed set.
    suppressed: Mutex<BTreeMap<&'static str, u64>>,
    ledger: Ledger,
    strain: strain::Strain,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            sums: std::array::from_fn(|_| AtomicU64::new(0)),
            suppressed: Mutex::default(),
            ledger: Ledger::default(),
            strain: strain::Strain::default(),
        }
    }
}

impl Counters {
    /// The accounts of each process.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// How much is taken on.
    pub const fn strain(&self) -> &strain::Strain {
        &self.strain
    }

    /// Counts a finding of a rule that the configuration suppresses.
    pub fn suppressed(&self, rule: &'static str) {
        self.add(Metric::FindingsSuppressed, 1);
        let mut rules = self.suppressed.lock().unwrap_or_else(PoisonError::into_inner);
        *rules.entry(rule).or_default() += 1;
    }

    /// Suppressed findings by rule.
    pub fn suppressed_by_rule(&self) -> Vec<(&'static str, u64)> {
        let rules = self.suppressed.lock().unwrap_or_else(PoisonError::into_inner);
        rules.iter().map(|(rule, count)| (*rule, *count)).collect()
    }

    /// Adds to a counter.
    pub fn add(&self, metric: Metric, amount: u64) {
        if let Some(slot) = self.sums.get(metric as usize).filter(|_| amount != 0) {
            slot.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// Current value.
    pub fn value(&self, metric: Metric) -> u64 {
        self.sums
            .get(metric as usize)
            .map_or(0, |slot| slot.load(Ordering::Relaxed))
    }
}

/// The kernel object's counters as last read, shared by reference. `app` refreshes them from the map.
#[derive(Debug)]
pub struct KernelCounters([AtomicU64; Counter::ALL.len()]);

impl Default for KernelCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl KernelCounters {
    /// Takes over a value, summed over processors.
    pub fn set(&self, counter: Counter, value: u64) {
        if let Some(slot) = self.0.get(counter as usize) {
            slot.store(value, Ordering::Relaxed);
        }
    }

    /// Last value.
    pub fn value(&self, counter: Counter) -> u64 {
        self.0
            .get(counter as usize)
            .map_or(0, |slot| slot.load(Ordering::Relaxed))
    }
}

/// Both sets of counters, and the report on what is seen.
#[derive(Clone, Default, Debug)]
pub struct Accounts {
    /// Of user space.
    pub sensor: Arc<Counters>,
    /// Of the kernel object.
    pub kernel: Arc<KernelCounters>,
    /// What is seen of each process.
    pub coverage: Arc<coverage::Board>,
    /// Whether the sensor works.
    pub health: Arc<health::Health>,
    /// How things stand with the API server of Kubernetes.
    pub apiserver: Arc<apiserver::ApiServer>,
    /// And with the OTLP receiver.
    pub receiver: Arc<receiver::Receiver>,
}

impl Accounts {
    /// Names and values of user space, in the order of [`Metric::ALL`].
    pub fn of_sensor(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Metric::ALL
            .iter()
            .map(|metric| (metric.name(), self.sensor.value(*metric)))
    }

    /// Names and values of the kernel object, in the order of [`Counter::ALL`].
    pub fn of_kernel(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Counter::ALL
            .iter()
            .map(|counter| (counter.name(), self.kernel.value(*counter)))
    }
}
