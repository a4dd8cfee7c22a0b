//! Calls that carry planted values in every place a message has, and what the sensor should find in each.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use sensor_tests::programs::Program;

use crate::planted::{Value, base64, percent, values};

/// The word of the last call's path.
pub(crate) const LAST: &str = "finish";

/// One call.
pub(crate) struct Call {
    /// First step of its path: names the answer, and the endpoint in the outputs.
    pub(crate) word: &'static str,
    /// Whether it is sent over TLS.
    pub(crate) tls: bool,
    /// What it carries.
    pub(crate) values: Vec<Value>,
    /// Kinds that must be found in the request and in the response.
    pub(crate) expected: [Vec<&'static str>; 2],
    /// Rest of the URL, after the word.
    rest: String,
    /// Further lines of curl's configuration.
    options: String,
    request_body: Option<String>,
    /// Header fields of the answer, and its body.
    answer: (String, String),
}

impl Call {
    fn new(word: &'static str) -> Self {
        Self {
            word,
            tls: true,
            values: Vec::new(),
            expected: [Vec::new(), Vec::new()],
            rest: String::new(),
            options: String::new(),
            request_body: None,
            answer: (String::new(), String::new()),
        }
    }

    /// Plants one value of each kind in the request or (1) the response; those that `found` accepts must be found.
    fn plant(&mut self, seed: u64, half: usize, found: impl Fn(&Value) -> bool) -> Vec<Value> {
        let planted = values(seed);
        self.values.extend(planted.iter().cloned());
        let kinds = planted
            .iter()
            .filter(|value| found(value))
            .map(|value| value.kind);
        self.expected[half].extend(kinds);
        planted
    }

    fn header(&mut self, field: &str) {
        writeln!(self.options, "header = {}", quoted(field)).unwrap();
    }

    fn json(&mut self, body: String) {
        self.header("Content-Type: application/json");
        self.request_body = Some(body);
    }

    fn answer_json(&mut self, body: String) {
        self.answer = ("Content-Type: application/json\r\n".to_owned(), body);
    }

    /// curl's configuration for it.
    fn curl(&self, directory: &Path, port: u16) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{port}/{}{}", self.word, self.rest);
        let mut text = format!("url = {}\n{}", quoted(&url), self.options);
        if let Some(body) = &self.request_body {
            let file = directory.join(format!("{}.sent", self.word));
            fs::write(&file, body).unwrap();
            writeln!(text, "data-binary = {}", quoted(&format!("@{}", file.display()))).unwrap();
        }
        text
    }
}

/// Quotes a value of curl's configuration.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A value in one line.
fn line(value: &Value) -> String {
    value.text.trim().replace('\n', " ")
}

/// Whether the value tells what it is without a name.
fn speaks_for_itself(value: &Value) -> bool {
    !matches!(value.kind, "password" | "secret_field" | "us_ssn")
}

fn object(values: &[Value]) -> String {
    let members: Vec<_> = values
        .iter()
        .map(|value| {
            format!(
                "\"{}\": {}",
                value.name,
                serde_json::to_string(&value.text).unwrap()
            )
        })
        .collect();
    format!("{{\"data\": [{{{}}}]}}", members.join(", "))
}

fn pairs(values: &[Value]) -> String {
    let pairs: Vec<_> = values
        .iter()
        .map(|value| format!("{}={}", value.name, percent(&value.text)))
        .collect();
    pairs.join("&")
}

/// Every call, in the order in which they are made.
pub(crate) fn all() -> Vec<Call> {
    vec![
        bodies("records", true, 1),
        query(),
        fields(),
        cookies(),
        path(),
        form(),
        text(),
        bearer(),
        basic("basic", true, 21),
        names(),
        broken(),
        odd(),
        bodies("cleartext", false, 31),
        basic("login", false, 33),
        Call::new(LAST),
    ]
}

fn bodies(word: &'static str, tls: bool, seed: u64) -> Call {
    let mut call = Call {
        tls,
        ..Call::new(word)
    };
    let sent = call.plant(seed, 0, |_| true);
    call.json(object(&sent));
    let answered = call.plant(seed + 1, 1, |_| true);
    call.answer_json(object(&answered));
    call
}

fn query() -> Call {
    let mut call = Call::new("search");
    let sent = call.plant(3, 0, |_| true);
    call.rest = format!("?{}", pairs(&sent));
    call
}

fn fields() -> Call {
    let mut call = Call::new("fields");
    for value in call.plant(4, 0, |_| true) {
        call.header(&format!("X-{}: {}", value.name, line(&value)));
    }
    for value in call.plant(5, 1, |_| true) {
        write!(call.answer.0, "X-{}: {}\r\n", value.name, line(&value)).unwrap();
    }
    call
}

fn cookies() -> Call {
    let mut call = Call::new("cookies");
    let sent: Vec<_> = call
        .plant(6, 0, |_| true)
        .iter()
        .map(|value| format!("{}={}", value.name, percent(&value.text)))
        .collect();
    call.header(&format!("Cookie: {}", sent.join("; ")));
    for value in call.plant(7, 1, |_| true) {
        let (name, text) = (value.name, percent(&value.text));
        write!(call.answer.0, "Set-Cookie: {name}={text}; Path=/; Secure\r\n").unwrap();
    }
    call
}

