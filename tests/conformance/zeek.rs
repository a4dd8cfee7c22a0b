//! Zeek's captures of odd HTTP: what the sensor makes of each beside what Wireshark's `tshark` does.
//!
//! A case is a capture. Of its requests method, target, number of fields and length of body are those of `tshark`; of
//! the answers, status, number of fields and length of body. Interim answers are no exchange's.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use sensor_user::capture::pcapng;
use sensor_user::capture::source::{Progress, RecordSource};
use sensor_user::exchange::call::CallKind;
use sensor_user::exchange::secret::HashKey;
use sensor_user::exchange::{Body, Head};
use sensor_user::pipeline::{Settings, Shard};
use sensor_user::telemetry::Counters;

use crate::suite::{self, Suite};

/// A message in a line: what it is, number of fields, bytes of its body.
type Line = (String, usize, u64);

#[test]
fn zeek() {
    let suite = Suite::open("zeek");
    if Command::new("tshark").arg("--version").output().is_err() {
        return suite.absent("tshark is not installed (apt-get install tshark)");
    }
    let Some((mut suite, files)) = suite::files(suite, "pcap") else {
        return;
    };
    for file in files.iter().filter(|file| {
        file.extension()
            .is_some_and(|end| end == "pcap" || end == "pcapng")
    }) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let (mut ours, mut theirs) = (ours(file), theirs(file));
        ours.sort_unstable();
        theirs.sort_unstable();
        let only = |some: &[Line], others: &[Line]| {
            let mut left = some.to_vec();
            for other in others {
                if let Some(at) = left.iter().position(|line| line == other) {
                    left.swap_remove(at);
                }
            }
            left.sort_unstable();
            left.iter()
                .take(4)
                .map(|line| format!("{line:.90?}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let outcome = if ours == theirs {
            Ok(())
        } else {
            Err(format!(
                "only ours: {}; only tshark's: {}",
                only(&ours, &theirs),
                only(&theirs, &ours)
            ))
        };
        suite.case(&name, outcome);
    }
    suite.finish();
}

fn ours(file: &Path) -> Vec<Line> {
    let mut shard = Shard::new(&Settings::new(
        HashKey::new([7; 32]),
        Arc::new(Counters::default()),
    ));
    let mut reader = pcapng::open(file).unwrap();
    let (mut records, mut observed) = (Vec::new(), Vec::new());
    while reader.next_batch(&mut records).unwrap() != Progress::Ended {}
    for record in records {
        shard.push(record, &mut observed);
    }
    shard.finish(&mut observed);
    // A message of a WebSocket is an exchange of its own; here only those of HTTP count.
    observed.retain(|one| {
        one.exchange
            .calls
            .iter()
            .all(|call| call.kind != CallKind::WebSocket)
    });
    let line = |start: String, head: &Head, body: &Body| (start, head.headers.len(), body.total);
    let mut lines = Vec::new();
    for observed in &observed {
        let request = &observed.exchange.request;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let start = format!("{} {}", text(request.method()), text(request.target().expose()));
        lines.push(line(start, &request.head, &request.body));
        if let Some(response) = observed.exchange.outcome.response() {
            lines.push(line(response.status.to_string(), &response.head, &response.body));
        }
    }
    lines
}

/// From tshark's PDML: every message is a protocol `http` of its own, each element on a line.
fn theirs(file: &Path) -> Vec<Line> {
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-T", "pdml", "-Y", "http", "--enable-heuristic", "http_tcp"]);
    for preference in [
        "tcp.check_checksum:FALSE",
        "tcp.reassemble_out_of_order:TRUE",
        "ip.defragment:TRUE",
        "http.decompress_body:FALSE",
    ] {
        tshark.args(["-o", preference]);
    }
    let output = tshark.arg("-r").arg(file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (mut lines, mut inside) = (Vec::new(), None::<Message>);
    for element in text.lines().map(str::trim) {
        // A remark within a message is an element that ends itself.
        if element.starts_with("<proto ") && !element.ends_with("/>") {
            if let Some(message) = inside.take() {
                lines.extend(message.line());
            }
            if attribute(element, "name") == "http" {
                inside = Some(Message::default());
            }
        } else if element.starts_with("</proto>") {
            lines.extend(inside.take().and_then(Message::line));
        } else if let Some(message) = &mut inside {
            message.take(element);
        }
    }
    lines.extend(inside.take().and_then(Message::line));
    lines
}

#[derive(Default)]
struct Message {
    method: String,
    target: String,
    status: String,
    fields: usize,
    body: u64,
}

impl Message {
    fn take(&mut self, element: &str) {
        let shown = || attribute(element, "show");
        match attribute(element, "name").as_str() {
            "http.request.method" => self.method = shown(),
            "http.request.uri" => self.target = shown(),
            "http.response.code" => self.status = shown(),
            "http.request.line" | "http.response.line" => self.fields += 1,
            // A coded body is shown so, and not decoded.
            "" if shown().starts_with("Content-encoded entity body") => {
                self.body = attribute(element, "size").parse().unwrap_or(0);
            }
            "http.file_data" if self.body == 0 => self.body = attribute(element, "size").parse().unwrap_or(0),
            _ => {}
        }
    }

    fn line(self) -> Option<Line> {
        let start = match (self.method.is_empty(), self.status.as_str()) {
            (false, _) => format!("{} {}", self.method, self.target),
            (true, "" | "100" | "102" | "103") => return None,
            (true, status) => status.to_owned(),
        };
        Some((start, self.fields, self.body))
    }
}

/// An attribute's value, XML's escapes undone.
fn attribute(element: &str, name: &str) -> String {
    let value = element
        .split(&format!(" {name}=\""))
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let value = value.unwrap_or_default();
    [
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(value.to_owned(), |text, (escape, plain)| {
        text.replace(escape, plain)
    })
}
