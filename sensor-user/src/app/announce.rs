//! The sensor's first words: whom it watches, whom it leaves alone, and what it cannot probe.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::capture::discover::process::printable;
use crate::capture::kernel::KernelSource;
use crate::config::{Config, Watch, WatchedPods};
use crate::kubernetes::Directory;
use crate::kubernetes::pod::WATCH;

/// On standard error, so that standard output stays what was asked for.
#[expect(clippy::print_stderr, reason = "a command line tool's first words, not a log")]
pub(super) fn announce(config: &Config, pods: Option<&Arc<Directory>>, source: &KernelSource) {
    let pods = pods.map(|pods| pods.watched());
    eprintln!(
        "api-sensor: watching {}; {} probes by {}; Ctrl-C stops",
        whom(&config.watch, pods),
        source.probes(),
        source.backend()
    );
    for failure in source.take_failures() {
        eprintln!("api-sensor: cannot probe {failure}");
    }
}

fn whom(watch: &Watch, pods: Option<WatchedPods>) -> String {
    let mut chosen: Vec<String> = watch
        .pid
        .iter()
        .map(|pid| format!("pid {pid} and its descendants"))
        .collect();
    chosen.extend(named(
        &watch.comm,
        (&watch.exe, &watch.cgroup),
        (&watch.container, &watch.label),
    ));
    if pods == Some(WatchedPods::Annotated) {
        chosen.push(format!("pods with {WATCH}=true"));
    }
    let mut excluded = named(
        &watch.exclude_comm,
        (&watch.exclude_exe, &watch.exclude_cgroup),
        (&watch.exclude_container, &watch.exclude_label),
    );
    if pods.is_some_and(|pods| pods != WatchedPods::Regardless) {
        excluded.push(format!("pods with {WATCH}=false"));
    }
    let mut text = if chosen.is_empty() {
        "every process on this host but itself (one allow-all policy entry; choose with --pid, --comm, --exe or \
         --cgroup)"
            .to_owned()
    } else {
        chosen.join(", ")
    };
    if !excluded.is_empty() {
        text = text + "; leaving alone " + &excluded.join(", ");
    }
    text
}

fn named(
    comms: &[String],
    (exes, cgroups): (&[PathBuf], &[PathBuf]),
    (containers, labels): (&[String], &[String]),
) -> Vec<String> {
    let path = |what: &str, path: &Path| format!("{what} {}", printable(path));
    let text = |what: &str, text: &str| format!("{what} {}", text.escape_debug());
    let comms = comms.iter().map(|comm| text("command", comm));
    let exes = exes.iter().map(|exe| path("executable", exe));
    let cgroups = cgroups.iter().map(|cgroup| path("cgroup", cgroup));
    let containers = containers.iter().map(|id| text("container", id));
    let labels = labels.iter().map(|label| text("containers labelled", label));
    comms
        .chain(exes)
        .chain(cgroups)
        .chain(containers)
        .chain(labels)
        .collect()
}
