//! The sensor as a child: started, ready, stopped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sensor_tests::Guard;
use sensor_tests::wait::Deadline;

/// Loading, verifying and attaching take well under two seconds; a machine under load gets ten times that.
const START: Duration = Duration::from_secs(20);
/// It promises one second.
const STOP: Duration = Duration::from_secs(5);
/// What it prints once it watches.
const READY: &str = "api-sensor: watching";

/// A running sensor.
#[derive(Debug)]
pub(crate) struct Sensor {
    guard: Guard,
}

impl Sensor {
    /// `api-sensor run` with options that every caller wants: no port, and its state in a directory below one that goes
    /// away. The sensor makes that directory itself, for it wants it closed to others.
    pub(crate) fn command(launcher: &[&str], sensor: &Path, state: &Path) -> Command {
        let mut command = match launcher.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(sensor);
                command
            }
            None => Command::new(sensor),
        };
        command
            .args(["run", "--metrics-listen", "off", "--state-dir"])
            .arg(state.join("state"));
        command
    }

    /// Starts it and waits until it watches; what it says is passed on.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut guard = Guard::start(command)?;
        let errors = guard.child().stderr.take().context("no stderr")?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                eprintln!("{line}");
                if line.starts_with(READY) {
                    // Nobody listens any more when the start took too long.
                    sender.send(()).ok();
                }
            }
        });
        // The sender goes with the thread, so a sensor that ends early is noticed at once.
        if receiver.recv_timeout(START).is_err() {
            bail!("the sensor did not start; what it said is above");
        }
        Ok(Self { guard })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.guard.signal(sensor_tests::guard::SIGTERM)?;
        self.guard
            .wait(Deadline::after(STOP))
            .context("the sensor does not stop")?;
        Ok(())
    }
}
