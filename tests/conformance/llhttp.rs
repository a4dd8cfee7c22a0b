//! llhttp's own tests: requests, responses and URLs in Markdown, each with the events it expects.
//!
//! Where llhttp reads on, our messages are the same. Where it refuses, we refuse or report an anomaly, and what was
//! complete before is the same. Tests of a lenient mode hold what its strict mode refuses: we read it as that mode does,
//! or report an anomaly.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use sensor_user::protocol::http1::Answering;

use crate::http1::{self, Account, Read, Tunnels, plain};
use crate::suite::{self, Suite};

/// One test of a file.
struct Case {
    name: String,
    meta: serde_json::Value,
    /// `http` or `url`.
    kind: String,
    wire: Vec<u8>,
    log: Vec<String>,
}

/// What a log says.
#[derive(Default)]
struct Expected {
    messages: Vec<Read>,
    /// The error that ends it, unless it only stops for an upgrade.
    error: Option<String>,
}

#[test]
fn llhttp() {
    let mut suite = Suite::open("llhttp");
    for folder in ["http1/request", "http1/response", "http1"] {
        let Some((open, files)) = suite::files(suite, folder) else {
            return;
        };
        suite = open;
        for file in files
            .iter()
            .filter(|file| file.extension().is_some_and(|end| end == "md"))
        {
            for case in cases(file, folder) {
                suite.case(&case.name, judge(&case));
            }
        }
    }
    suite.finish();
}

fn judge(case: &Case) -> Result<(), String> {
    let mode = case.meta["type"].as_str().unwrap_or_default();
    let expected = expected(&case.wire, &case.log)?;
    if case.kind == "url" {
        let wire = [b"GET ", case.wire.as_slice(), b" HTTP/1.1\r\n\r\n"].concat();
        return refusal_or(&expected, &http1::requests(&wire, Tunnels::Unknown), |account| {
            let target = format!("GET {}", String::from_utf8_lossy(&case.wire));
            let same = account.messages.len() == 1 && account.messages[0].start == target;
            (same && account.anomalies.is_empty())
                .then_some(())
                .ok_or_else(|| format!("{account:?}"))
        });
    }
    let read = |wire: &[u8]| {
        if !mode.starts_with("response") {
            return http1::requests(wire, Tunnels::Unknown);
        }
        let head = case.meta["skipBody"].as_bool() == Some(true);
        http1::responses(wire, &[if head { Answering::Head } else { Answering::Other }])
    };
    let mut account = read(&case.wire);
    if expected.error.is_some() && account.anomalies.is_empty() {
        // Heads are judged whole, so that splits do not matter, and many a wire ends where llhttp gave up: inside one.
        account = read(&[case.wire.as_slice(), b"\r\n\r\n"].concat());
    }
    if mode.contains("lenient") && !account.anomalies.is_empty() {
        return Ok(());
    }
    refusal_or(&expected, &account, |account| {
        compare(&expected.messages, account, true)
    })
}

/// What is refused is to be reported, and what was complete before it is the same.
fn refusal_or(
    expected: &Expected,
    account: &Account,
    accepted: impl FnOnce(&Account) -> Result<(), String>,
) -> Result<(), String> {
    let Some(error) = &expected.error else {
        return accepted(account);
    };
    if account.anomalies.is_empty() {
        return Err(format!("nothing is reported of: {error}; {:?}", account.messages));
    }
    let complete: Vec<Read> = expected
        .messages
        .iter()
        .filter(|read| read.complete)
        .cloned()
        .collect();
    compare(&complete, account, false)
}

fn compare(expected: &[Read], account: &Account, all: bool) -> Result<(), String> {
    let ours = &account.messages;
    if ours.len() < expected.len() || (all && ours.len() > expected.len()) {
        return Err(format!(
            "{} messages for {}: {ours:?} {:?}",
            ours.len(),
            expected.len(),
            account.anomalies
        ));
    }
    for (ours, expected) in ours.iter().zip(expected) {
        let same = Read {
            complete: ours.complete && expected.complete,
            ..ours.clone()
        };
        if same != *expected {
            return Err(format!("{ours:?} for {expected:?}, {:?}", account.anomalies));
        }
    }
    Ok(())
}

