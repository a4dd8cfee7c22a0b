//! How much the sensor takes on: everything, or, under strain, what is new before what repeats.
//!
//! Takes a grade from whoever watches the sensor's own costs, and news from the judge. Answers whether a connection is
//! read. Whole connections are left out, never single records; at each grade those that are kept are some of those kept
//! at the grade below. Bounded: two tables of fixed size, whose collisions keep more than need be. Never locks.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

/// Grades beyond 0, at which everything is read.
pub const GRADES: usize = 3;
/// Shares are parts of this.
const WHOLE: u64 = 64;
/// Of connections that repeat what is known, and of those with news, how many are read at each grade. What repeats goes
/// first; at the last grade there is too much of everything, and what is read stays a sample.
const SHARES: [(u64, u64); GRADES + 1] = [(WHOLE, WHOLE), (16, WHOLE), (4, 32), (1, 8)];
/// Seconds for which news keep a connection, or the connections of a process.
const FRESH: u32 = 300;
/// Processes and connections whose news are remembered apart, powers of two.
const PROCESSES: usize = 1 << 10;
const CONNECTIONS: usize = 1 << 13;

/// Why the sensor is under strain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Cause {
    /// It takes as much processor time as it may.
    Cpu,
    /// It holds as much memory as it may.
    Memory,
    /// It cannot keep up: the kernel object finds its ring full.
    Ring,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Ring];

    /// Name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Ring => "ring",
        }
    }

    /// Its bit.
    pub const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What an exchange brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// Nothing: it repeats what is known.
    None,
    /// An error or a refusal: what follows on the connection may matter.
    OfConnection,
    /// An endpoint or a finding that was not known: what its process serves matters.
    OfProcess,
}

/// A connection, as far as this goes by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subject {
    /// Number that spreads processes.
    pub process: u64,
    /// Number that spreads connections.
    pub connection: u64,
}

/// Grade and news, shared by reference.
#[derive(Debug)]
pub struct Strain {
    grade: AtomicU8,
    causes: AtomicU8,
    /// Seconds that were counted, from 1 on.
    second: AtomicU32,
    /// The second of the latest news; 0 where nothing was judged yet.
    processes: Box<[AtomicU32]>,
    /// The same; 0 where there never were any.
    connections: Box<[AtomicU32]>,
}

impl Default for Strain {
    fn default() -> Self {
        let table = |size| std::iter::repeat_with(AtomicU32::default).take(size).collect();
        Self {
            grade: AtomicU8::new(0),
            causes: AtomicU8::new(0),
            second: AtomicU32::new(1),
            processes: table(PROCESSES),
            connections: table(CONNECTIONS),
        }
    }
}

impl Strain {
    /// 0 to [`GRADES`].
    pub fn grade(&self) -> u8 {
        self.grade.load(Ordering::Relaxed)
    }

    /// Takes a grade over, and the bits of its causes.
    pub fn set(&self, grade: u8, causes: u8) {
        self.causes.store(causes, Ordering::Relaxed);
        self.grade.store(grade, Ordering::Relaxed);
    }

    /// A lower grade, for the causes of the higher.
    pub fn lower(&self, grade: u8) {
        self.grade.store(grade, Ordering::Relaxed);
    }

    /// Whether a cause is one of the present grade's.
    pub fn is_by(&self, cause: Cause) -> bool {
        self.causes.load(Ordering::Relaxed) & cause.bit() != 0
    }

