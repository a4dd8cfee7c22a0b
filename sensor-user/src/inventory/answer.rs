//! What an answer says about whether the endpoint exists.
//!
//! Takes an exchange. Gives an [`Answer`]. Holds no state. The reasons are in `docs/decisions/templates.md`.

use crate::exchange::{Exchange, Response, Secret};

/// What an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Something is there: it may become an endpoint.
    Exists,
    /// It may be there: gateways answer so whatever was asked. Counts where the endpoint is known.
    Withheld(Withheld),
    /// It is not there. At a known endpoint an object of it is not.
    Missing,
    /// Nothing was seen.
    Unseen,
}

/// Why an answer says nothing about existence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Withheld {
    /// 401, 403, 407, 429: asked before the path is looked at.
    Refused,
    /// To a login, to the same path elsewhere, or home.
    Redirected,
    /// The method or the server is at fault.
    Other,
}

impl Answer {
    pub(super) fn of(exchange: &Exchange) -> Self {
        let Some(response) = exchange.outcome.response() else {
            return Self::Unseen;
        };
        match response.status {
            400 if !is_valid(exchange) => Self::Withheld(Withheld::Other),
            // Switching protocols is a success of its own; from 400 on, what was sent was read by something that knows
            // what it wants.
            101 | 200..=299 | 304 | 400 | 402 | 406 | 409 | 410..=413 | 415..=417 | 422..=428 | 451 | 500 => {
                Self::Exists
            }
            300..=399 => Self::of_redirect(exchange, response),
            401 | 403 | 407 | 429 => Self::Withheld(Withheld::Refused),
            404 => Self::Missing,
            // 405 says that another method is there; 408, 414, 421, 431 and 5xx come from servers and gateways
            // themselves.
            _ => Self::Withheld(Withheld::Other),
        }
    }

    /// Where it leads says what it means.
    fn of_redirect(exchange: &Exchange, response: &Response) -> Self {
        let location = response.head.header("location").map(Secret::expose);
        let Some(location) = location else {
            return Self::Exists;
        };
        let to = path(location);
        let from = path(exchange.request.target().expose());
        let is_login = LOGINS.iter().any(|login| contains(to, login));
        if is_login || to == from || to.is_empty() {
            return Self::Withheld(Withheld::Redirected);
        }
        Self::Exists
    }
}

/// Whether the fields of the request are such as HTTP has (RFC 9110, 5.5). Others are refused by the server itself, before
/// anything looks at the path.
fn is_valid(exchange: &Exchange) -> bool {
    let odd = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    let mut values = exchange.request.head.fields().map(|(_, value)| value);
    !values.any(|value| value.expose().iter().any(odd))
}

/// Words of places where one logs in.
const LOGINS: [&[u8]; 8] = [
    b"login", b"signin", b"sign-in", b"sign_in", b"sso", b"oauth", b"auth/", b"saml",
];

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word))
}

/// The path within a target: origin form, absolute form, `*` or an authority (RFC 9112, 3.2). Without its first `/`.
pub(super) fn path(target: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
    let path = target.get(..end).unwrap_or_default();
    if let Some(path) = path.strip_prefix(b"/") {
        return path;
    }
    let after_scheme = memchr::memmem::find(path, b"://").and_then(|at| path.get(at + 3..));
    match after_scheme {
        Some(rest) => match memchr::memchr(b'/', rest) {
            Some(at) => rest.get(at + 1..).unwrap_or_default(),
            None => b"",
        },
        None => path,
    }
}

/// An attack is no route, whatever the server answers with an error: control characters, backslashes, ways up.
pub(super) fn is_plain(path: &[u8]) -> bool {
    let odd =
        |byte: &u8| byte.is_ascii_control() || matches!(byte, b'\\' | b'<' | b'>' | b'"' | b'`' | b'\'');
    !path.iter().any(odd)
        && !path.split(|byte| *byte == b'/').any(|step| step == b"..")
        && memchr::memchr(0, path).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::test_support::Builder;

    fn answer(status: u16, location: Option<&str>) -> Answer {
        let builder = Builder::get("/users/1?x").status(status);
        let builder = match location {
            Some(location) => builder.response_field("Location", location),
            None => builder,
        };
        Answer::of(&builder.build())
    }

    #[test]
    fn statuses_say_whether_it_exists() {
        for status in [101, 200, 201, 204, 206, 304, 400, 409, 415, 422, 500] {
            assert_eq!(answer(status, None), Answer::Exists, "{status}");
        }
        for status in [401, 403, 429] {
            assert_eq!(
                answer(status, None),
                Answer::Withheld(Withheld::Refused),
                "{status}"
            );
        }
        for status in [405, 408, 414, 501, 502, 503, 504] {
            assert_eq!(
                answer(status, None),
                Answer::Withheld(Withheld::Other),
                "{status}"
            );
        }
        assert_eq!(answer(404, None), Answer::Missing);
        assert_eq!(
            Answer::of(&Builder::get("/").unanswered().build()),
            Answer::Unseen
        );
    }

    #[test]
    fn a_server_refuses_invalid_fields_itself() {
        let probed = |value: &str| {
            let builder = Builder::get("/").field("X-Probe", value).status(400);
            Answer::of(&builder.build())
        };
        assert_eq!(probed("\0"), Answer::Withheld(Withheld::Other));
        assert_eq!(probed("a\tb"), Answer::Exists);
    }

    #[test]
    fn redirects_say_it_by_where_they_lead() {
        for to in [
            "/login?next=/users/1",
            "https://sso.example.com/auth/x",
            "https://api.example.com/users/1",
            "/",
        ] {
            assert_eq!(
                answer(302, Some(to)),
                Answer::Withheld(Withheld::Redirected),
                "{to}"
            );
        }
        assert_eq!(answer(303, Some("/orders/7")), Answer::Exists);
    }
}
