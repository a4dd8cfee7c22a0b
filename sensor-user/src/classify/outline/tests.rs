use proptest::prelude::*;

use super::*;
use crate::classify::{Classifier, Limits};
use crate::exchange::secret::HashKey;
use crate::exchange::test_support::Builder;
use crate::exchange::value::ValueKey;
use crate::exchange::{Exchange, Secret};

fn outline(exchange: &Exchange) -> Outline {
    Classifier::new(Limits::default()).classify(exchange).outline
}

fn hash(text: &str) -> ValueHash {
    ValueKey::of(&HashKey::new([0; 32])).hash(Secret::new(text.as_bytes()))
}

/// Every place by name, with its looks and count.
fn shown(outline: &Outline) -> Vec<String> {
    (0..)
        .zip(outline.places())
        .map(|(id, place)| {
            let root = outline.root(id).unwrap();
            let looks: Vec<_> = place.facts.looks.names().collect();
            format!(
                "{:?} {:?} {}: {} x{}",
                root.half,
                root.part,
                outline.name(id),
                looks.join(" "),
                place.facts.count
            )
        })
        .collect()
}

#[test]
fn nothing_is_recorded_of_nothing() {
    let outline = outline(&Builder::get("/users/me").build());
    assert!(outline.is_empty());
    assert_eq!(outline.held_bytes(), 0);
    assert_eq!(outline.places().len(), 0);
    assert!(outline.place(0).is_none() && outline.root(0).is_none());
}

