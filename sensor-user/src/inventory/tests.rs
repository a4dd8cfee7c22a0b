//! Endpoints, their histories and what becomes of them.

use super::*;
use crate::exchange::call::{CallKind, CallOutcome};
use crate::exchange::test_support::Builder;
use crate::exchange::{Caller, PartKind};

mod flood;

fn inventory(endpoints: usize) -> (Inventory, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let limits = Limits {
        endpoints,
        ..Limits::default()
    };
    (Inventory::new(limits, Arc::clone(&counters)), counters)
}

#[test]
fn history_is_what_was_known_before() {
    let (mut inventory, _) = inventory(10);
    let known = Builder::get("/users/1").known().build();
    let anonymous = Builder::get("/users/2").build();
    let refused = Builder::get("/users/3").status(401).build();
    let unseen = Builder::get("/users/4").caller(Caller::Unseen).build();
    let Seen {
        endpoint,
        history: first,
        ..
    } = inventory.observe(&known, &[]);
    assert_eq!(
        (&*endpoint.host, &*endpoint.template),
        ("api.example.com", "/users/{id}")
    );
    assert_eq!(first, History::default());
    inventory.observe(&anonymous, &[]);
    inventory.observe(&refused, &[]);
    inventory.observe(&unseen, &[]);
    let Seen {
        endpoint: again,
        history,
        ..
    } = inventory.observe(&known, &[]);
    assert!(Arc::ptr_eq(&endpoint, &again));
    assert_eq!(
        history,
        History {
            exchanges: 4,
            success_known: 1,
            success_anonymous: 1
        }
    );
}

#[test]
fn parts_and_refusals_are_no_successes() {
    let (mut inventory, _) = inventory(10);
    let refused = |code| Builder::get("/a").call(CallKind::Grpc, CallOutcome::Failure(code));
    inventory.observe(&Builder::get("/a").known().part(PartKind::Event).build(), &[]);
    inventory.observe(&refused(16).build(), &[]);
    inventory.observe(&refused(16).known().build(), &[]);
    let history = inventory.observe(&Builder::get("/a").build(), &[]).history;
    let expected = History {
        exchanges: 3,
        ..History::default()
    };
    assert_eq!(history, expected);
}

#[test]
fn methods_and_hosts_tell_endpoints_apart() {
    let (mut inventory, _) = inventory(10);
    inventory.observe(&Builder::get("/a").build(), &[]);
    inventory.observe(&Builder::post("/a").build(), &[]);
    inventory.observe(
        &Builder::get("/a").field("Host", "other.example.com").build(),
        &[],
    );
    inventory.observe(
        &Builder::get("/a").field("Host", "API.example.com:443").build(),
        &[],
    );
    assert_eq!(inventory.endpoints().count(), 3);
}

#[test]
fn what_does_not_fit_is_counted() {
    let (mut inventory, counters) = inventory(1);
    inventory.observe(&Builder::get("/a").build(), &[]);
    let Seen { endpoint, .. } =
        inventory.observe(&Builder::get("/b").field("Host", "x.example.com").build(), &[]);
    assert_eq!((&*endpoint.template, &*endpoint.host), ("/b", "x.example.com"));
    inventory.observe(&Builder::get("/a").build(), &[]);
    assert_eq!(counters.value(Metric::EndpointsOverflow), 1);
    assert_eq!(inventory.hosts.all.len(), 2);
}

fn observed(inventory: &mut Inventory, target: &str) -> String {
    inventory
        .observe(&Builder::get(target).build(), &[])
        .endpoint
        .template
        .to_string()
}

#[test]
fn values_become_placeholders() {
    for (target, expected) in [
        ("/", "/"),
        ("/users/42?x=1", "/users/{id}"),
        ("/users/", "/users/"),
        (
            "/v1/users/550e8400-e29b-41d4-a716-446655440000",
            "/v1/users/{uuid}",
        ),
        ("/o/01ARZ3NDEKTSV4RRFFQ69G5FAV/x", "/o/{ulid}/x"),
        ("/c/deadbeef01", "/c/{hex}"),
        ("/d/2024-05-01", "/d/{date}"),
        ("/u/alice%40example.com", "/u/{email}"),
        ("/u/alice@example.com", "/u/{email}"),
        ("/t/eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln", "/t/{token}"),
        ("/t/a8Xk29fjQ0lmZp38sTuv", "/t/{token}"),
        ("/blog/my-first-post-about-rust", "/blog/{slug}"),
        ("/files/caf%C3%A9%20menu", "/files/{param}"),
        ("/files/a%2Fb", "/files/{param}"),
        ("/a;jsessionid=1234", "/a"),
        ("/orders(17)/lines", "/orders({id})/lines"),
        ("/f/report-2024-05.pdf", "/f/{id}.pdf"),
        ("/jobs/17:cancel", "/jobs/{id}:cancel"),
        ("/v1/projects:search", "/v1/projects:search"),
        ("/near/of(lat=1.5,name='x')", "/near/of(lat={id},name='{id}')"),
        ("/pkg.v1.UserService/GetUser", "/pkg.v1.UserService/GetUser"),
        ("http://host:80/users/1", "/users/{id}"),
        ("http://host", "/"),
        ("*", "/{param}"),
        ("host:443", "/{param}"),
        ("/536-22-8726", "/{id}"),
        ("/ghp_abcdefghijklmnopqrstuvwxyz0123456789", "/{token}"),
    ] {
        let (mut inventory, _) = inventory(100);
        assert_eq!(observed(&mut inventory, target), expected, "{target}");
    }
}

