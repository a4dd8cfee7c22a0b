//! When which process is looked at.
//!
//! Takes process ids and times; gives what is due. Never touches `/proc`. Every operation costs the logarithm of the
//! number of processes waiting: a storm of short processes must not make the attacher go over all of them for each.

use std::collections::{BTreeSet, HashMap};

/// When a process is looked at after an event, in nanoseconds: the mapping announced is there a moment later, and
/// libraries keep arriving while a program starts.
const LOOKS_NS: [u64; 5] = [300_000, 20_000_000, 100_000_000, 1_000_000_000, 10_000_000_000];
/// Between two looks at one process.
const AGAIN_NS: u64 = 5_000_000;
/// After a failure the next attempt is this much later, twice as much after each further one.
const RETRY_NS: u64 = 1_000_000_000;
/// No attempt is put off for longer: ten minutes.
const MAX_RETRY_NS: u64 = 600_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Waiting {
    due_ns: u64,
    looks: usize,
    /// [`AGAIN_NS`] after the last look.
    not_before_ns: u64,
}

/// Processes waiting for a look.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    order: BTreeSet<(u64, u32)>,
    waiting: HashMap<u32, Waiting>,
}

impl Schedule {
    /// Something happened to a process: it is looked at soon, and a few times later.
    pub(super) fn ask(&mut self, pid: u32, now_ns: u64) {
        let [first, ..] = LOOKS_NS;
        let known = self.waiting.get(&pid).copied();
        // One that was looked at already maps files all the time, perhaps: a JIT compiler does.
        let not_before_ns = known.map_or(0, |known| known.not_before_ns);
        let due_ns = now_ns.saturating_add(first).max(not_before_ns);
        let waiting = Waiting {
            due_ns: known.map_or(due_ns, |known| known.due_ns.min(due_ns)),
            looks: 0,
            not_before_ns,
        };
        self.set(pid, waiting);
    }

    /// Look at a process at that time, whatever else is planned later.
    pub(super) fn at(&mut self, pid: u32, due_ns: u64) {
        let mut waiting = self.waiting.get(&pid).copied().unwrap_or(Waiting {
            due_ns,
            looks: LOOKS_NS.len(),
            not_before_ns: 0,
        });
        waiting.due_ns = waiting.due_ns.min(due_ns);
        self.set(pid, waiting);
    }

    /// The process is gone.
    pub(super) fn forget(&mut self, pid: u32) {
        if let Some(known) = self.waiting.remove(&pid) {
            self.order.remove(&(known.due_ns, pid));
        }
    }

    /// When the next look is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.order.first().map(|(due, _)| *due)
    }

    /// A process that is due, and plans its next look.
    pub(super) fn take(&mut self, until_ns: u64, now_ns: u64) -> Option<u32> {
        let (due, pid) = *self.order.first().filter(|(due, _)| *due <= until_ns)?;
        self.order.remove(&(due, pid));
        let looks = self.waiting.remove(&pid)?.looks + 1;
        if let Some(later) = LOOKS_NS.get(looks) {
            let waiting = Waiting {
                due_ns: now_ns.saturating_add(*later),
                looks,
                not_before_ns: now_ns.saturating_add(AGAIN_NS),
            };
            self.set(pid, waiting);
        }
        Some(pid)
    }

    /// Processes waiting.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn set(&mut self, pid: u32, waiting: Waiting) {
        if let Some(old) = self.waiting.insert(pid, waiting) {
            self.order.remove(&(old.due_ns, pid));
        }
        self.order.insert((waiting.due_ns, pid));
    }
}

/// When the attempt after that many failures is due: never given up, ever more rarely.
pub(super) fn retry_at(now_ns: u64, failures: u32) -> u64 {
    let doubled = RETRY_NS.saturating_mul(1 << failures.saturating_sub(1).min(20));
    now_ns.saturating_add(doubled.min(MAX_RETRY_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_looked_at_five_times() {
        let mut schedule = Schedule::default();
        schedule.ask(7, 0);
        let mut times = Vec::new();
        while let Some(due) = schedule.next() {
            assert_eq!(schedule.take(due, due), Some(7));
            times.push(due);
        }
        assert_eq!(
            times,
            [300_000, 20_300_000, 120_300_000, 1_120_300_000, 11_120_300_000]
        );
        assert_eq!(schedule.len(), 0);
    }

    #[test]
    fn a_process_that_maps_all_the_time_is_looked_at_every_five_milliseconds() {
        let mut schedule = Schedule::default();
        let mut looks = 0;
        for now in (0..1_000_000_000).step_by(100_000) {
            schedule.ask(7, now);
            while schedule.take(now, now).is_some() {
                looks += 1;
            }
        }
        assert!((190..=210).contains(&looks), "{looks}");
    }

    #[test]
    fn an_earlier_look_is_not_put_off() {
        let mut schedule = Schedule::default();
        schedule.ask(7, 0);
        schedule.at(7, 5_000_000_000);
        assert_eq!(schedule.next(), Some(300_000));
        schedule.forget(7);
        schedule.at(8, 5);
        assert_eq!(schedule.take(5, 5), Some(8));
        assert_eq!((schedule.next(), schedule.len()), (None, 0));
    }

    #[test]
    fn retries_grow_to_ten_minutes_and_never_end() {
        let seconds = |failures| retry_at(0, failures) / 1_000_000_000;
        assert_eq!(
            [1, 2, 3, 9, 10, 11, u32::MAX].map(seconds),
            [1, 2, 4, 256, 512, 600, 600]
        );
    }
}
