//! The log on standard error: lower-case messages about the sensor itself, never payload, headers or full paths.

mod journal;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;

use journal::Journal;
pub use journal::error_text;

/// The level is not one.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no log level")]
pub struct BadLevel(String);

/// Gives the running log another filter.
static FILTER: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

/// Starts the log. `level` is `error` to `trace`, or pairs such as `warn,sensor_user=debug`. A second call is ignored.
pub fn start(level: &str) -> Result<(), BadLevel> {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(level)?)
        .with_writer(std::io::stderr);
    if journal::is_stderr() {
        let log = log.with_ansi(false).event_format(Journal).with_filter_reloading();
        let handle = log.reload_handle();
        if log.try_init().is_ok() {
            keep(handle);
        }
    } else {
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let log = log
            .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
            .with_target(false)
            .with_filter_reloading();
        let handle = log.reload_handle();
        if log.try_init().is_ok() {
            keep(handle);
        }
    }
    Ok(())
}

fn keep<S: 'static>(handle: Handle<EnvFilter, S>) {
    let _already_set = FILTER.set(Box::new(move |filter| drop(handle.reload(filter))));
}

/// Goes on at another level.
pub fn change(level: &str) -> Result<(), BadLevel> {
    let filter = filter(level)?;
    if let Some(change) = FILTER.get() {
        change(filter);
    }
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, BadLevel> {
    EnvFilter::try_new(level).map_err(|_unreadable| BadLevel(level.escape_debug().to_string()))
}

/// Lets one message of a cause through per [`Repeat::PAUSE`] and counts the others.
#[derive(Debug, Default)]
pub struct Repeat {
    /// Milliseconds after which the next message passes; 0 before the first.
    next_ms: AtomicU64,
    withheld: AtomicU64,
}

impl Repeat {
    /// Ten seconds: a log stays readable, and a cause that lasts stays visible.
    pub const PAUSE: Duration = Duration::from_secs(10);

    /// For a `static`.
    pub const fn new() -> Self {
        Self {
            next_ms: AtomicU64::new(0),
            withheld: AtomicU64::new(0),
        }
    }

    /// `Some(number withheld since the last one)` when a message may be written.
    #[expect(
        clippy::disallowed_methods,
        reason = "pacing of log lines; no stage depends on it"
    )]
    pub fn pass(&self) -> Option<u64> {
        static START: OnceLock<Instant> = OnceLock::new();
        self.pass_at(START.get_or_init(Instant::now).elapsed())
    }

    fn pass_at(&self, now: Duration) -> Option<u64> {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let next = self.next_ms.load(Ordering::Relaxed);
        let pause = u64::try_from(Self::PAUSE.as_millis()).unwrap_or(u64::MAX);
        let due = now >= next
            && self
                .next_ms
                .compare_exchange(
                    next,
                    now.saturating_add(pause),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if due {
            Some(self.withheld.swap(0, Ordering::Relaxed))
        } else {
            self.withheld.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_withheld_and_counted() {
        let repeat = Repeat::new();
        let at = |seconds| repeat.pass_at(Duration::from_secs(seconds));
        assert_eq!(at(0), Some(0));
        assert_eq!((at(1), at(9)), (None, None));
        assert_eq!(at(10), Some(2));
        assert_eq!(at(19), None);
    }

    #[test]
    fn a_bad_level_is_refused() {
        assert!(start("loud=very").is_err());
        assert!(change("loud=very").is_err());
    }
}
