//! Reads the claims of a JSON Web Token (RFC 7519).
//!
//! Takes a token. Gives [`Claims`]. Never believes them and never keeps a value of them. Bounded by [`MAX_PART`] and by
//! the JSON walker's depth.

use smallvec::SmallVec;

use super::basic::undo;
use super::claims::{
    Algorithm, Attribute, AttributeKind, Claims, MAX_ATTRIBUTES, MAX_AUDIENCES, MAX_NAMES, Sensitive,
    TokenType, Weak,
};
use crate::exchange::Secret;
use crate::exchange::secret::{Domain, HashKey};
use crate::exchange::value::{ValueHash, ValueKey};
use crate::protocol::json::Walker;
use crate::protocol::name::Name;
use crate::protocol::walk::{Container, Ending, Scalar, Text, Visitor};

/// Encoded bytes of header or payload that are read; servers refuse heads beyond 8 KiB.
const MAX_PART: usize = 16 * 1024;
/// Bytes of one claim: scopes are the longest.
const MAX_CLAIM: usize = 4096;

/// Buffers that live from token to token. They hold claims, so they print nothing.
pub(super) struct Reading {
    walker: Walker,
    decoded: Vec<u8>,
    text: Vec<u8>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            walker: Walker::new(MAX_CLAIM),
            decoded: Vec::new(),
            text: Vec::new(),
        }
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[reading withheld]")
    }
}

/// The parts of a token as they are written.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a> {
    /// What is signed: header, dot, payload.
    pub(super) signed: &'a [u8],
    header: &'a [u8],
    payload: &'a [u8],
    /// The signature, encoded.
    pub(super) signature: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Cuts a token at its two dots.
    pub(super) fn of(token: &'a [u8]) -> Option<Self> {
        let last = memchr::memrchr(b'.', token)?;
        let (signed, signature) = (token.get(..last)?, token.get(last + 1..)?);
        let first = memchr::memchr(b'.', signed)?;
        Some(Self {
            signed,
            header: signed.get(..first)?,
            payload: signed.get(first + 1..)?,
            signature,
        })
    }
}

/// Reads header and payload. Without an issuer the subject is one of the service `scope`.
pub(super) fn read(parts: Parts<'_>, scope: &[u8], key: &HashKey, reading: &mut Reading) -> Claims {
    let mut said = Said::default();
    let mut whole = true;
    for (part, is_header) in [(parts.header, true), (parts.payload, false)] {
        said.in_header = is_header;
        whole &= part.len() <= MAX_PART && undo(part, &mut reading.decoded).is_some();
        if !whole {
            break;
        }
        let mut visitor = Walk {
            said: &mut said,
            key,
            values: ValueKey::of(key),
            text: &mut reading.text,
            around: SmallVec::new(),
            claim: Claim::Other,
        };
        reading.walker.restart();
        whole &= reading.walker.feed(&reading.decoded, &mut visitor).is_ok();
        whole &= reading.walker.finish(&mut visitor) == Ending::Complete;
    }
    said.into_claims(parts, whole, scope, key)
}

/// A claim or header parameter that matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Claim {
    Algorithm,
    Type,
    KeyId,
    OwnKey,
    RemoteKey,
    Issuer,
    /// A name of the subject; `sub` itself is the best.
    Subject(u8),
    Audience,
    Client,
    /// `gty` of Auth0: how the token was come by.
    GrantType,
    Tenant,
    Attribute(AttributeKind),
    /// `admin: true`.
    IsAdmin,
    Issued,
    Expires,
    NotBefore,
    Phone,
    Ssn,
    Password,
    /// A container in which the subject may be: `data`, `user`.
    Inside,
    Other,
}

impl Claim {
    /// Of a name within the header.
    fn of_header(name: &[u8]) -> Self {
        match name {
            b"alg" => Self::Algorithm,
            b"typ" => Self::Type,
            b"kid" => Self::KeyId,
            b"jwk" | b"x5c" => Self::OwnKey,
            b"jku" | b"x5u" => Self::RemoteKey,
            _ => Self::Other,
        }
    }

