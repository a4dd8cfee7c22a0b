//! What becomes of the store when the process that writes to it is killed, or its disk is full.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops on a mistake")]
#![expect(
    clippy::print_stdout,
    reason = "the driver tells its parent; figures are what the storm is for"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _};
use sensor_user::capture::{Data, Direction, Origin, ProcessKey, Record, Source, StreamKey};
use sensor_user::exchange::secret::HashKey;
use sensor_user::export::ClockOffset;
use sensor_user::pipeline::{Pipeline, Settings};
use sensor_user::store::{self, Bounds, FILE, Filter, Pace, Reader, Store, StoreError, Whose};
use sensor_user::telemetry::{Counters, Metric};

const STORE: &str = "STORE_TEST_PATH";
const ASK: &str = "STORE_TEST_ASK";
const GROW: &str = "STORE_TEST_GROW";
const INTERVAL: u64 = 1_000_000_000;
const HOSTS: u64 = 1000;
const COLLECTIONS: [&str; 10] = [
    "orders", "bills", "users", "items", "carts", "offers", "stores", "groups", "reviews", "payments",
];
/// Exchanges of one interval.
const EACH: u64 = 20;

/// A sensor's judge in a process of its own; does nothing unless a test here starts it.
#[test]
fn driver() {
    let Some(path) = std::env::var_os(STORE) else {
        return;
    };
    let counters: Arc<Counters> = Arc::default();
    let store = Store::open(Path::new(&path), settings(), &counters).unwrap();
    let mut traffic = Traffic::new(&counters, store, std::env::var_os(GROW).is_some());
    // The parent kills it long before.
    for round in 1..1_000_000_u64 {
        let before = counters.value(Metric::StoreSkipped);
        let seen = traffic.told;
        traffic.exchange(round * INTERVAL);
        if round > 1 && counters.value(Metric::StoreSkipped) == before {
            println!("accepted {seen} failed {}", counters.value(Metric::StoreFailed));
            std::io::stdout().flush().unwrap();
        }
        for _ in 1..EACH {
            traffic.exchange(round * INTERVAL);
        }
    }
}

fn settings() -> store::Settings {
    store::Settings {
        interval_ns: INTERVAL,
        bounds: Bounds {
            retention_ns: 0,
            max_bytes: 64 << 20,
        },
        pace: Pace::Live,
        whose: Whose::Own,
        clock: ClockOffset::RECORDED,
        key: HashKey::new([7; 32]).print(),
    }
}

struct Traffic {
    pipeline: Pipeline,
    position: [u64; 2],
    told: u64,
    grow: bool,
}

impl Traffic {
    fn new(counters: &Arc<Counters>, store: Store, grow: bool) -> Self {
        let settings = Settings::new(HashKey::new([7; 32]), Arc::clone(counters));
        Self {
            pipeline: Pipeline::new(&settings).with_store(Some(store)),
            position: [0; 2],
            told: 0,
            grow,
        }
    }

    /// One exchange; a flush that is due happens before it is counted.
    fn exchange(&mut self, time_ns: u64) {
        let number = self.told;
        let host = if self.grow { number } else { 0 };
        let path = ["users", "orders", "items"][usize::try_from(number % 3).unwrap()];
        let ask = format!(
            "GET /{path}/{number} HTTP/1.1\r\nHost: h{host}.example\r\nAuthorization: Bearer t{}\r\n\r\n",
            number % 5
        );
        self.send(time_ns, Direction::Read, ask.into_bytes());
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        self.send(time_ns, Direction::Write, answer.to_vec());
    }

    /// An order of one of many endpoints and one of a thousand callers.
    fn order(&mut self, number: u64, endpoint: u64) {
        // An inventory has room for a thousand hosts.
        let (host, collection) = (
            endpoint % HOSTS,
            COLLECTIONS[usize::try_from(endpoint / HOSTS).unwrap()],
        );
        let ask = format!(
            "GET /{collection}/{number}?expand=rows HTTP/1.1\r\nHost: h{host}.example\r\nAuthorization: Bearer t{}\r\n\r\n",
            number % 1000
        );
        let body = format!(
            r#"{{"id":{number},"status":"open","total":12.5,"customer":{{"id":{},"name":"x"}},"rows":[{{"sku":"a-{number}","many":2}}]}}"#,
            number % 1000
        );
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.send(number * 1000, Direction::Read, ask.into_bytes());
        self.send(number * 1000, Direction::Write, answer.into_bytes());
    }

