//! Who called, as far as a request's head says.
//!
//! Takes a head. Gives the kind of credential and its keyed hash. Never gives the credential on; a connection keeps
//! its last one, in memory and for as long as it lives, to recognise it without hashing it anew. Bounded by
//! [`MEMO_BYTES`] per connection.

use smallvec::SmallVec;

use super::secret::HashKey;
use super::{AuthScheme, Caller, CallerHash, Head, Request, Secret};

/// Longest credential that a connection remembers. Longer ones are hashed each time; servers commonly refuse header
/// fields beyond 8 KiB, and tokens beyond half of that are rare.
const MEMO_BYTES: usize = 4096;

/// Header fields that carry an API key or token, in lower case.
const KEY_FIELDS: &[&str] = &[
    "apikey",
    "api-key",
    "x-apikey",
    "x-api-key",
    "x-api-token",
    "x-auth-token",
    "private-token",
    "x-access-token",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
];

/// Query parameters that carry one.
const KEY_PARAMETERS: &[&str] = &["api_key", "apikey", "api-key", "access_token", "auth_token"];

/// Cookies that common frameworks keep their session in, in lower case.
const SESSION_COOKIES: &[&str] = &[
    "sid",
    "session",
    "sessid",
    "session_id",
    "auth_token",
    "access_token",
    "connect.sid",
    "next-auth.session-token",
    "__secure-next-auth.session-token",
];

/// Ends of names that mark a session cookie: `PHPSESSID`, `JSESSIONID`, `ASP.NET_SessionId`, `laravel_session`.
const SESSION_ENDINGS: &[&str] = &["sessid", "sessionid", "_session"];

/// The last credential of a connection: on keep-alive most requests carry the same.
#[derive(Default)]
pub(super) struct Memo {
    credential: Vec<u8>,
    known: Option<(AuthScheme, CallerHash)>,
}

impl std::fmt::Debug for Memo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[memo withheld]")
    }
}

/// Which fields of a head are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fields {
    All,
    Some,
}

/// Names the caller of a request. Credentials may stand in a field that is not known.
pub(super) fn of(request: &Request, known: Fields, key: &HashKey, memo: &mut Memo) -> Caller {
    let target = request.target.of(&request.head.raw);
    match identify(&request.head, target, key, memo) {
        Caller::Anonymous if known == Fields::Some => Caller::Unseen,
        caller => caller,
    }
}

/// Names the caller of a request whose head was seen whole.
fn identify(head: &Head, target: &[u8], key: &HashKey, memo: &mut Memo) -> Caller {
    let Some((scheme, credential)) = credential(head, target) else {
        return Caller::Anonymous;
    };
    if let Some((known, hash)) = memo.known
        && known == scheme
        && memo.credential == credential
    {
        return Caller::Known { scheme, hash };
    }
    let hash = hash(scheme, credential, key);
    if credential.len() <= MEMO_BYTES {
        memo.credential.clear();
        memo.credential.extend_from_slice(credential);
        memo.known = Some((scheme, hash));
    }
    Caller::Known { scheme, hash }
}

/// The strongest credential: `Authorization`, then keys in the head, sessions, and keys in the query.
fn credential<'a>(head: &'a Head, target: &'a [u8]) -> Option<(AuthScheme, &'a [u8])> {
    let (mut key, mut session) = (None, None);
    for (name, value) in head.fields() {
        let value = value.expose();
        match name.len() {
            13 if name.eq_ignore_ascii_case(b"authorization") => {
                if let Some(found) = authorization(value) {
                    return Some(found);
                }
            }
            6 if name.eq_ignore_ascii_case(b"cookie") => session = session.or_else(|| session_cookie(value)),
            len if key.is_none() && !value.is_empty() && may_be_key(len) && is_one_of(name, KEY_FIELDS) => {
                key = Some((AuthScheme::ApiKey, value));
            }
            _ => {}
        }
    }
    key.or(session).or_else(|| key_parameter(target))
}

