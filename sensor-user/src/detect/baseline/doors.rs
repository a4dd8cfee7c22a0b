//! Whether an endpoint asks who is calling.
//!
//! Takes exchanges and who sent them. Gives a [`Door`]: whom the endpoint turned away, and whether it gives each caller
//! what is theirs or everybody of a role group the same. Callers who happen to have credentials say nothing: those who are logged in
//! read public pages, too. Paths that somebody made up are hardly kept: an endpoint is entered once an answer says something,
//! and few that are not in the inventory. Never keeps a value. Bounded by [`MAX_DOORS`] and a table of fixed size.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::steps::label;
use super::table::Table;
use crate::callers::{Answer, PrincipalKind};
use crate::classify::{Half, Part};
use crate::detect::Observation;
use crate::detect::functions::groups::GroupKey;
use crate::exchange::{Caller, CallerHash, Method};
use crate::inventory::EndpointRef;

/// Endpoints known: those of the inventory. What was learnt first stays.
const MAX_DOORS: usize = 10_000;
/// Endpoints entered that the inventory did not know yet, which may have been made up: what turns people away before it
/// lets the first one in is a tenth of all at most.
const MAX_UNLISTED: usize = MAX_DOORS / 10;
/// Sets of paths: 32,768 of them, 40 bytes a place.
const PATH_SETS: usize = 4096;
/// Values of a request that tell one path from another.
const MAX_IDS: usize = 16;
/// Bits of a sample after which the next is begun: some forty callers.
const FULL: u32 = 32;
/// Callers, and tenants, of whom there must be so many before it is said what they share.
const MIN_CALLERS: u32 = 8;
const MIN_TENANTS: u32 = 3;
/// One in so many may read what others read where each has their own: support staff, and who takes over.
const STAFF: u32 = 4;

/// What is known of an endpoint and people without credentials.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Door {
    /// Too little.
    #[default]
    Unknown,
    /// It turned people without credentials away.
    Closed,
    /// It turned credentials away, so it looks at them.
    Checked,
    /// Callers read what nobody else reads.
    Personal,
    /// Callers of all sorts get the same.
    Common,
    /// There was no room to remember.
    NoRoom,
}

/// Callers as bits of their keyed hashes: enough to say which share of them does something.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Sample {
    callers: u64,
    sharers: u64,
    /// Both of the sample before, counted.
    before: (u32, u32),
}

impl Sample {
    fn add(&mut self, who: u64, shares: bool) {
        // A table's places come from the front half of hashes.
        let bit = 1_u64 << (who & 63);
        self.callers |= bit;
        if shares {
            self.sharers |= bit;
        }
        if self.callers.count_ones() >= FULL {
            *self = Self {
                before: (self.callers.count_ones(), self.sharers.count_ones()),
                ..Self::default()
            };
        }
    }

    /// Callers, and those of them who read what another read.
    const fn counts(self) -> (u32, u32) {
        if self.before.0 > 0 {
            self.before
        } else {
            (self.callers.count_ones(), self.sharers.count_ones())
        }
    }