    fn send(&mut self, time_ns: u64, direction: Direction, bytes: Vec<u8>) {
        let process = ProcessKey { pid: 42, start_ns: 7 };
        let position = &mut self.position[usize::from(direction == Direction::Write)];
        let record = Record::Data(Data {
            origin: Origin {
                time_ns,
                process,
                tid: 1,
                cgroup: 1,
            },
            stream: StreamKey {
                process,
                source: Source::Socket,
                id: 64,
                generation: 0,
            },
            direction,
            position: *position,
            socket: 0,
            early: false,
            bytes: Bytes::from(bytes),
        });
        *position += record_bytes(&record);
        let told = &mut self.told;
        self.pipeline.push(record, &mut |event| {
            *told += u64::from(matches!(event, sensor_user::export::Event::Exchange(_)));
        });
    }
}

fn record_bytes(record: &Record) -> u64 {
    match record {
        Record::Data(data) => data.bytes.len() as u64,
        _ => 0,
    }
}

fn driver_command() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "driver", "--nocapture"]);
    command
}

/// Starts a driver, kills it so long after so many flushes were accepted, and gives what it said of each: exchanges and
/// failures. One is accepted when the writer is done with the one before.
fn killed(mut command: Command, flushes: usize, after: Duration) -> Vec<(u64, u64)> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    let mut next = |said: &mut Vec<_>| {
        let line = lines.next().and_then(Result::ok);
        said.extend(line.as_deref().and_then(accepted));
        line.is_some()
    };
    while said.len() < flushes {
        assert!(next(&mut said), "the driver ended by itself");
    }
    std::thread::sleep(after);
    child.kill().unwrap();
    while next(&mut said) {}
    child.wait().unwrap();
    said
}

fn accepted(line: &str) -> Option<(u64, u64)> {
    let mut words = line.strip_prefix("accepted ")?.split(" failed ");
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// Sums of three tables, which one transaction keeps equal.
fn sums(path: &Path) -> [u64; 3] {
    let connection = Connection::open(path).unwrap();
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
    ["endpoints", "statuses", "runs"].map(|table| {
        let sum = format!("SELECT ifnull(sum(exchanges), 0) FROM {table}");
        let sum: i64 = connection.query_row(&sum, [], |row| row.get(0)).unwrap();
        u64::try_from(sum).unwrap()
    })
}

/// Exchanges that the inventory will know of at the next start.
fn inventory_exchanges(path: &Path) -> u64 {
    let connection = Connection::open(path).unwrap();
    let content = connection
        .query_row(
            "SELECT CAST(content AS TEXT) FROM state WHERE name = 'inventory'",
            [],
            |row| row.get::<_, String>(0),
        )
        .optional()
        .unwrap();
    let Some(content) = content else { return 0 };
    let saved: serde_json::Value = serde_json::from_str(&content).unwrap();
    let endpoints = saved["known"].as_array().unwrap().iter();
    let exchanges = endpoints.filter_map(|one| one["history"]["exchanges"].as_u64());
    exchanges.sum()
}

fn storm(kills: u64) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let (mut before, mut flushes, mut behind) = (0, 0, 0);
    for kill in 0..kills {
        let mut command = driver_command();
        command.env(STORE, &path);
        // From before the file is open to some hundred flushes later, in an order that looks like none.
        let accepted = killed(command, 0, Duration::from_millis(5 + kill * 67 % 300));
        flushes += accepted.len();
        if !path.exists() {
            continue;
        }
        let mut reader = match Reader::open(&path) {
            Ok(reader) => reader,
            // Killed before the tables were there.
            Err(StoreError::Absent { .. }) if before == 0 => continue,
            Err(error) => panic!("kill {kill}: {error}: {:?}", std::error::Error::source(&error)),
        };
        let [endpoints, statuses, runs] = sums(&path);
        assert_eq!((endpoints, statuses), (runs, runs), "kill {kill}");
        // A flush is taken only when the one before is on disk, so all but the last are.
        let last = accepted.len().checked_sub(2).and_then(|last| accepted.get(last));
        let least = before + last.map_or(0, |(seen, _)| *seen);
        assert!(runs >= least, "kill {kill}: {runs} of {least}");
        behind += u64::from(accepted.last().is_some_and(|(seen, _)| runs < before + seen));
        let rows = reader.endpoints(&Filter::default()).unwrap().rows;
        assert!(rows.len() <= 3 && rows.iter().all(|row| row.template.ends_with("/{id}")));
        // What stages learnt is of the same transaction as the rows.
        let learnt = reader.learnt(&Filter::default()).unwrap();
        let requests = learnt
            .iter()
            .filter_map(|one| Some(one.schema.as_ref()?.requests()));
        assert_eq!(requests.map(u64::from).sum::<u64>(), runs, "kill {kill}");
        assert_eq!(inventory_exchanges(&path), runs, "kill {kill}");
        before = runs;
    }
    println!(
        "{kills} kills, {flushes} flushes, {before} exchanges kept; {behind} times the flush under way was lost"
    );
    assert!(flushes > 0 && before > 0);
}

