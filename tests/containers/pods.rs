//! Does an annotation decide whose traffic is captured, in the kernel object's policy and at once?
//!
//! Two pods in control groups as a kubelet and containerd name them, and a stand-in for the API server. What is left alone is
//! in no output and has no account.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sensor_tests::PrivateTls;
use sensor_tests::guard::{self, Guard};
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Certificate, PythonApi, Transport, fixture};
use sensor_tests::wait::{self, Deadline, STARTING};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::super::sensor::{Sensor, lines, root_command, soon};
use super::super::{Container, IN_PODS, NEEDED, image};

/// Puts a service account where a kubelet does, in a mount namespace of the sensor's own.
const ACCOUNT: &str = "mount -t tmpfs none /run && mkdir -p /var/run/secrets/kubernetes.io && \
                       cp -r \"$0\" /var/run/secrets/kubernetes.io/serviceaccount && exec \"$@\"";
/// Calls of a container that ends soon, and of one that outlives a change; four in a second.
const FEW: u32 = 8;
const MANY: u32 = 80;
/// Calls seen before something is concluded from them.
const SOME: usize = 3;

/// The API server's pods, and the server.
struct Cluster {
    directory: TempDir,
    pods: Vec<Json>,
    _server: Guard,
    port: u16,
}

impl Cluster {
    fn start() -> Self {
        let directory = TempDir::with_prefix("api-sensor-cluster-").unwrap();
        let account = directory.path().join("account");
        fs::create_dir(&account).unwrap();
        let made = Certificate::create(directory.path()).unwrap();
        fs::copy(&made.certificate, account.join("ca.crt")).unwrap();
        fs::write(account.join("token"), "token").unwrap();
        fs::write(account.join("namespace"), "api-sensor").unwrap();
        let pods = directory.path().join("pods.json");
        fs::write(&pods, "[]").unwrap();
        let mut command = Command::new(Program::Python.find().unwrap());
        command.arg(fixture("kube_api.py")).arg(&pods);
        command.arg(&made.certificate).arg(&made.key);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = Guard::start(&mut command).unwrap();
        let port = server.first_line().unwrap().trim().parse().unwrap();
        Self {
            directory,
            pods: Vec::new(),
            _server: server,
            port,
        }
    }

    /// Says what the two pods say of being watched, and adds one by which it shows that this was read.
    fn say(&mut self, marks: [Option<&str>; 2]) {
        self.pods
            .retain(|pod| pod["metadata"]["name"].as_str().unwrap().starts_with("mark"));
        let mark = pod(10 + self.pods.len(), &format!("mark-{}", self.pods.len()), None);
        self.pods.push(mark);
        for (number, said) in marks.into_iter().enumerate() {
            self.pods.insert(number, pod(number, NAMES[number], said));
        }
        let (file, new) = ["pods.json", "new"]
            .map(|name| self.directory.path().join(name))
            .into();
        fs::write(&new, Json::from(self.pods.clone()).to_string()).unwrap();
        fs::rename(new, file).unwrap();
    }

    /// The sensor's command line, as a pod of this cluster runs it.
    fn inside(&self, sensor: &Command) -> Command {
        let mut command = Command::new(Program::Unshare.find().unwrap());
        command.args(["--mount", "--propagation", "private", "/bin/sh", "-c", ACCOUNT]);
        command.arg(self.directory.path().join("account"));
        command.arg(sensor.get_program()).args(sensor.get_args());
        for (name, value) in sensor.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
        command.env("KUBERNETES_SERVICE_PORT", self.port.to_string());
        command
    }
}

const NAMES: [&str; 2] = ["cart-0", "ledger-0"];

fn uid(number: usize) -> String {
    format!("{:08x}-2a8b-4c5d-9e7f-{number:012x}", std::process::id())
}

fn pod(number: usize, name: &str, said: Option<&str>) -> Json {
    let annotations = said.map_or_else(|| json!({}), |said| json!({ "api-sensor/watch": said }));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": uid(number), "annotations": annotations},
        "spec": {"nodeName": "node-1"},
        "status": {"phase": "Running", "podIP": format!("10.1.0.{}", number + 1)},
    })
}

/// The slice of a pod, by the systemd driver's names.
fn slice(pod: usize) -> String {
    let uid = uid(pod).replace('-', "_");
    format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice")
}

/// Control groups that runtimes leave: the parents of those of containers, and of one that was killed.
struct Groups;

impl Drop for Groups {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let unified = mounts.lines().find(|line| line.contains(" - cgroup2 "));
        let Some(root) = unified.and_then(|line| line.split(' ').nth(4)).map(PathBuf::from) else {
            return;
        };
        for pod in 0..NAMES.len() {
            let slice = root.join(slice(pod));
            for group in fs::read_dir(&slice).into_iter().flatten().flatten() {
                fs::remove_dir(group.path()).ok();
            }
            // Each where nothing else is in it.
            for above in slice.ancestors().take(3) {
                fs::remove_dir(above).ok();
            }
        }
    }
}

/// One that calls `count` times, four times in a second.
fn calling(round: usize, pod: usize, port: u16, count: u32) -> Container {
    let url = Transport::Tls.url(port, &format!("/echo?seed=9&length=100&call=[1-{count}]"));
    let group = |id: &str| format!("/{}/cri-containerd-{id}.scope", slice(pod));
    let number = u64::try_from(2 * round + pod).unwrap() + 5;
    let arguments = ["--rate", "4/s", "-o", "/tmp/answer", &url];
    Container::new(number, group, IN_PODS[round][pod], &arguments)
}

