//! Containers by a real runtime (crun), with root file systems of their own over one image: their traffic is captured,
//! carries their ids, and the two are told apart. Those of pods are watched, or not, as annotations say (`pods`).
//!
//! crun of Debian 12 refuses hosts with control groups of both kinds, as some test machines have, so that it sees a
//! unified hierarchy alone, in a mount namespace. What Podman adds to it is the name of the control group.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests panic with context, their parts included"
)]

#[expect(dead_code, reason = "shared with live_privacy, which uses all of it")]
#[path = "privacy/sensor.rs"]
mod sensor;

mod containers {
    pub(crate) mod pods;
}

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use sensor_tests::PrivateTls;
use sensor_tests::guard;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{PythonApi, Transport};
use serde_json::json;
use tempfile::TempDir;

use sensor::{Sensor, lines, root_command, soon};

const NEEDED: [Program; 5] = [
    Program::Crun,
    Program::Curl,
    Program::Openssl,
    Program::Python,
    Program::Unshare,
];
/// At most 15 bytes, and no other program's name.
const NAME: &str = "apicontained";
/// Programs of containers in pods: two pods, each before a change of annotations and after.
const IN_PODS: [[&str; 2]; 2] = [["apipodleft", "apipodasked"], ["apipodthen", "apipodnomore"]];
/// Longer than one record of TLS.
const ANSWER: u64 = 30_000;

/// Mounts the image's overlay, and lets crun see a unified hierarchy.
const SCRIPT: &str = "mount -t overlay -o lowerdir=$0,upperdir=$1/upper,workdir=$1/work overlay $1/root && \
                      { umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; } 2>/dev/null && \
                      exec \"$2\" --root $1/run --cgroup-manager=cgroupfs run -b $1 \"$3\"";

/// What is in every container: `curl` and what it is linked with, and the private TLS library.
fn image(tls: &PrivateTls) -> TempDir {
    let image = TempDir::with_prefix("api-sensor-image-").unwrap();
    let curl = Program::Curl.find().unwrap();
    let listed = guard::finish(Command::new("ldd").arg(&curl), soon()).unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.map(PathBuf::from) {
        let place = image.path().join(file.strip_prefix("/").unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&file, &place).unwrap();
    }
    for name in IN_PODS.as_flattened().iter().chain([&NAME]) {
        fs::copy(&curl, image.path().join(name)).unwrap();
    }
    for name in ["dev", "proc", "tmp", "tls"] {
        fs::create_dir(image.path().join(name)).unwrap();
    }
    for entry in fs::read_dir(tls.directory()).unwrap() {
        let path = entry.unwrap().path();
        let place = image.path().join("tls").join(path.file_name().unwrap());
        match fs::read_link(&path) {
            Ok(target) => symlink(target, place).unwrap(),
            Err(_) => drop(fs::copy(&path, place).unwrap()),
        }
    }
    image
}

/// A bundle of the runtime specification: `curl` under some name.
struct Container {
    directory: TempDir,
    id: String,
}

impl Container {
    /// One in a control group that a runtime names after its id.
    fn new(number: u64, group: impl FnOnce(&str) -> String, program: &str, arguments: &[&str]) -> Self {
        let directory = TempDir::with_prefix("api-sensor-bundle-").unwrap();
        for name in ["upper", "work", "root", "run"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let id = format!("{:064x}", (number << 60) + u64::from(std::process::id()));
        let program = format!("/{program}");
        let usual = [
            "-sk",
            "--http1.1",
            "--max-time",
            "20",
            "--noproxy",
            "*",
            "-X",
            "POST",
            "--data",
            "inside",
        ];
        let usual = [program.as_str()].into_iter().chain(usual);
        let arguments: Vec<_> = usual.chain(arguments.iter().copied()).collect();
        let namespaces: Vec<_> = ["mount", "pid", "ipc", "uts"]
            .map(|kind| json!({ "type": kind }))
            .into();
        let config = json!({
            "ociVersion": "1.0.2",
            "root": { "path": directory.path().join("root") },
            "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "cwd": "/",
                "args": arguments,
                "env": ["PATH=/usr/bin", "LD_LIBRARY_PATH=/tls"],
            },
            "linux": { "cgroupsPath": group(&id), "namespaces": namespaces },
        });
        fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
        Self { directory, id }
    }

    fn command(&self, image: &Path) -> Command {
        let mut command = Command::new(Program::Unshare.find().unwrap());
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", SCRIPT]);
        command.arg(image).arg(self.directory.path());
        command.arg(Program::Crun.find().unwrap()).arg(&self.id);
        command
    }
}

#[test]
fn two_containers_of_one_image_are_captured_and_told_apart() {
    let what = "containers";
    let Some(mut command) = root_command(what, &NEEDED) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let image = image(&tls);
    let api = PythonApi::start(&PrivateTls::new().unwrap(), Transport::Tls).unwrap();
    let run = |number: u64| {
        let url = Transport::Tls.url(api.port(), &format!("/echo/c{number}c?seed=9&length={ANSWER}"));
        let group = |id: &str| format!("/libpod-{id}.scope");
        let container = Container::new(number, group, NAME, &["-o", "/tmp/answer", &url]);
        let output = guard::finish(&mut container.command(image.path()), soon()).unwrap();
        (container.id, output)
    };
    let (_, tried) = run(1);
    if !tried.status.success() {
        let reason = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
        return programs::skipped(what, &format_args!("crun starts no container here: {reason}"));
    }
    command.args([
        "run",
        "--comm",
        NAME,
        "--output",
        "json",
        "--metrics-listen",
        "off",
    ]);
    let Some(mut sensor) = Sensor::start(what, command, "") else {
        return;
    };
    // The first lets the sensor meet the library, which no file of the host is.
    run(2);
    let ids: Vec<String> = [3, 4]
        .map(|number| {
            let (id, output) = run(number);
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            id
        })
        .into();
    sensor.wait_for("/echo/", 2);
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    let lines = lines(&sensor.stdout());
    for id in &ids {
        let of_it =
            |line: &&serde_json::Value| line["type"] == "exchange" && line["container.id"] == id.as_str();
        let seen: Vec<_> = lines.iter().filter(of_it).collect();
        let [exchange] = seen.as_slice() else {
            panic!("{id}: {seen:#?} of {lines:#?}");
        };
        assert_eq!(exchange["container.runtime.name"], "podman", "{exchange:#}");
        assert_eq!(exchange["api_sensor.process.comm"], NAME, "{exchange:#}");
        assert_eq!(exchange["url.scheme"], "https", "{exchange:#}");
        assert_eq!(exchange["http.request.body.size"], 6, "{exchange:#}");
        assert_eq!(exchange["http.response.body.size"], ANSWER, "{exchange:#}");
        assert_eq!(exchange["server.port"], api.port(), "{exchange:#}");
    }
}
