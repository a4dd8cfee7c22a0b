use super::*;

fn scan(name: &str, text: &str) -> Vec<(DataKind, u8, String)> {
    scan_as(name, text, false)
}

fn scan_as(name: &str, text: &str, is_number: bool) -> Vec<(DataKind, u8, String)> {
    let mut hits = Vec::new();
    let value = Value {
        bytes: text.as_bytes(),
        classes: Classes::of(text.as_bytes()),
        hint: Hint::of(name.as_bytes()),
        is_number,
    };
    Scanner::new().scan(value, &mut hits);
    hits.into_iter()
        .map(|hit| {
            let found = text[hit.start..hit.start + hit.len].to_owned();
            (hit.kind, hit.confidence.0, found)
        })
        .collect()
}

fn kinds(name: &str, text: &str) -> Vec<DataKind> {
    scan(name, text).into_iter().map(|hit| hit.0).collect()
}

#[test]
fn the_prefix_table_builds() {
    assert!(Scanner::new().prefixes.is_some());
}

#[test]
fn values_are_found_within_text() {
    let found = scan(
        "note",
        "card 4111 1111 1111 1111 exp 12/26, mail bob@example.org or +49 30 123456.",
    );
    let texts: Vec<_> = found.iter().map(|hit| (hit.0, hit.2.as_str())).collect();
    assert_eq!(
        texts,
        [
            (DataKind::Email, "bob@example.org"),
            (DataKind::PaymentCard, "4111 1111 1111 1111"),
            (DataKind::Phone, "+49 30 123456"),
        ]
    );
    let found = scan(
        "log",
        "key=AKIAQ2W3E4R5T6Y7UUIP ssn 536-22-8726 iban DE89 3704 0044 0532 0130 00!",
    );
    let texts: Vec<_> = found.iter().map(|hit| (hit.0, hit.2.as_str())).collect();
    assert_eq!(
        texts,
        [
            (DataKind::CloudToken, "AKIAQ2W3E4R5T6Y7UUIP"),
            (DataKind::UsSsn, "536-22-8726"),
            (DataKind::Iban, "DE89 3704 0044 0532 0130 00"),
        ]
    );
}

#[test]
fn cards_in_their_layouts() {
    for text in [
        "4111111111111111",
        "4111-1111-1111-1111",
        "3782 822463 10005",
        "12 4111 1111 1111 1111 99",
        "{\"pan\":\"4111111111111111\"}",
    ] {
        assert_eq!(kinds("note", text), [DataKind::PaymentCard], "{text}");
    }
    assert_eq!(scan_as("amount", "4111111111111111", true)[0].1, 65);
    assert_eq!(scan("card_number", "4111111111111111")[0].1, 98);
    assert_eq!(kinds("card", "6304000000000000"), [DataKind::PaymentCard]);
}

/// LESSONS 25.
#[test]
fn identifiers_and_times_are_no_cards() {
    for (name, text) in [
        ("order_id", "4111111111111111"),
        ("createdAt", "4111111111111111"),
        ("note", "order 4111111111111111"),
        ("note", "Tracking number: 4111111111111111"),
        ("note", "41111111-1111-4111-8111-111111111111"),
        ("note", "4111111111111111a"),
        ("note", "a4111111111111111"),
        ("note", "0.4111111111111111"),
        ("note", "4111111111111111.5"),
        ("note", "411111111111111111111"),
        ("note", "4111 111111111111"),
        ("note", "4111-1111 1111-1111"),
        ("note", "1700000000000"),
        ("snowflake", "6200000000000000003"),
        ("note", "2024-05-01T10:00:00.123456789Z"),
        ("note", "4111111111111112"),
    ] {
        assert_eq!(kinds(name, text), [], "{name}: {text}");
    }
}

#[test]
fn social_security_numbers_need_separators_or_a_name() {
    assert_eq!(scan("note", "536-22-8726")[0].1, 75);
    assert_eq!(scan("ssn", "536-22-8726")[0].1, 97);
    assert_eq!(kinds("ssn", "536228726"), [DataKind::UsSsn]);
    assert_eq!(scan_as("ssn", "536228726", true)[0].0, DataKind::UsSsn);
    for (name, text) in [
        ("note", "536228726"),
        ("note", "666-22-8726"),
        ("ssn", "000228726"),
        ("note", "1-536-22-8726"),
        ("note", "536-22-87261"),
        ("ssn", "abc"),
    ] {
        assert_eq!(kinds(name, text), [], "{name}: {text}");
    }
}

#[test]
fn telephones_need_a_plus_or_a_name() {
    assert_eq!(kinds("note", "call +1 415 555 2671 now"), [DataKind::Phone]);
    assert_eq!(kinds("phone", "(415) 555-2671"), [DataKind::Phone]);
    assert_eq!(scan_as("mobile", "4155552671", true)[0].0, DataKind::Phone);
    for (name, text) in [
        ("note", "(415) 555-2671"),
        ("note", "10:00:00+02:00 12345678"),
        ("version", "1.2.3+20240101"),
        ("phone_id", "4155552671"),
        ("phone", "n/a"),
    ] {
        assert_eq!(kinds(name, text), [], "{name}: {text}");
    }
}

#[test]
fn secrets_are_named() {
    for (name, text, kind) in [
        ("password", "hunter2", DataKind::Password),
        ("password", "4111111111111111", DataKind::Password),
        ("client_secret", "s3cr3tvalue", DataKind::SecretField),
        ("access_token", "opaque-token-value", DataKind::SecretField),
        ("token", "a8f5f167f44f4964e6c998dee827110c", DataKind::SecretField),
        (
            "access_token",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.",
            DataKind::Jwt,
        ),
    ] {
        assert_eq!(kinds(name, text), [kind], "{name}: {text}");
    }
}

#[test]
fn placeholders_and_other_names_are_no_secrets() {
    for (name, text) in [
        ("password", ""),
        ("password", "********"),
        ("password", "[REDACTED]"),
        ("password", "<hidden>"),
        ("password", "\u{2022}\u{2022}\u{2022}\u{2022}"),
        ("password", "string"),
        ("secret", "it is a long sentence"),
        ("client_secret", "null"),
        ("api_key", "xxxxxxxxxxxx"),
        ("api_key", "sk_l...abcd"),
        ("token", "identifier"),
        ("access_token", "https://example.org/token"),
        ("password_reset_url", "https://example.org/reset"),
        ("token_type", "bearer-token-of-mine-1"),
        ("next_page_token", "a8f5f167f44f4964e6c998dee827110c"),
    ] {
        assert_eq!(kinds(name, text), [], "{name}: {text}");
    }
}

#[test]
fn prose_is_not_worth_a_look() {
    for text in ["plain words of text", "", "short", "Ab"] {
        assert!(
            !is_worth_a_look(Classes::of(text.as_bytes()), text.len()),
            "{text}"
        );
    }
}
