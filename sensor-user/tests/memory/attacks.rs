//! One connection in the hands of somebody who wants it to cost much.

use super::wire::{Sensor, field, frame, get, message, preface};
use super::{HEAD, WORST, upgrade, worst};

/// One byte at a time, for ever.
fn drip(sensor: &mut Sensor, bytes: &[u8], times: usize) {
    for byte in bytes.iter().cycle().take(times) {
        sensor.ask(0, std::slice::from_ref(byte));
    }
}

fn begin(sensor: &mut Sensor) {
    sensor.ask(0, &preface());
    sensor.answer(0, &frame(4, 0, 0, b""));
}

#[test]
fn a_head_without_end() {
    worst("a head of HTTP/1 without end", WORST, |sensor| {
        drip(sensor, b"GET / HTTP/1.1\r\n", 16);
        drip(sensor, b"a: b\r\n", 100_000);
    });
    worst("a field without end", WORST, |sensor| {
        drip(sensor, b"GET / HTTP/1.1\r\na: ", 19);
        drip(sensor, b"x", 100_000);
    });
    worst("a request line without end", WORST, |sensor| {
        drip(sensor, b"GET /", 5);
        drip(sensor, b"x", 100_000);
    });
}

#[test]
fn a_body_byte_by_byte() {
    worst("a body of HTTP/1, byte by byte", WORST, |sensor| {
        sensor.ask(0, format!("{HEAD}Content-Length: 1000000000\r\n\r\n").as_bytes());
        drip(sensor, b"x", 100_000);
    });
    worst("a chunked body, byte by byte", WORST, |sensor| {
        sensor.ask(0, format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
        drip(sensor, b"1\r\nx\r\n", 500_000);
    });
}

#[test]
fn extensions_without_end() {
    worst("chunks of a byte with extensions of 4,000", WORST, |sensor| {
        sensor.ask(0, format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
        let chunk = format!("1;{}\r\nx\r\n", "a".repeat(4000));
        for _ in 0..5000 {
            sensor.ask(0, chunk.as_bytes());
        }
    });
}

#[test]
fn trailers_without_end() {
    worst("trailers without end", WORST, |sensor| {
        sensor.ask(
            0,
            format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n").as_bytes(),
        );
        drip(sensor, b"a: b\r\n", 100_000);
    });
}

#[test]
fn requests_that_are_never_answered() {
    worst("requests with bodies, pipelined", WORST, |sensor| {
        for _ in 0..400 {
            sensor.ask(0, format!("{HEAD}Content-Length: 65536\r\n\r\n").as_bytes());
            sensor.ask(0, &vec![b'x'; 65_536]);
        }
    });
    worst("large heads, pipelined", WORST, |sensor| {
        let fields = format!("X-Field: {}\r\n", "x".repeat(500)).repeat(120);
        for _ in 0..400 {
            sensor.ask(0, format!("{HEAD}{fields}\r\n").as_bytes());
        }
    });
    worst("small heads in large records, pipelined", WORST, |sensor| {
        let rest = "x".repeat(15_000);
        for _ in 0..2000 {
            sensor.ask(0, format!("{HEAD}Content-Length: 15000\r\n\r\n{rest}").as_bytes());
        }
    });
}

#[test]
fn a_tunnel_that_is_never_answered() {
    worst("bytes behind CONNECT", WORST, |sensor| {
        sensor.ask(0, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n");
        drip(sensor, b"x", 100_000);
    });
}

#[test]
fn continuation_without_end() {
    for length in [0, 1, 1000, 60_000] {
        worst(&format!("CONTINUATION of {length} bytes"), WORST, |sensor| {
            begin(sensor);
            for stream in [1, 3, 5] {
                sensor.ask(0, &frame(1, 1, stream, &get(b"")));
                for _ in 0..500 {
                    sensor.ask(0, &frame(9, 0, stream, &vec![0; length]));
                }
            }
        });
    }
    worst("CONTINUATION, byte by byte", WORST, |sensor| {
        begin(sensor);
        drip(sensor, &frame(1, 1, 1, &get(&field("a", "b", true))), 16);
        drip(sensor, &frame(9, 0, 1, &[0x82; 900]), 100_000);
    });
    worst("a block of one frame, byte by byte", WORST, |sensor| {
        begin(sensor);
        let block = get(&field("a", &"x".repeat(60_000), true));
        sensor.answer(0, &frame(4, 0, 0, b"\0\x05\0\xff\xff\xff"));
        let frame = frame(1, 4, 1, &block);
        drip(sensor, &frame, frame.len() - 1);
    });
}

#[test]
fn a_table_that_churns() {
    for length in [0, 1, 33, 1000, 4000, 30_000] {
        let sensor = worst(
            &format!("tables of 65,536 bytes, entries of {length}"),
            WORST,
            |sensor| {
                // A table of 65,536 bytes, and frames as large as they get.
                let largest = b"\0\x01\0\x01\0\0\0\x05\0\xff\xff\xff";
                sensor.ask(0, &[preface(), frame(4, 0, 0, largest)].concat());
                sensor.answer(0, &frame(4, 0, 0, largest));
                // 6.3: a size of 65,536, in front of the first block.
                let resize = b"\x3f\xe1\xff\x03";
                let entries = (2_000_000 / (length + 32)).min(20_000);
                let value = "v".repeat(length);
                let mut left = entries;
                let mut stream = 1;
                while left > 0 {
                    let fields = left.min(100).min(50_000 / (length + 8));
                    left -= fields;
                    let block: Vec<u8> = (0..fields).flat_map(|_| field("n", &value, true)).collect();
                    let front = if stream == 1 { &resize[..] } else { b"" };
                    sensor.ask(0, &frame(1, 5, stream, &[front, &get(&block)].concat()));
                    sensor.answer(0, &frame(1, 5, stream, &[front, b"\x88", &block].concat()));
                    stream += 2;
                }
            },
        );
        assert!(sensor.told > 0, "the blocks were read");
    }
}

#[test]
fn streams_that_are_never_finished() {
    worst("streams without end", WORST, |sensor| {
        begin(sensor);
        for nth in 0..5000 {
            sensor.ask(0, &frame(1, 4, 2 * nth + 1, &get(b"")));
        }
    });
    worst("streams with heads of 60,000 bytes", WORST, |sensor| {
        begin(sensor);
        let block = get(&field("a", &"x".repeat(60_000), false));
        sensor.answer(0, &frame(4, 0, 0, b"\0\x05\0\xff\xff\xff"));
        for nth in 0..2000 {
            sensor.ask(0, &frame(1, 4, 2 * nth + 1, &block));
        }
    });
    worst("streams with 128 fields", WORST, |sensor| {
        begin(sensor);
        let block = get(&field("a", "", false).repeat(124));
        for nth in 0..5000 {
            sensor.ask(0, &frame(1, 4, 2 * nth + 1, &block));
        }
    });
    worst("streams whose answers begin", WORST, |sensor| {
        begin(sensor);
        for nth in 0..5000 {
            sensor.ask(0, &frame(1, 4, 2 * nth + 1, &get(b"")));
            sensor.answer(
                0,
                &frame(
                    1,
                    4,
                    2 * nth + 1,
                    &[b"\x88", &field("a", "", false).repeat(100)[..]].concat(),
                ),
            );
        }
    });
}

#[test]
fn departures_without_end() {
    worst("windows that open by nothing", WORST, |sensor| {
        begin(sensor);
        sensor.ask(0, &frame(1, 4, 1, &get(b"")));
        let window = frame(8, 0, 1, &[0; 4]).repeat(1000);
        for _ in 0..200 {
            sensor.ask(0, &window);
        }
    });
    worst("trailers again and again", WORST, |sensor| {
        begin(sensor);
        let trailers = field("Bad Name", &"x".repeat(15_000), false);
        for nth in 0..300 {
            let stream = 2 * nth + 1;
            sensor.ask(0, &frame(1, 4, stream, &get(b"")));
            sensor.answer(0, &frame(1, 4, stream, b"\x88"));
            for _ in 0..3 {
                sensor.answer(0, &frame(1, 4, stream, &trailers));
                sensor.answer(0, &frame(1, 4, stream, b"\xff\xff\xff"));
            }
        }
    });
}

#[test]
fn bodies_of_many_streams() {
    worst("a thousand bodies, byte by byte", WORST, |sensor| {
        begin(sensor);
        for nth in 0..1000 {
            sensor.ask(0, &frame(1, 4, 2 * nth + 1, &get(b"")));
        }
        for _ in 0..300 {
            for nth in 0..1000 {
                sensor.ask(0, &frame(0, 0, 2 * nth + 1, b"x"));
            }
        }
    });
    worst("one body, byte by byte", WORST, |sensor| {
        begin(sensor);
        sensor.ask(0, &frame(1, 4, 1, &get(b"")));
        for _ in 0..100_000 {
            sensor.ask(0, &frame(0, 0, 1, b"x"));
        }
    });
    for length in [1, 1000, 4000, 8195] {
        worst(
            &format!("pieces of {length} bytes in large records"),
            WORST,
            |sensor| {
                begin(sensor);
                for nth in 0..500 {
                    sensor.ask(0, &frame(1, 4, 2 * nth + 1, &get(b"")));
                }
                let ballast = frame(0xbe, 0, 0, &vec![0; sensor_common::CHUNK_BYTES - 18 - length]);
                for round in 0..3000 {
                    let piece = frame(0, 0, 2 * (round % 500) + 1, &vec![b'x'; length]);
                    sensor.ask(0, &[&piece[..], &ballast].concat());
                }
            },
        );
    }
    worst("large bodies of many streams", WORST, |sensor| {
        begin(sensor);
        for nth in 0..500 {
            sensor.ask(0, &frame(1, 4, 2 * nth + 1, &get(b"")));
            for _ in 0..4 {
                sensor.ask(0, &frame(0, 0, 2 * nth + 1, &[b'x'; 16_000]));
            }
        }
    });
}

#[test]
fn events_without_end() {
    let begin = |sensor: &mut Sensor| {
        sensor.ask(0, b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
        sensor.answer(0, b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    };
    for text in [
        &b"data: x\n"[..],
        b"data: xxxxxxxx",
        b"event",
        b"xxxxxx",
        b"id:",
        b":",
    ] {
        worst("an event without end", WORST, |sensor| {
            begin(sensor);
            for byte in text.iter().cycle().take(100_000) {
                sensor.answer(0, std::slice::from_ref(byte));
            }
        });
    }
}

#[test]
fn messages_without_end() {
    worst("fragments of a byte without end", WORST, |sensor| {
        upgrade(sensor, 0);
        sensor.ask(0, &message(0x01, b"x"));
        for _ in 0..100_000 {
            sensor.ask(0, &message(0x00, b"x"));
        }
    });
    worst("a compressed message without end", WORST, |sensor| {
        upgrade(sensor, 0);
        let stored = [&b"\x00\xe8\x03\x17\xfc"[..], &[b'c'; 1000]].concat();
        sensor.ask(0, &message(0x41, &stored));
        for _ in 0..2000 {
            sensor.ask(0, &message(0x00, &stored));
        }
    });
    worst("pings in the middle of a message", WORST, |sensor| {
        upgrade(sensor, 0);
        sensor.ask(0, &message(0x01, b"x"));
        for _ in 0..100_000 {
            sensor.ask(0, &[0x89, 0x81, 0, 0, 0, 0, b'x']);
        }
    });
    worst("calls that are never answered", WORST, |sensor| {
        upgrade(sensor, 0);
        for nth in 0..5000 {
            let call = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":\"{nth:0500}\",\"method\":\"{}\"}}",
                "m".repeat(500)
            );
            sensor.ask(0, &message(0x81, call.as_bytes()));
        }
    });
}

#[test]
fn beginnings_without_end() {
    worst("a PROXY header without end", WORST, |sensor| {
        drip(sensor, b"PROXY TCP4 1", 100_000);
    });
    worst("a binary PROXY header", WORST, |sensor| {
        drip(sensor, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16);
        drip(sensor, b"x", 65_000);
    });
    worst("a preface, again and again", WORST, |sensor| {
        drip(sensor, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 100_000);
    });
    worst("one frame of settings, byte by byte", WORST, |sensor| {
        sensor.ask(0, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        drip(sensor, &frame(4, 0, 0, &[0; 16_380]), 100_000);
    });
    worst("what looks like frames behind a hole", WORST, |sensor| {
        sensor.ask(0, &preface());
        drip(sensor, b"\0\x10\0\xff\0", 5);
        drip(sensor, b"\0\x3f\xff\x01\x01\0\0\0\x01", 100_000);
    });
}