fn path() -> Call {
    let mut call = Call::new("path");
    for value in call.plant(8, 0, speaks_for_itself) {
        write!(call.rest, "/{}/{}", value.name, percent(&value.text)).unwrap();
    }
    call
}

fn form() -> Call {
    let mut call = Call::new("form");
    let sent = call.plant(9, 0, |_| true);
    call.header("Content-Type: application/x-www-form-urlencoded");
    call.request_body = Some(pairs(&sent));
    let answered = call.plant(10, 1, |_| true);
    call.answer = (
        "Content-Type: application/x-www-form-urlencoded\r\n".to_owned(),
        pairs(&answered),
    );
    call
}

fn text() -> Call {
    let mut call = Call::new("text");
    let said = |values: &[Value]| -> String {
        let said = values
            .iter()
            .map(|value| format!("the {} is {}, thanks.\n", value.name, value.text));
        said.collect()
    };
    let sent = call.plant(11, 0, speaks_for_itself);
    call.header("Content-Type: text/plain");
    call.request_body = Some(said(&sent));
    let answered = call.plant(12, 1, speaks_for_itself);
    call.answer = ("Content-Type: text/plain\r\n".to_owned(), said(&answered));
    call
}

fn bearer() -> Call {
    let mut call = Call::new("bearer");
    let sent = call.plant(13, 0, |value| value.kind == "secret_field");
    let secret = &sent.last().unwrap().text;
    call.header(&format!("Authorization: Bearer {secret}"));
    // As a proxy may add it, which a caller can make any value.
    call.header(&format!("X-Forwarded-For: {}", line(&sent[1])));
    call
}

fn basic(word: &'static str, tls: bool, seed: u64) -> Call {
    let mut call = Call {
        tls,
        ..Call::new(word)
    };
    let sent = call.plant(seed, 0, |value| value.kind == "password");
    let password = sent.iter().find(|value| value.kind == "password").unwrap();
    let user = &sent[2];
    let token = base64(format!("{}:{}", user.text, password.text).as_bytes());
    call.header(&format!("Authorization: Basic {token}"));
    call.values.push(Value {
        secret: vec![token.clone()],
        text: token,
        ..password.clone()
    });
    call
}

/// Values where names should be: keys of an object and of a query.
fn names() -> Call {
    let mut call = Call::new("names");
    let members = |values: &[Value]| -> String {
        let members = values
            .iter()
            .map(|value| format!("{}: 1", serde_json::to_string(&value.text).unwrap()));
        format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
    };
    let found = |value: &Value| matches!(value.kind, "email" | "code_host_token" | "cloud_token" | "jwt");
    let sent = call.plant(14, 0, found);
    call.json(members(&sent));
    let query: Vec<_> = sent.iter().map(|value| percent(&value.text)).collect();
    call.rest = format!("?{}=1", query.join("=1&"));
    let answered = call.plant(15, 1, found);
    call.answer_json(members(&answered));
    call
}

/// Bodies that are not what they are said to be.
fn broken() -> Call {
    let mut call = Call::new("broken");
    let sent = call.plant(16, 0, |_| false);
    call.json(object(&sent).replace(": ", " ").replace('"', ""));
    let answered = call.plant(17, 1, |_| false);
    call.answer_json(format!("{{]{}", object(&answered)));
    call
}

/// Values in the method, in the host and in fields that browsers set, and a status line nobody sends.
fn odd() -> Call {
    let mut call = Call::new("odd");
    let sent = call.plant(18, 0, |_| false);
    let (card, token) = (&sent[0].text, sent[7].text.clone());
    // Capital letters alone may be a method.
    let method = sent[2].secret[0].to_uppercase();
    writeln!(call.options, "request = {}", quoted(&method)).unwrap();
    call.header(&format!("Host: {card}.{token}.example"));
    call.header(&format!("User-Agent: {}", sent[11].text));
    call.header(&format!("Content-Type: {}", sent[12].text));
    call.header(&format!(
        "Referer: https://example.com/?password={}",
        sent[11].text
    ));
    call.header(&format!("{}: 1", sent[10].text));
    call.header(&format!("traceparent: {}", sent[12].text));
    call
}

/// Writes the answers to `directory` and gives the command that makes every call, one curl after the other.
pub(crate) fn prepare(calls: &[Call], directory: &Path, tls_port: u16, plain_port: u16) -> Command {
    let mut script = String::new();
    let curl = Program::Curl.find().unwrap();
    for (number, call) in calls.iter().enumerate() {
        let (fields, body) = &call.answer;
        let length = body.len();
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
        fs::write(directory.join(call.word), answer).unwrap();
        let config = directory.join(format!("{number}.curl"));
        let port = if call.tls { tls_port } else { plain_port };
        fs::write(&config, call.curl(directory, port)).unwrap();
        let (curl, config) = (curl.display(), config.display());
        // -q first: no configuration of the user's own.
        let options =
            "-q --silent --show-error --insecure --http1.1 --max-time 20 --noproxy '*' --output /dev/null";
        writeln!(script, "{curl} {options} --config {config} || exit 1").unwrap();
    }
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script]);
    shell
}