    /// Of a name within the payload. Of `https://example.com/roles` and `cognito:groups` the last word counts.
    fn of_payload(name: &[u8]) -> Self {
        let word = name
            .rsplit(|byte| matches!(byte, b'/' | b':'))
            .next()
            .unwrap_or(name);
        let mut lower = [0; 24];
        let mut length = 0;
        for byte in word.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
            let Some(slot) = lower.get_mut(length) else {
                return Self::Other;
            };
            *slot = byte.to_ascii_lowercase();
            length += 1;
        }
        match lower.get(..length).unwrap_or_default() {
            b"iss" => Self::Issuer,
            b"sub" => Self::Subject(0),
            b"userid" | b"uid" => Self::Subject(1),
            b"oid" => Self::Subject(2),
            b"id" | b"nameid" | b"nameidentifier" => Self::Subject(3),
            b"username" | b"preferredusername" | b"uniquename" | b"upn" | b"login" | b"user" => {
                Self::Subject(4)
            }
            b"email" | b"emailaddress" | b"mail" => Self::Subject(5),
            b"aud" => Self::Audience,
            b"azp" | b"clientid" | b"cid" | b"appid" => Self::Client,
            b"gty" => Self::GrantType,
            b"tid" | b"tenant" | b"tenantid" | b"org" | b"orgid" | b"organization" | b"organizationid"
            | b"organisation" | b"company" | b"companyid" | b"workspace" | b"workspaceid" | b"accountid" => {
                Self::Tenant
            }
            b"role" | b"roles" | b"authorities" | b"userrole" | b"userroles" => {
                Self::Attribute(AttributeKind::Role)
            }
            b"group" | b"groups" => Self::Attribute(AttributeKind::Group),
            b"scope" | b"scopes" | b"scp" | b"permission" | b"permissions" => {
                Self::Attribute(AttributeKind::Scope)
            }
            b"admin" | b"isadmin" | b"superuser" | b"issuperuser" => Self::IsAdmin,
            b"iat" => Self::Issued,
            b"exp" => Self::Expires,
            b"nbf" => Self::NotBefore,
            b"phone" | b"phonenumber" | b"mobile" | b"mobilephone" | b"msisdn" => Self::Phone,
            b"ssn" | b"socialsecuritynumber" => Self::Ssn,
            b"password" | b"passwordhash" | b"pwd" | b"passwd" => Self::Password,
            b"data" | b"identity" | b"claims" | b"payload" => Self::Inside,
            _ => Self::Other,
        }
    }
}

/// What the walk came upon.
#[derive(Default)]
struct Said {
    in_header: bool,
    algorithm: Option<Algorithm>,
    token_type: Option<TokenType>,
    has_key_id: bool,
    weak: Weak,
    issuer: SmallVec<[u8; 64]>,
    /// The best name of the subject, how good it is (0 is best), and that name.
    subject: Option<(u8, SmallVec<[u8; 64]>)>,
    client: SmallVec<[u8; 64]>,
    by_credentials: bool,
    audience: SmallVec<[crate::exchange::CallerHash; 1]>,
    tenant: Option<crate::exchange::CallerHash>,
    tenant_value: Option<ValueHash>,
    names: SmallVec<[ValueHash; 2]>,
    attributes: SmallVec<[Attribute; 2]>,
    issued_s: Option<u64>,
    expires_s: Option<u64>,
    not_before_s: Option<u64>,
    sensitive: Sensitive,
}

impl Said {
    fn into_claims(self, parts: Parts<'_>, whole: bool, scope: &[u8], key: &HashKey) -> Claims {
        let mut weak = self.weak;
        let algorithm = self.algorithm.unwrap_or(Algorithm::Absent);
        if algorithm == Algorithm::None {
            weak |= Weak::UNSIGNED;
        } else if parts.signature.is_empty() {
            weak |= Weak::EMPTY_SIGNATURE;
        }
        if whole && self.expires_s.is_none() {
            weak |= Weak::NO_EXPIRY;
        }
        let (rank, subject) = self.subject.unzip();
        let within = if self.issuer.is_empty() {
            scope
        } else {
            &self.issuer
        };
        let client = (!self.client.is_empty()).then_some(&self.client);
        let is_service = self.by_credentials
            || client.is_some_and(|client| subject.as_ref().is_none_or(|subject| subject == client));
        let named = subject.as_ref().or(client);
        let authority = key.hash(Domain::Issuer, NOWHERE, Secret::new(within)).now;
        // A name further in counts ten more.
        let claim = rank.map_or(u8::MAX, |rank| rank % 10);
        Claims {
            authority: u32::try_from(authority.front() >> 32).unwrap_or_default() ^ u32::from(claim),
            algorithm,
            token_type: self.token_type.unwrap_or(TokenType::Absent),
            has_key_id: self.has_key_id,
            weak,
            tried: false,
            whole,
            principal: named.map(|name| key.hash(Domain::Subject, Secret::new(within), Secret::new(name))),
            is_service,
            issuer: (!self.issuer.is_empty()).then_some(authority),
            audience: self.audience,
            client: client.map(|client| key.hash(Domain::Client, Secret::new(within), Secret::new(client))),
            tenant: self.tenant,
            tenant_value: self.tenant_value,
            names: self.names,
            attributes: self.attributes,
            issued_s: self.issued_s,
            expires_s: self.expires_s,
            not_before_s: self.not_before_s,
            sensitive: self.sensitive,
        }
    }
}

