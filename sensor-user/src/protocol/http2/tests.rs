#![expect(clippy::cast_possible_truncation, reason = "numbers of tests are small")]

use std::fmt::Write as _;

use super::*;

mod laws;

const LIMITS: Limits = Limits { head_bytes: 4096 };

/// What a parser gave, in a form that does not depend on how pieces were cut.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Head(u32, String),
    Body(u32, Vec<u8>),
    End(u32),
    Lost(u32),
    Missing(u32, u64),
    Anomaly(Anomaly),
    Note(&'static str),
}

struct Run {
    parser: Parser,
    buffer: Vec<u8>,
    wanted: usize,
    seen: Vec<Seen>,
}

impl Run {
    fn new(parser: Parser) -> Self {
        Self {
            parser,
            buffer: Vec::new(),
            wanted: 0,
            seen: Vec::new(),
        }
    }

    fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
        while self.buffer.len() >= self.wanted && !self.buffer.is_empty() {
            match self.parser.step(&self.buffer) {
                Step::Advance { consumed, message } => {
                    assert!(consumed.get() <= self.buffer.len());
                    let raw: Vec<u8> = self.buffer.drain(..consumed.get()).collect();
                    if let Some(message) = message {
                        self.note(message, &raw);
                    }
                    self.wanted = 0;
                }
                Step::NeedMore { at_least } => {
                    assert!(at_least.get() > self.buffer.len(), "no progress");
                    self.wanted = at_least.get();
                }
                Step::Reject(anomaly) => {
                    self.seen.push(Seen::Anomaly(anomaly));
                    self.buffer.clear();
                    self.gap(0);
                }
            }
        }
    }

    fn gap(&mut self, missing: u64) {
        let spoilt = std::mem::take(&mut self.buffer).len() as u64;
        self.wanted = 0;
        let (Resync::Exact(message) | Resync::Searching(message)) = self.parser.on_gap(missing + spoilt);
        if let Some(message) = message {
            self.note(message, &[]);
        }
    }

    fn note(&mut self, message: Message, raw: &[u8]) {
        match message {
            Message::Head {
                stream,
                promised,
                head,
                last,
            } => {
                self.seen.push(Seen::Head(stream, written(&head, promised)));
                self.end(stream, last);
            }
            Message::HeadLost {
                stream,
                last,
                anomaly,
                ..
            } => {
                self.seen.push(Seen::Lost(stream));
                self.seen.extend(anomaly.map(Seen::Anomaly));
                self.end(stream, last);
            }
            Message::Body { stream, piece, last } => {
                match self.seen.last_mut() {
                    Some(Seen::Body(known, body)) if *known == stream => {
                        body.extend_from_slice(piece.of(raw));
                    }
                    _ if piece.len == 0 => {}
                    _ => self.seen.push(Seen::Body(stream, piece.of(raw).to_vec())),
                }
                self.end(stream, last);
            }
            Message::BodyLost {
                stream,
                missing,
                last,
            } => {
                self.seen.push(Seen::Missing(stream, missing));
                self.end(stream, last);
            }
            Message::Odd { anomaly, .. } => self.seen.push(Seen::Anomaly(anomaly)),
            Message::Reset { .. } => self.seen.push(Seen::Note("reset")),
            Message::Goaway { .. } => self.seen.push(Seen::Note("goaway")),
            Message::Settings { .. } => self.seen.push(Seen::Note("settings")),
            Message::Preface => self.seen.push(Seen::Note("preface")),
            Message::PlaceLost => self.seen.push(Seen::Note("lost")),
            Message::Other => {}
        }
    }

    fn end(&mut self, stream: u32, last: bool) {
        if last {
            self.seen.push(Seen::End(stream));
        }
    }
}

fn written(head: &Head, promised: Option<u32>) -> String {
    let mut text = String::from_utf8_lossy(&head.raw).replace("\r\n", "|");
    if let Some(promised) = promised {
        write!(text, " for {promised}").unwrap();
    }
    if !head.anomalies.is_empty() {
        write!(text, " {:?}", head.anomalies).unwrap();
    }
    for (name, value) in &head.fields {
        let between = Span {
            start: name.start + name.len,
            len: 2,
        };
        assert_eq!(
            (between.of(&head.raw), between.start + 2),
            (&b": "[..], value.start)
        );
    }
    text
}

