//! How much the sensor takes on, by what it costs and whether it keeps up.
//!
//! Takes a look at the process each second. Gives a grade to [`Strain`](crate::telemetry::strain::Strain), a step at a
//! time: up while a ceiling is reached or the kernel object's ring is full, down after a calm that doubles with each
//! relapse, so that a load just beyond what fits does not make it swing.

use std::collections::VecDeque;
use std::fs;

use sensor_common::counter::Counter;

use crate::capture::kernel::give_back;
use crate::config;
use crate::telemetry::Accounts;
use crate::telemetry::strain::{Cause, GRADES};

const SECOND: u64 = 1_000_000_000;
/// Looks over which costs are averaged, and between which a grade rises: what a step brings must show first.
const WINDOW: usize = 5;
/// Looks in a row at which the ring must have lost something: a burst is no lasting strain.
const LOSSES: usize = 3;
/// Calm before a step down, at first and at most.
const CALM: u64 = 10 * SECOND;
const LONGEST_CALM: u64 = 320 * SECOND;
/// Without strain for so long, it begins anew.
const FORGOTTEN: u64 = 600 * SECOND;
/// Percent of a ceiling at which there is strain: a quota of the same size never lets more be measured; and memory that
/// is not given back at once needs room.
const CPU_FROM: u64 = 95;
const MEMORY_FROM: u64 = 90;
/// Percent of a ceiling below which there is calm.
const CALM_BELOW: u64 = 75;

/// What the process may take; 0 means no ceiling.
#[derive(Clone, Copy, Debug)]
struct Ceilings {
    /// Percent of one processor.
    cpu: u64,
    /// Bytes in memory.
    memory: u64,
}

/// A look at the process.
#[derive(Clone, Copy, Debug)]
struct Look {
    now_ns: u64,
    /// Processor time of all threads but the one that attaches, nanoseconds.
    cpu_ns: u64,
    /// Bytes in memory.
    resident: u64,
    /// Records that the kernel object could not put into its rings.
    lost: u64,
}

/// What a look led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Stay,
    /// Bits of the causes.
    Up(u8),
    Down,
}

/// Grade and memory of looks.
#[derive(Debug)]
pub(super) struct Governor {
    ceilings: Ceilings,
    /// The thread that attaches.
    attaching: Option<i32>,
    grade: u8,
    looks: VecDeque<Look>,
    changed_ns: u64,
    strained_ns: u64,
    calm_from: Option<u64>,
    /// Calm that a step down takes.
    calm: u64,
    /// The last step was one down.
    fell: bool,
    /// Memory may be given back to the system.
    to_give: bool,
}

impl Governor {
    /// What the thread `attaching` takes does not count: leaving connections out spares nothing of it.
    pub(super) fn new(limits: &config::Limits, attaching: Option<i32>) -> Self {
        Self {
            ceilings: ceilings(limits),
            attaching,
            grade: 0,
            looks: VecDeque::with_capacity(WINDOW + 1),
            changed_ns: 0,
            strained_ns: 0,
            calm_from: None,
            calm: CALM,
            fell: false,
            to_give: false,
        }
    }

    /// Other ceilings hold from now on. The grade follows as if the load had changed.
    pub(super) fn limit(&mut self, limits: &config::Limits) {
        self.ceilings = ceilings(limits);
    }

    /// A second has passed.
    pub(super) fn look(&mut self, accounts: &Accounts, now_ns: u64) {
        let strain = accounts.sensor.strain();
        strain.second();
        let look = Look {
            now_ns,
            cpu_ns: processor_ns().saturating_sub(self.attaching.map_or(0, thread_ns)),
            resident: resident(),
            lost: accounts.kernel.value(Counter::RingFullRecords),
        };
        if std::mem::take(&mut self.to_give) {
            give_back();
        }
        match self.step(look) {
            Step::Stay => {}
            Step::Up(causes) => {
                strain.set(self.grade, causes);
                self.to_give = causes & Cause::Memory.bit() != 0;
                let causes = Cause::ALL.into_iter().filter(|cause| causes & cause.bit() != 0);
                let causes: Vec<_> = causes.map(Cause::name).collect();
                tracing::warn!(
                    grade = self.grade,
                    cause = causes.join(","),
                    resident = look.resident,
                    "under strain: connections are left out, those that repeat what is known first"
                );
            }
            Step::Down => {
                if self.grade == 0 {
                    strain.set(0, 0);
                    // As loud as what it takes back.
                    tracing::warn!("no strain any more: every connection is read");
                } else {
                    strain.lower(self.grade);
                }
            }
        }
    }

