//! What of the sensor works with which capabilities? The sensor's binary as an ordinary user with exact sets.
//!
//! Prints a row per set for `cargo xtask privileges`, and fails when docs/PRIVILEGES.md says otherwise of this kernel.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic with context and print their figures"
)]

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sensor_tests::clients::Call;
use sensor_tests::privileges::{self, COLUMNS, Row, SETS};
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_tests::wait::{self, DEADLINE, Deadline, STARTING};
use sensor_tests::{Guard, PrivateTls, guard};
use serde_json::Value as Json;
use tempfile::TempDir;

/// The user nobody, on every system.
const NOBODY: u32 = 65534;
const NEEDED: [Program; 4] = [Program::Nginx, Program::Curl, Program::Openssl, Program::Setpriv];
/// What the sensor prints once it watches.
const READY: &str = "api-sensor: watching";
/// The sensor's exit code for missing privileges or kernel features.
const UNSUPPORTED: i32 = 3;
/// Which perf events a user may open.
const PARANOIA: &str = "/proc/sys/kernel/perf_event_paranoid";
/// The kernel's own default; higher values are Debian's and Ubuntu's.
const USUAL_PARANOIA: i32 = 2;
/// Between a call and a look at what was told.
const BETWEEN: Duration = Duration::from_millis(200);
/// How long calls may take to be told; what is seen is told within a tenth of it, once the
/// library is probed: where each probe takes a program of its own, an emulated machine needs a minute for that.
const TOLD: Duration = Duration::from_secs(10);

/// A server of root's, and a place from which nobody may start the sensor.
struct Stage {
    tls: PrivateTls,
    nginx: Nginx,
    worker: u32,
    directory: TempDir,
}

impl Stage {
    fn set(sensor: &Path) -> Self {
        let directory = TempDir::with_prefix("api-sensor-privileges-").unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // The directories of the build may be closed to others.
        fs::copy(sensor, directory.path().join("api-sensor")).unwrap();
        let tls = PrivateTls::new().unwrap();
        let nginx = Nginx::start(&tls, &Site::default()).unwrap();
        let worker = nginx.workers().unwrap()[0];
        Self {
            tls,
            nginx,
            worker,
            directory,
        }
    }

    /// The sensor's command line under a set.
    fn sensor(&self, set: &[&str], verb: &str) -> Command {
        let mut words = vec!["-all".to_owned()];
        words.extend(set.iter().map(|name| format!("+{name}")));
        let words = words.join(",");
        let state = self.directory.path().join(privileges::name(set));
        fs::create_dir_all(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
        let nobody = NOBODY.to_string();
        let mut command = Command::new(Program::Setpriv.find().unwrap());
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
        for kind in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
            command.args([kind, &words]);
        }
        command.arg(self.directory.path().join("api-sensor")).arg(verb);
        command
            .args(["--pid", &self.worker.to_string(), "--state-dir"])
            .arg(state);
        command
    }