#[test]
fn probes_are_no_endpoints() {
    let (mut inventory, counters) = inventory(10);
    for status in [404, 401, 403, 405, 503] {
        let seen = inventory.observe(&Builder::get("/admin/1").status(status).build(), &[]);
        assert_eq!(
            (seen.standing, &*seen.endpoint.template),
            (Standing::Probe, "/admin/{id}"),
            "{status}"
        );
    }
    assert_eq!(inventory.endpoints().count(), 0);
    assert_eq!(counters.value(Metric::Probes), 5);
    inventory.observe(&Builder::get("/users/1").build(), &[]);
    let missing = inventory.observe(&Builder::get("/users/2").status(404).build(), &[]);
    assert_eq!(
        (missing.standing, missing.history.exchanges),
        (Standing::Tentative, 1)
    );
    let other = inventory.observe(&Builder::post("/users/2").status(405).build(), &[]);
    assert_eq!(other.standing, Standing::Probe);
    let probes: Vec<_> = inventory
        .probes()
        .map(|(host, probes)| (host.to_owned(), *probes))
        .collect();
    assert_eq!(probes[0].0, "api.example.com");
    assert_eq!(probes[0].1.other, 1);
}

#[test]
fn values_of_the_path_are_told() {
    let (mut inventory, _) = inventory(10);
    let target = "/users/42/files(7)?x=1";
    inventory.observe(&Builder::get(target).build(), &[]);
    let values = inventory.path_values(target.as_bytes());
    let texts: Vec<&str> = values
        .iter()
        .map(|value| &target[usize::from(value.start)..][..usize::from(value.length)])
        .collect();
    assert_eq!(texts, ["42", "7"]);
    assert_eq!(values.iter().map(|value| value.step).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn names_are_learnt_as_values_and_histories_follow() {
    let (mut inventory, _) = inventory(1000);
    for one in ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"] {
        for other in [
            "smith", "jones", "garcia", "tanaka", "kim", "silva", "rossi", "novak",
        ] {
            observed(&mut inventory, &format!("/users/{one}-{other}"));
            observed(&mut inventory, &format!("/users/{one}-{other}/mailbox"));
        }
    }
    assert_eq!(observed(&mut inventory, "/users/zoe"), "/users/{name}");
    assert_eq!(
        observed(&mut inventory, "/users/zoe/mailbox"),
        "/users/{name}/mailbox"
    );
    let all: Vec<_> = inventory
        .endpoints()
        .map(|entry| (entry.endpoint.template.to_string(), entry.history.exchanges))
        .collect();
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all.iter().map(|(_, exchanges)| exchanges).sum::<u64>(), 130);
    let changes: Vec<Change> = inventory.take_changes().collect();
    assert!(
        changes
            .iter()
            .any(|change| matches!(change, Change::Merged { .. }))
    );
    assert!(
        changes
            .iter()
            .any(|change| matches!(change, Change::Renamed { .. }))
    );
}

#[test]
fn a_name_that_stayed_alone_is_judged_again() {
    let (mut inventory, _) = inventory(200);
    for path in ["global/networks", "aggregated/disks"] {
        observed(&mut inventory, &format!("/projects/harbor-web/{path}"));
    }
    for _ in 0..3 {
        for name in ["reef", "sparrow", "finch"] {
            for path in ["global/images/7", "zones/3/instances", "zones/3/disks"] {
                observed(&mut inventory, &format!("/projects/{name}/{path}"));
            }
        }
    }
    let of = |inventory: &Inventory, front: &str| {
        let mut endpoints = inventory.endpoints();
        endpoints.any(|entry| entry.endpoint.template.starts_with(front))
    };
    assert!(of(&inventory, "/projects/{name}/"), "others were folded");
    assert!(of(&inventory, "/projects/harbor-web/"), "this one was not");
    for _ in 0..20 {
        for name in ["harbor-web", "reef", "sparrow", "finch"] {
            for below in [
                "global/networks",
                "global/images/7",
                "zones/3/instances",
                "zones/3/disks",
            ] {
                observed(&mut inventory, &format!("/projects/{name}/{below}"));
            }
        }
    }
    assert!(
        !of(&inventory, "/projects/harbor-web/"),
        "it is a name like others"
    );
}

