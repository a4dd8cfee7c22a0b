use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::atomic::AtomicBool;

use rusqlite::Connection;
use tempfile::TempDir;

use super::batch::{Addition, FindingKey, Move, Times, Told};
use super::*;
use crate::callers::{self, Callers};
use crate::classify::{self, Classifier, Confidence, DataKind, Half, Label, Labels, Masked, Part, Place};
use crate::exchange::Method;
use crate::exchange::secret::HashKey;
use crate::exchange::test_support::{Builder, identify};
use crate::inventory::schema::{self, Schemas};
use crate::inventory::{Change, Endpoint, EndpointKind, Inventory, Limits};
use crate::pipeline::{self, Judge, Observed};

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

fn bounds() -> Bounds {
    Bounds {
        retention_ns: 90 * DAY,
        max_bytes: 64 << 20,
    }
}

fn settings(pace: Pace) -> Settings {
    Settings {
        interval_ns: 10 * SECOND,
        bounds: bounds(),
        pace,
        whose: Whose::Own,
        clock: ClockOffset::RECORDED,
        key: HashKey::new([0; 32]).print(),
    }
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    (directory, path)
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, settings(Pace::Replay), &Arc::default())
}

fn all(path: &Path) -> Vec<Row> {
    Reader::open(path)
        .unwrap()
        .endpoints(&Filter::default())
        .unwrap()
        .rows
}

fn judge(path: &Path) -> Judge {
    judge_with(open(path).unwrap())
}

fn judge_with(store: Store) -> Judge {
    let settings = pipeline::Settings::new(HashKey::new([0; 32]), Arc::default());
    Judge::new(&settings).with_store(Some(store))
}

fn show(judge: &mut Judge, exchanges: impl IntoIterator<Item = Builder>, found: Option<&Label>) {
    for builder in exchanges {
        let mut labels = Labels::default();
        labels.found.extend(found.cloned());
        let observed = Observed {
            exchange: builder.build(),
            labels,
        };
        judge.judge(&observed, &mut |_| {});
    }
}

/// As [`show`], with callers and what a shard finds in the bodies.
fn live(judge: &mut Judge, exchanges: impl IntoIterator<Item = Builder>) {
    let key = HashKey::new([0; 32]);
    let mut classifier = Classifier::new(classify::Limits::default()).keyed(key.clone());
    for builder in exchanges {
        let mut exchange = builder.build();
        identify(&mut exchange, &key);
        let labels = classifier.classify(&exchange);
        exchange.handover = classifier.take_handover();
        judge.judge(&Observed { exchange, labels }, &mut |_| {});
    }
}

fn card() -> Label {
    Label {
        kind: DataKind::PaymentCard,
        place: Place {
            half: Half::Response,
            part: Part::Body,
            name: "data[].card".into(),
        },
        confidence: Confidence(95),
        count: 2,
        sample: Masked("4***1".into()),
    }
}

/// A batch with one endpoint, called `count` times at `at_ns`.
fn batch(template: &str, count: u64, at_ns: u64) -> Batch {
    let endpoint = Endpoint::rest(Method::Get, "api.example.com", template);
    let mut times = Times::default();
    times.add(count, at_ns);
    let addition = Addition {
        times,
        statuses: vec![(200, count)],
        ..Addition::default()
    };
    Batch {
        until_ns: at_ns,
        exchanges: count,
        endpoints: vec![(Arc::new(endpoint), addition)],
        ..Batch::default()
    }
}

