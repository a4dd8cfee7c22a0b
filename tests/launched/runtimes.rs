//! The manifest asks for the runtime's own list of system calls. With the lists that runtimes have by default, from the
//! packages that bring them: does the sensor see what root's sees, and where not, does it say why?

use std::fs;
use std::path::Path;

use anyhow::Result;
use sensor_tests::debian::Suite;
use sensor_tests::launcher::pod::Pod;
use sensor_tests::launcher::unit;
use sensor_tests::{programs, testbed};

use super::same::{NEEDED, Stage, UNSUPPORTED, watched};
use super::way::{Sensor, Way, by_pod, older, sensor, usual};

/// A list of system calls that containers are given by default.
struct List {
    /// Suite of Debian.
    suite: &'static str,
    package: &'static str,
    file: &'static str,
    /// Calls that it refuses to the capabilities of the manifest.
    to_manifest: &'static [&'static str],
    /// And to those of the chart's values for older kernels.
    to_older: &'static [&'static str],
}

const CONTAINERS: (&str, &str) = (
    "golang-github-containers-common",
    "usr/share/containers/seccomp.json",
);
const DOCKER: (&str, &str) = (
    "golang-github-docker-docker-dev",
    "usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json",
);
const BOTH: &[&str] = &["bpf", "perf_event_open"];
const PERF: &[&str] = &["perf_event_open"];
const ADMIN: &str = "CAP_SYS_ADMIN";

/// CRI-O's and Podman's, then Docker's. That of containerd is code and not here; it grants both calls as Docker's newer one
/// does, to `CAP_BPF` and `CAP_PERFMON` (`contrib/seccomp/seccomp_default.go`, 1.6).
const LISTS: [List; 4] = [
    list("bookworm", CONTAINERS, BOTH, &[]),
    // It refuses the call without the one capability and does not allow it without the other.
    list("trixie", CONTAINERS, PERF, PERF),
    list("bookworm", DOCKER, BOTH, &[]),
    list("trixie", DOCKER, &[], &[]),
];

const fn list(
    suite: &'static str,
    of: (&'static str, &'static str),
    to_manifest: &'static [&'static str],
    to_older: &'static [&'static str],
) -> List {
    List {
        suite,
        package: of.0,
        file: of.1,
        to_manifest,
        to_older,
    }
}

impl List {
    fn read(&self) -> Result<String> {
        let into = testbed::directory().join("runtimes").join(self.suite);
        Suite::open(self.suite)?.unpack(self.package, &into)?;
        Ok(fs::read_to_string(into.join(self.file))?)
    }

    fn name(&self) -> String {
        format!("the list of {} in {}", self.package, self.suite)
    }
}

/// Starts the sensor in a pod; it ends, and says which calls are refused, or sees what root's saw.
fn start(pod: &Pod, binary: &Path, stage: &Stage, refused: &[&str], wanted: &[String]) {
    let mut started = Sensor::launch(by_pod(pod, binary, &stage.settings()));
    if refused.is_empty() {
        let (_, told) = watched(stage, Way::Pod, started.ready());
        assert_eq!(told, wanted);
        return;
    }
    let code = started.end();
    let said = started.stderr();
    assert_eq!(code, UNSUPPORTED, "{said}");
    let refused = format!("(seccomp) of this process refuses {}:", refused.join(", "));
    assert!(said.contains(&refused), "{said}");
    assert!(said.contains("seccomp.localhostProfile"), "{said}");
}

#[test]
fn with_a_runtimes_own_list_of_calls_it_sees_everything_or_says_what_is_refused() {
    let what = "lists of runtimes";
    let Some(binary) = sensor(what, &NEEDED) else {
        return;
    };
    if unit::is_older_kernel().unwrap() {
        // There the manifest needs CAP_SYS_ADMIN, to which every list grants both calls.
        return programs::skipped(
            what,
            &"the capabilities of the manifest are not enough on this kernel",
        );
    }
    let stage = Stage::set();
    let root = Sensor::start(Way::Root, &binary, &stage.settings()).ready();
    let (_, wanted) = watched(&stage, Way::Root, root);
    for list in LISTS {
        let text = match list.read() {
            Ok(text) => text,
            Err(error) => {
                programs::skipped(&list.name(), &format!("{error:#}"));
                continue;
            }
        };
        let of = |pod: Pod| pod.with_profile(&text).unwrap();
        // Of Linux before 5.11, and some machines withhold it.
        let older = of(older()).without("CAP_SYS_RESOURCE");
        for (pod, refused) in [
            (of(usual()), list.to_manifest),
            (older, list.to_older),
            // What is said to help does.
            (of(usual()).with(ADMIN), &[]),
        ] {
            start(&pod, &binary, &stage, refused, &wanted);
        }
        programs::seen(&format_args!(
            "{} refuses {:?}; with {ADMIN} {:?}",
            list.name(),
            list.to_manifest,
            list.to_older
        ));
    }
}
