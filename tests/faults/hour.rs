//! Load for a while with a fault in every minute: the receiver gone, the disk full, the sensor stopped and continued, the
//! library replaced, thousands of processes. The server loses nothing, the accounts close, memory stays flat.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sensor_tests::PrivateTls;
use sensor_tests::clients::{self, Call};
use sensor_tests::guard;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::receiver::{self, Receiver};
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_tests::wait::Deadline;

use crate::sensor::{Sensor, lines, root_command};

/// At most 15 bytes, and no other program's name.
const NAME: &str = "apifault";
const LOAD: [&str; 2] = ["4", "1000"];

#[test]
fn five_faults_under_load_harm_nothing_and_the_accounts_close() {
    faults(5, Duration::from_secs(4), 50);
}

#[test]
#[ignore = "twenty minutes"]
fn twenty_minutes_of_faults_harm_nothing_and_the_accounts_close() {
    faults(20, Duration::from_mins(1), 1_250);
}

/// What goes wrong, by turns.
const FAULTS: [&str; 5] = [
    "receiver gone",
    "disk full",
    "sensor stopped",
    "library replaced",
    "short processes",
];

/// Resident bytes of a process.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

/// A file system of its own for what the sensor keeps, so that it can be full; gone with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args([
            "-t",
            "tmpfs",
            "-o",
            &format!("size={bytes},mode=0700"),
            "api-sensor-test",
        ]);
        guard::run(mount.arg(directory.path()), crate::sensor::soon()).unwrap();
        Self(directory)
    }

    /// Fills it until nothing more fits.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.path().join("filler")).unwrap();
        let block = vec![0_u8; 64 << 10];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.0.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            println!("{} stays mounted", self.0.path().display());
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one scene after the other")]
fn faults(count: usize, pause: Duration, processes: usize) {
    let what = "faults under load";
    let needed = [Program::Nginx, Program::Python, Program::Curl, Program::Openssl];
    let Some(mut command) = root_command(what, &needed) else {
        return;
    };
    let program = match receiver::install(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(program) => program,
        Err(error) => return sensor_tests::programs::skipped(what, &format!("no receiver: {error:#}")),
    };
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let worker = nginx.workers().unwrap()[0];
    let curl = tempfile::tempdir().unwrap();
    let curl = curl.path().join(NAME);
    let disk = SmallDisk::mount("64m");
    let mut receiver = Some(Receiver::start(&program).unwrap());
    let (grpc, http) = receiver
        .as_ref()
        .map(|receiver| (receiver.grpc, receiver.http))
        .unwrap();
    command.args(["run", "--output", "json", "--metrics-listen", "off", "--pid"]);
    command.arg(nginx.pid().to_string()).arg("--comm").arg(NAME);
    command.arg("--library").arg(tls.libssl());
    let config = format!(
        "[otlp]\nendpoint = \"http://{grpc}\"\nsampler = \"always_on\"\nspool_bytes = \"4MiB\"\ninterval = \"1s\"\n\
         [store]\ninterval = \"1s\"\n"
    );
    let state = disk.0.path().join("state");
    let Some(mut sensor) = Sensor::start_with_state(what, command, &config, Some(&state)) else {
        return;
    };
    fs::create_dir_all(curl.parent().unwrap()).unwrap();
    fs::copy(Program::Curl.find().unwrap(), &curl).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let over = directory.path().join("over");
    // The client checks each answer and fails at the first that is not as it must be.
    let mut client = clients::python("many.py", &tls).unwrap();
    client
        .args(["https", &nginx.port(Transport::Tls).to_string()])
        .args(LOAD)
        .arg(&over);
    let mut running = Held::new(&client).unwrap().release().unwrap();
    let mut memory = Vec::new();
    for number in 0..count {
        let fault = FAULTS[number % FAULTS.len()];
        assert!(!running.has_ended().unwrap(), "the load ended before `{fault}`");
        match fault {
            "receiver gone" => {
                drop(receiver.take());
                std::thread::sleep(pause / 2);
                receiver = Some(Receiver::start_at(&program, grpc, http).unwrap());
            }
            "disk full" => {
                disk.fill();
                std::thread::sleep(pause / 2);
                disk.free();
            }
            "sensor stopped" => {
                sensor.signal(libc::SIGSTOP);
                std::thread::sleep(pause / 4);
                sensor.signal(libc::SIGCONT);
            }
            "library replaced" => {
                // As a package manager does it: another file by the same name; who runs keeps the old one.
                let draft = tls.libssl().with_extension("draft");
                fs::copy(tls.libssl(), &draft).unwrap();
                fs::rename(&draft, tls.libssl()).unwrap();
            }
            _ => {
                for at in 0..processes {
                    let url = Transport::Tls.url(nginx.port(Transport::Tls), &format!("/who/n{at}n"));
                    let call = Call::new("GET", &url, b"").unwrap();
                    let asked = call.curl(&tls).unwrap();
                    let mut copied = Command::new(&curl);
                    copied.args(asked.get_args());
                    guard::run(tls.apply(&mut copied), Deadline::after(Duration::from_secs(20))).unwrap();
                }
            }
        }
        std::thread::sleep(pause / 2);
        memory.push(resident(sensor.pid()));
        println!("after `{fault}`: {} KiB resident", resident(sensor.pid()) / 1024);
    }
    fs::write(&over, "").unwrap();
    let output = running.finish(Deadline::after(Duration::from_mins(1))).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the load was harmed: {errors}");
    assert_eq!(
        nginx.workers().unwrap(),
        [worker],
        "the server's worker was replaced"
    );
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    drop(receiver);

    let lines = lines(&sensor.stdout());
    let accounts = lines.iter().rfind(|line| line["type"] == "accounts").unwrap();
    let kernel = |name: &str| accounts["kernel"][name].as_u64().unwrap();
    let counted = |name: &str| accounts["sensor"][name].as_u64().unwrap();
    let moved = kernel("tls_bytes") + kernel("socket_bytes");
    let told = kernel("data_bytes")
        + kernel("ring_full_bytes")
        + kernel("limit_bytes")
        + kernel("fault_bytes")
        + kernel("iovec_bytes");
    assert_eq!(moved, told, "{accounts:#}");
    assert_eq!(counted("ledger_unbalanced"), 0, "{}", sensor.stderr());
    assert_eq!((counted("shard_panics"), counted("judge_panics")), (0, 0));
    let exchanges = lines.iter().filter(|line| line["type"] == "exchange").count();
    let fates = [
        "otlp_sent",
        "otlp_refused",
        "otlp_lost_memory",
        "otlp_lost_spool",
        "otlp_lost_stop",
        "otlp_retries",
    ];
    let fates: Vec<_> = fates
        .iter()
        .map(|name| format!("{name} {}", counted(name)))
        .collect();
    println!(
        "{count} faults, {exchanges} exchanges told, {moved} bytes; {}",
        fates.join(", ")
    );
    assert!(counted("otlp_sent") > 0 && counted("otlp_retries") > 0);
    // Tables and pools fill at first. After half of the faults nothing more is to be had.
    let (early, late) = memory.split_at(memory.len() / 2);
    let (early, late) = (early.iter().max().unwrap(), late.iter().max().unwrap());
    assert!(
        *late < early + (64 << 20),
        "memory grew from {early} to {late} bytes"
    );
}
