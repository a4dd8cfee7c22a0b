//! How many requests are out: those that were seen or lost, less the answers that were seen or lost.
//!
//! Takes what was seen, and bounds of what was lost. Gives the numbers that are possible. Never counts below [`BELOW`]
//! or above what a word holds: then anything is possible.

/// Answers to requests of which the loss was not noticed yet; a hole in the requests is noticed at the next of them.
const BELOW: u32 = 8;

/// A set of numbers, a bit each. Empty stands for any number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Out(u32);

impl Out {
    pub(super) const NONE: Self = Self(1 << BELOW);
    pub(super) const ANY: Self = Self(0);

    pub(super) fn request(&mut self) {
        self.more(1, Some(1));
    }

    pub(super) fn answer(&mut self) {
        self.0 >>= 1;
    }

    /// Requests were lost, so many at least and at most.
    pub(super) fn more(&mut self, least: u64, most: Option<u64>) {
        let highest = u64::from(self.0.leading_zeros());
        let Some(most) = most.filter(|most| *most < highest) else {
            *self = Self::ANY;
            return;
        };
        let before = self.0;
        self.0 = (least..=most).fold(0, |sum, lost| sum | (before << lost));
    }

    /// Answers were lost. Below zero goes only what a hole in the requests, not noticed yet, makes up for.
    pub(super) fn fewer(&mut self, least: u64, most: Option<u64>) {
        let most = most.unwrap_or(u64::MAX).min(u64::from(u32::BITS - 1));
        let before = self.0;
        self.0 = (least..=most).fold(0, |sum, lost| sum | (before >> lost));
    }

    /// What was seen shows that so many are out; if that cannot be, anything can.
    pub(super) fn at_least(&mut self, least: u32) {
        self.0 &= u32::MAX << (least + BELOW);
    }

    /// The number, when only one is possible and nothing is missing that is known to be.
    pub(super) fn only(self) -> Option<usize> {
        let number = self.0.trailing_zeros().checked_sub(BELOW)?;
        self.0.is_power_of_two().then_some(number as usize)
    }

    pub(super) fn may_be_none(self) -> bool {
        self.0 == 0 || self.0 & Self::NONE.0 != 0
    }

    /// The most that may be out.
    pub(super) fn most(self) -> Option<usize> {
        let highest = u32::BITS.checked_sub(self.0.leading_zeros() + 1)?;
        (self.0 != 0).then(|| highest.saturating_sub(BELOW) as usize)
    }

    /// None of the numbers for which `refuted` holds, unless nothing is left.
    pub(super) fn refute(&mut self, refuted: impl Fn(usize) -> bool) {
        let numbers = BELOW..u32::BITS;
        let wrong = numbers.filter(|bit| refuted((bit - BELOW) as usize));
        self.0 &= !wrong.fold(0, |wrong, bit| wrong | (1 << bit));
    }
}
