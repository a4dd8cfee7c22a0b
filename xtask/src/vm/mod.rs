//! `cargo xtask vm`: the tests that matter on other kernels, on those kernels, under emulation.
//!
//! Takes kernels.toml and a test program. Gives a table of kernels and tests. Never uses a disk, a network or the
//! running kernel. Bounded by a deadline per kernel.

mod boot;
mod guest;
mod kernels;
mod outcome;
mod report;
mod systemd;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{setup, shell};
use boot::Machine;
use guest::Guest;
use kernels::{Kernel, Tests};
use outcome::Verdict;
use report::Run;

/// The test program, where only names of tests are given.
const LIVE: &str = "live_kernel";

/// How long one kernel's tests may take.
const LONG_PATIENCE: Duration = Duration::from_mins(30);

/// How long the measuring of one kernel's rows may take: every set of capabilities loads and attaches twice, and what
/// is not seen is waited for.
const ROWS_PATIENCE: Duration = Duration::from_mins(90);

/// Arguments of `cargo xtask vm`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Boot this kernel only; may be given several times.
    #[arg(long)]
    kernel: Vec<String>,
    /// Boot the kernels that are part of `.ci/run`.
    #[arg(long, conflicts_with = "kernel")]
    ci: bool,
    /// Show the kernels and boot none.
    #[arg(long)]
    list: bool,
    /// The test program, instead of those that kernels.toml names.
    #[arg(long)]
    test: Option<String>,
    /// Seconds per kernel.
    #[arg(long, default_value_t = 1800)]
    patience: u64,
    /// Arguments of the test program, such as a part of a test's name.
    #[arg(last = true)]
    filter: Vec<String>,
}

/// Boots each kernel and shows what its tests said; fails when one failed.
pub(crate) fn vm(arguments: &Arguments) -> Result<()> {
    let file = kernels::file()?;
    let all = all_tests(arguments, &file.tests);
    let kernels = chosen(arguments, file.kernel)?;
    if arguments.list {
        for kernel in &kernels {
            println!("{}{}", kernel.name, if kernel.ci { " (ci)" } else { "" });
        }
        return Ok(());
    }
    let mut bad = Vec::new();
    for tests in &all {
        let runs = boot(&kernels, tests, Duration::from_secs(arguments.patience))?;
        report::table(&runs);
        let failed = runs.iter().filter(|run| !run.outcome.is_good());
        bad.extend(failed.map(|run| work(&tests.program).join(&run.kernel).display().to_string()));
    }
    if !bad.is_empty() {
        bail!("{} runs failed; logs: {}", bad.len(), bad.join(", "));
    }
    Ok(())
}

/// What is run: what the arguments name, else what the file does.
fn all_tests(arguments: &Arguments, all: &[Tests]) -> Vec<Tests> {
    let is_named = arguments.test.is_some() || !arguments.filter.is_empty();
    if is_named {
        return vec![named_tests(
            arguments.test.as_deref().unwrap_or(LIVE),
            &arguments.filter,
            all,
        )];
    }
    let mut chosen = all.to_vec();
    if arguments.ci {
        chosen.retain_mut(|tests| {
            let names = tests.ci.take();
            let is_wanted = names.is_some();
            tests.names = names.unwrap_or_default();
            is_wanted
        });
    }
    chosen
}

/// A test program with other names, in a guest as the file has it.
fn named_tests(program: &str, names: &[String], all: &[Tests]) -> Tests {
    let known = all.iter().find(|tests| tests.program == program);
    Tests {
        program: program.to_owned(),
        names: names.to_owned(),
        ci: None,
        systemd: known.is_some_and(|tests| tests.systemd),
    }
}

