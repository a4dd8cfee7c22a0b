//! Who called, as far as a request's head says: every credential in it, by place and keyed hash.
//!
//! Takes a head. Gives [`Credentials`] and the quick answer, [`Caller`]. Never gives a credential on; a connection keeps
//! its last ones, in memory and for as long as it lives, to recognise them without hashing them anew. Bounded by
//! [`MEMO_BYTES`] per connection and [`find::MAX_CREDENTIALS`] per request.

mod address;
mod basic;
mod claims;
mod desk;
mod find;
mod handover;
mod jwt;
mod weak;

use std::sync::Arc;

use smallvec::SmallVec;

use super::secret::{Domain, KeyedHash};
use super::{AuthScheme, Caller, Head, Request, Secret};
use find::{Found, Identifier};

pub use address::{Client, Clients};
pub use claims::{Algorithm, Attribute, AttributeKind, Claims, Sensitive, TokenType, Weak};
pub use desk::Desk;
pub use find::is_key_name;
pub use handover::{Asker, Collector, Grant, GrantKind, GrantType, Handover, Role};

/// Longest credentials of one request that a connection remembers. Longer ones are hashed each time; servers commonly
/// refuse header fields beyond 8 KiB, and tokens beyond half of that are rare.
const MEMO_BYTES: usize = 4096;

/// Where a credential was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Placed {
    /// The `Authorization` field.
    Authorization,
    /// Another field.
    Header,
    /// A cookie.
    Cookie,
    /// A parameter of the query.
    Query,
    /// The body.
    Body,
}

/// What makes a value a credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sureness {
    /// Its place or name.
    Named,
    /// It looks random and stands where credentials may: one only if a login handed it out.
    Possible,
}

/// One credential of a request. Holds no part of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Credential {
    /// Kind.
    pub scheme: AuthScheme,
    /// Where it was.
    pub placed: Placed,
    /// Whether it is one for sure.
    pub sureness: Sureness,
    /// Of the token, session or key: the same wherever it is and however it is sent. `None` of Basic and Digest, where
    /// it is a password's work.
    pub secret: Option<KeyedHash>,
    /// Of the user who is named in the open: Basic, Digest.
    pub user: Option<KeyedHash>,
    /// What a JSON Web Token says.
    pub claims: Option<Arc<Claims>>,
}

impl Credential {
    /// What the credential is recognised by.
    pub fn key(&self) -> Option<KeyedHash> {
        self.user.or(self.secret)
    }
}

/// Every credential of a request, in the order they came; shared by the requests of a connection that have the same.
#[derive(Clone, Default, PartialEq)]
pub struct Credentials(Option<Arc<[Credential]>>);

impl Credentials {
    /// Of a list.
    pub fn new(list: &[Credential]) -> Self {
        Self((!list.is_empty()).then(|| list.into()))
    }
}

impl std::ops::Deref for Credentials {
    type Target = [Credential];

    fn deref(&self) -> &[Credential] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} credentials]", self.len())
    }
}

/// Who called, quick and whole.
#[derive(Clone, Debug)]
pub(super) struct Identified {
    pub(super) caller: Caller,
    pub(super) credentials: Credentials,
}

impl Identified {
    const NOBODY: Self = Self {
        caller: Caller::Anonymous,
        credentials: Credentials(None),
    };
}

/// The last credentials of a connection: on keep-alive most requests carry the same.
#[derive(Default)]
pub(super) struct Memo {
    /// Scope and credentials one behind the other.
    bytes: Vec<u8>,
    /// How each was found, and its length.
    parts: SmallVec<[(Identifier, usize); 2]>,
    known: Option<Identified>,
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[memo withheld]")
    }
}

