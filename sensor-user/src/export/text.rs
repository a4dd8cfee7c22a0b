//! The live view on a terminal: one line per call, findings below it.
//!
//! Takes events. Gives lines that fit the terminal. Never lets a control character through: every text that comes from
//! outside passes [`wording::clean`] or is made of enum names. Bounded: the rules already explained are a closed set.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use super::wording::{self, Wording};
use super::{ClockOffset, Event, Exporter, Snapshot, Summary};
use crate::capture::Role;
use crate::classify::Half;
use crate::detect::{Finding, Severity};
use crate::exchange::PartKind;
use crate::incident::Incident;
use crate::incident::budget::Held;

/// How the view looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    /// With colours.
    pub colour: bool,
    /// Columns of the terminal; `None` leaves lines as long as they are.
    pub width: Option<usize>,
}

impl Style {
    /// Colours on a terminal unless `NO_COLOR` is set (no-color.org); the width is that of standard output.
    pub fn of_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
        Self {
            colour: terminal && !refused,
            width: width.filter(|_| terminal),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !code.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn severity(self, severity: Severity) -> String {
        let code = match severity {
            Severity::Info => "36",
            Severity::Low => "32",
            Severity::Medium => "33",
            Severity::High => "31",
            Severity::Critical => "1;37;41",
        };
        self.paint(code, &format!("{:<8}", severity.name().to_uppercase()))
    }
}

const DIM: &str = "2";
const BOLD: &str = "1";
const YELLOW: &str = "33";
const PLAIN: &str = "";

/// Columns before the text of a finding.
const INDENT: usize = 13;
/// A terminal below that is treated as this wide: nothing readable fits.
const NARROWEST: usize = 72;
/// Below that a call is shown without host and caller.
const NARROW: usize = 100;

/// Columns of a call.
#[derive(Clone, Copy)]
struct Columns {
    narrow: bool,
    comm: usize,
    /// What endpoint and kinds of data share.
    room: usize,
}

impl Columns {
    fn of(style: Style) -> Self {
        // Time, process, name, role and method before; status, duration and (if not narrow) caller after.
        let fixed =
            |comm: usize, caller: usize| 12 + 1 + 7 + 1 + comm + 1 + 1 + 1 + 7 + 1 + 1 + 3 + 1 + 8 + caller;
        match style.width.map(|width| width.max(NARROWEST)) {
            None => Self {
                narrow: false,
                comm: 15,
                room: usize::MAX,
            },
            Some(width) if width < NARROW => Self {
                narrow: true,
                comm: 10,
                room: width - fixed(10, 0),
            },
            Some(width) => Self {
                narrow: false,
                comm: 15,
                room: width - fixed(15, 10),
            },
        }
    }

    /// Columns of the endpoint: the same on most lines, more where it needs them and the data leaves them.
    fn endpoint(self, endpoint: &str, data: &str) -> usize {
        let usual = if self.narrow {
            self.room
        } else {
            (self.room / 5 * 3).min(40)
        };
        let data = if data.is_empty() {
            0
        } else {
            data.chars().count() + 2
        };
        let wanted = endpoint.chars().count();
        // Data that does not fit beside the endpoint goes below it.
        let most = if wanted + data <= self.room {
            self.room - data
        } else {
            self.room
        };
        wanted.clamp(usual.min(most), most)
    }
}

/// Makes lines of events.
#[derive(Debug)]
pub struct View {
    style: Style,
    clock: ClockOffset,
    explained: BTreeSet<&'static str>,
}

impl View {
    /// A view that has explained nothing yet.
    pub const fn new(style: Style, clock: ClockOffset) -> Self {
        Self {
            style,
            clock,
            explained: BTreeSet::new(),
        }
    }

    /// The lines of an event, each with its line feed.
    pub fn lines(&mut self, event: &Event) -> String {
        match event {
            Event::Exchange(call) => self.call(call),
            Event::Finding(finding) => self.finding(finding),
            Event::Incident(incident) => self.incident(incident),
            Event::Held(held) => self.held(held),
            Event::Accounts(snapshot) => self.accounts(snapshot),
        }
    }

