//! Functions and the role groups that use them.
//!
//! Takes what is known of an operation and of the groups at its host. Gives an [`Outsider`] when somebody succeeds at an
//! operation that the own group never used while others did, and did so rarely by chance: the group had opportunities
//! enough. Never concludes anything of groups that have every role and scope of those who use it. Keeps nothing itself.

pub(super) mod groups;
pub(super) mod uses;
pub(super) mod words;

use super::Blind;
use super::operation::HostKey;
use crate::exchange::Method;
use groups::{GroupKey, Groups};
use uses::Uses;

pub(super) use words::is_administrative;

/// What kind of function somebody used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Function {
    /// One of another role.
    OfRole,
    /// One whose name says that it is for administrators.
    Administrative,
    /// A method, at a path that the group reads.
    Method,
}

impl Function {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OfRole => "of_another_role",
            Self::Administrative => "administrative",
            Self::Method => "new_method",
        }
    }
}

/// Somebody used a function that the own group never did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outsider {
    /// What kind of function.
    pub function: Function,
    /// Successes of those who use it.
    pub uses: u32,
    /// How many they are, about.
    pub callers: u16,
    /// In how many role groups.
    pub groups: u16,
    /// Callers of the own group at the host, about.
    pub own_callers: u16,
    /// Uses by the own group, if it were like the others.
    pub expected: u32,
    /// For how long it is known, in hours.
    pub hours: u32,
    /// Refusals of the own group there.
    pub refusals: u32,
}

/// Successes by others before a function is theirs; of an administrative one, whose name says it already.
const USES: u32 = 5;
const ADMINISTRATIVE_USES: u32 = 3;
/// Uses that the own group would have come to if it were like the others. People differ in what they like to do, though
/// not thirtyfold: those of a role do things that others do rarely.
const EXPECTED: u64 = 60;
const ADMINISTRATIVE_EXPECTED: u64 = 20;
/// The same for another method at a path that the group reads: there it does what others do.
const METHOD_EXPECTED: u64 = 30;
/// Callers of the own group, times those of the groups that use it: a function of few.
const NARROW: u32 = 4;
const ADMINISTRATIVE_NARROW: u32 = 2;
/// Callers that a group has before it has habits.
const OWN_CALLERS: u16 = 10;
const ADMINISTRATIVE_OWN_CALLERS: u16 = 5;
/// Readers of a path before not writing there means something; a single one must have read as many times more.
const READERS: u16 = 3;
const ONE_READER_TIMES: u64 = 4;
/// Uses by the own group, times so many less than expected: what one of them did before is not what the group does.
const OWN_TIMES: u64 = 20;
/// Successes and hours where all who came belong to one tenant, as the caller does: there the group is the tenant's, of
/// whose opportunities little is known.
const TENANT_USES: u32 = 10;
const TENANT_HOURS: u32 = 48;
/// Successes without credentials, one in so many, from which a function is open to everybody.
const PUBLIC_SHARE: u32 = 20;

/// What is known where somebody comes.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    /// Who uses the operation.
    pub(super) uses: &'a Uses,
    /// Who reads at its path.
    pub(super) reads: Option<&'a Uses>,
    pub(super) groups: &'a Groups,
    pub(super) host: HostKey,
    pub(super) group: GroupKey,
    pub(super) method: Method,
    /// Its name says that it is for administrators.
    pub(super) administrative: bool,
    /// Only callers of one tenant came, and so does this one.
    pub(super) one_tenant: bool,
    /// When the operation was met first, and the reading one.
    pub(super) first_s: (u32, u32),
    pub(super) now_s: u32,
}