fn run(pieces: &[&[u8]]) -> Vec<Seen> {
    let mut run = Run::new(Parser::new(LIMITS));
    for piece in pieces {
        run.push(piece);
    }
    run.seen
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut wire = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    wire.extend([kind, flags]);
    wire.extend(stream.to_be_bytes());
    wire.extend(payload);
    wire
}

const SETTINGS: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";

/// `:method: GET`, `:scheme: https`, `:path: /`.
const GET: &[u8] = b"\x82\x87\x84";

fn head(stream: u32, text: &str) -> Seen {
    Seen::Head(stream, text.into())
}

fn body(stream: u32, text: &str) -> Seen {
    Seen::Body(stream, text.into())
}

/// A client's direction with everything in it.
fn client() -> Vec<u8> {
    [
        PREFACE.to_vec(),
        SETTINGS.to_vec(),
        frame(8, 0, 0, &[0, 1, 0, 0]),
        frame(1, 5, 1, GET),
        // With priority and padding.
        frame(
            1,
            0x2c,
            3,
            &[
                &[2, 0, 0, 0, 0, 7],
                &b"\x83\x87\x04\x02/a\x40\x01x\x01y"[..],
                &[0, 0],
            ]
            .concat(),
        ),
        frame(2, 0, 5, &[0, 0, 0, 0, 1]),
        frame(0, 8, 3, b"\x03hello\0\0\0"),
        frame(0x10, 0, 0, b"u=1"),
        // A block in three frames, cut within a field.
        frame(1, 1, 5, b"\x82\x87"),
        frame(9, 0, 5, b"\x84\xbe\x40\x01"),
        frame(9, 4, 5, b"a\x01b"),
        frame(0, 0, 3, b" world"),
        frame(0, 1, 3, b""),
        frame(6, 0, 0, b"12345678"),
        frame(3, 0, 5, &[0, 0, 0, 8]),
        frame(7, 0, 0, b"\0\0\0\0\0\0\0\0why"),
        frame(1, 5, 7, b"\x82\x87\x84\xbf"),
    ]
    .concat()
}

fn client_seen() -> Vec<Seen> {
    vec![
        Seen::Note("preface"),
        Seen::Note("settings"),
        head(1, "GET / HTTP/2||"),
        Seen::End(1),
        head(3, "POST /a HTTP/2|x: y||"),
        body(3, "hello"),
        head(5, "GET / HTTP/2|x: y|a: b||"),
        Seen::End(5),
        body(3, " world"),
        Seen::End(3),
        Seen::Note("reset"),
        Seen::Note("goaway"),
        head(7, "GET / HTTP/2|x: y||"),
        Seen::End(7),
    ]
}

#[test]
fn every_frame_is_read() {
    assert_eq!(run(&[&client()]), client_seen());
}

#[test]
fn one_byte_at_a_time_gives_the_same() {
    let wire = client();
    let pieces: Vec<&[u8]> = wire.chunks(1).collect();
    assert_eq!(run(&pieces), client_seen());
}