#[test]
fn a_kill_costs_one_interval_and_damages_nothing() {
    storm(50);
}

/// The beginning is where a reader may meet half a store: tables, version and first rows must come at once.
#[test]
fn a_kill_while_the_store_is_made_leaves_one_or_none() {
    let (mut none, mut empty, mut full) = (0, 0, 0);
    for kill in 0..60_u64 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let mut command = driver_command();
        command.env(STORE, &path);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(&path);
        // A store is made in some milliseconds, on a busy host in a hundred.
        std::thread::sleep(Duration::from_micros(kill * 1500));
        child.kill().unwrap();
        child.wait().unwrap();
        match Reader::open(&path) {
            Ok(mut reader) => {
                let found = reader.endpoints(&Filter::default()).unwrap();
                *(if found.total == 0 { &mut empty } else { &mut full }) += 1;
            }
            Err(StoreError::Absent { .. }) => none += 1,
            Err(error) => panic!("kill {kill}: {error}: {:?}", std::error::Error::source(&error)),
        }
        // And whoever writes next goes on from there.
        let counters: Arc<Counters> = Arc::default();
        Store::open(&path, settings(), &counters)
            .unwrap()
            .finish(0, |_| {});
        assert_eq!(counters.value(Metric::StoreDamaged), 0);
    }
    println!("60 kills: {none} before the tables, {empty} before the first flush, {full} after it");
    assert!(none + empty > 0, "every kill was late");
}

fn wait_for(path: &Path) {
    for _ in 0..5000 {
        if path.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no store was begun");
}

/// Says what a reader finds; does nothing unless a test here starts it.
#[test]
fn asker() {
    let Some(path) = std::env::var_os(ASK) else {
        return;
    };
    let path = Path::new(&path);
    // The place is what it is taken for.
    assert!(std::fs::write(path.with_file_name("other"), b"").is_err());
    let found = Reader::open(path).and_then(|mut reader| reader.endpoints(&Filter::default()));
    match found {
        Ok(found) => println!(
            "found {}",
            found.rows.iter().map(|row| row.exchanges).sum::<u64>()
        ),
        Err(error) => println!("refused {error}: {}", error.remedy()),
    }
}

/// What a reader says where nothing can be written: a mount for reading only, as root; else a directory without the right.
fn asked_where_nothing_can_be_written(directory: &Path) -> Option<String> {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("unshare");
        let mount = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec \"$@\"";
        command.args(["-m", "sh", "-c", mount, "sh"]).arg(directory);
        command.arg(std::env::current_exe().unwrap());
        command
    } else {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o500);
        std::fs::set_permissions(directory, mode).unwrap();
        Command::new(std::env::current_exe().unwrap())
    };
    command.args(["--exact", "asker", "--nocapture"]);
    let output = command.env(ASK, directory.join(FILE)).output().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(directory, mode).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said
        .lines()
        .find(|line| line.starts_with("found ") || line.starts_with("refused "));
    if line.is_none() {
        println!("SKIPPED: no mount can be made here: {output:?}");
    }
    line.map(str::to_owned)
}

