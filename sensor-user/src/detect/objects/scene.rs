//! One exchange, as far as objects are concerned: what is at which place, and which ids the request has.
//!
//! Takes an observation. Gives values by place, and keys of ids. Never keeps a value. Bounded by [`PLACES`], [`USED`] and
//! the outline's own bounds; whether something was beyond is said.

use smallvec::SmallVec;

use super::handed::Holder;
use super::keys::{group, mix, tag};
use super::people::bit;
use crate::callers::PrincipalKind;
use crate::classify::outline::{Looks, NOWHERE, Outline, PlaceId, PlaceSeen, Root, Step, ValueSeen};
use crate::classify::{Half, Part, Place};
use crate::detect::Observation;
use crate::detect::operation::OperationKey;
use crate::exchange::Method;
use crate::exchange::call::CallKind;
use crate::exchange::value::ValueHash;

/// Places of one half that are looked at: an order with its lines has a dozen that hold identifiers. Each half has its own,
/// so that no request hides its answer.
const PLACES: usize = 32;
/// Ids of a request's body that are looked at, and as many of the rest of it: a long query does not hide what is below. A
/// request that names more is a batch, of which these stand for all.
const USED: usize = 16;
/// Numbers below are counts, pages, and ids of many things at once: these are told apart by what they are called.
const SHORT: i128 = 10_000;
/// They have fewer digits.
const SHORT_DIGITS: usize = 5;

/// Who did what, when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub(super) seen: &'a Observation<'a>,
    pub(super) operation: u64,
    pub(super) group: u64,
    host: u64,
    pub(super) caller: u64,
    pub(super) now_s: u32,
}

/// Values at one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values {
    pub(super) place: PlaceId,
    pub(super) path: u64,
    pub(super) root: Root,
    pub(super) first: ValueHash,
    /// Different ones, up to 255.
    pub(super) count: u8,
    /// Where they are small numbers, what they are called.
    noun: Option<u64>,
}

/// An id of the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) id: u64,
    /// What else it may be known by.
    pub(super) also: Option<u64>,
    /// What kind of place it is at.
    pub(super) kind: u64,
    pub(super) place: PlaceId,
    pub(super) path: u64,
    part: Part,
}

pub(super) type AllValues = SmallVec<[Values; PLACES]>;
pub(super) type AllUsed = SmallVec<[Used; USED]>;

/// What is looked at.
#[derive(Default)]
pub(super) struct Read {
    pub(super) values: AllValues,
    pub(super) used: AllUsed,
    /// There was more.
    pub(super) is_more: bool,
}

/// How large the numbers of a place are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Size {
    Short,
    Long,
    /// There are both, or it is not known that well.
    Both,
}

impl Values {
    /// A value as names of callers are known: order 7 is not user 7.
    pub(super) fn name(&self, value: ValueHash) -> ValueHash {
        self.noun.map_or(value, |noun| ValueHash(mix(value.0, noun)))
    }

    /// The first of them, so known.
    pub(super) fn first_name(&self) -> ValueHash {
        self.name(self.first)
    }
}

impl Used {
    /// Whether it is known by this.
    pub(super) fn is(&self, id: u64) -> bool {
        self.id == id || self.also == Some(id)
    }
}

impl Read {
    fn add(&mut self, values: Values) {
        let half = values.root.half;
        let known = self.values.iter().filter(|known| known.root.half == half);
        if known.count() < PLACES {
            self.values.push(values);
        } else {
            self.is_more = true;
        }
    }

    fn is_used(&mut self, used: Used) {
        let is_body = used.part == Part::Body;
        let known = self
            .used
            .iter()
            .filter(|known| (known.part == Part::Body) == is_body);
        if known.count() < USED {
            self.used.push(used);
        } else {
            self.is_more = true;
        }
    }

    /// Whether the request has an id.
    fn has(&self, id: u64, also: Option<u64>) -> bool {
        self.used
            .iter()
            .any(|used| used.is(id) || also.is_some_and(|also| used.is(also)))
    }

    /// What of the caller's the request is about, as one number; 0 when it names nothing.
    pub(super) fn object(&self, operation: u64) -> u64 {
        let objects = self.used.iter().map(|used| used.id);
        objects.reduce(mix).map_or(0, |object| mix(object, operation))
    }
}

impl<'a> Scene<'a> {
    /// `None` when nobody is known.
    pub(super) fn of(seen: &'a Observation<'a>) -> Option<Self> {
        let now_s = seen.exchange.request.time_ns.0 / 1_000_000_000;
        Some(Self {
            seen,
            operation: OperationKey::of(seen.identity()).0,
            group: group(seen.caller),
            host: hash(seen.endpoint.host.as_bytes()),
            caller: seen.caller.id?.0.front(),
            now_s: u32::try_from(now_s).unwrap_or(u32::MAX),
        })
    }

