use bytes::Bytes;

use super::*;
use crate::protocol::Span;

const JWT: &str = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.";

fn head(fields: &[(&str, &str)]) -> Head {
    let mut raw = Vec::new();
    let mut span = |text: &str| {
        let start = u32::try_from(raw.len()).unwrap();
        raw.extend_from_slice(text.as_bytes());
        Span {
            start,
            len: u32::try_from(text.len()).unwrap(),
        }
    };
    let headers = fields
        .iter()
        .map(|(name, value)| (span(name), span(value)))
        .collect();
    Head {
        raw: Bytes::from(raw),
        headers,
    }
}

fn caller_of(fields: &[(&str, &str)], target: &str) -> Caller {
    let key = HashKey::new([7; 32]);
    identify(&head(fields), target.as_bytes(), &key, &mut Memo::default())
}

fn scheme(fields: &[(&str, &str)]) -> Option<AuthScheme> {
    match caller_of(fields, "/") {
        Caller::Known { scheme, .. } => Some(scheme),
        Caller::Anonymous | Caller::Unseen => None,
    }
}

#[test]
fn credentials_are_told_by_kind() {
    for (name, value, expected) in [
        ("Authorization", JWT, Some(AuthScheme::Jwt)),
        ("authorization", "bearer 0123456789", Some(AuthScheme::Bearer)),
        (
            "Authorization",
            "Bearer eyJ.only.two.dots",
            Some(AuthScheme::Bearer),
        ),
        ("Authorization", "Basic dXNlcjpwYXNz", Some(AuthScheme::Basic)),
        (
            "Authorization",
            "Digest username=\"a\", response=\"b\"",
            Some(AuthScheme::Other),
        ),
        ("Authorization", "0123456789abcdef", Some(AuthScheme::Other)),
        ("Authorization", "Bearer ", None),
        ("Authorization", "", None),
        ("X-API-Key", "k", Some(AuthScheme::ApiKey)),
        ("apikey", "k", Some(AuthScheme::ApiKey)),
        ("x-api-key", "", None),
        ("Cookie", "theme=dark; PHPSESSID=abc", Some(AuthScheme::Session)),
        ("Cookie", "connect.sid=abc", Some(AuthScheme::Session)),
        ("Cookie", "session=", None),
        ("Cookie", "theme=dark; inside=1", None),
        ("Accept", "*/*", None),
    ] {
        assert_eq!(scheme(&[(name, value)]), expected, "{name}: {value}");
    }
}

#[test]
fn every_key_field_is_looked_for() {
    for name in KEY_FIELDS {
        assert!(may_be_key(name.len()), "{name}");
        assert_eq!(scheme(&[(name, "k")]), Some(AuthScheme::ApiKey), "{name}");
    }
}

#[test]
fn the_strongest_credential_names_the_caller() {
    let all = [
        ("Cookie", "sid=1"),
        ("X-Api-Key", "k"),
        ("Authorization", "Bearer t"),
    ];
    assert_eq!(scheme(&all), Some(AuthScheme::Bearer));
    assert_eq!(scheme(&all[..2]), Some(AuthScheme::ApiKey));
    assert_eq!(scheme(&all[..1]), Some(AuthScheme::Session));
}

#[test]
fn a_key_in_the_query_is_a_key() {
    let known = caller_of(&[], "/a?x=1&api_key=abc");
    assert!(matches!(
        known,
        Caller::Known {
            scheme: AuthScheme::ApiKey,
            ..
        }
    ));
    assert_eq!(known, caller_of(&[("x-api-key", "abc")], "/"));
    assert_eq!(caller_of(&[], "/api_key=abc"), Caller::Anonymous);
}

#[test]
fn a_user_stays_the_same_whatever_the_password() {
    let basic = |value| caller_of(&[("Authorization", value)], "/");
    assert_eq!(basic("Basic dXNlcjpwYXNz"), basic("Basic dXNlcjpvdGhlcg=="));
    assert_ne!(basic("Basic dXNlcjpwYXNz"), basic("Basic dXNlcnM6cGFzcw=="));
    assert_eq!(basic_user(b"dXNlcjpwYXNz").as_slice(), b"user");
    assert_eq!(basic_user(b"not base64!").as_slice(), b"not base64!");
}

#[test]
fn what_changes_with_each_request_names_nobody() {
    let signed = |value| caller_of(&[("Authorization", value)], "/");
    assert_eq!(
        signed("AWS4-HMAC-SHA256 Credential=AK/20260101/r/s/aws4_request, SignedHeaders=host, Signature=1"),
        signed("AWS4-HMAC-SHA256 Credential=AK/20260102/r/s/aws4_request, SignedHeaders=host, Signature=2"),
    );
    assert_eq!(
        signed("Digest username=\"a\", nc=1"),
        signed("Digest username=\"a\", nc=2")
    );
}

#[test]
fn a_remembered_credential_gives_the_same_hash() {
    let (key, mut memo) = (HashKey::new([7; 32]), Memo::default());
    let mut of = |value| identify(&head(&[("Authorization", value)]), b"/", &key, &mut memo);
    let (first, other) = (of("Bearer one"), of("Bearer two"));
    assert_ne!(first, other);
    assert_eq!(of("Bearer two"), other);
    assert_eq!(of("Bearer one"), first);
    // The same bytes as another kind of credential are another caller.
    assert_ne!(
        identify(&head(&[("x-api-key", "one")]), b"/", &key, &mut memo),
        first
    );
}