/// The messages of a log whose head is complete.
fn expected(wire: &[u8], log: &[String]) -> Result<Expected, String> {
    let mut found = Expected::default();
    let (mut message, mut start, mut open) = (Read::default(), String::new(), false);
    let (mut field, mut value) = (Vec::new(), Vec::new());
    for line in log {
        let Some((place, event)) = line.strip_prefix("off=").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        if let Some((len, span)) = event
            .strip_prefix("len=")
            .and_then(|event| event.split_once(" span["))
        {
            let (at, len): (usize, usize) = (place.parse().unwrap(), len.parse().unwrap());
            let short = || format!("the wire is too short for {line}");
            let bytes = wire.get(at..at + len).ok_or_else(short)?;
            match span.split(']').next().unwrap_or_default() {
                "method" | "url" => {
                    let separator = if start.is_empty() || span.starts_with("method") || start.contains(' ') {
                        ""
                    } else {
                        " "
                    };
                    write!(start, "{separator}{}", String::from_utf8_lossy(bytes)).unwrap();
                }
                "header_field" => field.extend_from_slice(bytes),
                "header_value" => value.extend_from_slice(&[bytes, b" "].concat()),
                "body" => message.body.extend_from_slice(bytes),
                _ => {}
            }
            continue;
        }
        match event {
            "message begin" => {
                if open {
                    found.messages.push(std::mem::take(&mut message));
                }
                (message, start, open) = (Read::default(), String::new(), false);
            }
            "header_value complete" => {
                let pair = (
                    plain(&std::mem::take(&mut field)),
                    plain(&std::mem::take(&mut value)),
                );
                message.fields.push(pair);
            }
            "message complete" => message.complete = true,
            _ if event.starts_with("headers complete") => {
                open = true;
                let value = |name: &str| event.split(name).nth(1).and_then(|rest| rest.split(' ').next());
                message.start = value("status=").map_or_else(|| start.clone(), str::to_owned);
                message.version = if value("v=") < Some("1/1") { 10 } else { 11 };
            }
            // 22 and 23: HTTP ends here, as it should.
            _ if event.starts_with("error code=22 ") || event.starts_with("error code=23 ") => {}
            _ if event.starts_with("error code=") => found.error = Some(event.to_owned()),
            _ => {}
        }
    }
    if open {
        found.messages.push(message);
    }
    Ok(found)
}

fn cases(file: &Path, folder: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(file).unwrap();
    let file = format!(
        "{}/{}",
        folder.rsplit('/').next().unwrap_or_default(),
        file.file_stem().unwrap().to_string_lossy()
    );
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let (mut found, mut title, mut meta) = (Vec::<Case>::new(), String::new(), serde_json::Value::Null);
    let mut block: Option<(String, Vec<&str>)> = None;
    for line in text.lines() {
        if let Some((kind, lines)) = &mut block {
            if line != "```" {
                lines.push(line);
                continue;
            }
            if kind == "log" {
                if let Some(case) = found.last_mut() {
                    case.log.extend(lines.iter().map(|line| (*line).to_owned()));
                }
            } else {
                let times = seen.entry(title.clone()).or_default();
                *times += 1;
                let number = if *times > 1 {
                    format!(" {times}")
                } else {
                    String::new()
                };
                found.push(Case {
                    name: format!("{file}: {title}{number}"),
                    meta: std::mem::take(&mut meta),
                    kind: kind.clone(),
                    wire: wire(&lines.join("\n")),
                    log: Vec::new(),
                });
            }
            block = None;
        } else if let Some(heading) = line.strip_prefix('#') {
            heading.trim_start_matches('#').trim().clone_into(&mut title);
        } else if let Some(kind) = line.strip_prefix("```") {
            block = Some((kind.to_owned(), Vec::new()));
        } else if let Some(json) = line
            .strip_prefix("<!-- meta=")
            .and_then(|rest| rest.strip_suffix("-->"))
        {
            meta = serde_json::from_str(json.trim()).unwrap();
        }
    }
    found
}

/// A block as bytes: a backslash at a line's end joins it with the next, other line ends are CRLF, and escapes are
/// undone.
fn wire(block: &str) -> Vec<u8> {
    block
        .replace("\\\n", "")
        .replace('\n', "\r\n")
        .replace("\\r", "\r")
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace("\\f", "\u{c}")
        // As in JavaScript: a code point.
        .replace("\\xff", "\u{ff}")
        .into_bytes()
}
