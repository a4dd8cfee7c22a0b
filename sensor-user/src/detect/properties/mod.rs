//! Properties and lists beyond the norm of an operation.
//!
//! Takes the outline of an exchange that was answered with success, and what is known of its operation. Gives what a
//! request sets that none set before ([`Assigned`]), what an answer shows that none showed before ([`Excess`]), and
//! lists far longer than usual ([`Bulk`]). Never sees a value; keeps ways to properties and counts.

mod bulk;
pub(super) mod part;
mod privilege;
pub(super) mod sketch;

use crate::classify::outline::{Facts, Looks, Outline, PlaceId, Step};
use crate::classify::{DataKind, Half};
use crate::exchange::value::ValueHash;
use part::News;
use sketch::Sketch;

pub use bulk::Bulk;
pub(super) use bulk::{Answers, bulk};
pub use privilege::Privilege;

/// A request set a property that none set before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assigned {
    /// Way to it, as labels name it.
    pub property: Box<str>,
    /// What its name says.
    pub privilege: Privilege,
    /// The answer has it, too, as it was sent.
    pub reflected: bool,
    /// Requests that were without it.
    pub messages: u32,
    /// Callers who sent it so far, at least.
    pub callers: u16,
    /// When it came.
    pub since_s: u32,
}

/// An answer showed sensitive data that none showed before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excess {
    /// Way to it, as labels name it.
    pub property: Box<str>,
    /// Kinds of data, a bit each.
    pub kinds: u32,
    /// Answers that were without it.
    pub messages: u32,
    /// Callers who got it so far, at least.
    pub callers: u16,
    /// When it came.
    pub since_s: u32,
}

impl Excess {
    /// Kinds of data.
    pub fn kinds(&self) -> impl Iterator<Item = DataKind> {
        KINDS.into_iter().filter(|kind| self.kinds & bit(*kind) != 0)
    }
}

/// Every kind.
const KINDS: [DataKind; 11] = [
    DataKind::PaymentCard,
    DataKind::Iban,
    DataKind::Email,
    DataKind::Phone,
    DataKind::UsSsn,
    DataKind::Jwt,
    DataKind::PrivateKey,
    DataKind::CloudToken,
    DataKind::CodeHostToken,
    DataKind::Password,
    DataKind::SecretField,
];

/// Time for each caller after the first, in which a release has more.
const EACH_S: u32 = 3 * 3600;

/// What stands out in a request. What the answer shows to be passed over does not.
pub(super) fn assigned(news: &[News], sketch: &Sketch, outline: &Outline, now_s: u32) -> Option<Assigned> {
    let told = news.iter().filter(|one| one.callers.is_told(now_s, EACH_S));
    let rated = told.filter_map(|one| Some((one, one.privilege?, reflection(one.place, sketch, outline))));
    let (one, privilege, reflection) = rated
        .filter(|(_, _, reflection)| *reflection != Reflection::PassedOver)
        .max_by_key(|(_, privilege, reflection)| (*reflection, *privilege))?;
    Some(Assigned {
        property: outline.name(one.place).into(),
        privilege,
        reflected: reflection == Reflection::Same,
        messages: one.before,
        callers: one.callers.count(),
        since_s: one.since_s,
    })
}

/// Kinds of data that a login hands out.
const GRANTED: u32 = bit(DataKind::Jwt) | bit(DataKind::SecretField);

/// A kind of data as a bit.
pub(crate) const fn bit(kind: DataKind) -> u32 {
    1 << kind as u32
}

/// What stands out in an answer. Where something was handed out, tokens do not.
pub(super) fn excess(news: &[News], granted: bool, outline: &Outline, now_s: u32) -> Option<Excess> {
    let kinds = if granted { !GRANTED } else { u32::MAX };
    let told = news.iter().filter(|one| one.callers.is_told(now_s, EACH_S));
    let one = told
        .filter(|one| one.sensitive & kinds != 0)
        .max_by_key(|one| one.sensitive & kinds)?;
    Some(Excess {
        property: outline.name(one.place).into(),
        kinds: one.sensitive & kinds,
        messages: one.before,
        callers: one.callers.count(),
        since_s: one.since_s,
    })
}

/// What the answer says about a property of the request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Reflection {
    /// It tells of the object, without the property or with another value of it.
    PassedOver,
    /// It tells nothing, or not which value the property has.
    Unknown,
    /// It has the property as it was sent.
    Same,
}

fn reflection(id: PlaceId, sketch: &Sketch, outline: &Outline) -> Reflection {
    let Some(sent) = outline.place(id) else {
        return Reflection::Unknown;
    };
    let members = || {
        sketch
            .inside(outline, Half::Response)
            .filter(|(_, place)| place.step == Step::Member)
    };
    let namesakes = members().filter(|(_, place)| place.name.eq_ignore_ascii_case(sent.name));
    let told = namesakes.map(|(other, place)| compare(outline, (id, &sent.facts), (other, &place.facts)));
    match told.max() {
        Some(told) => told,
        // It tells of something: of the other properties that were sent, or of what came of it.
        None if members().next().is_some() => Reflection::PassedOver,
        None => Reflection::Unknown,
    }
}

/// Hashes of the values of a place.
fn hashes(outline: &Outline, id: PlaceId) -> impl Iterator<Item = ValueHash> {
    outline
        .values()
        .filter(move |value| value.place == id && !value.is_key)
        .map(|value| value.hash)
}

/// Whether two places hold the same, as far as sizes and keyed hashes tell. Of booleans the length tells which they are;
/// what is null or has members of its own tells nothing.
fn compare(
    outline: &Outline,
    (one, sent): (PlaceId, &Facts),
    (other, told): (PlaceId, &Facts),
) -> Reflection {
    let is = |same: bool| {
        if same {
            Reflection::Same
        } else {
            Reflection::PassedOver
        }
    };
    let mut mine = hashes(outline, one);
    let theirs = || hashes(outline, other);
    if hashes(outline, one).next().is_some() && theirs().next().is_some() {
        return is(mine.any(|hash| theirs().any(|known| known == hash)));
    }
    let numbers = sent.size.0 <= sent.size.1 && told.size.0 <= told.size.1;
    if numbers {
        return is(sent.size.1 == told.size.1);
    }
    let kinds = |facts: &Facts| facts.looks.common(Looks::KINDS);
    let both = kinds(sent).common(kinds(told));
    if both.is_empty() {
        return Reflection::PassedOver;
    }
    if both.has(Looks::ARRAY) {
        return lists(outline, (one, sent), (other, told));
    }
    if both.has(Looks::NULL.and(Looks::OBJECT)) {
        return Reflection::Unknown;
    }
    // Of several objects one may be the one that was meant.
    let several = sent.length.0 != sent.length.1 || told.length.0 != told.length.1;
    if both.has(Looks::BOOL) && several {
        return Reflection::Unknown;
    }
    is(sent.length == told.length)
}

/// Whether the list that is told has all items of the one that was sent.
fn lists(outline: &Outline, (one, sent): (PlaceId, &Facts), (other, told): (PlaceId, &Facts)) -> Reflection {
    if told.length.1 < sent.length.1 {
        return Reflection::PassedOver;
    }
    let items = |list: PlaceId| {
        (0..)
            .zip(outline.places())
            .filter(move |(_, place)| place.parent == list && place.step == Step::Item)
            .flat_map(|(id, _)| hashes(outline, id))
    };
    if items(one).next().is_none() || items(other).next().is_none() {
        return Reflection::Unknown;
    }
    if items(one).all(|hash| items(other).any(|known| known == hash)) {
        Reflection::Same
    } else {
        Reflection::PassedOver
    }
}