impl Memo {
    fn recall(&self, scope: &[u8], found: &[Found<'_>]) -> Option<Identified> {
        let known = self.known.as_ref()?;
        let mut rest = self.bytes.strip_prefix(scope)?;
        if found.len() != self.parts.len() {
            return None;
        }
        for (found, (identifier, length)) in found.iter().zip(&self.parts) {
            if found.identifier != *identifier || found.value.len() != *length {
                return None;
            }
            rest = rest.strip_prefix(found.value)?;
        }
        rest.is_empty().then(|| known.clone())
    }

    fn learn(&mut self, scope: &[u8], found: &[Found<'_>], identified: &Identified) {
        let length = found.iter().map(|found| found.value.len()).sum::<usize>() + scope.len();
        if length > MEMO_BYTES {
            return;
        }
        self.bytes.clear();
        self.parts.clear();
        self.bytes.extend_from_slice(scope);
        for found in found {
            self.bytes.extend_from_slice(found.value);
            self.parts.push((found.identifier, found.value.len()));
        }
        self.known = Some(identified.clone());
    }
}

/// Which fields of a head are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fields {
    All,
    Some,
}

/// Names the caller of a request. Credentials may stand in a field that is not known.
pub(super) fn of(request: &Request, known: Fields, desk: &mut Desk, memo: &mut Memo) -> Identified {
    let target = request.target.of(&request.head.raw);
    let mut found = identify(&request.head, target, desk, memo);
    if found.caller == Caller::Anonymous && known == Fields::Some {
        found.caller = Caller::Unseen;
    }
    found
}

/// Names the caller of a request whose head was seen whole.
fn identify(head: &Head, target: &[u8], desk: &mut Desk, memo: &mut Memo) -> Identified {
    let (scope, found) = find::all(head, target);
    if found.is_empty() {
        return Identified::NOBODY;
    }
    if let Some(known) = memo.recall(scope, &found) {
        return known;
    }
    let list: SmallVec<[Credential; 2]> = found.iter().map(|found| credential(found, scope, desk)).collect();
    let identified = Identified {
        caller: strongest(&list),
        credentials: Credentials::new(&list),
    };
    memo.learn(scope, &found, &identified);
    identified
}

fn credential(found: &Found<'_>, scope: &[u8], desk: &mut Desk) -> Credential {
    let Identifier {
        scheme,
        placed,
        sureness,
    } = found.identifier;
    let mut credential = Credential {
        scheme,
        placed,
        sureness,
        secret: None,
        user: None,
        claims: None,
    };
    let value = match placed {
        Placed::Query => &*find::undone(found.value),
        _ => found.value,
    };
    match scheme {
        // The password may change or be mistyped; the user stays the same.
        AuthScheme::Basic => credential.user = Some(desk.login(&basic::user(value), scope)),
        AuthScheme::Other if let Some(user) = find::digest_user(value) => {
            credential.user = Some(desk.login(user, scope));
        }
        AuthScheme::Other => {
            credential.secret = Some(desk.secret(find::signing_key(value).unwrap_or(value)));
        }
        AuthScheme::Jwt => {
            let secret = desk.secret(value);
            credential.secret = Some(secret);
            credential.claims = desk.claims(value, secret, scope);
        }
        AuthScheme::Bearer | AuthScheme::ApiKey | AuthScheme::Session => {
            credential.secret = Some(desk.secret(value));
        }
    }
    credential
}

/// The strongest: `Authorization`, then keys in the head, sessions, and keys in the query.
fn strongest(list: &[Credential]) -> Caller {
    let rank = |credential: &&Credential| match credential.placed {
        Placed::Authorization => 0,
        Placed::Header => 1,
        Placed::Cookie => 2,
        Placed::Query | Placed::Body => 3,
    };
    let named = list
        .iter()
        .filter(|credential| credential.sureness == Sureness::Named);
    let best = named.min_by_key(rank);
    best.and_then(|best| Some((best.scheme, best.key()?.now)))
        .map_or(Caller::Anonymous, |(scheme, hash)| Caller::Known { scheme, hash })
}

/// Hash of a login name. An address of e-mail is one wherever it is used and in any case; another name belongs to the
/// service that it is used at.
fn login(key: &super::secret::HashKey, name: &[u8], scope: &[u8]) -> KeyedHash {
    let name = name.trim_ascii();
    if memchr::memchr(b'@', name).is_none() {
        return key.hash(Domain::Login, Secret::new(scope), Secret::new(name));
    }
    let lower: SmallVec<[u8; 64]> = name.iter().map(u8::to_ascii_lowercase).collect();
    key.hash(Domain::Login, Secret::new(b""), Secret::new(&lower))
}

/// Three parts of which the first is a JSON object in base64url: `eyJ` is `{"` (RFC 7519, 3).
fn is_jwt(token: &[u8]) -> bool {
    token.starts_with(b"eyJ") && memchr::memchr_iter(b'.', token).count() == 2
}

/// Long and mixed enough to be made by a machine: a session, not a setting. Sixteen characters of hexadecimal are the
/// 64 bits that OWASP asks of a session identifier (Session Management Cheat Sheet).
fn looks_random(value: &[u8]) -> bool {
    let is_token = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=' | b'%' | b':')
    };
    if value.len() < 16 || !value.iter().all(is_token) {
        return false;
    }
    let mut seen = [0_u64; 4];
    for byte in value {
        if let Some(word) = seen.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }
    let distinct: u32 = seen.iter().map(|word| word.count_ones()).sum();
    distinct >= 8 && value.iter().any(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests;
