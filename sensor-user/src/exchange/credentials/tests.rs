use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::exchange::secret::HashKey;
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

fn desk() -> Desk {
    Desk::new(HashKey::new([7; 32]))
}

fn identified(fields: &[(&str, &str)], target: &str) -> Identified {
    identify(
        &head(fields),
        target.as_bytes(),
        &mut desk(),
        &mut Memo::default(),
    )
}

fn caller_of(fields: &[(&str, &str)], target: &str) -> Caller {
    identified(fields, target).caller
}

/// The hash of the one secret in a request.
fn secret_of(fields: &[(&str, &str)], target: &str) -> KeyedHash {
    let all = identified(fields, target).credentials;
    assert_eq!(all.len(), 1, "{fields:?} {target}");
    all[0].secret.unwrap()
}

/// A token with these parts and signature.
fn token(header: &str, payload: &str, signature: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    format!(
        "{}.{}.{}",
        encode(header.as_bytes()),
        encode(payload.as_bytes()),
        encode(signature)
    )
}

fn claims_at(host: &str, header: &str, payload: &str, signature: &[u8]) -> Arc<Claims> {
    let value = format!("Bearer {}", token(header, payload, signature));
    let all = identified(&[("Host", host), ("Authorization", &value)], "/").credentials;
    Arc::clone(all[0].claims.as_ref().unwrap())
}

