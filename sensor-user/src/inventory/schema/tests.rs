use proptest::prelude::*;

use super::*;
use crate::callers::{self, Callers, PrincipalKind};
use crate::classify::outline::{Looks, MAX_PLACES, Media, NOWHERE, Root, Step};
use crate::classify::{self, Classifier, DataKind, Half, Part};
use crate::exchange::secret::HashKey;
use crate::exchange::test_support::{Builder, identify};
use crate::inventory::{Change, Endpoint};

const DAY: u64 = 24 * 3600;

/// By somebody of whom nothing is known.
fn seen_of(exchange: &Exchange) -> Seen {
    Seen::of(exchange, &Resolved::nobody(PrincipalKind::Anonymous))
}

/// Learns exchanges into one schema.
struct Course {
    classifier: Classifier,
    schema: Schema,
    resolved: learn::Resolved,
    caller: u64,
    time: u64,
}

impl Course {
    fn new() -> Self {
        Self {
            classifier: Classifier::new(classify::Limits::default()),
            schema: Schema::default(),
            resolved: learn::Resolved::default(),
            caller: 0,
            time: 1000,
        }
    }

    fn outline(&mut self, exchange: &Exchange) -> Outline {
        self.classifier.classify(exchange).outline
    }

    fn take(&mut self, builder: Builder) {
        let exchange = builder.build();
        let seen = Seen {
            time_ns: self.time * 1_000_000_000,
            // Callers are hashes.
            caller: Some(self.caller.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            ..seen_of(&exchange)
        };
        let outline = self.outline(&exchange);
        self.schema.learn(&outline, &seen, 512, &mut self.resolved);
    }

    fn answers(&mut self, texts: &[&str]) {
        for text in texts {
            self.take(Builder::get("/a").answer(text));
        }
    }
}

/// What a schema knows, whatever the order of its places.
fn known(schema: &Schema) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut places: Vec<_> = schema
        .places
        .iter()
        .map(|place| {
            let parent = place.parent().map(|parent| schema.places[parent].path);
            let words = place.words.clone().unwrap_or_default();
            let head = (place.path, parent, place.step, place.name.clone());
            (head, (place.facts, place.seen, place.first, place.last, words.0))
        })
        .collect();
    places.sort_by_key(|place| place.0.0);
    let counts = (
        schema.requests,
        schema.accepted,
        schema.first,
        schema.last,
        schema.truncated,
    );
    (places, schema.statuses.clone(), counts)
}

/// A line for each place: name, looks, `?` when it may be missing.
fn lines(schema: &Schema) -> Vec<String> {
    fn walk(branch: Branch<'_>, name: &str, optional: &str, out: &mut Vec<String>) {
        let looks: Vec<_> = branch.place().facts().looks.names().collect();
        let map = if branch.is_map() { " map" } else { "" };
        out.push(format!("{name}{optional}: {}{map}", looks.join(" ")));
        for member in branch.members() {
            let optional = if branch.requires(member) { "" } else { "?" };
            let name = format!("{name}.{}", member.place().name());
            walk(member, &name, optional, out);
        }
        if let Some(items) = branch.items() {
            walk(items, &format!("{name}[]"), "", out);
        }
        if let Some(keyed) = branch.keyed() {
            walk(keyed, &format!("{name}.*"), "", out);
        }
    }
    let tree = Tree::of(schema);
    let mut out = Vec::new();
    for (root, branch) in tree.parts() {
        let top = format!("{:?}{}", root.part, root.status);
        walk(branch, &top, "", &mut out);
    }
    out
}

#[test]
fn objects_have_required_and_optional_members() {
    let mut course = Course::new();
    course.answers(&[
        r#"{"id":1,"name":"a b","tags":["x"]}"#,
        r#"{"id":2,"name":null,"extra":{"on":true}}"#,
        r#"{"id":"3","name":"c d","tags":[]}"#,
    ]);
    assert_eq!(
        lines(&course.schema),
        [
            "Body200: object",
            "Body200.extra?: object",
            "Body200.extra.on: boolean",
            "Body200.id: number string int32 digits",
            "Body200.name: null string text",
            "Body200.tags?: array",
            "Body200.tags[]: string word",
        ]
    );
}

