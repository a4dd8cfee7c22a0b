//! Floods of what an attacker makes up, beside what was learnt: memory stays flat, and what fired before fires after.

use std::sync::Arc;

use super::estate::{self, Call, NOUNS, OPERATIONS, answer, jwt, mixed, opaque, request};
use super::sensor::Sensor;

/// The host whose customers say who they are, and how many hosts there are.
const HOST: usize = 0;
/// Customers, and what they use.
const CUSTOMERS: usize = 40;
const USED: usize = 8;
/// Bytes that a flood may add once each piece of the tables of fixed size has its memory: what is new takes the places of
/// what was made up before.
const GROWTH: usize = 4 << 20;

fn own(caller: usize, noun: usize, operation: usize) -> Call {
    let (host, owner) = (HOST, caller);
    Call {
        host,
        noun,
        operation,
        caller,
        owner,
        object: caller % estate::OBJECTS,
    }
}

/// Customers list what is theirs, look at it and change it.
fn learn(sensor: &mut Sensor) {
    for _ in 0..2 {
        for noun in 0..USED {
            for caller in 0..CUSTOMERS {
                (0..OPERATIONS).for_each(|operation| sensor.call(&own(caller, noun, operation)));
            }
            sensor.pause(60);
        }
    }
}

/// What a service may be weak at, and the rule that says so.
const WEAKNESSES: [(&str, &str); 4] = [
    ("another's object, with its owner's name", "API1-001"),
    ("another's object, without a name", "API1-002"),
    ("a payment card in the answer", "API3-003"),
    ("no credentials", "API2-002"),
];

