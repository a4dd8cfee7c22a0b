//! What a call under probes costs, by where the probes stand: the table of docs/COSTS.md.
//!
//! Two ends of one connection over memory, 1 KiB a call, in one process: what is measured is the call and the probes.
//! `cargo xtask bench-sites` runs this. It asserts no time.
#![expect(clippy::unwrap_used, reason = "tests panic with context")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sensor_tests::guard;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::Certificate;
use sensor_tests::wait::Deadline;
use sensor_tests::{Guard, PrivateTls};
use sensor_user::capture::attach::site::{self, ReturnSite, Returns};
use sensor_user::capture::attach::{Backend, Hook, Point, trial};
use sensor_user::capture::discover::elf::Machine;
use sensor_user::capture::discover::process::Filter;
use sensor_user::capture::discover::{Cache, ProbePoint, target_of_file};
use sensor_user::capture::kernel::Options;
use sensor_user::capture::load;
use tempfile::TempDir;

const ROUNDS: usize = 5;
const CALLS: &str = "50000";

/// Where the probes stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Strategy {
    Bare,
    FirstByte,
    ChosenWithReturnProbes,
    Chosen,
    ChosenWithoutReturnProbes,
}

impl Strategy {
    const ALL: [Self; 5] = [
        Self::Bare,
        Self::FirstByte,
        Self::ChosenWithReturnProbes,
        Self::Chosen,
        Self::ChosenWithoutReturnProbes,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "no probe",
            Self::FirstByte => "first byte, return probe",
            Self::ChosenWithReturnProbes => "chosen entry, return probe at the first byte",
            Self::Chosen => "chosen entry and return (the default)",
            Self::ChosenWithoutReturnProbes => "chosen entry and return, never a return probe",
        }
    }
}

