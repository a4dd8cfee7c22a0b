use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn batch(number: u32, length: usize) -> Batch {
    let signal = [Signal::Logs, Signal::Traces][usize::from(number % 2 == 1)];
    let byte = u8::try_from(number % 251).unwrap();
    Batch {
        signal,
        records: number + 1,
        since_s: 1_795_000_000 + u64::from(number),
        bytes: vec![byte; length].into(),
    }
}

fn spool(directory: &Path, most: u64) -> Spool {
    Spool::open(directory, most).unwrap()
}

fn taken(spool: &mut Spool) -> Vec<Batch> {
    let mut all = Vec::new();
    while let Some(batch) = spool.front() {
        spool.pop();
        all.push(batch);
    }
    all
}

#[test]
fn what_is_kept_comes_back_in_order_also_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("spool");
    let all: Vec<_> = (0..40).map(|number| batch(number, 9_000)).collect();
    let mut first = spool(&directory, 16 << 20);
    for batch in &all {
        first.push(batch).unwrap();
    }
    assert_eq!(first.records(), (1..=40).sum::<u64>());
    assert_eq!(first.since_s(), Some(1_795_000_000));
    let fronts: Vec<_> = (0..3)
        .map(|_| {
            let front = first.front().unwrap();
            assert_eq!(first.front().as_ref(), Some(&front), "the same until it is taken");
            first.pop();
            front
        })
        .collect();
    assert_eq!(fronts, all[..3]);
    assert!(
        Spool::open(&directory, 16 << 20).is_err(),
        "one sensor uses it at a time"
    );
    drop(first);
    let mut second = spool(&directory, 16 << 20);
    assert_eq!(second.since_s(), Some(1_795_000_000), "the file begins with it");
    second.front().unwrap();
    let again = taken(&mut second);
    assert!(
        all.ends_with(&again) && again.len() >= all.len() - 3,
        "at least once"
    );
    assert!(second.is_empty() && second.bytes() == 0 && second.records() == 0);
    assert_eq!(second.since_s(), None);
    assert_eq!(second.take_lost(), Lost::default());
    assert!(numbers(&directory).unwrap().is_empty(), "nothing is left on disk");
}

#[test]
fn the_oldest_make_room_and_are_counted() {
    let home = tempfile::tempdir().unwrap();
    let most = 1 << 20;
    let mut spool = spool(home.path(), most);
    let mut pushed = 0;
    for number in 0..1_000 {
        let batch = batch(number, 5_000);
        pushed += u64::from(batch.records);
        spool.push(&batch).unwrap();
        assert!(spool.bytes() <= most, "{}", spool.bytes());
    }
    let lost = spool.take_lost();
    assert!(lost.crowded > 0 && lost.damaged == 0);
    assert_eq!(lost.crowded + spool.records(), pushed);
    let since_s = spool.since_s();
    assert_eq!(
        since_s,
        spool.front().map(|batch| batch.since_s),
        "of what is left"
    );
    let rest = taken(&mut spool);
    let left: u64 = rest.iter().map(|batch| u64::from(batch.records)).sum();
    assert_eq!(lost.crowded + left, pushed);
    assert_eq!(rest.last(), Some(&batch(999, 5_000)));
    assert!(spool.push(&batch(1, 2 << 20)).is_err(), "more than all of it");
}

#[test]
fn a_smaller_bound_after_a_restart_holds() {
    let home = tempfile::tempdir().unwrap();
    let mut first = spool(home.path(), 8 << 20);
    (0..400).for_each(|number| first.push(&batch(number, 10_000)).unwrap());
    let records = first.records();
    drop(first);
    let mut second = spool(home.path(), 1 << 20);
    assert!(second.bytes() <= 1 << 20);
    assert_eq!(second.take_lost().crowded + second.records(), records);
}

#[test]
fn damage_is_counted_and_costs_one_file() {
    let home = tempfile::tempdir().unwrap();
    let mut first = spool(home.path(), 4 << 20);
    (0..100).for_each(|number| first.push(&batch(number, 10_000)).unwrap());
    let records = first.records();
    drop(first);
    let files = numbers(home.path()).unwrap();
    assert!(files.len() >= 3, "{files:?}");
    let path = home.path().join(format!("{:016x}.{ENDING}", files[1]));
    let mut bytes = fs::read(&path).unwrap();
    bytes[15_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut second = spool(home.path(), 4 << 20);
    let left: u64 = taken(&mut second)
        .iter()
        .map(|batch| u64::from(batch.records))
        .sum();
    let lost = second.take_lost();
    assert!(lost.damaged > 0 && lost.crowded == 0);
    assert_eq!(lost.damaged + left, records);
}

#[test]
fn a_file_that_was_cut_gives_what_was_whole() {
    let home = tempfile::tempdir().unwrap();
    let mut first = spool(home.path(), 4 << 20);
    (0..3).for_each(|number| first.push(&batch(number, 1_000)).unwrap());
    drop(first);
    let path = home.path().join(format!("{:016x}.{ENDING}", 0));
    let bytes = fs::read(&path).unwrap();
    for cut in [1, 100, 1_027] {
        fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
        let mut again = spool(home.path(), 4 << 20);
        assert_eq!(taken(&mut again), [batch(0, 1_000), batch(1, 1_000)]);
        assert_eq!(again.take_lost().damaged, 1);
    }
    fs::write(home.path().join("000000000000ffff.batches"), b"noise").unwrap();
    let others = ["readme", "ffff.batches"].map(|name| home.path().join(name));
    for path in &others {
        fs::write(path, b"not ours").unwrap();
    }
    let mut again = spool(home.path(), 4 << 20);
    assert_eq!(taken(&mut again), []);
    assert_eq!(again.take_lost().damaged, 1);
    assert!(others.iter().all(|path| path.exists()));
}

#[test]
fn the_owner_alone_can_read_it() {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("spool");
    let mut spool = spool(&directory, 1 << 20);
    spool.push(&batch(0, 10)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for entry in fs::read_dir(&directory).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}