    fn call(&self, call: &Summary) -> String {
        let (style, connection) = (self.style, &*call.connection);
        let layout = Columns::of(style);
        let mut data = data(call);
        if let Some(container) = connection.container.as_deref().filter(|_| !layout.narrow) {
            let space = if data.is_empty() { "" } else { " " };
            data.insert_str(0, &format!("@{}{space}", container.short()));
        }
        let host = if layout.narrow {
            "".into()
        } else {
            wording::clean(&call.endpoint.host)
        };
        let endpoint = host.into_owned() + &wording::clean(&call.endpoint.template);
        let columns = layout.endpoint(&endpoint, &data);
        let arrow = match connection.role {
            Role::Client => '→',
            Role::Server => '←',
            Role::Unknown => '·',
        };
        let time = style.paint(DIM, &self.clock.time_of_day(call.time_ns));
        let comm = fit(&connection.comm.to_string(), layout.comm);
        let pid = connection.process.pid;
        let (method, status) = match call.part {
            None => (call.endpoint.method.name(), self.status(call.status)),
            Some(PartKind::MessageToServer) => ("message", "  >".to_owned()),
            Some(PartKind::MessageToClient) => ("message", "  <".to_owned()),
            Some(PartKind::Event) => ("event", "  <".to_owned()),
        };
        let mut line = format!(
            "{time} {pid:>7} {comm} {arrow} {method:<7} {} ",
            fit(&endpoint, columns)
        );
        let _infallible = write!(line, "{status} {:>8}", duration(call.duration_ns));
        if !layout.narrow {
            let caller = call
                .caller
                .map_or_else(|| "-".to_owned(), |(_, hash)| short(&hash.to_string()));
            let _infallible = write!(line, "  {caller:<8}");
        }
        let beside = columns.saturating_add(data.chars().count() + 2) <= layout.room;
        if beside && !data.is_empty() {
            let _infallible = write!(line, "  {}", style.paint(YELLOW, &data));
        }
        let end = line.trim_end().len();
        line.truncate(end);
        line.push('\n');
        if !beside && !data.is_empty() {
            self.paragraph(&data, YELLOW, &mut line);
        }
        line
    }

    fn status(&self, status: u16) -> String {
        let code = match status {
            0 => return "  -".to_owned(),
            100..400 => "32",
            400..500 => "33",
            _ => "31",
        };
        self.style.paint(code, &format!("{status:>3}"))
    }

    fn finding(&mut self, finding: &Finding) -> String {
        let words = Wording::of(finding);
        let style = self.style;
        let title = format!("{} {}", words.rule, words.title);
        let mut text = String::new();
        let indent = " ".repeat(INDENT);
        let first = cut(&title, self.width().saturating_sub(INDENT + 9));
        let _infallible = writeln!(
            text,
            "{indent}{} {}",
            style.severity(finding.severity),
            style.paint(BOLD, &first)
        );
        let partial = if words.partial {
            ", not all of it was seen"
        } else {
            ""
        };
        let caller = words
            .caller
            .as_deref()
            .map_or_else(String::new, |caller| format!(", caller {}", short(caller)));
        let evidence = format!(
            "{} ({} % sure{caller}{partial})",
            words.evidence, words.confidence
        );
        self.paragraph(&evidence, PLAIN, &mut text);
        if self.explained.insert(words.rule) {
            let endpoint = format!("Endpoint: {} {}{}", words.method, words.host, words.template);
            self.paragraph(&endpoint, PLAIN, &mut text);
            self.paragraph(
                &format!("{} {} {}", words.owasp_2023, words.owasp_2019, words.cwe),
                PLAIN,
                &mut text,
            );
            self.paragraph(&format!("Remedy: {}", words.remedy), PLAIN, &mut text);
        }
        text
    }

    fn incident(&self, incident: &Incident) -> String {
        let style = self.style;
        let title = format!("incident {} {}", incident.number, incident.stage.name());
        let mut text = format!(
            "{}{} {}\n",
            " ".repeat(INDENT),
            style.severity(incident.severity),
            style.paint(BOLD, &cut(&title, self.width().saturating_sub(INDENT + 9)))
        );
        self.paragraph(&super::incident::explanation(incident), PLAIN, &mut text);
        text
    }

    fn held(&self, held: &Held) -> String {
        let counts = held.by_severity();
        let counts: Vec<_> = counts
            .map(|(severity, count)| format!("{count} {}", severity.name()))
            .collect();
        let mut text = format!(
            "{}\n",
            self.style.paint(DIM, &self.clock.time_of_day(held.time_ns))
        );
        let words = format!(
            "held back within an hour, beside {} that were told: {}",
            held.told,
            counts.join(", ")
        );
        self.paragraph(&words, PLAIN, &mut text);
        text
    }