    fn step(&mut self, look: Look) -> Step {
        if self.looks.len() > WINDOW {
            self.looks.pop_front();
        }
        self.looks.push_back(look);
        let causes = self.causes(look, CPU_FROM, MEMORY_FROM, LOSSES);
        if causes != 0 {
            self.calm_from = None;
            self.strained_ns = look.now_ns;
            let settled = look.now_ns >= self.changed_ns.saturating_add(WINDOW as u64 * SECOND);
            if usize::from(self.grade) >= GRADES || !settled {
                return Step::Stay;
            }
            if std::mem::take(&mut self.fell) {
                self.calm = (self.calm * 2).min(LONGEST_CALM);
            }
            self.grade += 1;
            self.changed_ns = look.now_ns;
            return Step::Up(causes);
        }
        if self.grade == 0 {
            if look.now_ns > self.strained_ns.saturating_add(FORGOTTEN) {
                (self.calm, self.fell) = (CALM, false);
            }
            return Step::Stay;
        }
        if self.causes(look, CALM_BELOW, CALM_BELOW, 1) != 0 {
            self.calm_from = None;
            return Step::Stay;
        }
        let from = *self.calm_from.get_or_insert(look.now_ns);
        if look.now_ns.saturating_sub(from) < self.calm {
            return Step::Stay;
        }
        self.grade -= 1;
        (self.changed_ns, self.calm_from, self.fell) = (look.now_ns, None, true);
        Step::Down
    }

    /// Which ceilings are reached to these parts of them, and whether the ring lost something at so many of the last
    /// looks in a row.
    fn causes(&self, look: Look, cpu: u64, memory: u64, losses: usize) -> u8 {
        let mut causes = 0;
        let is_full = self.looks.len() > WINDOW;
        if let Some(first) = self.looks.front().filter(|_| is_full && self.ceilings.cpu != 0) {
            let used = u128::from(look.cpu_ns.saturating_sub(first.cpu_ns)) * 10_000;
            let most =
                u128::from(look.now_ns.saturating_sub(first.now_ns)) * u128::from(self.ceilings.cpu * cpu);
            causes |= if used >= most { Cause::Cpu.bit() } else { 0 };
        }
        let most = u128::from(self.ceilings.memory) * u128::from(memory);
        if most != 0 && u128::from(look.resident) * 100 >= most {
            causes |= Cause::Memory.bit();
        }
        let pairs = self
            .looks
            .iter()
            .zip(self.looks.iter().skip(1))
            .rev()
            .take(losses);
        if self.looks.len() > losses && pairs.clone().all(|(before, after)| after.lost > before.lost) {
            causes |= Cause::Ring.bit();
        }
        causes
    }
}

fn ceilings(limits: &config::Limits) -> Ceilings {
    Ceilings {
        cpu: limits.cpu_percent.into(),
        memory: limits.memory_bytes.0,
    }
}

/// Processor time of all threads of this process.
fn processor_ns() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(used.tv_sec).unwrap_or(0);
    let rest = u64::try_from(used.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(SECOND).saturating_add(rest)
}

/// Processor time of one thread of this process (`/proc/PID/task/TID/schedstat`, first field, which goes on while the
/// thread runs); 0 when it cannot be read.
fn thread_ns(id: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/self/task/{id}/schedstat")).unwrap_or_default();
    let time = stat.split_whitespace().next();
    time.and_then(|time| time.parse().ok()).unwrap_or(0)
}

/// Bytes of this process in memory (`proc_pid_statm(5)`, second field); 0 when it cannot be read.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages
        .unwrap_or(0)
        .saturating_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests;
