//! Lists far longer than what a group usually gets.
//!
//! Takes the items of an answer and what is usual of operation and group. Gives [`Bulk`]. Never sees a value: of the
//! request only the name of a parameter of size, and whether it asks for as much as came.

use super::sketch::Sketch;
use crate::classify::Half;
use crate::classify::outline::{Outline, Step};
use crate::detect::Observation;
use crate::detect::functions::groups::Sizes;

/// Items from which an answer is more than a page that a person looks at.
const LEAST: u32 = 50;
/// Times the usual.
const TIMES: u32 = 4;
/// The same where the operation is new, and the norm is that of the group's answers at the host.
const LEAST_NEW: u32 = 100;
const TIMES_NEW: u32 = 8;
/// Answers before there is a norm: of the group at the operation, of the group at the host.
const ANSWERS: u32 = 20;
const ANSWERS_AT_HOST: u32 = 200;

/// Parameters of size, as published APIs name them.
const NAMES: [&str; 22] = [
    "limit",
    "size",
    "per_page",
    "perpage",
    "per-page",
    "page_size",
    "pagesize",
    "page-size",
    "count",
    "first",
    "last",
    "top",
    "$top",
    "take",
    "rows",
    "max",
    "max_results",
    "maxresults",
    "num",
    "length",
    "batch_size",
    "pagelen",
];

/// An answer with far more items than usual.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bulk {
    /// Items.
    pub items: u32,
    /// Items of all but one answer in a hundred, at most.
    pub usual: u32,
    /// Answers that this is known from.
    pub answers: u32,
    /// They are of the caller's group at all operations of the host: it never used this one.
    pub elsewhere: bool,
    /// The parameter that asked for so many.
    pub asked_by: Option<&'static str>,
    /// Callers of the group who got as many, at least.
    pub callers: u16,
}

/// What is usual.
#[derive(Clone, Copy, Debug)]
pub(in crate::detect) struct Answers {
    /// Of the group at the operation.
    pub(in crate::detect) own: Sizes,
    /// Of the group at the host.
    pub(in crate::detect) at_host: Sizes,
}

/// Whether there are far more items than usual.
pub(in crate::detect) fn bulk(
    seen: &Observation<'_>,
    sketch: &Sketch,
    items: u32,
    usual: Answers,
) -> Option<Bulk> {
    if items < LEAST {
        return None;
    }
    let (own, at_host) = (usual.own, usual.at_host);
    let known = own.total() >= ANSWERS;
    let norm = if known { own } else { at_host };
    let (least, times, answers) = if known {
        (LEAST, TIMES, ANSWERS)
    } else {
        (LEAST_NEW, TIMES_NEW, ANSWERS_AT_HOST)
    };
    let most = norm.usual();
    if norm.total() < answers || items < least || items < most.saturating_mul(times) {
        return None;
    }
    let asked_by = asked(seen, items).or_else(|| asked_inside(&seen.labels.outline, sketch, items));
    // Who has much gets much: without being asked for, a long list at a new place says nothing.
    (known || asked_by.is_some()).then_some(Bulk {
        items,
        usual: most,
        answers: norm.total(),
        elsewhere: !known,
        asked_by,
        callers: 0,
    })
}

fn named(name: &[u8]) -> Option<&'static str> {
    NAMES
        .into_iter()
        .find(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// A parameter of the query that asks for as many as came, or more.
fn asked(seen: &Observation<'_>, items: u32) -> Option<&'static str> {
    let target = seen.exchange.request.target().expose();
    let query = target.split(|byte| *byte == b'?').nth(1)?;
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        let name = named(sides.next()?)?;
        let number = std::str::from_utf8(sides.next()?).ok()?.parse::<u64>().ok()?;
        (number >= u64::from(items)).then_some(name)
    })
}

/// The same of the body, such as a variable of GraphQL.
fn asked_inside(outline: &Outline, sketch: &Sketch, items: u32) -> Option<&'static str> {
    let mut members = sketch
        .inside(outline, Half::Request)
        .filter(|(_, place)| place.step == Step::Member);
    members.find_map(|(_, place)| {
        let name = named(place.name)?;
        let (_, greatest) = place.facts.size.1.bounds();
        (greatest >= i128::from(items)).then_some(name)
    })
}
