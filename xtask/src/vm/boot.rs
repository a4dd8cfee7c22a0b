//! One boot under emulation: starts QEMU, waits with a deadline, reads what the guest said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use sensor_tests::guard::Guard;
use sensor_tests::wait::Deadline;

use super::outcome::Outcome;

/// Memory of the guest in MiB: the unpacked file system, rings, and nginx beside them.
const MEMORY: &str = "1536";

/// What is booted.
pub(crate) struct Machine<'a> {
    /// The kernel.
    pub(crate) image: &'a Path,
    /// Its first file system.
    pub(crate) archive: &'a Path,
    /// Where the two logs go.
    pub(crate) logs: &'a Path,
    /// How long it may run.
    pub(crate) patience: Duration,
}

/// The two serial lines.
pub(crate) struct Logs {
    /// What the kernel said.
    pub(crate) console: PathBuf,
    /// What the tests said.
    pub(crate) results: PathBuf,
}

impl Machine<'_> {
    /// Boots and waits until the guest powers off. Gives what the tests said, however it ended. Once in many boots a
    /// processor of the emulator stands still where the kernel has patched its own code (the switch of a tracepoint, seen
    /// in `syscall_trace_enter`): then it is booted once more, and says so.
    pub(crate) fn run(&self) -> Result<(Outcome, Logs)> {
        let (outcome, logs) = self.boot()?;
        let stands_still = || -> Result<bool> {
            let console = fs::read(&logs.console)?;
            Ok(String::from_utf8_lossy(&console).contains("soft lockup"))
        };
        if outcome.is_good() || !stands_still()? {
            return Ok((outcome, logs));
        }
        println!("a processor of the emulator stood still (soft lockup); booting once more");
        fs::copy(&logs.console, logs.console.with_extension("first.log"))?;
        self.boot()
    }

    fn boot(&self) -> Result<(Outcome, Logs)> {
        fs::create_dir_all(self.logs)?;
        let logs = Logs {
            console: self.logs.join("console.log"),
            results: self.logs.join("tests.log"),
        };
        let mut qemu = Command::new("qemu-system-x86_64");
        // Hardware acceleration is not asked for: it hangs where this runs inside another machine. One thread by turns:
        // with one for each processor, QEMU runs an `int3` of the kernel's text patching that is no longer there
        // ("Oops: int3" in syscall_trace_enter, as tracepoints are attached and detached).
        qemu.args([
            "-accel",
            "tcg,thread=single",
            "-cpu",
            "max",
            "-smp",
            "2",
            "-m",
            MEMORY,
        ]);
        qemu.args(["-nodefaults", "-display", "none", "-no-reboot"]);
        qemu.arg("-kernel")
            .arg(self.image)
            .arg("-initrd")
            .arg(self.archive);
        // A panic ends the machine (panic=-1 reboots at once, -no-reboot makes that the end). On a busy host the
        // emulated timer comes too late for the kernel's check of it ("IO-APIC + timer doesn't work"). A processor that
        // stands still for two minutes is a panic.
        qemu.args([
            "-append",
            "console=ttyS0 panic=-1 oops=panic softlockup_panic=1 watchdog_thresh=60 loglevel=5 no_timer_check \
             rdinit=/init mitigations=off",
        ]);
        for log in [&logs.console, &logs.results] {
            fs::write(log, "")?;
            qemu.arg("-serial").arg(format!("file:{}", log.display()));
        }
        qemu.stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        let mut guard = Guard::start(&mut qemu).context("Debian package qemu-system-x86")?;
        let ended = guard.wait(Deadline::after(self.patience));
        drop(guard);
        let said = fs::read(&logs.results)?;
        let mut outcome = Outcome::read(&String::from_utf8_lossy(&said));
        if ended.is_err() {
            outcome.problem = Some(format!("no end within {} s", self.patience.as_secs()));
        }
        Ok((outcome, logs))
    }
}
