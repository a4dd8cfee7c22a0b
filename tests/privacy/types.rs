//! What a panic or a log could print: every type that holds observed bytes, half-way and at the end.

use std::fmt::{Debug, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use sensor_user::capture::{Data, Direction, Origin, ProcessKey, Record, Source, StreamKey};
use sensor_user::exchange::secret::HashKey;
use sensor_user::flow::FlowTable;
use sensor_user::pipeline::{Judge, Pipeline, Settings, Shard};
use sensor_user::telemetry::Counters;

use crate::leaks::Forbidden;
use crate::planted::{Value, percent, values};

const PROCESS: ProcessKey = ProcessKey { pid: 7, start_ns: 1 };

fn settings() -> Settings {
    Settings::new(
        HashKey::new(*b"0123456789abcdef0123456789abcdef"),
        Arc::new(Counters::default()),
    )
}

fn record(direction: Direction, position: u64, bytes: &[u8]) -> Record {
    Record::Data(Data {
        origin: Origin {
            time_ns: 1 + position,
            process: PROCESS,
            tid: 7,
            cgroup: 0,
        },
        stream: StreamKey {
            process: PROCESS,
            source: Source::Tls,
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

/// A request and its response, one value of each kind in target, field, cookie and body of both.
fn conversation(values: &[Value]) -> [(Direction, String); 2] {
    let mut body = String::from("{");
    let (mut target, mut fields) = (String::from("/users"), String::new());
    for value in values {
        let (name, text) = (value.name, percent(&value.text));
        write!(
            body,
            "\"{name}\": {}, ",
            serde_json::to_string(&value.text).unwrap()
        )
        .unwrap();
        write!(target, "/{text}").unwrap();
        write!(fields, "X-{name}: {text}\r\nCookie: {name}={text}\r\n").unwrap();
    }
    body.push_str("\"last\": 1}");
    let head = format!(
        "{fields}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [
        (
            Direction::Read,
            format!(
                "POST {target}?q={} HTTP/1.1\r\nHost: h\r\n{head}{body}",
                values.len()
            ),
        ),
        (Direction::Write, format!("HTTP/1.1 200 OK\r\n{head}{body}")),
    ]
}

/// Everything that was printed.
#[derive(Default)]
struct Printed(String);

impl Printed {
    /// Both forms of `Debug`, and a panic with the value in its message, as a failed assertion makes one.
    fn print(&mut self, value: &dyn Debug) {
        writeln!(self.0, "{value:?}\n{value:#?}").unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            panic!("{value:?}");
        }));
        self.0
            .push_str(panicked.unwrap_err().downcast_ref::<String>().unwrap());
    }
}

#[test]
fn no_debug_form_and_no_panic_shows_a_planted_value() {
    let planted = values(41);
    let forbidden = Forbidden::of(planted.iter().map(|value| ("the conversation", value)));
    let settings = settings();
    let mut shard = Shard::new(&settings);
    let mut pipeline = Pipeline::new(&settings);
    let mut judge = Judge::new(&settings);
    let mut flow = FlowTable::new(settings.flow, Arc::new(Counters::default()));
    let (mut printed, mut observed, mut events) = (Printed::default(), Vec::new(), Vec::new());
    // What the hook would print is in the payload; a test that passes is silent.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    printed.print(&settings);
    for (direction, text) in conversation(&planted) {
        // In three pieces: the stages are printed with a message half read, head and body.
        let third = text.len() / 3 + 1;
        for (number, piece) in text.as_bytes().chunks(third).enumerate() {
            let record = record(direction, (number * third) as u64, piece);
            printed.print(&record);
            flow.push(record.clone(), &mut |event| printed.print(&event));
            shard.push(record.clone(), &mut observed);
            pipeline.push(record, &mut |event| events.push(event));
            printed.print(&shard);
            printed.print(&flow);
        }
    }
    // The peer of a TLS stream may become known later, so the exchange waits.
    shard.finish(&mut observed);
    for one in &observed {
        judge.judge(one, &mut |event| events.push(event));
    }
    printed.print(&observed);
    printed.print(&judge);
    printed.print(&pipeline);
    printed.print(&events);
    std::panic::set_hook(hook);
    assert_eq!(observed.len(), 1, "the conversation is one exchange");
    // It was really found, so it was really there.
    let kinds = observed[0].labels.found.len();
    assert!(
        kinds >= 2 * planted.len(),
        "only {kinds} labels: {:?}",
        observed[0].labels
    );
    for part in ["PaymentCard", "Exchange {", "Shard {", "FlowTable {", "Data {"] {
        assert!(printed.0.contains(part), "{part} was not printed");
    }
    forbidden.assert_absent("Debug and panics", printed.0.as_bytes());
    println!(
        "{} bytes printed, {kinds} labels, {} texts not found",
        printed.0.len(),
        forbidden.len()
    );
}
