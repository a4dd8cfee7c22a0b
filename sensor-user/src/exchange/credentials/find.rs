//! Where credentials are in a request's head.
//!
//! Takes a head and a target. Gives every credential as it stands there. Never copies one. Bounded by
//! [`MAX_CREDENTIALS`].

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Placed, Sureness, is_jwt, looks_random};
use crate::exchange::{AuthScheme, Head};
use crate::protocol::form::{self, Plus};

/// Credentials of one request that are told apart: a user's, an application's, a gateway's and some cookies.
pub(super) const MAX_CREDENTIALS: usize = 8;
/// Of those, at most so many that only may be one: pages set dozens of cookies.
const MAX_POSSIBLE: usize = 4;

/// Header fields that carry an API key or token, in lower case, whose name does not end as one.
const KEY_FIELDS: &[&str] = &[
    "x-auth",
    "x-session-id",
    "x-authorization",
    "x-jwt-assertion",
    "x-amzn-oidc-data",
    "x-goog-iap-jwt-assertion",
    "cf-access-jwt-assertion",
];

/// Ends of the names of such fields, without separators: `X-API-Key`, `apikey`, `X-Auth-Token`, `Private-Token`,
/// `Ocp-Apim-Subscription-Key`.
const KEY_ENDINGS: &[&str] = &[
    "apikey",
    "accesskey",
    "authkey",
    "subscriptionkey",
    "functionskey",
    "token",
];

/// What is before `token` where the value is no credential, without separators: sent back in the open (pages, places in
/// a feed), of forms (Django, Angular, ASP.NET), of one message, or of a device.
const NO_TOKENS: &[&str] = &[
    "csrf",
    "xsrf",
    "antiforgery",
    "verification",
    "captcha",
    "page",
    "continuation",
    "next",
    "previous",
    "prev",
    "cursor",
    "sync",
    "delta",
    "skip",
    "resume",
    "idempotency",
    "device",
    "push",
    "cancel",
    "upload",
];

/// Bytes of a name that are looked at, from its end: the longest ending and what is before it.
const MAX_FIELD: usize = 48;

/// Query parameters that carry one.
const KEY_PARAMETERS: &[&str] = &[
    "api_key",
    "apikey",
    "api-key",
    "access_token",
    "auth_token",
    "api_token",
    "id_token",
    "jwt",
    "sessionid",
    "session_id",
    "sid",
];

/// Query parameters that may: `key` of maps is one, `token` of a page is none.
const MAYBE_PARAMETERS: &[&str] = &["token", "key", "auth", "session"];

/// Cookies that common frameworks keep their session in, in lower case.
const SESSION_COOKIES: &[&str] = &[
    "sid",
    "session",
    "sessid",
    "session_id",
    "auth",
    "jwt",
    "token",
    "auth_token",
    "access_token",
    "id_token",
    "connect.sid",
    "next-auth.session-token",
    "__secure-next-auth.session-token",
    ".aspnetcore.cookies",
    ".aspxauth",
    "__session",
];

/// Ends of names that mark a session cookie: `PHPSESSID`, `JSESSIONID`, `ASP.NET_SessionId`, `laravel_session`.
const SESSION_ENDINGS: &[&str] = &[
    "sessid",
    "sessionid",
    "_session",
    "session-token",
    "session_token",
];

/// Beginnings of cookies that are no session: analytics, consent, protection of forms, load balancers.
const NO_SESSIONS: &[&str] = &[
    "_ga",
    "_gid",
    "_gcl",
    "_fbp",
    "_hj",
    "amplitude",
    "ajs_",
    "mp_",
    "optimizely",
    "csrf",
    "xsrf",
    "_csrf",
    "__cf",
    "cf_",
    "awsalb",
    "__requestverification",
    ".aspnetcore.antiforgery",
    "bigip",
    "route",
    "serverid",
    "lb",
    "intercom",
    "_pk_",
    "cookie",
    "consent",
    "locale",
    "theme",
];

