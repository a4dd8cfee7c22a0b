//! LESSONS 21: whoever is excluded yields nothing at all, whoever is beside it is seen.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sensor_common::counter::Counter;
use sensor_tests::PrivateTls;
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{PythonApi, Transport};
use sensor_user::capture::kernel::{Exclude, Options};
use tempfile::TempDir;

use crate::arrivals::copied;
use crate::watch::{Watch, able, options};

const NEEDED: [Program; 3] = [Program::Curl, Program::Openssl, Program::Python];

/// A cgroup of the unified hierarchy, removed with this value when its processes have ended.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let root = mounts
            .lines()
            .find(|line| line.contains(" - cgroup2 "))?
            .split(' ')
            .nth(4)?;
        let directory = Path::new(root).join(name);
        fs::create_dir(&directory).ok()?;
        Some(Self(directory))
    }

    fn take(&self, pid: u32) {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap();
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// A shell that makes one call with `curl` and one more by a child of its own; its command line.
fn caller(tls: &PrivateTls, shell: &Path, curl: &Path, port: u16, name: &str) -> Command {
    let mut command = Command::new(shell);
    command.args([
        "-c",
        "for n in 1 2; do \"$0\" -sk --http1.1 --max-time 20 -o /dev/null $1/$n; done; :",
    ]);
    command
        .arg(curl)
        .arg(Transport::Tls.url(port, &format!("/{name}")));
    tls.apply(&mut command);
    command
}

struct Bench {
    tls: PrivateTls,
    api: PythonApi,
    directory: TempDir,
}

impl Bench {
    fn new(what: &str) -> Option<Self> {
        if !able(what, &NEEDED) {
            return None;
        }
        let tls = PrivateTls::new().unwrap();
        Some(Self {
            api: PythonApi::start(&tls, Transport::Tls).unwrap(),
            directory: TempDir::with_prefix("api-sensor-excluded-").unwrap(),
            tls,
        })
    }

    fn options(&self, exclude: Exclude) -> Options {
        Options {
            exclude,
            ..options(&self.tls, &[])
        }
    }

    fn targets(watch: &Watch) -> Vec<String> {
        let target = |one: &sensor_user::pipeline::Observed| {
            String::from_utf8_lossy(one.exchange.request.target().expose()).into_owned()
        };
        watch.observed.iter().map(target).collect()
    }
}

#[test]
fn an_excluded_command_yields_nothing_and_its_sibling_does() {
    let what = "exclusion by command";
    let Some(bench) = Bench::new(what) else { return };
    let curl = copied(Program::Curl, &bench.directory, "curl-seen");
    let silent = copied(Program::Curl, &bench.directory, "curl-silent");
    let exclude = Exclude {
        comms: vec!["curl-silent".to_owned()],
        ..Exclude::default()
    };
    let Some(mut watch) = Watch::start(what, &bench.options(exclude)) else {
        return;
    };
    // By process id, which is kept over exec: the exclusion wins over that.
    for (name, program) in [("silent", &silent), ("seen", &curl)] {
        let command = caller(&bench.tls, Path::new("/bin/sh"), program, bench.api.port(), name);
        let held = Held::new(&command).unwrap();
        watch.also(held.pid());
        let output = watch.follow(held.release().unwrap());
        assert!(output.status.success());
    }
    watch.until("the sibling", |watch| watch.observed.len() >= 2);
    watch.settle();
    assert_eq!(Bench::targets(&watch), ["/seen/1", "/seen/2"]);
    assert_eq!(watch.counter(Counter::ExcludedExecs), 2);
}

/// The excluded program forks: its children are excluded without an `exec`. What they start is judged by itself.
#[test]
fn children_of_an_excluded_program_are_excluded_until_they_start_another() {
    let what = "exclusion over fork";
    let Some(bench) = Bench::new(what) else { return };
    let silent = copied(Program::Python, &bench.directory, "python-silent");
    let curl = copied(Program::Curl, &bench.directory, "curl-seen");
    let exclude = Exclude {
        exes: vec![silent.clone()],
        ..Exclude::default()
    };
    let Some(mut watch) = Watch::start(what, &bench.options(exclude)) else {
        return;
    };
    let mut command = Command::new(&silent);
    command.args([
        "-c",
        "import os,ssl,sys,subprocess,urllib.request as r\n\
         c=ssl._create_unverified_context()\n\
         r.install_opener(r.build_opener(r.ProxyHandler({}),r.HTTPSHandler(context=c)))\n\
         url=sys.argv[2]\n\
         r.urlopen(url+'/parent').read()\n\
         p=os.fork()\n\
         if p==0:\n r.urlopen(url+'/child').read(); os._exit(0)\n\
         os.waitpid(p,0)\n\
         print(os.getpid(), p)\n\
         for n in '12': subprocess.check_call([sys.argv[1],'-sk','--http1.1','-o','/dev/null',url+'/started/'+n])\n",
    ]);
    command.arg(&curl).arg(Transport::Tls.url(bench.api.port(), ""));
    bench.tls.apply(&mut command);
    let held = Held::new(&command).unwrap();
    watch.also(held.pid());
    // What the shell, which is not excluded, does while it starts.
    watch.settle();
    watch.mentioned.clear();
    let output = watch.follow(held.release().unwrap());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    watch.until("what it started", |watch| watch.observed.len() >= 2);
    watch.settle();
    assert_eq!(Bench::targets(&watch), ["/started/1", "/started/2"]);
    // Not even a record of their life.
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    for pid in printed.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()) {
        assert!(
            !watch.mentioned.contains(&pid),
            "{pid} of {printed} was mentioned"
        );
    }
}