#[test]
fn pseudo_fields_are_written_as_a_start_line() {
    let cases: &[(&[u8], &str)] = &[
        (b"\x82\x87\x84\x41\x01h", "GET / HTTP/2|host: h||"),
        (b"\x82\x87\x84\x41\x01h\x66\x01h", "GET / HTTP/2|host: h||"),
        (
            b"\x82\x87\x84\x41\x01h\x66\x01g",
            "GET / HTTP/2|host: h|host: g|| [Http2BadHead]",
        ),
        (b"\x02\x07CONNECT\x41\x03a:1", "CONNECT a:1 HTTP/2|host: a:1||"),
        (b"\x88\x0f\x0d\x011", "HTTP/2 200|content-length: 1||"),
        (b"\x08\x03103", "HTTP/2 103||"),
        (b"\x40\x01g\x010", "g: 0||"),
        // What section 8 forbids.
        (b"\x82\x87", "| [Http2BadHead]"),
        (b"\x82\x82\x87\x84", "GET / HTTP/2|| [Http2BadHead]"),
        (
            b"\x82\x87\x40\x01a\x01b\x84",
            "GET / HTTP/2|a: b|| [Http2BadHead]",
        ),
        (
            b"\x82\x87\x84\x40\x01A\x01b",
            "GET / HTTP/2|A: b|| [Http2BadField]",
        ),
        (
            b"\x82\x87\x84\x40\x01a\x03b\r\n",
            "GET / HTTP/2|a: b||| [Http2BadField]",
        ),
        (
            b"\x82\x87\x84\x40\x0aconnection\x01b",
            "GET / HTTP/2|connection: b|| [Http2BadField]",
        ),
        (
            b"\x82\x87\x84\x40\x02te\x08trailers",
            "GET / HTTP/2|te: trailers||",
        ),
        (
            b"\x82\x87\x84\x41\x03h\r\n",
            "GET / HTTP/2|host: h||| [Http2BadField]",
        ),
        (b"\x82\x87\x04\x03/ x", "GET / x HTTP/2|| [Http2BadHead]"),
        (b"\x08\x03abc", "| [Http2BadHead]"),
        (
            b"\x82\x87\x84\x0f\x0d\x011\x0f\x0d\x012",
            "GET / HTTP/2|content-length: 1|content-length: 2|| [BadContentLength]",
        ),
    ];
    for (block, text) in cases {
        let wire = [SETTINGS, &frame(1, 4, 1, block)].concat();
        assert_eq!(
            run(&[&wire]),
            [Seen::Note("settings"), head(1, text)],
            "{block:x?}"
        );
    }
}

#[test]
fn faults_are_told_and_the_next_frame_is_read() {
    let long = frame(1, 4, 1, &[0x82; 5000]);
    let flood: Vec<u8> = (0..=MAX_CONTINUATIONS)
        .flat_map(|_| frame(9, 0, 1, b""))
        .collect();
    let cases: Vec<(Vec<u8>, Vec<Seen>)> = vec![
        (
            frame(0, 8, 1, b"\x09abc"),
            vec![Seen::Anomaly(Anomaly::Http2BadFrame)],
        ),
        (
            frame(6, 0, 0, b"1234"),
            vec![Seen::Anomaly(Anomaly::Http2BadFrame)],
        ),
        (
            frame(0, 0, 0, b"1234"),
            vec![Seen::Anomaly(Anomaly::Http2BadFrame)],
        ),
        (
            frame(5, 4, 1, b"\0\0\0\x03\x82"),
            vec![Seen::Anomaly(Anomaly::Http2BadFrame)],
        ),
        (
            frame(8, 0, 1, &[0; 4]),
            vec![Seen::Anomaly(Anomaly::Http2BadFrame)],
        ),
        (
            frame(1, 4, 1, b"\x80"),
            vec![Seen::Lost(1), Seen::Anomaly(Anomaly::Http2BadCompression)],
        ),
        (long, vec![Seen::Lost(1), Seen::Anomaly(Anomaly::HeadTooLong)]),
        (
            [frame(1, 0, 1, b"\x82"), frame(0, 1, 1, b"x")].concat(),
            vec![Seen::Lost(1), Seen::Anomaly(Anomaly::Http2BrokenBlock)],
        ),
        (
            [frame(1, 0, 1, b"\x82"), flood, frame(9, 4, 1, b"")].concat(),
            vec![Seen::Lost(1), Seen::Anomaly(Anomaly::Http2ContinuationFlood)],
        ),
        (
            [
                frame(1, 0, 1, &[0x82; 4000]),
                frame(9, 0, 1, &[0x82; 4000]),
                frame(9, 4, 1, b"\x82"),
            ]
            .concat(),
            vec![Seen::Lost(1), Seen::Anomaly(Anomaly::HeadTooLong)],
        ),
    ];
    for (bad, told) in cases {
        let wire = [SETTINGS.to_vec(), bad, frame(1, 5, 9, GET)].concat();
        let expected = [
            vec![Seen::Note("settings")],
            told,
            vec![head(9, "GET / HTTP/2||"), Seen::End(9)],
        ]
        .concat();
        assert_eq!(run(&[&wire]), expected);
    }
}