#[test]
fn rows_say_what_was_seen() {
    let (_kept, path) = place();
    let mut judge = judge(&path);
    show(&mut judge, [Builder::get("/users/1").known()], Some(&card()));
    show(&mut judge, [Builder::get("/users/2").status(404)], None);
    show(
        &mut judge,
        [Builder::post("/users"), Builder::post("/users")],
        None,
    );
    judge.finish(&mut |_| {});
    let rows = all(&path);
    let ends: Vec<_> = rows
        .iter()
        .map(|row| (row.method.as_str(), row.template.as_str(), row.exchanges))
        .collect();
    assert_eq!(ends, [("POST", "/users", 2), ("GET", "/users/{id}", 2)]);
    let row = &rows[1];
    assert_eq!(
        (row.kind.as_str(), row.host.as_str()),
        ("rest", "api.example.com")
    );
    assert_eq!(row.statuses, [(200, 1), (404, 1)]);
    assert_eq!(row.success, (1, 0));
    assert_eq!(row.auth.len(), 2);
    assert!(row.auth.contains(&("none".to_owned(), 1)));
    assert_eq!(row.data.len(), 1);
    assert_eq!(
        (row.data[0].kind.as_str(), row.data[0].count),
        ("payment_card", 2)
    );
    assert_eq!(row.data[0].place, ["response", "body", "data[].card"]);
    assert_eq!(row.resources.len(), 1);
    assert!(!row.findings.is_empty(), "a card in an answer is a finding");
    let connection = Connection::open(&path).unwrap();
    let callers: (i64, String) = connection
        .query_row("SELECT count(*), max(caller) FROM callers", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!((callers.0, callers.1.len()), (1, 32));
}

#[test]
fn a_restart_goes_on_with_what_was_known() {
    let (_kept, path) = place();
    for run in 1..=3 {
        let mut judge = judge(&path);
        show(
            &mut judge,
            (0..20).map(|_| Builder::get("/users/1").known()),
            None,
        );
        // Somebody without credentials is turned away: it is no public endpoint.
        show(&mut judge, [Builder::get("/users/2").status(401)], None);
        judge.finish(&mut |_| {});
        assert_eq!(all(&path)[0].exchanges, run * 21);
    }
    let mut inventory = Inventory::new(Limits::default(), Arc::default());
    let mut store = open(&path).unwrap();
    store.recall(&mut inventory);
    store.finish(0, |_| {});
    let seen = inventory.observe(&Builder::get("/users/7").build(), &[]);
    let (endpoint, history) = (seen.endpoint, seen.history);
    assert_eq!(&*endpoint.template, "/users/{id}");
    assert_eq!((history.exchanges, history.success_known), (63, 60));
    // Rules are not cold: a success without credentials is against the norm at once.
    let anonymous = Observed {
        exchange: Builder::get("/users/9").build(),
        labels: Labels::default(),
    };
    let (_kept, elsewhere) = place();
    for (path, wanted) in [(&elsewhere, 0), (&path, 1)] {
        let (mut judge, mut told) = (judge(path), 0);
        judge.judge(&anonymous, &mut |event| {
            told += usize::from(matches!(event, crate::export::Event::Finding(_)));
        });
        judge.finish(&mut |_| {});
        assert_eq!(told, wanted);
    }
}

#[test]
fn a_state_that_cannot_be_used_is_left_out() {
    let (_kept, path) = place();
    drop(open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    for (version, content) in [(2, "{"), (99, "{}"), (2, "{\"known\":7}"), (1, "{}")] {
        connection
            .execute(
                "INSERT OR REPLACE INTO state VALUES ('inventory', ?1, 0, ?2, 0)",
                rusqlite::params![version, content],
            )
            .unwrap();
        let counters: Arc<Counters> = Arc::default();
        let mut store = wait_for(&path, &counters);
        let mut inventory = Inventory::new(Limits::default(), Arc::default());
        store.recall(&mut inventory);
        assert_eq!(inventory.endpoints().count(), 0);
        assert_eq!(counters.value(Metric::StoreStates), 1);
        inventory.observe(&Builder::get("/a").build(), &[]);
        store.finish(0, |offer| offer.stage(&inventory));
        let kept = |name: &str| -> (u32, String) {
            connection
                .query_row(
                    "SELECT version, CAST(content AS TEXT) FROM state WHERE name = ?1",
                    [name],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap()
        };
        assert_eq!(kept("inventory.unusable"), (version, content.to_owned()));
        assert!(
            kept("inventory").1.contains("api.example.com"),
            "it goes on with what is new"
        );
    }
}

/// Users with tokens, one who logs in, bodies of both halves.
fn traffic(run: u32) -> impl Iterator<Item = Builder> {
    (0..200_u32).map(move |number| {
        let user = number % 7;
        match number % 4 {
            0 => Builder::post("/login")
                .json(&format!(r#"{{"username":"user{user}","password":"p{user}"}}"#))
                .answer(&format!(r#"{{"token":"t{user}-{run}-0123456789abcdef"}}"#)),
            _ => Builder::get(&format!("/orders/{}", 1000 + number))
                .field("Authorization", &format!("Bearer t{user}-{run}-0123456789abcdef"))
                .answer(r#"{"status":"open","rows":[{"id":7,"price":1.5}]}"#),
        }
    })
}

fn schemas_of(judge: &Judge) -> Vec<(String, String)> {
    let schemas = judge.schemas().sorted().into_iter();
    schemas
        .map(|(endpoint, schema)| {
            let text = serde_json::to_string(&schema.store()).unwrap();
            (endpoint.template.to_string(), text)
        })
        .collect()
}

#[test]
fn every_stage_and_all_schemas_survive_a_restart() {
    let (_kept, path) = place();
    let (mut before, mut schemas) = (Vec::new(), Vec::new());
    for run in 0..3 {
        let mut judge = judge(&path);
        if run > 0 {
            assert_eq!(judge.remembered(), before);
            assert_eq!(schemas_of(&judge), schemas);
        }
        live(&mut judge, traffic(run));
        (before, schemas) = (judge.remembered(), schemas_of(&judge));
        judge.finish(&mut |_| {});
        let lengths: Vec<_> = before.iter().map(Vec::len).collect();
        // No incident is open.
        assert!(
            lengths.iter().rev().skip(1).all(|length| *length > 100),
            "{lengths:?}"
        );
        assert_eq!(schemas.len(), 2);
    }
    let learnt = Reader::open(&path).unwrap().learnt(&Filter::default()).unwrap();
    let orders = learnt
        .iter()
        .find(|one| &*one.endpoint.template == "/orders/{id}");
    let schema = orders.unwrap().schema.as_ref().unwrap();
    assert_eq!(schema.requests(), 450);
}

fn called(template: &str) -> Arc<Endpoint> {
    Arc::new(Endpoint::rest(Method::Get, "api.example.com", template))
}

fn renamed(from: &str, into: &str) -> Change {
    Change::Renamed {
        from: called(from),
        into: called(into),
    }
}

#[test]
fn rows_go_with_a_corrected_template() {
    let (_kept, path) = place();
    let mut writer = writer(&path, &Arc::default());
    for (template, count, at_ns) in [
        ("/users/alice", 3, 20),
        ("/users/bob", 4, 10),
        ("/users/{id}", 5, 30),
    ] {
        writer.take(batch(template, count, at_ns));
    }
    let before = all(&path)
        .iter()
        .find(|row| row.template == "/users/{id}")
        .unwrap()
        .id;
    let moves = [
        ("/users/alice", Some("/users/{name}")),
        ("/users/bob", Some("/users/{name}")),
        ("/users/{id}", Some("/people/{id}")),
        ("/nowhere", Some("/somewhere")),
    ];
    let moves = moves.map(|(from, into)| Move {
        from: called(from),
        into: into.map(called),
    });
    writer.take(Batch {
        moves: moves.to_vec(),
        ..batch("/users/{name}", 1, 40)
    });
    let rows = all(&path);
    let shown: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                &*row.template,
                row.exchanges,
                row.statuses.as_slice(),
                row.seen.first_ns,
            )
        })
        .collect();
    let wanted = [
        ("/people/{id}", 5, &[(200, 5)][..], 30),
        ("/users/{name}", 8, &[(200, 8)][..], 10),
    ];
    assert_eq!(shown, wanted);
    assert_eq!(rows[0].id, before, "its number stays");
    assert_eq!(rows[1].seen.last_ns, 40);
}

#[test]
fn a_forgotten_endpoint_goes_unless_something_was_found_there() {
    let (_kept, path) = place();
    let mut writer = writer(&path, &Arc::default());
    let mut found = batch("/odd", 1, 1);
    let key = FindingKey {
        rule: "API3-001",
        subject: "x".to_owned(),
    };
    let told = Told {
        severity: "high",
        confidence: 90,
        times: found.endpoints[0].1.times,
    };
    found.endpoints[0].1.findings.push((key, told));
    writer.take(found);
    writer.take(batch("/even", 1, 1));
    let gone = |template: &str| Move {
        from: called(template),
        into: None,
    };
    writer.take(Batch {
        until_ns: 2,
        moves: vec![gone("/odd"), gone("/even")],
        ..Batch::default()
    });
    let rows = all(&path);
    assert_eq!(rows.len(), 1);
    assert_eq!((&*rows[0].template, rows[0].findings.len()), ("/odd", 1));
}

#[test]
fn sums_go_with_a_corrected_template_before_they_are_written() {
    let (_kept, path) = place();
    let mut store = open(&path).unwrap();
    let exchange = Builder::get("/users/alice").build();
    let labels = Labels::default();
    let caller = Callers::new(callers::Limits::default()).observe(&exchange);
    let see = |store: &mut Store, template: &str| {
        let endpoint = called(template);
        let seen = Observation {
            exchange: &exchange,
            labels: &labels,
            endpoint: &endpoint,
            known: Some(endpoint.id),
            caller: &caller,
        };
        store.exchange(&seen, 70);
    };
    see(&mut store, "/users/alice");
    see(&mut store, "/users/bob");
    store.flush(1, |_| {});
    see(&mut store, "/users/alice");
    for from in ["/users/alice", "/users/bob"] {
        store.follow(&renamed(from, "/users/{name}"));
    }
    see(&mut store, "/users/{name}");
    see(&mut store, "/users/alice");
    store.finish(2, |_| {});
    let rows = all(&path);
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (&*row.template, row.exchanges, row.confidence, &*row.kind))
        .collect();
    // What is called so later is another.
    assert_eq!(
        shown,
        [
            ("/users/alice", 1, Some(70), "rest"),
            ("/users/{name}", 4, Some(70), "rest")
        ]
    );
}

#[test]
fn operations_of_one_path_are_told_apart() {
    let (_kept, path) = place();
    let mut writer = writer(&path, &Arc::default());
    let graphql = EndpointKind::Call(crate::exchange::call::CallKind::GraphqlQuery);
    for name in ["GetUser", "GetOrder"] {
        let mut one = batch("/graphql", 2, 1);
        let endpoint = Endpoint::new(graphql, Method::Post, "h", "/graphql", Some(name));
        one.endpoints[0].0 = Arc::new(endpoint);
        writer.take(one);
    }
    let shown: Vec<_> = all(&path)
        .into_iter()
        .map(|row| (row.kind, row.operation.unwrap(), row.exchanges))
        .collect();
    let kind = "graphql_query".to_owned();
    let wanted = ["GetOrder", "GetUser"].map(|name| (kind.clone(), name.to_owned(), 2));
    assert_eq!(shown, wanted);
}

#[test]
fn a_flush_takes_what_is_new_and_no_more() {
    let (_kept, path) = place();
    let mut store = open(&path).unwrap();
    let mut schemas = Schemas::new(schema::Limits::default());
    let endpoint = Arc::new(Endpoint::rest(Method::Get, "h", "/a"));
    let exchange = Builder::get("/a").answer(r#"{"a":1}"#).build();
    let labels = Classifier::new(classify::Limits::default()).classify(&exchange);
    let caller = Callers::new(callers::Limits::default()).observe(&exchange);
    let mut flush = |store: &mut Store, exchanges: u32| {
        for _ in 0..exchanges {
            store.exchange(
                &Observation {
                    exchange: &exchange,
                    labels: &labels,
                    endpoint: &endpoint,
                    known: Some(endpoint.id),
                    caller: &caller,
                },
                90,
            );
            schemas.observe(&endpoint, &labels.outline, &schema::Seen::of(&exchange, &caller));
        }
        let mut written = 0;
        store.flush(1, |offer| {
            offer.schemas(&schemas);
            written = offer.schemas.len();
        });
        written
    };
    assert_eq!([2, 0, 1].map(|exchanges| flush(&mut store, exchanges)), [1, 0, 1]);
    // What the file lost goes again.
    store.signs.lost.store(true, Ordering::Release);
    assert_eq!([0, 0].map(|exchanges| flush(&mut store, exchanges)), [1, 0]);
    store.finish(1, |_| {});
}

/// Names in `state`, rows of `schemas` and of `callers`.
fn left(path: &Path) -> (Vec<String>, i64, i64) {
    let connection = Connection::open(path).unwrap();
    let mut names = connection
        .prepare("SELECT name FROM state ORDER BY name")
        .unwrap();
    let names = names.query_map([], |row| row.get(0)).unwrap();
    let count = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    (
        names.collect::<Result<_, _>>().unwrap(),
        count("schemas"),
        count("callers"),
    )
}

#[test]
fn another_key_begins_anew_what_depends_on_it() {
    let (one, other) = ([0; 32], [1; 32]);
    for (key, wanted) in [
        (
            HashKey::new(one),
            (
                vec!["baseline", "callers", "incidents", "inventory", "key", "objects"],
                2,
                1,
            ),
        ),
        (
            HashKey::rotated(other, one),
            (vec!["callers", "inventory", "key"], 0, 1),
        ),
        (HashKey::new(other), (vec!["inventory", "key"], 0, 0)),
        (HashKey::rotated(other, [2; 32]), (vec!["inventory", "key"], 0, 0)),
    ] {
        let (_kept, path) = place();
        let mut first = judge(&path);
        live(&mut first, traffic(0));
        first.finish(&mut |_| {});
        let settings = Settings {
            key: key.print(),
            ..settings(Pace::Replay)
        };
        let mut store = Store::open(&path, settings, &Arc::default()).unwrap();
        let (names, schemas, callers) = left(&path);
        assert_eq!((names, schemas, i64::from(callers > 0)), {
            let (names, schemas, callers) = wanted;
            (names.into_iter().map(str::to_owned).collect(), schemas, callers)
        });
        store.finish(0, |_| {});
        // The same key again forgets nothing more.
        let settings = Settings {
            key: key.print(),
            ..settings
        };
        let before = left(&path);
        Store::open(&path, settings, &Arc::default())
            .unwrap()
            .finish(0, |_| {});
        assert_eq!(left(&path), before);
    }
}

/// Opens a store whose last writer was dropped without an end: its thread may hold it for a moment.
fn wait_for(path: &Path, counters: &Arc<Counters>) -> Store {
    for _ in 0..1000 {
        match Store::open(path, settings(Pace::Replay), counters) {
            Err(StoreError::InUse { .. }) => std::thread::sleep(std::time::Duration::from_millis(5)),
            other => return other.unwrap(),
        }
    }
    panic!("still in use")
}

#[test]
fn every_earlier_version_is_brought_to_this_one() {
    for from in 1..=tables::VERSION {
        let (_kept, path) = place();
        let mut connection = Connection::open(&path).unwrap();
        let transaction = connection.transaction().unwrap();
        for to in 1..=from {
            transaction.execute_batch(&tables::step(to)).unwrap();
        }
        transaction
            .pragma_update(None, "application_id", tables::APPLICATION)
            .unwrap();
        transaction.pragma_update(None, "user_version", from).unwrap();
        transaction
            .execute_batch(
                "INSERT INTO endpoints (kind, method, host, template, first_seen, last_seen, exchanges) \
                 VALUES ('rest', 'GET', 'h', '/a', 1, 2, 3);
                 INSERT INTO statuses VALUES (1, 200, 3); INSERT INTO state (name, version, saved, content) VALUES ('x', 1, 2, x'00')",
            )
            .unwrap();
        transaction.commit().unwrap();
        drop(connection);
        let early = Reader::open(&path);
        if from < tables::VERSION {
            let error = early.unwrap_err();
            assert!(
                matches!(error, StoreError::Older { .. }) && error.remedy().contains("api-sensor run"),
                "{error}"
            );
        }
        open(&path).unwrap().finish(0, |_| {});
        let rows = all(&path);
        assert_eq!((rows[0].exchanges, rows[0].confidence), (3, None), "from {from}");
        assert_eq!(rows[0].statuses, [(200, 3)]);
        let connection = Connection::open(&path).unwrap();
        let fresh = Connection::open_in_memory().unwrap();
        for to in 1..=tables::VERSION {
            fresh.execute_batch(&tables::step(to)).unwrap();
        }
        assert_eq!(shape(&connection), shape(&fresh), "from {from}");
    }
}

/// Names of all tables and columns, in their order.
fn shape(connection: &Connection) -> Vec<String> {
    let mut statement = connection
        .prepare(
            "SELECT m.name || '.' || c.name || ' ' || c.type FROM sqlite_schema m, pragma_table_info(m.name) c \
             WHERE m.type = 'table' ORDER BY m.name, c.cid",
        )
        .unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn tables_have_the_columns_that_are_documented() {
    let (_kept, path) = place();
    open(&path).unwrap().finish(0, |_| {});
    let connection = Connection::open(&path).unwrap();
    for table in tables::TABLES {
        for column in table.columns {
            let sql = format!("SELECT {} FROM {}", column.name, table.name);
            assert!(connection.prepare(&sql).is_ok(), "{sql}");
        }
    }
}

#[test]
fn a_newer_store_and_a_foreign_database_are_left_alone() {
    let (_kept, path) = place();
    open(&path).unwrap().finish(0, |_| {});
    let connection = Connection::open(&path).unwrap();
    connection
        .pragma_update(None, "user_version", tables::VERSION + 1)
        .unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    let newer = tables::VERSION + 1;
    let error = open(&path).unwrap_err();
    assert!(
        matches!(error, StoreError::Newer { found, .. } if found == newer),
        "{error}"
    );
    assert!(error.to_string().contains(path.to_str().unwrap()));
    assert!(matches!(Reader::open(&path), Err(StoreError::Newer { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);

    let (_kept, path) = place();
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE letters (a); INSERT INTO letters VALUES (1)")
        .unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    assert!(matches!(open(&path), Err(StoreError::Foreign { .. })));
    assert!(matches!(Reader::open(&path), Err(StoreError::Foreign { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// A store with some rows.
fn filled(path: &Path) {
    let mut judge = judge(path);
    let words = ["ann", "bob", "cid", "dan", "eve", "fay", "gus", "hal"];
    for first in words {
        for second in words {
            show(
                &mut judge,
                [Builder::get(&format!("/{first}/{second}")).known()],
                Some(&card()),
            );
        }
    }
    judge.finish(&mut |_| {});
}

#[test]
fn a_damaged_store_is_moved_aside_and_a_new_one_begun() {
    let (_kept, pattern) = place();
    filled(&pattern);
    let whole = fs::read(&pattern).unwrap();
    let mut damaged: Vec<Vec<u8>> = vec![b"not a database, and long enough to be read as one".repeat(40)];
    for cut in [50, 100, 4000, 4096, whole.len() / 2, whole.len() - 5000] {
        damaged.push(whole[..cut].to_vec());
    }
    for at in [0, 20, 3 * 4096 + 8] {
        let mut bytes = whole.clone();
        bytes[at..at + 3000].fill(0xa5);
        damaged.push(bytes);
    }
    damaged.push(vec![0; 8192]);
    for (number, bytes) in damaged.into_iter().enumerate() {
        let (_kept, path) = place();
        fs::write(&path, &bytes).unwrap();
        let read = Reader::open(&path).and_then(|mut reader| reader.endpoints(&Filter::default()));
        let counters: Arc<Counters> = Arc::default();
        let mut store = Store::open(&path, settings(Pace::Replay), &counters)
            .unwrap_or_else(|error| panic!("damage {number}: {error}"));
        store.finish(0, |_| {});
        let aside = path.with_file_name(format!("{FILE}.damaged"));
        assert_eq!(counters.value(Metric::StoreDamaged), 1, "damage {number}");
        assert!(
            number == 0 || read.is_err() || number > 6,
            "damage {number} is not seen by readers"
        );
        assert_eq!(fs::read(aside).unwrap().len(), bytes.len());
        assert!(all(&path).is_empty());
    }
}

#[test]
fn an_empty_file_becomes_a_store() {
    let (_kept, path) = place();
    fs::write(&path, b"").unwrap();
    assert!(matches!(Reader::open(&path), Err(StoreError::Absent { .. })));
    open(&path).unwrap().finish(0, |_| {});
    assert!(all(&path).is_empty());
}

#[test]
fn the_file_is_the_owners_alone() {
    let (_kept, path) = place();
    fs::write(&path, b"").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut store = open(&path).unwrap();
    store.flush(0, |_| {});
    for ending in ["", "-wal", "-shm", ".lock"] {
        let name = path.with_file_name(format!("{FILE}{ending}"));
        let mode = fs::metadata(&name).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", name.display());
    }
    store.finish(0, |_| {});
    let (_kept, link) = place();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(
        matches!(open(&link), Err(StoreError::File { .. })),
        "a link is not followed"
    );
}

#[test]
fn one_sensor_writes_at_a_time() {
    let (_kept, path) = place();
    let mut store = open(&path).unwrap();
    assert!(matches!(open(&path), Err(StoreError::InUse { .. })));
    store.finish(0, |_| {});
    open(&path).unwrap().finish(0, |_| {});
}

#[test]
fn a_flush_that_finds_the_writer_at_work_goes_with_the_next() {
    let (_kept, path) = place();
    let counters: Arc<Counters> = Arc::default();
    let mut store = Store::open(&path, settings(Pace::Live), &counters).unwrap();
    let exchange = Builder::get("/a").build();
    let labels = Labels::default();
    let endpoint = Arc::new(Endpoint::rest(Method::Get, "h", "/a"));
    let caller = Callers::new(callers::Limits::default()).observe(&exchange);
    let seen = Observation {
        exchange: &exchange,
        labels: &labels,
        endpoint: &endpoint,
        known: Some(endpoint.id),
        caller: &caller,
    };
    store.exchange(&seen, 90);
    store.signs.busy.store(true, Ordering::Release);
    for _ in 0..3 {
        store.flush(1, |_| panic!("no state is made for a flush that is left out"));
    }
    assert_eq!(counters.value(Metric::StoreSkipped), 3);
    store.exchange(&seen, 90);
    store.signs.busy.store(false, Ordering::Release);
    store.flush(1, |_| {});
    store.finish(1, |_| {});
    assert_eq!(all(&path)[0].exchanges, 2);
    assert_eq!(counters.value(Metric::StoreLost), 0);
}

#[test]
fn a_flush_is_due_once_an_interval_when_there_is_something() {
    let (_kept, path) = place();
    let mut store = open(&path).unwrap();
    assert!(!store.is_due(5));
    assert!(!store.is_due(5 + 10 * SECOND), "nothing was seen");
    let exchange = Builder::get("/a").build();
    let endpoint = Arc::new(Endpoint::rest(Method::Get, "h", "/a"));
    let labels = Labels::default();
    let caller = Callers::new(callers::Limits::default()).observe(&exchange);
    store.exchange(
        &Observation {
            exchange: &exchange,
            labels: &labels,
            endpoint: &endpoint,
            known: Some(endpoint.id),
            caller: &caller,
        },
        90,
    );
    assert!(!store.is_due(5 + 20 * SECOND - 1));
    assert!(store.is_due(5 + 20 * SECOND));
    store.finish(0, |_| {});
}

fn writer(path: &Path, counters: &Arc<Counters>) -> Writer {
    Writer::new(
        open::to_write(path, settings(Pace::Replay).key, Whose::Own).unwrap(),
        bounds(),
        Arc::default(),
        Arc::clone(counters),
    )
}

#[test]
fn a_full_disk_is_counted_and_what_waited_is_written_later() {
    let (_kept, path) = place();
    let counters: Arc<Counters> = Arc::default();
    let mut writer = writer(&path, &counters);
    writer.take(batch("/a", 1, SECOND));
    writer.limit_pages(1);
    let long = "/abcdefgh".repeat(2000);
    for number in 0..3 {
        writer.take(batch(&format!("{long}/{number}"), 1, SECOND));
    }
    assert_eq!(counters.value(Metric::StoreFailed), 3);
    assert_eq!(all(&path).len(), 1);
    writer.limit_pages(1 << 20);
    writer.take(batch("/b", 1, SECOND));
    assert_eq!((all(&path).len(), counters.value(Metric::StoreLost)), (5, 0));
    writer.limit_pages(1);
    for number in 0..10 {
        writer.take(batch(&format!("{long}/more/{number}"), 1, SECOND));
    }
    assert_eq!(counters.value(Metric::StoreLost), 4, "six wait");
}

#[test]
fn a_reader_sees_whole_transactions_only() {
    let (_kept, path) = place();
    let counters: Arc<Counters> = Arc::default();
    let mut writer = writer(&path, &counters);
    writer.take(batch("/a", 1, SECOND));
    let done = Arc::new(AtomicBool::new(false));
    let (reads, ended) = (path.clone(), Arc::clone(&done));
    let reader = std::thread::spawn(move || {
        let (mut before, mut looks) = (0, 0);
        while !ended.load(Ordering::Acquire) {
            let row = &all(&reads)[0];
            assert_eq!(row.statuses, [(200, row.exchanges)]);
            assert!(row.exchanges >= before);
            before = row.exchanges;
            looks += 1;
        }
        looks
    });
    for number in 0..200 {
        writer.take(batch("/a", 1, number * SECOND));
    }
    done.store(true, Ordering::Release);
    assert!(reader.join().unwrap() > 0);
    assert_eq!(all(&path)[0].exchanges, 201);
    assert_eq!(counters.value(Metric::StoreFailed), 0);
}

#[test]
fn what_is_old_goes() {
    let (_kept, path) = place();
    let counters: Arc<Counters> = Arc::default();
    let mut writer = writer(&path, &counters);
    writer.take(batch("/old", 1, DAY));
    writer.take(batch("/new", 1, 50 * DAY));
    for _ in 0..30 {
        writer.take(batch("/now", 1, 95 * DAY));
    }
    let rows = all(&path);
    let left: Vec<_> = rows.iter().map(|row| row.template.as_str()).collect();
    assert_eq!(left, ["/new", "/now"]);
    let connection = Connection::open(&path).unwrap();
    let orphans: i64 = connection
        .query_row(
            "SELECT count(*) FROM statuses WHERE endpoint NOT IN (SELECT id FROM endpoints)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(orphans, 0);
}

#[test]
fn the_file_stays_below_its_bound_and_what_is_called_often_stays() {
    let (_kept, path) = place();
    let bounds = Bounds {
        retention_ns: 0,
        max_bytes: 1 << 20,
    };
    let run = |number: u64| {
        let mut writer = Writer::new(
            open::to_write(&path, settings(Pace::Replay).key, Whose::Own).unwrap(),
            bounds,
            Arc::default(),
            Arc::default(),
        );
        let mut flood = batch("/called/often", 100, number * SECOND);
        for one in 0..2000 {
            let scanned = batch(
                &format!("/scan/{number}/{one}/abcdefghijklmnopqrstuvwxyz"),
                1,
                number * SECOND,
            );
            flood.endpoints.extend(scanned.endpoints);
        }
        writer.take(flood);
    };
    // The first flush of each writer looks at the size.
    for number in 1..20 {
        run(number);
        let bytes = fs::metadata(&path).unwrap().len();
        assert!(bytes <= bounds.max_bytes, "{bytes} bytes in round {number}");
    }
    let rows = all(&path);
    let often = rows.iter().find(|row| row.template == "/called/often").unwrap();
    assert_eq!(often.exchanges, 1900);
    assert!(rows.len() > 1000, "{} rows: more than needed went", rows.len());
}

#[test]
fn filters_choose() {
    let (_kept, path) = place();
    let mut judge = judge(&path);
    show(
        &mut judge,
        [
            Builder::get("/users/1"),
            Builder::get("/usersettings"),
            Builder::post("/users"),
            Builder::get("/a").field("Host", "other.example.org"),
            Builder::get("/b").field("Host", "[::1]:80"),
        ],
        None,
    );
    show(&mut judge, [Builder::get("/cards")], Some(&card()));
    judge.finish(&mut |_| {});
    let chosen = |filter: &Filter| {
        let found = Reader::open(&path).unwrap().endpoints(filter).unwrap();
        let rows: Vec<_> = found.rows.iter().map(|row| row.template.clone()).collect();
        (rows.join(" "), found.total)
    };
    let one = |set: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        set(&mut filter);
        filter
    };
    let text = |text: &str| Some(text.to_owned());
    for (filter, wanted) in [
        (one(&|_| ()), "/b /cards /users /users/{id} /usersettings /a"),
        (
            one(&|f| f.host = text("API.example.com")),
            "/cards /users /users/{id} /usersettings",
        ),
        (one(&|f| f.host = text("*.example.org")), "/a"),
        (one(&|f| f.host = text("[::1]")), "/b"),
        (one(&|f| f.method = text("post")), "/users"),
        (one(&|f| f.path = text("/users")), "/users /users/{id}"),
        (one(&|f| f.path = text("/users/")), "/users /users/{id}"),
        (one(&|f| (f.path, f.method) = (text("/"), text("POST"))), "/users"),
        (one(&|f| f.data = text("payment_card")), "/cards"),
        (one(&|f| f.since_ns = Some(u64::MAX)), ""),
    ] {
        assert_eq!(chosen(&filter).0, wanted, "{filter:?}");
    }
    assert_eq!(chosen(&one(&|f| f.limit = Some(2))), ("/b /cards".to_owned(), 6));
}

#[test]
fn a_stage_that_fails_as_it_reads_begins_anew_and_the_sensor_goes_on() {
    struct Failing;
    impl Remembered for Failing {
        fn label(&self) -> StateLabel {
            StateLabel {
                name: "stage",
                version: 1,
                keyed: Keyed::No,
            }
        }

        fn prepare(&self) -> Prepared {
            Box::new(|out| std::io::Write::write_all(out, &[1]).map_err(|_full| Unusable::Packed))
        }

        fn load(&mut self, _content: &[u8]) -> Result<(), Unusable> {
            panic!("a fault was asked for");
        }
    }
    let (_kept, path) = place();
    let mut store = open(&path).unwrap();
    store.finish(1, |offer| offer.stage(&Failing));
    let counters: Arc<Counters> = Arc::default();
    let mut store = Store::open(&path, settings(Pace::Replay), &counters).unwrap();
    store.recall(&mut Failing);
    assert_eq!(counters.value(Metric::StoreStates), 1);
    // What it learns now takes that place.
    store.finish(2, |_| {});
}

mod bounds;
mod file;
mod laying;
