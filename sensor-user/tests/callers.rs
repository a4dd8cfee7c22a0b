//! Who calls, from bytes on: one user through login, token, refresh and session, what callers cost in memory, and what a
//! flood of them does.

#![expect(clippy::unwrap_used, reason = "a test stops on a mistake")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "memory/counted.rs"]
mod counted;

use std::sync::Arc;

use bytes::Bytes;
use counted::{held, take_most};
use sensor_user::callers::Callers;
use sensor_user::capture::{Data, Direction, Origin, ProcessKey, Record, Source, StreamKey};
use sensor_user::exchange::secret::HashKey;
use sensor_user::export::Event;
use sensor_user::pipeline::{Observed, Pipeline, Settings, Shard};
use sensor_user::telemetry::Counters;

fn settings() -> Settings {
    Settings::new(HashKey::new([1; 32]), Arc::new(Counters::default()))
}

fn record(direction: Direction, position: u64, bytes: &[u8], time_ns: u64) -> Record {
    let process = ProcessKey { pid: 1, start_ns: 1 };
    Record::Data(Data {
        origin: Origin {
            time_ns,
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
        position,
        socket: 0,
        early: false,
        bytes: Bytes::copy_from_slice(bytes),
    })
}

fn request(line: &str, fields: &str, body: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\nHost: api.example.com\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn answer(status: &str, fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The callers of a conversation on one connection.
fn callers(turns: &[[String; 2]]) -> Vec<Option<String>> {
    let mut pipeline = Pipeline::new(&settings());
    let mut told = Vec::new();
    let mut sink = |event: Event| {
        let text = format!("{event:?}");
        assert!(!text.contains("PLANTED"), "{text}");
        if let Event::Exchange(summary) = event {
            told.push(summary.caller.map(|(_, hash)| hash.to_string()));
        }
    };
    let mut positions = [0; 2];
    let mut time_ns = 1_000;
    for turn in turns {
        let sides = [(Direction::Read, 0), (Direction::Write, 1)];
        for ((direction, side), message) in sides.into_iter().zip(turn) {
            time_ns += 1_000_000_000;
            let bytes = message.as_bytes();
            pipeline.push(record(direction, positions[side], bytes, time_ns), &mut sink);
            positions[side] += bytes.len() as u64;
        }
    }
    pipeline.finish(&mut sink);
    told
}

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

#[test]
fn login_token_refresh_and_session_are_one_caller() {
    let bearer = |token: &str| format!("Authorization: Bearer PLANTED-{token}-q8W2e7R4t9Y1\r\n");
    let ok = || answer("200 OK", JSON, "{\"orders\":[]}");
    let tokens = |access: &str, refresh: &str| {
        let body = format!(
            "{{\"data\":{{\"access_token\":\"PLANTED-{access}-q8W2e7R4t9Y1\",\"refresh_token\":\"PLANTED-{refresh}-q8W2e7R4t9Y1\",\
             \"expires_in\":900}}}}"
        );
        answer(
            "200 OK",
            &format!("{JSON}Set-Cookie: odd=PLANTED-{access}-c00kie4t9Y1; HttpOnly\r\n"),
            &body,
        )
    };
    let login = "{\"email\":\"PLANTED@example.com\",\"password\":\"PLANTED\"}";
    let refresh = "grant_type=refresh_token&refresh_token=PLANTED-r1-q8W2e7R4t9Y1";
    let turns = [
        [request("POST /login", JSON, login), tokens("a1", "r1")],
        [request("GET /orders", &bearer("a1"), ""), ok()],
        [request("POST /token", FORM, refresh), tokens("a2", "r2")],
        [request("GET /orders", &bearer("a2"), ""), ok()],
        [
            request(
                "GET /page",
                "Cookie: theme=dark; odd=PLANTED-a2-c00kie4t9Y1\r\n",
                "",
            ),
            ok(),
        ],
        [
            request("GET /orders?access_token=PLANTED-a2-q8W2e7R4t9Y1", "", ""),
            ok(),
        ],
        [
            request(
                "GET /orders",
                "Authorization: Basic UExBTlRFREBleGFtcGxlLmNvbTp4\r\n",
                "",
            ),
            ok(),
        ],
        [request("GET /orders", &bearer("stranger"), ""), ok()],
        [request("GET /orders", "", ""), ok()],
    ];
    let told = callers(&turns);
    assert_eq!(told.len(), turns.len());
    assert!(told[0].is_some());
    for (number, caller) in told[..7].iter().enumerate() {
        assert_eq!(*caller, told[0], "turn {number}");
    }
    assert!(told[7].is_some() && told[7] != told[0]);
    assert_eq!(told[8], None);
}

/// Exchanges of a conversation, ready for the judge; fed to it again and again under other tokens.
struct Wire {
    shard: Shard,
    positions: [u64; 2],
    time_ns: u64,
    out: Vec<Observed>,
}

impl Wire {
    fn new() -> Self {
        Self {
            shard: Shard::new(&settings()),
            positions: [0; 2],
            time_ns: 1_000_000_000,
            out: Vec::new(),
        }
    }

    fn exchange(&mut self, request: &str, answer: &str, step_ns: u64) -> Observed {
        for (direction, side, message) in [(Direction::Read, 0, request), (Direction::Write, 1, answer)] {
            self.time_ns += step_ns / 2;
            let bytes = message.as_bytes();
            let record = record(direction, self.positions[side], bytes, self.time_ns);
            self.shard.push(record, &mut self.out);
            self.positions[side] += bytes.len() as u64;
        }
        // No socket is named here: exchanges wait for it.
        self.shard.tick(self.time_ns + 200_000_000, &mut self.out);
        self.out.pop().unwrap()
    }
}

/// Bytes of a caller that the design allows; the issue asks for 100,000 callers and 10,000 endpoints within 400 MiB.
const BYTES_PER_CALLER: usize = 1024;

/// Callers who log in, come back until they are established, and stay.
fn cost(many: usize) {
    let mut source = Wire::new();
    let mut callers = Callers::new(sensor_user::callers::Limits::default());
    let before = held();
    for user in 0..many {
        let tokens = format!(
            "{{\"access_token\":\"a{user}-q8W2e7R4t9Y1u3I5\",\"refresh_token\":\"r{user}-q8W2e7R4t9Y1u3I5\"}}"
        );
        let login = format!("{{\"username\":\"user{user}\",\"password\":\"x\"}}");
        let (asked, answered) = (
            request("POST /login", JSON, &login),
            answer("200 OK", JSON, &tokens),
        );
        let observed = source.exchange(&asked, &answered, 20_000_000_000);
        callers.observe(&observed.exchange);
        let bearer = format!("Authorization: Bearer a{user}-q8W2e7R4t9Y1u3I5\r\n");
        for _ in 0..2 {
            let observed = source.exchange(
                &request("GET /orders", &bearer, ""),
                &answer("200 OK", JSON, "{}"),
                20_000_000_000,
            );
            callers.observe(&observed.exchange);
        }
    }
    assert_eq!(callers.len(), (many, 0));
    drop(source);
    let bytes = held().saturating_sub(before) / many;
    println!("{many} callers with a name and two tokens: {bytes} bytes each");
    assert!(bytes <= BYTES_PER_CALLER, "{bytes}");
}

#[test]
fn a_caller_costs_little_memory() {
    cost(4_000);
}

#[test]
#[ignore = "a hundred thousand logins take minutes"]
fn a_hundred_thousand_callers_cost_little_memory() {
    cost(100_000);
}

/// Bytes that a flood may add: the probation and the tables of failures at their fullest.
const FLOOD: usize = 32 * 1024 * 1024;

fn flood(tokens: usize) {
    let mut source = Wire::new();
    let mut callers = Callers::new(sensor_user::callers::Limits::default());
    let bearer = "Authorization: Bearer established-q8W2e7R4t9Y1\r\n";
    let friend = request("GET /orders", bearer, "");
    let ok = answer("200 OK", JSON, "{}");
    let mut first = None;
    for _ in 0..5 {
        let observed = source.exchange(&friend, &ok, 20_000_000_000);
        first = callers.observe(&observed.exchange).id;
    }
    let mut observed = source.exchange(&friend, &ok, 1_000_000);
    let before = held();
    take_most();
    for number in 0..tokens {
        let bearer = format!("Authorization: Bearer flood{number}-q8W2e7R4t9Y1\r\n");
        let (status, body) = match number % 4 {
            0 => ("401 Unauthorized", "{}"),
            _ => ("200 OK", "{}"),
        };
        observed = source.exchange(
            &request("GET /orders", &bearer, ""),
            &answer(status, JSON, body),
            1_000_000,
        );
        callers.observe(&observed.exchange);
        if number == tokens / 10 {
            let now = held().saturating_sub(before);
            println!("{number} tokens: {now} bytes more");
        }
    }
    let most = take_most().saturating_sub(before);
    println!(
        "{tokens} tokens: {most} bytes more at most; {} forgotten",
        callers.forgotten()
    );
    assert!(most < FLOOD, "{most}");
    drop(observed);
    let observed = source.exchange(&friend, &ok, 1_000_000);
    let again = callers.observe(&observed.exchange);
    assert!(again.established && again.id == first);
}

#[test]
fn a_flood_of_tokens_keeps_memory_flat() {
    flood(40_000);
}

#[test]
#[ignore = "ten million tokens take minutes"]
fn ten_million_tokens_keep_memory_flat() {
    flood(10_000_000);
}