    /// The caller as ids know it.
    pub(super) const fn tag(&self) -> u32 {
        tag(self.caller)
    }

    /// The same with its group.
    pub(super) fn holder(&self) -> Holder {
        Holder {
            caller: self.tag(),
            group: self.group_number(),
        }
    }

    /// The group at this host, as ids know it: ten bits of a hash.
    pub(super) fn group_number(&self) -> u16 {
        u16::try_from(mix(self.group, self.host) >> 40 & 0x3ff).unwrap_or_default()
    }

    /// One bit for the caller.
    pub(super) const fn bit(&self) -> u64 {
        1 << (self.caller >> 12 & 63)
    }

    /// Key of a place, for this operation and group.
    pub(super) const fn place(&self, path: u64) -> u64 {
        mix(mix(self.operation, self.group), path)
    }

    /// Whether there is a caller with credentials.
    pub(super) fn is_somebody(&self) -> bool {
        self.seen.caller.kind != PrincipalKind::Anonymous
    }

    /// Whether it may have changed something.
    pub(super) fn writes(&self) -> bool {
        let queries = |kind| matches!(kind, CallKind::GraphqlQuery | CallKind::Grpc);
        let calls = &self.seen.labels.calls;
        !matches!(
            self.seen.endpoint.method,
            Method::Get | Method::Head | Method::Options
        ) && !calls.first().is_some_and(|call| queries(call.kind))
    }

    pub(super) const fn outline(&self) -> &'a Outline {
        &self.seen.labels.outline
    }

    /// A place as it may be shown.
    pub(super) fn shown(&self, place: PlaceId) -> Place {
        let root = self.outline().root(place);
        Place {
            half: root.map_or(Half::Request, |root| root.half),
            part: root.map_or(Part::Path, |root| root.part),
            name: self.outline().name(place).into(),
        }
    }

    /// Values that identify something, each with the part of the message that it is in; cookies are sessions.
    pub(super) fn identifiers(&self) -> impl Iterator<Item = (Root, ValueSeen<'a>)> + use<'a> {
        let outline = self.outline();
        let mut last: Option<(PlaceId, Option<Root>)> = None;
        outline
            .values()
            .filter(|value| value.word.is_empty())
            .filter_map(move |value| {
                let root = match last {
                    Some((place, root)) if place == value.place => root,
                    _ => outline.root(value.place),
                };
                last = Some((value.place, root));
                root.filter(|root| root.part != Part::Cookie)
                    .map(|root| (root, value))
            })
    }

    /// Values by place, and the ids of the request.
    pub(super) fn read(&self) -> Read {
        let mut read = Read::default();
        for (root, value) in self.identifiers() {
            let Some(at) = self.outline().place(value.place) else {
                continue;
            };
            if root.half == Half::Request {
                let (id, also) = self.ids(root, &at, value.hash);
                read.is_used(Used {
                    id,
                    also,
                    kind: mix(self.noun(root, &at), self.host),
                    place: value.place,
                    path: at.path,
                    part: root.part,
                });
            }
            let mut known = read.values.iter_mut().rev();
            if let Some(known) = known.find(|known| known.place == value.place) {
                known.count = known.count.saturating_add(1);
            } else {
                read.add(Values {
                    place: value.place,
                    path: at.path,
                    root,
                    first: value.hash,
                    count: 1,
                    noun: (size(&at) != Size::Long).then(|| self.noun(root, &at)),
                });
            }
        }
        read
    }

    /// Ids of the answer, by every name, with the way to where each is; those that the request has, too, if `repeated`.
    pub(super) fn answered<'b>(
        &'b self,
        read: &'b Read,
        repeated: bool,
    ) -> impl Iterator<Item = (u64, u64)> + 'b {
        let of_answer = self.identifiers().filter(|(root, _)| root.half == Half::Response);
        of_answer.flat_map(move |(root, value)| {
            let at = self.outline().place(value.place);
            let ids = at.map(|at| (at.path, self.ids(root, &at, value.hash)));
            let ids = ids.filter(|(_, ids)| repeated || !read.has(ids.0, ids.1));
            ids.into_iter().flat_map(|(path, (id, also))| {
                [Some(id), also].into_iter().flatten().map(move |id| (path, id))
            })
        })
    }

    /// Kinds of ids that the answer hands out, a bit each.
    pub(super) fn kinds(&self, read: &Read) -> u64 {
        let answered = read.values.iter().filter(|at| at.root.half == Half::Response);
        let kinds = answered.filter_map(|at| {
            let place = self.outline().place(at.place)?;
            let (id, also) = self.ids(at.root, &place, at.first);
            let is_new = at.count > 1 || !read.has(id, also);
            is_new.then(|| bit(mix(self.noun(at.root, &place), self.host)))
        });
        kinds.fold(0, |kinds, kind| kinds | kind)
    }

    /// What an id is known by: itself, and when it is a small number what it is called, too. Where small and large ones
    /// are in one place it is known by both.
    pub(super) fn ids(&self, root: Root, place: &PlaceSeen<'_>, value: ValueHash) -> (u64, Option<u64>) {
        let called = || mix(value.0, self.noun(root, place));
        match size(place) {
            Size::Short => (called(), None),
            Size::Long => (value.0 | 1, None),
            Size::Both => (called(), Some(value.0 | 1)),
        }
    }

    /// What kind of place it is: what its values are ids of, at this host.
    pub(super) fn kind(&self, values: &Values) -> u64 {
        let place = self.outline().place(values.place);
        mix(place.map_or(0, |place| self.noun(values.root, &place)), self.host)
    }

    /// What values of a place are ids of: `order` of `order_id`, of `orders[].id` and of `/orders/{id}`.
    fn noun(&self, root: Root, place: &PlaceSeen<'_>) -> u64 {
        if root.part == Part::Path {
            let position = place.name.iter().fold(0_usize, |sum, digit| {
                sum.saturating_mul(10)
                    .saturating_add(usize::from(digit.wrapping_sub(b'0')))
            });
            return self.literal(position);
        }
        let mut at = *place;
        for _ in 0..4 {
            if at.step == Step::Member
                && let Some(noun) = noun(at.name)
            {
                return noun;
            }
            match self.outline().place(at.parent).filter(|_| at.parent != NOWHERE) {
                Some(around) => at = around,
                None => break,
            }
        }
        self.literal(usize::MAX)
    }

    /// The last word of the path before a position.
    fn literal(&self, before: usize) -> u64 {
        let steps = self.seen.endpoint.template.split('/').skip(1).take(before);
        let word = steps.filter(|step| !step.starts_with('{')).last();
        word.and_then(|word| noun(word.as_bytes())).unwrap_or_default()
    }
}