#[test]
fn words_beside_values_stay() {
    let (mut inventory, _) = inventory(1000);
    for number in 0..200 {
        observed(&mut inventory, &format!("/users/{number}"));
        for word in ["me", "search"] {
            assert_eq!(
                observed(&mut inventory, &format!("/users/{word}")),
                format!("/users/{word}")
            );
        }
        for method in ["getUser", "listUsers", "deleteUser", "renameUser", "createOrder"] {
            assert_eq!(
                observed(&mut inventory, &format!("/rpc/{method}")),
                format!("/rpc/{method}")
            );
        }
    }
    assert_eq!(observed(&mut inventory, "/users/7"), "/users/{id}");
}

#[test]
fn what_was_learnt_survives() {
    let (mut inventory, counters) = inventory(1000);
    for number in 0..50 {
        observed(&mut inventory, &format!("/users/{number}/orders"));
        observed(&mut inventory, "/health");
        inventory.observe(&Builder::post("/gone").status(404).build(), &[]);
    }
    let text = serde_json::to_string(&inventory.snapshot()).unwrap();
    let state: State = serde_json::from_str(&text).unwrap();
    let mut other = Inventory::new(Limits::default(), counters);
    other.restore(state).unwrap();
    let all = |inventory: &Inventory| -> Vec<_> {
        inventory
            .endpoints()
            .map(|entry| {
                (
                    EndpointRef::clone(entry.endpoint),
                    *entry.history,
                    entry.answered,
                    entry.seen_ns,
                )
            })
            .collect()
    };
    assert_eq!(all(&inventory), all(&other));
    let seen = other.observe(&Builder::get("/users/9/orders").build(), &[]);
    assert_eq!((seen.history.exchanges, seen.standing), (50, Standing::Known));
}

#[test]
fn a_damaged_state_is_refused() {
    let (mut inventory, _) = inventory(1000);
    observed(&mut inventory, "/users/1/orders");
    let whole = serde_json::to_value(inventory.snapshot()).unwrap();
    let mut damaged = 0;
    for (pointer, value) in [
        ("/version", serde_json::json!(99)),
        ("/hosts/0/1", serde_json::json!(3)),
        ("/tree/nodes/1/parent", serde_json::json!(2)),
        ("/known/0/node", serde_json::json!(1)),
        ("/known/0/host", serde_json::json!(7)),
        ("/tree/nodes/1/params", serde_json::json!([0])),
    ] {
        let mut state = whole.clone();
        *state.pointer_mut(pointer).unwrap() = value;
        let state: State = serde_json::from_value(state).unwrap();
        damaged += usize::from(inventory.restore(state).is_err());
        assert_eq!(inventory.endpoints().count(), 0, "{pointer}");
    }
    assert_eq!(damaged, 6);
}

#[test]
fn an_endpoint_is_known_by_what_it_was_called_first() {
    let mut inventory = Inventory::new(Limits::default(), Arc::default());
    let mut first = std::collections::HashMap::new();
    let mut renamed = 0;
    for number in 0..400_u32 {
        let name = ["anna", "bert", "carl", "dora", "emil", "fred", "gina", "hugo"][number as usize % 8];
        let path = format!(
            "/users/{name}{}/files",
            ["", "a", "b", "c", "d"][number as usize % 5]
        );
        let seen = inventory.observe(&Builder::get(&path).build(), &[]);
        for change in inventory.take_changes() {
            match change {
                Change::New(endpoint) => drop(first.insert(endpoint.id, endpoint.id)),
                Change::Renamed { from, into } => {
                    let identity = first.remove(&from.id).unwrap();
                    first.insert(into.id, identity);
                    renamed += 1;
                }
                Change::Merged { from, .. } => drop(first.remove(&from.id)),
                Change::Forgotten(gone) => drop(first.remove(&gone.id)),
            }
        }
        assert_eq!(seen.identity, first.get(&seen.endpoint.id).copied(), "{number}");
    }
    assert!(renamed > 0);
    let mut again = Inventory::new(Limits::default(), Arc::default());
    again.restore(inventory.snapshot()).unwrap();
    let next = Builder::get("/users/anna/files").build();
    let seen = [&mut inventory, &mut again].map(|one| one.observe(&next, &[]).identity);
    assert!(seen[0].is_some() && seen[0] == seen[1]);
}

