use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;
use crate::classify::{self, Classifier};
use crate::exchange::credentials::Weak;
use crate::exchange::secret::HashKey;
use crate::exchange::test_support::{Builder, identify};

const KEY: [u8; 32] = [7; 32];

/// A judge of callers, and the shard before it.
struct Desk {
    callers: Callers,
    key: HashKey,
    classifier: Classifier,
    now_s: u64,
}

impl Desk {
    fn new() -> Self {
        Self::with(Limits::default(), HashKey::new(KEY))
    }

    fn with(limits: Limits, key: HashKey) -> Self {
        Self {
            callers: Callers::new(limits),
            classifier: Classifier::new(classify::Limits::default()).keyed(key.clone()),
            key,
            now_s: 1000,
        }
    }

    /// One exchange, a second after the one before.
    fn see(&mut self, builder: Builder) -> Resolved {
        self.now_s += 1;
        let mut exchange = builder.at_s(self.now_s).build();
        identify(&mut exchange, &self.key);
        self.classifier.classify(&exchange);
        exchange.handover = self.classifier.take_handover();
        self.callers.observe(&exchange)
    }

    fn id(&mut self, builder: Builder) -> CallerId {
        let seen = self.see(builder);
        assert!(seen.is_known(), "{seen:?}");
        seen.id.unwrap()
    }
}

fn get(token: &str) -> Builder {
    Builder::get("/orders").field("Authorization", &format!("Bearer {token}"))
}

