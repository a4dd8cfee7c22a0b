//! Does every output say which container and pod a process runs in, and never another's?

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sensor_tests::PrivateTls;
use sensor_tests::clients::Call;
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{PythonApi, Transport};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::sensor::{Sensor, lines, root_command, soon};

const NEEDED: [Program; 3] = [Program::Curl, Program::Openssl, Program::Python];

/// A directory in one hierarchy of cgroups, removed with this value when its processes have ended.
struct Cgroup(Vec<PathBuf>);

impl Cgroup {
    /// Makes `name` in the first hierarchy whose line of mountinfo says `kind`, its parents too.
    fn new(kind: &str, name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let root = mounts
            .lines()
            .find(|line| line.contains(kind))?
            .split(' ')
            .nth(4)?;
        let mut made = Vec::new();
        let mut path = PathBuf::from(root);
        for part in name.split('/') {
            path.push(part);
            if !path.exists() {
                fs::create_dir(&path).ok()?;
                made.push(path.clone());
            }
        }
        Some(Self(made))
    }

    fn take(&self, pid: u32) {
        fs::write(self.0.last().unwrap().join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            for _ in 0..100 {
                if fs::remove_dir(path).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
    }
}

fn id(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

/// Lines of exchanges with that path.
fn exchanges(sensor: &Sensor, path: &str) -> Vec<Json> {
    let mut lines = lines(&sensor.stdout());
    lines.retain(|line| line["type"] == "exchange" && line["url.template"] == path);
    lines
}

const POD: &str = "1f0c9f6e-2a8b-4c5d-9e7f-0123456789ab";

/// Where a process is put: the last segment of its calls, the kind of hierarchy, the cgroup, and what is to be said.
struct Spot {
    name: &'static str,
    kind: &'static str,
    cgroup: String,
    container: String,
    pod: Option<&'static str>,
}

fn spots() -> [Spot; 3] {
    let systemd = POD.replace('-', "_");
    let spot = |name, kind, cgroup, number, pod| Spot {
        name,
        kind,
        cgroup,
        container: id(number),
        pod,
    };
    [
        spot(
            "docker",
            " - cgroup2 ",
            format!("docker-{}.scope", id(0xa1)),
            0xa1,
            None,
        ),
        spot(
            "kubepods",
            " - cgroup2 ",
            format!(
                "kubepods.slice/kubepods-pod{systemd}.slice/cri-containerd-{}.scope",
                id(0xa2)
            ),
            0xa2,
            Some(POD),
        ),
        spot(
            "old",
            ",pids",
            format!("kubepods/besteffort/pod{POD}/{}", id(0xa3)),
            0xa3,
            Some(POD),
        ),
    ]
}

/// A client that waits in its place.
struct Waiting {
    spot: Option<Spot>,
    shell: Held,
    /// Kept until its processes have ended.
    group: Option<Cgroup>,
    _call: Call,
}

impl Waiting {
    /// `None` where the hierarchy is not there.
    fn new(what: &str, api: &PythonApi, tls: &PrivateTls, spot: Option<Spot>) -> Option<Self> {
        let name = spot.as_ref().map_or("outside", |spot| spot.name);
        let call = Call::new("GET", &Transport::Tls.url(api.port(), &format!("/{name}")), b"").unwrap();
        let shell = Held::new(&call.curl(tls).unwrap()).unwrap();
        let group = match &spot {
            Some(spot) => {
                let Some(group) = Cgroup::new(spot.kind, &spot.cgroup) else {
                    programs::skipped(&format!("{what}: {name}"), &"no such cgroup can be made");
                    return None;
                };
                group.take(shell.pid());
                Some(group)
            }
            None => None,
        };
        Some(Self {
            spot,
            shell,
            group,
            _call: call,
        })
    }
}

/// LESSONS 9: a library shared by two pods. Each exchange carries the container of its own process, in the unified
/// hierarchy or an older one, and a process outside carries none.
#[test]
fn two_containers_that_share_a_library_are_told_apart() {
    let what = "containers in outputs";
    let Some(mut command) = root_command(what, &NEEDED) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&PrivateTls::new().unwrap(), Transport::Tls).unwrap();
    let waiting: Vec<Waiting> = spots()
        .into_iter()
        .map(Some)
        .chain([None])
        .filter_map(|spot| Waiting::new(what, &api, &tls, spot))
        .collect();
    command.args(["run", "--output", "json", "--metrics-listen", "off"]);
    command.arg("--library").arg(tls.libssl());
    for client in &waiting {
        command.arg("--pid").arg(client.shell.pid().to_string());
    }
    let Some(mut sensor) = Sensor::start(what, command, "") else {
        return;
    };
    for Waiting {
        spot, shell, group, ..
    } in waiting
    {
        let output = shell.release().unwrap().finish(soon()).unwrap();
        assert!(output.status.success());
        let name = spot.as_ref().map_or("outside", |spot| spot.name);
        sensor.wait_for(&format!("\"/{name}\""), 1);
        let seen = exchanges(&sensor, &format!("/{name}"));
        assert_eq!(seen.len(), 1, "{name}");
        let container = spot.as_ref().map_or(Json::Null, |spot| json!(spot.container));
        assert_eq!(seen[0]["container.id"], container, "{name}: {}", seen[0]);
        let pod = spot
            .and_then(|spot| spot.pod)
            .map_or(Json::Null, |pod| json!(pod));
        assert_eq!(seen[0]["k8s.pod.uid"], pod, "{name}: {}", seen[0]);
        drop(group);
    }
    assert!(sensor.stop().success());
}

/// A container that a real runtime starts: own root, mount, pid, IPC and UTS namespaces and cgroup; its library is seen
/// through its own root.
#[test]
fn a_container_of_runc_is_seen_and_named() {
    let what = "a container of runc";
    let needed = [NEEDED.as_slice(), &[Program::Runc]].concat();
    let Some(mut command) = root_command(what, &needed) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&PrivateTls::new().unwrap(), Transport::Tls).unwrap();
    let bundle = TempDir::with_prefix("api-sensor-bundle-").unwrap();
    let number = u8::try_from(std::process::id() % 256).unwrap();
    let url = Transport::Tls.url(api.port(), "/inside");
    write_bundle(bundle.path(), &tls, &id(number), &url);
    let name = format!("api-sensor-test-{}", std::process::id());
    let mut runc = Command::new(Program::Runc.find().unwrap());
    runc.arg("--root").arg(bundle.path().join("state"));
    runc.args(["run", "--bundle"]).arg(bundle.path()).arg(&name);
    let tried = Held::new(&runc).unwrap();
    command.args(["run", "--output", "json", "--metrics-listen", "off"]);
    command.arg("--pid").arg(tried.pid().to_string());
    let Some(mut sensor) = Sensor::start(what, command, "") else {
        return;
    };
    let output = tried.release().unwrap().finish(soon()).unwrap();
    // What a runtime leaves: the parent of its cgroup.
    for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
        fs::remove_dir(hierarchy.path().join("docker")).ok();
    }
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        return programs::skipped(what, &format_args!("runc does not run here: {reason}"));
    }
    sensor.wait_for("\"/inside\"", 1);
    let seen = exchanges(&sensor, "/inside");
    assert!(!seen.is_empty());
    for line in &seen {
        assert_eq!(line["container.id"], id(number), "{line}");
        assert_eq!(line["container.runtime.name"], "docker", "{line}");
        assert_eq!(line["url.scheme"], "https", "{line}");
    }
    assert!(sensor.stop().success());
}