    /// Whether callers read what is theirs; `None` while that cannot be said.
    const fn is_personal(self, least: u32) -> Option<bool> {
        let (callers, sharers) = self.counts();
        if callers < least {
            None
        } else if sharers * STAFF <= callers {
            Some(true)
        } else if sharers * 2 >= callers {
            Some(false)
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Known {
    people: Sample,
    tenants: Sample,
    /// Without credentials: 401, and 403, which firewalls give as well.
    unauthenticated: u32,
    forbidden: u32,
    /// With credentials: 401.
    refused: u32,
}

/// Who read a path first.
#[derive(Clone, Copy, Default, Debug)]
struct Reader {
    caller: u64,
    group: u64,
    tenant: u64,
    bytes: u64,
    read: u32,
}

impl Known {
    const fn and(mut self, other: Self) -> Self {
        self.unauthenticated = self.unauthenticated.saturating_add(other.unauthenticated);
        self.forbidden = self.forbidden.saturating_add(other.forbidden);
        self.refused = self.refused.saturating_add(other.refused);
        self
    }

    /// How much is known.
    fn weight(&self) -> u32 {
        let (people, _) = self.people.counts();
        [self.unauthenticated, self.forbidden, self.refused]
            .into_iter()
            .fold(people, u32::saturating_add)
    }

    fn door(&self) -> Door {
        let personal = [
            self.people.is_personal(MIN_CALLERS),
            self.tenants.is_personal(MIN_TENANTS),
        ];
        let is_personal = personal.contains(&Some(true));
        let is_common = !is_personal && personal.contains(&Some(false));
        if self.unauthenticated > 0 || (self.forbidden > 0 && !is_common) {
            Door::Closed
        } else if is_common {
            Door::Common
        } else if self.refused > 0 {
            Door::Checked
        } else if is_personal {
            Door::Personal
        } else {
            Door::Unknown
        }
    }
}

/// Every endpoint, as far as it asks who is calling.
#[derive(Debug)]
pub(super) struct Doors {
    endpoints: HashMap<EndpointRef, Known>,
    /// From before a restart, until the endpoint is seen again.
    before: BTreeMap<Box<str>, Known>,
    paths: Table<Reader>,
    /// Of the endpoints, those that the inventory did not know when they were entered.
    unlisted: usize,
}

/// What outlives a restart, by endpoint: not who read which path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptDoors(BTreeMap<Box<str>, Known>);

impl Default for Doors {
    fn default() -> Self {
        Self {
            endpoints: HashMap::new(),
            before: BTreeMap::new(),
            paths: Table::new(PATH_SETS),
            unlisted: 0,
        }
    }
}

impl Doors {
    /// Learns from an exchange; says what was known before it.
    pub(super) fn observe(&mut self, seen: &Observation<'_>, now_s: u32) -> Door {
        if seen.exchange.part.is_some() {
            return Door::Unknown;
        }
        let answer = Answer::of(seen.exchange);
        if !self.enter(seen, answer) {
            let full = self.endpoints.len() >= MAX_DOORS;
            return if full { Door::NoRoom } else { Door::Unknown };
        }
        let Self { endpoints, paths, .. } = self;
        let Some(known) = endpoints.get_mut(seen.endpoint) else {
            return Door::Unknown;
        };
        // Only requests without credentials ask.
        let door = match seen.exchange.caller {
            Caller::Anonymous => known.door(),
            Caller::Known { .. } | Caller::Unseen => Door::Unknown,
        };
        match (seen.exchange.caller, answer) {
            (Caller::Anonymous, Answer::Unauthenticated) => count(&mut known.unauthenticated),
            (Caller::Anonymous, Answer::Forbidden) => count(&mut known.forbidden),
            (Caller::Known { .. }, Answer::Unauthenticated) => count(&mut known.refused),
            (Caller::Known { .. }, Answer::Accepted) => read(known, paths, seen, now_s),
            _ => {}
        }
        door
    }

    /// Whether an endpoint is followed. It is, once an answer says something, if there is room.
    fn enter(&mut self, seen: &Observation<'_>, answer: Answer) -> bool {
        if self.endpoints.contains_key(seen.endpoint) {
            return true;
        }
        if self.endpoints.len() >= MAX_DOORS {
            return false;
        }
        let before = self.earlier(seen.endpoint);
        let says = match seen.exchange.caller {
            Caller::Anonymous => matches!(answer, Answer::Unauthenticated | Answer::Forbidden),
            Caller::Known { .. } => matches!(answer, Answer::Unauthenticated | Answer::Accepted),
            Caller::Unseen => false,
        };
        let unlisted = seen.known.is_none();
        let made_up = unlisted && self.unlisted >= MAX_UNLISTED;
        if before.is_none() && (!says || made_up) {
            return false;
        }
        self.unlisted += usize::from(unlisted);
        self.endpoints
            .insert(EndpointRef::clone(seen.endpoint), before.unwrap_or_default());
        true
    }

    /// An endpoint is called otherwise now. Where both names were known, whom they turned away adds up, and those who read
    /// at the one that stays say whose things they are.
    pub(super) fn rename(&mut self, from: &EndpointRef, into: &EndpointRef) {
        let earlier = self.earlier(from);
        let Some(old) = self.endpoints.remove(from).or(earlier) else {
            return;
        };
        let earlier = self.earlier(into);
        let known = self.endpoints.get(into).copied().or(earlier);
        let now = known.map_or(old, |known| known.and(old));
        if self.endpoints.len() < MAX_DOORS || self.endpoints.contains_key(into) {
            self.endpoints.insert(EndpointRef::clone(into), now);
        }
    }

    /// An endpoint is no more.
    pub(super) fn forget(&mut self, endpoint: &EndpointRef) {
        self.earlier(endpoint);
        self.endpoints.remove(endpoint);
    }

    /// What is known of an endpoint from before a restart; taken out.
    fn earlier(&mut self, endpoint: &EndpointRef) -> Option<Known> {
        if self.before.is_empty() {
            return None;
        }
        self.before.remove(label(endpoint).as_str())
    }

    pub(super) fn snapshot(&self) -> KeptDoors {
        let mut kept = self.before.clone();
        let now = self
            .endpoints
            .iter()
            .map(|(endpoint, known)| (label(endpoint).into(), *known));
        kept.extend(now);
        KeptDoors(kept).bound()
    }

    pub(super) fn restore(kept: KeptDoors) -> Self {
        Self {
            before: kept.bound().0,
            ..Self::default()
        }
    }
}

impl KeptDoors {
    /// Keeps those of which most is known.
    fn bound(mut self) -> Self {
        if self.0.len() > MAX_DOORS {
            let mut all: Vec<_> = self.0.into_iter().collect();
            all.sort_by_key(|(_, known)| std::cmp::Reverse(known.weight()));
            all.truncate(MAX_DOORS);
            self.0 = all.into_iter().collect();
        }
        self
    }
}

const fn count(sum: &mut u32) {
    *sum = sum.saturating_add(1);
}

/// Somebody read something. Programs go through everything, and say nothing about people.
fn read(known: &mut Known, paths: &mut Table<Reader>, seen: &Observation<'_>, now_s: u32) {
    let exchange = seen.exchange;
    let safe = matches!(Method::of(exchange.request.method()), Method::Get | Method::Head);
    let Some(caller) = seen.caller.id.map(|id| id.0.front()).filter(|_| safe) else {
        return;
    };
    if matches!(seen.caller.kind, PrincipalKind::Service | PrincipalKind::Unseen) || seen.caller.ambiguous {
        return;
    }
    let Some((path, has_ids)) = path(seen) else {
        return;
    };
    let group = GroupKey::of(seen.caller).map_or(0, |group| group.0);
    let tenant = seen.caller.tenant.map(CallerHash::front);
    let bytes = exchange
        .outcome
        .response()
        .map_or(0, |response| response.body.total);
    let Some(reader) = paths.place(path, now_s, |reader| reader.read) else {
        return;
    };
    reader.read = reader.read.saturating_add(1);
    if reader.read == 1 {
        let (tenant, read) = (tenant.unwrap_or(caller), 1);
        *reader = Reader {
            caller,
            group,
            tenant,
            bytes,
            read,
        };
    }
    // Where nothing is named, each may get an answer of their own, which size tells.
    let same = has_ids || reader.bytes == bytes;
    // Whom staff read before is no more shared for that.
    if reader.caller == caller || (same && reader.group == group) {
        known.people.add(caller, reader.caller != caller);
    }
    if let Some(tenant) = tenant.filter(|tenant| same || reader.tenant == *tenant) {
        known.tenants.add(tenant, reader.tenant != tenant);
    }
}

/// What is asked for, by keyed hashes of the values that name it; whether there are any. `None` where a value of the path
/// was not taken for one, so that one thing cannot be told from another.
fn path(seen: &Observation<'_>) -> Option<(u64, bool)> {
    let endpoint = seen.endpoint;
    let mut hash = mix(0, text(&[&endpoint.host, &endpoint.template]));
    let wanted = endpoint.template.matches('{').count();
    let (mut in_path, mut all) = (0, 0);
    let outline = &seen.labels.outline;
    for value in outline.values() {
        let Some(root) = outline.root(value.place) else {
            continue;
        };
        if root.half == Half::Response || all == MAX_IDS {
            break;
        }
        if matches!(root.part, Part::Path | Part::Query) {
            in_path += usize::from(root.part == Part::Path);
            all += 1;
            hash = mix(hash, value.hash.0);
        }
    }
    (in_path >= wanted).then_some((hash, all > 0))
}

/// Text of an endpoint is no secret, and nobody gains by two that fall together.
fn text(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Murmur's last step: each bit reaches all.
const fn mix(state: u64, word: u64) -> u64 {
    let mut mixed = state.rotate_left(23) ^ word;
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}
