//! Ids that requests use: were they handed to who uses them?
//!
//! Takes the ids of a request. Gives what each is to the caller, and a sign when that departs from the norm. Never keeps
//! anything: memory is in `handed`, `norms` and `many`. Bounded by the ids of one request that are looked at.

use smallvec::SmallVec;

use super::Objects;
use super::colleagues::Work;
use super::handed::{Standing, Unclear};
use super::many::{Strange, Use};
use super::norms::{Norm, Using};
use super::owners::Said;
use super::people::Person;
use super::scene::{AllUsed, Scene, Used};
use super::signs::{Judged, ObjectSign, ObjectSigns, Shows};
use crate::detect::Blind;
use crate::exchange::Exchange;
use crate::exchange::call::{Call, CallOutcome};

/// Uses of ids that are new to all beyond which values of a place are no ids, and none is remembered.
const FRESH: u32 = 64;
/// Times as many as its group has among as many uses: half of those who are as they should be have more than the mean, and
/// nearly nobody three times as many.
pub(super) const BEYOND: u32 = 3;
/// Codes of gRPC (google.rpc.Code).
const NOT_FOUND: i64 = 5;
const PERMISSION_DENIED: i64 = 7;

/// An id, and what it is to the caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct OneUse {
    pub(super) used: Used,
    standing: Standing,
    /// Who else does the same work has it.
    pub(super) work: Work,
    /// Nobody had it before.
    is_new: bool,
    /// The answer says that it is the caller's tenant's.
    ours: bool,
    key: u64,
    pub(super) using: Using,
}

pub(super) type AllUses = SmallVec<[OneUse; 16]>;

impl OneUse {
    /// Whether it is not the caller's.
    pub(super) const fn is_strange(&self) -> bool {
        matches!(self.standing, Standing::Foreign(_) | Standing::Fresh)
    }
}

impl Objects {
    /// What each id is to the caller.
    pub(super) fn uses(&self, scene: &Scene<'_>, used: &AllUsed, person: &Person, said: Said) -> AllUses {
        let of = |used: &Used| {
            let key = scene.place(used.path);
            let found = self.found(scene, used, person);
            let is_own = said == Said::Own && !self.handed.is_anothers(used.id, scene.tag(), person);
            OneUse {
                used: *used,
                standing: if is_own {
                    Standing::Mine
                } else {
                    Self::standing(scene, used, found, person)
                },
                // What the answer says is the tenant's is no other team's.
                work: if is_own || said == Said::Ours {
                    Work::Unknown
                } else {
                    self.work(scene, used, person)
                },
                is_new: found == Standing::Fresh,
                ours: said == Said::Ours,
                key,
                using: self.norms.using(key),
            }
        };
        used.iter().map(of).collect()
    }

    /// What was handed to whom, by every name that an id has.
    fn found(&self, scene: &Scene<'_>, used: &Used, person: &Person) -> Standing {
        let by = |id: u64| self.handed.standing(id, scene.holder(), person, &self.norms);
        let found = by(used.id);
        match used.also {
            Some(also) if found == Standing::Fresh => by(also),
            _ => found,
        }
    }

    /// The same, as far as it is known: not of who may have been handed it unseen, nor what is others' of who came just
    /// now.
    fn standing(scene: &Scene<'_>, used: &Used, found: Standing, person: &Person) -> Standing {
        let is_unclear = || person.may_miss(used.kind, scene.now_s) || !person.has_arrived();
        if matches!(found, Standing::Met(_)) && (!scene.is_somebody() || is_unclear()) {
            Standing::Related
        } else if !matches!(found, Standing::Foreign(_) | Standing::Fresh) || !scene.is_somebody() {
            found
        } else if person.may_miss(used.kind, scene.now_s) {
            Standing::Unclear(Unclear::Unseen)
        } else if found != Standing::Fresh && !person.has_arrived() {
            Standing::Unclear(Unclear::Early)
        } else {
            found
        }
    }

