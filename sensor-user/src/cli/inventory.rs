//! Endpoints of the store as a table and as JSON lines.
//!
//! Takes rows. Gives text. A store may come from elsewhere: nothing in it commands a terminal. Bounded by the rows.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::export::ClockOffset;
use crate::export::wording::clean;
use crate::store::{Found, Row, Span};

const COLUMNS: usize = 8;
const HEADS: [&str; COLUMNS] = [
    "HOST",
    "METHOD",
    "PATH",
    "CALLS",
    "STATUS",
    "AUTH",
    "DATA",
    "LAST SEEN",
];
/// Columns that give way on a narrow terminal, in this order, and what is left of them.
const GIVE_WAY: [(usize, usize); 10] = [
    (2, 32),
    (6, 16),
    (0, 16),
    (2, 16),
    (4, 7),
    // The day is enough.
    (7, 10),
    (5, 6),
    (6, 8),
    (0, 10),
    (2, 12),
];
/// The column of numbers.
const NUMBER: usize = 3;
/// Statuses shown of an endpoint; the JSON has all.
const STATUSES: usize = 4;

/// A table for people, as wide as `width` if it is known.
pub(super) fn table(found: &Found, width: Option<usize>) -> String {
    let lines: Vec<[String; COLUMNS]> = found.rows.iter().map(cells).collect();
    let mut widths = HEADS.map(str::len);
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    if let Some(width) = width {
        narrow(&mut widths, width);
    }
    let mut text = String::new();
    if !lines.is_empty() {
        write_line(&mut text, &HEADS.map(str::to_owned), &widths);
    }
    for line in &lines {
        write_line(&mut text, line, &widths);
    }
    let shown = lines.len() as u64;
    let _infallible = match (shown, found.total) {
        (1, 1) => writeln!(text, "1 endpoint"),
        (shown, total) if shown < total => writeln!(text, "{shown} of {total} endpoints"),
        (shown, _) => writeln!(text, "{shown} endpoints"),
    };
    text
}

fn cells(row: &Row) -> [String; COLUMNS] {
    let mut statuses: Vec<_> = row
        .statuses
        .iter()
        .take(STATUSES)
        .map(|(status, _)| shown(*status))
        .collect();
    if row.statuses.len() > STATUSES {
        statuses.push("...".to_owned());
    }
    let auth: Vec<&str> = row.auth.iter().map(|(scheme, _)| scheme.as_str()).collect();
    let data: BTreeSet<&str> = row.data.iter().map(|data| data.kind.as_str()).collect();
    let data: Vec<&str> = data.into_iter().collect();
    [
        row.host.clone(),
        row.method.clone(),
        template(row),
        row.exchanges.to_string(),
        statuses.join(" "),
        auth.join(","),
        data.join(","),
        minute(row.seen.last_ns),
    ]
    .map(|cell| clean(&cell).into_owned())
}

/// The path, and which call it is where the path does not say it.
fn template(row: &Row) -> String {
    let mut shown = row.template.clone();
    let called = row.operation.as_deref();
    if let Some(operation) = called.filter(|operation| !row.template.ends_with(operation)) {
        shown.extend([" ", operation]);
    }
    shown
}

/// A call without an answer has no status.
fn shown(status: u16) -> String {
    if status == 0 {
        "-".to_owned()
    } else {
        status.to_string()
    }
}

/// `2026-05-31 14:00`, UTC.
fn minute(unix_ns: u64) -> String {
    let time = ClockOffset::RECORDED.rfc3339(unix_ns);
    time.chars()
        .take(16)
        .map(|c| if c == 'T' { ' ' } else { c })
        .collect()
}

fn narrow(widths: &mut [usize; COLUMNS], room: usize) {
    for (column, least) in GIVE_WAY {
        let all = widths.iter().sum::<usize>() + 2 * (COLUMNS - 1);
        if let Some(width) = widths.get_mut(column) {
            let too_much = all.saturating_sub(room);
            *width = width.saturating_sub(too_much).max((*width).min(least));
        }
    }
}

fn write_line(text: &mut String, cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) {
    let mut line = String::new();
    for (number, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let cell = cut(cell, *width);
        let _infallible = if number == NUMBER {
            write!(line, "{cell:>width$}  ")
        } else {
            write!(line, "{cell:<width$}  ")
        };
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return cell.to_owned();
    }
    let mut front: String = cell.chars().take(width.saturating_sub(1)).collect();
    front.push('…');
    front
}

/// One object per endpoint. `docs/OUTPUT.md` describes the fields.
pub(super) fn json(found: &Found) -> String {
    let mut text = String::new();
    for row in &found.rows {
        let _infallible = writeln!(text, "{}", cleaned(object(row)));
    }
    text
}

/// All texts of it cleaned: JSON lets C1 controls and what changes the direction of text pass, and a terminal obeys them.
fn cleaned(value: Value) -> Value {
    match value {
        Value::String(text) => clean(&text).into(),
        Value::Array(values) => values.into_iter().map(cleaned).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, cleaned(value)))
            .collect(),
        other => other,
    }
}