/// Each of them once, by customers and at endpoints of which nothing was told; whether the rule fired.
fn weak(sensor: &mut Sensor, turn: usize) -> [bool; WEAKNESSES.len()] {
    let mut number = 0;
    WEAKNESSES.map(|(_, rule)| {
        let customer = turn * WEAKNESSES.len();
        let mut call = own(customer + number, customer + number, 1);
        let mut messages = call.messages();
        match number {
            0 => call.owner = customer + 20,
            1 => (call.owner, call.operation) = (customer + 20, 4),
            2 => {
                let body = messages[1].split_once("\r\n\r\n").unwrap().1;
                let body = body.replacen('{', r#"{"card":"4111111111111111","#, 1);
                messages[1] = answer("200 OK", &body);
            }
            _ => {
                let bare = messages[0]
                    .lines()
                    .filter(|line| !line.starts_with("Authorization"));
                messages[0] = bare.fold(String::new(), |all, line| all + line + "\r\n");
            }
        }
        if number < 2 {
            messages = call.messages();
        }
        number += 1;
        sensor.send(call.caller, &messages);
        sensor.told().contains(&rule)
    })
}

/// What each endpoint that is used is called, and how many places its schema has. A placeholder may be called otherwise
/// when values of another kind were there, too.
fn known(sensor: &mut Sensor) -> Vec<(String, usize)> {
    let mut all = Vec::new();
    for (noun, operation) in
        (0..USED).flat_map(|noun| (0..OPERATIONS).map(move |operation| (noun, operation)))
    {
        sensor.call(&own(7, noun, operation));
        let endpoint = Arc::clone(sensor.endpoint().unwrap());
        let schema = sensor.schemas().get(&endpoint);
        let places = schema.map_or(0, |schema| schema.places().len());
        let steps = endpoint.template.split('/');
        let steps = steps.map(|step| if step.starts_with('{') { "{}" } else { step });
        let template: Vec<&str> = steps.collect();
        all.push((template.join("/"), places));
    }
    all
}

/// The quarter of a flood by which every piece of the tables has its memory; smaller floods take longer for it.
const AT_ONCE: usize = 0;
const LATE: usize = 2;

/// A flood of so many calls, which is flat from the end of quarter `full` on.
fn flood(name: &str, calls: usize, full: usize, attack: impl Fn(usize) -> (usize, [String; 2])) {
    let mut sensor = Sensor::new();
    learn(&mut sensor);
    assert_eq!(weak(&mut sensor, 0), [true; WEAKNESSES.len()], "before");
    let before = known(&mut sensor);
    let (quiet, mut quarters) = (sensor.held(), Vec::new());
    for number in 0..calls {
        let (caller, messages) = attack(number);
        sensor.send(caller, &messages);
        if (number + 1) % (calls / 4) == 0 {
            quarters.push(sensor.held().saturating_sub(quiet));
        }
    }
    println!("{calls} {name}: {quiet} bytes before; more after each quarter: {quarters:?}");
    assert!(quarters[3].saturating_sub(quarters[full]) <= GROWTH, "it grows");
    for (was, is) in before.iter().zip(known(&mut sensor)) {
        assert!(was.0 == is.0 && was.1 <= is.1, "{was:?} became {is:?}");
    }
    let after = weak(&mut sensor, 1);
    let gone = WEAKNESSES.iter().zip(after).filter(|(_, fires)| !fires);
    let gone: Vec<_> = gone.map(|((what, _), _)| what).collect();
    assert!(gone.is_empty(), "no longer told: {gone:?}");
}

/// Whoever makes up tokens: where nobody looks at them, where they are refused, and where they are accounts of one's own.
fn tokens(number: usize) -> (usize, [String; 2]) {
    let made_up = 1_000_000 + number;
    let fields = format!("Authorization: Bearer {}\r\n", jwt(HOST, made_up));
    let public = answer("200 OK", r#"{"items":[{"name":"desk lamp"},{"name":"shelf"}]}"#);
    let messages = match number % 4 {
        0 => own(made_up, number % USED, 1).messages(),
        1 => [
            request("GET /api/v1/orders", HOST, &fields, ""),
            answer("401 Unauthorized", "{}"),
        ],
        2 => {
            let fields = format!("Authorization: Bearer {}\r\n", opaque(9, made_up));
            [request("GET /catalog", HOST, &fields, ""), public]
        }
        _ => [request("GET /catalog", HOST, &fields, ""), public],
    };
    (number, messages)
}

/// Whoever makes up paths, of values and of words, at any depth; two in three are answered as if they were there.
fn paths(number: usize) -> (usize, [String; 2]) {
    let seed = mixed(number as u64);
    let word = |from: u32| {
        let letters = (0..4).map(|at| {
            let pair = usize::try_from(seed >> (from + at * 4) & 15).unwrap();
            [
                "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu",
                "ve",
            ][pair]
        });
        letters.collect::<String>()
    };
    let path = match number % 4 {
        0 => format!("/{}/{}", word(0), word(16)),
        1 => format!("/api/v1/{}", word(8)),
        2 => format!("/api/v1/{}/{seed:016x}/{}", NOUNS[number % USED], word(24)),
        _ => format!("/{:08x}/{}/{}", seed >> 32, number, word(4)),
    };
    let fields = format!("Authorization: Bearer {}\r\n", jwt(HOST, 999_999));
    let pad = "x".repeat(number % 97);
    let body = format!(
        "{{\"id\":{number},\"m{}\":\"{pad}\",\"name\":\"desk lamp\"}}",
        number % 13
    );
    let status = ["200 OK", "404 Not Found", "201 Created"][number % 3];
    (
        number,
        [
            request(&format!("GET {path}"), HOST, &fields, ""),
            answer(status, &body),
        ],
    )
}

/// Whoever makes up objects: a search that hands out a hundred new ones, and objects that are asked for and there.
fn objects(callers: usize, number: usize) -> (usize, [String; 2]) {
    let fields = format!(
        "Authorization: Bearer {}\r\n",
        jwt(HOST, 2_000_000 + number % callers)
    );
    let id = |at: usize| {
        let seed = mixed((number * 128 + at) as u64);
        format!(
            "{:08x}-{:04x}-4000-8000-{:012x}",
            seed >> 32,
            seed & 0xffff,
            seed >> 16
        )
    };
    let messages = if number.is_multiple_of(4) {
        [
            request(&format!("GET /api/v1/orders/{}", id(0)), HOST, &fields, ""),
            answer("200 OK", &format!("{{\"id\":\"{}\"}}", id(0))),
        ]
    } else {
        let items: Vec<String> = (0..100).map(|at| format!("{{\"id\":\"{}\"}}", id(at))).collect();
        [
            request(&format!("GET /api/v1/search?q=x{number}"), HOST, &fields, ""),
            answer("200 OK", &format!("{{\"items\":[{}]}}", items.join(","))),
        ]
    };
    (number, messages)
}

#[test]
fn new_callers() {
    flood("made up tokens", 20_000, LATE, tokens);
}

#[test]
fn new_endpoints() {
    flood("made up paths", 20_000, LATE, paths);
}

#[test]
fn new_objects() {
    flood("calls with made up objects", 4_000, AT_ONCE, |number| {
        objects(1, number)
    });
}

#[test]
#[ignore = "tables are filled several times: minutes without optimisation"]
fn very_many_new_callers() {
    flood("made up tokens", 200_000, AT_ONCE, tokens);
}

#[test]
#[ignore = "tables are filled several times: minutes without optimisation"]
fn very_many_new_endpoints() {
    flood("made up paths", 200_000, AT_ONCE, paths);
}

/// Twice as many as there is room for.
#[test]
#[ignore = "tables are filled several times: minutes without optimisation"]
fn very_many_new_objects() {
    flood("calls with made up objects", 16_000, AT_ONCE, |number| {
        objects(1, number)
    });
}

#[test]
#[ignore = "tables are filled several times: minutes without optimisation"]
fn very_many_new_objects_of_many_callers() {
    flood("calls with made up objects of many", 16_000, AT_ONCE, |number| {
        objects(1000, number)
    });
}
