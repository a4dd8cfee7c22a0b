//! HTTP/2: single frames, sound and broken, and streams recorded from attacks on servers.

use std::path::{Path, PathBuf};

use sensor_tests::sources::debian_source;
use sensor_user::protocol::detect::{Verdict, detect};
use sensor_user::protocol::http2::frame::{Frame, Kind};
use sensor_user::protocol::http2::{Limits, Message, Parser};
use sensor_user::protocol::{Anomaly, Step, StreamParser};
use serde_json::Value;

use crate::hpack::hex;
use crate::suite::{Suite, corpora};

const LIMITS: Limits = Limits {
    head_bytes: 64 * 1024,
};

/// A direction begins with it.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

/// What a parser made of one direction.
#[derive(Default)]
struct Read {
    messages: Vec<(Message, Vec<u8>)>,
    anomalies: Vec<Anomaly>,
    /// Bytes that it waited for at most, and bytes it gave back in heads at most.
    wanted: usize,
    head: usize,
}

fn read(wire: &[u8]) -> Read {
    let (mut parser, mut read, mut rest) = (Parser::new(LIMITS), Read::default(), wire);
    while !rest.is_empty() {
        match parser.step(rest) {
            Step::Advance { consumed, message } => {
                let (raw, behind) = rest.split_at(consumed.get());
                rest = behind;
                read.anomalies.extend(message.iter().flat_map(anomalies));
                if let Some(Message::Head { head, .. }) = &message {
                    read.head = read.head.max(head.raw.len());
                }
                read.messages
                    .extend(message.map(|message| (message, raw.to_vec())));
            }
            Step::NeedMore { at_least } => {
                read.wanted = read.wanted.max(at_least.get());
                break;
            }
            Step::Reject(anomaly) => {
                read.anomalies.push(anomaly);
                break;
            }
        }
    }
    read
}

fn anomalies(message: &Message) -> Vec<Anomaly> {
    match message {
        Message::Head { head, .. } => head.anomalies.to_vec(),
        Message::HeadLost { anomaly, .. } => anomaly.iter().copied().collect(),
        Message::Odd { anomaly, .. } => vec![*anomaly],
        _ => Vec::new(),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "a helper for values that are made in the call"
)]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {found:?}, expected {expected:?}"))
    }
}

fn number(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or_default()
}

fn sound(wire: &[u8], expected: &Value) -> Result<(), String> {
    let frame = Frame::parse(wire).ok_or("no header")?;
    same("length", frame.length, number(&expected["length"]))?;
    same("flags", u32::from(frame.flags), number(&expected["flags"]))?;
    same("stream", frame.stream, number(&expected["stream_identifier"]))?;
    let kinds = [
        Kind::Data,
        Kind::Headers,
        Kind::Priority,
        Kind::RstStream,
        Kind::Settings,
        Kind::PushPromise,
        Kind::Ping,
        Kind::Goaway,
        Kind::WindowUpdate,
        Kind::Continuation,
    ];
    same(
        "kind",
        Some(&frame.kind),
        kinds.get(number(&expected["type"]) as usize),
    )?;
    let payload = &expected["frame_payload"];
    let text = |name: &str| payload[name].as_str().unwrap_or_default().as_bytes();
    if matches!(frame.kind, Kind::Headers | Kind::PushPromise | Kind::Continuation) {
        // Their blocks are no HPACK, so the parser would say so.
        let (fragment, promised) = frame.fragment(&wire[9..]).ok_or("no fragment")?;
        same("fragment", fragment, text("header_block_fragment"))?;
        return same("promised", promised, number(&payload["promised_stream_id"]));
    }
    let read = read(&[SETTINGS, wire].concat());
    same("anomalies", read.anomalies.len(), 0)?;
    match &read.messages[1] {
        (Message::Body { stream, piece, .. }, raw) => {
            same("stream", *stream, frame.stream)?;
            same("data", piece.of(raw), text("data"))
        }
        (Message::Goaway { last }, _) => same("last", *last, number(&payload["last_stream_id"])),
        (Message::Settings { table, frame }, _) => {
            let settings = payload["settings"].as_array().ok_or("no settings")?;
            let find = |id| {
                settings
                    .iter()
                    .find(|setting| setting[0] == id)
                    .map(|setting| number(&setting[1]))
            };
            same("table", *table, find(1)).and(same("frame", *frame, find(5)))
        }
        (Message::Reset { stream }, _) => {
            same("reset", (*stream, frame.kind), (frame.stream, Kind::RstStream))
        }
        (Message::Other, _) => {
            let known = matches!(frame.kind, Kind::Ping | Kind::Priority | Kind::WindowUpdate);
            same("skipped", known, true)
        }
        (message, _) => Err(format!("{message:?}")),
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()));
    let files = folders
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten();
    let mut files: Vec<PathBuf> = files.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort_unstable();
    files
}