    /// Ids that were handed to others only, or to nobody.
    pub(super) fn provenance(
        &self,
        scene: &Scene<'_>,
        uses: &AllUses,
        person: &mut Person,
        signs: &mut ObjectSigns,
    ) {
        let ids = uses.iter().filter(|one| one.using.are_ids()).count();
        person.used(u16::try_from(ids).unwrap_or(u16::MAX), scene.now_s);
        if !self.norms.is_known(scene.group_number()) {
            if uses.iter().any(OneUse::is_strange) {
                if signs.handed == Ok(None) {
                    signs.handed = Err(Blind::NotEnoughEvidence);
                }
                if signs.unissued == Ok(None) {
                    signs.unissued = Err(Blind::NotEnoughEvidence);
                }
            }
            return;
        }
        if !self.norms.is_narrow(scene.group_number()) {
            return;
        }
        for one in uses {
            let foreign = one.using.norm_of_foreign(one.ours);
            let fresh = one.using.norm_of_fresh();
            let (norm, shows, judged) = match one.standing {
                Standing::Foreign(_) => (foreign, Shows::HandedToOthers, &mut signs.handed),
                Standing::Met(_) => match one.using.norm_of_related(one.ours) {
                    Norm::Tight => (Norm::Tight, Shows::HandedToOthers, &mut signs.handed),
                    _ => continue,
                },
                // Somebody made it who was not seen, in the caller's tenant.
                Standing::Fresh if one.ours => continue,
                Standing::Fresh if !person.has_arrived() => {
                    (fresh.early(), Shows::HandedToNobody, &mut signs.unissued)
                }
                Standing::Fresh => (fresh, Shows::HandedToNobody, &mut signs.unissued),
                Standing::Unclear(why) => {
                    for (norm, judged) in [(foreign, &mut signs.handed), (fresh, &mut signs.unissued)] {
                        if norm != Norm::None && *judged == Ok(None) {
                            *judged = Err(why.blind());
                        }
                    }
                    continue;
                }
                _ => continue,
            };
            match (norm, &*judged) {
                (Norm::Tight, Ok(None) | Err(_)) if is_beyond(one, person, scene.now_s) => {
                    *judged = Ok(Some(Box::new(sign(scene, shows, one, person))));
                }
                (Norm::Early, Ok(None)) => *judged = Err(Blind::NotEnoughEvidence),
                _ => {}
            }
        }
    }

    /// How many ids that are not the caller's it asks for.
    pub(super) fn count(&mut self, scene: &Scene<'_>, uses: &AllUses, got: bool) -> Judged {
        if uses.is_empty() {
            return Ok(None);
        }
        let counts = |one: &&OneUse| {
            let strange = match one.standing {
                // Whoever comes to count through ids may come just now.
                Standing::Foreign(_)
                | Standing::Related
                | Standing::Met(_)
                | Standing::Everybodys
                | Standing::Unclear(Unclear::Early) => true,
                Standing::Fresh => !one.ours,
                _ => false,
            };
            strange && one.using.are_ids()
        };
        let strange = uses.iter().filter(counts);
        let strange: SmallVec<[(Strange, Used); 16]> = strange
            .map(|one| {
                let other = match one.standing {
                    Standing::Foreign(other) => Some(other),
                    _ => None,
                };
                let strange = Strange {
                    object: one.used.id,
                    other,
                };
                (strange, one.used)
            })
            .collect();
        let by = Use {
            caller: scene.caller,
            operation: scene.operation,
            group: scene.group,
            now_s: scene.now_s,
        };
        let objects: SmallVec<[Strange; 16]> = strange.iter().map(|(one, _)| *one).collect();
        let found = self.many.observe(by, &objects, got)?;
        let Some((found, (_, used))) = found.zip(strange.first()) else {
            // What may have been somebody else's does not count, and is not known to be the caller's.
            let unclear = uses.iter().find_map(|one| match one.standing {
                Standing::Unclear(why) if one.using.are_ids() => Some(why.blind()),
                _ => None,
            });
            return unclear.map_or(Ok(None), Err);
        };
        Ok(Some(Box::new(ObjectSign {
            shows: Shows::Many,
            place: scene.shown(used.place),
            usual: found.usual,
            of: found.windows,
            objects: found.objects,
            given: found.given,
            others: found.others,
            minutes: found.minutes,
            most: found.most,
            writes: scene.writes(),
        })))
    }

    /// A refusal: it counts among tries, and teaches nothing.
    pub(super) fn refused(&mut self, scene: &Scene<'_>, used: &AllUsed) -> ObjectSigns {
        if !is_refused(scene.seen.exchange) {
            return ObjectSigns::NONE;
        }
        let person = self.people.person(scene.caller);
        let uses = self.uses(scene, used, &person, Said::Nothing);
        ObjectSigns {
            many: self.count(scene, &uses, false),
            ..ObjectSigns::NONE
        }
    }

