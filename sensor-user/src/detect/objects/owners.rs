//! Places that name the caller: whose name is there now?
//!
//! Takes values by place. Gives whether they name the caller, somebody else or nobody, and a sign when that departs from
//! the norm. Never keeps anything: memory is in `people` and `norms`. Bounded by the places of one exchange.

use smallvec::SmallVec;

use super::Objects;
use super::norms::{Naming, Norm};
use super::people::{Owner, Person};
use super::scene::{AllValues, Read, Scene, Values};
use super::signs::{ObjectSign, ObjectSigns, Shows};
use super::uses::{AllUses, OneUse};
use crate::callers::LoginResult;
use crate::classify::{Half, Part};
use crate::detect::Blind;
use crate::exchange::value::ValueHash;

/// Values of one place whose owner is looked up: a list that is somebody else's says so from its first record on.
const LOOKED_UP: u8 = 4;
/// Values of the body of one answer to a login that name the caller.
const OF_LOGIN: usize = 3;
/// Names of callers at a place before a name there is believed.
const BELIEVED: u32 = 5;
/// One in so many may be nobody's name, at a place whose names are believed.
const BELIEVED_SHARE: u32 = 4;

/// Whose name is at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    /// The caller's alone.
    Own,
    /// Its tenant's, or what others have as theirs, too.
    Ours,
    /// Another's, or another tenant's.
    Foreign(u32, bool),
    Unknown,
}

/// A place and whose name is there.
#[derive(Clone, Copy, Debug)]
struct Name {
    values: Values,
    whose: Whose,
    key: u64,
    naming: Naming,
}

/// What the server says of an object, at places where it always says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// Nothing.
    Nothing,
    /// It is the caller's.
    Own,
    /// It is its tenant's: whose of these is not said.
    Ours,
}

/// All of an exchange.
pub(super) struct Names {
    all: SmallVec<[Name; 16]>,
    pub(super) said: Said,
}

impl Whose {
    /// As it should be.
    const fn is_own(self) -> bool {
        matches!(self, Self::Own | Self::Ours)
    }
}

impl Objects {
    /// What a token or login says of the caller.
    pub(super) fn name(&mut self, scene: &Scene<'_>, values: &AllValues, person: &mut Person) {
        let caller = scene.seen.caller;
        for name in &caller.names {
            self.own(*name, scene, person, false);
        }
        if let Some(tenant) = caller.tenant_value {
            self.own(tenant, scene, person, true);
        }
        let login = caller.facts.login.as_ref();
        if login.is_some_and(|login| login.result == LoginResult::Succeeded) && scene.is_somebody() {
            // What fields of the head hold is the server's: numbers of requests, of machines.
            let answered = values
                .iter()
                .filter(|at| at.root.half == Half::Response && at.root.part == Part::Body && at.count == 1);
            for at in answered.take(OF_LOGIN) {
                person.is_named(at.first_name());
                self.own(at.first_name(), scene, person, false);
            }
        }
    }

    fn own(&mut self, value: ValueHash, scene: &Scene<'_>, person: &Person, is_tenant: bool) {
        self.people
            .own(value, scene.tag(), person, is_tenant, scene.now_s);
    }

    /// Whose names are where.
    pub(super) fn named(&self, scene: &Scene<'_>, values: &AllValues, person: &Person) -> Names {
        let mut all: SmallVec<[Name; 16]> = SmallVec::new();
        for at in values {
            let key = scene.place(at.path);
            let naming = self.norms.naming(key);
            let whose = match self.whose(scene, at, person) {
                Whose::Foreign(_, true) if is_everybodys(scene, at, &naming) => Whose::Ours,
                whose => whose,
            };
            all.push(Name {
                values: *at,
                whose,
                key,
                naming,
            });
        }
        let said = said(&all);
        Names { all, said }
    }