#[test]
fn an_excluded_cgroup_yields_nothing_and_its_sibling_does() {
    let what = "exclusion by cgroup";
    let Some(bench) = Bench::new(what) else { return };
    let Some(group) = Cgroup::new(&format!("api-sensor-test-{}", std::process::id())) else {
        return programs::skipped(what, &"no cgroup can be made in a unified hierarchy");
    };
    let exclude = Exclude {
        cgroups: vec![group.0.clone()],
        ..Exclude::default()
    };
    excluded_place(what, &bench, exclude, &group);
}

#[test]
fn an_excluded_container_yields_nothing_and_its_sibling_does() {
    let what = "exclusion by container";
    let Some(bench) = Bench::new(what) else { return };
    let id = format!("{:064x}", 0xc0ff_ee00_0000_u64 + u64::from(std::process::id()));
    let Some(group) = Cgroup::new(&format!("docker-{id}.scope")) else {
        return programs::skipped(what, &"no cgroup can be made in a unified hierarchy");
    };
    let exclude = Exclude {
        containers: vec![id],
        ..Exclude::default()
    };
    excluded_place(what, &bench, exclude, &group);
}

/// A label, in the file where podman and CRI-O keep the annotations of a container.
#[test]
fn a_container_excluded_by_label_yields_nothing_and_its_sibling_does() {
    let what = "exclusion by label";
    let Some(bench) = Bench::new(what) else { return };
    let id = format!("{:064x}", 0x1abe_1000_0000_u64 + u64::from(std::process::id()));
    let Some(group) = Cgroup::new(&format!("libpod-{id}.scope")) else {
        return programs::skipped(what, &"no cgroup can be made in a unified hierarchy");
    };
    let Some(_state) = State::write(&id, r#"{"annotations":{"api-sensor.test":"off"}}"#) else {
        return programs::skipped(what, &"the runtime's directory cannot be written");
    };
    let exclude = Exclude {
        labels: vec!["api-sensor.test=off".to_owned()],
        ..Exclude::default()
    };
    excluded_place(what, &bench, exclude, &group);
}

/// A container's entry in the run root of containers/storage, removed with this value.
struct State(PathBuf);

