//! What naming the caller of an exchange costs, step by step.
//!
//! `cargo bench -p sensor-user --bench callers` runs criterion. `-- --step NAME ROUNDS` runs one step so many times and
//! nothing else, for callgrind: the difference between two numbers of rounds is the step's own.

#![expect(clippy::unwrap_used, reason = "a benchmark stops on a mistake")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::Criterion;
use sensor_user::callers::Callers;
use sensor_user::capture::{Data, Direction, Origin, ProcessKey, Record, Source, StreamKey};
use sensor_user::exchange::Exchange;
use sensor_user::exchange::secret::HashKey;
use sensor_user::pipeline::{Observed, Settings, Shard};
use sensor_user::telemetry::Counters;

fn settings() -> Settings {
    Settings::new(HashKey::new([7; 32]), Arc::new(Counters::default()))
}

/// A shard with one connection.
struct Connection {
    shard: Shard,
    positions: [u64; 2],
    time_ns: u64,
    out: Vec<Observed>,
}

impl Connection {
    fn new() -> Self {
        Self {
            shard: Shard::new(&settings()),
            positions: [0; 2],
            time_ns: 1_000_000_000,
            out: Vec::new(),
        }
    }

    /// One call; the exchange as the judge gets it.
    fn call(&mut self, fields: &str) -> Exchange {
        let request = format!("GET /orders HTTP/1.1\r\nHost: api.example.com\r\n{fields}\r\n");
        let answer = "HTTP/1.1 204 No Content\r\n\r\n";
        let process = ProcessKey { pid: 1, start_ns: 1 };
        for (direction, side, message) in [
            (Direction::Read, 0, request.as_str()),
            (Direction::Write, 1, answer),
        ] {
            self.time_ns += 1_000_000;
            let data = Data {
                origin: Origin {
                    time_ns: self.time_ns,
                    process,
                    tid: 1,
                    cgroup: 0,
                },
                stream: StreamKey {
                    process,
                    source: Source::Socket,
                    id: 1,
                    generation: 0,
                },
                direction,
                position: self.positions[side],
                socket: 0,
                early: false,
                bytes: Bytes::copy_from_slice(message.as_bytes()),
            };
            self.shard.push(Record::Data(data), &mut self.out);
            self.positions[side] += message.len() as u64;
        }
        self.shard.tick(self.time_ns + 200_000_000, &mut self.out);
        self.out.pop().unwrap().exchange
    }
}

/// A token of `eyJ...` with claims as providers write them; `number` makes it another.
fn token(number: u64) -> String {
    let payload = format!(
        "{{\"iss\":\"https://login.example.com/realms/shop\",\"sub\":\"user-{}\",\"aud\":[\"shop\",\"account\"],\"azp\":\"web\",\
         \"iat\":1700000000,\"exp\":1700000900,\"jti\":\"{number}\",\"scope\":\"openid profile orders:read\",\
         \"realm_access\":{{\"roles\":[\"customer\",\"offline_access\"]}},\"preferred_username\":\"alice\",\"tid\":\"t-1\"}}",
        number % 1000
    );
    let signature = "c2lnbmF0dXJl".repeat(28);
    format!(
        "{}.{}.{signature}",
        base64(b"{\"alg\":\"RS256\",\"kid\":\"2026-01\",\"typ\":\"JWT\"}"),
        base64(payload.as_bytes())
    )
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |group: &[u8]| {
        let all = group
            .iter()
            .enumerate()
            .fold(0_u32, |all, (at, byte)| all | u32::from(*byte) << (16 - 8 * at));
        let digits =
            (0..=group.len()).map(move |digit| char::from(DIGITS[(all >> (18 - 6 * digit)) as usize & 63]));
        digits.collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// Different tokens: more than are remembered.
const TOKENS: u64 = 5000;

/// One step: its name and its work.
type Step = (&'static str, Box<dyn FnMut()>);

/// The steps; each is done once by a call.
fn steps() -> Vec<Step> {
    let call = |fields: fn(u64) -> String| {
        let mut connection = Connection::new();
        // Made beforehand: a token costs more to make than to read.
        let all: Vec<String> = (0..TOKENS).map(fields).collect();
        let mut all = all.into_iter().cycle();
        Box::new(move || {
            black_box(connection.call(&all.next().unwrap()));
        }) as Box<dyn FnMut()>
    };
    let observe = |fields: String| {
        let mut connection = Connection::new();
        let mut callers = Callers::new(sensor_user::callers::Limits::default());
        let exchange = connection.call(&fields);
        Box::new(move || {
            black_box(callers.observe(black_box(&exchange)));
        }) as Box<dyn FnMut()>
    };
    vec![
        ("shard_nobody", call(|_| String::new())),
        (
            "shard_known_opaque",
            call(|_| "Authorization: Bearer q8W2e7R4t9Y1u3I5o0P6a2S8d4F\r\n".to_owned()),
        ),
        (
            "shard_new_opaque",
            call(|number| format!("Authorization: Bearer q8W2e7R4t9Y1u3I5o0P6a2S8d4F{number}\r\n")),
        ),
        (
            "shard_known_jwt",
            call(|_| format!("Authorization: Bearer {}\r\n", token(1))),
        ),
        (
            "shard_new_jwt",
            call(|number| format!("Authorization: Bearer {}\r\n", token(number))),
        ),
        ("judge_nobody", observe(String::new())),
        (
            "judge_known_opaque",
            observe("Authorization: Bearer q8W2e7R4t9Y1u3I5o0P6a2S8d4F\r\n".to_owned()),
        ),
        (
            "judge_known_jwt",
            observe(format!("Authorization: Bearer {}\r\n", token(1))),
        ),
        (
            "judge_user_and_application",
            observe(format!(
                "Authorization: Bearer {}\r\nX-Api-Key: application\r\n",
                token(1)
            )),
        ),
    ]
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--step") {
        let (name, rounds) = (&arguments[at + 1], arguments[at + 2].parse::<u64>().unwrap());
        let (_, mut step) = steps().into_iter().find(|(known, _)| known == name).unwrap();
        (0..rounds).for_each(|_| step());
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("callers");
    for (name, mut step) in steps() {
        group.bench_function(name, |bencher| bencher.iter(&mut step));
    }
    group.finish();
    criterion.final_summary();
}