#[test]
fn a_message_that_was_cut_makes_nothing_optional() {
    let mut course = Course::new();
    course.answers(&[r#"{"id":1,"last":2}"#, r#"{"id":3,"la"#, r#"{"id":1,"last":2}"#]);
    assert_eq!(
        lines(&course.schema),
        [
            "Body200: object cut",
            "Body200.id: number int32",
            "Body200.last: number int32"
        ]
    );
    assert_eq!(course.schema.places[1].seen, 3);
}

#[test]
fn what_was_refused_teaches_nothing_about_requests() {
    let mut course = Course::new();
    course.take(Builder::post("/a").json(r#"{"a":1}"#).status(201));
    course.take(
        Builder::post("/a")
            .json(r#"{"evil":1}"#)
            .status(400)
            .answer(r#"{"error":"no such member"}"#),
    );
    assert_eq!(
        lines(&course.schema),
        [
            "Body0: object",
            "Body0.a: number int32",
            "Body400: object",
            "Body400.error: string text"
        ]
    );
    assert_eq!(course.schema.statuses(), [(201, 1), (400, 1)]);
    assert_eq!((course.schema.requests(), course.schema.accepted()), (2, 1));
}

#[test]
fn maps_are_told_from_objects() {
    let mut course = Course::new();
    for n in 0..60_u32 {
        let [one, two] = [n * 7 % 40, n * 11 % 40].map(|n| format!("k{}", letter(u64::from(n % 26))));
        let text = format!(
            r#"{{"byId":{{"{}":{{"a":1}}}},"byWord":{{"{one}":1.5,"{two}":2.5}},"fixed":{{"a":1,"b":2}}}}"#,
            1000 + n
        );
        course.answers(&[&text]);
    }
    let lines = lines(&course.schema);
    for (start, map) in [
        ("Body200.byId:", true),
        ("Body200.byWord:", true),
        ("Body200.fixed:", false),
        ("Body200:", false),
    ] {
        let line = lines.iter().find(|line| line.starts_with(start)).unwrap();
        assert_eq!(line.ends_with("map"), map, "{line}");
    }
    assert!(
        lines.contains(&"Body200.byId.*.a: number int32".to_owned()),
        "{lines:?}"
    );
}

fn word_place(schema: &Schema) -> &Place {
    schema
        .places
        .iter()
        .find(|place| place.name() == "status")
        .unwrap()
}

#[test]
fn enumerations_are_shown_when_several_callers_used_each_word() {
    let mut course = Course::new();
    for n in 0..60 {
        course.caller = n % 5;
        course.time += 60;
        let word = ["open", "paid", "shipped"][small(n) % 3];
        course.answers(&[&format!(r#"{{"status":"{word}"}}"#)]);
    }
    assert_eq!(
        word_place(&course.schema).enumeration(),
        Some(vec!["open", "paid", "shipped"])
    );
    // One caller's own word hides the list rather than be shown.
    course.answers(&[r#"{"status":"mine"}"#]);
    course.time += 20 * DAY;
    course.answers(&[r#"{"status":"open"}"#]);
    assert_eq!(word_place(&course.schema).enumeration(), None);
}

#[test]
fn too_many_words_are_no_enumeration() {
    let mut course = Course::new();
    for n in 0..100_u64 {
        course.caller = n;
        let word: String = [n / 10, n % 10].iter().map(|n| letter(*n)).collect();
        course.answers(&[&format!(r#"{{"status":"w{word}"}}"#)]);
    }
    let place = word_place(&course.schema);
    assert!(place.words.is_none() && place.facts.looks.has(Looks::MANY_WORDS));
    assert_eq!(place.enumeration(), None);
}

#[test]
fn new_members_are_told_with_their_evidence() {
    let mut course = Course::new();
    for _ in 0..50 {
        course.time += 60;
        course.take(Builder::post("/a?page=1").json(r#"{"user":{"name":"a b"}}"#));
    }
    let exchange = Builder::post("/a?page=1&debug=1")
        .json(r#"{"user":{"name":"a b","role":{"admin":true}},"other":1}"#)
        .build();
    let outline = course.outline(&exchange);
    let found = course.schema.unseen(&outline);
    let names: Vec<_> = found
        .iter()
        .map(|new| (outline.name(new.place), new.norm.messages))
        .collect();
    let expected = [("debug", 50), ("user.role", 50), ("other", 50)];
    assert_eq!(names, expected.map(|(name, count)| (name.to_owned(), count)));
    assert_eq!(found[0].root.part, Part::Query);
    assert_eq!(found[1].norm.span, 49 * 60);
    let known = Builder::post("/a?page=1")
        .json(r#"{"user":{"name":"x y"}}"#)
        .build();
    let outline = course.outline(&known);
    assert!(course.schema.unseen(&outline).is_empty() && course.schema.beyond(&outline).is_empty());
}

#[test]
fn what_is_beyond_the_norm_is_told() {
    let mut course = Course::new();
    for n in 0..60 {
        course.caller = n % 4;
        course.time += 60;
        let role = ["user", "guest"][small(n) % 2];
        let text = format!(r#"{{"rows":[{{"n":1,"kind":"{role}","contact":"none at all"}}]}}"#);
        course.answers(&[&text]);
    }
    let rows = vec![r#"{"n":"1","kind":"admin","contact":"alice@example.com"}"#; 40].join(",");
    let exchange = Builder::get("/a")
        .answer(&format!(r#"{{"rows":[{rows}]}}"#))
        .build();
    let outline = course.outline(&exchange);
    let found: Vec<_> = course
        .schema
        .beyond(&outline)
        .into_iter()
        .map(|(place, beyond, _)| (outline.name(place), beyond))
        .collect();
    assert_eq!(
        found,
        [
            ("rows".to_owned(), Beyond::Longer(1, 40)),
            ("rows[].n".to_owned(), Beyond::Kind(Looks::STRING)),
            (
                "rows[].contact".to_owned(),
                Beyond::Sensitive(1 << DataKind::Email as u32)
            ),
            ("rows[].kind".to_owned(), Beyond::Word),
        ]
    );
    let body = Root {
        half: Half::Response,
        part: Part::Body,
        media: Media::Json,
        status: 200,
    };
    assert_eq!(course.schema.sensitive(body), 0);
    course.answers(&[r#"{"rows":[{"contact":"alice@example.com"}]}"#]);
    assert_eq!(course.schema.sensitive(body), 1 << DataKind::Email as u32);
}

fn small(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

fn letter(number: u64) -> char {
    char::from(b'a' + u8::try_from(number).unwrap())
}

fn letters(number: usize) -> String {
    let digits = [
        number / 17_576 % 26,
        number / 676 % 26,
        number / 26 % 26,
        number % 26,
    ];
    digits
        .iter()
        .map(|digit| char::from(b'a' + u8::try_from(*digit).unwrap()))
        .collect()
}

#[test]
fn a_flood_of_names_keeps_what_was_learnt() {
    let mut course = Course::new();
    course.take(Builder::post("/a").json(r#"{"real":{"id":1}}"#));
    let mut bytes = 0;
    for n in 0..3000 {
        course.time += 1;
        course.take(Builder::post("/a").json(&format!(
            r#"{{"{}":1,"{}":2}}"#,
            letters(2 * n),
            letters(2 * n + 1)
        )));
        if n == 1000 {
            bytes = course.schema.held_bytes();
        }
    }
    assert_eq!(course.schema.held_bytes(), bytes);
    assert_eq!(course.schema.places.len(), 512);
    assert!(course.schema.left_out() > 5000);
    assert!(
        lines(&course.schema)
            .iter()
            .any(|line| line.starts_with("Body0.real.id"))
    );
    // The next day there is room again for what is real.
    for hour in 0..3 {
        course.time += if hour == 0 { 2 * DAY } else { 60 };
        course.take(Builder::post("/a").json(r#"{"real":{"id":1,"added":true}}"#));
    }
    let lines = lines(&course.schema);
    assert!(
        lines.iter().any(|line| line.starts_with("Body0.real.added")),
        "{}",
        lines.len()
    );
    assert!(lines.len() < 20, "{}", lines.len());
}

#[test]
fn all_schemas_together_are_bounded() {
    let limits = Limits {
        endpoints: 3,
        places: 100,
        share: 4,
        spare: 10,
    };
    let mut schemas = Schemas::new(limits);
    let mut classifier = Classifier::new(classify::Limits::default());
    for n in 0..10_usize {
        let members: Vec<_> = (0..50)
            .map(|m| format!(r#""{}":1"#, letters(n * 50 + m)))
            .collect();
        let exchange = Builder::post("/a")
            .json(&format!("{{{}}}", members.join(",")))
            .build();
        let outline = classifier.classify(&exchange).outline;
        schemas.observe(&endpoint(&format!("/{}", n % 5)), &outline, &seen_of(&exchange));
    }
    let sizes: Vec<_> = schemas
        .sorted()
        .iter()
        .map(|(_, schema)| schema.places().len())
        .collect();
    assert_eq!(sizes.len(), 3);
    assert_eq!(sizes.iter().sum::<usize>(), 3 * 4 + 10, "{sizes:?}");
    let places: u32 = schemas.sorted().iter().map(|(_, schema)| schema.left_out()).sum();
    assert_eq!(schemas.left_out(), 4 + u64::from(places), "exchanges and places");
}

fn endpoint(template: &str) -> EndpointRef {
    Arc::new(Endpoint::rest(
        crate::exchange::Method::Get,
        "api.example.com",
        template,
    ))
}

#[test]
fn what_is_learnt_moves_with_its_endpoint() {
    let mut schemas = Schemas::new(Limits::default());
    let mut classifier = Classifier::new(classify::Limits::default());
    let all = ["/a", "/b", "/c"].map(endpoint);
    for (number, endpoint) in all.iter().enumerate() {
        let exchange = Builder::post("/a")
            .json(&format!(r#"{{"{}":1}}"#, letters(number)))
            .build();
        let outline = classifier.classify(&exchange).outline;
        schemas.observe(endpoint, &outline, &seen_of(&exchange));
    }
    let [a, b, c] = &all;
    schemas.rename(a, c);
    schemas.rename(a, b);
    // The same by name, elsewhere in memory.
    let names = |schema: &Schema| lines(schema).len();
    assert!(schemas.get(a).is_none());
    assert_eq!(schemas.get(&endpoint("/b")).map(names), Some(2));
    assert_eq!(schemas.get(&endpoint("/c")).map(names), Some(3));
    assert_eq!(schemas.sorted().len(), 2);
    schemas.observe(
        &endpoint("/b"),
        &Outline::default(),
        &seen_of(&Builder::get("/b").build()),
    );
    assert_eq!(schemas.get(b).map(Schema::requests), Some(2));
}

#[test]
fn placeholders_have_a_schema() {
    let mut schemas = Schemas::new(Limits::default());
    let endpoint = endpoint("/users/{id}/files/{uuid}");
    let exchange = Builder::get("/users/42/files/550e8400-e29b-41d4-a716-446655440000?a=1").build();
    let seen = seen_of(&exchange);
    let outline = Classifier::new(classify::Limits::default())
        .classify(&exchange)
        .outline;
    schemas.observe(&endpoint, &outline, &seen);
    schemas.observe_target(&endpoint, exchange.request.target().expose(), &seen);
    let lines = lines(schemas.get(&endpoint).unwrap());
    assert_eq!(
        lines,
        [
            "Path0: object",
            "Path0.0: string digits",
            "Path0.1: string uuid",
            "Query0: object",
            "Query0.a: string digits"
        ]
    );
}

#[test]
fn placeholders_are_numbered_anew_when_a_template_is_corrected() {
    let mut schemas = Schemas::new(Limits::default());
    let [word, value] = [
        "/users/alice/files({id})/{uuid}",
        "/users/{name}/files({id})/{uuid}",
    ]
    .map(endpoint);
    let exchange = Builder::get("/users/alice/files(42)/550e8400-e29b-41d4-a716-446655440000").build();
    let seen = seen_of(&exchange);
    let target = exchange.request.target().expose();
    schemas.observe(&word, &Outline::default(), &seen);
    schemas.observe_target(&word, target, &seen);
    schemas.follow(&Change::Renamed {
        from: Arc::clone(&word),
        into: Arc::clone(&value),
    });
    let moved = ["Path0: object", "Path0.1: string digits", "Path0.2: string uuid"];
    assert_eq!(lines(schemas.get(&value).unwrap()), moved);
    schemas.follow(&Change::Renamed {
        from: Arc::clone(&value),
        into: Arc::clone(&word),
    });
    let back = ["Path0: object", "Path0.0: string digits", "Path0.1: string uuid"];
    assert_eq!(lines(schemas.get(&word).unwrap()), back);
    schemas.observe_target(&word, target, &seen);
    assert_eq!(lines(schemas.get(&word).unwrap()), back);
    schemas.follow(&Change::Forgotten(word));
    assert!(schemas.sorted().is_empty());
}

#[test]
fn what_is_stored_comes_back() {
    let mut course = Course::new();
    for n in 0..60 {
        course.caller = n % 7;
        let text = format!(
            r#"{{"status":"{}","rows":[{{"id":{n}}}],"m":{{"{n}0000":1}}}}"#,
            ["on", "open"][small(n) % 2]
        );
        course.answers(&[&text]);
    }
    let stored = serde_json::to_string(&course.schema.store()).unwrap();
    let back = Schema::restore(serde_json::from_str(&stored).unwrap()).unwrap();
    assert_eq!(known(&back), known(&course.schema));
    assert_eq!(
        format!("{:?}", course.schema.store()),
        "[stored schema, 7 places]"
    );
    // What is damaged is refused, never trusted.
    for (from, to) in [
        ("\"version\":2", "\"version\":9"),
        ("\"parent\":0", "\"parent\":600"),
        ("\"name\":\"rows\"", "\"name\":\"r\u{f6}ws\""),
        ("[[200,60]]", "[[200,60],[200,60]]"),
    ] {
        assert!(stored.contains(from), "{from}");
        let damaged = serde_json::from_str(&stored.replacen(from, to, 1)).unwrap();
        assert!(Schema::restore(damaged).is_err(), "{to}");
    }
}

#[test]
fn a_word_of_few_callers_is_not_stored_and_comes_with_its_next_use() {
    let mut course = Course::new();
    for n in 0..60 {
        course.caller = n % 2;
        course.answers(&[r#"{"status":"secretive"}"#]);
    }
    let stored = serde_json::to_string(&course.schema.store()).unwrap();
    assert!(!stored.contains("secretive"), "{stored}");
    course.schema = Schema::restore(serde_json::from_str(&stored).unwrap()).unwrap();
    let words = |schema: &Schema| {
        let place = schema.places().iter().find(|place| place.name() == "status");
        let words = place.unwrap().enumeration();
        words.map(|words| words.join(" "))
    };
    assert_eq!(words(&course.schema), None);
    course.caller = 2;
    course.answers(&[r#"{"status":"secretive"}"#]);
    assert_eq!(words(&course.schema).as_deref(), Some("secretive"));
    let stored = serde_json::to_string(&course.schema.store()).unwrap();
    assert!(stored.contains("secretive"));
}

/// Exchanges of few names, so that they overlap.
fn exchange() -> impl Strategy<Value = (String, u64, u64, bool)> {
    let value = prop_oneof![
        Just("1".to_owned()),
        Just("null".to_owned()),
        Just("\"open\"".to_owned()),
        Just("\"2024-05-01\"".to_owned()),
        (0..30_usize).prop_map(|n| format!("\"{}\"", letters(n))),
        Just("[{\"x\":1},{\"y\":2}]".to_owned()),
        Just("{\"1234\":{\"z\":true}}".to_owned()),
        (0..4_usize).prop_map(|n| format!("{{\"{}\":1}}", letters(n))),
    ];
    let members = proptest::collection::vec((0..6_usize, value), 0..5);
    let body = members.prop_map(|members| {
        let members: Vec<_> = members
            .iter()
            .map(|(n, value)| format!("\"{}\":{value}", letters(*n)))
            .collect();
        format!("{{{}}}", members.join(","))
    });
    (body, 0..5_u64, 0..1000_u64, any::<bool>())
}

fn learnt(exchanges: &[(String, u64, u64, bool)]) -> Schema {
    let mut course = Course::new();
    for (body, caller, time, refused) in exchanges {
        (course.caller, course.time) = (*caller, *time);
        let status = if *refused { 404 } else { 200 };
        course.take(Builder::post("/a?n=1").json(body).status(status).answer(body));
    }
    course.schema
}

/// A schema whose places fill a merged one: deep ones and wide ones.
fn wide(from: usize, count: usize) -> Schema {
    let mut schema = Schema::default();
    let root = Root {
        half: Half::Request,
        part: Part::Body,
        media: Media::Json,
        status: 0,
    };
    schema.add(Place::new(1, NOWHERE, Step::Root(root), b"", 5));
    for n in from..from + count {
        // Spread as keyed hashes are.
        let path = (n as u64 + 2).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let parent = if n % 3 == 0 {
            0
        } else {
            u16::try_from(schema.places.len() - 1).unwrap()
        };
        let around = schema.places[usize::from(parent)].path;
        let path = if parent == 0 {
            path
        } else {
            path ^ around.rotate_left(7)
        };
        if schema.find(path).is_none() {
            schema.add(Place::new(
                path,
                parent,
                Step::Member,
                letters(n).as_bytes(),
                u32::try_from(n).unwrap(),
            ));
        }
    }
    for (n, place) in schema.places.iter_mut().enumerate() {
        place.seen = 1;
        place.facts.count = u32::try_from(n).unwrap();
    }
    schema
}

fn merged(one: &Schema, other: &Schema) -> Schema {
    let mut merged = one.clone();
    merged.merge(other);
    merged
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merging_is_learning(exchanges in proptest::collection::vec(exchange(), 0..24), cut in any::<prop::sample::Index>()) {
        let at = cut.index(exchanges.len() + 1);
        let (front, back) = exchanges.split_at(at);
        let whole = learnt(&exchanges);
        prop_assert_eq!(known(&merged(&learnt(front), &learnt(back))), known(&whole));
        prop_assert_eq!(known(&merged(&learnt(back), &learnt(front))), known(&whole));
        prop_assert_eq!(known(&merged(&Schema::default(), &whole)), known(&whole));
    }

    #[test]
    fn the_order_of_merging_does_not_matter_at_the_bounds(
        starts in proptest::array::uniform3(0..1200_usize),
        counts in proptest::array::uniform3(300..1000_usize),
    ) {
        let parts: Vec<_> = starts.iter().zip(counts).map(|(start, count)| wide(*start / 3 * 3, count)).collect();
        let [a, b, c] = [&parts[0], &parts[1], &parts[2]];
        let left = merged(&merged(a, b), c);
        prop_assert_eq!(known(&left), known(&merged(a, &merged(b, c))));
        prop_assert_eq!(known(&left), known(&merged(&merged(c, a), b)));
        prop_assert_eq!(known(&merged(b, a)), known(&merged(a, b)));
        prop_assert!(left.places.len() <= MAX_MERGED);
        for (at, place) in left.places.iter().enumerate() {
            prop_assert!(place.parent().is_none_or(|parent| parent < at));
            prop_assert_eq!(left.find(place.path).map(usize::from), Some(at));
        }
    }
}

/// Figures of `docs/decisions/schemas.md`.
#[test]
fn a_schema_is_small() {
    let mut course = Course::new();
    for n in 0..100 {
        course.caller = n % 7;
        let record = format!(
            r#"{{"id":{n},"uuid":"550e8400-e29b-41d4-a716-4466554{n:05}","status":"{}","total":{n}.99,
               "customer":{{"name":"Alice Johnson","email":"user{n}@example.com","verified":true}},"tags":["a","gift"]}}"#,
            ["open", "paid"][small(n) % 2]
        );
        course.take(Builder::get("/a?page=1&limit=100").answer(&format!("[{record}]")));
    }
    let bytes = course.schema.held_bytes();
    let places = course.schema.places.len();
    println!("{places} places, {bytes} bytes, {} a place", bytes / places);
    assert!(bytes < 4096, "{bytes}");
    assert!(size_of::<Place>() <= 88, "{}", size_of::<Place>());
    assert!(MAX_PLACES >= Limits::default().places);
}

/// A classifier with logins, and callers behind it.
struct Desk {
    classifier: Classifier,
    callers: Callers,
    key: HashKey,
    schema: Schema,
    resolved: learn::Resolved,
    time: u64,
}

impl Desk {
    fn new() -> Self {
        let key = HashKey::new([7; 32]);
        Self {
            classifier: Classifier::new(classify::Limits::default()).keyed(key.clone()),
            callers: Callers::new(callers::Limits::default()),
            key,
            schema: Schema::default(),
            resolved: learn::Resolved::default(),
            time: 1000,
        }
    }

    fn take(&mut self, builder: Builder) -> Seen {
        self.time += 60;
        let mut exchange = builder.at_s(self.time).build();
        identify(&mut exchange, &self.key);
        let outline = self.classifier.classify(&exchange).outline;
        exchange.handover = self.classifier.take_handover();
        let caller = self.callers.observe(&exchange);
        let seen = Seen::of(&exchange, &caller);
        if exchange.request.target().expose() == b"/a" {
            self.schema.learn(&outline, &seen, 512, &mut self.resolved);
        }
        seen
    }

    /// Somebody logs in and is handed a token.
    fn logs_in(&mut self, name: &str, token: &str) {
        let asked = format!(r#"{{"username":"{name}","password":"correct horse"}}"#);
        let answer = format!(r#"{{"access_token":"{token}"}}"#);
        self.take(Builder::post("/login").json(&asked).answer(&answer));
    }

    fn words(&self) -> Option<Vec<&str>> {
        let place = self.schema.places.iter().find(|place| &*place.name == "status");
        place.unwrap().enumeration()
    }
}

#[test]
fn a_user_with_three_tokens_is_one_caller() {
    for (users, shown) in [(1, false), (3, true)] {
        let mut desk = Desk::new();
        for number in 0..3 {
            desk.logs_in(
                &format!("user{}", number % users),
                &format!("q8W2e7R4t9Y1u3I5o{number}"),
            );
        }
        for n in 0..90_usize {
            let held = format!("Bearer q8W2e7R4t9Y1u3I5o{}", n % 3);
            let text = format!(r#"{{"status":"{}"}}"#, ["open", "paid"][n / 3 % 2]);
            desk.take(Builder::get("/a").field("Authorization", &held).answer(&text));
        }
        assert_eq!(desk.words().is_some(), shown, "{users}");
    }
}

#[test]
fn nobody_known_counts_as_nobody() {
    let mut course = Course::new();
    for n in 0..90 {
        let mut exchange = Builder::get("/a").answer(r#"{"status":"open"}"#).build();
        exchange.client = crate::exchange::credentials::Client::default();
        // Whatever the other end's address is: it may be the server.
        Arc::make_mut(&mut exchange.connection).remote = Some(([203, 0, 113, n].into(), 443));
        let seen = seen_of(&exchange);
        assert_eq!(seen.caller, None);
        let outline = course.outline(&exchange);
        course.schema.learn(&outline, &seen, 512, &mut course.resolved);
    }
    let place = course.schema.places.iter().find(|place| &*place.name == "status");
    assert_eq!(place.unwrap().enumeration(), None);
}

#[test]
fn only_what_was_done_teaches_requests() {
    let mut desk = Desk::new();
    let token = "q8W2e7R4t9Y1u3I5o0";
    desk.logs_in("alice", token);
    let sent = |to: &str, status: u16| {
        Builder::post("/b")
            .json(r#"{"role":"admin"}"#)
            .response_field("Location", to)
            .status(status)
    };
    let known = |builder: Builder| builder.field("Authorization", &format!("Bearer {token}"));
    let strange = |builder: Builder| builder.field("Authorization", "Bearer 0o5I3u1Y9t4R7e2W8q");
    assert!(!desk.take(known(sent("", 200)).unanswered()).accepted);
    assert!(!desk.take(sent("/orders/1", 302)).accepted);
    assert!(!desk.take(strange(sent("/orders/1", 303))).accepted);
    for _ in 0..4 {
        desk.take(known(Builder::get("/c")));
    }
    assert!(desk.take(known(sent("/orders/1", 303))).accepted);
    assert!(!desk.take(known(sent("/login?next=/b", 302))).accepted);
    assert!(!desk.take(known(sent("", 500))).accepted);
    for status in [101, 200, 201, 304] {
        assert!(desk.take(sent("", status)).accepted, "{status}");
    }
    // A login that sends the user on is one.
    let asked = r#"{"username":"bob","password":"correct horse"}"#;
    let form = Builder::post("/login")
        .json(asked)
        .status(302)
        .response_field("Location", "/home")
        .response_field("Set-Cookie", "sid=q8W2e7R4t9Y1u3I5");
    assert!(desk.take(form).accepted);
}

#[test]
fn a_hostile_body_is_compared_with_little_work() {
    let mut course = Course::new();
    for _ in 0..30 {
        course.answers(&[r#"{"a":1,"inner":{"b":1}}"#]);
    }
    let members = |from: usize| {
        let all: Vec<_> = (from..from + 120)
            .map(|n| format!(r#""{}":1"#, letters(n)))
            .collect();
        all.join(",")
    };
    let text = format!(r#"{{{},"inner":{{{}}}}}"#, members(0), members(200));
    let outline = course.outline(&Builder::get("/a").answer(&text).build());
    let before = (tree::work::TREES.get(), tree::work::MAPS.get());
    let unseen = course.schema.unseen(&outline).len();
    let work = (
        tree::work::TREES.get() - before.0,
        tree::work::MAPS.get() - before.1,
    );
    assert!(unseen > 200, "{unseen}");
    assert_eq!(work, (1, 2), "once, and each object once");
}

#[test]
fn placeholders_are_within_the_bound_and_the_account() {
    let limits = Limits {
        endpoints: 10,
        places: 512,
        share: 4,
        spare: 3,
    };
    let mut schemas = Schemas::new(limits);
    let seen = seen_of(&Builder::get("/").build());
    let outline = Outline::default();
    for name in ["a", "b", "c"] {
        let template = format!("/{name}/{{1}}/{{2}}/{{3}}/{{4}}/{{5}}/{{6}}");
        let endpoint = endpoint(&template);
        schemas.observe(&endpoint, &outline, &seen);
        schemas.observe_target(&endpoint, format!("/{name}/1/2/3/4/5/6").as_bytes(), &seen);
    }
    let sizes: Vec<_> = schemas
        .sorted()
        .iter()
        .map(|(_, schema)| schema.places().len())
        .collect();
    // The path and six placeholders of the first; of the others what every schema may have.
    assert_eq!(sizes, [7, 4, 4]);
    assert_eq!(schemas.left_out(), 6);
    let alone = endpoint("/d/{1}");
    schemas.observe(&alone, &outline, &seen);
    for position in 0..16 {
        schemas.observe_path(&alone, position, b"x", &seen);
    }
    assert_eq!(schemas.get(&alone).unwrap().places().len(), 4);
}