fn size(place: &PlaceSeen<'_>) -> Size {
    let facts = &place.facts;
    let (least, most) = if facts.looks.has(Looks::NUMBER) {
        let (least, most) = (facts.size.0.bounds().0, facts.size.1.bounds().1);
        (least < SHORT, most < SHORT)
    } else if facts.looks.has(Looks::DIGITS) {
        let is_short = |length: u16| usize::from(length) < SHORT_DIGITS;
        (is_short(facts.length.0), is_short(facts.length.1))
    } else {
        (false, false)
    };
    match (least, most) {
        (_, true) => Size::Short,
        (true, false) => Size::Both,
        (false, false) => Size::Long,
    }
}

/// A name without what says that it is an id, in the singular; `None` when nothing is left.
fn noun(name: &[u8]) -> Option<u64> {
    let mut word = name;
    for end in [&b"id"[..], b"Id", b"ID", b"number", b"no", b"ids", b"Ids"] {
        if let Some(front) = word.strip_suffix(end) {
            let bare = front.strip_suffix(b"_").or_else(|| front.strip_suffix(b"-"));
            let camel = front.last().is_some_and(u8::is_ascii_lowercase) && end.first() == Some(&b'I');
            if front.is_empty() || bare.is_some() || camel {
                word = bare.unwrap_or(front);
                break;
            }
        }
    }
    let last = word.rsplit(|byte| matches!(byte, b'_' | b'-' | b'.')).next()?;
    let mixed = last.iter().any(u8::is_ascii_lowercase);
    let capital = last
        .iter()
        .rposition(u8::is_ascii_uppercase)
        .filter(|at| *at > 0 && mixed);
    let last = capital.and_then(|at| last.get(at..)).unwrap_or(last);
    let last = last
        .strip_suffix(b"s")
        .or_else(|| last.strip_suffix(b"S"))
        .unwrap_or(last);
    (!last.is_empty()).then(|| hash(last))
}

/// FNV-1a, without case.
fn hash(word: &[u8]) -> u64 {
    let step =
        |hash: u64, byte: &u8| (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    word.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::noun;

    #[test]
    fn one_thing_has_one_name() {
        let order = noun(b"orders");
        for name in [
            "order",
            "order_id",
            "orderId",
            "x-order-id",
            "from_order",
            "parentOrder",
            "ORDER-ID",
        ] {
            assert_eq!(noun(name.as_bytes()), order, "{name}");
        }
        assert_eq!(noun(b"id"), None);
        assert_ne!(noun(b"account"), order);
    }
}