    fn measure(&self, (kernel, paranoia): (&str, i32), set: &[&str]) -> Row {
        let report = self.doctor(set);
        let can = |name: &str| {
            let abilities = report["host"]["abilities"].as_array().unwrap();
            let found = abilities.iter().find(|ability| ability["name"] == name);
            found.is_some_and(|ability| ability["available"] == true)
        };
        let looked = report["processes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|process| process["pid"] == self.worker && process["verdict"] == "covered");
        let [tls, plain] = self.end_to_end(set);
        Row {
            kernel: kernel.to_owned(),
            paranoia,
            set: privileges::name(set),
            cells: [
                can("kernel object"),
                can("tracepoint formats"),
                can("hooks of system calls"),
                can("uprobe_multi links"),
                can("perf uprobes"),
                looked,
                tls,
                plain,
            ],
        }
    }

    fn doctor(&self, set: &[&str]) -> Json {
        let output = guard::finish(
            self.sensor(set, "doctor").arg("--json"),
            Deadline::after(STARTING),
        )
        .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = text
            .lines()
            .last()
            .unwrap_or_else(|| panic!("doctor under {set:?}: {errors}"));
        serde_json::from_str(last).unwrap()
    }

    /// Whether a call over TLS and one over plain are told. A sensor that does not start must say for want of what.
    fn end_to_end(&self, set: &[&str]) -> [bool; 2] {
        let path = |name: &str| self.directory.path().join(name);
        let mut command = self.sensor(set, "run");
        command.args(["--output", "json", "--metrics-listen", "off"]);
        command
            .stdin(Stdio::null())
            .stdout(File::create(path("stdout")).unwrap())
            .stderr(File::create(path("stderr")).unwrap());
        let mut sensor = Guard::start(&mut command).unwrap();
        let said = || String::from_utf8_lossy(&fs::read(path("stderr")).unwrap()).into_owned();
        let ended = wait::until("the sensor's start", Deadline::after(STARTING), || {
            if said().lines().any(|line| line.starts_with(READY)) {
                return Ok(Some(None));
            }
            Ok(sensor.ended()?.map(Some))
        })
        .unwrap();
        if let Some(status) = ended {
            assert_eq!(status.code(), Some(UNSUPPORTED), "{set:?}: {}", said());
            names_what_lacks(set, &said());
            return [false, false];
        }
        Transport::ALL.map(|transport| {
            let target = format!("/who/{transport:?}");
            let url = transport.url(self.nginx.port(transport), &target);
            // Again and again: on a slow machine probes are put into the library after the sensor says it watches.
            let told = || {
                let call = Call::new("GET", &url, b"")?;
                guard::run(&mut call.curl(&self.tls)?, Deadline::after(DEADLINE))?;
                std::thread::sleep(BETWEEN);
                let text = fs::read(path("stdout"))?;
                Ok(String::from_utf8_lossy(&text).contains(&target).then_some(()))
            };
            wait::until("the call", Deadline::after(TOLD), told).is_ok()
        })
    }
}

/// The message has a capability that is not in the set, and none that is.
fn names_what_lacks(set: &[&str], said: &str) {
    let grant = said
        .split("lacks: ")
        .nth(1)
        .unwrap_or_else(|| panic!("{set:?}: no capability is named: {said}"));
    let named = grant.split(';').next().unwrap_or_default();
    assert!(named.contains("CAP_"), "{set:?}: {said}");
    for name in set {
        let held = format!("CAP_{}", name.to_uppercase());
        assert!(
            !named.split(", ").any(|name| name == held),
            "{held} is held: {said}"
        );
    }
}

/// LESSONS 23.
#[test]
fn the_table_of_privileges_is_true_of_this_kernel() {
    let what = "privileges";
    if let Some(absent) = NEEDED.iter().find_map(|program| program.find().err()) {
        return programs::skipped(what, &absent);
    }
    if !fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0) {
        return programs::skipped(what, &"not root");
    }
    let Some(sensor) = binary() else {
        return programs::skipped(what, &"api-sensor is not built");
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap()
        .trim()
        .to_owned();
    let stage = Stage::set(&sensor);
    let found = setting(PARANOIA);
    table(&stage, (&kernel, found));
    if programs::is_guest() && found > USUAL_PARANOIA {
        // The setting of a machine of our own, as its operator may choose it.
        fs::write(PARANOIA, USUAL_PARANOIA.to_string()).unwrap();
        table(&stage, (&kernel, USUAL_PARANOIA));
    }
}

/// Measures every set and compares with the page.
fn table(stage: &Stage, kernel: (&str, i32)) {
    let mut rows = Vec::new();
    let grantable = bounding();
    for set in SETS {
        if let Some(missing) = set.iter().find(|name| !can_grant(grantable, name)) {
            let reason = format_args!("this machine cannot grant {missing}");
            programs::skipped(&privileges::name(set), &reason);
            continue;
        }
        let row = stage.measure(kernel, set);
        println!("{}", row.line());
        rows.push(row);
    }
    let heading = privileges::heading(&rows[0]);
    match documented(&heading) {
        Some(lines) => compare(&lines, &rows),
        None => programs::skipped(&heading, &"docs/PRIVILEGES.md has no such table to compare with"),
    }
    // Whatever the kernel, without capabilities nothing works, and some set is enough.
    assert_eq!(rows[0].cells[..5], [false; 5], "{}", rows[0].line());
    assert!(
        privileges::smallest(&rows).is_some(),
        "no set is enough among {COLUMNS:?}"
    );
}

fn setting(path: &str) -> i32 {
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

/// Each set that the page has says the same there.
fn compare(lines: &[String], rows: &[Row]) {
    let mut compared = 0;
    for line in rows.iter().map(privileges::table_line) {
        let set = line.split(" | ").next().unwrap();
        if let Some(told) = lines.iter().find(|told| told.split(" | ").next() == Some(set)) {
            assert_eq!(*told, line, "cargo xtask privileges writes the page anew");
            compared += 1;
        }
    }
    assert!(compared > 0, "nothing was compared");
}

/// Capabilities that this process may hand on: `CapBnd` of proc(5).
fn bounding() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

/// Numbers of `linux/capability.h`.
fn can_grant(bounding: u64, name: &str) -> bool {
    let number = match name {
        "dac_read_search" => 2,
        "sys_ptrace" => 19,
        "sys_admin" => 21,
        "sys_resource" => 24,
        "perfmon" => 38,
        "bpf" => 39,
        other => panic!("{other} has no number here"),
    };
    bounding >> number & 1 == 1
}

/// Rows of a table in the page; nothing where the page or the table is not here.
fn documented(heading: &str) -> Option<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PRIVILEGES.md");
    let page = fs::read_to_string(page).ok()?;
    let (_, rest) = page.split_once(&format!("{heading}\n"))?;
    let table = rest.split("\n## ").next()?;
    let lines = table
        .lines()
        .filter(|line| line.starts_with("| CAP_") || line.starts_with("| none "));
    Some(lines.map(str::to_owned).collect())
}

/// The binary beside this test: `target/PROFILE/deps/live_privileges-...` and `target/PROFILE/api-sensor`.
fn binary() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    let profile = test.parent().and_then(Path::parent)?;
    Some(profile.join("api-sensor")).filter(|path| path.is_file())
}