    fn whose(&self, scene: &Scene<'_>, at: &Values, person: &Person) -> Whose {
        let mut looked_up = 0;
        let mut foreign = None;
        let values = || {
            scene
                .outline()
                .values()
                .filter(|value| value.place == at.place && value.word.is_empty())
        };
        let one = (at.count == 1).then_some(at.first);
        let several = values()
            .map(|value| value.hash)
            .take(if one.is_some() { 0 } else { usize::MAX });
        for value in one.into_iter().chain(several) {
            if let Some(own) = self.is_own(scene, at, value, person) {
                return own;
            }
            if looked_up < LOOKED_UP {
                looked_up += 1;
                let owner = self.people.owner(at.name(value));
                let other =
                    owner.and_then(|owner| Some((owner.other_than(scene.tag(), person)?, owner.is_tenant())));
                foreign = foreign.or(other);
            }
        }
        foreign.map_or(Whose::Unknown, |(other, is_tenant)| {
            Whose::Foreign(other, is_tenant)
        })
    }

    /// Whether a value names the caller, or its tenant.
    fn is_own(&self, scene: &Scene<'_>, at: &Values, value: ValueHash, person: &Person) -> Option<Whose> {
        let caller = scene.seen.caller;
        if caller.tenant_value == Some(value) {
            return Some(Whose::Ours);
        }
        let is_named = caller.names.contains(&value);
        if !is_named && !person.has(at.name(value)) {
            return None;
        }
        let owner = self.people.owner(at.name(value));
        // A token for one tenant is good for that one, whatever the caller does with others.
        if caller.tenant_value.is_some() && owner.is_some_and(Owner::is_claimed_tenant) {
            return None;
        }
        let is_tenant = !is_named && owner.is_some_and(Owner::is_tenant);
        Some(if is_tenant { Whose::Ours } else { Whose::Own })
    }

    /// Names of others where the caller's should be.
    pub(super) fn owned(
        scene: &Scene<'_>,
        names: &Names,
        read: &Read,
        uses: &AllUses,
        person: &mut Person,
        signs: &mut ObjectSigns,
    ) {
        let caller = scene.seen.caller;
        let object = read.used.first().map(|used| used.id);
        let mut best: [Option<(&Name, u32)>; 2] = [None; 2];
        for name in &names.all {
            let Whose::Foreign(other, is_tenant) = name.whose else {
                continue;
            };
            let (slot, judged) = if is_tenant {
                (1, &mut signs.tenant)
            } else {
                (0, &mut signs.owner)
            };
            let Some(best) = best.get_mut(slot) else { continue };
            // A newcomer's own name may be taken for the name of whoever was seen with it first.
            let is_claimed = is_tenant && caller.tenant_value.is_some();
            let knows = || is_claimed || person.has_name_at(scene.kind(&name.values));
            let norm = match name.naming.norm() {
                Norm::Tight if !knows() => Norm::Early,
                norm => norm,
            };
            match norm {
                Norm::Tight if best.is_none_or(|(known, _)| known.naming.own < name.naming.own) => {
                    *best = Some((name, other));
                }
                Norm::Early if judged.is_ok() => *judged = Err(Blind::NotEnoughEvidence),
                _ => {}
            }
        }
        let shows = [Shows::Owner, Shows::Tenant];
        for ((found, shows), judged) in best
            .into_iter()
            .zip(shows)
            .zip([&mut signs.owner, &mut signs.tenant])
        {
            if let Some((name, other)) = found {
                let object = object.unwrap_or(name.values.first.0);
                person.today.foreign(object, other, scene.now_s);
                *judged = Ok(Some(Box::new(sign(scene, shows, name, person))));
            }
        }
        nobodys(scene, names, uses, object, person, signs);
    }

