//! One measurement: requests per second by wrk, processor time by /proc.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sensor_tests::guard;
use sensor_tests::programs::Program;
use sensor_tests::servers::Transport;
use sensor_tests::wait::Deadline;

use super::condition::{Kind, SLACK};
use super::{Bench, CONNECTIONS, OTHERS};

/// Unit of the times in /proc/PID/stat: `USER_HZ` is 100 on every architecture the sensor runs on (proc(5)).
const TICK_MICROSECONDS: f64 = 10_000.0;

/// What one measurement gave.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Sample {
    /// Requests per second.
    pub(super) requests_per_second: f64,
    /// Processor time of nginx's worker per request, in microseconds.
    pub(super) cpu_us: f64,
    /// Processor time of the sensor per request, in microseconds.
    pub(super) sensor_cpu_us: f64,
}

/// All measurements, in order of rounds.
#[derive(Default, Debug)]
pub(super) struct Samples(HashMap<(Transport, &'static str), Vec<Sample>>);

impl Samples {
    pub(super) fn push(&mut self, transport: Transport, kind: Kind, sample: Sample) {
        self.0.entry((transport, key(kind))).or_default().push(sample);
    }

    pub(super) fn of(&self, transport: Transport, kind: Kind) -> &[Sample] {
        self.0.get(&(transport, key(kind))).map_or(&[], Vec::as_slice)
    }
}

const fn key(kind: Kind) -> &'static str {
    match kind {
        Kind::Bare => "bare",
        Kind::Sensor => "sensor",
        Kind::CountingProbe => "counting_probe",
    }
}

/// Loads nginx once.
pub(super) fn sample(bench: &Bench, transport: Transport, sensor: Option<u32>) -> Result<Sample> {
    let before = (ticks(bench.worker)?, sensor.map_or(Ok(0), ticks)?);
    let mut wrk = Command::new("taskset");
    wrk.args(&OTHERS[1..]).arg(Program::Wrk.find()?);
    wrk.args([
        "-t",
        "1",
        "-c",
        &CONNECTIONS.to_string(),
        "-d",
        &format!("{}s", bench.load.as_secs()),
    ]);
    wrk.arg(bench.url(transport));
    let said = guard::run(&mut wrk, Deadline::after(bench.load + SLACK))?;
    let after = (ticks(bench.worker)?, sensor.map_or(Ok(0), ticks)?);
    let (requests, requests_per_second) = read(&said)?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a few seconds are far below 2^52"
    )]
    let per_request = |ticks: u64| ticks as f64 * TICK_MICROSECONDS / requests as f64;
    Ok(Sample {
        requests_per_second,
        cpu_us: per_request(after.0.saturating_sub(before.0)),
        sensor_cpu_us: per_request(after.1.saturating_sub(before.1)),
    })
}

/// wrk's count and rate; errors of the load are no measurement.
fn read(said: &str) -> Result<(u64, f64)> {
    if let Some(line) = said
        .lines()
        .find(|line| line.contains("Non-2xx") || line.contains("Socket errors"))
    {
        bail!("wrk met errors: {}", line.trim());
    }
    let mut requests = None;
    let mut rate = None;
    for line in said.lines().map(str::trim) {
        if let Some((count, _)) = line.split_once(" requests in ") {
            requests = count.parse::<u64>().ok();
        }
        if let Some(text) = line.strip_prefix("Requests/sec:") {
            rate = text.trim().parse::<f64>().ok();
        }
    }
    let (requests, rate) = requests
        .zip(rate)
        .with_context(|| format!("wrk said something else:\n{said}"))?;
    ensure!(requests > 0, "wrk completed no request");
    Ok((requests, rate))
}

/// User and system time of a process, in ticks: fields 14 and 15 of /proc/PID/stat (proc(5)). The second field may
/// hold spaces and parentheses, so the count starts behind the last of them.
fn ticks(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut times = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    match (times.next(), times.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok(user + system),
        _ => bail!("{path} is not understood"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ https://127.0.0.1:1/file\n  1 threads and 32 connections\n  \
        Thread Stats   Avg      Stdev     Max   +/- Stdev\n  75839 requests in 2.00s, 312.42MB read\n\
        Requests/sec:  37912.02\nTransfer/sec:    156.18MB\n";

    #[test]
    fn count_and_rate_are_read() {
        assert_eq!(read(SAID).unwrap(), (75_839, 37_912.02));
    }

    #[test]
    fn errors_of_the_load_are_no_measurement() {
        assert!(read(&format!("{SAID}  Non-2xx or 3xx responses: 12\n")).is_err());
        assert!(read("unable to connect to 127.0.0.1:1 Connection refused\n").is_err());
    }

    #[test]
    fn this_process_has_used_time() {
        let pid = std::process::id();
        let before = ticks(pid).unwrap();
        let mut sum = 0_u64;
        while ticks(pid).unwrap() == before {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        assert!(ticks(pid).unwrap() > before);
    }
}