    /// Learns how ids are used.
    pub(super) fn learn_uses(
        &mut self,
        scene: &Scene<'_>,
        uses: &AllUses,
        person: &Person,
        odd: bool,
        lapse: bool,
    ) {
        for one in uses {
            let has_met = matches!(one.standing, Standing::Met(_));
            let apart = matches!(one.work, Work::Apart(_));
            if odd && (has_met || apart) || matches!(one.standing, Standing::Foreign(_)) {
                self.handed.strange(one.used.id, scene.tag(), person, scene.now_s);
            }
            if odd {
                let departs = has_met || one.is_strange();
                if lapse && (departs || apart) {
                    self.norms.learn_using(one.key, 0, scene.now_s, |using| {
                        if departs {
                            using.lapses(has_met);
                        }
                        using.apart_lapses += u32::from(apart);
                    });
                }
                continue;
            }
            self.learn_use(scene, one);
            if one.is_new && one.standing != Standing::Mine && one.using.fresh <= one.using.usual() + FRESH {
                self.handed
                    .adopt(one.used.id, scene.holder(), false, &self.norms, scene.now_s);
            }
        }
    }

    fn learn_use(&mut self, scene: &Scene<'_>, one: &OneUse) {
        let standing = one.standing;
        if matches!(standing, Standing::Unclear(why) if why != Unclear::Open) {
            return;
        }
        self.norms
            .learn_using(one.key, scene.bit(), scene.now_s, |using| {
                match standing {
                    Standing::Mine => using.mine += 1,
                    Standing::Related | Standing::Met(_) => using.related += 1,
                    Standing::Foreign(_) | Standing::Fresh if one.ours => using.ours += 1,
                    Standing::Foreign(_) => using.foreign += 1,
                    Standing::Fresh => using.fresh += 1,
                    Standing::Public | Standing::Everybodys => using.public += 1,
                    Standing::Unclear(_) => using.open += 1,
                }
                match one.work {
                    Work::Team => using.team += 1,
                    Work::Apart(_) => using.apart += 1,
                    Work::Unknown => {}
                }
            });
        if one.using.are_ids() && !matches!(standing, Standing::Unclear(_)) {
            let of_others = matches!(standing, Standing::Foreign(_) | Standing::Everybodys);
            self.norms
                .learn_group(scene.group_number(), of_others && !one.ours);
        }
    }
}

/// Whether the caller has more of such ids by now than its group has among as many uses: who works all day meets some.
fn is_beyond(one: &OneUse, person: &mut Person, now_s: u32) -> bool {
    let is_foreign = if let Standing::Foreign(other) | Standing::Met(other) = one.standing {
        person.today.foreign(one.used.id, other, now_s);
        true
    } else {
        person.today.unissued(one.used.id, now_s);
        false
    };
    let (foreign, unissued, _) = person.today.counts();
    let (count, expected) = if is_foreign {
        (foreign, one.using.expected_foreign(one.ours, person.uses()))
    } else {
        (unissued, one.using.expected_fresh(person.uses()))
    };
    count > expected.saturating_mul(BEYOND)
}

/// Whether the server said that the caller may not have it, or that there is none: by status, or by the code of gRPC.
fn is_refused(exchange: &Exchange) -> bool {
    let failed = |call: &Call| matches!(call.outcome, CallOutcome::Failure(NOT_FOUND | PERMISSION_DENIED));
    let status = exchange.outcome.response().map_or(0, |response| response.status);
    matches!(status, 403 | 404) || status == 200 && exchange.calls.iter().any(failed)
}

fn sign(scene: &Scene<'_>, shows: Shows, one: &OneUse, person: &Person) -> ObjectSign {
    let (foreign, unissued, others) = person.today.counts();
    let fresh = shows == Shows::HandedToNobody;
    ObjectSign {
        shows,
        place: scene.shown(one.used.place),
        usual: one.using.usual(),
        of: one.using.all(),
        objects: if fresh { unissued } else { foreign },
        given: if fresh { unissued } else { foreign },
        others: if fresh { 0 } else { others },
        minutes: person.today.minutes(scene.now_s),
        most: 0,
        writes: scene.writes(),
    }
}