#[test]
#[ignore = "a measurement, run by cargo xtask bench-sites"]
fn cost_of_each_strategy() {
    let what = "cost of probe sites";
    for program in [Program::Openssl, Program::Cc] {
        if let Err(absent) = program.find() {
            return programs::skipped(what, &absent);
        }
    }
    let directory = TempDir::with_prefix("api-sensor-costs-").unwrap();
    let pair = directory.path().join("pair.so");
    let mut cc = Command::new(Program::Cc.find().unwrap());
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/programs/pair.c");
    cc.args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&pair)
        .args([source, "-ldl"]);
    guard::run(&mut cc, Deadline::after(Duration::from_mins(1))).unwrap();
    let certificate = Certificate::create(directory.path()).unwrap();

    let tls = PrivateTls::new().unwrap();
    // A copy: whatever is probed is mapped by this test's programs alone.
    let host = directory.path().join("host");
    std::fs::copy("/bin/true", &host).unwrap();
    let mut subjects = vec![Subject {
        name: "libssl",
        program: host,
        library: tls.libssl(),
        preload: vec![tls.libssl(), pair.clone()],
    }];
    if Path::new("/usr/bin/node").is_file() {
        let node = directory.path().join("node");
        std::fs::copy("/usr/bin/node", &node).unwrap();
        subjects.push(Subject {
            name: "node",
            library: node.clone(),
            program: node,
            preload: vec![pair],
        });
    } else {
        programs::skipped("cost of probe sites in node", &"no node");
    }
    for subject in &subjects {
        let mut figures: Vec<Vec<f64>> = vec![Vec::new(); Strategy::ALL.len()];
        for _ in 0..ROUNDS {
            for (strategy, figures) in Strategy::ALL.iter().zip(&mut figures) {
                figures.push(subject.measure(*strategy, &certificate, &tls));
            }
        }
        let medians: Vec<f64> = figures.into_iter().map(median).collect();
        for (strategy, figure) in Strategy::ALL.iter().zip(&medians) {
            let line = serde_json::json!({
                "subject": subject.name,
                "strategy": strategy.name(),
                "microseconds": (figure / 10.0).round() / 100.0,
                "times_bare": (figure / medians[0] * 100.0).round() / 100.0,
            });
            println!("COST {line}");
        }
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

struct Subject {
    name: &'static str,
    program: PathBuf,
    library: PathBuf,
    preload: Vec<PathBuf>,
}

impl Subject {
    /// Nanoseconds of one write and read.
    fn measure(&self, strategy: Strategy, certificate: &Certificate, tls: &PrivateTls) -> f64 {
        let mut command = Command::new(&self.program);
        let preload: Vec<_> = self.preload.iter().map(|path| path.to_string_lossy()).collect();
        tls.apply(&mut command)
            .env("LD_PRELOAD", preload.join(":"))
            .env("PAIR_CALLS", CALLS)
            .env("PAIR_CERTIFICATE", &certificate.certificate)
            .env("PAIR_KEY", &certificate.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut guard = Guard::start(&mut command).unwrap();
        let probed =
            (strategy != Strategy::Bare).then(|| Probed::start(guard.pid(), &self.library, strategy));
        guard.child().stdin.take().unwrap().write_all(b"go\n").unwrap();
        let output = guard::collect(&mut guard, Deadline::after(Duration::from_mins(1))).unwrap();
        assert!(output.status.success(), "{} {:?}", self.name, output.status);
        if let Some(probed) = probed {
            let seen = probed.stop();
            let wanted = CALLS.parse::<u64>().unwrap() * 2;
            assert!(seen >= wanted, "{strategy:?}: {seen} of {wanted} calls were seen");
        }
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
    }
}

/// The kernel object with probes in one file, and a thread that empties its rings.
struct Probed {
    loaded: load::Loaded,
    stop: Arc<AtomicBool>,
    reader: std::thread::JoinHandle<()>,
    _attachment: Box<dyn sensor_user::capture::attach::Attachment>,
}

impl Probed {
    fn start(pid: u32, library: &Path, strategy: Strategy) -> Self {
        let mut loaded = load::load(&Options::default()).unwrap();
        loaded.watch_process(pid, &Filter::default()).unwrap();
        let mut data = loaded.take_data_ring().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reader = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                while data.next().is_some() {}
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let returns = if strategy == Strategy::ChosenWithoutReturnProbes {
            Returns::WithoutTrampoline
        } else {
            Returns::Cheapest
        };
        let target = target_of_file(library, returns, &mut Cache::default())
            .unwrap()
            .unwrap();
        let code = |point: &ProbePoint| {
            use std::os::unix::fs::FileExt as _;
            let mut code = vec![0; 16];
            target.file.read_exact_at(&mut code, point.offset).unwrap();
            code
        };
        let points: Vec<Point> = target
            .points
            .iter()
            .flat_map(|point| place(point, &code(point), strategy))
            .collect();
        let mut backend = trial::choose(Backend::Auto, &loaded).unwrap();
        let attachment = backend.attach(library, &points).unwrap();
        Self {
            loaded,
            stop,
            reader,
            _attachment: attachment,
        }
    }

    /// Ends it; gives the calls it saw.
    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().unwrap();
        self.loaded.counter(sensor_common::counter::Counter::TlsCalls)
    }
}

/// The probes of one function.
fn place(point: &ProbePoint, code: &[u8], strategy: Strategy) -> Vec<Point> {
    let first = site::at_first_byte(Machine::X86_64, code, Returns::Cheapest);
    let mut sites = point.sites.clone();
    if strategy == Strategy::FirstByte {
        sites.entry = first.entry;
    }
    if matches!(strategy, Strategy::FirstByte | Strategy::ChosenWithReturnProbes)
        && sites.ret != ReturnSite::None
    {
        sites.ret = first.ret;
    }
    let at = |hook, site: &site::Site| Point {
        hook,
        offset: point.file_offset(site).unwrap(),
        cookie: point.spec.to_cookie(),
    };
    let mut points: Vec<Point> = match &sites.ret {
        ReturnSite::Impossible | ReturnSite::Framed(_) => return Vec::new(),
        ReturnSite::None => Vec::new(),
        ReturnSite::Trampoline(site) => vec![at(Hook::Return, site)],
        ReturnSite::Instructions(sites) => sites.iter().map(|site| at(Hook::ReturnSite, site)).collect(),
    };
    points.push(at(Hook::Enter, &sites.entry));
    points
}
