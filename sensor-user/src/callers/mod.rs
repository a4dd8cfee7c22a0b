//! Credentials to callers: which of them belong to one person or program.
//!
//! Takes exchanges of all connections in the order they are told. Gives a [`Resolved`] caller for each, and the facts that
//! rules about authentication need. Never reads the clock, never keeps a value, never merges what contradicts itself, and
//! learns nothing from what a server refused. Bounded by [`Limits`]; `docs/decisions/callers.md` has the law.

mod answer;
mod attributes;
mod facts;
mod principals;
mod resolve;
mod signers;
mod snapshot;
pub(crate) mod spread;
#[cfg(test)]
mod tests;
mod ties;
mod windows;

use std::fmt;

use smallvec::SmallVec;

use crate::exchange::secret::CallerHash;
use crate::exchange::value::ValueHash;

pub use answer::{Answer, is_sent_back};
pub use attributes::{AttributeId, ShownAttribute};
pub use facts::{AuthFacts, LoginFacts, LoginResult, TokenFacts, Trouble, time_of_day_s};
pub use resolve::Callers;
pub use snapshot::{Snapshot, SnapshotError};

/// Names a caller for as long as it is remembered, and again after that when it is recognised by the same evidence: the
/// keyed hash of what it was first known by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CallerId(pub CallerHash);

impl fmt::Display for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Bounds of what is remembered of callers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Callers who came again and were let in each time.
    pub established: usize,
    /// Callers who are new: the one that came least goes when another comes.
    pub probation: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            established: 131_072,
            probation: 16_384,
        }
    }
}

/// What kind of caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum PrincipalKind {
    /// A person: somebody logged in by name, or a token names a subject.
    User,
    /// A program: client credentials, an API key, a token whose subject is its application.
    Service,
    /// Somebody with a token or session that says nothing of who it is.
    Unnamed,
    /// Nobody in particular, told apart by address.
    Anonymous,
    /// The head was cut, so nothing can be said (LESSONS 27).
    Unseen,
}

impl PrincipalKind {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
            Self::Unnamed => "unnamed",
            Self::Anonymous => "anonymous",
            Self::Unseen => "unseen",
        }
    }
}

/// What a caller is recognised by, from weak to strong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Basis {
    /// Nothing.
    Nothing,
    /// The client's address.
    Address,
    /// The token, session or key itself.
    Credential,
    /// Claims of a token that the server accepted but was not seen to hand out. Whoever can forge tokens can be anybody.
    Claims,
    /// The name that it logs in with each time (Basic, Digest).
    Name,
    /// A token that the server handed out in answer to a login, or to a refresh of one.
    Issued,
}

/// Who sent an exchange.
#[derive(Clone, PartialEq, Debug)]
pub struct Resolved {
    /// The caller; `None` when the head was not seen, or nobody is known at all.
    pub id: Option<CallerId>,
    /// What kind.
    pub kind: PrincipalKind,
    /// What it is recognised by.
    pub basis: Basis,
    /// The application that the caller uses, where it has a key of its own beside the user's token.
    pub application: Option<CallerId>,
    /// The tenant, as the caller's token says.
    pub tenant: Option<CallerHash>,
    /// The tenant as values are hashed, where this very token says it.
    pub tenant_value: Option<ValueHash>,
    /// What names the caller in this very token, so hashed.
    pub names: SmallVec<[ValueHash; 2]>,
    /// Roles, groups and scopes, as the caller's token says.
    pub attributes: SmallVec<[AttributeId; 4]>,
    /// What is known of the caller contradicts itself: nothing should be concluded from who it is.
    pub ambiguous: bool,
    /// It came again and was let in each time; what is learnt of it lasts.
    pub established: bool,
    /// Callers that turned out to be this one.
    pub merged: SmallVec<[CallerId; 2]>,
    /// For rules about authentication.
    pub facts: AuthFacts,
}

impl Resolved {
    /// Nobody.
    pub(crate) fn nobody(kind: PrincipalKind) -> Self {
        Self {
            id: None,
            kind,
            basis: Basis::Nothing,
            application: None,
            tenant: None,
            tenant_value: None,
            names: SmallVec::new(),
            attributes: SmallVec::new(),
            ambiguous: false,
            established: false,
            merged: SmallVec::new(),
            facts: AuthFacts::default(),
        }
    }

    /// Whether there is a caller with credentials.
    pub const fn is_known(&self) -> bool {
        matches!(
            self.kind,
            PrincipalKind::User | PrincipalKind::Service | PrincipalKind::Unnamed
        )
    }
}
