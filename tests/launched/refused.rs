//! What unit and pod are to refuse is refused: a small program in the sensor's place tries it.

use std::path::{Path, PathBuf};

use sensor_tests::launcher::Launch;
use sensor_tests::programs::{self, Program};
use serde_json::{Value as Json, json};

use super::way::{Sensor, Way, sensor, systemd_runs, the_pod, the_unit};

const PROGRAM: &str = include_str!("../fixtures/programs/refused.py");
/// Where it is in the configuration directory.
const PLACE: &str = "/etc/api-sensor/refused.py";
const STATE: &str = "/var/lib/api-sensor";

/// Calls that no filter of ours lets pass, and what they answer then.
const REFUSED: [&str; 16] = [
    "ptrace",
    "syslog",
    "personality",
    "settimeofday",
    "mount",
    "reboot",
    "sethostname",
    "iopl",
    "init_module",
    "keyctl",
    "unshare",
    "setns",
    "process_vm_readv",
    "userfaultfd",
    "io_uring_setup",
    "clone_newuser",
];

fn tried(way: Way, sensor: &Path) -> Json {
    let settings = [("refused.py", PROGRAM)];
    let python = Program::Python.find().unwrap();
    let python = python.to_str().unwrap();
    let arguments = [python, PLACE, STATE];
    let mut tried = match way {
        Way::Root => panic!("nothing is refused to root"),
        Way::Unit => {
            let launch = Launch::unit(&the_unit(), sensor, &settings).unwrap();
            Sensor::launch(launch.running(&arguments))
        }
        Way::Pod => {
            let launch = Launch::pod(&the_pod(), sensor, &settings).unwrap();
            Sensor::launch(launch.running(&arguments))
        }
        Way::Systemd => {
            let start = format!("ExecStart=\nExecStart={}\n", arguments.join(" "));
            Sensor::service(sensor, &settings, &start)
        }
    };
    assert_eq!(tried.end(), 0, "{way:?}: {}", tried.stderr());
    let said = tried.stdout();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{way:?}: {error} in {said:?}"))
}

/// What both are to be.
fn holds(way: Way, found: &Json, refusal: &str) {
    let is = |name: &str, wanted: Json| assert_eq!(found[name], wanted, "{way:?}: {name} in {found:#}");
    for call in REFUSED {
        is(call, json!(refusal));
    }
    is("clone3", json!("ENOSYS"));
    // The filter lets these pass; it is the kernel that refuses them, for their arguments.
    for call in ["bpf", "perf_event_open", "open_by_handle_at"] {
        let answer = found[call].as_str().unwrap();
        assert!(
            ["EINVAL", "EFAULT", "EBADF"].contains(&answer),
            "{way:?}: {call} in {found:#}"
        );
    }
    for family in ["AF_UNIX", "AF_INET", "AF_NETLINK"] {
        is(family, json!("ok"));
    }
    for place in ["/", "/usr", "/etc", "/var", "/sys/fs/cgroup"] {
        is(&format!("write {place}"), json!("EROFS"));
    }
    is(&format!("write {STATE}"), json!("ok"));
    is("write hostname", json!("EROFS"));
    is("NoNewPrivs", json!("1"));
    is("Seccomp", json!("2"));
    is("CapPrm", found["CapBnd"].clone());
    is("CapEff", found["CapBnd"].clone());
    assert_ne!(found["CapEff"], "0000000000000000");
    is("hidden parent", json!(false));
}

/// The binary, where what is tried has the numbers that it is tried by.
fn tried_here(what: &str) -> Option<PathBuf> {
    if std::env::consts::ARCH != "x86_64" {
        programs::skipped(what, &"numbers of calls are those of x86_64");
        return None;
    }
    sensor(what, &[Program::Python])
}

#[test]
fn what_unit_and_profile_forbid_is_refused() {
    let Some(sensor) = tried_here("refusals") else {
        return;
    };
    of_the_unit(Way::Unit, &tried(Way::Unit, &sensor));
    holds(Way::Pod, &tried(Way::Pod, &sensor), "ENOSYS");
}

/// The launcher applies what systemd does.
#[test]
fn systemd_refuses_the_same_as_the_launcher() {
    let what = "the unit by systemd";
    if !systemd_runs() {
        return programs::skipped(
            what,
            &"systemd does not run a machine of our own here: cargo xtask vm",
        );
    }
    let Some(sensor) = tried_here(what) else {
        return;
    };
    let systemd = tried(Way::Systemd, &sensor);
    of_the_unit(Way::Systemd, &systemd);
    assert_eq!(tried(Way::Unit, &sensor), systemd, "the launcher, and systemd");
}

fn of_the_unit(way: Way, found: &Json) {
    holds(way, found, "EPERM");
    for (name, wanted) in [
        ("AF_PACKET", json!("EAFNOSUPPORT")),
        ("AF_VSOCK", json!("EAFNOSUPPORT")),
        ("writable and executable", json!("EPERM")),
        ("writable, then executable", json!("EPERM")),
        ("mode 0600", json!("ok")),
        ("mode 4700", json!("EPERM")),
        ("real time", json!("EPERM")),
        ("write /tmp", json!("ok")),
        ("entries /tmp", json!(0)),
        ("hidden /proc/kallsyms", json!(true)),
        ("hidden /dev/kmsg", json!(true)),
        ("CapAmb", found["CapEff"].clone()),
        ("Umask", json!("0077")),
        ("root", json!(false)),
        ("core", json!([0, 0])),
    ] {
        assert_eq!(found[name], wanted, "{way:?}: {name} in {found:#}");
    }
}
