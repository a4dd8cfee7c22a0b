//! What a JSON Web Token says, as far as it is kept.
//!
//! Claims are what a token says of its bearer. Whether it may be believed is the server's business: the sensor has no
//! key, so nothing here is proof of anything but what was presented.

use std::ops::{BitOr, BitOrAssign};

use smallvec::SmallVec;

use crate::exchange::secret::{CallerHash, KeyedHash};
use crate::exchange::value::ValueHash;
use crate::protocol::name::Name;

/// Claims of one token. Holds hashes, numbers and kinds, and of roles and scopes the names, which print nothing until
/// whoever shows them has judged them.
#[derive(Clone, PartialEq, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, not a state"
)]
pub struct Claims {
    /// `alg` of the header (RFC 7518, 3.1).
    pub algorithm: Algorithm,
    /// `typ` of the header.
    pub token_type: TokenType,
    /// The header names its key (`kid`).
    pub has_key_id: bool,
    /// Weaknesses that the token itself shows.
    pub weak: Weak,
    /// Whether guessable secrets were tried: only of tokens with HMAC, and not of every one in a flood.
    pub tried: bool,
    /// Header and payload were read to their end.
    pub whole: bool,
    /// Issuer and subject together: a person or program, as the token says. Without an issuer the subject belongs to the
    /// service that was called.
    pub principal: Option<KeyedHash>,
    /// Who gives out such subjects: the front of the hash of issuer or service, and which claim names the subject. Two
    /// subjects of one authority are two callers.
    pub authority: u32,
    /// The subject is the application itself (RFC 9068, 2.2), or there is only an application.
    pub is_service: bool,
    /// `iss`.
    pub issuer: Option<CallerHash>,
    /// `aud`, at most [`MAX_AUDIENCES`].
    pub audience: SmallVec<[CallerHash; 1]>,
    /// `client_id`, `azp`: the application.
    pub client: Option<KeyedHash>,
    /// Tenant, organisation, account.
    pub tenant: Option<CallerHash>,
    /// The same as values are hashed, to be compared with what is in messages.
    pub tenant_value: Option<ValueHash>,
    /// What names the subject, so hashed, at most [`MAX_NAMES`].
    pub names: SmallVec<[ValueHash; 2]>,
    /// Roles, groups and scopes, at most [`MAX_ATTRIBUTES`].
    pub attributes: SmallVec<[Attribute; 2]>,
    /// `iat`, seconds since 1970.
    pub issued_s: Option<u64>,
    /// `exp`.
    pub expires_s: Option<u64>,
    /// `nbf`.
    pub not_before_s: Option<u64>,
    /// Kinds of sensitive data in the payload, which is encoded and not encrypted.
    pub sensitive: Sensitive,
}

/// Names of one subject that are kept: an id, a login name, an address of e-mail, and another.
pub(super) const MAX_NAMES: usize = 4;
/// Audiences that are kept.
pub(super) const MAX_AUDIENCES: usize = 4;
/// Roles, groups and scopes that are kept. Tokens with hundreds of groups exist; who has so many is told apart by the
/// first.
pub(super) const MAX_ATTRIBUTES: usize = 32;

impl Claims {
    /// How long the token is good for, in seconds, where it says so.
    pub fn lifetime_s(&self) -> Option<u64> {
        self.expires_s?.checked_sub(self.issued_s.or(self.not_before_s)?)
    }
}

/// `alg`, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    /// `none`: no signature at all.
    None,
    /// HMAC: whoever can check it can make one.
    Hs256,
    /// HMAC.
    Hs384,
    /// HMAC.
    Hs512,
    /// RSA (`RS*`, `PS*`).
    Rsa,
    /// Elliptic curves (`ES*`, `EdDSA`).
    Curve,
    /// Another.
    Other,
    /// The header has no `alg`, or was not read.
    Absent,
}

impl Algorithm {
    /// Of the value of `alg`. Letters of `none` are compared without case: servers were tricked so.
    pub(super) fn of(value: &[u8]) -> Self {
        match value {
            b"HS256" => Self::Hs256,
            b"HS384" => Self::Hs384,
            b"HS512" => Self::Hs512,
            [b'R' | b'P', b'S', ..] => Self::Rsa,
            [b'E', b'S', ..] | b"EdDSA" | b"Ed25519" | b"Ed448" => Self::Curve,
            _ if value.eq_ignore_ascii_case(b"none") => Self::None,
            _ => Self::Other,
        }
    }

    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rsa => "RSA",
            Self::Curve => "ECDSA",
            Self::Other => "other",
            Self::Absent => "absent",
        }
    }

    /// A secret that both sides know signs it.
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

/// `typ` of the header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenType {
    /// `JWT`.
    Jwt,
    /// `at+jwt`: an access token (RFC 9068).
    Access,
    /// Another.
    Other,
    /// None.
    Absent,
}

/// What a role, group or scope is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum AttributeKind {
    /// A role.
    Role,
    /// A group.
    Group,
    /// A scope or permission.
    Scope,
}

/// A role, group or scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// Which.
    pub kind: AttributeKind,
    /// Keyed hash of its name.
    pub hash: CallerHash,
    /// Its name, which may be a value in disguise.
    pub name: Name,
}

/// A set of bits with names.
macro_rules! set {
    ($(#[doc = $about:literal])+ $name:ident: $type:ty { $($(#[doc = $doc:literal])+ $flag:ident = $bit:expr;)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Debug)]
        pub struct $name($type);

        impl $name {
            $($(#[doc = $doc])+ pub const $flag: Self = Self(1 << $bit);)+

            /// Whether any of the other is in it.
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// Nothing is in it.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl BitOr for $name {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl BitOrAssign for $name {
            fn bitor_assign(&mut self, other: Self) {
                self.0 |= other.0;
            }
        }
    };
}

set! {
    /// Weaknesses that a token itself shows (RFC 8725).
    Weak: u16 {
        /// `alg` is `none`.
        UNSIGNED = 0;
        /// The signature is empty though `alg` names one.
        EMPTY_SIGNATURE = 1;
        /// A secret of the list of well-known ones signed it.
        GUESSABLE = 2;
        /// It brings the key that it wants to be checked with (`jwk`, `x5c`).
        OWN_KEY = 3;
        /// It says where to fetch that key (`jku`, `x5u`).
        REMOTE_KEY = 4;
        /// `kid` holds what is for paths or queries, not for names of keys.
        ODD_KEY_ID = 5;
        /// It never expires.
        NO_EXPIRY = 6;
        /// `alg`, `iss`, `sub` or `exp` is there twice: two readers may understand it differently.
        TWICE = 7;
    }
}

set! {
    /// Kinds of sensitive data among claims.
    Sensitive: u8 {
        /// Address of e-mail.
        EMAIL = 0;
        /// Telephone number.
        PHONE = 1;
        /// Social Security number, or one of its shape.
        SSN = 2;
        /// A password or its hash.
        PASSWORD = 3;
    }
}
