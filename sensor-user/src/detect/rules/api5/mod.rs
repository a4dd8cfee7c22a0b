//! API5:2023 Broken Function Level Authorization: one rule for each kind of function.
//!
//! Takes an exchange and what was learnt of who uses its operation. Gives claims with their figures. Never keeps anything.

mod administrative;
mod method;
mod role;

pub(in crate::detect) use administrative::AdministrativeFunction;
pub(in crate::detect) use method::NewMethod;
pub(in crate::detect) use role::FunctionOfAnotherRole;

use crate::classify::Confidence;
use crate::detect::functions::{Function, Outsider};
use crate::detect::{Blind, Claim, Past, Severity, Verdict, Verdicts};

/// Successes by others, and hours, from which it is well known whose a function is.
const SETTLED_USES: u32 = 20;
const SETTLED_HOURS: u32 = 24;

/// Tells an outsider at that kind of function.
fn tell<'a>(function: Function, past: &Past<'a>, out: &mut Verdicts<'a>) -> Result<(), Blind> {
    let Some(outsider) = past.signs.rights.function? else {
        return Ok(());
    };
    if outsider.function == function {
        out.push(verdict(outsider));
    }
    Ok(())
}

fn verdict(outsider: Outsider) -> Verdict<'static> {
    let settled = outsider.uses >= SETTLED_USES && outsider.hours >= SETTLED_HOURS;
    // Whoever was refused and is let in has found a way.
    let sure = if settled { 80 } else { 60 } + if outsider.refusals > 0 { 10 } else { 0 };
    Verdict {
        severity: if settled { Severity::High } else { Severity::Medium },
        confidence: Confidence(sure),
        claim: Claim::Outsider(outsider),
    }
}