/// A root of the test's own making: the host's programs, read-only, and the private library. The network is the host's,
/// so that loopback is the same; the names are those that Docker gives.
fn write_bundle(bundle: &Path, tls: &PrivateTls, id: &str, url: &str) {
    let root = bundle.join("rootfs");
    for directory in ["usr", "proc", "tmp", "tls"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), root.join(name)).unwrap();
    }
    let curl = format!("curl -sk --http1.1 --max-time 20 -o /dev/null {url}");
    // Three times: the first lets the sensor meet the file.
    let script = format!("{curl} && sleep 0.3 && {curl} && {curl}");
    let bind = |from: &Path, to: &str| json!({"destination": to, "type": "bind", "source": from, "options": ["rbind", "ro"]});
    let namespaces: Vec<Json> = ["pid", "ipc", "uts", "mount"]
        .iter()
        .map(|kind| json!({"type": kind}))
        .collect();
    let config = json!({
        "ociVersion": "1.0.0",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sh", "-c", script],
            "env": ["PATH=/usr/bin:/bin", "LD_LIBRARY_PATH=/tls", "NO_PROXY=*"],
            "cwd": "/",
        },
        "root": {"path": "rootfs", "readonly": false},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            bind(Path::new("/usr"), "/usr"),
            bind(tls.directory(), "/tls"),
        ],
        "linux": {"cgroupsPath": format!("/docker/{id}"), "namespaces": namespaces},
    });
    fs::write(bundle.join("config.json"), config.to_string()).unwrap();
}
