use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use crate::capture::{CloseReason, Data, Direction, Origin, ProcessKey, Record, Source, StreamKey};
use crate::exchange::Exchange;
use crate::exchange::secret::HashKey;
use crate::flow::subject;
use crate::pipeline::{Observed, Settings, Shard};
use crate::telemetry::ledger::{Account, Key, Post};
use crate::telemetry::strain::{Cause, News};
use crate::telemetry::{Counters, Metric};

const PROCESS: ProcessKey = ProcessKey { pid: 7, start_ns: 1 };
const REQUEST: &str = "GET /orders/{} HTTP/1.1\r\nHost: shop.example\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";

fn key(id: u64) -> StreamKey {
    StreamKey {
        process: PROCESS,
        source: Source::Tls,
        id,
        generation: 0,
    }
}

fn account(counters: &Counters) -> Account {
    let accounts = counters.ledger().accounts();
    accounts
        .into_iter()
        .find(|account| account.process == Key::from(PROCESS))
        .unwrap()
}

/// Connections that speak HTTP/1.1, and what became of what they said.
struct Bench {
    shard: Shard,
    counters: Arc<Counters>,
    positions: [[u64; 2]; 64],
    now_ns: u64,
    told: Vec<Observed>,
}

impl Bench {
    fn new() -> Self {
        let counters = Arc::new(Counters::default());
        Self {
            shard: Shard::new(&Settings::new(HashKey::new([7; 32]), Arc::clone(&counters))),
            counters,
            positions: [[0; 2]; 64],
            now_ns: 0,
            told: Vec::new(),
        }
    }

    /// As when the process was judged long ago.
    fn known(&self) {
        let strain = self.counters.strain();
        strain.judged(subject(&key(63)), News::None);
        (0..400).for_each(|_| strain.second());
    }

    /// A record of so many bytes further on, and those before it a moment later when `late`.
    fn says(&mut self, id: usize, direction: Direction, text: &str, late: bool) {
        let at = self.positions[id][direction as usize];
        let (front, rest) = text.split_at(text.len() / 2);
        let mut parts = [(at, front), (at + front.len() as u64, rest)];
        if late {
            parts.reverse();
        }
        for (position, text) in parts {
            self.now_ns += 1_000;
            let origin = Origin {
                time_ns: self.now_ns,
                process: PROCESS,
                tid: 7,
                cgroup: 0,
            };
            let data = Data {
                origin,
                stream: key(id as u64),
                direction,
                position,
                socket: 0,
                early: false,
                bytes: Bytes::copy_from_slice(text.as_bytes()),
            };
            self.shard.push(Record::Data(data), &mut self.told);
        }
        self.positions[id][direction as usize] = at + text.len() as u64;
    }

    fn exchange(&mut self, id: usize, name: &str, late: bool) {
        self.says(id, Direction::Read, &REQUEST.replace("{}", name), late);
        self.says(id, Direction::Write, ANSWER, late);
    }

    fn close(&mut self, id: usize) {
        self.now_ns += 1_000;
        let origin = Origin {
            time_ns: self.now_ns,
            process: PROCESS,
            tid: 7,
            cgroup: 0,
        };
        let close = Record::Close {
            origin,
            stream: key(id as u64),
            reason: CloseReason::Socket,
            ends: None,
        };
        self.shard.push(close, &mut self.told);
    }

    /// Paths of whole exchanges so far; everything that was said is in the account.
    fn ended(mut self) -> (Vec<String>, Arc<Counters>) {
        self.shard.finish(&mut self.told);
        let whole = self.told.iter().map(|observed| &observed.exchange);
        let whole = whole.filter(|exchange| {
            let response = exchange.outcome.response();
            exchange.is_success() && response.is_some_and(|response| response.body.is_whole())
        });
        let path =
            |exchange: &Exchange| String::from_utf8_lossy(exchange.request.target().expose()).into_owned();
        let paths = whole.map(path).collect();
        assert_eq!(self.counters.ledger().unbalanced(), None);
        let said: u64 = self.positions.iter().flatten().sum();
        if said == 0 {
            return (paths, self.counters);
        }
        let account = account(&self.counters);
        assert_eq!(account.user(Post::ReceivedBytes), said);
        assert_eq!(
            account.user(Post::LeftOutBytes),
            self.counters.value(Metric::BytesLeftOut)
        );
        (paths, self.counters)
    }
}