/// What belongs to no service.
const NOWHERE: Secret<'static> = Secret::new(b"");

struct Walk<'a> {
    said: &'a mut Said,
    key: &'a HashKey,
    values: ValueKey,
    text: &'a mut Vec<u8>,
    /// The claim that each container around is the value of.
    around: SmallVec<[Claim; 8]>,
    claim: Claim,
}

impl Visitor for Walk<'_> {
    fn open(&mut self, container: Container) {
        if self.said.in_header && self.claim == Claim::OwnKey {
            self.said.weak |= Weak::OWN_KEY;
        }
        self.around.push(self.claim);
        if container == Container::Object {
            self.claim = Claim::Other;
        }
    }

    fn close(&mut self) {
        self.claim = self.around.pop().unwrap_or(Claim::Other);
    }

    fn key(&mut self, text: Text<'_>) {
        let name = text.decode(self.text);
        self.claim = if self.said.in_header {
            Claim::of_header(name)
        } else {
            let inside = self.around.last() == Some(&Claim::Inside) && self.around.len() == 2;
            match Claim::of_payload(name) {
                // `realm_access.roles`, `resource_access.shop.roles`: roles mean the same further in; names do not.
                attribute @ Claim::Attribute(_) if self.around.len() <= 4 => attribute,
                claim @ (Claim::Phone | Claim::Ssn | Claim::Password) => claim,
                // `user: {"id": 1}` beside `user: "alice"`.
                Claim::Subject(4) if name == b"user" && self.around.len() == 1 => Claim::Subject(4),
                claim if self.around.len() == 1 || inside => claim,
                _ => Claim::Other,
            }
        };
    }

    fn scalar(&mut self, kind: Scalar, text: Text<'_>) {
        if kind == Scalar::Null {
            return;
        }
        let mut buffer = std::mem::take(self.text);
        let value = text.decode(&mut buffer);
        if self.said.in_header {
            self.parameter(value);
        } else {
            self.value(kind, value);
        }
        *self.text = buffer;
    }
}