#[test]
fn under_another_key_endpoints_stay() {
    let with = |seed| Inventory::with_seed(Limits::default(), Arc::default(), seed);
    let (mut before, mut after) = (with(1), with(2));
    for number in 0..200 {
        before.observe(&Builder::get(&format!("/users/{number}/orders")).build(), &[]);
    }
    after.restore(before.snapshot()).unwrap();
    let next = Builder::get("/users/7/orders").build();
    let seen = [&mut before, &mut after].map(|one| one.observe(&next, &[]));
    assert_eq!(seen[0].endpoint, seen[1].endpoint);
    assert_eq!(seen[1].history.exchanges, 200);
    assert_ne!(before.snapshot(), after.snapshot());
}

/// Rounds in which each title is read, written, commented and withdrawn: what `tests/live_inventory.rs` meets.
fn endpoints_of_titles(titles: &[&str]) -> usize {
    let (mut inventory, _) = inventory(1_000);
    for _ in 0..6 {
        for title in titles {
            let path = format!("/api/articles/{title}");
            let below = format!("{path}/comments");
            for (method, target, status) in [
                ("GET", &path, 200),
                ("PUT", &path, 200),
                ("DELETE", &path, 204),
                ("GET", &below, 200),
                ("POST", &below, 201),
            ] {
                let exchange = Builder::get(target).method(method).status(status).known();
                inventory.observe(&exchange.build(), &[]);
            }
        }
    }
    inventory.endpoints().count()
}

#[test]
fn titles_that_answer_alike_are_values() {
    let titles = [
        "first-aid-for-dogs",
        "winter-paws",
        "ticks-and-fleas",
        "feeding-rabbits",
        "teaching-parrots",
        "cats-and-boxes",
        "grain-free-diets",
        "travelling-with-pets",
    ];
    let names = [
        "amber-falcon",
        "zesty-walrus",
        "mellow-otter",
        "brisk-heron",
        "gentle-mole",
        "quaint-lynx",
        "dapper-wolf",
        "sunny-raven",
    ];
    assert_eq!(endpoints_of_titles(&titles), 5);
    assert_eq!(endpoints_of_titles(&names), 5);
}

const ROUTES: [&str; 7] = [
    "by-day",
    "by-week",
    "password-reset",
    "forgot-password",
    "terms-and-conditions",
    "privacy-policy",
    "sign-in",
];

#[test]
fn routes_of_several_words_that_answer_alike_stay_apart() {
    assert_eq!(endpoints_of_titles(&ROUTES), 5 * ROUTES.len());
}

#[test]
fn routes_of_several_words_beside_values_stay_apart() {
    let (mut inventory, _) = inventory(1_000);
    for round in 0..100 {
        observed(&mut inventory, &format!("/reports/{round}"));
        for route in ROUTES {
            let target = format!("/reports/{route}");
            assert_eq!(observed(&mut inventory, &target), target);
        }
    }
    assert_eq!(inventory.endpoints().count(), 1 + ROUTES.len());
}

/// `/owners/me` and owners by number, each read, and the latter changed.
fn owners() -> Inventory {
    let (mut inventory, _) = inventory(1_000);
    for number in 201..210 {
        let target = format!("/owners/{number}");
        inventory.observe(&Builder::get(&target).build(), &[]);
        inventory.observe(&Builder::get(&target).method("PATCH").build(), &[]);
        inventory.observe(&Builder::get("/owners/me").build(), &[]);
    }
    inventory
}

#[test]
fn an_error_at_a_word_is_that_of_the_route_of_values() {
    let mut inventory = owners();
    let wrong = |target| Builder::get(target).method("PATCH").status(422).build();
    for word in ["/owners/me", "/owners/mine"] {
        let seen = inventory.observe(&wrong(word), &[]);
        assert_eq!(
            (&*seen.endpoint.template, seen.standing),
            ("/owners/{id}", Standing::Known),
            "{word}"
        );
    }
    assert_eq!(inventory.endpoints().count(), 3);
}

#[test]
fn a_success_at_a_word_and_an_error_where_values_have_no_such_method_are_endpoints() {
    let mut inventory = owners();
    for (method, status) in [("PATCH", 200), ("PATCH", 422), ("PUT", 422)] {
        let exchange = Builder::get("/owners/me").method(method).status(status);
        let seen = inventory.observe(&exchange.build(), &[]);
        assert_eq!(&*seen.endpoint.template, "/owners/me", "{method} {status}");
    }
    assert_eq!(inventory.endpoints().count(), 5);
}