/// Exchanges of a container so far.
fn exchanges(sensor: &Sensor, container: &Container) -> Vec<Json> {
    let mut lines = lines(&sensor.stdout());
    lines.retain(|line| line["type"] == "exchange" && line["container.id"] == container.id.as_str());
    lines
}

fn fetch(url: &str) -> String {
    let mut command = Command::new(Program::Curl.find().unwrap());
    guard::run(command.args(["-s", "--noproxy", "*", url]), soon()).unwrap()
}

/// Waits until the watch has read the `count`th change: its pod comes after those that changed.
fn read_by(page: &str, count: usize) {
    let line = format!("\napi_sensor_kubernetes_pods {}\n", NAMES.len() + count);
    let all = || Ok(fetch(&format!("{page}/metrics")).contains(&line).then_some(()));
    wait::until("the pods", soon(), all).unwrap();
}

/// Waits until there are accounts of a program's process; then none may be of the other's.
fn accounts(page: &str, of: &str, none_of: &str) {
    wait::until("the account", soon(), || {
        let report = fetch(&format!("{page}/coverage"));
        assert!(!report.contains(none_of), "{report}");
        Ok(report.contains(of).then_some(()))
    })
    .unwrap();
}

fn start(container: &Container, image: &Path) -> Guard {
    let mut command = container.command(image);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Guard::start(&mut command).unwrap()
}

/// The sensor as a pod of the cluster, which watches these programs alone.
fn watching(what: &str, mut command: Command, cluster: &Cluster, listen: &str) -> Option<Sensor> {
    command.args(["run", "--output", "json", "--metrics-listen", listen]);
    for name in IN_PODS.as_flattened() {
        command.args(["--comm", name]);
    }
    let config = "[kubernetes]\nmode = \"on\"\nnode = \"node-1\"\n";
    Sensor::start(what, cluster.inside(&command), config)
}

/// Whether there are some, each with the names of the pod.
fn are_named(seen: &[Json], number: usize) {
    assert!(seen.len() >= SOME, "{seen:#?}");
    for line in seen {
        assert_eq!(line["k8s.pod.uid"], uid(number), "{line:#}");
        assert_eq!(line["k8s.pod.name"], NAMES[number], "{line:#}");
        assert_eq!(line["k8s.namespace.name"], "shop", "{line:#}");
        assert_eq!(line["k8s.node.name"], "node-1", "{line:#}");
        assert_eq!(line["container.runtime.name"], "containerd", "{line:#}");
    }
}

#[test]
fn annotations_decide_whose_traffic_is_captured() {
    let what = "pods by annotation";
    let Some(command) = root_command(what, &NEEDED) else {
        return;
    };
    let image = image(&PrivateTls::new().unwrap());
    let api = PythonApi::start(&PrivateTls::new().unwrap(), Transport::Tls).unwrap();
    let groups = Groups;
    let tried = calling(0, 0, api.port(), 1);
    let tried = guard::finish(&mut tried.command(image.path()), soon()).unwrap();
    if !tried.status.success() {
        let reason = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
        return programs::skipped(what, &format_args!("crun starts no container here: {reason}"));
    }
    let mut cluster = Cluster::start();
    cluster.say([Some("false"), None]);
    let listen = format!("127.0.0.1:{}", wait::free_port().unwrap());
    let Some(mut sensor) = watching(what, command, &cluster, &listen) else {
        return;
    };
    let page = format!("http://{listen}");
    read_by(&page, 1);
    let [left, asked] = [0, 1].map(|pod| {
        let container = calling(0, pod, api.port(), FEW);
        let output = guard::finish(&mut container.command(image.path()), soon()).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        container
    });
    accounts(&page, IN_PODS[0][1], IN_PODS[0][0]);

    // The other way round, for programs that start afterwards.
    cluster.say([None, Some("false")]);
    read_by(&page, 2);
    let [then, no_more] = [0, 1].map(|pod| calling(1, pod, api.port(), MANY));
    let mut running = [&no_more, &then].map(|container| start(container, image.path()));
    let some_of = |container: &Container, count: usize| {
        let enough = || Ok((exchanges(&sensor, container).len() >= count).then_some(()));
        wait::until("exchanges", soon(), enough)
            .unwrap_or_else(|error| panic!("{error:#}\n{}", sensor.stderr()));
    };
    some_of(&then, SOME);
    accounts(&page, IN_PODS[1][0], IN_PODS[1][1]);
    assert_eq!(exchanges(&sensor, &no_more), Vec::<Json>::new());

    // And for those that run.
    cluster.say([Some("false"), Some("true")]);
    some_of(&no_more, SOME);
    let before = exchanges(&sensor, &then).len();
    some_of(&no_more, 2 * SOME);
    assert_eq!(exchanges(&sensor, &then).len(), before, "left alone from now on");
    for guard in &mut running {
        let ended = guard.wait(Deadline::after(STARTING)).unwrap();
        assert!(ended.success(), "{ended}");
    }
    assert_eq!(exchanges(&sensor, &then).len(), before, "to its end");
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    drop(groups);

    assert_eq!(exchanges(&sensor, &left), Vec::<Json>::new(), "never watched");
    for (container, number) in [(&asked, 1), (&then, 0), (&no_more, 1)] {
        are_named(&exchanges(&sensor, container), number);
    }
}