#[test]
fn a_frame_longer_than_allowed_is_refused_unless_it_was_allowed() {
    let long = frame(0, 1, 1, &vec![7; 20_000]);
    let mut parser = Run::new(Parser::new(LIMITS));
    parser.push(&[SETTINGS, &long].concat());
    assert_eq!(
        parser.seen[1..],
        [Seen::Anomaly(Anomaly::Http2FrameTooLong), Seen::Note("lost")]
    );
    let mut parser = Run::new(Parser::new(LIMITS));
    parser.parser.allow_frame(32_768);
    parser.push(&[SETTINGS, &long].concat());
    assert_eq!(parser.seen[1..], [Seen::Body(1, vec![7; 20_000]), Seen::End(1)]);
}

#[test]
fn a_hole_in_data_is_skipped_by_the_frames_length() {
    let mut run = Run::new(Parser::new(LIMITS));
    let wire = [
        SETTINGS.to_vec(),
        frame(0, 9, 1, &[&[4], &b"0123456789"[..], &[0; 4]].concat()),
        frame(1, 5, 3, GET),
    ]
    .concat();
    let at = SETTINGS.len() + 9 + 1 + 3;
    run.push(&wire[..at]);
    run.gap(5);
    run.push(&wire[at + 5..]);
    let expected = [
        Seen::Note("settings"),
        body(1, "012"),
        Seen::Missing(1, 5),
        body(1, "89"),
        Seen::End(1),
        head(3, "GET / HTTP/2||"),
        Seen::End(3),
    ];
    assert_eq!(run.seen, expected);
}

#[test]
fn a_hole_in_a_header_block_loses_that_head_and_what_it_added() {
    let mut run = Run::new(Parser::new(LIMITS));
    let added = frame(1, 4, 1, b"\x82\x87\x84\x40\x01a\x01b");
    let wire = [
        SETTINGS.to_vec(),
        added.clone(),
        frame(1, 5, 3, b"\x82\x87\x84\x40\x01c\x01d"),
        frame(1, 5, 5, b"\x82\x87\x84\xbe"),
    ]
    .concat();
    let at = SETTINGS.len() + added.len() + 12;
    run.push(&wire[..at]);
    run.gap(4);
    run.push(&wire[at + 4..]);
    let expected = [
        Seen::Note("settings"),
        head(1, "GET / HTTP/2|a: b||"),
        Seen::Lost(3),
        Seen::End(3),
        // Never the entry that was there before the hole.
        head(5, "GET / HTTP/2|| [Http2UnknownFields]"),
        Seen::End(5),
    ];
    assert_eq!(run.seen, expected);
}

#[test]
fn after_a_hole_over_frames_the_next_frames_are_found() {
    let mut run = Run::new(Parser::new(LIMITS));
    run.push(&[PREFACE, SETTINGS, &frame(0, 0, 1, b"0123456789")[..15]].concat());
    run.gap(400);
    // In the middle of a body, then frames.
    run.push(b"\0\0\0\x01\0\0\0\x02 and so on");
    run.push(
        &[
            &b"xyz"[..],
            &frame(0, 1, 1, b"end"),
            &frame(8, 0, 0, &[0, 0, 1, 0]),
            &frame(1, 5, 3, GET),
        ]
        .concat(),
    );
    let expected = [
        Seen::Note("lost"),
        body(1, "end"),
        Seen::End(1),
        head(3, "GET / HTTP/2||"),
        Seen::End(3),
    ];
    assert_eq!(run.seen[3..], expected);
}

#[test]
fn a_direction_that_does_not_begin_is_searched() {
    let mut run = Run::new(Parser::new(LIMITS));
    run.push(b"the rest of a body");
    run.push(&[frame(1, 4, 1, b"\x88"), frame(0, 1, 1, b"{}")].concat());
    assert_eq!(run.seen, [head(1, "HTTP/2 200||"), body(1, "{}"), Seen::End(1)]);
}
