//! The same calls, seen by a sensor of each way: the same exchanges and findings.

use std::path::Path;
use std::time::Duration;

use sensor_tests::clients::Call;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_tests::wait::{self, DEADLINE, Deadline};
use sensor_tests::{PrivateTls, guard};
use serde_json::Value as Json;

use super::way::{Sensor, Way, by_pod, by_unit, sensor, the_pod, the_unit, with_each_set};

pub(crate) const NEEDED: [Program; 3] = [Program::Nginx, Program::Curl, Program::Openssl];
/// The sensor's exit code for missing privileges or kernel features.
pub(crate) const UNSUPPORTED: i32 = 3;
/// Between a call and a look at what was told.
const BETWEEN: Duration = Duration::from_millis(200);
/// A call of this path only lets the library be probed, which on a slow machine comes after the sensor's start.
const FIRST: &str = "/who/first";
/// Fields that are another's in each run: times, ports and names that are drawn, hashes under a run's own key.
const OF_THE_RUN: [&str; 8] = [
    "time",
    "duration",
    "client.port",
    "network.peer.port",
    "process.pid",
    "log.record.uid",
    "api_sensor.caller.hash",
    "api_sensor.incident.id",
];
/// Words with which the sensor says that something is refused to it.
const COMPLAINTS: [&str; 5] = ["CAP_", "lacks", "cannot", "denied", "not permitted"];

/// A server, and calls to it.
pub(crate) struct Stage {
    tls: PrivateTls,
    nginx: Nginx,
}

impl Stage {
    pub(crate) fn set() -> Self {
        let tls = PrivateTls::new().unwrap();
        let nginx = Nginx::start(
            &tls,
            &Site {
                files: &[(
                    "answer.json",
                    b"{\"name\": \"Ada\", \"email\": \"ada@example.test\"}",
                )],
                ..Site::default()
            },
        )
        .unwrap();
        let stage = Self { tls, nginx };
        // From now on the file is there, and each answer the same.
        stage.call(Transport::Plain, "PUT", "/put/order", &[]);
        stage
    }

    pub(crate) fn settings(&self) -> String {
        let worker = self.nginx.workers().unwrap()[0];
        format!("[watch]\npid = [{worker}]\n[output]\nformat = \"json\"\n[metrics]\nlisten = \"off\"\n")
    }

    /// One call by curl.
    fn call(&self, transport: Transport, method: &str, target: &str, further: &[&str]) {
        let url = transport.url(self.nginx.port(transport), target);
        let call = Call::new(method, &url, b"{\"amount\": 5}").unwrap();
        let mut curl = call.curl(&self.tls).unwrap();
        guard::run(curl.args(further), Deadline::after(DEADLINE)).unwrap();
    }

    /// Shows the sensor the calls; gives what it told of them.
    fn show(&self, sensor: &Sensor) -> Vec<String> {
        for transport in Transport::ALL {
            let target = format!("{FIRST}/{transport:?}");
            wait::until("the first call", Deadline::after(DEADLINE), || {
                self.call(transport, "GET", &target, &[]);
                std::thread::sleep(BETWEEN);
                Ok(sensor.stdout().contains(&target).then_some(()))
            })
            .unwrap_or_else(|error| panic!("{error:#}: {}", sensor.stderr()));
        }
        for transport in Transport::ALL {
            self.call(transport, "GET", "/answer.json", &[]);
            self.call(transport, "PUT", "/put/order", &[]);
            self.call(transport, "GET", "/early", &["--user", "ada:planted"]);
        }
        let told = || lines(&sensor.stdout());
        wait::until("the calls", Deadline::after(DEADLINE), || {
            let told = told();
            let told = |kind: &str| told.iter().filter(|line| line.contains(kind)).count();
            Ok((told("\"exchange\"") >= 6 && told("\"finding\"") >= 1).then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {:#?} {}", told(), sensor.stderr()));
        std::thread::sleep(BETWEEN);
        told()
    }
}

/// Exchanges and findings without what is of the run, in an order of their own.
fn lines(stdout: &str) -> Vec<String> {
    let whole = stdout.rfind('\n').map_or("", |end| &stdout[..end]);
    let mut lines: Vec<String> = whole
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap())
        .filter(|line| line["type"] == "exchange" || line["type"] == "finding")
        .filter(|line| {
            !line["url.template"]
                .as_str()
                .unwrap_or_default()
                .starts_with(FIRST)
        })
        .map(|mut line| {
            let fields = line.as_object_mut().unwrap();
            fields.retain(|name, _| !OF_THE_RUN.contains(&name.as_str()));
            line.to_string()
        })
        .collect();
    lines.sort();
    lines
}

/// Shows it the calls, stops it. Gives what it said at the start and what it told.
pub(crate) fn watched(stage: &Stage, way: Way, mut sensor: Sensor) -> (String, Vec<String>) {
    let told = stage.show(&sensor);
    let code = sensor.stop();
    let said = sensor.stderr();
    assert_eq!(code, 0, "{way:?}: {said}");
    for complaint in COMPLAINTS {
        assert!(!said.contains(complaint), "{way:?}: {said}");
    }
    assert!(!said.contains("the accounts do not add up"), "{way:?}: {said}");
    (sensor.announcement(), told)
}

/// Shows the calls to a sensor that root started, and to one of each other way.
fn compare(binary: &Path) {
    let stage = Stage::set();
    let start = |way| Sensor::start(way, binary, &stage.settings()).ready();
    let (announced, told) = watched(&stage, Way::Root, start(Way::Root));
    for way in Way::confined() {
        let (also_announced, also_told) = watched(&stage, way, start(way));
        assert_eq!(also_announced, announced, "{way:?}");
        for (also, line) in also_told.iter().zip(&told) {
            assert_eq!(also, line, "{way:?}, and root");
        }
        assert_eq!(
            also_told.len(),
            told.len(),
            "{way:?}: {also_told:#?} and {told:#?}"
        );
        programs::seen(&format_args!(
            "{way:?} as root: {} lines; {announced}",
            told.len()
        ));
    }
}

/// A test of each way would start root's sensor anew, which takes an emulated machine a minute.
#[test]
fn however_it_is_started_it_captures_and_reports_as_root_does() {
    if let Some(binary) = sensor("launched", &NEEDED) {
        with_each_set(|| compare(&binary));
    }
}

/// What the launcher leaves out is missed, so it gives what it gives.
#[test]
fn without_a_capability_of_its_set_the_sensor_does_not_start_and_says_which() {
    let Some(binary) = sensor("launched without a capability", &[]) else {
        return;
    };
    let older = sensor_tests::launcher::unit::is_older_kernel().unwrap();
    let lacking = if older { "CAP_SYS_ADMIN" } else { "CAP_BPF" };
    let settings = "[metrics]\nlisten = \"off\"\n";
    for launch in [
        by_unit(&the_unit().without(lacking), &binary, settings),
        by_pod(&the_pod().without(lacking), &binary, settings),
    ] {
        let mut sensor = Sensor::launch(launch);
        let code = sensor.end();
        let said = sensor.stderr();
        assert_eq!(code, UNSUPPORTED, "{said}");
        assert!(said.contains(lacking), "{said}");
    }
}
