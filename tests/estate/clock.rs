//! Simulated time: nanoseconds since the estate's first midnight, a Monday, and how busy an hour of the week is.

use std::fmt::Write as _;

use super::rng::Rng;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
pub(crate) const DAY: u64 = 24 * HOUR;
/// How long the estate runs.
pub(crate) const DAYS: u64 = 14;
/// Its end.
pub(crate) const END: u64 = DAYS * DAY;
/// 2026-03-02 00:00 UTC, in seconds since 1970: records, dates and tokens agree on it.
pub(crate) const EPOCH_S: u64 = 1_772_409_600;
/// First day of the month that the estate begins on, and months that it lives in.
const FIRST_DAY: u64 = 2;

/// When somebody is awake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rhythm {
    /// Evenings and weekends.
    Home,
    /// Working hours.
    Office,
    /// Warehouses work early and late, and on Saturdays.
    Shift,
    /// Machines.
    Always,
}

/// Share of the mean load, by hour, in per cent.
const HOME: [u32; 24] = [
    40, 20, 10, 8, 8, 15, 45, 80, 95, 90, 95, 105, 130, 120, 100, 95, 105, 130, 170, 210, 230, 210, 150, 80,
];
const OFFICE: [u32; 24] = [
    2, 1, 1, 1, 1, 4, 20, 90, 220, 310, 320, 290, 190, 240, 300, 280, 220, 120, 40, 20, 12, 10, 6, 4,
];
const SHIFT: [u32; 24] = [
    10, 8, 8, 10, 40, 120, 200, 220, 210, 200, 190, 180, 140, 180, 190, 180, 160, 140, 110, 80, 50, 30, 20,
    12,
];

impl Rhythm {
    /// How busy that moment is; 1 on average, [`Self::MOST`] at most.
    fn weight(self, now: u64) -> f64 {
        let (hour, weekend) = ((now / HOUR % 24) as usize, now / DAY % 7 >= 5);
        let (hours, workday, weekend_share) = match self {
            Self::Home => (&HOME, 0.95, 1.15),
            Self::Office => (&OFFICE, 1.35, 0.08),
            Self::Shift => (&SHIFT, 1.2, 0.5),
            Self::Always => return 1.0,
        };
        f64::from(hours[hour]) / 100.0 * if weekend { weekend_share } else { workday }
    }

    const MOST: f64 = 4.4;

    /// The next time that something happens which happens `per_day` times on a mean day.
    pub(crate) fn next(self, rng: &mut Rng, now: u64, per_day: f64) -> u64 {
        let mut at = now;
        loop {
            at += rng.wait((DAY as f64 / (per_day * Self::MOST)) as u64).max(1);
            if at >= END || rng.unit() * Self::MOST < self.weight(at) {
                return at;
            }
        }
    }
}

/// `2026-03-04T05:06:07Z`.
pub(crate) fn iso(now: u64, out: &mut String) {
    let (month, day) = date(now);
    let (h, m, s) = (now / HOUR % 24, now / MINUTE % 60, now / SECOND % 60);
    let _fits = write!(out, "2026-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z");
}

/// As HTTP's `Date` has it.
pub(crate) fn http(now: u64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let (_, day) = date(now);
    let name = NAMES[(now / DAY % 7) as usize];
    let (h, m, s) = (now / HOUR % 24, now / MINUTE % 60, now / SECOND % 60);
    let _fits = write!(out, "{name}, {day:02} Mar 2026 {h:02}:{m:02}:{s:02} GMT");
}

/// Seconds since 1970.
pub(crate) const fn epoch(now: u64) -> u64 {
    EPOCH_S + now / SECOND
}

const fn date(now: u64) -> (u64, u64) {
    (3, FIRST_DAY + now / DAY)
}

#[test]
fn a_week_has_the_mean_load() {
    for rhythm in [Rhythm::Home, Rhythm::Office, Rhythm::Shift, Rhythm::Always] {
        let week: f64 = (0..168).map(|hour| rhythm.weight(hour * HOUR)).sum();
        let most = (0..168)
            .map(|hour| rhythm.weight(hour * HOUR))
            .fold(0.0, f64::max);
        assert!(
            (0.8..1.25).contains(&(week / 168.0)),
            "{rhythm:?} {}",
            week / 168.0
        );
        assert!(most <= Rhythm::MOST, "{rhythm:?} {most}");
    }
}

#[test]
fn dates_are_those_of_the_epoch() {
    let (mut text, mut field) = (String::new(), Vec::new());
    iso(DAY + HOUR, &mut text);
    http(DAY + HOUR, &mut field);
    assert_eq!(text, "2026-03-03T01:00:00Z");
    assert_eq!(field, b"Tue, 03 Mar 2026 01:00:00 GMT");
    // 1,772,409,600 s are 20,514 days, and 1970-01-01 was a Thursday.
    assert_eq!((EPOCH_S % 86_400, (EPOCH_S / 86_400 + 3) % 7), (0, 0));
}
