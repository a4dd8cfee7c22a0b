//! A guest that systemd runs, so that units are started as on a host.
//!
//! Takes a guest's directory and the commands that run the tests. Gives it this machine's systemd with the units that
//! every service depends on, and no others: no journal, no bus, no login.

use std::path::Path;

use anyhow::Result;
use sensor_tests::programs::Program;

use super::guest::Guest;

/// Further programs: what launches containers, and what asks systemd.
pub(super) const PROGRAMS: [Program; 4] = [
    Program::Crun,
    Program::Unshare,
    Program::SystemdAnalyze,
    Program::Systemctl,
];

const SYSTEMD: &str = "/usr/lib/systemd/systemd";

/// What a service depends on by itself, and what the sensor's unit names.
const UNITS: [&str; 4] = [
    "basic.target",
    "shutdown.target",
    "sysinit.target",
    "sys-kernel-tracing.mount",
];

/// The kernel's first root directory cannot be exchanged, which runtimes of containers do: a mount of the same is made
/// the root instead.
const INIT: &str = "#!/bin/sh\n\
                    /bin/busybox --install -s /bin\n\
                    mkdir -p /whole && mount -o bind / /whole && cd /whole && mount -o move . /\n\
                    exec chroot . /usr/lib/systemd/systemd --log-target=console --show-status=no\n";

/// With one, systemd takes no boot for the first and presets no units.
const MACHINE: &str = "00000000000000000000000000000001\n";

const TARGET: &str = "[Unit]\nDescription=The tests\nRequires=guest.service\n";

const SERVICE: &str =
    "[Unit]\nDescription=The tests\n[Service]\nType=oneshot\nExecStart=/bin/sh /guest/tests\n";

/// Fills a guest.
pub(super) fn install(guest: &Guest, tests: &str) -> Result<()> {
    for program in PROGRAMS {
        guest.program(&program.find()?)?;
    }
    guest.program(Path::new(SYSTEMD))?;
    for name in UNITS {
        let path = Path::new("/usr/lib/systemd/system").join(name);
        guest.file(&path, &path)?;
    }
    guest.text(Path::new("/etc/machine-id"), MACHINE)?;
    let own = Path::new("/etc/systemd/system");
    guest.text(&own.join("default.target"), TARGET)?;
    guest.text(&own.join("guest.service"), SERVICE)?;
    guest.script(Path::new("/guest/tests"), tests)?;
    guest.script(Path::new("/init"), INIT)
}
