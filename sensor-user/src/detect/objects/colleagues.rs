//! What those have who do the same work as the caller: is it of its team?
//!
//! Takes the ids of a request. Gives a sign for an id that a server handed to others of the caller's group and to nobody of
//! its team, who share what each is handed: a warehouse's staff, a tenant's. Never keeps anything: memory is in `handed`
//! and `norms`. Bounded by the ids of one request that are looked at.

use super::Objects;
use super::norms::Norm;
use super::people::Person;
use super::scene::{Scene, Used};
use super::signs::{ObjectSign, ObjectSigns, Shows};
use super::uses::{AllUses, BEYOND, OneUse};
use crate::detect::Blind;

/// Others whose these are, from which they are another team: one or two may be of the caller's, and were never met.
const SEVERAL: u32 = 3;

/// Who else of the caller's group was handed an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Work {
    /// Nobody, or too little is known.
    Unknown,
    /// The caller itself, or some of its team.
    Team,
    /// Others only, of whom this is one.
    Apart(u32),
}

impl Objects {
    /// Who of the caller's group was handed an id, where the caller is known well enough to know its team.
    pub(super) fn work(&self, scene: &Scene<'_>, used: &Used, person: &Person) -> Work {
        if !scene.is_somebody() || !person.knows_colleagues() || person.may_miss(used.kind, scene.now_s) {
            return Work::Unknown;
        }
        let by = |id: u64| self.handed.work(id, scene.holder(), person);
        match used.also {
            Some(also) if by(used.id) == Work::Unknown => by(also),
            _ => by(used.id),
        }
    }

    /// Ids that colleagues have, and nobody of the caller's team.
    pub(super) fn apart(scene: &Scene<'_>, uses: &AllUses, person: &mut Person, signs: &mut ObjectSigns) {
        for one in uses {
            let Work::Apart(other) = one.work else { continue };
            match one.using.norm_of_apart() {
                Norm::Tight => {
                    person.today.foreign(one.used.id, other, scene.now_s);
                    let (foreign, _, others) = person.today.counts();
                    let expected = one.using.expected_apart(person.uses());
                    if others >= SEVERAL && foreign > expected.saturating_mul(BEYOND) {
                        signs.handed = Ok(Some(Box::new(sign(scene, one, person))));
                        return;
                    }
                }
                Norm::Early if signs.handed == Ok(None) => signs.handed = Err(Blind::NotEnoughEvidence),
                Norm::None | Norm::Early => {}
            }
        }
    }
}

fn sign(scene: &Scene<'_>, one: &OneUse, person: &Person) -> ObjectSign {
    let (foreign, _, others) = person.today.counts();
    let (usual, of) = one.using.among_colleagues();
    ObjectSign {
        shows: Shows::HandedToOthers,
        place: scene.shown(one.used.place),
        usual,
        of,
        objects: foreign,
        given: foreign,
        others,
        minutes: person.today.minutes(scene.now_s),
        most: 0,
        writes: scene.writes(),
    }
}