/// One that grade 1 leaves out, and one that even the last keeps.
fn one_of_each() -> (usize, usize) {
    let bench = Bench::new();
    bench.known();
    let strain = bench.counters.strain();
    let find = |grade, kept| {
        strain.set(grade, 0);
        (0..63)
            .find(|id| strain.keeps(subject(&key(*id as u64))) == kept)
            .unwrap()
    };
    (find(1, false), find(3, true))
}

#[test]
fn a_connection_is_left_out_whole_and_read_again_afterwards() {
    let (out, kept) = one_of_each();
    let mut bench = Bench::new();
    bench.known();
    for id in [out, kept] {
        bench.exchange(id, &format!("before-{id}"), false);
    }
    bench.counters.strain().set(1, Cause::Cpu.bit());
    for id in [out, kept] {
        bench.exchange(id, &format!("during-{id}"), false);
    }
    bench.counters.strain().set(0, 0);
    for id in [out, kept] {
        // What comes first is the rest of something, for all that is known.
        bench.exchange(id, &format!("first-{id}"), false);
        bench.exchange(id, &format!("after-{id}"), false);
    }
    let (paths, counters) = bench.ended();
    for (name, told) in [("before", true), ("during", false), ("after", true)] {
        assert_eq!(
            paths.contains(&format!("/orders/{name}-{out}")),
            told,
            "{name}: {paths:?}"
        );
        assert!(
            paths.contains(&format!("/orders/{name}-{kept}")),
            "{name}: {paths:?}"
        );
    }
    assert_eq!(counters.value(Metric::StreamsLeftOut), 1);
    let during = REQUEST.replace("{}", &format!("during-{out}")).len() + ANSWER.len();
    assert_eq!(counters.value(Metric::BytesLeftOut), during as u64);
}

#[test]
fn silent_connections_are_let_go_when_the_strain_grows() {
    let (out, _) = one_of_each();
    let mut bench = Bench::new();
    bench.known();
    // The beginning of an answer that never goes on.
    bench.says(out, Direction::Read, &REQUEST.replace("{}", "slow"), false);
    bench.says(out, Direction::Write, "HTTP/1.1 200 OK\r\nContent-Le", false);
    bench.counters.strain().set(1, Cause::Memory.bit());
    bench.shard.tick(bench.now_ns, &mut bench.told);
    assert_eq!(bench.counters.value(Metric::StreamsLeftOut), 1);
    let account = account(&bench.counters);
    assert_eq!(account.user(Post::WaitingBytes), 0);
}

proptest! {
    /// However grades come and go, whatever comes late: accounts close, and no exchange is made up.
    #[test]
    fn accounts_close_and_nothing_is_made_up(
        steps in proptest::collection::vec((0..8_usize, 0..=3_u8, any::<bool>(), 0..12_u8), 1..80),
    ) {
        let mut bench = Bench::new();
        bench.known();
        let mut said = Vec::new();
        for (number, (id, grade, late, what)) in steps.into_iter().enumerate() {
            match what {
                0 => bench.close(id),
                1..4 => bench.counters.strain().set(grade, 0),
                _ => {
                    let name = format!("{number}-{id}");
                    bench.exchange(id, &name, late);
                    said.push(format!("/orders/{name}"));
                }
            }
        }
        let (paths, _) = bench.ended();
        for path in &paths {
            prop_assert!(said.contains(path), "{path}");
        }
        let mut once = paths.clone();
        once.sort();
        once.dedup();
        prop_assert_eq!(once.len(), paths.len());
    }
}
