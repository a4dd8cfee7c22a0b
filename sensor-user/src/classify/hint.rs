//! Field names: what a name says about its value.
//!
//! Takes a name as it stands in a body, query or head. Gives a set of hints. Never looks at the value. Bounded: the
//! last `MAX_NAME` bytes and `MAX_WORDS` words.

use super::shape::Shape;
use crate::exchange::credentials::Role;

/// What a name says. A set.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Hint(u16);

impl Hint {
    pub(super) const NONE: Self = Self(0);
    /// A password.
    pub(super) const PASSWORD: Self = Self(1);
    /// A secret by its full name (`client_secret`, `access_token`).
    pub(super) const SECRET: Self = Self(1 << 1);
    /// Perhaps a secret (`token`, `session`): the value must look random.
    pub(super) const MAYBE_SECRET: Self = Self(1 << 2);
    /// A telephone number.
    pub(super) const PHONE: Self = Self(1 << 3);
    /// A Social Security number.
    pub(super) const SSN: Self = Self(1 << 4);
    /// A payment card.
    pub(super) const CARD: Self = Self(1 << 5);
    /// An identifier, counter or time: digits in it are no card number (LESSONS 25).
    pub(super) const COUNTER: Self = Self(1 << 6);
    /// The name itself may be a value: it is looked at, and shown as `*`.
    pub(super) const VALUE_LIKE: Self = Self(1 << 7);
    /// A header whose value is the protocol's own.
    pub(super) const PLUMBING: Self = Self(1 << 8);
    /// The value stands for somebody or something, even when it is a plain word or a small number.
    pub(super) const IDENTITY: Self = Self(1 << 9);
    /// Text of or about a person: never shown, even when it is a plain word.
    pub(super) const PERSONAL: Self = Self(1 << 10);
    /// Of a request, it says who asks for a token ([`Role`]).
    pub(super) const ASKS: Self = Self(1 << 11);
    /// Of an answer, it hands out a token.
    pub(super) const GRANTS: Self = Self(1 << 12);
    /// Digits are a one-time code, which identifies nothing.
    pub(super) const ONCE: Self = Self(1 << 13);

    /// Hints for which every value is looked at, whatever its characters.
    pub(super) const ALWAYS: Self =
        Self(Self::PASSWORD.0 | Self::SECRET.0 | Self::MAYBE_SECRET.0 | Self::PHONE.0 | Self::SSN.0);

    /// The value lets somebody in.
    pub(super) const CREDENTIAL: Self = Self(Self::PASSWORD.0 | Self::SECRET.0 | Self::MAYBE_SECRET.0);

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What may be concluded for a neighbour: what digits count, not that it is a secret.
    pub(super) const fn context(self) -> Self {
        Self(self.0 & (Self::CARD.0 | Self::COUNTER.0))
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Judges a name.
    pub(super) fn of(name: &[u8]) -> Self {
        let shape = Shape::of(name);
        let digits_only = || name.iter().all(u8::is_ascii_digit);
        match shape {
            Shape::Word => Self::of_words(name),
            // Maps with identifiers as keys have no end of names, so these are judged at little cost.
            Shape::Uuid | Shape::Ulid | Shape::Hex | Shape::Date | Shape::Email | Shape::Token => {
                Self::VALUE_LIKE
            }
            Shape::Number if digits_only() => Self::VALUE_LIKE,
            Shape::Number | Shape::Slug | Shape::Odd => Self::of_words(name).and(Self::VALUE_LIKE),
        }
    }

    fn of_words(name: &[u8]) -> Self {
        let mut hint = Words::of(name).judge();
        if let Some(role) = Role::of(name) {
            hint = hint.and(Self::ASKS);
            if role.is_of_answer() {
                hint = hint.and(Self::GRANTS);
            }
            if role == Role::Code {
                hint = hint.and(Self::ONCE);
            }
        }
        if is_plumbing(name) {
            hint.and(Self::PLUMBING)
        } else {
            hint
        }
    }
}

/// Words of a name, from its end: what it is comes last (`userPassword`, `x-api-key`).
struct Words {
    /// Lower-case letters of the words, without separators.
    text: [u8; MAX_NAME],
    /// Ends of the words in `text`, at most as many as fit. Invariant: ascending, each at most `MAX_NAME`.
    ends: [u8; MAX_WORDS],
    count: usize,
}

/// Bytes of a name that are looked at: what it is stands within the last of them.
const MAX_NAME: usize = 48;
const MAX_WORDS: usize = 10;

impl Words {
    fn of(name: &[u8]) -> Self {
        let name = name.get(name.len().saturating_sub(MAX_NAME)..).unwrap_or(name);
        let mut words = Self {
            text: [0; MAX_NAME],
            ends: [0; MAX_WORDS],
            count: 0,
        };
        let mut length = 0;
        let mut last = b'_';
        for (at, byte) in name.iter().enumerate() {
            let next_is_lower = name.get(at + 1).is_some_and(u8::is_ascii_lowercase);
            let hump = byte.is_ascii_uppercase()
                && (last.is_ascii_lowercase() || (last.is_ascii_uppercase() && next_is_lower));
            if hump || !byte.is_ascii_alphabetic() {
                words.end(length);
            }
            if byte.is_ascii_alphabetic() {
                if let Some(slot) = words.text.get_mut(length) {
                    *slot = byte.to_ascii_lowercase();
                }
                length += 1;
            }
            last = *byte;
        }
        words.end(length);
        words
    }

