//! How much is told in an hour.
//!
//! Takes the severity of what would be told. Says whether it is, so that the worst always has room: information and low
//! findings may use half of the budget, medium ones three quarters, high ones all, critical ones a budget of their own.
//! What is held back is counted, and said at the end of the hour. Hours are the traffic's. Bounded by its few counts.

use crate::detect::Severity;

/// Nanoseconds of an hour.
const HOUR_NS: u64 = 3600 * 1_000_000_000;
/// Severities.
const SEVERITIES: usize = 5;

/// How much may be told in an hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Findings and incidents that are not critical.
    pub each_hour: u32,
    /// Critical ones.
    pub critical_each_hour: u32,
}

impl Limits {
    /// As much as there is: for measurements.
    pub const UNLIMITED: Self = Self {
        each_hour: u32::MAX,
        critical_each_hour: u32::MAX,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            each_hour: 200,
            critical_each_hour: 1000,
        }
    }
}

/// What was held back in an hour.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Held {
    /// The end of that hour.
    pub time_ns: u64,
    /// How many, from information to critical.
    pub counts: [u64; SEVERITIES],
    /// How many were told.
    pub told: u64,
}

impl Held {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// Severities with their counts, the worst first; zeros are left out.
    pub fn by_severity(&self) -> impl Iterator<Item = (Severity, u64)> {
        let all = Severity::ALL.into_iter().zip(self.counts);
        all.rev().filter(|(_, count)| *count > 0)
    }
}

/// The budget of the hour under way.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    hour: u64,
    told: u32,
    critical: u32,
    held: Held,
}

impl Budget {
    /// A whole one.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            hour: 0,
            told: 0,
            critical: 0,
            held: Held {
                time_ns: 0,
                counts: [0; SEVERITIES],
                told: 0,
            },
        }
    }

    /// Takes other limits, for what is left of the hour as well.
    pub const fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Whether something of that severity is told; if not, it is counted.
    pub fn admit(&mut self, severity: Severity) -> bool {
        let most = u64::from(self.limits.each_hour);
        let share = match severity {
            Severity::Info | Severity::Low => most / 2,
            Severity::Medium => most * 3 / 4,
            Severity::High | Severity::Critical => most,
        };
        let admitted = if severity == Severity::Critical {
            let admitted = self.critical < self.limits.critical_each_hour;
            self.critical = self.critical.saturating_add(u32::from(admitted));
            admitted
        } else {
            // A budget of one or two is for whatever comes.
            let admitted = u64::from(self.told) < share.max(1).min(most);
            self.told = self.told.saturating_add(u32::from(admitted));
            admitted
        };
        if admitted {
            self.held.told += 1;
        } else if let Some(count) = self.held.counts.get_mut(severity as usize) {
            *count += 1;
        }
        admitted
    }

    /// Time passes; gives what the hour before held back when another begins.
    pub fn tick(&mut self, now_ns: u64) -> Option<Held> {
        let hour = now_ns / HOUR_NS;
        if hour <= self.hour {
            return None;
        }
        let end_ns = self.hour.saturating_add(1).saturating_mul(HOUR_NS);
        self.hour = hour;
        Some(self.close(end_ns))
    }

    /// Nothing more comes: what this hour held back so far.
    pub fn close(&mut self, now_ns: u64) -> Held {
        (self.told, self.critical) = (0, 0);
        Held {
            time_ns: now_ns,
            ..std::mem::take(&mut self.held)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(each_hour: u32, critical_each_hour: u32) -> Budget {
        Budget::new(Limits {
            each_hour,
            critical_each_hour,
        })
    }

    fn admitted(budget: &mut Budget, severity: Severity, count: u32) -> usize {
        (0..count).filter(|_| budget.admit(severity)).count()
    }

    #[test]
    fn the_worst_always_has_room() {
        let mut budget = budget(100, 10);
        assert_eq!(admitted(&mut budget, Severity::Low, 500), 50);
        assert_eq!(admitted(&mut budget, Severity::Medium, 500), 25);
        assert_eq!(admitted(&mut budget, Severity::High, 500), 25);
        assert_eq!(admitted(&mut budget, Severity::Critical, 500), 10);
        let held = budget.tick(HOUR_NS).unwrap();
        assert_eq!(held.counts, [0, 450, 475, 475, 490]);
        assert_eq!((held.told, held.time_ns), (110, HOUR_NS));
        let worst: Vec<_> = held.by_severity().map(|(severity, _)| severity.name()).collect();
        assert_eq!(worst, ["critical", "high", "medium", "low"]);
    }

    #[test]
    fn each_hour_has_its_own() {
        let mut budget = budget(2, 1);
        assert_eq!(admitted(&mut budget, Severity::Low, 3), 1);
        assert!(budget.tick(HOUR_NS / 2).is_none());
        assert!(!budget.admit(Severity::Low));
        assert!(!budget.tick(HOUR_NS).unwrap().is_empty());
        assert!(budget.admit(Severity::Low) && budget.tick(3 * HOUR_NS).unwrap().is_empty());
        assert!(budget.close(4 * HOUR_NS).is_empty());
        assert_eq!(admitted(&mut budget, Severity::High, 9), 2);
    }
}
