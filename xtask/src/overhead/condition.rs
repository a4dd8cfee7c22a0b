//! The conditions that are compared: nothing, the sensor, and a probe that counts.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sensor_tests::Guard;
use sensor_tests::programs::Program;
use sensor_tests::servers::Transport;
use sensor_tests::wait::{self, DEADLINE, Deadline};

use super::{Bench, OTHERS};
use crate::sensor::Sensor;

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Bare,
    Sensor,
    CountingProbe,
}

/// What is set up at one time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Condition {
    Bare,
    Sensor,
    /// Counts at the TLS functions, or at the system calls: apart, so that neither pays for the other.
    CountingProbe(Transport),
}

impl Condition {
    pub(super) const ALL: [Self; 4] = [
        Self::Bare,
        Self::Sensor,
        Self::CountingProbe(Transport::Tls),
        Self::CountingProbe(Transport::Plain),
    ];

    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Bare => Kind::Bare,
            Self::Sensor => Kind::Sensor,
            Self::CountingProbe(_) => Kind::CountingProbe,
        }
    }

    pub(super) const fn transports(&self) -> &[Transport] {
        match self {
            Self::Bare | Self::Sensor => &Transport::ALL,
            Self::CountingProbe(Transport::Tls) => &[Transport::Tls],
            Self::CountingProbe(Transport::Plain) => &[Transport::Plain],
        }
    }
}

/// A condition that is set up.
pub(super) enum Running {
    Bare,
    Sensor(Sensor),
    CountingProbe(Guard),
}

impl Running {
    pub(super) fn start(condition: Condition, bench: &Bench) -> Result<Self> {
        ensure!(
            bench.tls.probes_in(bench.worker)? == 0,
            "a probe of the condition before is left"
        );
        match condition {
            Condition::Bare => Ok(Self::Bare),
            Condition::Sensor => sensor(bench).map(Self::Sensor),
            Condition::CountingProbe(transport) => counting_probe(bench, transport).map(Self::CountingProbe),
        }
    }

    pub(super) fn sensor_pid(&self) -> Option<u32> {
        match self {
            Self::Sensor(sensor) => Some(sensor.pid()),
            Self::Bare | Self::CountingProbe(_) => None,
        }
    }

    /// Takes it down and waits until nginx is as it was.
    pub(super) fn stop(self, bench: &Bench) -> Result<()> {
        match self {
            Self::Bare => {}
            Self::Sensor(sensor) => sensor.stop()?,
            Self::CountingProbe(mut guard) => {
                guard.signal(sensor_tests::guard::SIGTERM)?;
                // Perf probes take long to close: some seconds for forty of them.
                guard.wait(Deadline::after(DEADLINE))?;
            }
        }
        wait::until("the end of all probes", Deadline::after(DEADLINE), || {
            Ok((bench.tls.probes_in(bench.worker)? == 0).then_some(()))
        })
    }
}

fn sensor(bench: &Bench) -> Result<Sensor> {
    let mut command = Sensor::command(&OTHERS, &bench.sensor, bench.state.path());
    command.args(["--pid", &bench.nginx.pid().to_string(), "--output", "none"]);
    command
        .arg("--library")
        .arg(bench.tls.libssl())
        .stdout(Stdio::null());
    let sensor = Sensor::start(&mut command)?;
    ensure!(
        bench.tls.probes_in(bench.worker)? > 0,
        "the sensor watches and has no probe in nginx"
    );
    Ok(sensor)
}

fn counting_probe(bench: &Bench, transport: Transport) -> Result<Guard> {
    let mut command = Command::new("taskset");
    command
        .args(&OTHERS[1..])
        .arg(Program::Bpftrace.find()?)
        .args(["-B", "line", "-e"]);
    command.arg(match transport {
        Transport::Tls => at_functions(&bench.tls.libssl().to_string_lossy()),
        Transport::Plain => at_system_calls(bench.worker),
    });
    // It complains where the limit on locked memory cannot be raised, which recent kernels do not need.
    let complaints = std::fs::File::create(bench.state.path().join("bpftrace"))?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(complaints);
    let mut guard = Guard::start(&mut command)?;
    let output = guard.child().stdout.take().context("no output")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if line.starts_with("ready") {
                // The first tick is enough; nobody listens to the others.
                sender.send(()).ok();
            }
        }
    });
    if receiver.recv_timeout(DEADLINE).is_err() {
        let said = std::fs::read_to_string(bench.state.path().join("bpftrace")).unwrap_or_default();
        anyhow::bail!("bpftrace did not start: {said}");
    }
    if transport == Transport::Tls {
        wait::until("the counting probe", Deadline::after(DEADLINE), || {
            Ok((bench.tls.probes_in(bench.worker)? > 0).then_some(()))
        })?;
    }
    Ok(guard)
}

/// Says that it runs, some time after everything is attached; rarely, so that it costs nothing.
const TICK: &str = "interval:ms:300 { printf(\"ready\\n\"); }";

/// The functions that carry data, at entry and return.
fn at_functions(library: &str) -> String {
    let places = ["SSL_read", "SSL_write", "SSL_read_ex", "SSL_write_ex"]
        .iter()
        .flat_map(|name| ["uprobe", "uretprobe"].map(|kind| format!("{kind}:{library}:{name}")));
    format!(
        "{} {{ @hits = count(); }} {TICK}",
        places.collect::<Vec<_>>().join(",")
    )
}

/// The system calls that carry data, at entry and return, in nginx's worker.
fn at_system_calls(worker: u32) -> String {
    let calls = [
        "read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg",
    ];
    let places = calls
        .iter()
        .flat_map(|name| ["enter", "exit"].map(|at| format!("tracepoint:syscalls:sys_{at}_{name}")));
    format!(
        "{} /pid == {worker}/ {{ @hits = count(); }} {TICK}",
        places.collect::<Vec<_>>().join(",")
    )
}

/// How long a measurement may last beyond its load.
pub(super) const SLACK: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_transport_is_counted_apart_and_everything_is_measured() {
        let all: Vec<_> = Condition::ALL
            .iter()
            .flat_map(|one| one.transports().iter().map(|on| (one.kind(), *on)))
            .collect();
        for kind in [Kind::Bare, Kind::Sensor, Kind::CountingProbe] {
            for transport in Transport::ALL {
                assert_eq!(all.iter().filter(|one| **one == (kind, transport)).count(), 1);
            }
        }
    }

    #[test]
    fn the_counting_probe_is_at_entry_and_return() {
        let text = at_functions("/x/libssl.so.3");
        assert!(text.contains("uprobe:/x/libssl.so.3:SSL_write,uretprobe:/x/libssl.so.3:SSL_write"));
        let text = at_system_calls(7);
        assert!(
            text.contains("sys_enter_writev,tracepoint:syscalls:sys_exit_writev")
                && text.contains("/pid == 7/")
        );
    }
}
