//! What becomes of the store when the process that writes to it is killed, or its disk is full.

#![expect(clippy::unwrap_used, reason = "a test stops on a mistake")]
#![expect(
    clippy::print_stdout,
    reason = "the driver tells its parent; figures are what the storm is for"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use sensor_user::capture::{Data, Direction, Origin, ProcessKey, Record, Source, StreamKey};
use sensor_user::exchange::secret::HashKey;
use sensor_user::export::ClockOffset;
use sensor_user::pipeline::{Pipeline, Settings};
use sensor_user::store::{self, Bounds, FILE, Filter, Pace, Reader, Store};
use sensor_user::telemetry::{Counters, Metric};

const STORE: &str = "STORE_TEST_PATH";
const GROW: &str = "STORE_TEST_GROW";
const INTERVAL: u64 = 1_000_000_000;
/// Exchanges of one interval.
const EACH: u64 = 20;

/// A sensor's judge in a process of its own; does nothing unless a test here starts it.
#[test]
fn driver() {
    let Some(path) = std::env::var_os(STORE) else {
        return;
    };
    let counters: Arc<Counters> = Arc::default();
    let settings = store::Settings {
        interval_ns: INTERVAL,
        bounds: Bounds {
            retention_ns: 0,
            max_bytes: 64 << 20,
        },
        pace: Pace::Live,
        clock: ClockOffset::RECORDED,
    };
    let store = Store::open(Path::new(&path), settings, &counters).unwrap();
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

struct Traffic {
    pipeline: Pipeline,
    position: [u64; 2],
    told: u64,
    grow: bool,
}

impl Traffic {
    fn new(counters: &Arc<Counters>, store: Store, grow: bool) -> Self {
        let settings = Settings {
            callers: sensor_user::callers::Limits::default(),
            trusted_proxies: Vec::new(),
            flow: sensor_user::flow::Limits::default(),
            exchange: sensor_user::exchange::Limits::default(),
            classify: sensor_user::classify::Limits::default(),
            inventory: sensor_user::inventory::Limits::default(),
            schema: Arc::default(),
            key: HashKey::new([7; 32]),
            counters: Arc::clone(counters),
        };
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

/// Starts a driver, kills it so long after its first flush, and gives what it said of each: exchanges and failures.
fn killed(mut command: Command, after: Duration) -> Vec<(u64, u64)> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| {
            let mut words = line.strip_prefix("accepted ")?.split(" failed ");
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        })
        .collect()
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

fn storm(kills: u64) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    let (mut before, mut flushes, mut behind) = (0, 0, 0);
    for kill in 0..kills {
        let mut command = driver_command();
        command.env(STORE, &path);
        // From before the file is open to some hundred flushes later, in an order that looks like none.
        let accepted = killed(command, Duration::from_millis(5 + kill * 37 % 150));
        flushes += accepted.len();
        if !path.exists() {
            continue;
        }
        let Ok(mut reader) = Reader::open(&path) else {
            // Killed before the first table was there.
            assert_eq!(before, 0);
            continue;
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
    let accepted = killed(command, Duration::from_secs(4));
    let (seen, failed) = *accepted.last().unwrap();
    println!("{} flushes, {seen} exchanges, {failed} refused", accepted.len());
    assert!(failed > 0, "the limit was not reached: {accepted:?}");
    let at = accepted.iter().position(|(_, failed)| *failed > 0).unwrap();
    assert!(seen > accepted[at].0, "the sensor stopped when the disk was full");
    let [endpoints, statuses, runs] = sums(&path);
    assert_eq!((endpoints, statuses), (runs, runs));
    assert!(runs > 0);
}