fn object(row: &Row) -> Value {
    let statuses: Vec<Value> = row
        .statuses
        .iter()
        .map(|(status, count)| json!({ "http.response.status_code": status, "exchanges": count }))
        .collect();
    let auth: Vec<Value> = row
        .auth
        .iter()
        .map(|(scheme, count)| json!({ "scheme": scheme, "exchanges": count }))
        .collect();
    json!({
        "type": "endpoint",
        "id": row.id,
        "kind": row.kind,
        "http.request.method": row.method,
        "server.address": row.host,
        "url.template": row.template,
        "operation": row.operation,
        "first_seen": time(row.seen.first_ns),
        "last_seen": time(row.seen.last_ns),
        "exchanges": row.exchanges,
        "success": { "with_credentials": row.success.0, "without_credentials": row.success.1 },
        "confidence": row.confidence,
        "statuses": statuses,
        "auth": auth,
        "data": row.data.iter().map(data).collect::<Vec<_>>(),
        "resources": row.resources.iter().map(resource).collect::<Vec<_>>(),
        "findings": row.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn data(data: &crate::store::Data) -> Value {
    let [half, part, name] = &data.place;
    json!({
        "kind": data.kind,
        "half": half,
        "part": part,
        "name": name,
        "count": data.count,
        "confidence": data.confidence,
        "first_seen": time(data.seen.first_ns),
        "last_seen": time(data.seen.last_ns),
    })
}

fn resource(resource: &crate::store::Resource) -> Value {
    let [container, runtime, pod] = &resource.container;
    json!({
        "process": resource.process,
        "role": resource.role,
        "port": resource.port,
        "container": container,
        "runtime": runtime,
        "pod": pod,
        "tls": resource.tls,
        "exchanges": resource.exchanges,
    })
}

fn finding((rule, subject, severity, count, seen): &(String, String, String, u64, Span)) -> Value {
    json!({
        "rule": rule,
        "subject": subject,
        "severity": severity,
        "count": count,
        "first_seen": time(seen.first_ns),
        "last_seen": time(seen.last_ns),
    })
}

fn time(unix_ns: u64) -> String {
    ClockOffset::RECORDED.rfc3339(unix_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        let row = |host: &str, template: &str, exchanges| Row {
            host: host.to_owned(),
            method: "GET".to_owned(),
            template: template.to_owned(),
            exchanges,
            seen: Span {
                first_ns: 1_795_000_000_000_000_000,
                last_ns: 1_795_000_060_000_000_000,
            },
            statuses: vec![(0, 1), (200, 8), (201, 1), (404, 1), (500, 1)],
            auth: vec![("jwt".to_owned(), 3), ("none".to_owned(), 1)],
            ..Row::default()
        };
        Found {
            rows: vec![
                row("api.example.com", "/users/{id}", 12),
                row("b", &"/abcdefgh".repeat(8), 1_234_567),
            ],
            total: 5,
        }
    }

    #[test]
    fn columns_are_aligned() {
        let text = table(&found(), None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3], "2 of 5 endpoints");
        let at = |line: &str, what: &str| line.find(what).unwrap_or_else(|| panic!("{what} in {line}"));
        assert_eq!(at(lines[0], "METHOD"), at(lines[1], "GET"));
        assert_eq!(at(lines[0], "STATUS"), at(lines[1], "- 200 201 404 ..."));
        assert_eq!(at(lines[0], "AUTH"), at(lines[2], "jwt,none"));
        assert_eq!(at(lines[0], "CALLS") + 5, at(lines[1], " 12 ") + 3);
        assert!(lines[2].ends_with("2026-11-18 11:07"), "{text}");
    }

    #[test]
    fn a_narrow_terminal_cuts_the_longest() {
        for width in [80, 100, 120] {
            let text = table(&found(), Some(width));
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}: {text}");
            }
            assert!(text.contains("/abcdefgh") && text.contains('…') && text.contains("2026-11-1"));
        }
    }

    #[test]
    fn a_store_from_elsewhere_commands_no_terminal() {
        let hostile = "x\u{1b}]0;t\u{7}\u{9b}2J\u{202e}y";
        let text = || hostile.to_owned();
        let seen = Span::default();
        let found = Found {
            rows: vec![Row {
                kind: text(),
                method: text(),
                host: text(),
                template: text(),
                operation: Some(text()),
                auth: vec![(text(), 1)],
                data: vec![crate::store::Data {
                    kind: text(),
                    place: [text(), text(), text()],
                    count: 1,
                    confidence: 1,
                    seen,
                }],
                findings: vec![(text(), text(), text(), 1, seen)],
                ..Row::default()
            }],
            total: 1,
        };
        for shown in [table(&found, None), table(&found, Some(80)), json(&found)] {
            let odd = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!shown.contains(odd), "{shown:?}");
            assert!(!shown.contains("\\u001b"), "{shown:?}");
        }
    }

    #[test]
    fn every_field_is_documented() {
        let page = include_str!("../../../docs/OUTPUT.md");
        let line = json(&found());
        let value: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
        for name in value.as_object().unwrap().keys() {
            assert!(
                page.contains(&format!("`{name}`")),
                "docs/OUTPUT.md does not name {name}"
            );
        }
    }

    #[test]
    fn nothing_found_is_said() {
        assert_eq!(table(&Found::default(), Some(80)), "0 endpoints\n");
        assert_eq!(json(&Found::default()), "");
    }
}
