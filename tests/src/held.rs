//! A program whose process id is known before it runs, so that the sensor can be told to watch it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result};

use crate::guard::{self, Guard};
use crate::wait::Deadline;

/// A shell that waits for a line and then becomes the program, keeping its process id.
#[derive(Debug)]
pub struct Held {
    guard: Guard,
}

impl Held {
    /// Prepares `command`. Its environment and directory are kept; its pipes are replaced.
    pub fn new(command: &Command) -> Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "read -r _ && exec \"$0\" \"$@\" </dev/null"]);
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(Self {
            guard: Guard::start(&mut shell)?,
        })
    }

    /// Its process id, now and after it became the program.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Lets the program start.
    pub fn release(mut self) -> Result<Running> {
        let mut gate = self
            .guard
            .child()
            .stdin
            .take()
            .context("the gate is open already")?;
        gate.write_all(b"go\n")?;
        Ok(Running { guard: self.guard })
    }
}

/// A program that was let go.
#[derive(Debug)]
pub struct Running {
    guard: Guard,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.guard.pid()
    }

    /// Whether it ended.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.guard.ended()?.is_some())
    }

    /// Kills it.
    pub fn kill(&mut self) -> Result<()> {
        self.guard.kill()
    }

    /// Waits for its end and gives what it printed.
    pub fn finish(mut self, deadline: Deadline) -> Result<Output> {
        guard::collect(&mut self.guard, deadline)
    }
}