/// How a credential was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Identifier {
    pub(super) scheme: AuthScheme,
    pub(super) placed: Placed,
    pub(super) sureness: Sureness,
}

/// A credential as it stands in the head.
pub(super) struct Found<'a> {
    pub(super) identifier: Identifier,
    pub(super) value: &'a [u8],
}

/// What was found so far.
#[derive(Default)]
struct Finder<'a> {
    list: SmallVec<[Found<'a>; 4]>,
    possible: usize,
}

impl<'a> Finder<'a> {
    fn add(&mut self, scheme: AuthScheme, placed: Placed, sureness: Sureness, value: &'a [u8]) {
        let same = |found: &Found<'_>| found.identifier.placed == placed && found.value == value;
        let full = self.list.len() >= MAX_CREDENTIALS
            || (sureness == Sureness::Possible && self.possible >= MAX_POSSIBLE);
        if value.is_empty() || full || self.list.iter().any(same) {
            return;
        }
        self.possible += usize::from(sureness == Sureness::Possible);
        let identifier = Identifier {
            // A JSON Web Token says what it is, wherever it is.
            scheme: if is_jwt(value) { AuthScheme::Jwt } else { scheme },
            placed,
            sureness,
        };
        self.list.push(Found { identifier, value });
    }
}

/// The service that is called, and every credential in the order they stand there.
pub(super) fn all<'a>(head: &'a Head, target: &'a [u8]) -> (&'a [u8], SmallVec<[Found<'a>; 4]>) {
    let mut finder = Finder::default();
    let mut scope: &[u8] = &[];
    for (name, value) in head.fields() {
        let value = value.expose();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => scope = value,
            13 if name.eq_ignore_ascii_case(b"authorization") => {
                if let Some((scheme, credential)) = authorization(value) {
                    finder.add(scheme, Placed::Authorization, Sureness::Named, credential);
                }
            }
            6 if name.eq_ignore_ascii_case(b"cookie") => cookies(value, &mut finder),
            _ if is_key_name(name) => {
                finder.add(AuthScheme::ApiKey, Placed::Header, Sureness::Named, bare(value));
            }
            _ => {}
        }
    }
    parameters(target, &mut finder);
    (scope, finder.list)
}

/// Whether a header field, or a parameter of that name, carries an API key or token.
pub fn is_key_name(name: &[u8]) -> bool {
    // The last letters rule out nearly every field that others use.
    if ends_with(name, "key") || ends_with(name, "token") {
        let mut plain: SmallVec<[u8; MAX_FIELD]> = name
            .iter()
            .rev()
            .filter(|byte| !matches!(byte, b'-' | b'_' | b'.'))
            .take(MAX_FIELD)
            .map(u8::to_ascii_lowercase)
            .collect();
        plain.reverse();
        let front = KEY_ENDINGS
            .iter()
            .find_map(|ending| plain.strip_suffix(ending.as_bytes()));
        return front.is_some_and(|front| !NO_TOKENS.iter().any(|no| front.ends_with(no.as_bytes())));
    }
    match name.last().map(u8::to_ascii_lowercase) {
        Some(b'h' | b'd' | b'n' | b'a') => is_one_of(name, KEY_FIELDS),
        _ => false,
    }
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Without `Bearer` in front.
pub(super) fn bare(value: &[u8]) -> &[u8] {
    let (scheme, rest) = split_at_byte(value, b' ');
    if scheme.eq_ignore_ascii_case(b"bearer") {
        rest.trim_ascii()
    } else {
        value
    }
}

/// `scheme SP credentials` (RFC 9110, 11.4). Without credentials there is no caller.
fn authorization(value: &[u8]) -> Option<(AuthScheme, &[u8])> {
    let (scheme, rest) = split_at_byte(value, b' ');
    let rest = rest.trim_ascii();
    if rest.is_empty() {
        // Some send the bare token.
        return (!scheme.is_empty() && value.len() == scheme.len()).then_some((AuthScheme::Other, value));
    }
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some((AuthScheme::Bearer, rest));
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        return Some((AuthScheme::Basic, rest));
    }
    Some((AuthScheme::Other, rest))
}