/// Every kernel and all tests of the file: how many tests passed and failed there, and what was skipped.
pub(crate) fn long() -> Result<(u32, u32, Vec<String>)> {
    let file = kernels::file()?;
    let (mut passed, mut failed, mut skipped) = (0, 0, Vec::new());
    for tests in &file.tests {
        let runs = boot(&file.kernel, tests, LONG_PATIENCE)?;
        report::table(&runs);
        let count = |wanted| {
            let verdicts = runs.iter().flat_map(|run| run.outcome.tests.values());
            u32::try_from(verdicts.filter(|verdict| **verdict == wanted).count()).unwrap_or(u32::MAX)
        };
        passed += count(Verdict::Pass);
        failed += match count(Verdict::Fail) {
            // A guest that did not come to its end failed without a test that did.
            0 => u32::try_from(runs.iter().filter(|run| !run.outcome.is_good()).count()).unwrap_or(u32::MAX),
            some => some,
        };
        let absent = file
            .kernel
            .iter()
            .filter(|kernel| !runs.iter().any(|run| run.kernel == kernel.name));
        skipped.extend(absent.map(|kernel| format!("kernel {}: it cannot be had", kernel.name)));
        for Run { kernel, outcome, .. } in &runs {
            skipped.extend(outcome.skipped.iter().map(|line| format!("on {kernel}: {line}")));
        }
    }
    Ok((passed, failed, skipped))
}

/// Rows that a test program prints, of the kernels named or of every one; fails when one of them did, since its rows
/// would be missing.
pub(crate) fn rows(test: &str, names: &[String]) -> Result<Vec<String>> {
    let file = kernels::file()?;
    let tests = named_tests(test, &[], &file.tests);
    let runs = boot(&named(names, file.kernel)?, &tests, ROWS_PATIENCE)?;
    report::table(&runs);
    if let Some(bad) = runs.iter().find(|run| !run.outcome.is_good()) {
        bail!("no rows of {}; logs: {}", bad.kernel, work(test).display());
    }
    Ok(runs.into_iter().flat_map(|run| run.outcome.rows).collect())
}

/// Where a test program's guest and logs are: two may run at the same time.
fn work(test: &str) -> PathBuf {
    shell::target_dir().join("vm").join(test)
}

/// Boots the kernels, as many at a time as there are processors: an emulator takes one.
fn boot(kernels: &[Kernel], tests: &Tests, patience: Duration) -> Result<Vec<Run>> {
    let test = &tests.program;
    setup::emulator(&guest::PROGRAMS)?;
    if tests.systemd {
        setup::emulator(&systemd::PROGRAMS)?;
    }
    let archive = build_guest(&work(test), tests)?;
    let mut images = Vec::new();
    for kernel in kernels {
        match kernel.fetch() {
            Ok(image) => images.push((kernel.name.as_str(), image)),
            Err(error) => println!("SKIPPED kernel {}: {error:#}", kernel.name),
        }
    }
    let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut runs = Vec::new();
    for group in images.chunks(at_once) {
        let ended: Vec<Result<Run>> = std::thread::scope(|scope| {
            let booted: Vec<_> = group
                .iter()
                .map(|(kernel, image)| scope.spawn(|| run(kernel, image, &archive, &work(test), patience)))
                .collect();
            let ended = booted.into_iter().map(std::thread::ScopedJoinHandle::join);
            ended
                .map(|ended| ended.unwrap_or_else(|_panic| bail!("the thread of a boot panicked")))
                .collect()
        });
        for ended in ended {
            let run = ended?;
            if !run.outcome.is_good() {
                for log in boot::logs(&work(test).join(&run.kernel)) {
                    report::show(&log)?;
                }
            }
            runs.push(run);
        }
    }
    Ok(runs)
}

#[expect(clippy::disallowed_methods, reason = "how long each kernel took is told")]
fn run(kernel: &str, image: &Path, archive: &Path, work: &Path, patience: Duration) -> Result<Run> {
    let started = std::time::Instant::now();
    println!("booting {kernel} ({})", image.display());
    let machine = Machine {
        image,
        archive,
        logs: &work.join(kernel),
        patience,
    };
    Ok(Run {
        outcome: machine.run().with_context(|| format!("kernel {kernel}"))?,
        kernel: kernel.to_owned(),
        seconds: started.elapsed().as_secs(),
    })
}

