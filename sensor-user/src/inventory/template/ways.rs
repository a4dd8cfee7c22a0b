//! By which values a place of the tree was reached.
//!
//! Takes keyed hashes of values. Gives, for each place above that takes words, whether one value alone led there. Bounded
//! by [`LEVELS`].

/// Places that take words, one below the other, that are told apart; of further ones nothing is known.
pub(super) const LEVELS: usize = 4;

/// Values of one place that led somewhere.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize, serde::Deserialize)]
pub(super) enum Via {
    /// None yet.
    #[default]
    Nobody,
    /// Always this one.
    One(u32),
    /// Several, or it is not known.
    Many,
}

impl Via {
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, other) => other,
            (same, Self::Nobody) => same,
            (Self::One(one), Self::One(other)) if one == other => self,
            _ => Self::Many,
        }
    }
}

/// Values of each place that takes words, the uppermost first.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Ways([Via; LEVELS]);

impl Ways {
    /// Hashes say nothing any more: what was one value is not known.
    pub(super) fn forget_hashes(&mut self) {
        for via in &mut self.0 {
            if matches!(via, Via::One(_)) {
                *via = Via::Many;
            }
        }
    }

    /// Which values of the place at a level.
    pub(super) fn at(&self, level: usize) -> Via {
        self.0.get(level).copied().unwrap_or(Via::Many)
    }

    pub(super) fn set(&mut self, level: usize, via: Via) {
        if let Some(known) = self.0.get_mut(level) {
            *known = via;
        }
    }

    pub(super) fn and(&mut self, other: Self) {
        for (known, other) in self.0.iter_mut().zip(other.0) {
            *known = known.and(other);
        }
    }

    /// A place came between, which was always passed by these.
    pub(super) fn insert(&mut self, level: usize, via: Via) {
        if let Some(lower) = self.0.get_mut(level..).filter(|lower| !lower.is_empty()) {
            lower.rotate_right(1);
            self.set(level, via);
        }
    }

    /// A place takes words no more.
    pub(super) fn remove(&mut self, level: usize) {
        if let Some(lower) = self.0.get_mut(level..).filter(|lower| !lower.is_empty()) {
            lower.rotate_left(1);
            self.set(LEVELS - 1, Via::Many);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_and_go_in_between() {
        let mut ways = Ways::default();
        ways.set(0, Via::One(1));
        ways.set(1, Via::One(2));
        ways.insert(1, Via::Many);
        assert_eq!(
            [0, 1, 2].map(|level| ways.at(level)),
            [Via::One(1), Via::Many, Via::One(2)]
        );
        ways.remove(0);
        assert_eq!(
            [0, 1, 3, 4].map(|level| ways.at(level)),
            [Via::Many, Via::One(2), Via::Many, Via::Many]
        );
        let mut other = ways;
        other.set(1, Via::One(3));
        ways.and(other);
        assert_eq!(ways.at(1), Via::Many);
    }
}