/// The user of Digest (RFC 7616, 3.4), where the rest changes with each request.
pub(super) fn digest_user(parameters: &[u8]) -> Option<&[u8]> {
    parameter(parameters, b"username")
        .map(|user| user.trim_ascii().trim_ascii_end())
        .map(unquoted)
}

/// The key that requests are signed with: `Credential=` of AWS signatures.
pub(super) fn signing_key(parameters: &[u8]) -> Option<&[u8]> {
    // `key id/date/region/...`: only the key id stays the same.
    parameter(parameters, b"credential").map(|value| split_at_byte(value, b'/').0)
}

fn parameter<'a>(parameters: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    parameters.split(|byte| *byte == b',').find_map(|parameter| {
        let (name, value) = split_at_byte(parameter.trim_ascii(), b'=');
        name.eq_ignore_ascii_case(wanted).then_some(value)
    })
}

fn unquoted(value: &[u8]) -> &[u8] {
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    inner.unwrap_or(value)
}

fn cookies<'a>(field: &'a [u8], finder: &mut Finder<'a>) {
    for (name, value) in form::cookies(field) {
        if let Some(sureness) = session(name, value) {
            finder.add(AuthScheme::Session, Placed::Cookie, sureness, value);
        }
    }
}

/// Whether a cookie is a session, or may be one.
pub(super) fn session(name: &[u8], value: &[u8]) -> Option<Sureness> {
    let plain = name
        .strip_prefix(b"__Host-")
        .or_else(|| name.strip_prefix(b"__Secure-"))
        .unwrap_or(name);
    let usual = |name| {
        is_one_of(name, SESSION_COOKIES) || SESSION_ENDINGS.iter().any(|ending| ends_with(name, ending))
    };
    if value.is_empty() {
        return None;
    }
    if usual(name) || usual(plain) {
        return Some(Sureness::Named);
    }
    let never = NO_SESSIONS.iter().any(|front| {
        plain
            .get(..front.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(front.as_bytes()))
    });
    (!never && looks_random(value)).then_some(Sureness::Possible)
}

fn ends_with(name: &[u8], ending: &str) -> bool {
    let start = name.len().checked_sub(ending.len());
    start
        .and_then(|start| name.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(ending.as_bytes()))
}

fn parameters<'a>(target: &'a [u8], finder: &mut Finder<'a>) {
    let Some(query) = memchr::memchr(b'?', target).and_then(|at| target.get(at + 1..)) else {
        return;
    };
    for (name, value) in form::pairs(query) {
        if is_one_of(name, KEY_PARAMETERS) {
            finder.add(AuthScheme::ApiKey, Placed::Query, Sureness::Named, value);
        } else if is_one_of(name, MAYBE_PARAMETERS) && (is_jwt(value) || looks_random(value)) {
            let sureness = if is_jwt(value) {
                Sureness::Named
            } else {
                Sureness::Possible
            };
            finder.add(AuthScheme::ApiKey, Placed::Query, sureness, value);
        } else if name.eq_ignore_ascii_case(b"x-amz-credential") {
            // A link signed in advance: who signed it.
            let key = value
                .split(|byte| matches!(byte, b'/' | b'%'))
                .next()
                .unwrap_or(value);
            finder.add(AuthScheme::Other, Placed::Query, Sureness::Named, key);
        }
    }
}

/// A parameter without percent-encoding.
pub(super) fn undone(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'%', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut scratch = Vec::new();
    Cow::Owned(form::decode(value, Plus::Literal, &mut scratch).to_vec())
}

/// What is before and after the first `byte`.
fn split_at_byte(value: &[u8], byte: u8) -> (&[u8], &[u8]) {
    let at = memchr::memchr(byte, value).unwrap_or(value.len());
    let (before, after) = value.split_at_checked(at).unwrap_or((value, &[]));
    (before, after.get(1..).unwrap_or_default())
}
