//! Waiting for a condition, with a deadline. Nothing here assumes how long a step takes.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a step of a test may take at most; a step that needs longer hangs.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How long a program may take until it is ready: a sensor took 28 seconds on a machine with twenty times its load.
pub const STARTING: Duration = Duration::from_mins(1);

/// How often a condition is looked at: well below any time that is measured, well above the cost of a look.
const INTERVAL: Duration = Duration::from_millis(2);

/// A point in time after which waiting is a failure.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// `after` from now.
    #[expect(clippy::disallowed_methods, reason = "deadlines of the harness are real time")]
    pub fn after(after: Duration) -> Self {
        Self(Instant::now() + after * patience())
    }

    /// What is left; zero when it is over.
    #[expect(clippy::disallowed_methods, reason = "deadlines of the harness are real time")]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it is over.
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }
}

/// How many times longer everything may take: an emulated machine is that much slower. Tests that count scale by it.
pub fn patience() -> u32 {
    let named = std::env::var("SENSOR_TEST_PATIENCE").ok();
    named.and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// Looks again and again until `step` gives a value; an error of `step` ends the wait at once.
pub fn until<T>(what: &str, deadline: Deadline, mut step: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    loop {
        if let Some(value) = step().with_context(|| format!("while waiting for {what}"))? {
            return Ok(value);
        }
        if deadline.is_over() {
            bail!("waited in vain for {what}");
        }
        std::thread::sleep(INTERVAL.min(deadline.left()));
    }
}

/// A port that nobody listens on. Another process may take it before it is used; the server's start then fails.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
    Ok(listener.local_addr()?.port())
}

/// Waits for a listener on a loopback port. Read from /proc: a connection made to look would be a first client.
pub fn listening(port: u16, deadline: Deadline) -> Result<()> {
    let wanted = format!(":{port:04X}");
    until(&format!("a listener on port {port}"), deadline, || {
        let mut table = std::fs::read_to_string("/proc/net/tcp")?;
        // Absent where the kernel has no IPv6; then nobody listens there.
        table.push_str(&std::fs::read_to_string("/proc/net/tcp6").unwrap_or_default());
        Ok(table.lines().any(|line| is_listener(line, &wanted)).then_some(()))
    })
}

/// Columns of /proc/net/tcp: number, local address, remote address, state, where 0A is LISTEN.
fn is_listener(line: &str, wanted: &str) -> bool {
    let mut columns = line.split_whitespace().skip(1);
    let local = columns.next().unwrap_or_default();
    local.ends_with(wanted) && columns.nth(1) == Some("0A")
}