fn cookie(value: &str) -> Builder {
    Builder::get("/orders").field("Cookie", value)
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

fn jwt(header: &str, payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2lnbmF0dXJl", encode(header), encode(payload))
}

fn token_of(subject: &str, number: u32) -> String {
    jwt(
        r#"{"alg":"RS256"}"#,
        &format!(r#"{{"iss":"https://issuer.example","sub":"{subject}","jti":"{number}"}}"#),
    )
}

/// An opaque token that looks like one.
fn opaque(name: &str) -> String {
    format!("{name}-q8W2e7R4t9Y1u3I5o0")
}

fn login(name: &str) -> Builder {
    Builder::post("/login").json(&format!(r#"{{"username":"{name}","password":"correct horse"}}"#))
}

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, last))
}

#[test]
fn one_user_with_five_tokens_is_one_caller() {
    let mut desk = Desk::new();
    let mut ids = Vec::new();
    for number in 0..5 {
        let (access, refresh) = (opaque(&format!("a{number}")), opaque(&format!("r{number}")));
        let answer =
            format!(r#"{{"access_token":"{access}","refresh_token":"{refresh}","expires_in":3600}}"#);
        ids.push(desk.id(login("alice").answer(&answer)));
        ids.push(desk.id(get(&access)));
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    let other = desk.id(login("bob").answer(&format!(r#"{{"token":"{}"}}"#, opaque("b"))));
    assert_ne!(other, ids[0]);
    assert_eq!(desk.id(get(&opaque("b"))), other);
    let seen = desk.see(get(&opaque("b")));
    assert_eq!(
        (seen.kind, seen.basis, seen.ambiguous),
        (PrincipalKind::User, Basis::Issued, false)
    );
}

#[test]
fn a_login_that_lists_groups_is_no_list_of_tokens() {
    let mut desk = Desk::new();
    let answer = format!(
        r#"{{"access_token":"{}","groups":[{{"name":"engineering-team-42"}},{{"description":"region-east-1-2025"}}]}}"#,
        opaque("a1")
    );
    let alice = desk.id(login("alice").answer(&answer));
    assert_eq!(desk.id(get(&opaque("a1"))), alice);
    let one = format!(r#"{{"token":"{}"}}"#, opaque("a2"));
    assert_eq!(desk.id(login("alice").answer(&one)), alice);
}

#[test]
fn a_refresh_keeps_the_tie() {
    let mut desk = Desk::new();
    let first = format!(
        r#"{{"access_token":"{}","refresh_token":"{}"}}"#,
        opaque("a1"),
        opaque("r1")
    );
    let alice = desk.id(login("alice").answer(&first));
    for number in 2..30 {
        let refresh = format!(
            "grant_type=refresh_token&refresh_token={}",
            opaque(&format!("r{}", number - 1))
        );
        let answer = format!(
            r#"{{"access_token":"{}","refresh_token":"{}"}}"#,
            opaque(&format!("a{number}")),
            opaque(&format!("r{number}"))
        );
        let asked = Builder::post("/token")
            .body("application/x-www-form-urlencoded", &refresh)
            .answer(&answer);
        assert_eq!(desk.id(asked), alice);
        assert_eq!(desk.id(get(&opaque(&format!("a{number}")))), alice, "{number}");
    }
    assert_eq!(desk.callers.len(), (1, 0));
}

#[test]
fn a_session_is_known_by_behaviour() {
    let mut desk = Desk::new();
    let form = Builder::post("/signin")
        .body("application/x-www-form-urlencoded", "login=alice&passwd=x")
        .status(303)
        .response_field("Location", "/home")
        .response_field(
            "Set-Cookie",
            "odd_name=q8W2e7R4t9Y1u3I5; Path=/; HttpOnly; Max-Age=3600",
        );
    let alice = desk.id(form);
    assert_eq!(desk.id(cookie("theme=dark; odd_name=q8W2e7R4t9Y1u3I5")), alice);
    // A cookie that nobody handed out in a login is no caller's.
    let stranger = desk.see(cookie("odd_name=zzzzW2e7R4t9Y1u3"));
    assert_eq!(stranger.kind, PrincipalKind::Anonymous);
    // The session goes on under another number.
    let next = cookie("odd_name=q8W2e7R4t9Y1u3I5").response_field("Set-Cookie", "odd_name=n3xtW2e7R4t9Y1u3");
    assert_eq!(desk.id(next), alice);
    assert_eq!(desk.id(cookie("odd_name=n3xtW2e7R4t9Y1u3")), alice);
}

#[test]
fn a_cookie_that_everybody_gets_is_no_session() {
    let mut desk = Desk::new();
    let node = "backend=q8W2e7R4t9Y1u3I5";
    let enter = |name: &str| {
        login(name)
            .answer(&format!(r#"{{"token":"{}"}}"#, opaque(name)))
            .response_field("Set-Cookie", node)
    };
    let alice = desk.id(enter("alice"));
    let bob = desk.see(enter("bob"));
    assert!(bob.id != Some(alice) && !bob.facts.contradiction, "{bob:?}");
    assert_eq!(desk.see(cookie(node)).kind, PrincipalKind::Anonymous);
    // So is one that a visitor gets.
    let mut desk = Desk::new();
    desk.id(enter("alice"));
    desk.see(Builder::get("/").response_field("Set-Cookie", node));
    assert_eq!(desk.see(cookie(node)).kind, PrincipalKind::Anonymous);
    // A known caller's tokens are not pushed out by cookies that are set with each answer.
    let alice = desk.id(get(&opaque("alice")));
    for number in 0..100 {
        desk.see(
            get(&opaque("alice")).response_field("Set-Cookie", &format!("trace=q8W2e7R4t9Y1u3I5{number}")),
        );
    }
    let refreshed = desk.see(get(&opaque("alice")));
    assert_eq!((refreshed.id, refreshed.basis), (Some(alice), Basis::Issued));
    assert_eq!(
        desk.see(cookie("trace=q8W2e7R4t9Y1u3I57")).kind,
        PrincipalKind::Anonymous
    );
}

#[test]
fn a_wrong_password_ties_nothing() {
    let mut desk = Desk::new();
    let page = |status: u16, media: &str, location: &str| {
        login("alice")
            .status(status)
            .response_field("Content-Type", media)
            .response_field("Location", location)
            .response_field("Set-Cookie", "sid=q8W2e7R4t9Y1u3I5")
    };
    for (status, media, location, result) in [
        (401, "application/json", "", LoginResult::Failed),
        (403, "text/html", "", LoginResult::Failed),
        (200, "text/html; charset=utf-8", "", LoginResult::Unknown),
        (302, "text/html", "/login?error", LoginResult::Failed),
        (500, "text/html", "", LoginResult::Unknown),
    ] {
        let seen = desk.see(page(status, media, location));
        assert_eq!(seen.facts.login.unwrap().result, result, "{status}");
        let used = desk.see(cookie("sid=q8W2e7R4t9Y1u3I5").status(404));
        assert_ne!(used.basis, Basis::Issued, "{status}");
    }
    assert_eq!(desk.callers.len(), (0, 0));
    desk.see(page(204, "", ""));
    assert_eq!(desk.callers.len(), (0, 1));
}

#[test]
fn issuer_and_subject_are_one_caller() {
    let mut desk = Desk::new();
    let alice = desk.id(get(&token_of("alice", 1)));
    assert_eq!(desk.id(get(&token_of("alice", 2))), alice);
    assert_ne!(desk.id(get(&token_of("bob", 1))), alice);
    assert_eq!(desk.see(get(&token_of("alice", 3))).basis, Basis::Claims);
}

#[test]
fn what_a_server_refused_teaches_nothing() {
    let mut desk = Desk::new();
    for number in 0..100 {
        desk.see(get(&token_of(&format!("user{number}"), 1)).status(401));
        desk.see(get(&opaque(&format!("t{number}"))).status(403));
        desk.see(get(&opaque(&format!("t{number}"))).status(500));
        desk.see(get(&opaque(&format!("t{number}"))).unanswered());
    }
    assert_eq!(desk.callers.len(), (0, 0));
}

#[test]
fn a_token_seen_before_its_login_is_joined_to_it() {
    let mut desk = Desk::new();
    let stranger = desk.id(get(&opaque("a")));
    let seen = desk.see(login("alice").answer(&format!(r#"{{"token":"{}"}}"#, opaque("a"))));
    assert_eq!(seen.merged.as_slice(), [stranger]);
    assert_eq!(desk.id(get(&opaque("a"))), seen.id.unwrap());
}

#[test]
fn one_token_of_two_people_is_ambiguous() {
    let mut desk = Desk::new();
    let answer = format!(r#"{{"token":"{}"}}"#, opaque("shared"));
    let alice = desk.id(login("alice").answer(&answer));
    let bob = desk.see(login("bob").answer(&answer));
    assert!(bob.facts.contradiction && bob.ambiguous);
    assert_ne!(bob.id.unwrap(), alice);
    let used = desk.see(get(&opaque("shared")));
    assert!(used.ambiguous && used.facts.contradiction, "{used:?}");
}

#[test]
fn two_subjects_of_one_issuer_are_never_one_caller() {
    let mut desk = Desk::new();
    let with = |subject| format!(r#"{{"token":"{}"}}"#, token_of(subject, 1));
    let alice = desk.id(login("alice").answer(&with("1")));
    let odd = desk.see(login("alice").answer(&with("2")));
    assert!(odd.facts.contradiction && odd.merged.is_empty());
    assert_ne!(desk.id(get(&token_of("2", 7))), alice);
    assert_eq!(desk.id(get(&token_of("1", 7))), alice);
}

#[test]
fn an_administrator_who_asks_for_another_stays_herself() {
    let mut desk = Desk::new();
    let root = desk.id(login("root").answer(&format!(r#"{{"token":"{}"}}"#, token_of("root", 1))));
    let impersonate = Builder::post("/impersonate")
        .field("Authorization", &format!("Bearer {}", token_of("root", 1)))
        .json(r#"{"user":"alice"}"#)
        .answer(&format!(r#"{{"token":"{}"}}"#, token_of("alice", 1)));
    desk.see(impersonate);
    assert_ne!(desk.id(get(&token_of("alice", 1))), root);
    assert_eq!(desk.id(get(&token_of("root", 1))), root);
}

#[test]
fn reading_tokens_of_others_ties_nothing() {
    let mut desk = Desk::new();
    let root = desk.id(login("root").answer(&format!(r#"{{"token":"{}"}}"#, opaque("root"))));
    desk.see(get(&opaque("root")).answer(&format!(r#"{{"id":5,"api_key":"{}"}}"#, opaque("five"))));
    let list = format!(
        r#"[{{"token":"{}"}},{{"token":"{}"}}]"#,
        opaque("six"),
        opaque("seven")
    );
    desk.see(get(&opaque("root")).answer(&list));
    for name in ["five", "six", "seven"] {
        assert_ne!(desk.id(get(&opaque(name))), root, "{name}");
    }
}

#[test]
fn the_application_and_its_user_are_two() {
    let mut desk = Desk::new();
    let call = |token: &str| get(token).field("X-Api-Key", "application-1");
    let first = desk.see(call(&opaque("alice")));
    let second = desk.see(call(&opaque("bob")));
    assert_ne!(first.id, second.id);
    assert_eq!(first.application, second.application);
    assert!(first.application.is_some() && first.application != first.id);
    let alone = desk.see(Builder::get("/x").field("X-Api-Key", "application-1"));
    assert_eq!(
        (alone.id, alone.kind),
        (first.application, PrincipalKind::Service)
    );
}

#[test]
fn basic_and_login_are_one_name() {
    let mut desk = Desk::new();
    let alice = desk.id(Builder::get("/x").field("Authorization", &basic("alice:secret")));
    assert_eq!(
        desk.id(login("alice").answer(&format!(r#"{{"token":"{}"}}"#, opaque("a")))),
        alice
    );
    assert_eq!(
        desk.id(Builder::get("/x").field("Authorization", &basic("alice:other"))),
        alice
    );
}

#[test]
fn programs_are_services() {
    let mut desk = Desk::new();
    let asked = Builder::post("/token")
        .body(
            "application/x-www-form-urlencoded",
            "grant_type=client_credentials&client_id=batch&client_secret=x",
        )
        .answer(&format!(r#"{{"access_token":"{}"}}"#, opaque("batch")));
    let batch = desk.see(asked);
    assert_eq!(batch.kind, PrincipalKind::Service);
    assert_eq!(desk.see(get(&opaque("batch"))).id, batch.id);
    let by_basic = Builder::post("/token")
        .field("Authorization", &basic("nightly:x"))
        .body(
            "application/x-www-form-urlencoded",
            "grant_type=client_credentials",
        )
        .answer(&format!(r#"{{"access_token":"{}"}}"#, opaque("nightly")));
    let nightly = desk.see(by_basic);
    assert_eq!(desk.see(get(&opaque("nightly"))).id, nightly.id);
}

#[test]
fn a_code_names_the_user_by_the_tokens_it_is_exchanged_for() {
    let mut desk = Desk::new();
    let answer = format!(
        r#"{{"access_token":"{}","refresh_token":"{}","id_token":"{}"}}"#,
        opaque("a"),
        opaque("r"),
        token_of("alice", 1)
    );
    let asked = Builder::post("/token")
        .field("Authorization", &basic("web:secret"))
        .body(
            "application/x-www-form-urlencoded",
            "grant_type=authorization_code&code=Sp1xl0BeZQQYbYS6",
        )
        .answer(&answer);
    let alice = desk.id(asked);
    assert_eq!(desk.id(get(&opaque("a"))), alice);
    assert_eq!(desk.id(get(&token_of("alice", 2))), alice);
    assert_ne!(
        desk.id(Builder::get("/x").field("Authorization", &basic("web:secret"))),
        alice
    );
}

#[test]
fn nobody_is_told_apart_by_address() {
    let mut desk = Desk::new();
    let first = desk.see(Builder::get("/x").remote(address(1)));
    assert_eq!(
        (first.kind, first.basis),
        (PrincipalKind::Anonymous, Basis::Address)
    );
    assert_eq!(desk.see(Builder::get("/y").remote(address(1))).id, first.id);
    assert_ne!(desk.see(Builder::get("/y").remote(address(2))).id, first.id);
}

#[test]
fn roles_and_tenants_are_those_of_the_token() {
    let mut desk = Desk::new();
    let payload = r#"{"iss":"i","sub":"alice","roles":["admin"],"scope":"orders:read","tid":"t1"}"#;
    let seen = desk.see(get(&jwt(r#"{"alg":"RS256"}"#, payload)));
    let names: Vec<_> = seen
        .attributes
        .iter()
        .map(|id| &*desk.callers.attribute(*id).unwrap().name)
        .collect();
    assert_eq!(names, ["admin", "orders:read"]);
    assert!(seen.tenant.is_some());
}

#[test]
fn facts_say_what_a_token_shows() {
    let mut desk = Desk::new();
    let expired = jwt(
        r#"{"alg":"none"}"#,
        r#"{"iss":"i","sub":"a","exp":784111777,"iat":1,"email":"a@example.com"}"#,
    );
    let builder = get(&expired)
        .cleartext()
        .response_field("Date", "Sun, 06 Nov 1994 09:49:37 GMT");
    let seen = desk.see(builder);
    let token = seen.facts.token.unwrap();
    assert_eq!(token.expired_s, Some(3600));
    assert!(token.weak.has(Weak::UNSIGNED) && !token.sensitive.is_empty() && !token.other_algorithm);
    assert_eq!(seen.facts.answer, Answer::Accepted);
    assert!(seen.facts.in_clear.is_some() && seen.facts.in_url.is_none());
    let in_url = desk.see(Builder::get(&format!("/x?access_token={expired}")));
    assert!(in_url.facts.in_url.is_some() && in_url.facts.in_clear.is_none());
    // Without a clock nothing is said of time.
    assert_eq!(in_url.facts.token.unwrap().expired_s, None);
    // The issuer is known to sign nothing; a symmetric one is another.
    let other = jwt(r#"{"alg":"HS256"}"#, r#"{"iss":"i","sub":"a"}"#);
    assert!(desk.see(get(&other)).facts.token.unwrap().other_algorithm);
}

#[test]
fn failures_are_counted_by_name_and_address() {
    let mut desk = Desk::new();
    let failed = |name: &str, last| login(name).status(401).remote(address(last));
    let mut last = None;
    for number in 0..12 {
        last = Some(desk.see(failed(&format!("user{number}"), 1)));
    }
    let sprayed = last.unwrap().facts.address;
    assert_eq!(sprayed.failures, 12);
    assert!((10..=14).contains(&sprayed.others), "{sprayed:?}");
    for number in 0..5 {
        desk.see(failed("alice", 10 + number));
    }
    let name = last_trouble(&mut desk, failed("alice", 1));
    assert!(name.failures == 6 && (5..=6).contains(&name.others), "{name:?}");
    let won = desk.see(
        login("alice")
            .remote(address(1))
            .answer(&format!(r#"{{"token":"{}"}}"#, opaque("a"))),
    );
    assert_eq!(won.facts.login.unwrap().name_trouble.successes_day, 1);
    // Tokens that are guessed at are failures of the address, too.
    let guessed = desk.see(get(&opaque("guess")).status(401).remote(address(200)));
    assert_eq!(guessed.facts.address.failures, 1);
}

fn last_trouble(desk: &mut Desk, builder: Builder) -> Trouble {
    desk.see(builder).facts.login.unwrap().name_trouble
}

#[test]
fn one_token_from_many_addresses_is_counted() {
    let mut desk = Desk::new();
    let mut most = 0;
    for last in 1..40 {
        most = desk.see(get(&opaque("a")).remote(address(last))).facts.addresses;
    }
    assert!((30..50).contains(&most), "{most}");
}

#[test]
fn hashes_under_the_key_before_are_translated() {
    let mut desk = Desk::new();
    let alice = desk.id(login("alice").answer(&format!(r#"{{"token":"{}"}}"#, opaque("a"))));
    let service = desk.id(Builder::get("/x").field("X-Api-Key", &opaque("key")));
    let kept = desk.callers.snapshot();
    let mut rotated = Desk::with(Limits::default(), HashKey::rotated([9; 32], KEY));
    rotated.callers = Callers::restore(Limits::default(), kept).unwrap();
    assert_eq!(rotated.id(get(&opaque("a"))), alice);
    assert_eq!(
        rotated.id(login("alice").answer(&format!(r#"{{"token":"{}"}}"#, opaque("b")))),
        alice
    );
    assert_eq!(
        rotated.id(Builder::get("/x").field("X-Api-Key", &opaque("key"))),
        service
    );
    // The key before is forgotten: what was seen meanwhile is still known.
    let kept = rotated.callers.snapshot();
    let mut after = Desk::with(Limits::default(), HashKey::new([9; 32]));
    after.callers = Callers::restore(Limits::default(), kept).unwrap();
    assert_eq!(after.id(get(&opaque("a"))), alice);
    assert_eq!(
        after.id(login("alice").answer(&format!(r#"{{"token":"{}"}}"#, opaque("c")))),
        alice
    );
}

#[test]
fn a_snapshot_is_the_same_again() {
    let mut desk = Desk::new();
    for number in 0..50 {
        desk.see(get(&token_of(&format!("user{}", number % 7), number)));
        desk.see(get(&opaque(&format!("t{number}"))));
    }
    let text = serde_json::to_string(&desk.callers.snapshot()).unwrap();
    let back: Snapshot = serde_json::from_str(&text).unwrap();
    let restored = Callers::restore(Limits::default(), back).unwrap();
    assert_eq!(restored.len(), desk.callers.len());
    assert_eq!(serde_json::to_string(&restored.snapshot()).unwrap(), text);
    for secret in ["user1", "t1-", "issuer.example"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let wrong = text.replacen("\"version\":2", "\"version\":3", 1);
    let wrong: Snapshot = serde_json::from_str(&wrong).unwrap();
    assert_eq!(
        Callers::restore(Limits::default(), wrong).unwrap_err(),
        SnapshotError::Version(3)
    );
}

#[test]
fn a_flood_of_new_callers_pushes_out_nobody_established() {
    let limits = Limits {
        established: 1000,
        probation: 500,
    };
    let mut desk = Desk::with(limits, HashKey::new(KEY));
    let mut ids = Vec::new();
    for user in 0..200 {
        ids.push(desk.id(get(&opaque(&format!("user{user}")))));
    }
    for _ in 0..2 {
        desk.now_s += 60;
        for user in 0..200 {
            desk.see(get(&opaque(&format!("user{user}"))));
        }
    }
    assert_eq!(desk.callers.len(), (200, 0));
    for number in 0..20_000 {
        desk.see(get(&opaque(&format!("flood{number}"))));
    }
    assert_eq!(desk.callers.len(), (200, 500));
    assert_eq!(desk.callers.forgotten(), 19_500);
    for (user, id) in ids.iter().enumerate() {
        let seen = desk.see(get(&opaque(&format!("user{user}"))));
        assert_eq!((seen.id, seen.established), (Some(*id), true));
    }
}

#[test]
fn who_logs_in_keeps_its_place_while_what_it_is_handed_is_tied() {
    let limits = Limits {
        established: 10,
        probation: 64,
    };
    let mut desk = Desk::with(limits, HashKey::new(KEY));
    // The owner is whom the list would let go first: it came longest ago, and least.
    let tokens = |first: &str, second: &str, third: &str| {
        format!(r#"{{"id_token":"{first}","access_token":"{second}","refresh_token":"{third}"}}"#)
    };
    let first = tokens(&token_of("alice", 1), &opaque("a1"), &opaque("r1"));
    let alice = desk.id(login("alice").answer(&first));
    for number in 0..63 {
        for _ in 0..2 {
            desk.see(get(&opaque(&format!("other{number}"))));
        }
    }
    assert_eq!(desk.callers.len(), (0, 64));
    // A token of somebody else, who is new and takes a place, and one that says nothing.
    let next = tokens(&token_of("mallory", 1), &opaque("a2"), &opaque("r2"));
    desk.see(login("alice").answer(&next));
    desk.callers.principals.check();
    assert_eq!(desk.id(get(&opaque("a2"))), alice);
    assert_eq!(desk.id(get(&opaque("r2"))), alice);
    assert_ne!(desk.id(get(&token_of("mallory", 2))), alice);
}

#[test]
fn established_callers_make_room_only_when_they_are_gone() {
    let limits = Limits {
        established: 2,
        probation: 64,
    };
    let mut desk = Desk::with(limits, HashKey::new(KEY));
    let establish = |desk: &mut Desk, name: &str| {
        for _ in 0..3 {
            desk.now_s += 20;
            desk.see(get(&opaque(name)));
        }
        desk.see(get(&opaque(name))).established
    };
    assert!(establish(&mut desk, "one") && establish(&mut desk, "two"));
    assert!(!establish(&mut desk, "three"));
    desk.now_s += 40 * 86_400;
    assert!(establish(&mut desk, "four"));
}

#[test]
fn nothing_prints_a_value() {
    let mut desk = Desk::new();
    let seen = desk.see(login("planted-name").answer(&format!(r#"{{"token":"{}"}}"#, opaque("planted"))));
    let mut text = String::new();
    write!(text, "{seen:?} {:?}", desk.callers).unwrap();
    assert!(!text.contains("planted"), "{text}");
}

#[derive(Clone, Debug)]
enum Act {
    Login(u8, u8),
    Use(u8),
    Refresh(u8, u8),
    Claim(u8),
    Refused(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..6_u8, 0..12_u8).prop_map(|(user, token)| Act::Login(user, token)),
        (0..12_u8).prop_map(Act::Use),
        (0..12_u8, 0..12_u8).prop_map(|(old, new)| Act::Refresh(old, new)),
        (0..6_u8).prop_map(Act::Claim),
        (0..12_u8).prop_map(Act::Refused),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, the lists and the index agree, and the same again gives the same.
    #[test]
    fn any_story_keeps_the_books(acts in prop::collection::vec(act(), 1..120)) {
        let limits = Limits { established: 3, probation: 64 };
        let play = || {
            let mut desk = Desk::with(limits, HashKey::new(KEY));
            let mut told = Vec::new();
            for act in &acts {
                desk.now_s += 17;
                let token = |number: u8| opaque(&format!("t{number}"));
                let answer = |number: u8| format!(r#"{{"access_token":"{}"}}"#, token(number));
                let builder = match act {
                    Act::Login(user, new) => login(&format!("user{user}")).answer(&answer(*new)),
                    Act::Use(number) => get(&token(*number)),
                    Act::Refresh(old, new) => Builder::post("/token")
                        .body("application/x-www-form-urlencoded", &format!("grant_type=refresh_token&refresh_token={}", token(*old)))
                        .answer(&answer(*new)),
                    Act::Claim(user) => get(&token_of(&format!("user{user}"), 1)),
                    Act::Refused(number) => get(&token(*number)).status(401),
                };
                told.push(desk.see(builder));
                desk.callers.principals.check();
            }
            (told, serde_json::to_string(&desk.callers.snapshot()).unwrap())
        };
        prop_assert_eq!(play(), play());
    }
}
