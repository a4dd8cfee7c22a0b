//! Programs in namespaces of their own, and one library under many names.

use std::path::{Path, PathBuf};
use std::process::Command;

use sensor_common::counter::Counter;
use sensor_tests::PrivateTls;
use sensor_tests::clients::Call;
use sensor_tests::payload::body;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{PythonApi, Transport};
use sensor_user::capture::kernel::Options;
use tempfile::TempDir;

use crate::bodies::{Expected, check, perform, perform_once};
use crate::watch::{Watch, able, options};

const NEEDED: [Program; 4] = [Program::Curl, Program::Openssl, Program::Python, Program::Unshare];

/// A directory for an overlay of its own above the library's directory.
struct Layer {
    directory: TempDir,
}

impl Layer {
    fn new() -> Self {
        let directory = TempDir::with_prefix("api-sensor-layer-").unwrap();
        for name in ["upper", "work", "merged"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `command` in a mount namespace of its own where the library comes through an overlay.
    fn around(&self, command: &Command, lower: &Path) -> Command {
        let mut inside = Command::new(Program::Unshare.find().unwrap());
        let script = "mount -t overlay -o lowerdir=$0,upperdir=$1,workdir=$2 overlay $3 && \
                      LD_LIBRARY_PATH=$3 && export LD_LIBRARY_PATH && shift 3 && exec \"$@\"";
        inside.args(["--mount", "--propagation", "private", "/bin/sh", "-c", script]);
        inside
            .arg(lower)
            .arg(self.path("upper"))
            .arg(self.path("work"))
            .arg(self.path("merged"));
        inside.arg(command.get_program()).args(command.get_args());
        inside
    }
}

/// Whether this kernel and these privileges allow an overlay at all.
fn overlays(what: &str, lower: &Path) -> bool {
    let tried = Layer::new()
        .around(&Command::new("/bin/true"), lower)
        .output()
        .unwrap();
    if tried.status.success() {
        return true;
    }
    let reason = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    programs::skipped(what, &format_args!("overlayfs cannot be mounted: {reason}"));
    false
}

/// CAPTURE.md 5.2, LESSONS 10: two containers of one image see one library through two overlays, with two devices. It
/// is one inode below: probed once, every call trapped once.
#[test]
fn one_lower_library_under_two_overlays_is_probed_once() {
    let what = "overlays";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    if !overlays(what, tls.directory()) {
        return;
    }
    let api = PythonApi::start(&PrivateTls::new().unwrap(), Transport::Tls).unwrap();
    // The library by its own name first; and by nobody's name.
    for libraries in [vec![tls.libssl()], Vec::new()] {
        let chosen = Options {
            libraries,
            ..options(&tls, &[])
        };
        let Some(mut watch) = Watch::start(what, &chosen) else {
            return;
        };
        let layers = [Layer::new(), Layer::new(), Layer::new()];
        let mut files = 0;
        for (number, layer) in layers.iter().enumerate() {
            // The first only lets the sensor meet the file, so that no later one can be too early for it.
            let (sent, answered) = (body(8, 2000), body(9, 3000));
            let target = format!("/echo?{number}&seed=9&length=3000");
            let call = Call::new("POST", &Transport::Tls.url(api.port(), &target), &sent).unwrap();
            let pid = perform(
                &mut watch,
                &layer.around(&call.curl(&tls).unwrap(), tls.directory()),
            );
            if number == 0 {
                files = watch.effort().files;
            } else {
                let expected = Expected {
                    transport: Transport::Tls,
                    target: &target,
                    sent: &sent,
                    answered: Some(&answered),
                };
                check(&mut watch, &target, pid, &expected);
            }
        }
        assert!(files > 0);
        assert_eq!(watch.effort().files, files, "{:?}", watch.effort());
        assert_eq!(watch.counter(Counter::MissedReturns), 0);
        assert_eq!(watch.counter(Counter::NestedCalls), 0);
    }
}

/// A container changes its copy: that is another inode, and probed too.
#[test]
fn a_library_copied_up_in_one_container_is_another_file() {
    let what = "copy-up";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    if !overlays(what, tls.directory()) {
        return;
    }
    let api = PythonApi::start(&PrivateTls::new().unwrap(), Transport::Tls).unwrap();
    let Some(mut watch) = Watch::start(what, &options(&tls, &[])) else {
        return;
    };
    let layer = Layer::new();
    let url = Transport::Tls.url(api.port(), "/echo?seed=1&length=10");
    let call = Call::new("POST", &url, b"x").unwrap();
    let place = TempDir::with_prefix("api-sensor-copy-up-").unwrap();
    let go = place.path().join("go");
    let mut touching = Command::new("/bin/sh");
    touching.args([
        "-c",
        "go=$1 && shift && touch -d 2001-01-01 $LD_LIBRARY_PATH/libssl.so.3 && \"$@\" && \
         while [ ! -e $go ]; do sleep 0.05; done && \"$@\"",
        "sh",
    ]);
    touching.arg(&go);
    let curl = call.curl(&tls).unwrap();
    touching.arg(curl.get_program()).args(curl.get_args());
    perform(&mut watch, &Layer::new().around(&curl, tls.directory()));
    let files = watch.effort().files;
    let around = layer.around(&touching, tls.directory());
    perform_once(&mut watch, &around, &go, |watch| watch.effort().files > files);
    watch.until("a call", |watch| !watch.observed.is_empty());
    assert_eq!(watch.effort().files, files + 1, "{:?}", watch.effort());
}

/// The library is on a file system that only the program's own mount namespace has, its process id is another inside,
/// and its user is mapped: found by the kernel's names for all three.
#[test]
fn a_program_in_its_own_mount_pid_and_user_namespaces_is_seen() {
    let what = "namespaces";
    if !able(what, &NEEDED) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&PrivateTls::new().unwrap(), Transport::Tls).unwrap();
    let place = TempDir::with_prefix("api-sensor-private-").unwrap();
    let signs = TempDir::with_prefix("api-sensor-signs-").unwrap();
    let (sent, answered) = (body(3, 2000), body(4, 3000));
    let target = "/echo?inside&seed=4&length=3000";
    let call = Call::new("POST", &Transport::Tls.url(api.port(), target), &sent).unwrap();
    let curl = call.curl(&tls).unwrap();
    for namespaces in [
        &["--mount"][..],
        &["--mount", "--pid", "--fork"],
        &["--user", "--map-root-user", "--mount", "--pid", "--fork"],
    ] {
        let go = signs.path().join(namespaces.len().to_string());
        let unshare = Program::Unshare.find().unwrap();
        let tried = Command::new(&unshare).args(namespaces).arg("/bin/true").output();
        if !tried.is_ok_and(|output| output.status.success()) {
            programs::skipped(what, &format_args!("unshare {} is refused", namespaces.join(" ")));
            continue;
        }
        let mut inside = Command::new(unshare);
        inside
            .args(namespaces)
            .args(["--propagation", "private", "/bin/sh", "-c"]);
        // Twice: the first call lets the sensor meet the file.
        inside.arg(
            "mount -t tmpfs private $1 && cp $0/lib* $1 && LD_LIBRARY_PATH=$1 && export LD_LIBRARY_PATH && go=$2 && \
             shift 2 && \"$@\" && while [ ! -e $go ]; do sleep 0.05; done && \"$@\"",
        );
        inside
            .arg(tls.directory())
            .arg(place.path())
            .arg(&go)
            .arg(curl.get_program())
            .args(curl.get_args());
        let unprobed = Options {
            libraries: Vec::new(),
            ..options(&tls, &[])
        };
        let Some(mut watch) = Watch::start(what, &unprobed) else {
            return;
        };
        let files = watch.effort().files;
        perform_once(&mut watch, &inside, &go, |watch| watch.effort().files > files);
        assert!(!place.path().join("libssl.so.3").exists());
        watch.until(target, |watch| !watch.observed.is_empty());
        let last = watch.observed.last().unwrap().exchange.connection.process.pid;
        let expected = Expected {
            transport: Transport::Tls,
            target,
            sent: &sent,
            answered: Some(&answered),
        };
        check(&mut watch, &format!("{namespaces:?}"), last, &expected);
        assert!(watch.effort().files > 0);
    }
}
