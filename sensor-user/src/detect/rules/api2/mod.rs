//! API2:2023 Broken Authentication: one file for each question.
//!
//! Takes an exchange, who sent it and what was learnt before. Gives claims with their figures. Never keeps anything:
//! memory is in `detect/baseline/`.

mod expired;
mod guessed;
mod guessing;
mod placed;
mod skipped;
mod spread;
mod telling;
mod weak;

pub(in crate::detect) use expired::ExpiredToken;
pub(in crate::detect) use guessed::GuessableSecret;
pub(in crate::detect) use guessing::GuessedPasswords;
pub(in crate::detect) use placed::{CredentialInUrl, SuccessWithoutCredentials};
pub(in crate::detect) use skipped::SkippedLoginStep;
pub(in crate::detect) use spread::ManyPlaces;
pub(in crate::detect) use telling::TellingAnswers;
pub(in crate::detect) use weak::WeakToken;

use crate::callers::{Answer, PrincipalKind, TokenFacts};
use crate::detect::{Blind, Observation};
use crate::inventory::History;

/// The token of an exchange that the server accepted; `None` when there is none, or acceptance says nothing.
fn accepted<'a>(seen: &Observation<'a>, history: &History) -> Result<Option<&'a TokenFacts>, Blind> {
    let facts = &seen.caller.facts;
    let Some(token) = &facts.token else {
        return match seen.caller.kind {
            PrincipalKind::Unseen => Err(Blind::CallerUnseen),
            _ => Ok(None),
        };
    };
    if seen.exchange.outcome.response().is_none() {
        return Err(Blind::NoResponse);
    }
    let checked = facts.answer == Answer::Accepted && seen.exchange.part.is_none() && !is_public(history);
    Ok(checked.then_some(token))
}

/// Successes without credentials, one in so many, from which an endpoint is open to everybody: what it answers to says
/// nothing of the token.
const PUBLIC_SHARE: u64 = 20;

fn is_public(history: &History) -> bool {
    history.success_anonymous * PUBLIC_SHARE > history.success_known
}

/// Successes with credentials, and none without, from which an endpoint is known to check them.
const CHECKS: u64 = 20;

/// Percent: less while it may be that the endpoint never looks at tokens.
fn sure_of_acceptance(history: &History) -> u8 {
    if history.success_known >= CHECKS { 95 } else { 75 }
}
