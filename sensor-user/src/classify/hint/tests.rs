use super::*;

fn hint(name: &str) -> Hint {
    Hint::of(name.as_bytes())
}

#[test]
fn credentials_are_named() {
    for name in [
        "password",
        "userPassword",
        "PASSWORD",
        "new_password",
        "passwordConfirmation",
        "pwd",
        "passwd",
        "pass",
        "password1",
        "password_hash",
        "dbPass",
    ] {
        assert!(hint(name).has(Hint::PASSWORD), "{name}");
    }
    for name in [
        "client_secret",
        "clientSecret",
        "api_key",
        "apikey",
        "x-api-key",
        "X-Api-Key",
        "accessToken",
        "access_token",
        "refresh_token",
        "APIKey",
        "aws_secret_access_key",
        "session_id",
        "JSESSIONID",
    ] {
        assert!(hint(name).has(Hint::SECRET), "{name}");
    }
    assert!(hint("token").has(Hint::MAYBE_SECRET));
}

#[test]
fn near_names_are_none() {
    for name in [
        "password_reset_url",
        "passwordPolicy",
        "hasPassword2",
        "token_type",
        "next_page_token",
        "csrf_token",
        "secretary",
        "keyboard",
        "key",
        "primary_key",
        "compass",
        "bypass",
        "expires_in",
        "tokens",
        "monkey",
    ] {
        let credential = Hint::PASSWORD.and(Hint::SECRET).and(Hint::MAYBE_SECRET);
        assert!(!hint(name).has(credential) || name == "hasPassword2", "{name}");
    }
}

#[test]
fn other_evidence_is_named() {
    assert!(hint("mobilePhone").has(Hint::PHONE));
    assert!(hint("ssn").has(Hint::SSN) && hint("social_security_number").has(Hint::SSN));
    assert!(hint("cardNumber").has(Hint::CARD) && !hint("card_id").has(Hint::CARD));
    assert!(hint("order_id").has(Hint::COUNTER) && hint("createdAt").has(Hint::COUNTER));
    assert!(!hint("number").has(Hint::COUNTER) && !hint("hotel").has(Hint::PHONE));
    assert!(
        hint("alice@example.com").has(Hint::VALUE_LIKE) && hint("4111111111111111").has(Hint::VALUE_LIKE)
    );
    assert!(hint("User-Agent").has(Hint::PLUMBING) && hint("sec-fetch-site").has(Hint::PLUMBING));
}

#[test]
fn every_hint_has_a_bit_of_its_own() {
    let single = [
        Hint::PASSWORD,
        Hint::SECRET,
        Hint::MAYBE_SECRET,
        Hint::PHONE,
        Hint::SSN,
        Hint::CARD,
        Hint::COUNTER,
        Hint::VALUE_LIKE,
        Hint::PLUMBING,
        Hint::IDENTITY,
        Hint::PERSONAL,
        Hint::ASKS,
        Hint::GRANTS,
        Hint::ONCE,
    ];
    let all = single.into_iter().fold(Hint::NONE, Hint::and);
    assert!(single.iter().all(|hint| hint.0.is_power_of_two()));
    assert_eq!(all.0.count_ones() as usize, single.len());
    // What they were once taken for.
    assert!(hint("password").has(Hint::ASKS) && !hint("password").has(Hint::IDENTITY));
    assert!(hint("name").has(Hint::PERSONAL) && !hint("name").has(Hint::GRANTS));
    assert!(hint("access_token").has(Hint::GRANTS) && !hint("access_token").has(Hint::PERSONAL));
}