    fn accounts(&self, snapshot: &Snapshot) -> String {
        let counted = |counters: &[(&str, u64)]| {
            let counted = counters.iter().filter(|(_, value)| *value != 0);
            counted
                .map(|(name, value)| format!("{name} {value}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut text = format!(
            "{}\n",
            self.style.paint(DIM, &self.clock.time_of_day(snapshot.time_ns))
        );
        for (side, counters) in super::field::of_accounts(snapshot) {
            let counted = counted(counters);
            if !counted.is_empty() {
                self.paragraph(&format!("{side}: {counted}"), PLAIN, &mut text);
            }
        }
        text
    }

    fn width(&self) -> usize {
        self.style.width.map_or(usize::MAX, |width| width.max(NARROWEST))
    }

    /// Words below a call or the title of a finding, broken at spaces.
    fn paragraph(&self, text: &str, code: &str, out: &mut String) {
        let room = self.width().saturating_sub(INDENT + 9);
        let mut used = 0;
        for word in text.split(' ') {
            let word = cut(word, room);
            let length = word.chars().count();
            if used == 0 || used + 1 + length > room {
                if used != 0 {
                    out.push('\n');
                }
                out.push_str(&" ".repeat(INDENT + 9));
                used = length;
            } else {
                out.push(' ');
                used += 1 + length;
            }
            out.push_str(&self.style.paint(code, &word));
        }
        out.push('\n');
    }
}

fn data(call: &Summary) -> String {
    // What is called in a message says more than the message's own name.
    let within = call
        .calls
        .get(1..)
        .filter(|calls| call.part.is_some() && !calls.is_empty());
    let calls = within.unwrap_or(&call.calls);
    let mut text: Vec<String> = calls.first().map(wording::call).into_iter().collect();
    if calls.len() > 1 {
        text.push(format!("(+{} calls)", calls.len() - 1));
    }
    for (half, kind, count) in &call.data {
        let half = if *half == Half::Request { ">" } else { "" };
        let times = if *count == 1 {
            String::new()
        } else {
            format!("×{count}")
        };
        text.push(format!("{half}{}{times}", kind.name()));
    }
    if call.early_data {
        text.push("(early data)".to_owned());
    }
    if call.partial {
        text.push("(partial)".to_owned());
    }
    text.join(" ")
}

/// First 8 hexadecimal digits: enough to tell callers apart at a glance.
fn short(hash: &str) -> String {
    hash.chars().take(8).collect()
}

fn duration(ns: Option<u64>) -> String {
    let Some(ns) = ns else { return "-".to_owned() };
    let (value, unit) = match ns {
        0..1_000_000 => (super::field::seconds(ns) * 1e6, "µs"),
        1_000_000..1_000_000_000 => (super::field::seconds(ns) * 1e3, "ms"),
        _ => (super::field::seconds(ns), "s"),
    };
    format!("{value:.1}{unit}")
}

/// At most that many columns; what is cut off is marked.
fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept + "…"
}

/// Exactly that many columns.
fn fit(text: &str, columns: usize) -> String {
    format!("{:<columns$}", cut(text, columns))
}

/// Writes the view.
#[derive(Debug)]
pub struct Text<W> {
    to: W,
    view: View,
}

impl<W: Write + Send + 'static> Text<W> {
    /// Writes to `to`, which should buffer: it is flushed whenever no event waits.
    pub const fn new(to: W, view: View) -> Self {
        Self { to, view }
    }
}

impl<W: Write + Send + 'static> Exporter for Text<W> {
    fn name(&self) -> &'static str {
        "text"
    }

    fn export(&mut self, event: &Arc<Event>) -> io::Result<()> {
        self.to.write_all(self.view.lines(event).as_bytes())
    }

    fn rest(&mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn finish(&mut self) {
        if let Err(error) = self.to.flush() {
            tracing::warn!(%error, "last lines of text output were not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::sample;

    fn shown(events: &[Event], style: Style) -> String {
        let mut view = View::new(style, ClockOffset::RECORDED);
        events.iter().map(|event| view.lines(event)).collect()
    }

    #[test]
    fn the_view_is_as_recorded() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/view.txt");
        let mut written = String::new();
        for width in [None, Some(120), Some(80)] {
            let _infallible = writeln!(written, "== width {width:?}");
            written.push_str(&shown(&sample::events(), Style { colour: false, width }));
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &written).unwrap();
        }
        assert_eq!(written, std::fs::read_to_string(path).unwrap());
    }

    #[test]
    fn lines_fit_the_terminal() {
        for width in [40, 79, 80, 100, 120, 200] {
            let style = Style {
                colour: false,
                width: Some(width),
            };
            for events in [sample::events(), sample::hostile()] {
                let shown = shown(&events, style);
                let most = width.max(NARROWEST);
                let longest = shown.lines().map(|line| line.chars().count()).max();
                assert!(longest <= Some(most), "{width}: {longest:?}\n{shown}");
            }
        }
    }

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let plain = shown(
            &sample::hostile(),
            Style {
                colour: false,
                width: Some(100),
            },
        );
        assert!(plain.chars().all(|c| c == '\n' || !c.is_control()), "{plain:?}");
        assert!(!plain.contains('\u{202e}'));
        assert_eq!(
            plain.lines().filter(|line| line.starts_with(' ')).count() + 1,
            plain.lines().count()
        );
    }

    #[test]
    fn colours_only_when_asked_for() {
        let events = sample::events();
        assert!(
            shown(
                &events,
                Style {
                    colour: true,
                    width: None
                }
            )
            .contains("\u{1b}[31mHIGH")
        );
        assert!(
            !shown(
                &events,
                Style {
                    colour: false,
                    width: None
                }
            )
            .contains('\u{1b}')
        );
    }

    #[test]
    fn a_remedy_is_given_once_per_rule() {
        let text = shown(
            &sample::events(),
            Style {
                colour: false,
                width: None,
            },
        );
        assert_eq!(text.matches("Remedy:").count(), 1);
    }
}
