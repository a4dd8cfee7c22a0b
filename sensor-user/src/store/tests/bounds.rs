//! What goes when there is too much, and what does not.

use super::*;

fn bounded(path: &Path, max_bytes: u64, counters: &Arc<Counters>) -> Writer {
    let bounds = Bounds {
        retention_ns: 0,
        max_bytes,
    };
    let opened = open::to_write(path, settings(Pace::Replay).key, Whose::Own).unwrap();
    Writer::new(opened, bounds, Arc::default(), Arc::clone(counters))
}

fn count(path: &Path, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let connection = Connection::open(path).unwrap();
    connection.query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// Endpoints that were called twice, so that they are among those that go first.
fn shop(path: &Path) {
    let mut writer = bounded(path, 1 << 30, &Arc::default());
    for number in 0..300 {
        writer.take(batch(
            &format!("/shop/{number}/abcdefghijklmnopqrstuvwxyz"),
            2,
            SECOND,
        ));
    }
}

#[test]
fn callers_that_were_made_up_do_not_push_endpoints_out() {
    let (_kept, path) = place();
    shop(&path);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
             INSERT INTO callers SELECT printf('%032x', i), 'bearer', 1, 1000000000, 2000000000 + i FROM n; \
             UPDATE callers SET exchanges = 50, last_seen = 1 WHERE rowid <= 500",
        )
        .unwrap();
    drop(connection);
    bounded(&path, 1 << 20, &Arc::default()).take(batch("/now", 1, 2 * SECOND));
    assert_eq!(all(&path).len(), 301);
    let callers = count(&path, "callers");
    assert!((1000..20_000).contains(&callers), "{callers}");
    let often = count(&path, "callers WHERE exchanges = 50");
    assert_eq!(often, 500, "those that came often stay, however long ago");
}

#[test]
fn what_stages_learnt_takes_no_room_from_rows() {
    let (_kept, path) = place();
    shop(&path);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "INSERT INTO state VALUES ('objects', 1, 0, zeroblob(1200000), 0), ('callers', 1, 0, zeroblob(1200000), 0), \
             ('objects.unusable', 1, 0, zeroblob(1200000), 0)",
        )
        .unwrap();
    drop(connection);
    bounded(&path, 1 << 20, &Arc::default()).take(batch("/now", 1, 2 * SECOND));
    assert_eq!(all(&path).len(), 301);
    assert_eq!(count(&path, "state WHERE name = 'objects.unusable'"), 0);
    assert_eq!(count(&path, "state WHERE name = 'objects'"), 1);
}

#[test]
fn names_that_are_made_up_are_bounded_for_each_endpoint() {
    let (_kept, path) = place();
    let counters: Arc<Counters> = Arc::default();
    let mut writer = bounded(&path, 1 << 30, &counters);
    for flush in 0..10 {
        let mut flood = batch("/search", 64, SECOND + flush);
        let addition = &mut flood.endpoints[0].1;
        let times = addition.times;
        for number in 0..64 {
            let place = Place {
                name: format!("name{flush}x{number}").into(),
                ..card().place
            };
            let values = batch::Values {
                times,
                confidence: 90,
            };
            addition.data.push((DataKind::PaymentCard, place, values));
            let subject = format!("name{flush}x{number}");
            let key = FindingKey {
                rule: "API3-001",
                subject,
            };
            let (severity, confidence) = ("high", 90);
            addition.findings.push((
                key,
                Told {
                    severity,
                    confidence,
                    times,
                },
            ));
        }
        writer.take(flood);
    }
    assert_eq!((count(&path, "data"), count(&path, "findings")), (256, 256));
    assert_eq!(counters.value(Metric::StoreOverflow), 2 * (640 - 256));
    // What is there goes on.
    let mut again = batch("/search", 1, 20 * SECOND);
    let addition = &mut again.endpoints[0].1;
    let place = Place {
        name: "name0x0".into(),
        ..card().place
    };
    let values = batch::Values {
        times: addition.times,
        confidence: 90,
    };
    addition.data.push((DataKind::PaymentCard, place, values));
    writer.take(again);
    assert_eq!(count(&path, "data WHERE count > 64"), 1);
}

#[test]
fn tokens_that_were_only_refused_are_no_callers() {
    let (_kept, path) = place();
    let mut judge = judge(&path);
    for number in 0..50 {
        let token = format!("Bearer made-up-{number}-0123456789abcdef");
        live(
            &mut judge,
            [Builder::get("/orders/1")
                .field("Authorization", &token)
                .status(401)],
        );
    }
    live(
        &mut judge,
        [Builder::get("/orders/1").field("Authorization", "Bearer good-0123456789abcdef")],
    );
    judge.finish(&mut |_| {});
    assert_eq!(count(&path, "callers"), 1);
}

#[test]
fn a_clock_that_leaps_deletes_nothing() {
    let (_kept, path) = place();
    let counters: Arc<Counters> = Arc::default();
    writer(&path, &counters).take(batch("/a", 1, DAY));
    // The next run begins with a wrong clock, ten years on.
    let mut next = writer(&path, &counters);
    for _ in 0..40 {
        next.take(batch("/b", 1, 3650 * DAY));
    }
    assert_eq!(all(&path).len(), 2);
    assert_eq!(counters.value(Metric::StoreClock), 1);
    drop(next);
    // After the next start it is believed.
    writer(&path, &counters).take(batch("/b", 1, 3651 * DAY));
    assert_eq!(all(&path).len(), 1);
}

#[test]
fn a_reader_that_does_not_end_does_not_let_the_log_grow() {
    let (_kept, path) = place();
    let counters: Arc<Counters> = Arc::default();
    let mut writer = bounded(&path, 1 << 20, &counters);
    writer.take(batch("/a", 1, SECOND));
    let mut reader = Connection::open(&path).unwrap();
    let moment = reader.transaction().unwrap();
    moment
        .query_row("SELECT count(*) FROM endpoints", [], |row| row.get::<_, i64>(0))
        .unwrap();
    let log = path.with_file_name(format!("{FILE}-wal"));
    let schema = |number: u32| vec![(called("/a"), Some(format!("{number}{}", "x".repeat(100_000))))];
    for number in 0..40 {
        writer.take(Batch {
            schemas: schema(number),
            ..batch("/a", 1, SECOND)
        });
    }
    let bytes = fs::metadata(&log).unwrap().len();
    assert!(bytes < 2 << 20, "{bytes}");
    assert!(counters.value(Metric::StoreSkipped) > 0);
    assert!(
        !writer.lost(),
        "the judge is not asked for more while there is no room"
    );
    drop(moment);
    drop(reader);
    for _ in 0..40 {
        writer.take(batch("/a", 1, SECOND));
    }
    assert!(writer.lost());
    assert_eq!(all(&path)[0].exchanges, 81);
}
