//! Clock of the records to the calendar.

use std::time::{Duration, SystemTime};

/// Nanoseconds to add to a time of the capture to get nanoseconds since 1970. Live records carry `CLOCK_MONOTONIC`,
/// recordings the calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClockOffset(i128);

impl ClockOffset {
    /// For recordings: their times are calendar times.
    pub const RECORDED: Self = Self(0);

    /// From both clocks read at the same moment.
    pub const fn between(monotonic_ns: u64, unix_ns: u64) -> Self {
        Self(unix_ns as i128 - monotonic_ns as i128)
    }

    /// Nanoseconds since 1970.
    pub fn unix_ns(self, time_ns: u64) -> u64 {
        u64::try_from(i128::from(time_ns).saturating_add(self.0).max(0)).unwrap_or(u64::MAX)
    }

    /// As a calendar time.
    pub fn system_time(self, time_ns: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.unix_ns(time_ns))
    }

    /// RFC 3339 in UTC with nanoseconds.
    pub fn rfc3339(self, time_ns: u64) -> String {
        self.format(time_ns, "%Y-%m-%dT%H:%M:%S.%9fZ")
    }

    /// Time of day in UTC with milliseconds, for people.
    pub fn time_of_day(self, time_ns: u64) -> String {
        self.format(time_ns, "%H:%M:%S%.3f")
    }

    fn format(self, time_ns: u64, form: &str) -> String {
        let stamp = jiff::Timestamp::from_nanosecond(i128::from(self.unix_ns(time_ns))).unwrap_or_default();
        stamp.strftime(form).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_makes_calendar_times() {
        let clock = ClockOffset::between(5_000_000_000, 1_795_000_000_000_000_000);
        assert_eq!(clock.rfc3339(5_000_000_001), "2026-11-18T11:06:40.000000001Z");
        assert_eq!(clock.time_of_day(5_000_000_001), "11:06:40.000");
        assert_eq!(ClockOffset::RECORDED.unix_ns(7), 7);
        assert_eq!(ClockOffset::between(9, 1).unix_ns(2), 0, "never before 1970");
    }
}