fn chosen(arguments: &Arguments, all: Vec<Kernel>) -> Result<Vec<Kernel>> {
    let mut chosen = named(&arguments.kernel, all)?;
    chosen.retain(|kernel| !arguments.ci || kernel.ci);
    Ok(chosen)
}

/// The kernels of these names; every one where no name is given.
fn named(names: &[String], mut all: Vec<Kernel>) -> Result<Vec<Kernel>> {
    let unknown = |name: &&String| !all.iter().any(|kernel| kernel.name == **name);
    if let Some(unknown) = names.iter().find(unknown) {
        bail!("kernels.toml has no kernel {unknown}");
    }
    all.retain(|kernel| names.is_empty() || names.contains(&kernel.name));
    Ok(all)
}

/// Where the test program stands in the guest.
const TEST: &str = "/guest/deps/tests";
/// Where the sensor stands: beside the directory of the test program, as in cargo's target directory.
const SENSOR: &str = "/guest/api-sensor";

/// Builds the programs and packs them.
fn build_guest(work: &Path, tests: &Tests) -> Result<PathBuf> {
    let test = test_program(&tests.program)?;
    shell::run(shell::cargo().args(["build", "--package", "sensor-user", "--bin", "api-sensor"]))?;
    std::fs::create_dir_all(work)?;
    let guest = Guest::create(&work.join("root"))?;
    guest.stripped(&test, Path::new(TEST))?;
    guest.stripped(&shell::target_dir().join("debug/api-sensor"), Path::new(SENSOR))?;
    // Tests name their fixtures by the path they were built at.
    guest.tree(&shell::root().join("tests/fixtures/programs"), &[])?;
    if tests.systemd {
        systemd::install(&guest, &commands(&tests.names))?;
    } else {
        guest.script(Path::new("/init"), &init(&tests.names))?;
    }
    let archive = work.join("guest.cpio");
    guest.pack(&archive)?;
    Ok(archive)
}

/// The guest's first program.
fn init(filter: &[String]) -> String {
    let tests = commands(filter);
    format!(
        "#!/bin/sh\n\
         /bin/busybox --install -s /bin\n\
         mount -t proc proc /proc\n\
         mount -t sysfs sys /sys\n\
         mount -t devtmpfs dev /dev\n\
         mkdir -p /dev/shm /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup\n\
         ip link set lo up\n\
         {tests}"
    )
}

/// Runs the tests, says how they ended, and ends the machine. Everything they say goes to the second serial line, so
/// that nothing of the kernel's stands between.
fn commands(filter: &[String]) -> String {
    let quoted: Vec<String> = filter
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', "")))
        .collect();
    let filter = quoted.join(" ");
    let end = outcome::END;
    format!(
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root RUST_BACKTRACE=1 SENSOR_TEST_GUEST=1 \
         SENSOR_TEST_PATIENCE=6\n\
         mount -t tracefs nodev /sys/kernel/tracing\n\
         exec >/dev/ttyS1 2>&1\n\
         echo GUEST-KERNEL $(uname -r)\n\
         {TEST} --test-threads=1 --show-output {filter}\n\
         echo {end}$?\n\
         sync\n\
         reboot -f\n"
    )
}

/// Builds a test program of the tests' crate and gives its path.
fn test_program(name: &str) -> Result<PathBuf> {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--no-run", "--package", "sensor-tests", "--test", name]);
    cargo
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit());
    let output = cargo.output().context("cannot start cargo")?;
    if !output.status.success() {
        bail!("{name} does not build");
    }
    let executable = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.with_context(|| format!("cargo did not say where {name} is"))
}