impl State {
    fn write(id: &str, text: &str) -> Option<Self> {
        let state = Self(Path::new("/run/containers/storage/overlay-containers").join(id));
        fs::create_dir_all(state.0.join("userdata")).ok()?;
        fs::write(state.0.join("userdata/config.json"), text).ok()?;
        Some(state)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
        // Those of the parents that nobody else uses.
        for parent in self.0.ancestors().skip(1).take(3) {
            fs::remove_dir(parent).ok();
        }
    }
}

/// One caller inside and one outside, both before and after the sensor started.
fn excluded_place(what: &str, bench: &Bench, exclude: Exclude, group: &Cgroup) {
    let curl = copied(Program::Curl, &bench.directory, "curl");
    let shell = Path::new("/bin/sh");
    let (early_in, early_out) = (
        Held::new(&caller(&bench.tls, shell, &curl, bench.api.port(), "in/early")).unwrap(),
        Held::new(&caller(&bench.tls, shell, &curl, bench.api.port(), "out/early")).unwrap(),
    );
    group.take(early_in.pid());
    let chosen = Options {
        pids: vec![early_in.pid(), early_out.pid()],
        ..bench.options(exclude)
    };
    let Some(mut watch) = Watch::start(what, &chosen) else {
        return;
    };
    watch.mentioned.clear();
    let inside = early_in.pid();
    watch.follow(early_in.release().unwrap());
    watch.follow(early_out.release().unwrap());
    let late = Held::new(&caller(&bench.tls, shell, &curl, bench.api.port(), "in/late")).unwrap();
    group.take(late.pid());
    watch.also(late.pid());
    let late_inside = late.pid();
    watch.follow(late.release().unwrap());
    let late = Held::new(&caller(&bench.tls, shell, &curl, bench.api.port(), "out/late")).unwrap();
    watch.also(late.pid());
    watch.follow(late.release().unwrap());
    watch.until("those outside", |watch| watch.observed.len() >= 3);
    watch.settle();
    let targets = Bench::targets(&watch);
    assert!(
        targets.iter().all(|target| target.starts_with("/out/")),
        "{targets:?}"
    );
    // A first call may have been waiting for the verdict on its container; none later.
    for wanted in ["/out/early/2", "/out/late/1", "/out/late/2"] {
        assert!(
            targets.iter().any(|target| target == wanted),
            "no {wanted} in {targets:?}"
        );
    }
    assert!(!watch.mentioned.contains(&inside) && !watch.mentioned.contains(&late_inside));
}

/// Opt-in: only the container that was asked for.
#[test]
fn a_container_asked_for_is_seen_and_nobody_else() {
    let what = "a chosen container";
    let Some(bench) = Bench::new(what) else { return };
    let ids = [1_u64, 2].map(|number| format!("{:064x}", (number << 60) + u64::from(std::process::id())));
    let groups: Vec<Option<Cgroup>> = ids
        .iter()
        .map(|id| Cgroup::new(&format!("docker-{id}.scope")))
        .collect();
    let [Some(wanted), Some(other)] = groups.as_slice() else {
        return programs::skipped(what, &"no cgroup can be made in a unified hierarchy");
    };
    let curl = copied(Program::Curl, &bench.directory, "curl");
    let shell = Path::new("/bin/sh");
    let chosen = Options {
        containers: vec![ids[0].clone()],
        ..bench.options(Exclude::default())
    };
    let Some(mut watch) = Watch::start(what, &chosen) else {
        return;
    };
    for (group, name) in [(Some(other), "other"), (None, "none"), (Some(wanted), "wanted")] {
        let held = Held::new(&caller(&bench.tls, shell, &curl, bench.api.port(), name)).unwrap();
        if let Some(group) = group {
            group.take(held.pid());
        }
        watch.follow(held.release().unwrap());
    }
    watch.until("the chosen one", |watch| !watch.observed.is_empty());
    watch.settle();
    let targets = Bench::targets(&watch);
    assert!(targets.contains(&"/wanted/2".to_owned()), "{targets:?}");
    assert!(
        targets.iter().all(|target| target.starts_with("/wanted/")),
        "{targets:?}"
    );
}
