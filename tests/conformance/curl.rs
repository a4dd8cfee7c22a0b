//! curl's test data: conversations with the raw request and the raw reply.
//!
//! A request is what curl sent: each is read, with its method and target, to its last byte, and nothing is reported. A
//! reply is what curl was given: the body that is read is what curl wrote out.

use sensor_tests::sources::debian_source;
use sensor_user::protocol::http1::Answering;

use crate::http1::{self, Account, Tunnels};
use crate::suite::Suite;

#[test]
fn curl() {
    let mut suite = Suite::open("curl");
    let sources = match debian_source("curl") {
        Ok(sources) => sources,
        Err(error) => return suite.absent(&format!("{error:#}")),
    };
    let mut conversations = 0;
    for (number, text) in tests(&sources.join("tests/data")) {
        let test = Test::of(number, &text);
        let (Some(sent), Some(reply)) = (test.part("verify", "protocol"), test.part("reply", "data")) else {
            continue;
        };
        if request_lines(&sent.bytes).is_empty() || !reply.bytes.starts_with(b"HTTP/1") {
            continue;
        }
        conversations += 1;
        if ["strip", "strippart"]
            .iter()
            .any(|part| test.part("verify", part).is_some())
        {
            suite.skip(
                &format!("{number} request"),
                "the file holds it without what curl's tests filter out",
            );
        } else {
            suite.case(&format!("{number} request"), judge_request(&sent.bytes));
        }
        suite.case(
            &format!("{number} reply"),
            judge_reply(&test, &sent.bytes, &reply),
        );
    }
    println!("curl: {conversations} conversations");
    suite.finish();
}

/// Files by number.
fn tests(folder: &std::path::Path) -> Vec<(u32, Vec<u8>)> {
    let mut found: Vec<(u32, Vec<u8>)> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.strip_prefix("test")?.parse().ok()?;
            Some((number, std::fs::read(path).ok()?))
        })
        .collect();
    found.sort_unstable_by_key(|(number, _)| *number);
    found
}

fn judge_request(wire: &[u8]) -> Result<(), String> {
    let account = http1::requests(wire, Tunnels::Refused);
    let lines: Vec<&str> = account.messages.iter().map(|read| read.start.as_str()).collect();
    let expected = request_lines(wire);
    if between(wire, b"Upgrade: websocket", b"").is_some() {
        // What follows is a matter of the upgrade.
        let same = lines.first().copied() == expected.first().map(String::as_str);
        return same
            .then_some(())
            .ok_or_else(|| format!("{lines:?} for {expected:?}"));
    }
    if lines != expected {
        return Err(format!("{lines:?} for {expected:?}, {:?}", account.anomalies));
    }
    if !account.anomalies.is_empty() {
        return Err(format!("{:?}", account.anomalies));
    }
    let cut = account.messages.iter().find(|read| !read.complete);
    cut.map_or(Ok(()), |read| Err(format!("{} is not complete", read.start)))
}

fn judge_reply(test: &Test, sent: &[u8], reply: &Part) -> Result<(), String> {
    let requests = request_lines(sent);
    let answering = match requests.first().and_then(|line| line.split(' ').next()) {
        Some("HEAD") => Answering::Head,
        Some("CONNECT") => Answering::Connect,
        _ => Answering::Other,
    };
    let account = http1::responses(&reply.bytes, &[answering]);
    let code = test.part("verify", "errorcode");
    let failed = code.is_some_and(|code| code.bytes.trim_ascii() != b"0");
    if account.messages.is_empty() && account.anomalies.is_empty() {
        return Err("nothing is read".to_owned());
    }
    // What curl wrote out is known when it did not fail, decode or filter.
    let written = test.part("reply", "datacheck");
    let raw = written.as_ref().unwrap_or(reply);
    // What several replies came to is written out joined; only the first of them stands here.
    if failed || requests.len() > 1 || reply.attributes.contains("nocheck") || raw.attributes.contains("mode")
    {
        return Ok(());
    }
    compare(&account, body(&raw.bytes))
}

fn compare(account: &Account, expected: &[u8]) -> Result<(), String> {
    let decoded = |read: &http1::Read| {
        read.fields
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-encoding"))
    };
    let Some(last) = account.messages.last() else {
        return Err(format!("no message, {:?}", account.anomalies));
    };
    if last.body == expected || account.messages.iter().any(decoded) {
        return Ok(());
    }
    let (ours, theirs) = (
        String::from_utf8_lossy(&last.body),
        String::from_utf8_lossy(expected),
    );
    Err(format!("{ours:.60?} for {theirs:.60?}, {:?}", account.anomalies))
}

/// What follows the last head at the front.
fn body(mut text: &[u8]) -> &[u8] {
    while text.starts_with(b"HTTP/") {
        let end = (0..text.len()).find_map(|at| match text.get(at..)? {
            [b'\n', b'\n', ..] => Some(at + 2),
            [b'\n', b'\r', b'\n', ..] => Some(at + 3),
            _ => None,
        });
        text = end.and_then(|end| text.get(end..)).unwrap_or_default();
    }
    text
}

