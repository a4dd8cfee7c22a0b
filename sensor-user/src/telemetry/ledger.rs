//! The ledger: what became of every byte of every process, stage by stage, and whether it adds up.
//!
//! Takes additions from the stages and the kernel object's accounts. Gives [`Account`]s and, where an equation does not
//! hold, an [`Imbalance`]. Never remembers more than [`PROCESSES`] processes: the others share one account.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use sensor_common::account::{self, ENTRIES, Entry, MAX_ACCOUNTS};

mod equation;

pub use equation::{Equation, Imbalance};

/// Processes with an account of their own: as many as the kernel object has accounts for.
pub const PROCESSES: usize = MAX_ACCOUNTS as usize;

/// A process, safe against reuse of its id. All zero: every process without an account of its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Key {
    /// Process id in the initial namespace.
    pub pid: u32,
    /// Start in nanoseconds since boot; 0 when unknown.
    pub start_ns: u64,
}

impl Key {
    /// The account that is shared by every process for which there was no room.
    pub const OTHERS: Self = Self { pid: 0, start_ns: 0 };
}

macro_rules! posts {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What user space counts of one process. All but the records are bytes.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(usize)]
        pub enum Post { $($(#[doc = $doc])+ $variant,)+ }

        impl Post {
            /// Every post, in index order.
            pub const ALL: &[Post] = &[$(Post::$variant,)+];

            /// Name in metrics and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Post::$variant => $name,)+ }
            }

            /// What it counts, as documented here.
            pub const fn help(self) -> &'static str {
                match self { $(Post::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

posts! {
    /// Data records that reached the flow stage.
    ReceivedRecords = "received_records",
    /// Bytes in those records.
    ReceivedBytes = "received_bytes",
    /// Bytes handed on in the order of their positions.
    OrderedBytes = "ordered_bytes",
    /// Bytes that arrived after their place was declared missing, or twice.
    LateBytes = "late_bytes",
    /// Bytes that wait for earlier ones now.
    HeldBytes = "held_bytes",
    /// Bytes that waited for earlier ones when a parsing thread failed.
    AbandonedBytes = "abandoned_bytes",
    /// Bytes of connections that were left out, because the sensor was under strain.
    LeftOutBytes = "left_out_bytes",
    /// Bytes of streams forgotten before their end, to make room or by a fault: what follows seems to miss them.
    ForgottenBytes = "forgotten_bytes",
    /// Bytes missing because of the policy's limit.
    MissingLimit = "missing_limit",
    /// Bytes missing because their page was not resident.
    MissingFault = "missing_fault",
    /// Bytes missing because a call had too many `iovec` elements.
    MissingIovecs = "missing_iovecs",
    /// Bytes missing because they were moved inside the kernel.
    MissingUnseen = "missing_unseen",
    /// Bytes missing because a record was lost.
    MissingLost = "missing_lost",
    /// Bytes parsed as heads of messages.
    HeadBytes = "head_bytes",
    /// Bytes parsed as bodies of messages, their framing included.
    BodyBytes = "body_bytes",
    /// Bytes in which no protocol was recognised.
    UnrecognisedBytes = "unrecognised_bytes",
    /// Bytes of a protocol that is recognised and not read: TLS inside the stream.
    OpaqueBytes = "opaque_bytes",
    /// Bytes behind a CONNECT or an upgrade.
    TunnelBytes = "tunnel_bytes",
    /// Bytes passed over between messages, or while a parser looks for the next one behind a hole.
    SkippedBytes = "skipped_bytes",
    /// Bytes that broke their protocol.
    RejectedBytes = "rejected_bytes",
    /// Bytes of a message's front whose rest is missing.
    CutBytes = "cut_bytes",
    /// Bytes in the hands of a parser when its thread failed.
    FaultedBytes = "faulted_bytes",
    /// Bytes that wait for the rest of a message's front now.
    WaitingBytes = "waiting_bytes",
}

const POSTS: usize = Post::ALL.len();

/// What becomes of bytes that were handed on: parsed, and not parsed for a reason.
const FATES: [Post; 10] = [
    Post::FaultedBytes,
    Post::HeadBytes,
    Post::BodyBytes,
    Post::UnrecognisedBytes,
    Post::OpaqueBytes,
    Post::TunnelBytes,
    Post::SkippedBytes,
    Post::RejectedBytes,
    Post::CutBytes,
    Post::WaitingBytes,
];

/// Bytes that user space finds missing.
const MISSING: [Post; 5] = [
    Post::MissingLimit,
    Post::MissingFault,
    Post::MissingIovecs,
    Post::MissingUnseen,
    Post::MissingLost,
];

/// What becomes of the calls that fired.
const CALL_FATES: [Entry; 4] = [
    Entry::WholeCalls,
    Entry::PartCalls,
    Entry::CipherCalls,
    Entry::UnknownCalls,
];

/// Bytes that the kernel object left alone.
const FILTERED: [Entry; 2] = [Entry::CipherBytes, Entry::UnknownBytes];

/// Bytes that the kernel object could not submit.
const LOST: [Entry; 6] = [
    Entry::RingFullBytes,
    Entry::FaultBytes,
    Entry::LimitBytes,
    Entry::IovecBytes,
    Entry::UnseenBytes,
    Entry::NoStreamBytes,
];

/// User space's posts of one process, added to by the streams that hold it.
#[derive(Debug, Default)]
pub struct Tally([AtomicU64; POSTS]);

impl Tally {
    /// Adds to a post.
    pub fn add(&self, post: Post, amount: u64) {
        if let Some(slot) = self.0.get(post as usize).filter(|_| amount != 0) {
            slot.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// Moves a post that says how much is waiting now.
    pub fn shift(&self, post: Post, from: usize, to: usize) {
        self.add(post, (to as u64).wrapping_sub(from as u64));
    }

    fn values(&self) -> [u64; POSTS] {
        std::array::from_fn(|index| self.0.get(index).map_or(0, |slot| slot.load(Ordering::Relaxed)))
    }
}

/// The account of one process at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The process.
    pub process: Key,
    /// Its name, padded with zero bytes; all zero when it is not known.
    pub comm: [u8; 16],
    /// It has ended.
    pub ended: bool,
    kernel: Option<[u64; ENTRIES]>,
    user: [u64; POSTS],
}

impl Account {
    /// What the kernel object counted; 0 where there is none, as in a replay.
    pub fn kernel(&self, entry: Entry) -> u64 {
        self.kernel
            .and_then(|values| values.get(entry as usize).copied())
            .unwrap_or(0)
    }

    /// What user space counted.
    pub fn user(&self, post: Post) -> u64 {
        self.user.get(post as usize).copied().unwrap_or(0)
    }

    /// Bytes of calls that fired.
    pub fn fired_bytes(&self) -> u64 {
        self.kernel(Entry::TlsBytes)
            .saturating_add(self.kernel(Entry::SocketBytes))
    }

    /// Bytes that were to be captured and were not submitted, for whatever reason.
    pub fn uncaptured_bytes(&self) -> u64 {
        self.sum_kernel(&LOST)
    }

    /// Bytes parsed as heads and bodies.
    pub fn parsed_bytes(&self) -> u64 {
        self.sum(&[Post::HeadBytes, Post::BodyBytes])
    }

    /// Whether the kernel object noticed that: one of [`notice`](sensor_common::account::notice).
    pub fn noticed(&self, notice: u16) -> bool {
        self.kernel(Entry::Notices) & u64::from(notice) != 0
    }

    /// The kernel object and user space have different processes among their others, so these cannot be compared.
    fn own_kernel(&self) -> Option<&[u64; ENTRIES]> {
        self.kernel.as_ref().filter(|_| self.process != Key::OTHERS)
    }

    fn sum(&self, posts: &[Post]) -> u64 {
        posts
            .iter()
            .fold(0, |sum, post| sum.wrapping_add(self.user(*post)))
    }

    fn sum_kernel(&self, entries: &[Entry]) -> u64 {
        entries
            .iter()
            .fold(0, |sum, entry| sum.wrapping_add(self.kernel(*entry)))
    }

    /// Both sides of an equation; `None` where it does not apply.
    fn sides(&self, equation: Equation) -> Option<(u64, u64)> {
        let calls = [Entry::TlsCalls, Entry::SocketCalls];
        Some(match equation {
            Equation::Calls => (self.sum_kernel(&calls), self.sum_kernel(&CALL_FATES)),
            Equation::Bytes => (
                self.fired_bytes(),
                self.kernel(Entry::SubmittedBytes)
                    .wrapping_add(self.sum_kernel(&FILTERED))
                    .wrapping_add(self.uncaptured_bytes()),
            ),
            Equation::Ring => {
                self.own_kernel()?;
                (self.kernel(Entry::SubmittedBytes), self.user(Post::ReceivedBytes))
            }
            Equation::Order => (
                self.user(Post::ReceivedBytes),
                self.sum(&[
                    Post::OrderedBytes,
                    Post::LateBytes,
                    Post::HeldBytes,
                    Post::AbandonedBytes,
                    Post::LeftOutBytes,
                ]),
            ),
            Equation::Parsing => (self.user(Post::OrderedBytes), self.sum(&FATES)),
            Equation::Missing => {
                self.own_kernel()?;
                // What came late had been declared missing.
                let again = self.sum(&[Post::LateBytes, Post::ForgottenBytes]);
                let known = self.uncaptured_bytes().wrapping_add(again);
                let missing = self.sum(&MISSING);
                // A loss at the very end of a stream shows at its next record or its close, if ever.
                (known.max(missing), known)
            }
        })
    }

    /// The first equation that does not hold.
    pub fn unbalanced(&self) -> Option<Imbalance> {
        Equation::ALL.into_iter().find_map(|equation| {
            let (left, right) = self.sides(equation)?;
            (left != right).then_some(Imbalance {
                process: self.process,
                equation,
                left,
                right,
            })
        })
    }
}

#[derive(Debug, Default)]
struct Row {
    user: Arc<Tally>,
    kernel: Option<[u64; ENTRIES]>,
    /// Of processes that made room, in the row of all others.
    folded: Option<[u64; ENTRIES]>,
    ended: bool,
    /// As it was at the last check, and since when it has been so.
    checked: Option<([u64; ENTRIES], [u64; POSTS])>,
    since_ns: u64,
    /// Told of already.
    told: bool,
}

impl Row {
    fn account(&self, process: Key) -> Account {
        let mut kernel = self.kernel;
        if let Some(folded) = &self.folded {
            add(kernel.get_or_insert([0; ENTRIES]), folded);
        }
        Account {
            process,
            comm: [0; 16],
            ended: self.ended,
            kernel,
            user: self.user.values(),
        }
    }
}

/// Names remembered: of every process that has an account, and of as many that may get one when they are read next.
const NAMES: usize = 2 * PROCESSES;

/// After so long a process is at rest, by the time of what was taken from the ring: where the sensor is behind, what a
/// process sent before it ended waits there, and then a while for its shard.
const REST_NS: u64 = 10_000_000_000;

/// The accounts of all processes.
#[derive(Debug, Default)]
pub struct Ledger {
    rows: Mutex<FxHashMap<Key, Row>>,
    names: Mutex<FxHashMap<Key, [u8; 16]>>,
    /// Monotonic time up to which the ring was emptied.
    emptied_ns: AtomicU64,
}

impl Ledger {
    /// Everything that was captured up to that time, by the monotonic clock, was taken from the ring.
    pub fn emptied(&self, until_ns: u64) {
        self.emptied_ns.store(until_ns, Ordering::Relaxed);
    }

    /// The posts of a process, for a stream to keep.
    pub fn tally(&self, process: Key) -> Arc<Tally> {
        let mut rows = self.rows();
        let process = place(&mut rows, process);
        Arc::clone(&rows.entry(process).or_default().user)
    }

    /// Takes over what the kernel object counted of a process so far.
    pub fn set_kernel(&self, process: Key, values: [u64; ENTRIES]) {
        let mut rows = self.rows();
        let placed = place(&mut rows, process);
        let row = rows.entry(placed).or_default();
        if placed == process {
            row.kernel = Some(values);
        }
    }

    /// The process ended: its account is the first to make room.
    pub fn end(&self, process: Key) {
        if let Some(row) = self.rows().get_mut(&process) {
            row.ended = true;
        }
    }

    /// Names a process; a short one is gone before its account is read.
    pub fn name(&self, process: Key, comm: [u8; 16]) {
        let mut names = self.names();
        if names.len() >= NAMES {
            let rows = self.rows();
            names.retain(|process, _| rows.contains_key(process));
        }
        names.insert(process, comm);
    }

    /// Processes with an account and without a name.
    pub fn nameless(&self) -> Vec<Key> {
        let names = self.names();
        let rows = self.rows();
        let nameless = |process: &&Key| **process != Key::OTHERS && !names.contains_key(process);
        rows.keys().filter(nameless).copied().collect()
    }

    /// Every account, in the order of process ids; that of all others comes first, where there is one.
    pub fn accounts(&self) -> Vec<Account> {
        let names = self.names();
        let rows = self.rows();
        let account = |(process, row): (&Key, &Row)| Account {
            comm: names.get(process).copied().unwrap_or_default(),
            ..row.account(*process)
        };
        let mut accounts: Vec<Account> = rows.iter().map(account).collect();
        accounts.sort_unstable_by_key(|account| account.process);
        accounts
    }

    /// The first equation that does not hold, when nothing is under way any more.
    pub fn unbalanced(&self) -> Option<Imbalance> {
        self.accounts().iter().find_map(Account::unbalanced)
    }

    /// Equations that do not hold of processes that have been at rest for [`REST_NS`]. Each process is told of once.
    /// While bytes are under way, the figures are read one after the other and need not agree.
    pub fn check(&self, now_ns: u64) -> Vec<Imbalance> {
        let emptied_ns = self.emptied_ns.load(Ordering::Relaxed);
        let mut found = Vec::new();
        for (process, row) in self.rows().iter_mut() {
            let now = (row.kernel.unwrap_or_default(), row.user.values());
            if row.checked.as_ref() != Some(&now) {
                row.checked = Some(now);
                row.since_ns = now_ns;
            }
            if emptied_ns.saturating_sub(row.since_ns) >= REST_NS
                && !row.told
                && let Some(imbalance) = row.account(*process).unbalanced()
            {
                row.told = true;
                found.push(imbalance);
            }
        }
        found
    }

    /// Always before `rows` where both are held.
    fn names(&self) -> MutexGuard<'_, FxHashMap<Key, [u8; 16]>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self) -> MutexGuard<'_, FxHashMap<Key, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key under which a process is counted. One that ended, and of which no stream is left, makes room.
fn place(rows: &mut FxHashMap<Key, Row>, process: Key) -> Key {
    if rows.len() < PROCESSES || rows.contains_key(&process) {
        return process;
    }
    let gone = |row: &Row| row.ended && Arc::strong_count(&row.user) == 1;
    let Some(oldest) = rows
        .iter()
        .filter(|(_, row)| gone(row))
        .map(|(key, _)| *key)
        .min_by_key(|key| key.start_ns)
    else {
        return Key::OTHERS;
    };
    if let Some(row) = rows.remove(&oldest) {
        let account = row.account(oldest);
        let others = rows.entry(Key::OTHERS).or_default();
        for post in Post::ALL {
            others.user.add(*post, account.user(*post));
        }
        if let Some(values) = account.kernel {
            add(others.folded.get_or_insert([0; ENTRIES]), &values);
        }
    }
    process
}

fn add(sums: &mut [u64; ENTRIES], values: &[u64; ENTRIES]) {
    for (entry, (sum, value)) in Entry::ALL.iter().zip(sums.iter_mut().zip(values)) {
        *sum = match entry.unit() {
            account::Unit::Time => (*sum).max(*value),
            account::Unit::Bits => *sum | *value,
            _ => sum.wrapping_add(*value),
        };
    }
}

#[cfg(test)]
mod tests;