    /// A second has passed.
    pub fn second(&self) {
        self.second.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes what an exchange brought.
    pub fn judged(&self, subject: Subject, news: News) {
        let second = self.second.load(Ordering::Relaxed);
        if let Some(slot) = slot(&self.processes, subject.process) {
            // Who was never judged before is no repeat of anything.
            if news == News::OfProcess || slot.load(Ordering::Relaxed) == 0 {
                slot.store(second, Ordering::Relaxed);
            }
        }
        if news != News::None
            && let Some(slot) = slot(&self.connections, subject.connection)
        {
            slot.store(second, Ordering::Relaxed);
        }
    }

    /// Whether a connection is read.
    pub fn keeps(&self, subject: Subject) -> bool {
        let grade = self.grade();
        grade == 0 || self.is_kept_at(grade, subject)
    }

    #[cold]
    fn is_kept_at(&self, grade: u8, subject: Subject) -> bool {
        let Some((repeats, news)) = SHARES.get(usize::from(grade)) else {
            return true;
        };
        let share = if self.has_news(subject) { *news } else { *repeats };
        // Shards take the number's lower digits.
        let drawn = subject.connection.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        drawn % WHOLE < share
    }

    fn has_news(&self, subject: Subject) -> bool {
        let second = self.second.load(Ordering::Relaxed);
        let is_fresh = |at: u32| second.wrapping_sub(at) < FRESH;
        let last = |table, number| slot(table, number).map_or(0, |slot| slot.load(Ordering::Relaxed));
        let process = last(&self.processes, subject.process);
        let connection = last(&self.connections, subject.connection);
        process == 0 || is_fresh(process) || (connection != 0 && is_fresh(connection))
    }
}

fn slot(table: &[AtomicU32], number: u64) -> Option<&AtomicU32> {
    // Tables have a power of two of slots, far below 2^32.
    table.get(usize::try_from(number).unwrap_or(usize::MAX) & (table.len() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(process: u64, connection: u64) -> Subject {
        Subject { process, connection }
    }

    /// How many of a thousand connections of a process are read.
    fn kept(strain: &Strain, process: u64) -> usize {
        (0..1000)
            .filter(|number| strain.keeps(subject(process, 10_000 + number)))
            .count()
    }

    /// A process whose news are old.
    fn known(strain: &Strain, process: u64) {
        strain.judged(subject(process, 0), News::None);
        strain.second.fetch_add(FRESH, Ordering::Relaxed);
    }

    #[test]
    fn without_strain_everything_is_read() {
        let strain = Strain::default();
        known(&strain, 1);
        assert_eq!(kept(&strain, 1), 1000);
    }

    #[test]
    fn what_repeats_is_left_out_before_what_is_new() {
        let strain = Strain::default();
        known(&strain, 1);
        let mut before = 1000;
        for (grade, expected) in [(1, 200..300), (2, 40..90), (3, 5..30)] {
            strain.set(grade, Cause::Cpu.bit());
            let now = kept(&strain, 1);
            assert!(expected.contains(&now), "grade {grade}: {now}");
            let new = kept(&strain, 2);
            assert!(
                new > 4 * now || (grade == 1 && new == 1000),
                "grade {grade}: {new} of a new process"
            );
            assert!(new <= before);
            before = new;
        }
    }

    #[test]
    fn a_higher_grade_keeps_some_of_those_that_were_kept() {
        let strain = Strain::default();
        known(&strain, 1);
        let mut before: Vec<u64> = (0..4000).collect();
        for grade in 1..=3 {
            strain.set(grade, 0);
            let now: Vec<u64> = (0..4000)
                .filter(|number| strain.keeps(subject(1, *number)))
                .collect();
            assert!(now.iter().all(|number| before.contains(number)), "grade {grade}");
            before = now;
        }
        assert!(!before.is_empty(), "a sample stays");
    }

    #[test]
    fn news_keep_a_connection_or_all_of_a_process_for_a_while() {
        let strain = Strain::default();
        known(&strain, 1);
        strain.set(1, 0);
        let left_out = (0..1000)
            .find(|number| !strain.keeps(subject(1, *number)))
            .unwrap();
        strain.judged(subject(1, left_out), News::OfConnection);
        assert!(strain.keeps(subject(1, left_out)));
        assert!(kept(&strain, 1) < 300, "it was the connection's");
        strain.judged(subject(1, 0), News::OfProcess);
        assert_eq!(kept(&strain, 1), 1000);
        strain.second.fetch_add(FRESH, Ordering::Relaxed);
        assert!(kept(&strain, 1) < 300);
        assert!(!strain.keeps(subject(1, left_out)), "both are old by now");
    }

    #[test]
    fn who_was_never_judged_is_new() {
        let strain = Strain::default();
        strain.set(1, Cause::Memory.bit());
        assert!(strain.is_by(Cause::Memory) && !strain.is_by(Cause::Cpu));
        assert_eq!(kept(&strain, 7), 1000);
        strain.set(0, 0);
        assert!(!strain.is_by(Cause::Memory));
    }
}