/// Whether any of [`KEY_FIELDS`] is that long.
const fn may_be_key(len: usize) -> bool {
    matches!(len, 6..=9 | 11..=14 | 25)
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// `scheme SP credentials` (RFC 9110, 11.4). Without credentials there is no caller.
fn authorization(value: &[u8]) -> Option<(AuthScheme, &[u8])> {
    let (scheme, rest) = split_at_byte(value, b' ');
    let rest = rest.trim_ascii();
    if rest.is_empty() {
        // Some send the bare token.
        return (!scheme.is_empty() && rest.len() == value.len().saturating_sub(scheme.len()))
            .then_some((AuthScheme::Other, value));
    }
    if scheme.eq_ignore_ascii_case(b"bearer") {
        let scheme = if is_jwt(rest) {
            AuthScheme::Jwt
        } else {
            AuthScheme::Bearer
        };
        return Some((scheme, rest));
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        return Some((AuthScheme::Basic, rest));
    }
    Some((AuthScheme::Other, principal(rest).unwrap_or(value)))
}

/// Three parts of which the first is a JSON object in base64url: `eyJ` is `{"` (RFC 7519, 3).
fn is_jwt(token: &[u8]) -> bool {
    token.starts_with(b"eyJ") && memchr::memchr_iter(b'.', token).count() == 2
}

/// The parameter that names the caller where the rest changes with each request: `Credential=` of AWS signatures,
/// `username=` of Digest (RFC 7616, 3.4).
fn principal(parameters: &[u8]) -> Option<&[u8]> {
    parameters.split(|byte| *byte == b',').find_map(|parameter| {
        let (name, value) = split_at_byte(parameter.trim_ascii(), b'=');
        if name.eq_ignore_ascii_case(b"credential") {
            // `key id/date/region/...`: only the key id stays the same.
            return Some(split_at_byte(value, b'/').0);
        }
        name.eq_ignore_ascii_case(b"username").then_some(value)
    })
}

fn session_cookie(cookies: &[u8]) -> Option<(AuthScheme, &[u8])> {
    cookies.split(|byte| *byte == b';').find_map(|cookie| {
        let (name, value) = split_at_byte(cookie.trim_ascii(), b'=');
        let usual =
            is_one_of(name, SESSION_COOKIES) || SESSION_ENDINGS.iter().any(|ending| ends_with(name, ending));
        (usual && !value.is_empty()).then_some((AuthScheme::Session, value))
    })
}

fn ends_with(name: &[u8], ending: &str) -> bool {
    let start = name.len().checked_sub(ending.len());
    start
        .and_then(|start| name.get(start..))
        .is_some_and(|end| end.eq_ignore_ascii_case(ending.as_bytes()))
}

fn key_parameter(target: &[u8]) -> Option<(AuthScheme, &[u8])> {
    let query = target.get(memchr::memchr(b'?', target)? + 1..)?;
    query.split(|byte| *byte == b'&').find_map(|parameter| {
        let (name, value) = split_at_byte(parameter, b'=');
        (!value.is_empty() && is_one_of(name, KEY_PARAMETERS)).then_some((AuthScheme::ApiKey, value))
    })
}

/// What is before and after the first `byte`.
fn split_at_byte(value: &[u8], byte: u8) -> (&[u8], &[u8]) {
    let at = memchr::memchr(byte, value).unwrap_or(value.len());
    let (before, after) = value.split_at_checked(at).unwrap_or((value, &[]));
    (before, after.get(1..).unwrap_or_default())
}

fn hash(scheme: AuthScheme, credential: &[u8], key: &HashKey) -> CallerHash {
    let domain = scheme as u8;
    if scheme == AuthScheme::Basic {
        // The password may change or be mistyped; the user stays the same.
        let user = basic_user(credential);
        return key.hash(domain, Secret::new(&user));
    }
    key.hash(domain, Secret::new(credential))
}

/// The decoded bytes before the first colon (RFC 7617, 2); of what is no base64, the bytes themselves.
fn basic_user(encoded: &[u8]) -> SmallVec<[u8; 64]> {
    let mut user = SmallVec::new();
    let (mut bits, mut held) = (0_u32, 0_u8);
    for byte in encoded.iter().take_while(|byte| **byte != b'=') {
        let Some(sextet) = sextet(*byte) else {
            return SmallVec::from_slice(encoded);
        };
        bits = (bits << 6 | u32::from(sextet)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., decoded] = (bits >> held).to_be_bytes();
            if decoded == b':' {
                return user;
            }
            user.push(decoded);
        }
    }
    user
}

/// Value of a base64 digit, of either alphabet (RFC 4648, 4 and 5).
const fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
