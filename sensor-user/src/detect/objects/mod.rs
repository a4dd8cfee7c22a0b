//! Whose objects are: what is learnt of them for the rules about object level authorization.
//!
//! Takes every exchange that is judged, in order. Gives [`ObjectSigns`]. Never reads the clock and never keeps a value:
//! keyed hashes and counts. Only whole exchanges that the server answered with success teach, and what is told teaches
//! next to nothing. Memory is bounded by tables of fixed size, 80 MiB when all of them are full, which take their room as
//! they need it. The same exchanges give the same signs. An operation is known by what its endpoint was called first, so that a
//! corrected template changes nothing; of two that become one, what was learnt of the one that goes is not used again. A
//! change of the installation's key begins it anew.

mod handed;
mod keys;
mod many;
mod norms;
mod outlets;
mod owners;
mod people;
mod scene;
mod signs;
mod uses;

use serde::{Deserialize, Serialize};

use super::{Blind, Observation};
use crate::callers::PrincipalKind;
use crate::classify::Half;
use handed::{Handed, KeptHanded};
use many::{KeptMany, Many};
use norms::{KeptNorms, Norms};
use people::{KeptPeople, People};
use scene::Scene;

pub use signs::{Judged, ObjectSign, ObjectSigns, Shows};

/// Version of [`Snapshot`]; another one is not read.
const VERSION: u32 = 4;

/// Everything that is learnt of objects.
#[derive(Debug, Default)]
pub struct Objects {
    people: People,
    norms: Norms,
    handed: Handed,
    many: Many,
}

/// What outlives a restart: keyed hashes and counts.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    version: u32,
    people: KeptPeople,
    norms: KeptNorms,
    handed: KeptHanded,
    many: KeptMany,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[objects]")
    }
}

/// Why a snapshot is not taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is of another version.
    #[error("what was learnt of objects has version {0}, not {VERSION}")]
    Version(u32),
}

impl Objects {
    /// Learns from an exchange, and says what those before it say about its objects.
    pub fn observe(&mut self, seen: &Observation<'_>) -> ObjectSigns {
        if seen.exchange.part.is_some() {
            return ObjectSigns::NONE;
        }
        match why_blind(seen) {
            Some(reason) => ObjectSigns::blind(reason),
            None => match Scene::of(seen) {
                Some(scene) if !seen.labels.outline.is_empty() => self.judge(&scene),
                _ => ObjectSigns::NONE,
            },
        }
    }

    fn judge(&mut self, scene: &Scene<'_>) -> ObjectSigns {
        let success = scene.seen.exchange.is_success();
        let (values, used) = scene.read();
        if !success {
            return self.refused(scene, &used);
        }
        let mut person = self.people.person(scene.caller);
        self.name(scene, &values, &mut person);
        let mut signs = ObjectSigns::NONE;
        let named = self.named(scene, &values, &person);
        let uses = self.uses(scene, &used, &person, named.confirmed);
        if scene.is_somebody() {
            Self::owned(scene, &named, &used, &uses, &mut person, &mut signs);
            self.provenance(scene, &uses, &mut person, &mut signs);
        }
        signs.many = self.count(scene, &uses, true);
        let odd = signs.is_odd();
        let lapse = odd && person.lapses(scene.now_s);
        if scene.is_somebody() {
            self.learn_names(scene, &named, &mut person, odd, lapse);
        }
        self.learn_uses(scene, &uses, odd, lapse);
        if !odd {
            self.hand_out(scene, &used, &mut person, named.confirmed);
        }
        self.people.keep(scene.caller, &person, scene.now_s);
        signs
    }

    /// The ids of an answer are its caller's from now on. What the caller had named itself is only repeated, unless the
    /// answer says that it is the caller's.
    fn hand_out(&mut self, scene: &Scene<'_>, used: &scene::AllUsed, person: &mut people::Person, own: bool) {
        let to = scene.holder();
        for (root, value) in scene
            .identifiers()
            .filter(|(root, _)| root.half == Half::Response)
        {
            let Some(place) = scene.outline().place(value.place) else {
                continue;
            };
            let id = scene.id(root, &place, value.hash);
            let repeated = used.iter().any(|used| used.id == id);
            if !scene.is_somebody() {
                self.handed.adopt(id, to, &self.norms, scene.now_s);
            } else if own || !repeated {
                let at = scene.place(place.path);
                self.handed.hand(id, at, to, person, &self.norms, scene.now_s);
            }
        }
    }

    /// Everything that is learnt.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            version: VERSION,
            people: self.people.snapshot(),
            norms: self.norms.snapshot(),
            handed: self.handed.snapshot(),
            many: self.many.snapshot(),
        }
    }

    /// As it was. What exceeds the limits is left out.
    pub fn restore(snapshot: Snapshot) -> Result<Self, SnapshotError> {
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        Ok(Self {
            people: People::restore(snapshot.people),
            norms: Norms::restore(snapshot.norms),
            handed: Handed::restore(snapshot.handed),
            many: Many::restore(snapshot.many),
        })
    }
}

fn why_blind(seen: &Observation<'_>) -> Option<Blind> {
    let caller = seen.caller;
    if caller.kind == PrincipalKind::Unseen {
        return Some(Blind::CallerUnseen);
    }
    caller.id?;
    if caller.ambiguous {
        return Some(Blind::CallerAmbiguous);
    }
    let Some(response) = seen.exchange.outcome.response() else {
        return Some(Blind::NoResponse);
    };
    let whole = response.body.is_whole() && seen.exchange.request.body.is_whole();
    (!whole).then_some(Blind::BodyCut)
}