#[test]
fn one_time_codes_and_passwords_identify_nothing() {
    let asked = |text: &str| outline(&Builder::post("/login").json(text).build());
    for name in ["code", "otp", "totp", "mfa_code", "verificationCode", "pin"] {
        assert!(
            !asked(&format!(r#"{{"{name}":"4711{}"}}"#, 17))
                .identifiers()
                .any(|_| true),
            "{name}"
        );
        assert!(
            !asked(&format!(r#"{{"{name}":471117}}"#))
                .identifiers()
                .any(|_| true),
            "{name}"
        );
    }
    assert!(!asked(r#"{"password":"4711174711"}"#).identifiers().any(|_| true));
    assert!(asked(r#"{"order_code":"471117"}"#).identifiers().any(|_| true));
    assert!(asked(r#"{"code":"ABC-4711"}"#).identifiers().any(|_| true));
}

#[test]
fn every_part_is_a_tree() {
    let exchange = Builder::post("/orders?page=2&q=red%20shoes")
        .field("X-Tenant-Id", "acme")
        .field("User-Agent", "curl")
        .field("Cookie", "theme=dark; sid=8f14e45fceea167a5a36dedd4bea2543")
        .json(r#"{"items":[{"sku":"ABC-17","n":1},{"sku":"ABC-18","n":2,"gift":null}],"note":"hello there"}"#)
        .answer(r#"[{"id":77},{"id":"78"}]"#)
        .build();
    let outline = outline(&exchange);
    assert_eq!(
        shown(&outline),
        [
            "Request Query : object x1",
            "Request Query page: string digits x1",
            "Request Query q: string text x1",
            "Request Header : object x1",
            "Request Header x-tenant-id: string word x1",
            "Request Cookie : object x1",
            "Request Cookie theme: string word x1",
            "Request Cookie sid: string hex x1",
            "Request Body : object x1",
            "Request Body items: array x1",
            "Request Body items[]: object x2",
            "Request Body items[].sku: string code x2",
            "Request Body items[].n: number int32 x2",
            "Request Body items[].gift: null x1",
            "Request Body note: string text x1",
            "Response Body : array x1",
            "Response Body []: object x2",
            "Response Body [].id: number string int32 digits x2",
        ]
    );
    let values: Vec<_> = outline
        .values()
        .map(|value| (outline.name(value.place), value.hash, value.word))
        .collect();
    assert_eq!(
        values,
        [
            ("x-tenant-id".to_owned(), hash("acme"), &b""[..]),
            ("items[].sku".to_owned(), hash("ABC-17"), b""),
            ("items[].sku".to_owned(), hash("ABC-18"), b""),
            ("[].id".to_owned(), hash("77"), b""),
            ("[].id".to_owned(), hash("78"), b""),
        ]
    );
}

#[test]
fn sizes_and_lengths_are_ranges() {
    let exchange = Builder::get("/a")
        .answer(r#"{"a":[1,2,3],"b":[],"c":-9,"d":"four","e":2.5}"#)
        .build();
    let outline = outline(&exchange);
    let facts = |name: &str| {
        let place = (0..)
            .zip(outline.places())
            .find(|(id, _)| outline.name(*id) == name);
        place.unwrap().1.facts
    };
    assert_eq!(facts("a").length, (3, 3));
    assert_eq!(facts("b").length, (0, 0));
    assert_eq!(facts("c").size, (Magnitude(-8), Magnitude(-8)));
    assert_eq!(facts("d").length, (4, 4));
    assert!(facts("e").looks.has(Looks::FRACTION));
    assert_eq!(facts("a[]").size, (Magnitude(1), Magnitude(3)));
}

#[test]
fn one_value_is_one_hash_wherever_it_is() {
    let exchange = Builder::post("/users/31337?user_id=31337")
        .field("X-User-Id", "31337")
        .field("Cookie", "user_id=31337")
        .json(r#"{"user_id":31337,"as_text":"31337"}"#)
        .answer(r#"{"owner":{"id":"31\u003337"},"31337":true}"#)
        .build();
    let outline = outline(&exchange);
    let equal = outline.values().filter(|value| value.hash == hash("31337"));
    let places: Vec<_> = equal
        .map(|value| (outline.name(value.place), value.is_key))
        .collect();
    let plain = [
        "1",
        "user_id",
        "x-user-id",
        "user_id",
        "user_id",
        "as_text",
        "owner.id",
    ];
    let expected: Vec<_> = plain
        .iter()
        .map(|name| ((*name).to_owned(), false))
        .chain([("*".to_owned(), true)])
        .collect();
    assert_eq!(places, expected);
}

#[test]
fn names_that_are_values_are_one_place() {
    let body = r#"{"users":{"alice@example.com":{"age":1},"bob@example.com":{"age":2}},"17":1,"18":2}"#;
    let outline = outline(&Builder::get("/a").answer(body).build());
    let names: Vec<_> = (0..)
        .zip(outline.places())
        .map(|(id, _)| outline.name(id))
        .collect();
    assert_eq!(names, ["", "users", "users.*", "users.*.age", "*"]);
    assert!(!format!("{:?}", outline.bytes).contains("alice"));
    let keys: Vec<_> = outline
        .values()
        .filter(|value| value.is_key)
        .map(|value| value.hash)
        .collect();
    assert!(keys.contains(&hash("alice@example.com")));
    assert!(outline.bytes.windows(5).all(|window| window != b"alice"));
}

#[test]
fn words_are_kept_and_personal_ones_are_not() {
    let body = r#"[{"status":"shipped","first_name":"Alice","owner":"alice","password":"hunter"},
                   {"status":"open","first_name":"Bob","owner":"bob","password":"letmein"},
                   {"status":"open","first_name":"Bob","owner":"bob","password":"letmein"}]"#;
    let outline = outline(&Builder::get("/a").answer(body).build());
    let words: Vec<_> = outline.values().map(|value| (value.word, value.count)).collect();
    assert_eq!(words, [(&b"shipped"[..], 1), (b"", 1), (b"open", 2), (b"", 2)]);
    assert!(outline.values().any(|value| value.hash == hash("bob")));
    for secret in ["hunter", "letmein", "Alice", "alice"] {
        assert!(
            !outline
                .bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes()),
            "{secret}"
        );
    }
    assert!(outline.values().all(|value| value.hash != hash("letmein")));
}

#[test]
fn sensitive_kinds_are_noted_where_they_are() {
    let exchange = Builder::get("/a?card=4111111111111111")
        .answer(r#"{"mail":"alice@example.com","name":"x","map":{"bob@example.com":1}}"#)
        .build();
    let outline = outline(&exchange);
    let sensitive: Vec<_> = (0..)
        .zip(outline.places())
        .filter(|(_, place)| place.facts.sensitive != 0)
        .map(|(id, place)| (outline.name(id), place.facts.sensitive))
        .collect();
    let bit = |kind: crate::classify::DataKind| 1 << kind as u32;
    assert_eq!(
        sensitive,
        [
            ("card".to_owned(), bit(crate::classify::DataKind::PaymentCard)),
            ("mail".to_owned(), bit(crate::classify::DataKind::Email)),
            ("map.*".to_owned(), bit(crate::classify::DataKind::Email)),
        ]
    );
}

#[test]
fn a_page_of_records_hands_out_all_of_its_ids() {
    let records: Vec<String> = (0..100)
        .map(|id| format!(r#"{{"id":{},"total":3}}"#, 5000 + id))
        .collect();
    let outline = outline(
        &Builder::get("/a")
            .answer(&format!("[{}]", records.join(",")))
            .build(),
    );
    assert_eq!(outline.places().len(), 4);
    assert_eq!(outline.values().len(), 100);
    assert!(outline.values().any(|value| value.hash == hash("5099")));
    assert!(!outline.has_overflow());
}

#[test]
fn a_value_that_comes_again_is_counted() {
    let body = r#"[{"s":"open"},{"s":"open"},{"s":"paid"},{"s":"open"},{"s":""},{"s":""},{"s":null}]"#;
    let outline = outline(&Builder::get("/a").answer(body).build());
    let words: Vec<_> = outline.values().map(|value| (value.word, value.count)).collect();
    assert_eq!(words, [(&b"open"[..], 3), (b"paid", 1)]);
    let facts = outline.place(2).unwrap().facts;
    assert_eq!((facts.count, facts.nulls, facts.length), (7, 1, (0, 4)));
}

#[test]
fn a_flood_is_bounded() {
    let members: Vec<String> = (0..3000)
        .map(|n| format!("\"{}\":\"{n}abc{n}\"", letters(n)))
        .collect();
    let body = format!("{{{}}}", members.join(","));
    let request = outline(&Builder::post("/a").json(&body).build());
    assert!(request.lacks_places(Half::Request) && !request.lacks_places(Half::Response));
    assert_eq!(request.places().len(), MAX_PLACES / OF_REQUEST);
    let outline = outline(&Builder::post("/a").json(&body).answer(&body).build());
    assert!(outline.has_overflow() && outline.lacks_places(Half::Response));
    assert_eq!(outline.places().len(), MAX_PLACES);
    let answer = outline
        .identifiers()
        .filter(|(root, _)| root.half == Half::Response);
    assert!(
        answer.count() >= MAX_VALUES / 2 - 2,
        "half of the values is the answer's"
    );
    let most = MAX_PLACES * PLACE + MAX_VALUES * VALUE + MAX_TEXT;
    assert!(outline.held_bytes() <= most, "{}", outline.held_bytes());
}

/// A name of letters for a number.
fn letters(number: usize) -> String {
    let digits = [number / 676 % 26, number / 26 % 26, number % 26];
    digits
        .iter()
        .map(|digit| char::from(b'a' + u8::try_from(*digit).unwrap()))
        .collect()
}

#[test]
fn what_was_cut_says_so() {
    let whole = outline(&Builder::get("/a").answer(r#"{"a":1}"#).build());
    let cut = outline(&Builder::get("/a").answer(r#"{"a":1,"b"#).build());
    assert!(!whole.place(0).unwrap().facts.looks.has(Looks::CUT));
    assert!(cut.place(0).unwrap().facts.looks.has(Looks::CUT));
    assert_eq!(cut.name(1), "a");
}

#[test]
fn formats_of_bodies_are_parts_of_their_own() {
    let media = |exchange: Exchange| outline(&exchange).root(0).map(|root| root.media);
    for (kind, text, expected) in [
        ("application/json", "{}", Media::Json),
        ("application/x-www-form-urlencoded", "a=b", Media::Form),
        ("application/xml", "<a>1</a>", Media::Xml),
        ("text/plain", "hello", Media::Text),
        ("application/octet-stream", "\u{0}\u{1}\u{2}", Media::Binary),
    ] {
        assert_eq!(
            media(Builder::post("/a").body(kind, text).build()),
            Some(expected),
            "{kind}"
        );
    }
}

#[test]
fn parts_of_messages_have_numbers() {
    for half in [Half::Request, Half::Response] {
        for part in [Part::Path, Part::Query, Part::Header, Part::Cookie, Part::Body] {
            for media in Media::ALL {
                let root = Root {
                    half,
                    part,
                    media,
                    status: 404,
                };
                assert_eq!(Root::of_code(root.code()), Some(root));
            }
        }
    }
    assert_eq!(Root::of_code(0xff), None);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z0-9@. -]{0,24}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::btree_map("[a-z]{1,3}|[0-9]{4}", inner, 0..8)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Counts what is at each way, one value at a time.
fn naive(value: &serde_json::Value, way: &str, out: &mut std::collections::BTreeMap<String, (u32, Looks)>) {
    use serde_json::Value;
    let look = match value {
        Value::Null => Looks::NULL,
        Value::Bool(_) => Looks::BOOL,
        Value::Number(_) => Looks::NUMBER,
        Value::String(_) => Looks::STRING,
        Value::Array(_) => Looks::ARRAY,
        Value::Object(_) => Looks::OBJECT,
    };
    let entry = out.entry(way.to_owned()).or_default();
    *entry = (entry.0 + 1, entry.1.and(look));
    let join = |name: &str| {
        if way.is_empty() {
            name.to_owned()
        } else {
            format!("{way}.{name}")
        }
    };
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| naive(item, &format!("{way}[]"), out)),
        Value::Object(members) => {
            for (name, member) in members {
                let hidden = name.starts_with(|first: char| first.is_ascii_digit());
                naive(member, &join(if hidden { "*" } else { name }), out);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #[test]
    fn every_value_is_counted_where_it_is(body in json()) {
        let outline = outline(&Builder::get("/a").answer(&body.to_string()).build());
        let mut expected = std::collections::BTreeMap::new();
        naive(&body, "", &mut expected);
        let found: std::collections::BTreeMap<_, _> = (0..)
            .zip(outline.places())
            .map(|(id, place)| (outline.name(id), (place.facts.count, place.facts.looks.common(Looks::KINDS))))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_body_in_pieces_has_the_same_outline(body in json(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let text = body.to_string();
        let whole = outline(&Builder::get("/a").answer(&text).build());
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> = places.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        let split = outline(&Builder::get("/a").answer_pieces("application/json", &pieces).build());
        prop_assert_eq!(&whole, &split);
        // A place stands behind the one around it, and each way is there once.
        let mut ways = std::collections::HashSet::new();
        for (id, place) in (0..).zip(whole.places()) {
            prop_assert!(place.parent == NOWHERE || place.parent < id);
            prop_assert!(ways.insert(place.path));
        }
    }

    #[test]
    fn any_body_is_bounded(text in any::<Vec<u8>>(), kind in 0..4_usize) {
        let media = ["application/json", "application/xml", "application/x-protobuf", "text/plain"][kind];
        let outline = outline(&Builder::post("/a").body_bytes(media, &[&text]).build());
        prop_assert!(outline.places().len() <= MAX_PLACES);
        prop_assert!(outline.values().all(|value| usize::from(value.place) < outline.places().len()));
    }
}

#[test]
fn steps_of_a_path_that_identify_are_values() {
    let outline =
        outline(&Builder::get("/v1/users/7/files/550e8400-E29B-41d4-a716-446655440000/%37").build());
    let found: Vec<_> = outline
        .identifiers()
        .map(|(root, value)| (root.part, outline.name(value.place), value.hash))
        .collect();
    let uuid = hash("550e8400-e29b-41d4-a716-446655440000");
    let expected = [("2", hash("7")), ("4", uuid), ("5", hash("7"))];
    assert_eq!(
        found,
        expected.map(|(name, hash)| (Part::Path, name.to_owned(), hash))
    );
}
