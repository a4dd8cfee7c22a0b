//! What is learnt of logins and credentials, for rules that need to know what is usual.
//!
//! Takes every exchange that is judged, in order. Gives [`Signs`]. Never reads the clock and never keeps a value: keyed
//! hashes, counts and endpoints only. Memory is bounded by tables of fixed size (10 MiB together) and named limits
//! (`operations.rs` beside it: about 16 MiB); the same exchanges give the same signs. A change of the installation's
//! key begins it anew.

mod campaigns;
mod dialogues;
mod doors;
mod logins;
mod places;
mod resets;
mod room;
mod steps;
mod strays;
pub(in crate::detect) mod table;
mod telling;
mod tried;

use serde::{Deserialize, Serialize};

use super::objects::ObjectSigns;
use super::operations::{KeptOperations, Operations, Rights};
use super::{Blind, Observation};
use crate::callers::Answer;
use crate::exchange::{AuthScheme, Caller, Exchange};
use crate::inventory::{Change, History};
use dialogues::Dialogues;
use doors::{Doors, KeptDoors};
use logins::{KeptLogins, Logins};
use places::{KeptPlaces, Places, Used};
use resets::Resets;
use steps::{KeptSteps, Steps, label};
use telling::{Attempt, Desks};

pub use doors::Door;
pub use logins::{AddressLogins, HostLogins, LoginSigns};
pub use places::PlacesSign;
pub use steps::SkippedStep;
pub use strays::Strays;
pub use telling::{Asks, Telling, TellsBy};
pub use tried::TriedOnce;

/// Version of [`Snapshot`]; another one is not read.
const VERSION: u32 = 11;

/// Fields of proxies: what is before them is not the client.
const OF_PROXIES: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// Whether a request says that it came by a proxy that `identity.trusted_proxies` does not name: what is connected is the
/// proxy, or a client that says so.
fn is_proxied(exchange: &Exchange) -> bool {
    let head = &exchange.request.head;
    !exchange.client.forwarded && OF_PROXIES.iter().any(|name| head.header(name).is_some())
}

/// What earlier exchanges say about this one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signs {
    /// Somebody logs in, or tries to.
    pub login: Option<LoginSigns>,
    /// The answers of this login tell which names exist.
    pub telling: Result<Option<Telling>, Blind>,
    /// Where the credential is used from; `None` without one.
    pub places: Result<Option<PlacesSign>, Blind>,
    /// A step of a login was left out.
    pub skipped: Result<Option<SkippedStep>, Blind>,
    /// Functions and properties beyond what is usual.
    pub rights: Rights,
    /// Whether the endpoint asks who is calling; for a request without credentials.
    pub door: Door,
    /// A message before on the same connection carried a password or secret: somebody logs in there.
    pub logs_in: bool,
    /// Whose objects are; learnt beside the baseline.
    pub objects: ObjectSigns,
}

impl Default for Signs {
    fn default() -> Self {
        Self {
            login: None,
            telling: Ok(None),
            places: Ok(None),
            skipped: Ok(None),
            rights: Rights::QUIET,
            door: Door::Unknown,
            logs_in: false,
            objects: ObjectSigns::NONE,
        }
    }
}

/// Everything that is learnt.
#[derive(Debug, Default)]
pub struct Baseline {
    logins: Logins,
    desks: Desks,
    resets: Resets,
    places: Places,
    steps: Steps,
    operations: Operations,
    doors: Doors,
    dialogues: Dialogues,
}

/// What outlives a restart: keyed hashes, counts and endpoints.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    version: u32,
    logins: KeptLogins,
    desks: Desks,
    resets: Resets,
    places: KeptPlaces,
    steps: KeptSteps,
    operations: KeptOperations,
    doors: KeptDoors,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[baseline]")
    }
}

/// Why a snapshot is not taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is of another version.
    #[error("the baseline has version {0}, not {VERSION}")]
    Version(u32),
}

impl Baseline {
    /// Learns from an exchange, and says what those before it say about it.
    pub fn observe(&mut self, seen: &Observation<'_>, history: &History) -> Signs {
        let exchange = seen.exchange;
        let now_s = u32::try_from(exchange.request.time_ns.0 / 1_000_000_000).unwrap_or(u32::MAX);
        let mut signs = Signs::default();
        if let Some(login) = &seen.caller.facts.login {
            let place = logins::Place {
                address: exchange.client.hash,
                shared: is_proxied(exchange),
            };
            let known = self.logins.observe(login, place, &seen.endpoint.host, now_s);
            signs.telling = self.desks.observe(&Attempt {
                login,
                endpoint: &label(seen.endpoint),
                familiar: known.familiar,
                address_failures: known.address.map_or(0, |address| address.failures),
                now_s,
            });
            signs.login = Some(known);
        } else {
            signs.telling = self.resets.observe(seen, now_s);
        }
        signs.places = self.places(seen, now_s);
        signs.skipped = self.steps.observe(seen, history, now_s);
        signs.rights = self.operations.observe(seen, now_s);
        signs.door = self.doors.observe(seen, now_s);
        signs.logs_in = self.dialogues.observe(seen, now_s);
        signs
    }

    /// Goes along with a correction of the inventory. Who read which path, and logins under way, begin anew.
    pub(in crate::detect) fn follow(&mut self, change: &Change) {
        match change {
            Change::New(_) => {}
            Change::Renamed { from, into } | Change::Merged { from, into } => {
                self.doors.rename(from, into);
                self.operations.rename(from, into);
                let (from, into) = (label(from), label(into));
                if from != into {
                    self.desks.rename(&from, &into);
                    self.resets.rename(&from, &into);
                    self.steps.rename(&from, &into);
                }
            }
            Change::Forgotten(gone) => {
                self.doors.forget(gone);
                self.operations.forget(gone);
            }
        }
    }

    fn places(&mut self, seen: &Observation<'_>, now_s: u32) -> Result<Option<PlacesSign>, Blind> {
        let exchange = seen.exchange;
        let Caller::Known { scheme, hash } = exchange.caller else {
            return Ok(None);
        };
        // A password is used from everywhere; what is handed out is not.
        let handed_out = !matches!(scheme, AuthScheme::Basic | AuthScheme::Other);
        let used = handed_out && seen.caller.facts.answer == Answer::Accepted && exchange.part.is_none();
        let Some(caller) = seen.caller.id.filter(|_| used) else {
            return Ok(None);
        };
        let address = exchange.client.hash.ok_or(Blind::ClientUnknown)?;
        let used = Used {
            credential: hash,
            caller: caller.0,
            address,
            proxied: is_proxied(exchange),
        };
        Ok(Some(self.places.observe(&used, now_s)))
    }

    /// Everything that is learnt.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            version: VERSION,
            logins: self.logins.snapshot(),
            desks: self.desks.clone(),
            resets: self.resets.clone(),
            places: self.places.snapshot(),
            steps: self.steps.snapshot(),
            operations: self.operations.snapshot(),
            doors: self.doors.snapshot(),
        }
    }

    /// As it was. What exceeds the limits is left out.
    pub fn restore(snapshot: Snapshot) -> Result<Self, SnapshotError> {
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        Ok(Self {
            logins: Logins::restore(snapshot.logins),
            desks: snapshot.desks.bound(),
            resets: snapshot.resets.bound(),
            places: Places::restore(snapshot.places),
            steps: Steps::restore(snapshot.steps),
            operations: Operations::restore(snapshot.operations),
            doors: Doors::restore(snapshot.doors),
            dialogues: Dialogues::default(),
        })
    }
}
