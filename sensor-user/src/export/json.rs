//! JSON lines: one object per event. `docs/OUTPUT.md` describes the fields.

use std::io::{self, Write};
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::field::{self, Value};
use super::{ClockOffset, Event, Exporter, incident};

/// One event as an object whose fields keep their order.
#[derive(Clone, PartialEq, Debug)]
pub struct Line<'a>(Vec<(&'a str, Json)>);

impl<'a> Line<'a> {
    /// Makes the line of an event.
    pub fn of(event: &'a Event, clock: ClockOffset) -> Self {
        let time = clock.rfc3339(field::time_ns(event));
        let mut line = vec![("type", field::kind(event).into()), ("time", time.into())];
        match event {
            Event::Exchange(call) => line.extend(field::of_exchange(call).into_iter().map(json)),
            Event::Finding(finding) => line.extend(field::of_finding(finding).into_iter().map(json)),
            Event::Incident(told) => line.extend(incident::fields(told, clock).into_iter().map(json)),
            Event::Held(held) => line.extend(field::of_held(held).into_iter().map(json)),
            Event::Accounts(snapshot) => {
                line.extend(field::of_accounts(snapshot).map(|(side, counters)| {
                    (
                        side,
                        counters
                            .iter()
                            .map(|(name, value)| ((*name).to_owned(), Json::from(*value)))
                            .collect(),
                    )
                }));
            }
        }
        Self(line)
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn json<'a>((name, value): (&'a str, Value<'_>)) -> (&'a str, Json) {
    let value = match value {
        Value::Text(text) => Json::String(text.into_owned()),
        Value::Count(number) => number.into(),
        Value::Seconds(number) => number.into(),
        Value::Flag(flag) => flag.into(),
        Value::Texts(texts) => texts.into(),
    };
    (name, value)
}

/// Writes JSON lines.
#[derive(Debug)]
pub struct JsonLines<W> {
    to: W,
    clock: ClockOffset,
}

impl<W: Write + Send + 'static> JsonLines<W> {
    /// Writes to `to`, which should buffer: it is flushed whenever no event waits.
    pub const fn new(to: W, clock: ClockOffset) -> Self {
        Self { to, clock }
    }
}

impl<W: Write + Send + 'static> Exporter for JsonLines<W> {
    fn name(&self) -> &'static str {
        "json"
    }

    fn export(&mut self, event: &Arc<Event>) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, &Line::of(event, self.clock))?;
        self.to.write_all(b"\n")
    }

    fn rest(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn finish(&mut self) {
        if let Err(error) = self.to.flush() {
            tracing::warn!(%error, "last lines of json output were not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::sample;

    fn lines(events: &[Event]) -> String {
        let mut writer = JsonLines::new(Vec::new(), ClockOffset::RECORDED);
        for event in events {
            writer.export(&Arc::new(event.clone())).unwrap();
        }
        String::from_utf8(writer.to).unwrap()
    }

    #[test]
    fn lines_are_as_recorded() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/events.jsonl");
        let written = lines(&sample::events());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &written).unwrap();
        }
        assert_eq!(written, std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn no_control_character_is_written() {
        let written = lines(&sample::hostile());
        let escaped = written.contains("\\u00") || written.contains("\\r");
        assert!(
            !escaped && written.chars().all(|c| c == '\n' || !c.is_control()),
            "{written:?}"
        );
        assert!(!written.contains('\u{202e}'));
    }

    #[test]
    fn every_field_is_documented() {
        let page = include_str!("../../../docs/OUTPUT.md");
        for event in sample::events() {
            for (name, _) in Line::of(&event, ClockOffset::RECORDED).0 {
                // The rest of it is a label's key.
                let name = if name.starts_with("k8s.pod.label.") {
                    "k8s.pod.label.KEY"
                } else {
                    name
                };
                assert!(
                    page.contains(&format!("`{name}`")),
                    "docs/OUTPUT.md does not name {name}"
                );
            }
        }
    }
}