/// `METHOD target` of each line that is a request line of HTTP/1.
fn request_lines(wire: &[u8]) -> Vec<String> {
    let lines = wire.split(|byte| *byte == b'\n').map(String::from_utf8_lossy);
    lines
        .filter_map(|line| {
            let line = line.trim_end();
            let start = line
                .strip_suffix(" HTTP/1.1")
                .or(line.strip_suffix(" HTTP/1.0"))?;
            // A body without line end may stand in front.
            let (before, target) = start.rsplit_once(' ')?;
            let method = before;
            let at = method.rfind(|letter: char| !letter.is_ascii_uppercase() && letter != '-');
            let method = &method[at.map_or(0, |at| at + 1)..];
            (method.len() > 1).then(|| format!("{method} {target}"))
        })
        .collect()
}

/// A file of curl's: sections of parts, in which lines may depend on what curl was built with.
struct Test(Vec<Vec<u8>>);

struct Part {
    attributes: String,
    bytes: Vec<u8>,
}

impl Test {
    fn of(number: u32, text: &[u8]) -> Self {
        let (mut lines, mut shown) = (Vec::new(), true);
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let trimmed = line.trim_ascii();
            if let Some(condition) = trimmed.strip_prefix(b"%if ") {
                // A curl without any optional feature.
                shown = condition.starts_with(b"!");
            } else if trimmed == b"%else" {
                shown = !shown;
            } else if trimmed == b"%endif" {
                shown = true;
            } else if shown {
                lines.push(substitute(line, number));
            }
        }
        Self(lines)
    }

    fn part(&self, section: &str, name: &str) -> Option<Part> {
        let is = |line: &[u8], text: &str| line.trim_ascii().starts_with(text.as_bytes());
        let inside = self
            .0
            .iter()
            .skip_while(|line| !is(line, &format!("<{section}>")));
        let mut inside = inside.take_while(|line| !is(line, &format!("</{section}>")));
        let opens = |line: &&Vec<u8>| is(line, &format!("<{name}>")) || is(line, &format!("<{name} "));
        let attributes = String::from_utf8_lossy(inside.by_ref().find(opens)?).into_owned();
        let (mut bytes, mut headers) = (Vec::new(), false);
        for line in inside.take_while(|line| !is(line, &format!("</{name}>"))) {
            let text = line.trim_ascii_end_newline();
            // curl's server notes here that the connection ended.
            if text == b"[DISCONNECT]" {
                continue;
            }
            headers = is_header(text) || (headers && text.is_empty());
            // What curl sent has CRLF throughout, what it was given only in its heads.
            if attributes.contains("crlf=") && (section == "verify" || headers) {
                bytes.extend_from_slice(&[text, b"\r\n"].concat());
            } else {
                bytes.extend_from_slice(line);
            }
            headers &= !text.is_empty();
        }
        if attributes.contains("nonewline=") {
            let len = bytes.trim_ascii_end_newline().len();
            bytes.truncate(len);
        }
        Some(Part { attributes, bytes })
    }
}

/// A status line, or a name of letters, digits and hyphens with a colon.
fn is_header(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    line.starts_with(b"HTTP/") || (name.len() < line.len() && !name.is_empty() && name.iter().all(is_name))
}

trait Line {
    fn trim_ascii_end_newline(&self) -> &[u8];
}

impl Line for [u8] {
    fn trim_ascii_end_newline(&self) -> &[u8] {
        let line = self.strip_suffix(b"\n").unwrap_or(self);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

/// Variables, `%hex[..]hex%` and `%repeat[N x ..]%`.
fn substitute(line: &[u8], number: u32) -> Vec<u8> {
    let mut line = line.to_vec();
    for (name, value) in [
        ("%TESTNUMBER", number.to_string().as_str()),
        ("%HOSTIP", "127.0.0.1"),
        ("%HOST6IP", "[::1]"),
        ("%HTTPPORT", "8990"),
        ("%VERSION", "7.88.1"),
    ] {
        line = replace(&line, name.as_bytes(), value.as_bytes());
    }
    if let Some((before, inside, after)) = between(&line, b"%hex[", b"]hex%") {
        line = [before, &unescape(inside), after].concat();
    }
    if let Some((before, inside, after)) = between(&line, b"%repeat[", b"]%") {
        let inside = String::from_utf8_lossy(inside).into_owned();
        if let Some((times, text)) = inside.split_once(" x ") {
            let text = unescape(text.as_bytes()).repeat(times.parse().unwrap_or(0));
            line = [before, &text, after].concat();
        }
    }
    line
}

fn replace(line: &[u8], name: &[u8], value: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), line);
    while let Some((before, _, after)) = between(rest, name, b"") {
        out.extend_from_slice(before);
        out.extend_from_slice(value);
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

/// What stands before, between and behind two marks.
fn between<'a>(line: &'a [u8], open: &[u8], close: &[u8]) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
    let find = |text: &[u8], mark: &[u8]| {
        if mark.is_empty() {
            return Some(0);
        }
        text.windows(mark.len()).position(|window| window == mark)
    };
    let at = find(line, open)?;
    let rest = line.get(at + open.len()..)?;
    let end = find(rest, close)?;
    Some((line.get(..at)?, rest.get(..end)?, rest.get(end + close.len()..)?))
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(byte) = text.get(at) {
        let digits = text
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits
            .filter(|_| *byte == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(value.unwrap_or(*byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    out
}
