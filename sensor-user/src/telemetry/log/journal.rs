//! Lines for systemd's journal: a priority in front (sd-daemon(3)), no time and no colour, for the journal has both.
//!
//! Takes events of the log. Gives one line each: a line break within a message would begin one of another priority.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::{self, Write as _};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Device and inode of the stream that systemd connects to the journal (systemd.exec(5)).
const VARIABLE: &str = "JOURNAL_STREAM";

/// Whether standard error is the journal: the variable alone is inherited by those whose output goes elsewhere.
pub(super) fn is_stderr() -> bool {
    let Some(stream) = std::env::var_os(VARIABLE) else {
        return false;
    };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|found| names(&stream, found.st_dev, found.st_ino))
}

fn names(stream: &OsStr, device: u64, inode: u64) -> bool {
    stream == OsStr::new(&format!("{device}:{inode}"))
}

/// What the sensor says on standard error when it ends with an error.
pub fn error_text(text: &str) -> Cow<'_, str> {
    if is_stderr() {
        Cow::Owned(prefixed(text, Level::ERROR))
    } else {
        Cow::Borrowed(text)
    }
}

fn prefixed(text: &str, level: Level) -> String {
    let mut lines = String::new();
    for line in text.lines() {
        let _infallible = writeln!(lines, "<{}>{line}", priority(level));
    }
    lines
}

/// Priorities of syslog(3): error, warning, informational, debug.
const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Formats events for the journal.
pub(super) struct Journal;

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        write!(to, "<{}>", priority(*event.metadata().level()))?;
        for c in text.chars() {
            to.write_char(if c.is_control() { ' ' } else { c })?;
        }
        to.write_char('\n')
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(say: impl FnOnce()) -> String {
        let lines = Lines::default();
        let to = lines.clone();
        let log = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .event_format(Journal)
            .with_writer(move || to.clone())
            .finish();
        tracing::subscriber::with_default(log, say);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn lines_have_the_priority_of_their_level_and_no_time() {
        let text = logged(|| {
            tracing::error!(bytes = 7, "no room");
            tracing::warn!("late");
            tracing::info!(what = "x", "read again");
            tracing::debug!("more");
            tracing::trace!("most");
        });
        assert_eq!(
            text,
            "<3>no room bytes=7\n<4>late\n<6>read again what=\"x\"\n<7>more\n<7>most\n"
        );
    }

    #[test]
    fn nobody_forges_a_line_or_its_priority() {
        let text = logged(|| tracing::info!(host = %"a\n<0>all is lost\r\u{1b}[31m", "seen"));
        assert_eq!(text.lines().count(), 1, "{text:?}");
        assert!(text.starts_with("<6>seen host=a"), "{text:?}");
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        let is = |stream: &str| names(OsStr::new(stream), 9, 1234);
        assert!(is("9:1234"));
        for other in ["", "9", "9:", "9:12345", "8:1234", "9:1234:1", " 9:1234"] {
            assert!(!is(other), "{other:?}");
        }
    }

    #[test]
    fn each_line_of_an_error_has_its_priority() {
        assert_eq!(
            prefixed("error: a\n  to do: b\n", Level::ERROR),
            "<3>error: a\n<3>  to do: b\n"
        );
    }
}
