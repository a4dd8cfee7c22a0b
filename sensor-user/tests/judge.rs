//! What the judge holds for a large estate, and what a flood does to it: new callers, new endpoints and new ids, from
//! somebody who makes them up. Memory stays within its bounds, and what was learnt before is still there.

#![expect(clippy::unwrap_used, reason = "a test stops on a mistake")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "memory/counted.rs"]
mod counted;
#[path = "../benches/common/estate.rs"]
mod estate;
#[path = "judge/floods.rs"]
mod floods;
#[path = "judge/sensor.rs"]
mod sensor;

use counted::take_most;
use estate::{Call, NOUNS, OPERATIONS};
use sensor::Sensor;
use sensor_user::telemetry::Metric;

/// The bound for 100,000 callers and 10,000 endpoints.
const ALL: usize = 400 << 20;
/// The same for a small estate: tables of fixed size, of which a few thousand objects touch every piece, and little else.
const SMALL: usize = 100 << 20;
/// Bytes of a caller that is established, beyond those tables.
const BYTES_PER_CALLER: usize = 1024;
/// Bytes of an endpoint with its template, schema, baselines and history.
const BYTES_PER_ENDPOINT: usize = 10 * 1024;

/// A call of what is the caller's own.
fn own(caller: usize, hosts: usize, noun: usize, operation: usize) -> Call {
    Call {
        host: caller % hosts,
        noun,
        operation,
        caller,
        owner: caller,
        object: caller % estate::OBJECTS,
    }
}

/// Everything of a host is called by four of its callers.
fn learn_host(sensor: &mut Sensor, host: usize, hosts: usize) {
    for caller in (0..4).map(|number| host + number * hosts) {
        for noun in 0..NOUNS.len() {
            for operation in 0..OPERATIONS {
                sensor.call(&own(caller, hosts, noun, operation));
            }
        }
        sensor.pause(60);
    }
}

/// Callers who come three times within minutes, each at its host.
fn learn_callers(sensor: &mut Sensor, from: usize, to: usize, hosts: usize) {
    // Fewer at once than may be on probation.
    let all: Vec<usize> = (from..to).collect();
    for some in all.chunks(8_192) {
        for (turn, operation) in [0, 1, 4].into_iter().enumerate() {
            for caller in some {
                let noun = (*caller / hosts * 7 + turn) % NOUNS.len();
                sensor.call(&own(*caller, hosts, noun, operation));
            }
            sensor.pause(60);
        }
    }
}

/// So many hosts, with `least` endpoints together (some words are folded), and so many callers. Gives
/// bytes held, for each of the later endpoints, and for each of the later callers.
fn cost(hosts: usize, least: usize, callers: usize) -> [usize; 3] {
    take_most();
    let mut sensor = Sensor::new();
    println!("nothing learnt: {} bytes", sensor.held());
    // The first half fills tables of fixed size, which take their memory in pieces.
    (0..hosts / 2).for_each(|host| learn_host(&mut sensor, host, hosts));
    let (half, first) = (sensor.held(), sensor.endpoints());
    (hosts / 2..hosts).for_each(|host| learn_host(&mut sensor, host, hosts));
    let endpoints = sensor.endpoints();
    assert!(endpoints >= least, "{endpoints}");
    let whole = sensor.held();
    let more = endpoints - first;
    let each_endpoint = whole.saturating_sub(half) / more;
    println!("{endpoints} endpoints: {whole} bytes; {each_endpoint} for each of the last {more}");
    let first = 4 * hosts;
    learn_callers(&mut sensor, first, callers / 2, hosts);
    let half = sensor.held();
    learn_callers(&mut sensor, callers / 2, callers, hosts);
    let all = sensor.held();
    let each_caller = all.saturating_sub(half) / (callers - callers / 2);
    println!(
        "{callers} callers: {all} bytes; {each_caller} for each of the last half; with a shard, {} at most",
        take_most()
    );
    assert_eq!(sensor.counters.value(Metric::CallersForgotten), 0);
    [all, each_endpoint, each_caller]
}

#[test]
fn a_small_estate_costs_little_memory() {
    let [all, ..] = cost(4, 800, 4_000);
    assert!(all <= SMALL, "{all}");
}

#[test]
#[ignore = "three hundred thousand calls take minutes"]
fn a_hundred_thousand_callers_and_ten_thousand_endpoints_fit() {
    let [all, endpoint, caller] = cost(48, 10_000, 100_000);
    assert!(all <= ALL, "{all}");
    assert!(endpoint <= BYTES_PER_ENDPOINT, "{endpoint}");
    assert!(caller <= BYTES_PER_CALLER, "{caller}");
}
