//! A process that ends with the value that started it.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait::{self, Deadline, STARTING};

/// The signal that asks a process to end.
pub const SIGTERM: i32 = libc::SIGTERM;

/// How long a process may take to end when asked; then it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// A process started here. Dropping it ends and reaps that process, and then the children it had, by id.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    name: String,
}

impl Guard {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Its children at this moment.
    pub fn children(&self) -> Result<Vec<u32>> {
        children(self.pid())
    }

    /// The first line that it prints, or nothing when it ends without one; an error when it does neither in time. What
    /// follows is read and dropped, so that it never waits for a reader.
    pub fn first_line(&mut self) -> Result<String> {
        let output = self.child.stdout.take().context("no output")?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            let read = output.read_line(&mut line).map(|_| line);
            sender.send(read).ok();
            io::copy(&mut output, &mut io::sink()).ok();
        });
        let said = receiver.recv_timeout(Deadline::after(STARTING).left());
        Ok(said.with_context(|| format!("{} says nothing", self.name))??)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    pub fn wait(&mut self, deadline: Deadline) -> Result<ExitStatus> {
        let name = self.name.clone();
        wait::until(&format!("the end of {name}"), deadline, || self.ended())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) -> Result<()> {
        send(self.pid(), signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Kills it at once, as `kill -9` does, and reaps it.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let children = children(self.pid()).unwrap_or_default();
        // Asked first: nginx's master reaps its workers. One that ended by itself in between is no failure.
        send(self.pid(), SIGTERM).ok();
        if self.wait(Deadline::after(GRACE)).is_ok() {
            return end(&children);
        }
        self.child.kill().ok();
        self.child.wait().ok();
        end(&children);
    }
}

/// Ends processes whose parent is gone.
fn end(pids: &[u32]) {
    for pid in pids {
        send(*pid, libc::SIGKILL).ok();
    }
}

/// Runs a command to its end and gives what it printed; fails when it fails or lasts too long.
pub fn run(command: &mut Command, deadline: Deadline) -> Result<String> {
    let output = finish(command, deadline)?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed ({}): {errors}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command to its end, however it ends.
pub fn finish(command: &mut Command, deadline: Deadline) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut guard = Guard::start(command)?;
    collect(&mut guard, deadline)
}

/// Reads both pipes of a started command to their end and reaps it.
pub fn collect(guard: &mut Guard, deadline: Deadline) -> Result<Output> {
    let stdout = drain(guard.child.stdout.take());
    let stderr = drain(guard.child.stderr.take());
    let status = guard.wait(deadline)?;
    let text = |thread: std::thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
    Ok(Output {
        status,
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

/// A thread of its own per pipe: a full pipe would stop the process.
fn drain<R: io::Read + Send + 'static>(pipe: Option<R>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before a failure is what there is to show.
            pipe.read_to_end(&mut bytes).ok();
        }
        bytes
    })
}

/// Children of a process, from /proc.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let list = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    Ok(list
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect())
}

#[expect(
    unsafe_code,
    reason = "std cannot signal a process other than by SIGKILL to its own child"
)]
fn send(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: kill takes two integers and touches no memory of this process.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
