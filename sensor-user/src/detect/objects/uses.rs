//! Ids that requests use: were they handed to who uses them?
//!
//! Takes the ids of a request. Gives what each is to the caller, and a sign when that departs from the norm. Never keeps
//! anything: memory is in `handed`, `norms` and `many`. Bounded by the ids of one request that are looked at.

use smallvec::SmallVec;

use super::Objects;
use super::handed::Standing;
use super::many::{Strange, Use};
use super::norms::{Norm, Using};
use super::people::Person;
use super::scene::{AllUsed, Scene, Used};
use super::signs::{Judged, ObjectSign, ObjectSigns, Shows};
use crate::detect::Blind;

/// Uses of ids that are new to all beyond which values of a place are no ids, and none is remembered.
const FRESH: u32 = 64;

/// An id, and what it is to the caller.
#[derive(Clone, Copy, Debug)]
pub(super) struct OneUse {
    used: Used,
    standing: Standing,
    key: u64,
    using: Using,
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
    pub(super) fn uses(&self, scene: &Scene<'_>, used: &AllUsed, person: &Person, own: bool) -> AllUses {
        let by = scene.holder();
        let of = |used: &Used| {
            let key = scene.place(used.path);
            let standing = self.handed.standing(used.id, by, person, &self.norms);
            OneUse {
                used: *used,
                // The answer says that it is the caller's.
                standing: if own { Standing::Mine } else { standing },
                key,
                using: self.norms.using(key),
            }
        };
        used.iter().map(of).collect()
    }

    /// Ids that were handed to others only, or to nobody.
    pub(super) fn provenance(
        &self,
        scene: &Scene<'_>,
        uses: &AllUses,
        person: &mut Person,
        signs: &mut ObjectSigns,
    ) {
        if !self.norms.is_known(scene.group_number()) {
            if uses.iter().any(OneUse::is_strange) {
                signs.handed = Err(Blind::NotEnoughEvidence);
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
            let (norm, shows, judged) = match one.standing {
                Standing::Foreign(_) => (
                    one.using.norm_of_foreign(),
                    Shows::HandedToOthers,
                    &mut signs.handed,
                ),
                Standing::Fresh => (
                    one.using.norm_of_fresh(),
                    Shows::HandedToNobody,
                    &mut signs.unissued,
                ),
                _ => continue,
            };
            match (norm, &*judged) {
                (Norm::Tight, Ok(None) | Err(_)) => {
                    match one.standing {
                        Standing::Foreign(other) => person.today.foreign(one.used.id, other, scene.now_s),
                        _ => person.today.unissued(one.used.id, scene.now_s),
                    }
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
            let handed = matches!(
                one.standing,
                Standing::Mine | Standing::Public | Standing::Forgotten
            );
            !handed && one.using.are_ids()
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
                    got,
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
        let found = self.many.observe(by, &objects)?;
        Ok(found.zip(strange.first()).map(|(found, (_, used))| {
            Box::new(ObjectSign {
                shows: Shows::Many,
                place: scene.shown(used.place),
                usual: found.windows,
                of: found.windows,
                objects: found.objects,
                others: found.others,
                minutes: found.minutes,
                most: found.most,
                writes: scene.writes(),
            })
        }))
    }

    /// A refusal: it counts among tries, and teaches nothing.
    pub(super) fn refused(&mut self, scene: &Scene<'_>, used: &AllUsed) -> ObjectSigns {
        let status = scene
            .seen
            .exchange
            .outcome
            .response()
            .map_or(0, |response| response.status);
        if !matches!(status, 403 | 404) {
            return ObjectSigns::NONE;
        }
        let person = self.people.person(scene.caller);
        let uses = self.uses(scene, used, &person, false);
        ObjectSigns {
            many: self.count(scene, &uses, false),
            ..ObjectSigns::NONE
        }
    }

    /// Learns how ids are used.
    pub(super) fn learn_uses(&mut self, scene: &Scene<'_>, uses: &AllUses, odd: bool, lapse: bool) {
        let holder = scene.holder();
        for one in uses {
            if let Standing::Foreign(_) = one.standing {
                self.handed.strange(one.used.id, scene.tag(), scene.now_s);
            }
            if odd {
                if lapse && one.is_strange() {
                    self.norms
                        .learn_using(one.key, 0, scene.now_s, |using| using.lapses += 1);
                }
                continue;
            }
            let standing = one.standing;
            self.norms
                .learn_using(one.key, scene.bit(), scene.now_s, |using| match standing {
                    Standing::Mine => using.mine += 1,
                    Standing::Related => using.related += 1,
                    Standing::Foreign(_) => using.foreign += 1,
                    Standing::Fresh => using.fresh += 1,
                    Standing::Public | Standing::Everybodys => using.public += 1,
                    Standing::Forgotten => {}
                });
            if one.using.are_ids() {
                let of_others = matches!(standing, Standing::Foreign(_) | Standing::Everybodys);
                self.norms.learn_group(holder.group, of_others);
            }
            if standing == Standing::Fresh && one.using.fresh <= one.using.usual() + FRESH {
                self.handed.adopt(one.used.id, holder, &self.norms, scene.now_s);
            }
        }
    }
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
        others: if fresh { 0 } else { others },
        minutes: person.today.minutes(scene.now_s),
        most: 0,
        writes: scene.writes(),
    }
}