    /// Learns what names callers where.
    pub(super) fn learn_names(
        &mut self,
        scene: &Scene<'_>,
        read: &Read,
        names: &Names,
        person: &mut Person,
        odd: bool,
        lapse: bool,
    ) {
        let about = read.object(scene.operation);
        if !odd {
            person.is_answered();
        }
        let mature = person.is_mature();
        for name in &names.all {
            if name.whose.is_own() && !odd {
                person.is_named_at(scene.kind(&name.values));
            }
            let departs = !name.whose.is_own() && name.naming.norm() == Norm::Tight;
            // Of somebody new, what is its own is known sooner than what is not.
            let counts = match name.whose {
                Whose::Own | Whose::Ours => mature || is_sure(scene, &name.values, person),
                Whose::Foreign(..) => mature || person.has_name_at(scene.kind(&name.values)),
                Whose::Unknown => mature,
            };
            if !odd && counts {
                self.norms
                    .learn_naming(name.key, scene.bit(), scene.now_s, |naming| match name.whose {
                        Whose::Own | Whose::Ours => naming.is_named(name.values.first_name()),
                        Whose::Foreign(..) => naming.is_anothers(scene.bit()),
                        Whose::Unknown => naming.unknown += 1,
                    });
            } else if lapse && departs {
                self.norms
                    .learn_naming(name.key, 0, scene.now_s, |naming| naming.lapses += 1);
            }
            let answered = name.values.root.half == Half::Response && name.values.count == 1 && !odd;
            let may_be_own = match name.whose {
                Whose::Own | Whose::Ours | Whose::Unknown => true,
                Whose::Foreign(_, is_tenant) => is_tenant || !mature,
            };
            let value = name.values.first_name();
            if answered && may_be_own && person.meet(value, about) {
                let naming = name.naming;
                if naming.own >= BELIEVED && naming.unknown * BELIEVED_SHARE <= naming.own {
                    let is_tenant = scene.seen.caller.tenant_value == Some(name.values.first);
                    self.own(value, scene, person, is_tenant);
                }
            }
        }
    }
}

/// An object whose owner nobody is who is known, and whose id was not handed to the caller either.
fn nobodys(
    scene: &Scene<'_>,
    names: &Names,
    uses: &AllUses,
    object: Option<u64>,
    person: &mut Person,
    signs: &mut ObjectSigns,
) {
    let strange = uses.iter().any(OneUse::is_strange);
    let unknown = names.all.iter().find(|name| {
        name.whose == Whose::Unknown
            && name.values.root.half == Half::Response
            && name.values.count == 1
            && name.naming.norm_of_unknown() == Norm::Tight
            && person.has_name_at(scene.kind(&name.values))
    });
    if let Some(name) = unknown
        && strange
        && person.is_mature()
    {
        let object = object.unwrap_or(name.values.first.0);
        person.today.unissued(object, scene.now_s);
        signs.unissued = Ok(Some(Box::new(sign(scene, Shows::UnknownOwner, name, person))));
    }
}

/// What tight places of the answer say together.
fn said(all: &[Name]) -> Said {
    let tight = || all.iter().filter(|name| name.naming.norm() == Norm::Tight);
    let answers =
        |whose: Whose| tight().any(|name| name.values.root.half == Half::Response && name.whose == whose);
    if tight().any(|name| matches!(name.whose, Whose::Foreign(..))) {
        Said::Nothing
    } else if answers(Whose::Own) {
        Said::Own
    } else if answers(Whose::Ours) {
        Said::Ours
    } else {
        Said::Nothing
    }
}

/// Whether this tenant's name is what everybody has there, a state or a subject, and the caller's own is not known.
fn is_everybodys(scene: &Scene<'_>, at: &Values, naming: &Naming) -> bool {
    scene.seen.caller.tenant_value.is_none() && at.count == 1 && naming.is_only(at.first_name())
}

/// Whether a token or login says so.
fn is_sure(scene: &Scene<'_>, at: &Values, person: &Person) -> bool {
    let caller = scene.seen.caller;
    caller.tenant_value == Some(at.first)
        || caller.names.contains(&at.first)
        || person.is_surely(at.first_name())
}

fn sign(scene: &Scene<'_>, shows: Shows, name: &Name, person: &Person) -> ObjectSign {
    let (foreign, unissued, others) = person.today.counts();
    let naming = name.naming;
    let unknown = shows == Shows::UnknownOwner;
    ObjectSign {
        shows,
        place: scene.shown(name.values.place),
        usual: naming.own,
        of: naming.all(),
        objects: if unknown { unissued } else { foreign },
        given: if unknown { unissued } else { foreign },
        others: if unknown { 0 } else { others },
        minutes: person.today.minutes(scene.now_s),
        most: 0,
        writes: scene.writes(),
    }
}
