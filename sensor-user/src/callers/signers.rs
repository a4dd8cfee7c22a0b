//! By which kind of algorithm each issuer signs (RFC 8725, 2.1).
//!
//! Takes tokens that were accepted, and those that a login handed out. Says whether a token is signed otherwise than its
//! issuer's are. That one such token was accepted makes its kind no usual one: where forged tokens are accepted, the next
//! is as forged as the first. Never keeps a value. Bounded by [`MAX_ISSUERS`].

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::snapshot::hex;
use super::spread::Spread;
use crate::exchange::CallerHash;
use crate::exchange::credentials::{Algorithm, Claims};

/// Issuers of tokens whose algorithms are remembered; organisations have a handful.
const MAX_ISSUERS: usize = 1024;
/// Kinds of algorithm: symmetric, asymmetric, none.
const KINDS: usize = 3;
/// Window in which callers are counted as different.
const WEEK_S: u32 = 7 * 86_400;
/// Callers whose tokens are signed in a way that most others are not: an issuer has a few programs that sign otherwise
/// before it has so many.
const SOME: u16 = 20;
/// One in so many callers of the other kinds, at least.
const SHARE: u16 = 20;
/// Callers who make a kind the usual one where they are half as many as of any other: the issuer has changed its ways.
const CHANGED: u16 = 3;

/// One issuer.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Issuer {
    /// Kinds of accepted tokens, a bit each.
    accepted: u8,
    /// Kinds of tokens that a server was seen to hand out.
    handed_out: u8,
    /// Whose accepted tokens they were.
    callers: [Spread; KINDS],
}

/// Every issuer.
#[derive(Default, Debug)]
pub(super) struct Signers(FxHashMap<CallerHash, Issuer>);

/// One issuer as it outlives a restart.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptIssuer {
    #[serde(with = "hex")]
    issuer: CallerHash,
    known: Issuer,
}

impl Signers {
    /// Whether the issuer of a token signs otherwise; learns from one that was accepted. `who` presented it.
    pub(super) fn presented(&mut self, claims: &Claims, who: CallerHash, accepted: bool, now_s: u32) -> bool {
        let Some(issuer) = claims.issuer else { return false };
        let kind = kind(claims.algorithm);
        let other = self
            .0
            .get(&issuer)
            .is_some_and(|known| known.signs_otherwise(kind, now_s));
        if accepted && let Some(known) = self.issuer(issuer) {
            known.accepted |= 1 << kind;
            if let Some(callers) = known.callers.get_mut(kind) {
                callers.add(who, now_s, WEEK_S);
            }
        }
        other
    }

    /// A login was answered with this token: whatever signs it does so for the issuer.
    pub(super) fn handed_out(&mut self, claims: &Claims) {
        if let Some(known) = claims.issuer.and_then(|issuer| self.issuer(issuer)) {
            known.handed_out |= 1 << kind(claims.algorithm);
        }
    }

    fn issuer(&mut self, issuer: CallerHash) -> Option<&mut Issuer> {
        let has_room = self.0.len() < MAX_ISSUERS;
        if !has_room && !self.0.contains_key(&issuer) {
            return None;
        }
        Some(self.0.entry(issuer).or_default())
    }

    /// Everything, in order.
    pub(super) fn snapshot(&self) -> Vec<KeptIssuer> {
        let all = self.0.iter();
        let mut all: Vec<_> = all
            .map(|(issuer, known)| KeptIssuer {
                issuer: *issuer,
                known: *known,
            })
            .collect();
        all.sort_by_key(|kept| kept.issuer);
        all
    }

    pub(super) fn restore(kept: Vec<KeptIssuer>) -> Self {
        let all = kept.into_iter().take(MAX_ISSUERS);
        Self(all.map(|kept| (kept.issuer, kept.known)).collect())
    }
}

impl Issuer {
    fn signs_otherwise(&self, kind: usize, now_s: u32) -> bool {
        let bit = 1_u8 << kind;
        let known = self.accepted | self.handed_out;
        if self.handed_out & bit != 0 || known & !bit == 0 {
            return false;
        }
        let callers = |at: usize| self.callers.get(at).map_or(0, |all| all.estimate(now_s, WEEK_S));
        let own = callers(kind);
        let others = (0..KINDS)
            .filter(|at| *at != kind)
            .map(callers)
            .max()
            .unwrap_or(0);
        let changed = own >= CHANGED && own.saturating_mul(2) >= others;
        let some = own >= SOME && own.saturating_mul(SHARE) >= others;
        !(changed || some)
    }
}

const fn kind(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => 0,
        Algorithm::Rsa | Algorithm::Curve => 1,
        Algorithm::None | Algorithm::Other | Algorithm::Absent => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMMETRIC: usize = 0;
    const ASYMMETRIC: usize = 1;

    fn signed(kinds: &[(usize, u64)]) -> Issuer {
        let mut issuer = Issuer::default();
        for (kind, many) in kinds {
            issuer.accepted |= 1 << kind;
            for number in 0..*many {
                let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mut hash = [0; 16];
                hash[15] = (mixed >> 32).to_le_bytes()[0];
                issuer.callers[*kind].add(CallerHash(hash), 1, WEEK_S);
            }
        }
        issuer
    }

    #[test]
    fn a_kind_is_usual_when_many_have_it() {
        for (others, own, otherwise) in [
            (0, 0, false),
            (1, 0, true),
            (1, 1, true),
            (4, 3, false),
            (12, 3, true),
            (90, 8, true),
            (90, 30, false),
        ] {
            let known = signed(&[(ASYMMETRIC, others), (SYMMETRIC, own)][..=usize::from(own > 0)]);
            let known = if others == 0 { Issuer::default() } else { known };
            assert_eq!(
                known.signs_otherwise(SYMMETRIC, 2),
                otherwise,
                "{others} and {own}"
            );
        }
    }

    #[test]
    fn what_is_handed_out_is_the_issuers() {
        let mut known = signed(&[(ASYMMETRIC, 90)]);
        assert!(known.signs_otherwise(SYMMETRIC, 2));
        known.handed_out |= 1 << SYMMETRIC;
        assert!(!known.signs_otherwise(SYMMETRIC, 2));
    }

    #[test]
    fn what_was_usual_is_remembered_when_nobody_came_for_weeks() {
        let known = signed(&[(ASYMMETRIC, 90)]);
        assert!(known.signs_otherwise(SYMMETRIC, 5 * WEEK_S));
    }
}