#[test]
fn http2_frames() {
    let mut suite = Suite::open("http2-frames");
    let root = corpora().join("http2-frames");
    let mut files = files(&root);
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    if files.is_empty() {
        return suite.absent("http2-frames is not in the corpora (API_SENSOR_CORPORA names their directory)");
    }
    for file in files {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let wire = hex(case["wire"].as_str().unwrap());
        let outcome = if case["error"].is_null() {
            sound(&wire, &case["frame"])
        } else {
            // What its length demands and the file does not hold is missing for the parser, not wrong.
            let told = !read(&[SETTINGS, &wire].concat()).anomalies.is_empty();
            if told {
                Ok(())
            } else {
                Err("not reported".to_owned())
            }
        };
        suite.case(&file.strip_prefix(&root).unwrap().to_string_lossy(), outcome);
    }
    suite.finish();
}

/// Streams that fuzzers and h2spec left in nghttp2's corpus: none makes the parser panic, wait for more than a block, or
/// unfold more than its limit; and all that was read one byte at a time is what was read at once.
#[test]
fn http2_attack_streams() {
    let mut suite = Suite::open("http2-attacks");
    let source = match debian_source("nghttp2") {
        Ok(source) => source,
        Err(error) => return suite.absent(&format!("{error:#}")),
    };
    let files = files(&source.join("fuzz/corpus"));
    let mut reported = 0;
    for file in &files {
        let wire = std::fs::read(file).unwrap();
        let read = read(&wire);
        reported += usize::from(!read.anomalies.is_empty());
        let outcome = if read.wanted > LIMITS.head_bytes + 9 || read.head > 2 * LIMITS.head_bytes {
            Err(format!(
                "waits for {} bytes, gives a head of {}",
                read.wanted, read.head
            ))
        } else {
            in_pieces(&wire, &read)
        };
        suite.case(&file.file_name().unwrap().to_string_lossy(), outcome);
    }
    println!("{reported} of {} streams hold something odd", files.len());
    suite.finish();
}

/// One byte at a time.
fn in_pieces(wire: &[u8], whole: &Read) -> Result<(), String> {
    let (mut parser, mut buffer, mut heads, mut odd, mut wanted) = (Parser::new(LIMITS), Vec::new(), 0, 0, 0);
    'bytes: for byte in wire {
        buffer.push(*byte);
        while buffer.len() >= wanted.max(1) {
            match parser.step(&buffer) {
                Step::Advance { consumed, message } => {
                    buffer.drain(..consumed.get());
                    wanted = 0;
                    heads += usize::from(matches!(message, Some(Message::Head { .. })));
                    odd += message.iter().flat_map(anomalies).count();
                }
                Step::NeedMore { at_least } => wanted = at_least.get(),
                Step::Reject(_) => {
                    odd += 1;
                    break 'bytes;
                }
            }
        }
    }
    let at_once = whole
        .messages
        .iter()
        .filter(|(message, _)| matches!(message, Message::Head { .. }))
        .count();
    // A parser that lost its place at the beginning searches, and takes the starts of inputs for likely places.
    if matches!(
        whole.messages.first(),
        Some((Message::Preface | Message::Settings { .. }, _))
    ) {
        same(
            "heads and anomalies",
            (heads, odd),
            (at_once, whole.anomalies.len()),
        )?;
    }
    Ok(())
}

/// Two ends of TLS in memory, which exchange bodies of many sizes; what travelled goes to standard output.
const TLS: &str = r#"
import os, random, ssl, subprocess, sys
place = sys.argv[1]
key, certificate = place + "/key", place + "/certificate"
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
    "-keyout", key, "-out", certificate, "-subj", "/CN=a", "-days", "1"], check=True, capture_output=True)
def ends():
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    return (client.wrap_bio(a, b), b, a), (server.wrap_bio(b_in := ssl.MemoryBIO(), b_out := ssl.MemoryBIO(),
        server_side=True), b_out, b_in)
for connection in range(20):
    sides = ends()
    def carry():
        for (_, out, _), (_, _, into) in (sides, sides[::-1]):
            moved = out.read()
            into.write(moved)
            sys.stdout.buffer.write(moved)
    for _ in range(4):
        for side, _, _ in sides:
            try: side.do_handshake()
            except ssl.SSLWantReadError: pass
        carry()
    for _ in range(40):
        sides[random.randrange(2)][0].write(os.urandom(random.choice([1, 20, 300, 1400, 9000, 16384])))
        carry()
"#;

/// No place of real TLS streams, between records or within one, is taken for the beginning of HTTP/2.
#[test]
fn tls_streams_are_not_http2() {
    let mut suite = Suite::open("http2-tls");
    let place = tempfile::tempdir().unwrap();
    let python = std::process::Command::new("python3")
        .args(["-c", TLS])
        .arg(place.path())
        .output();
    let wire = match python {
        Ok(output) if output.status.success() => output.stdout,
        _ => return suite.absent("python3 or openssl cannot make TLS streams"),
    };
    assert!(
        wire.starts_with(&[22, 3]) && wire.len() > 1_000_000,
        "{} bytes",
        wire.len()
    );
    let mut taken = 0;
    for at in 0..wire.len() {
        let front = &wire[at..(at + 32_768).min(wire.len())];
        let verdict = detect(front);
        taken += usize::from(matches!(
            verdict,
            Verdict::Http2 | Verdict::Http2Server | Verdict::Http2Requests | Verdict::Http2Responses
        ));
    }
    println!(
        "{taken} of {} places in TLS streams are taken for HTTP/2",
        wire.len()
    );
    suite.case("every place", same("taken", taken, 0));
    suite.finish();
}
