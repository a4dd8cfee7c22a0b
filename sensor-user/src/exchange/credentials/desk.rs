//! The key that values are hashed with, and what was read of tokens before.
//!
//! Takes values. Gives keyed hashes and claims. Never keeps a value. Bounded by [`GENERATION`] tokens, and the work spent
//! on guessable secrets by [`TRIALS`].

use std::hash::BuildHasher;
use std::sync::Arc;

use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

use super::jwt::{self, Parts, Reading};
use super::{Claims, Weak, login, weak};
use crate::exchange::Secret;
use crate::exchange::secret::{CallerHash, Domain, HashKey, KeyedHash};

/// Tokens whose claims are remembered, twice over: a new generation begins when one is full. Some hundred bytes each.
const GENERATION: usize = 2048;
/// Short tokens that guessable secrets are tried on at once, at some 50 microseconds each. Longer ones cost as many as
/// they are longer ([`weak::cost`]).
const TRIALS: u32 = 1024;
/// New tokens that earn one more trial: in a flood of tokens each costs an eighth of a trial.
const EARNED_BY: u32 = 8;

/// Hashes what identifies callers.
#[derive(Debug)]
pub struct Desk {
    key: HashKey,
    /// By token and service: without an issuer the subject is one of the service.
    young: FxHashMap<(CallerHash, u64), Arc<Claims>>,
    old: FxHashMap<(CallerHash, u64), Arc<Claims>>,
    reading: Reading,
    /// Eighths of trials.
    credit: u32,
}

impl Desk {
    /// A desk that has seen nothing.
    pub fn new(key: HashKey) -> Self {
        Self {
            key,
            young: FxHashMap::default(),
            old: FxHashMap::default(),
            reading: Reading::default(),
            credit: TRIALS * EARNED_BY,
        }
    }

    /// Of a token, session or key.
    pub(super) fn secret(&self, value: &[u8]) -> KeyedHash {
        self.key
            .hash(Domain::Secret, Secret::new(b""), Secret::new(value.trim_ascii()))
    }

    /// Of a login name used at a service.
    pub(super) fn login(&self, name: &[u8], scope: &[u8]) -> KeyedHash {
        login(&self.key, name, &service(scope))
    }

    /// Of an application that names itself at a service.
    pub(super) fn client(&self, name: &[u8], scope: &[u8]) -> KeyedHash {
        let scope = service(scope);
        self.key
            .hash(Domain::Client, Secret::new(&scope), Secret::new(name))
    }

    /// Of a client's address.
    pub(super) fn address(&self, address: &[u8]) -> CallerHash {
        self.key
            .hash(Domain::Address, Secret::new(b""), Secret::new(address))
            .now
    }

    /// What a token says. `secret` is its hash.
    pub(super) fn claims(&mut self, token: &[u8], secret: KeyedHash, scope: &[u8]) -> Option<Arc<Claims>> {
        let scope = service(scope);
        let place = (secret.now, FxBuildHasher.hash_one(&*scope));
        if let Some(known) = self.young.get(&place) {
            return Some(Arc::clone(known));
        }
        let claims = match self.old.remove(&place) {
            Some(known) => known,
            None => Arc::new(self.read(token, &scope)?),
        };
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(place, Arc::clone(&claims));
        Some(claims)
    }

    fn read(&mut self, token: &[u8], scope: &[u8]) -> Option<Claims> {
        let parts = Parts::of(token)?;
        let mut claims = jwt::read(parts, scope, &self.key, &mut self.reading);
        self.credit = (self.credit + 1).min(TRIALS * EARNED_BY);
        let price = weak::cost(parts).saturating_mul(EARNED_BY);
        if claims.algorithm.is_symmetric() && self.credit >= price {
            self.credit -= price;
            let guessable = weak::is_guessable(parts, claims.algorithm);
            claims.tried = guessable.is_some();
            if guessable == Some(true) {
                claims.weak |= Weak::GUESSABLE;
            }
        }
        Some(claims)
    }
}

/// The service that a `Host` names: without port, in lower case (RFC 9110, 4.2.3).
fn service(host: &[u8]) -> SmallVec<[u8; 64]> {
    let end = memchr::memrchr(b':', host).filter(|at| {
        host.get(at + 1..)
            .is_some_and(|port| port.iter().all(u8::is_ascii_digit))
    });
    let name = host.get(..end.unwrap_or(host.len())).unwrap_or(host);
    name.iter().map(u8::to_ascii_lowercase).collect()
}