impl Walk<'_> {
    /// A parameter of the header (RFC 7515, 4.1).
    fn parameter(&mut self, value: &[u8]) {
        let said = &mut *self.said;
        match self.claim {
            Claim::Algorithm => {
                let known = said.algorithm.replace(Algorithm::of(value));
                said.weak |= known.map_or(Weak::default(), |_| Weak::TWICE);
            }
            Claim::Type => {
                said.token_type = Some(if value.eq_ignore_ascii_case(b"jwt") {
                    TokenType::Jwt
                } else if value.eq_ignore_ascii_case(b"at+jwt")
                    || value.eq_ignore_ascii_case(b"application/at+jwt")
                {
                    TokenType::Access
                } else {
                    TokenType::Other
                });
            }
            Claim::KeyId => {
                said.has_key_id = true;
                let odd = |byte: &u8| matches!(byte, b'\'' | b'"' | b';' | b'|' | b'`' | b'\\' | 0..=31);
                if value.iter().any(odd) || memchr::memmem::find(value, b"../").is_some() {
                    said.weak |= Weak::ODD_KEY_ID;
                }
            }
            Claim::OwnKey => said.weak |= Weak::OWN_KEY,
            Claim::RemoteKey => said.weak |= Weak::REMOTE_KEY,
            _ => {}
        }
    }

    fn value(&mut self, kind: Scalar, value: &[u8]) {
        self.sensitive(kind, value);
        let said = &mut *self.said;
        match self.claim {
            Claim::Issuer => {
                if !said.issuer.is_empty() {
                    said.weak |= Weak::TWICE;
                }
                said.issuer = SmallVec::from_slice(value);
            }
            Claim::Subject(rank) if kind != Scalar::Bool && !value.is_empty() => self.subject(rank, value),
            Claim::Audience if said.audience.len() < MAX_AUDIENCES => {
                said.audience
                    .push(self.key.hash(Domain::Audience, NOWHERE, Secret::new(value)).now);
            }
            Claim::Client => said.client = SmallVec::from_slice(value),
            Claim::GrantType => said.by_credentials = value == b"client-credentials",
            Claim::Tenant if said.tenant.is_none() && kind != Scalar::Bool => {
                said.tenant = Some(self.key.hash(Domain::Tenant, NOWHERE, Secret::new(value)).now);
                said.tenant_value = Some(self.values.hash(Secret::new(value)));
            }
            Claim::Attribute(AttributeKind::Scope) => {
                // RFC 8693, 4.2: names with spaces between them.
                for scope in value
                    .split(|byte| matches!(byte, b' ' | b','))
                    .filter(|scope| !scope.is_empty())
                {
                    self.attribute(AttributeKind::Scope, scope);
                }
            }
            Claim::Attribute(kind) => self.attribute(kind, value),
            Claim::IsAdmin if value == b"true" || value == b"1" => {
                self.attribute(AttributeKind::Role, b"admin");
            }
            Claim::Issued => said.issued_s = seconds(value),
            Claim::NotBefore => said.not_before_s = seconds(value),
            Claim::Expires => {
                if said.expires_s.is_some() {
                    said.weak |= Weak::TWICE;
                }
                said.expires_s = seconds(value);
            }
            _ => {}
        }
    }

    fn subject(&mut self, rank: u8, value: &[u8]) {
        // A name further in is worse than any at the top.
        let rank = rank + if self.around.len() > 1 { 10 } else { 0 };
        let name = self.values.hash(Secret::new(value));
        if self.said.names.len() < MAX_NAMES && !self.said.names.contains(&name) {
            self.said.names.push(name);
        }
        let known = self.said.subject.as_ref().map(|(known, _)| *known);
        if known == Some(0) && rank == 0 {
            self.said.weak |= Weak::TWICE;
        }
        if known.is_none_or(|known| rank <= known) {
            self.said.subject = Some((rank, SmallVec::from_slice(value)));
        }
    }

    fn attribute(&mut self, kind: AttributeKind, name: &[u8]) {
        let attributes = &mut self.said.attributes;
        if attributes.len() >= MAX_ATTRIBUTES {
            return;
        }
        let scope = [kind as u8];
        let hash = self
            .key
            .hash(Domain::Attribute, Secret::new(&scope), Secret::new(name))
            .now;
        if !attributes.iter().any(|known| known.hash == hash) {
            attributes.push(Attribute {
                kind,
                hash,
                name: Name::new(name),
            });
        }
    }

    fn sensitive(&mut self, kind: Scalar, value: &[u8]) {
        let found = match self.claim {
            Claim::Phone if value.iter().filter(|byte| byte.is_ascii_digit()).count() >= 7 => {
                Sensitive::PHONE
            }
            Claim::Ssn => Sensitive::SSN,
            Claim::Password => Sensitive::PASSWORD,
            _ if kind == Scalar::String && is_email(value) => Sensitive::EMAIL,
            _ if kind == Scalar::String && is_ssn(value) => Sensitive::SSN,
            _ => return,
        };
        self.said.sensitive |= found;
    }
}

/// `local@domain.name`; addresses of services (`x@y.iam.gserviceaccount.com`) are nobody's.
fn is_email(value: &[u8]) -> bool {
    let Some((local, domain)) = memchr::memchr(b'@', value).and_then(|at| value.split_at_checked(at)) else {
        return false;
    };
    !local.is_empty()
        && memchr::memchr(b'.', domain).is_some()
        && !value.iter().any(u8::is_ascii_whitespace)
        && memchr::memchr(b'/', value).is_none()
        && !domain.ends_with(b".gserviceaccount.com")
}

/// `123-45-6789`.
fn is_ssn(value: &[u8]) -> bool {
    value.len() == 11
        && value.iter().enumerate().all(|(at, byte)| match at {
            3 | 6 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// A `NumericDate` (RFC 7519, 2) without its fraction. Some write milliseconds, which no year of ours has as seconds.
fn seconds(value: &[u8]) -> Option<u64> {
    let whole = value.split(|byte| matches!(byte, b'.' | b'e' | b'E')).next()?;
    let number: u64 = std::str::from_utf8(whole).ok()?.parse().ok()?;
    Some(if number > 100_000_000_000 {
        number / 1000
    } else {
        number
    })
}
