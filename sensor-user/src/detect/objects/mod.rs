//! Whose objects are: what is learnt of them for the rules about object level authorization.
//!
//! Takes every exchange that is judged, in order. Gives [`ObjectSigns`]. Never reads the clock and never keeps a value:
//! keyed hashes and counts. Only whole exchanges that the server answered with success teach, and what is told teaches
//! next to nothing; of an answer that is cut or sends elsewhere, what was seen is handed out, and no more. Memory is bounded by tables of fixed size, 92 MiB when all of them are full, which take their room as
//! they need it. The same exchanges give the same signs. An operation is known by what its endpoint was called first, so that a
//! corrected template changes nothing; of two that become one, what was learnt of the one that goes is not used again. A
//! change of the installation's key begins it anew.

mod colleagues;
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
use smallvec::SmallVec;

use super::{Blind, Observation};
use crate::callers::PrincipalKind;
use crate::exchange::Outcome;
use handed::{Handed, KeptHanded, UNASKED};
use many::{KeptMany, Many};
use norms::{KeptNorms, Norms};
use owners::Said;
use people::{KeptPeople, People, Person};
use scene::{Read, Scene};

pub use signs::{Judged, ObjectSign, ObjectSigns, Shows};

/// Version of [`Snapshot`]; another one is not read.
const VERSION: u32 = 8;

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
        let scene = Scene::of(seen);
        if let Some(scene) = &scene {
            for gone in &seen.caller.merged {
                self.people.merge(gone.0.front(), scene.caller, scene.now_s);
            }
        }
        let blind = why_blind(seen);
        let Some(scene) = scene else {
            return blind.map_or(ObjectSigns::NONE, ObjectSigns::blind);
        };
        if let Some(reason) = blind {
            self.half_seen(&scene);
            return ObjectSigns::blind(reason);
        }
        if seen.labels.outline.is_empty() {
            return ObjectSigns::NONE;
        }
        let read = scene.read();
        let mut signs = if seen.exchange.is_success() {
            self.judge(&scene, &read)
        } else {
            self.not_done(&scene, &read)
        };
        if read.is_more {
            signs.lack_room();
        }
        signs
    }

    fn judge(&mut self, scene: &Scene<'_>, read: &Read) -> ObjectSigns {
        let mut person = self.people.person(scene.caller);
        self.name(scene, &read.values, &mut person);
        let mut signs = ObjectSigns::NONE;
        let named = self.named(scene, &read.values, &person);
        let uses = self.uses(scene, &read.used, &person, named.said);
        if scene.is_somebody() {
            Self::owned(scene, &named, read, &uses, &mut person, &mut signs);
            Self::apart(scene, &uses, &mut person, &mut signs);
            self.provenance(scene, &uses, &mut person, &mut signs);
        }
        signs.many = self.count(scene, &uses, true);
        let odd = signs.is_odd();
        let lapse = odd && person.lapses(scene.now_s);
        if scene.is_somebody() {
            self.learn_names(scene, read, &named, &mut person, odd, lapse);
        }
        self.learn_uses(scene, &uses, &person, odd, lapse);
        if !odd {
            self.hand_out(scene, read, &mut person, named.said == Said::Own);
        }
        self.people.keep(scene.caller, &person, scene.now_s);
        signs
    }

    /// The server did not do it. Where it sends the client elsewhere, fields of its answer hand out ids.
    fn not_done(&mut self, scene: &Scene<'_>, read: &Read) -> ObjectSigns {
        let status = scene
            .seen
            .exchange
            .outcome
            .response()
            .map_or(0, |response| response.status);
        if (300..400).contains(&status) {
            self.adopt(scene, read);
            return ObjectSigns::NONE;
        }
        self.refused(scene, &read.used)
    }

    /// An answer that was not seen to its end hands out what was seen of it, and may have handed out what others of its
    /// operation do.
    fn half_seen(&mut self, scene: &Scene<'_>) {
        let exchange = scene.seen.exchange;
        let response = exchange.outcome.response();
        let may_hand = matches!(exchange.outcome, Outcome::Lost) || exchange.is_success();
        if !scene.is_somebody() || scene.seen.caller.ambiguous || !may_hand {
            return;
        }
        if response.is_none_or(|response| !response.body.is_whole()) {
            let mut person = self.people.person(scene.caller);
            person.misses(self.handed.may_hand(scene.operation), scene.now_s);
            self.people.keep(scene.caller, &person, scene.now_s);
        }
        self.adopt(scene, &scene.read());
    }

    /// Ids of an answer are its caller's from now on, and relate it to nobody.
    fn adopt(&mut self, scene: &Scene<'_>, read: &Read) {
        for (_, id) in scene.answered(read, false) {
            self.handed
                .adopt(id, scene.holder(), true, &self.norms, scene.now_s);
        }
    }

    /// The ids of an answer are its caller's from now on. What the caller had named itself is only repeated, unless the
    /// answer says that it is the caller's.
    fn hand_out(&mut self, scene: &Scene<'_>, read: &Read, person: &mut Person, own: bool) {
        let (to, now_s) = (scene.holder(), scene.now_s);
        if !scene.is_somebody() {
            for (_, id) in scene.answered(read, true) {
                self.handed.adopt(id, to, false, &self.norms, now_s);
            }
            return;
        }
        let unasked = read.asks_for_nothing();
        let mut ids: SmallVec<[(u64, u64); UNASKED]> = SmallVec::new();
        for (path, id) in scene.answered(read, own) {
            let at = scene.place(path);
            self.handed.hand(id, at, to, person, &self.norms, now_s);
            if unasked && ids.len() < UNASKED {
                ids.push((at, id));
            }
        }
        // Places of a list come one by one, for each of its records.
        ids.sort_unstable();
        ids.dedup();
        self.handed.team(&ids, to, person);
        self.handed.hands(scene.operation, scene.kinds(read), scene.now_s);
        if own {
            for used in &read.used {
                self.handed.owned(used.id, to, &self.norms, now_s);
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
