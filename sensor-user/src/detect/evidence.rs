//! Figures that findings about authentication show, and whose doing findings are.
//!
//! Holds kinds, counts and keyed hashes; never a value.

use crate::exchange::CallerHash;

/// Whose doing a verdict is about, and how far that goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum About {
    /// The caller's, or whoever is at its address.
    Somebody,
    /// What the service does to all at this endpoint.
    Endpoint,
    /// What it does to all wherever they call it: how its tokens are made, or who tries to log in at it.
    Host,
}

/// What is wrong with a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFlaw {
    /// `alg` is `none`.
    Unsigned,
    /// The signature is empty.
    EmptySignature,
    /// Another kind of algorithm than the issuer's tokens had so far.
    OtherAlgorithm,
    /// Its key id holds what is for paths and queries.
    OddKeyId,
    /// It brings its own key.
    OwnKey,
    /// It says where to fetch its key.
    RemoteKey,
    /// Something that decides is there twice.
    Twice,
    /// It never expires.
    NoExpiry,
    /// It is good for very long.
    LongLived {
        /// Seconds.
        lifetime_s: u64,
    },
    /// A well-known secret signed it.
    GuessableSecret,
    /// A password among its claims.
    PasswordInside,
    /// A Social Security number.
    SsnInside,
    /// A telephone number.
    PhoneInside,
    /// An address of e-mail.
    EmailInside,
}

impl TokenFlaw {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::EmptySignature => "empty_signature",
            Self::OtherAlgorithm => "other_algorithm",
            Self::OddKeyId => "odd_key_id",
            Self::OwnKey => "own_key",
            Self::RemoteKey => "remote_key",
            Self::Twice => "twice",
            Self::NoExpiry => "no_expiry",
            Self::LongLived { .. } => "long_lived",
            Self::GuessableSecret => "guessable_secret",
            Self::PasswordInside => "password_inside",
            Self::SsnInside => "ssn_inside",
            Self::PhoneInside => "phone_inside",
            Self::EmailInside => "email_inside",
        }
    }

    /// Whether it is about how an issuer makes its tokens, wherever they are used.
    pub const fn is_issuers(self) -> bool {
        !self.is_somebodys()
    }

    /// Whether it is about one token and who made it, rather than about how a service makes all of its tokens.
    pub const fn is_somebodys(self) -> bool {
        matches!(
            self,
            Self::Unsigned
                | Self::EmptySignature
                | Self::OtherAlgorithm
                | Self::OddKeyId
                | Self::OwnKey
                | Self::RemoteKey
                | Self::Twice
        )
    }
}

/// Shape of failed logins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AttackShape {
    /// Many passwords for one name.
    BruteForce,
    /// Many names from one address.
    Spraying,
    /// Many names from many addresses.
    Stuffing,
    /// Many passwords for one name, and nothing stops them.
    NoLockout,
}

impl AttackShape {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BruteForce => "brute_force",
            Self::Spraying => "spraying",
            Self::Stuffing => "stuffing",
            Self::NoLockout => "no_lockout",
        }
    }
}

/// Failed logins that are no accident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoginAttack {
    /// In which shape.
    pub shape: AttackShape,
    /// The name or address, hashed.
    pub subject: Option<CallerHash>,
    /// Failures.
    pub failures: u32,
    /// Of those, tries where nobody looked at the password: too many, or the name is locked.
    pub put_off: u32,
    /// Successes beside them, within a day; of a host within the window.
    pub successes: u32,
    /// Names that failed.
    pub names: u16,
    /// Addresses that they failed from.
    pub addresses: u16,
    /// Within so many minutes.
    pub minutes: u32,
    /// Failures that are usual, where that is known.
    pub usual: u32,
    /// This login succeeded.
    pub got_in: bool,
    /// Since when the host's campaign lasts, by the traffic's clock: what tells it from the next. 0 of a name or address.
    pub since_s: u32,
}
