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

/// What the two serial lines said: the kernel, and the tests.
pub(crate) fn logs(directory: &Path) -> [PathBuf; 2] {
    ["console.log", "tests.log"].map(|name| directory.join(name))
}

impl Machine<'_> {
    /// Boots and waits until the guest powers off. Gives what the tests said, however it ended.
    pub(crate) fn run(&self) -> Result<Outcome> {
        fs::create_dir_all(self.logs)?;
        let [console, results] = logs(self.logs);
        let mut qemu = Command::new("qemu-system-x86_64");
        // Hardware acceleration is not asked for: it hangs where this runs inside another machine. One thread by turns:
        // with one for each processor, once in many boots, a processor stood still or came upon an `int3` that was no
        // longer there ("Oops: int3") where another had the kernel patch its own code (the switch of a tracepoint, in
        // `syscall_trace_enter`). The tests take as long.
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
        for log in [&console, &results] {
            fs::write(log, "")?;
            qemu.arg("-serial").arg(format!("file:{}", log.display()));
        }
        qemu.stdin(Stdio::null())
            .stdout(Stdio::inherit())
            .stderr(Stdio::inherit());
        let mut guard = Guard::start(&mut qemu).context("Debian package qemu-system-x86")?;
        let ended = guard.wait(Deadline::after(self.patience));
        drop(guard);
        let said = fs::read(&results)?;
        let mut outcome = Outcome::read(&String::from_utf8_lossy(&said));
        if ended.is_err() {
            outcome.problem = Some(format!("no end within {} s", self.patience.as_secs()));
        }
        Ok(outcome)
    }
}
