//! How many different things came within a window of time, in forty bytes.
//!
//! Takes keyed hashes and times. Gives an estimate by linear counting (Whang and others, 1990): one bit of 128 for each
//! hash. Good to a tenth up to 150, and "at least 621" is its end, which is far beyond what rules ask for.

use serde::{Deserialize, Serialize};

use crate::exchange::CallerHash;

/// Estimates by the number of bits that are set: 128 ln(128 / clear), and for all of them what one less gives.
const ESTIMATES: [u16; 129] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 21, 22, 23, 24, 25, 27, 28, 29, 30, 32,
    33, 34, 35, 37, 38, 40, 41, 42, 44, 45, 47, 48, 49, 51, 52, 54, 55, 57, 59, 60, 62, 63, 65, 67, 68, 70,
    72, 74, 75, 77, 79, 81, 83, 85, 87, 89, 91, 93, 95, 97, 99, 101, 104, 106, 108, 110, 113, 115, 118, 120,
    123, 126, 128, 131, 134, 137, 140, 143, 146, 149, 152, 155, 159, 162, 166, 170, 174, 177, 182, 186, 190,
    195, 199, 204, 209, 214, 220, 225, 231, 238, 244, 251, 258, 266, 274, 283, 293, 303, 314, 326, 340, 355,
    372, 392, 415, 444, 480, 532, 621, 621,
];

/// Different things in this window and the one before.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Spread {
    window: u32,
    bits: [u64; 2],
    before: [u64; 2],
}

impl Spread {
    /// Nothing yet.
    pub(crate) const EMPTY: Self = Self {
        window: 0,
        bits: [0; 2],
        before: [0; 2],
    };

    /// Adds one at a time; windows are `length_s` long.
    pub(crate) fn add(&mut self, hash: CallerHash, now_s: u32, length_s: u32) {
        self.roll(now_s / length_s.max(1));
        // Table places come from the front of hashes; their end is independent of it.
        let [.., last] = hash.0;
        if let Some(word) = self.bits.get_mut(usize::from(last >> 6 & 1)) {
            *word |= 1 << (last & 63);
        }
    }

    fn roll(&mut self, window: u32) {
        // A view of a connection's other end may come late; it belongs to the window that is.
        if window > self.window {
            self.before = if window == self.window + 1 {
                self.bits
            } else {
                [0; 2]
            };
            self.bits = [0; 2];
            self.window = window;
        }
    }

    /// How many different ones, about.
    pub(crate) fn estimate(self, now_s: u32, length_s: u32) -> u16 {
        let mut rolled = self;
        rolled.roll(now_s / length_s.max(1));
        let words = rolled.bits.iter().zip(&rolled.before);
        let ones: u32 = words.map(|(now, before)| (now | before).count_ones()).sum();
        ESTIMATES.get(ones as usize).copied().unwrap_or(u16::MAX)
    }
}

/// How often within a window of time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Count {
    window: u32,
    now: u32,
    before: u32,
}

impl Count {
    /// Adds one.
    pub(crate) fn add(&mut self, now_s: u32, length_s: u32) {
        self.roll(now_s / length_s.max(1));
        self.now = self.now.saturating_add(1);
    }

    fn roll(&mut self, window: u32) {
        if window > self.window {
            self.before = if window == self.window + 1 { self.now } else { 0 };
            self.now = 0;
            self.window = window;
        }
    }

    /// How often in the window that ends now: of the one before as much as still lies in it.
    pub(crate) fn sum(self, now_s: u32, length_s: u32) -> u32 {
        let length_s = length_s.max(1);
        let mut rolled = self;
        rolled.roll(now_s / length_s);
        let left = u64::from(length_s - now_s % length_s);
        let share = u64::from(rolled.before) * left / u64::from(length_s);
        rolled
            .now
            .saturating_add(u32::try_from(share).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> CallerHash {
        let mut bytes = [0; 16];
        // Well mixed, as keyed hashes are (splitmix64).
        let mut mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes[15] = (mixed >> 32).to_le_bytes()[0];
        CallerHash(bytes)
    }

    #[test]
    fn different_ones_are_counted_about_right() {
        for many in [1_u64, 5, 20, 50, 120] {
            let mut spread = Spread::default();
            for round in 0..3 {
                for number in 0..many {
                    spread.add(hash(number), 100 + round, 3600);
                }
            }
            let found = u64::from(spread.estimate(200, 3600));
            assert!(
                found >= many * 8 / 10 && found <= many * 12 / 10 + 1,
                "{many}: {found}"
            );
        }
    }

    #[test]
    fn windows_pass() {
        let (mut spread, mut count) = (Spread::default(), Count::default());
        for number in 0..10 {
            spread.add(hash(number), 50, 100);
            count.add(50, 100);
        }
        assert!((8..=12).contains(&spread.estimate(150, 100)) && count.sum(99, 100) == 10);
        assert_eq!(
            (count.sum(100, 100), count.sum(150, 100), count.sum(200, 100)),
            (10, 5, 0)
        );
        assert_eq!(spread.estimate(250, 100), 0);
        // What comes late counts for now.
        count.add(10_000, 100);
        count.add(10, 100);
        assert_eq!(count.sum(10_000, 100), 2);
    }
}
