//! What becomes of the file: whose it is, what is in its place, what is odd in it.

use super::*;

fn named(path: &Path, key: KeyedHash) -> Result<Store, StoreError> {
    let settings = Settings {
        whose: Whose::Named,
        key,
        ..settings(Pace::Replay)
    };
    Store::open(path, settings, &Arc::default())
}

#[test]
fn a_file_that_somebody_named_is_left_as_it_is() {
    let own = HashKey::new([0; 32]).print();
    for content in [
        &b"a letter, and long enough to be taken for a file of something"[..],
        &[0; 5000],
    ] {
        let (_kept, path) = place();
        fs::write(&path, content.repeat(20)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = named(&path, own).unwrap_err();
        assert!(error.remedy().contains("--store"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), content.repeat(20));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
    }
    let (_kept, path) = place();
    filled(&path);
    let before = left(&path);
    let error = named(&path, HashKey::new([1; 32]).print()).unwrap_err();
    assert!(matches!(error, StoreError::OtherKey { .. }), "{error}");
    assert!(error.remedy().contains("state.key_file") && !error.is_bearable());
    assert_eq!(left(&path), before);
    // The key before it is known, and its own.
    for key in [own, HashKey::rotated([1; 32], [0; 32]).print()] {
        named(&path, key).unwrap().finish(0, |_| {});
    }
}

#[test]
fn a_database_of_others_keeps_its_mode() {
    let (_kept, path) = place();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("CREATE TABLE letters (a)").unwrap();
    drop(connection);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    assert!(matches!(open(&path), Err(StoreError::Foreign { .. })));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o664);
}

#[test]
fn a_new_one_is_begun_as_soon_as_it_can_be() {
    let (_kept, path) = place();
    let counters: Arc<Counters> = Arc::default();
    let mut writer = writer(&path, &counters);
    writer.take(batch("/before", 1, SECOND));
    // Something lies where the damaged one would go.
    let aside = path.with_file_name(format!("{FILE}.damaged"));
    fs::create_dir_all(aside.join("sub")).unwrap();
    writer.damaged();
    for _ in 0..3 {
        fs::write(&path, b"no database, but something that was written over it").unwrap();
        writer.take(batch("/while", 1, SECOND));
    }
    assert_eq!(counters.value(Metric::StoreFailed), 4);
    fs::remove_dir_all(&aside).unwrap();
    writer.take(batch("/after", 1, SECOND));
    let rows: Vec<_> = all(&path).into_iter().map(|row| row.template).collect();
    assert_eq!(rows, ["/after", "/while"], "what waited is written, too");
    assert!(writer.lost());
    assert_eq!(counters.value(Metric::StoreLost), 0);
}

#[test]
fn a_file_that_is_deleted_or_replaced_is_noticed() {
    let (_kept, path) = place();
    let counters: Arc<Counters> = Arc::default();
    let mut writer = writer(&path, &counters);
    writer.take(batch("/a", 1, SECOND));
    fs::remove_file(&path).unwrap();
    writer.take(batch("/b", 1, SECOND));
    assert_eq!(all(&path).len(), 1, "it is in the new file");
    assert!(writer.lost());
    assert_eq!(counters.value(Metric::StoreDamaged), 1);
    // A copy of another time is put in its place.
    let (_kept, copy) = place();
    filled(&copy);
    fs::rename(&copy, &path).unwrap();
    writer.take(batch("/c", 1, SECOND));
    assert_eq!(counters.value(Metric::StoreDamaged), 2);
    assert!(all(&path).iter().any(|row| row.template == "/c"));
    assert!(all(&path).len() > 1, "it goes on with what is there");
    writer.take(batch("/d", 1, SECOND));
    assert_eq!(counters.value(Metric::StoreDamaged), 2);
}

#[test]
fn odd_rows_do_not_hide_the_others() {
    let (_kept, path) = place();
    let mut judge = judge(&path);
    live(&mut judge, traffic(0));
    judge.finish(&mut |_| {});
    let wanted = schemas_of(&judge).len();
    let endpoints = all(&path).len();
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "INSERT INTO endpoints (kind, method, host, template, first_seen, last_seen, exchanges, confidence) \
             VALUES ('rest', 'GET', 'h', '/odd', 1, 2, 'many', 300), \
             ('rest', 'GET', CAST(x'ff' AS TEXT), '/worse', 1, 2, 3, 'sure'), \
             ('rest', x'ffff', 'h', x'fe', 'x', 2, 3, -1);
             INSERT INTO statuses SELECT id, 70000, 1 FROM endpoints; INSERT INTO statuses SELECT id, 'x', 'y' FROM endpoints;
             INSERT INTO auth SELECT id, CAST(x'ff' AS TEXT), 1 FROM endpoints;
             INSERT INTO data SELECT id, 'response', 'body', CAST(x'ff' AS TEXT), 'iban', 1, 300, 1, 2 FROM endpoints;
             INSERT INTO resources SELECT id, 'p', 'server', 70000, '', '', '', 7, 1, 1, 2 FROM endpoints;
             INSERT INTO schemas SELECT id, 1, CAST(x'ff' AS TEXT) FROM endpoints WHERE template IN ('/odd', '/worse')",
        )
        .unwrap();
    drop(connection);
    let rows = all(&path);
    assert_eq!(rows.len(), endpoints + 3);
    let odd = rows.iter().find(|row| row.template == "/odd").unwrap();
    assert_eq!((odd.confidence, odd.exchanges, odd.statuses.len()), (None, 0, 2));
    let learnt = Reader::open(&path).unwrap().learnt(&Filter::default()).unwrap();
    assert_eq!(learnt.len(), endpoints + 3);
    let counters: Arc<Counters> = Arc::default();
    let store = Store::open(&path, settings(Pace::Replay), &counters).unwrap();
    let judge = judge_with(store);
    assert_eq!(schemas_of(&judge).len(), wanted);
    assert_eq!(counters.value(Metric::StoreStates), 2);
}