    fn end(&mut self, length: usize) {
        let previous = self
            .count
            .checked_sub(1)
            .and_then(|at| self.ends.get(at))
            .copied();
        let end = u8::try_from(length).unwrap_or(u8::MAX);
        if end > previous.unwrap_or(0)
            && let Some(slot) = self.ends.get_mut(self.count)
        {
            *slot = end;
            self.count += 1;
        }
    }

    /// The word `back` places from the end; empty when there is none.
    fn last(&self, back: usize) -> &[u8] {
        let Some(at) = self.count.checked_sub(back + 1) else {
            return &[];
        };
        let start = at
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or(0);
        let end = self.ends.get(at).copied().unwrap_or(0);
        self.text
            .get(usize::from(start)..usize::from(end))
            .unwrap_or_default()
    }

    fn any(&self, accept: impl Fn(&[u8]) -> bool) -> bool {
        (0..self.count).any(|back| accept(self.last(back)))
    }

    fn judge(&self) -> Hint {
        let mut hint = self.credential();
        if self.any(|word| {
            matches!(
                word,
                b"phone"
                    | b"mobile"
                    | b"telephone"
                    | b"tel"
                    | b"msisdn"
                    | b"cellphone"
                    | b"fax"
                    | b"phonenumber"
                    | b"mobilenumber"
            )
        }) {
            hint = hint.and(Hint::PHONE);
        }
        if self.any(|word| matches!(word, b"ssn" | b"socialsecurity" | b"socialsecuritynumber"))
            || self.any(|word| word == b"social") && self.any(|word| word == b"security")
        {
            hint = hint.and(Hint::SSN);
        }
        if self.any(|word| {
            matches!(
                word,
                b"card" | b"cc" | b"pan" | b"creditcard" | b"cardnumber" | b"ccnumber" | b"ccnum"
            )
        }) && self.last(0) != b"id"
        {
            return hint.and(Hint::CARD);
        }
        if self.counts() {
            hint = hint.and(Hint::COUNTER);
        }
        if is_identity(self.last(0)) {
            hint = hint.and(Hint::IDENTITY);
        }
        if self.any(is_personal) {
            hint = hint.and(Hint::PERSONAL);
        }
        hint
    }

    /// Identifiers, times, sums and codes.
    fn counts(&self) -> bool {
        self.any(|word| {
            matches!(
                word,
                b"id"
                    | b"ids"
                    | b"uid"
                    | b"guid"
                    | b"uuid"
                    | b"oid"
                    | b"ts"
                    | b"time"
                    | b"timestamp"
                    | b"date"
                    | b"at"
                    | b"created"
                    | b"updated"
                    | b"modified"
                    | b"expires"
                    | b"exp"
                    | b"iat"
                    | b"nbf"
                    | b"order"
                    | b"invoice"
                    | b"tracking"
                    | b"serial"
                    | b"sku"
                    | b"isbn"
                    | b"ean"
                    | b"gtin"
                    | b"barcode"
                    | b"imei"
                    | b"seq"
                    | b"sequence"
                    | b"offset"
                    | b"cursor"
                    | b"version"
                    | b"nonce"
                    | b"hash"
                    | b"checksum"
            )
        })
    }

