//! What outlives a restart.
//!
//! Takes [`Callers`]. Gives a [`Snapshot`] that serde writes and reads; it holds keyed hashes, numbers and names that may
//! be shown, and nothing else. The same callers give the same bytes. Failures are not in it: they are of the hour.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::attributes::{AttributeId, ShownAttribute};
use super::principals::{Key, MAX_ATTRIBUTES, MAX_NAMES, MAX_TOKENS, Principal};
use super::resolve::Callers;
use super::signers::{KeptIssuer, Signers};
use super::spread::{Count, Spread};
use super::{CallerId, Limits, PrincipalKind};
use crate::exchange::CallerHash;
use crate::exchange::credentials::AttributeKind;

/// Version of the form; another one is not read.
const VERSION: u32 = 2;

/// Everything that is remembered of callers.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    version: u32,
    callers: Vec<Kept>,
    attributes: Vec<(u64, u8, Box<str>)>,
    issuers: Vec<KeptIssuer>,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} callers]", self.callers.len())
    }
}

/// Why a snapshot is not taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is of another version.
    #[error("the snapshot has version {0}, not {VERSION}")]
    Version(u32),
}

/// A caller.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    #[serde(with = "hex")]
    id: CallerHash,
    kind: u8,
    keys: Vec<Key>,
    attributes: Vec<u64>,
    #[serde(with = "hex_option")]
    tenant: Option<CallerHash>,
    first_s: u32,
    last_s: u32,
    successes: u32,
    refusals: Count,
    addresses: Spread,
    established: bool,
}

const KINDS: [PrincipalKind; 3] = [
    PrincipalKind::User,
    PrincipalKind::Service,
    PrincipalKind::Unnamed,
];
const ATTRIBUTES: [AttributeKind; 3] = [AttributeKind::Role, AttributeKind::Group, AttributeKind::Scope];

impl Callers {
    /// Everything that is remembered.
    pub fn snapshot(&self) -> Snapshot {
        let attributes = self.names.all().into_iter();
        Snapshot {
            version: VERSION,
            callers: self.principals.all().map(Kept::of).collect(),
            attributes: attributes
                .map(|(id, shown)| {
                    let kind = place(&ATTRIBUTES, &shown.kind);
                    (id.0, kind, shown.name.clone())
                })
                .collect(),
            issuers: self.signers.snapshot(),
        }
    }

    /// Callers as they were. What exceeds the limits is left out.
    pub fn restore(limits: Limits, snapshot: Snapshot) -> Result<Self, SnapshotError> {
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        let mut callers = Self::new(limits);
        for kept in snapshot.callers {
            let (established, probation) = callers.principals.len();
            let full = if kept.established {
                established >= limits.established
            } else {
                probation >= limits.probation
            };
            if !full {
                callers.principals.insert(kept.into_principal());
            }
        }
        for (id, kind, name) in snapshot.attributes {
            if let Some(kind) = ATTRIBUTES.get(usize::from(kind)).copied() {
                callers
                    .names
                    .restore(AttributeId(id), ShownAttribute { kind, name });
            }
        }
        callers.signers = Signers::restore(snapshot.issuers);
        Ok(callers)
    }
}

impl Kept {
    fn of(principal: &Principal) -> Self {
        Self {
            id: principal.id.0,
            kind: place(&KINDS, &principal.kind),
            keys: principal.keys.to_vec(),
            attributes: principal.attributes.iter().map(|id| id.0).collect(),
            tenant: principal.tenant,
            first_s: principal.first_s,
            last_s: principal.last_s,
            successes: principal.successes,
            refusals: principal.refusals,
            addresses: principal.addresses,
            established: principal.established,
        }
    }

    fn into_principal(self) -> Principal {
        let kind = KINDS.get(usize::from(self.kind)).copied();
        let mut principal = Principal::new(
            CallerId(self.id),
            kind.unwrap_or(PrincipalKind::Unnamed),
            self.first_s,
        );
        principal.keys = self.keys.into_iter().take(MAX_TOKENS + MAX_NAMES).collect();
        principal.attributes = self
            .attributes
            .into_iter()
            .take(MAX_ATTRIBUTES)
            .map(AttributeId)
            .collect::<SmallVec<_>>();
        principal.tenant = self.tenant;
        principal.last_s = self.last_s;
        principal.successes = self.successes;
        principal.refusals = self.refusals;
        principal.addresses = self.addresses;
        principal.established = self.established;
        principal
    }
}

fn place<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let place = all.iter().position(|known| known == one);
    place
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(u8::MAX)
}

/// Hashes in hexadecimal.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::exchange::CallerHash;

    pub(in crate::callers) fn serialize<S: Serializer>(hash: &CallerHash, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(hash)
    }

    pub(in crate::callers) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<CallerHash, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).ok_or_else(|| de::Error::custom("not a hash"))
    }

    pub(super) fn parse(text: &str) -> Option<CallerHash> {
        let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
        Some(CallerHash(number.to_be_bytes()))
    }
}

/// Hashes that may be missing.
mod hex_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::hex;
    use crate::exchange::CallerHash;

    #[expect(clippy::ref_option, reason = "serde asks for a reference to the field")]
    pub(super) fn serialize<S: Serializer>(hash: &Option<CallerHash>, to: S) -> Result<S::Ok, S::Error> {
        hash.map(|hash| hash.to_string()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<CallerHash>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| hex::parse(&text).ok_or_else(|| de::Error::custom("not a hash")))
            .transpose()
    }
}
