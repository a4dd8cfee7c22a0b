//! What connections cost in memory: idle, half received, and in the hands of somebody who wants it to be much.

#![expect(clippy::unwrap_used, reason = "a test stops on a mistake")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "memory/attacks.rs"]
mod attacks;
#[path = "memory/counted.rs"]
mod counted;
#[path = "memory/wire.rs"]
mod wire;

use counted::{held, take_most};
use wire::{Sensor, field, frame, get, message, preface};

/// As many as issue 4 asks about.
const CONNECTIONS: usize = 10_000;

/// Two full tables of 4,096 bytes, with room to go on, and what a connection costs in any state.
const IDLE_HTTP2: usize = 12 * 1024;
const IDLE_HTTP1: usize = 2 * 1024;
/// What came and less than a page of state.
const HALF: usize = 4 * 1024;
/// The same, and the heads that all messages share: a request and a response, with room for their fields and trailers.
const HALF_MESSAGE: usize = 4 * 1024 + 512;
/// A decoder of DEFLATE with its window (`STATE_BYTES` of `protocol::inflate`), and what came out of it.
const HALF_INFLATED: usize = 52 * 1024;
/// Heads and bodies of 4 MiB (`MAX_BYTES` of streams and of turns), of which slices may keep records of twice that.
const WORST: usize = 8 * 1024 * 1024;

/// Bytes of each of many connections.
fn each(name: &str, limit: usize, mut talk: impl FnMut(&mut Sensor, usize)) {
    let mut sensor = Sensor::new();
    sensor.expect(CONNECTIONS);
    let before = held();
    for connection in 0..CONNECTIONS {
        talk(&mut sensor, connection);
    }
    let bytes = held().saturating_sub(before) / CONNECTIONS;
    println!("{name}: {bytes} bytes per connection, of {limit}");
    assert!(bytes <= limit, "{name}: {bytes} bytes per connection");
}

/// The most that one connection holds at any time.
fn worst(name: &str, limit: usize, talk: impl FnOnce(&mut Sensor)) -> Sensor {
    let mut sensor = Sensor::new();
    sensor.expect(1);
    let before = held();
    take_most();
    talk(&mut sensor);
    let bytes = take_most().saturating_sub(before);
    println!(
        "{name}: {bytes} bytes at most, of {limit}; {} told, {} departures",
        sensor.told, sensor.anomalies
    );
    assert!(bytes <= limit, "{name}: {bytes} bytes");
    sensor
}

const HEAD: &str = "POST /v1/orders?page=2 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: shop/5.12.0\r\n\
    Accept: application/json\r\nAccept-Encoding: gzip, deflate, br\r\nContent-Type: application/json\r\n";

/// An upgrade to WebSocket, its answer, and compression agreed on.
fn upgrade(sensor: &mut Sensor, connection: usize) {
    sensor.ask(
        connection,
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    );
    sensor.answer(
        connection,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    );
}

/// Fifty streams, each with fields that the tables keep: both are full, of 4,096 bytes.
fn some_streams(sensor: &mut Sensor, connection: usize) {
    sensor.ask(connection, &preface());
    sensor.answer(connection, &frame(4, 0, 0, b""));
    for nth in 0..50_u32 {
        let stream = 2 * nth + 1;
        let value = format!("{nth:08}-{}", "x".repeat(100));
        let asked = get(&[
            field("x-request", &value, true),
            field("host", "api.example.com", nth == 0),
        ]
        .concat());
        sensor.ask(connection, &frame(1, 5, stream, &asked));
        let answered = [&[0x88][..], &field("x-answer", &value, true)].concat();
        sensor.answer(connection, &frame(1, 4, stream, &answered));
        sensor.answer(connection, &frame(0, 1, stream, &[b' '; 500]));
    }
}

#[test]
fn idle_http2() {
    each("idle HTTP/2", IDLE_HTTP2, |sensor, connection| {
        some_streams(sensor, connection);
    });
}

#[test]
fn idle_http1() {
    each("idle HTTP/1", IDLE_HTTP1, |sensor, connection| {
        for _ in 0..3 {
            sensor.ask(
                connection,
                format!("{HEAD}Content-Length: 2\r\n\r\n{{}}").as_bytes(),
            );
            sensor.answer(
                connection,
                b"HTTP/1.1 200 OK\r\nServer: b\r\nContent-Length: 2\r\n\r\n{}",
            );
        }
    });
}

#[test]
fn half_of_an_http1_head() {
    each("half of a head of HTTP/1", HALF, |sensor, connection| {
        for piece in HEAD.as_bytes().chunks(50) {
            sensor.ask(connection, piece);
        }
    });
}

#[test]
fn half_of_an_http1_body() {
    each("half of a body of HTTP/1", HALF, |sensor, connection| {
        sensor.ask(
            connection,
            format!("{HEAD}Content-Length: 400\r\n\r\n").as_bytes(),
        );
        for _ in 0..20 {
            sensor.ask(connection, b"1234567890");
        }
    });
}

#[test]
fn half_of_a_compressed_body() {
    each("half of a compressed body", HALF, |sensor, connection| {
        sensor.ask(connection, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        sensor.answer(
            connection,
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 400\r\n\r\n",
        );
        sensor.answer(connection, b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
        for _ in 0..20 {
            sensor.answer(connection, b"1234567890");
        }
    });
}

#[test]
fn half_of_an_http2_block() {
    each("half of a header block of HTTP/2", HALF, |sensor, connection| {
        sensor.ask(connection, &preface());
        sensor.answer(connection, &frame(4, 0, 0, b""));
        sensor.ask(
            connection,
            &frame(1, 1, 1, &get(&field("x-front", &"x".repeat(200), true))),
        );
        let rest = frame(9, 4, 1, &field("x-back", &"x".repeat(200), true));
        for piece in rest[..150].chunks(20) {
            sensor.ask(connection, piece);
        }
    });
}

#[test]
fn half_of_a_websocket_message() {
    each(
        "half of a message of WebSocket",
        HALF_MESSAGE,
        |sensor, connection| {
            upgrade(sensor, connection);
            sensor.ask(connection, &message(0x01, &[b'a'; 150]));
            sensor.ask(connection, &message(0x00, &[b'b'; 150])[..80]);
        },
    );
}

#[test]
fn half_of_a_compressed_message() {
    each(
        "half of a compressed message",
        HALF_INFLATED,
        |sensor, connection| {
            upgrade(sensor, connection);
            // A stored block of 300 bytes, of which half is there.
            let stored = [&b"\x00\x2c\x01\xd3\xfe"[..], &[b'c'; 150]].concat();
            sensor.ask(connection, &message(0x41, &stored));
        },
    );
}