fn claims(payload: &str) -> Arc<Claims> {
    claims_at(
        "api.example.com",
        r#"{"alg":"RS256","typ":"JWT"}"#,
        payload,
        b"signature",
    )
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
fn keys_are_known_by_the_names_of_their_fields() {
    for name in [
        "X-API-Key",
        "apikey",
        "api_key",
        "X-Auth-Token",
        "Private-Token",
        "X-Goog-Api-Key",
        "Ocp-Apim-Subscription-Key",
        "DD-API-KEY",
        "X-Shopify-Access-Token",
        "X-Vault-Token",
        "X-Functions-Key",
        "X-Session-Id",
        "X-Authorization",
        "X-Goog-IAP-JWT-Assertion",
        "X-Amzn-Oidc-Data",
        "token",
    ] {
        assert_eq!(scheme(&[(name, "k")]), Some(AuthScheme::ApiKey), "{name}");
    }
    for name in [
        "X-CSRF-Token",
        "X-XSRF-TOKEN",
        "X-Next-Page-Token",
        "Idempotency-Key",
        "Sec-WebSocket-Key",
        "Cache-Key",
        "Surrogate-Key",
        "Connection",
        "X-Request-Id",
    ] {
        assert_eq!(scheme(&[(name, "k")]), None, "{name}");
    }
}

#[test]
fn tokens_of_forms_and_pages_are_no_keys() {
    for name in [
        "X-CSRFToken",
        "X-CSRF-Token",
        "X-XSRF-TOKEN",
        "RequestVerificationToken",
        "__RequestVerificationToken",
        "x-ms-continuationtoken",
        "x-ms-continuation-token",
        "X-Next-Page-Token",
        "nextSyncToken",
        "X-AntiForgeryToken",
        "X-Recaptcha-Token",
        "X-Device-Token",
        "Idempotency-Key",
        "Sec-WebSocket-Key",
    ] {
        assert!(!is_key_name(name.as_bytes()), "{name}");
        // Nor do they rank above the session.
        let both = [(name, "4f9a8c7b6d5e4f3a2b1c"), ("Cookie", "session=s3cr3t")];
        assert_eq!(scheme(&both), Some(AuthScheme::Session), "{name}");
    }
    for name in [
        "X-Auth-Token",
        "x_api_key",
        "X-ApiKey",
        "Private-Token",
        "token",
        "X-Amz-Security-Token",
        "Ocp-Apim-Subscription-Key",
        "x-functions-key",
        "X-Vault-Token",
        "x-goog-iap-jwt-assertion",
    ] {
        assert!(is_key_name(name.as_bytes()), "{name}");
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
    assert_eq!(basic::user(b"dXNlcjpwYXNz").as_slice(), b"user");
    assert_eq!(basic::user(b"not base64!").as_slice(), b"not base64!");
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
    let (mut desk, mut memo) = (desk(), Memo::default());
    let mut of = |value| identify(&head(&[("Authorization", value)]), b"/", &mut desk, &mut memo).caller;
    let (first, other) = (of("Bearer one"), of("Bearer two"));
    assert_ne!(first, other);
    assert_eq!(of("Bearer two"), other);
    assert_eq!(of("Bearer one"), first);
}

#[test]
fn a_token_is_the_same_wherever_it_is() {
    let token = "zX3tG7kQ9vB2nM5p";
    let first = secret_of(&[("Authorization", &format!("Bearer {token}"))], "/");
    for fields in [
        ("Authorization", token.to_owned()),
        ("Authorization", format!("Token {token}")),
        ("X-Api-Key", token.to_owned()),
        ("X-Auth-Token", format!("Bearer {token}")),
        ("Cookie", format!("a=b; session={token}")),
        ("Cookie", format!("whatever={token}")),
    ] {
        assert_eq!(secret_of(&[(fields.0, &fields.1)], "/"), first, "{fields:?}");
    }
    for target in ["/?access_token=", "/?a=b&api_key=", "/?token="] {
        assert_eq!(secret_of(&[], &format!("{target}{token}")), first, "{target}");
    }
}

#[test]
fn every_credential_is_told() {
    let all = identified(
        &[
            ("Authorization", "Bearer zX3tG7kQ9vB2nM5p"),
            ("X-Api-Key", "application"),
            (
                "Cookie",
                "_ga=GA1.2.1234567890.1234567890; sid=abc; theme=dark; x=aaaabbbbccccdddd",
            ),
            ("Cookie", "odd=q8W2e7R4t9Y1u3I5"),
        ],
        "/?access_token=third",
    )
    .credentials;
    let places: Vec<_> = all
        .iter()
        .map(|credential| (credential.placed, credential.sureness))
        .collect();
    let expected = [
        (Placed::Authorization, Sureness::Named),
        (Placed::Header, Sureness::Named),
        (Placed::Cookie, Sureness::Named),
        (Placed::Cookie, Sureness::Possible),
        (Placed::Query, Sureness::Named),
    ];
    assert_eq!(places, expected);
}

#[test]
fn more_credentials_than_the_limit_are_left_out() {
    let many: Vec<String> = (0..100).map(|number| format!("Bearer token{number}")).collect();
    let fields: Vec<_> = many
        .iter()
        .map(|value| ("Authorization", value.as_str()))
        .collect();
    assert_eq!(identified(&fields, "/").credentials.len(), find::MAX_CREDENTIALS);
    let cookies: Vec<String> = (0..100)
        .map(|number| format!("c{number}=q8W2e7R4t9Y1u3I5{number}"))
        .collect();
    assert_eq!(
        identified(&[("Cookie", &cookies.join("; "))], "/")
            .credentials
            .len(),
        4
    );
}

#[test]
fn cookies_that_only_may_be_sessions_name_nobody() {
    let known = identified(&[("Cookie", "odd=q8W2e7R4t9Y1u3I5")], "/");
    assert_eq!((known.caller, known.credentials.len()), (Caller::Anonymous, 1));
}

#[test]
fn a_name_belongs_to_its_service_and_an_address_to_nobody() {
    let user = |host, pair: &str| {
        let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        identified(&[("Host", host), ("Authorization", &value)], "/").credentials[0]
            .user
            .unwrap()
    };
    assert_ne!(user("a.example", "admin:x"), user("b.example", "admin:x"));
    assert_eq!(user("a.example:8443", "admin:x"), user("A.example", "admin:y"));
    assert_eq!(
        user("a.example", "Alice@example.com:x"),
        user("b.example", "alice@example.com:x")
    );
}

#[test]
fn claims_are_read() {
    let read = claims(
        r#"{"iss":"https://issuer.example","sub":"alice","aud":["a","b"],"azp":"web","tid":"t1","iat":1000,"nbf":1000,
            "exp":4600.5,"scope":"orders:read orders:write","realm_access":{"roles":["admin","user"]},
            "https://example.com/groups":["staff"]}"#,
    );
    assert_eq!(
        (read.algorithm, read.token_type, read.whole),
        (Algorithm::Rsa, TokenType::Jwt, true)
    );
    assert_eq!(
        (read.issued_s, read.not_before_s, read.expires_s),
        (Some(1000), Some(1000), Some(4600))
    );
    assert_eq!((read.lifetime_s(), read.audience.len()), (Some(3600), 2));
    assert!(
        read.principal.is_some() && read.issuer.is_some() && read.client.is_some() && read.tenant.is_some()
    );
    assert!(!read.is_service && read.weak.is_empty() && read.sensitive.is_empty());
    let names: Vec<_> = read
        .attributes
        .iter()
        .map(|attribute| (attribute.kind, attribute.name.expose()))
        .collect();
    let expected: [(AttributeKind, &[u8]); 5] = [
        (AttributeKind::Scope, b"orders:read"),
        (AttributeKind::Scope, b"orders:write"),
        (AttributeKind::Role, b"admin"),
        (AttributeKind::Role, b"user"),
        (AttributeKind::Group, b"staff"),
    ];
    assert_eq!(names, expected);
}

#[test]
fn the_subject_is_the_same_whatever_else_a_token_says() {
    let of = |payload| claims(payload).principal.unwrap();
    let first = of(r#"{"iss":"i","sub":"alice","iat":1}"#);
    assert_eq!(
        first,
        of(r#"{"exp":99,"sub":"alice","iss":"i","email":"a@example.com"}"#)
    );
    assert_ne!(first, of(r#"{"iss":"i","sub":"bob"}"#));
    assert_ne!(first, of(r#"{"iss":"j","sub":"alice"}"#));
    assert_eq!(of(r#"{"user_id":17}"#), of(r#"{"data":{"id":"17"}}"#));
    assert_eq!(of(r#"{"email":"a@example.com","id":3}"#), of(r#"{"id":3}"#));
    let at = |host| claims_at(host, r#"{"alg":"HS256"}"#, r#"{"sub":"1"}"#, b"x").principal;
    assert_ne!(at("a.example"), at("b.example"));
    assert!(claims(r#"{"scope":"x"}"#).principal.is_none());
    assert!(claims(r#"{"x":{"sub":"alice"}}"#).principal.is_none());
}

#[test]
fn programs_are_told_from_people() {
    assert!(claims(r#"{"sub":"batch","client_id":"batch"}"#).is_service);
    assert!(claims(r#"{"azp":"batch"}"#).is_service);
    assert!(claims(r#"{"sub":"x@clients","azp":"x","gty":"client-credentials"}"#).is_service);
    assert!(!claims(r#"{"sub":"alice","azp":"web"}"#).is_service);
}

#[test]
fn weaknesses_are_seen() {
    let weak = |header, signature: &[u8]| claims_at("h", header, r#"{"exp":1}"#, signature).weak;
    assert_eq!(weak(r#"{"alg":"none"}"#, b""), Weak::UNSIGNED);
    assert_eq!(weak(r#"{"alg":"NoNe"}"#, b"x"), Weak::UNSIGNED);
    assert_eq!(weak(r#"{"alg":"RS256"}"#, b""), Weak::EMPTY_SIGNATURE);
    assert_eq!(
        weak(r#"{"alg":"RS256","jwk":{"kty":"RSA"}}"#, b"x"),
        Weak::OWN_KEY
    );
    assert_eq!(
        weak(r#"{"alg":"RS256","jku":"https://x"}"#, b"x"),
        Weak::REMOTE_KEY
    );
    assert_eq!(
        weak(r#"{"alg":"HS256","kid":"../../dev/null"}"#, b"x"),
        Weak::ODD_KEY_ID
    );
    assert_eq!(
        weak(r#"{"alg":"RS256","alg":"none"}"#, b"x"),
        Weak::TWICE | Weak::UNSIGNED
    );
    assert_eq!(weak(r#"{"alg":"RS256","kid":"2026-01"}"#, b"x"), Weak::default());
    assert_eq!(claims(r#"{"sub":"a"}"#).weak, Weak::NO_EXPIRY);
}

/// The token that a well-known debugger shows first; `your-256-bit-secret` signs it.
#[test]
fn a_guessable_secret_is_guessed() {
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
    let all = identified(&[("Authorization", &format!("Bearer {token}"))], "/").credentials;
    let read = all[0].claims.as_ref().unwrap();
    assert!(read.tried && read.weak.has(Weak::GUESSABLE));
    let forged = token.replace("SflK", "SflL");
    let all = identified(&[("Authorization", &format!("Bearer {forged}"))], "/").credentials;
    let read = all[0].claims.as_ref().unwrap();
    assert!(read.tried && !read.weak.has(Weak::GUESSABLE));
}

#[test]
fn a_flood_of_tokens_is_not_guessed_at_one_by_one() {
    let mut desk = desk();
    let tried = (0..20_000)
        .filter(|number| {
            let token = token(r#"{"alg":"HS256"}"#, &format!("{{\"sub\":\"{number}\"}}"), b"x");
            let secret = desk.secret(token.as_bytes());
            desk.claims(token.as_bytes(), secret, b"h").unwrap().tried
        })
        .count();
    assert!((2000..5000).contains(&tried), "{tried}");
}

#[test]
fn long_tokens_cost_as_many_trials_as_they_are_longer() {
    let many = |length: usize| {
        let mut desk = desk();
        let filler = "x".repeat(length);
        (0..2000)
            .filter(|number| {
                let payload = format!(r#"{{"sub":"{number}","x":"{filler}"}}"#);
                let token = token(r#"{"alg":"HS256"}"#, &payload, b"x");
                let secret = desk.secret(token.as_bytes());
                desk.claims(token.as_bytes(), secret, b"h").unwrap().tried
            })
            .count()
    };
    let (short, long) = (many(0), many(2900));
    assert!(long * 8 < short && long > 50, "{short} {long}");
}

#[test]
fn sensitive_claims_are_kinds() {
    let kinds = |payload| claims(payload).sensitive;
    assert_eq!(kinds(r#"{"email":"a@example.com"}"#), Sensitive::EMAIL);
    assert_eq!(kinds(r#"{"phone_number":"+1 202 555 0100"}"#), Sensitive::PHONE);
    assert_eq!(kinds(r#"{"user":{"ssn":"078051120"}}"#), Sensitive::SSN);
    assert_eq!(kinds(r#"{"x":"078-05-1120"}"#), Sensitive::SSN);
    assert_eq!(
        kinds(r#"{"data":{"password":"0192023a7bbd73250516f069df18b500"}}"#),
        Sensitive::PASSWORD
    );
    assert_eq!(
        kinds(r#"{"sub":"a","phone_number_verified":true}"#),
        Sensitive::default()
    );
}

#[test]
fn hashes_of_the_key_before_are_recognised() {
    let old = Desk::new(HashKey::new([1; 32]));
    let new = Desk::new(HashKey::rotated([2; 32], [1; 32]));
    let (before, now) = (old.secret(b"token"), new.secret(b"token"));
    assert_ne!(before.now, now.now);
    assert_eq!((before.before, now.before), (None, Some(before.now)));
}

#[test]
fn nothing_prints_a_credential() {
    let all = identified(
        &[
            (
                "Authorization",
                &format!(
                    "Bearer {}",
                    token(r#"{"alg":"none"}"#, r#"{"sub":"planted","role":"planted"}"#, b"")
                ),
            ),
            ("X-Api-Key", "planted"),
        ],
        "/?api_key=planted",
    );
    let text = format!("{all:?} {:?}", &*all.credentials);
    assert!(!text.contains("planted"), "{text}");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(authorization in ".*", cookie in ".*", target in ".*") {
        identified(&[("Authorization", &authorization), ("Cookie", &cookie)], &target);
    }

    #[test]
    fn any_claims_are_survived(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>(), signature in any::<Vec<u8>>()) {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let token = format!("{}.{}.{}", encode(&header), encode(&payload), encode(&signature));
        let mut desk = desk();
        let secret = desk.secret(token.as_bytes());
        prop_assert!(desk.claims(token.as_bytes(), secret, b"h").is_some());
    }

    #[test]
    fn the_memo_changes_nothing(values in prop::collection::vec("(Bearer |Basic |)[a-c]{0,3}", 1..20)) {
        let (mut desk, mut memo) = (desk(), Memo::default());
        for value in values {
            let head = head(&[("Authorization", &value)]);
            let remembered = identify(&head, b"/", &mut desk, &mut memo);
            let fresh = identify(&head, b"/", &mut desk, &mut Memo::default());
            prop_assert_eq!(remembered.caller, fresh.caller);
            prop_assert_eq!(remembered.credentials, fresh.credentials);
        }
    }
}