#[test]
fn a_store_is_read_where_nothing_can_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let mut command = driver_command();
    command.env(STORE, &path);
    killed(command, 2, Duration::from_millis(300));
    let log = path.with_file_name(format!("{FILE}-wal"));
    assert!(
        log.metadata().unwrap().len() > 0,
        "the killed writer left its log"
    );
    let whole = sums_of_copy(&path);
    assert!(whole > 0);
    // As the killed writer left it: file, log and index.
    let Some(said) = asked_where_nothing_can_be_written(directory.path()) else {
        return;
    };
    assert_eq!(said, format!("found {whole}"));
    // A copy without the index, which is of no use elsewhere.
    std::fs::remove_file(path.with_file_name(format!("{FILE}-shm"))).unwrap();
    let said = asked_where_nothing_can_be_written(directory.path()).unwrap();
    assert!(
        said.starts_with("refused") && said.contains("-wal") && said.contains("--store"),
        "{said}"
    );
    // Closed in good order.
    assert_eq!(sums(&path)[0], whole);
    assert!(!log.exists(), "the last connection takes the log away");
    let said = asked_where_nothing_can_be_written(directory.path()).unwrap();
    assert_eq!(said, format!("found {whole}"));
}

/// Exchanges in a copy of the store and its log: looking at the store itself would settle it.
fn sums_of_copy(path: &Path) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join(FILE);
    std::fs::copy(path, &copy).unwrap();
    let log = |path: &Path| path.with_file_name(format!("{FILE}-wal"));
    std::fs::copy(log(path), log(&copy)).unwrap();
    sums(&copy)[0]
}

#[test]
#[ignore = "long: five hundred kills"]
fn five_hundred_kills_cost_one_interval_each() {
    storm(500);
}

/// A limit of the file's size is what a test can have of a full disk without mounting one: writes fail in the middle.
#[test]
fn a_full_disk_is_counted_and_the_sensor_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 1000; exec \"$0\" --exact driver --nocapture")
        .arg(std::env::current_exe().unwrap());
    command.env(STORE, &path).env(GROW, "1");
    let accepted = killed(command, 2, Duration::from_secs(4));
    let (seen, failed) = *accepted.last().unwrap();
    println!("{} flushes, {seen} exchanges, {failed} refused", accepted.len());
    assert!(failed > 0, "the limit was not reached: {accepted:?}");
    let at = accepted.iter().position(|(_, failed)| *failed > 0).unwrap();
    assert!(seen > accepted[at].0, "the sensor stopped when the disk was full");
    let [endpoints, statuses, runs] = sums(&path);
    assert_eq!((endpoints, statuses), (runs, runs));
    assert!(runs > 0);
}

/// For docs/decisions/store.md: what a full inventory takes in the file, and how long it takes to write and to read it.
#[test]
#[ignore = "figures: ten thousand endpoints"]
#[expect(clippy::disallowed_methods, reason = "it measures")]
fn figures() {
    const ENDPOINTS: u64 = 10_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let counters: Arc<Counters> = Arc::default();
    let how = store::Settings {
        interval_ns: u64::MAX,
        bounds: Bounds {
            retention_ns: 0,
            max_bytes: 256 << 20,
        },
        ..settings()
    };
    let store = Store::open(&path, how, &counters).unwrap();
    let mut traffic = Traffic::new(&counters, store, true);
    for number in 0..ENDPOINTS * 3 {
        traffic.order(number, number % ENDPOINTS);
    }
    let begun = std::time::Instant::now();
    traffic.pipeline.finish(&mut |_| {});
    let written = begun.elapsed();
    let bytes = path.metadata().unwrap().len();
    let connection = Connection::open(&path).unwrap();
    let sum = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let (rows, schemas) = (
        sum("SELECT count(*) FROM endpoints"),
        sum("SELECT sum(length(content)) FROM schemas"),
    );
    let states: Vec<(String, i64)> = connection
        .prepare("SELECT name, length(content) FROM state")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let begun = std::time::Instant::now();
    let store = Store::open(&path, how, &counters).unwrap();
    let again = Traffic::new(&counters, store, true);
    println!(
        "{rows} endpoints: {bytes} bytes, {} each, of which schemas {schemas}; states {states:?}; written in {written:?}, \
         open again in {:?}",
        bytes / ENDPOINTS,
        begun.elapsed()
    );
    assert_eq!(again.pipeline.judge().schemas().sorted().len(), 10_000);
}
