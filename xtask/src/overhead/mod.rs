//! `cargo xtask bench-overhead`: what nginx loses under the sensor, and under a probe that only counts.
//!
//! Takes nginx, wrk, bpftrace and a release build. Gives shares of bare, as medians over interleaved rounds.
//! Never compares figures of different rounds. Bounded by rounds times seconds.

mod condition;
mod measure;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sensor_tests::PrivateTls;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, Site, Transport};

use crate::{setup, shell};
use condition::{Condition, Running};
use measure::Samples;

/// Arguments of `cargo xtask bench-overhead`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// Rounds; in each, every condition is measured once.
    #[arg(long, default_value_t = 10, value_name = "N")]
    rounds: usize,
    /// Seconds of load per measurement.
    #[arg(long, default_value_t = 2, value_name = "S")]
    seconds: u64,
    /// Use this api-sensor instead of building one.
    #[arg(long, value_name = "PATH")]
    sensor: Option<PathBuf>,
}

/// Core of nginx; everything else runs on the other.
const OBSERVED: [&str; 3] = ["taskset", "-c", "0"];
const OTHERS: [&str; 3] = ["taskset", "-c", "1"];
/// Size of the file that is fetched.
const BODY_BYTES: usize = 4096;
/// Keep-alive connections of the load.
const CONNECTIONS: u32 = 32;

/// What all measurements share.
struct Bench {
    tls: PrivateTls,
    nginx: Nginx,
    worker: u32,
    sensor: PathBuf,
    state: tempfile::TempDir,
    load: Duration,
}

/// Measures and prints.
pub(crate) fn bench_overhead(arguments: &Arguments) -> Result<()> {
    let bench = prepare(arguments)?;
    let mut samples = Samples::default();
    for round in 0..arguments.rounds.max(1) {
        eprintln!("round {} of {}", round + 1, arguments.rounds.max(1));
        // Another order in each round, so that no condition always follows the same one.
        for step in 0..Condition::ALL.len() {
            let index = (round + step) % Condition::ALL.len();
            bench.measure(Condition::ALL[index], &mut samples)?;
        }
    }
    println!("{}", report::table(&samples));
    if arguments.json {
        println!("{}", report::json(&samples, arguments.seconds));
    }
    Ok(())
}

fn prepare(arguments: &Arguments) -> Result<Bench> {
    ensure!(
        shell::is_root(),
        "measuring needs root: run `cargo xtask bench-overhead` as root"
    );
    ensure!(
        std::thread::available_parallelism()?.get() >= 2,
        "measuring needs two cores"
    );
    if let Some((what, reason)) = setup::test_programs().first() {
        anyhow::bail!("measuring needs {what}: {reason}");
    }
    for program in [Program::Nginx, Program::Wrk, Program::Bpftrace, Program::Taskset] {
        program.find()?;
    }
    let sensor = setup::sensor(arguments.sensor.as_deref())?;
    let tls = PrivateTls::new()?;
    let body = sensor_tests::payload::body(1, BODY_BYTES);
    let site = Site {
        workers: 1,
        files: &[("file", &body)],
        launcher: &OBSERVED,
        upstream: None,
    };
    let nginx = Nginx::start(&tls, &site)?;
    let worker = nginx.workers()?.first().copied().context("nginx has no worker")?;
    tls.assert_mapped(worker)?;
    Ok(Bench {
        tls,
        nginx,
        worker,
        sensor,
        state: tempfile::tempdir()?,
        load: Duration::from_secs(arguments.seconds.max(1)),
    })
}

impl Bench {
    /// Sets a condition up, measures what it is meant for, and takes it down.
    fn measure(&self, condition: Condition, samples: &mut Samples) -> Result<()> {
        let running = Running::start(condition, self)?;
        for transport in condition.transports() {
            let sample = measure::sample(self, *transport, running.sensor_pid())?;
            samples.push(*transport, condition.kind(), sample);
        }
        running.stop(self)
    }

    fn url(&self, transport: Transport) -> String {
        transport.url(self.nginx.port(transport), "/file")
    }
}