impl Scene<'_> {
    /// Whether somebody of the group is an outsider there. `Err` when it cannot be told: then it may be lawful.
    pub(super) fn outsider(&self) -> Result<Option<Outsider>, Blind> {
        let group = self.group;
        if group == GroupKey::ANONYMOUS || self.uses.others(group).next().is_none() {
            return Ok(None);
        }
        if group == GroupKey::SERVICES {
            return Err(Blind::NotEnoughEvidence);
        }
        let superior = |other: &uses::GroupUse| self.groups.covers(self.host, group, other.group);
        if self.is_public() || self.uses.others(group).any(superior) {
            return Ok(None);
        }
        let found = if self.administrative {
            self.of_few(Function::Administrative)
        } else {
            self.by_method().or_else(|| self.of_few(Function::OfRole))
        };
        let holds =
            |found: &Outsider| !self.one_tenant || found.uses >= TENANT_USES && found.hours >= TENANT_HOURS;
        found.filter(holds).map(Some).ok_or(Blind::NotEnoughEvidence)
    }

    fn is_public(&self) -> bool {
        let all: u32 = self.uses.0.iter().map(|one| one.uses).sum();
        let anonymous = self.uses.find(GroupKey::ANONYMOUS).map_or(0, |one| one.uses);
        anonymous.saturating_mul(PUBLIC_SHARE) > all
    }

    /// Few use it, and the many of the own group never did.
    fn of_few(&self, function: Function) -> Option<Outsider> {
        let (least, expected_least, narrow, own_least) = match function {
            Function::Administrative => (
                ADMINISTRATIVE_USES,
                ADMINISTRATIVE_EXPECTED,
                ADMINISTRATIVE_NARROW,
                ADMINISTRATIVE_OWN_CALLERS,
            ),
            Function::OfRole | Function::Method => (USES, EXPECTED, NARROW, OWN_CALLERS),
        };
        let since = self.first_s.0;
        let own = self.groups.find(self.host, self.group)?;
        let (mut circle, mut exchanges) = (0, 0);
        for other in self.uses.others(self.group) {
            let at_host = self.groups.find(self.host, other.group)?;
            circle += u32::from(at_host.callers());
            exchanges += at_host.since(since, self.now_s);
        }
        let told = self.describe(function, 0);
        let expected = own.since(since, self.now_s) * u64::from(told.uses) / exchanges.max(1);
        let holds = told.uses >= least
            && self.is_rare(expected, expected_least)
            && own.callers() >= own_least
            && u32::from(own.callers()) >= circle * narrow;
        holds.then(|| self.describe(function, expected))
    }

    /// The group reads at that path, others change things there, and the group never did.
    fn by_method(&self) -> Option<Outsider> {
        if matches!(self.method, Method::Get) {
            return None;
        }
        let reads = self.reads?;
        let own = reads.find(self.group)?;
        let told = self.describe(Function::Method, 0);
        let read: u32 = self
            .uses
            .others(self.group)
            .map(|other| reads.find(other.group).map_or(0, |one| one.uses))
            .sum();
        // Of a method that came later, only what was read since then counts.
        let age = |first: u32| u64::from(self.now_s.saturating_sub(first).max(1));
        let (own_age, age) = (age(self.first_s.1), age(self.first_s.0));
        let since = u64::from(own.uses) * age.min(own_age) / own_age;
        let expected = since * u64::from(told.uses) / u64::from(read.max(told.uses).max(1));
        let times = if own.callers() >= READERS {
            1
        } else {
            ONE_READER_TIMES
        };
        let holds = told.uses >= USES && self.is_rare(expected, METHOD_EXPECTED * times);
        holds.then(|| self.describe(Function::Method, expected))
    }

    /// Whether so many uses were to be expected, and the own group has hardly any.
    fn is_rare(&self, expected: u64, least: u64) -> bool {
        let own = self.uses.find(self.group).map_or(0, |own| u64::from(own.uses));
        expected >= least.max(own * OWN_TIMES)
    }

    fn describe(&self, function: Function, expected: u64) -> Outsider {
        let others = || self.uses.others(self.group);
        let own = self.groups.find(self.host, self.group);
        let refusals = self.uses.find(self.group).map_or(0, |one| one.refusals);
        Outsider {
            function,
            uses: others().map(|one| one.uses).fold(0, u32::saturating_add),
            callers: others().map(uses::GroupUse::callers).fold(0, u16::saturating_add),
            groups: u16::try_from(others().count()).unwrap_or(u16::MAX),
            own_callers: own.map_or(0, groups::Circle::callers),
            expected: u32::try_from(expected).unwrap_or(u32::MAX),
            hours: self.now_s.saturating_sub(self.first_s.0) / 3600,
            refusals,
        }
    }
}