    fn credential(&self) -> Hint {
        let confirmed = matches!(
            self.last(0),
            b"confirmation" | b"confirm" | b"again" | b"repeat" | b"new" | b"old" | b"current" | b"hash"
        );
        let what = usize::from(confirmed);
        let (noun, qualifier) = (self.last(what), self.last(what + 1));
        let password = matches!(
            noun,
            b"password"
                | b"passwd"
                | b"pwd"
                | b"passphrase"
                | b"passcode"
                | b"userpassword"
                | b"newpassword"
                | b"oldpassword"
        ) || noun == b"pass"
            && (self.count == 1 || matches!(qualifier, b"user" | b"db" | b"admin"));
        if password {
            return Hint::PASSWORD;
        }
        if confirmed {
            return Hint::NONE;
        }
        secret(noun, qualifier)
    }
}

/// The last word of names whose value tells one thing from its like.
fn is_identity(word: &[u8]) -> bool {
    matches!(
        word,
        b"id"
            | b"ids"
            | b"uid"
            | b"guid"
            | b"uuid"
            | b"oid"
            | b"pk"
            | b"key"
            | b"user"
            | b"username"
            | b"login"
            | b"owner"
            | b"account"
            | b"customer"
            | b"client"
            | b"tenant"
            | b"org"
            | b"organization"
            | b"organisation"
            | b"company"
            | b"workspace"
            | b"project"
            | b"team"
            | b"group"
            | b"member"
            | b"author"
            | b"creator"
            | b"assignee"
            | b"sub"
            | b"subject"
            | b"email"
            | b"slug"
            | b"handle"
            | b"number"
            | b"no"
            | b"num"
            | b"ref"
            | b"reference"
            | b"sku"
            | b"invoice"
            | b"order"
            | b"patient"
            | b"device"
            | b"vin"
    )
}

/// Words of names whose values are people's own words and particulars.
fn is_personal(word: &[u8]) -> bool {
    matches!(
        word,
        b"name"
            | b"names"
            | b"firstname"
            | b"lastname"
            | b"surname"
            | b"fullname"
            | b"nickname"
            | b"username"
            | b"displayname"
            | b"user"
            | b"login"
            | b"first"
            | b"last"
            | b"given"
            | b"family"
            | b"middle"
            | b"maiden"
            | b"city"
            | b"town"
            | b"street"
            | b"address"
            | b"postcode"
            | b"zip"
            | b"birthday"
            | b"birthplace"
            | b"email"
            | b"mail"
            | b"contact"
            | b"person"
            | b"patient"
            | b"diagnosis"
            | b"religion"
            | b"note"
            | b"notes"
            | b"comment"
            | b"message"
            | b"description"
            | b"text"
            | b"content"
            | b"title"
            | b"subject"
            | b"answer"
            | b"query"
            | b"search"
            | b"q"
            | b"term"
            | b"handle"
            | b"author"
            | b"owner"
    )
}

/// The last two words of a secret's name.
fn secret(noun: &[u8], qualifier: &[u8]) -> Hint {
    match noun {
        b"secret" | b"apikey" | b"accesstoken" | b"refreshtoken" | b"authtoken" | b"sessiontoken"
        | b"clientsecret" | b"secretkey" | b"privatekey" | b"accesskey" | b"authkey" | b"jsessionid"
        | b"phpsessid" | b"sessionid" | b"sessid" => Hint::SECRET,
        b"token" => match qualifier {
            b"access" | b"refresh" | b"auth" | b"session" | b"bearer" | b"api" | b"id" | b"security"
            | b"secret" | b"login" | b"user" | b"jwt" | b"sso" | b"oauth" | b"device" | b"reset"
            | b"admin" => Hint::SECRET,
            // Handed out to be sent back in the open: no credential.
            b"page" | b"next" | b"csrf" | b"xsrf" | b"continuation" | b"sync" | b"previous" | b"prev"
            | b"cancel" | b"max" | b"total" => Hint::NONE,
            _ => Hint::MAYBE_SECRET,
        },
        b"key" => match qualifier {
            b"api" | b"secret" | b"private" | b"access" | b"auth" | b"encryption" | b"signing"
            | b"subscription" | b"account" | b"master" | b"admin" | b"functions" => Hint::SECRET,
            _ => Hint::NONE,
        },
        b"id" if qualifier == b"session" => Hint::SECRET,
        b"session" | b"sid" | b"auth" | b"jwt" | b"authorization" | b"bearer" | b"credential"
        | b"credentials" => Hint::MAYBE_SECRET,
        _ => Hint::NONE,
    }
}

/// Header fields whose value the protocol or the browser sets (RFC 9110 and the Fetch standard).
fn is_plumbing(name: &[u8]) -> bool {
    // The longest field below has 25 characters.
    let mut lower = [0; 25];
    let Some(lower) = lower.get_mut(..name.len()) else {
        return is_by_browser(name);
    };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let by_protocol = matches!(
        &*lower,
        b"host"
            | b"user-agent"
            | b"accept"
            | b"accept-encoding"
            | b"accept-language"
            | b"accept-ranges"
            | b"connection"
            | b"content-length"
            | b"content-type"
            | b"content-encoding"
            | b"content-range"
            | b"cache-control"
            | b"date"
            | b"server"
            | b"etag"
            | b"last-modified"
            | b"expires"
            | b"vary"
            | b"age"
            | b"pragma"
            | b"te"
            | b"transfer-encoding"
            | b"upgrade"
            | b"keep-alive"
            | b"if-none-match"
            | b"if-modified-since"
            | b"if-match"
            | b"range"
            | b"strict-transport-security"
            | b"content-security-policy"
            | b"x-frame-options"
            | b"x-content-type-options"
            | b"dnt"
            | b"trailer"
            | b"expect"
            | b"traceparent"
            | b"x-request-id"
            | b"alt-svc"
    );
    by_protocol || is_by_browser(lower)
}

fn is_by_browser(name: &[u8]) -> bool {
    let begins = |prefix: &[u8]| {
        name.get(..prefix.len())
            .is_some_and(|front| front.eq_ignore_ascii_case(prefix))
    };
    begins(b"sec-") || begins(b"access-control-")
}

#[cfg(test)]
mod tests;
