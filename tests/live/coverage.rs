//! Does the sensor say of each process what it sees and what it does not see, and why?

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use sensor_tests::clients::{self, Call};
use sensor_tests::held::Held;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{Certificate, Nginx, PythonApi, Site, Transport, fixture};
use sensor_tests::{Guard, PrivateTls, testbed};
use sensor_user::capture::Notice;
use sensor_user::capture::coverage::{Live, Observer, ProcessCoverage, State};
use sensor_user::capture::kernel::monotonic_ns;

use crate::watch::{Watch, able, options};

/// A script that does something at each line of its input and says a line.
struct Script {
    guard: Guard,
    said: Lines<BufReader<ChildStdout>>,
}

impl Script {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = Guard::start(command).unwrap();
        let mut said = BufReader::new(guard.child().stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "ready");
        Self { guard, said }
    }

    fn act(&mut self) -> String {
        self.guard
            .child()
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"\n")
            .unwrap();
        self.said.next().unwrap().unwrap()
    }
}

fn report(watch: &Watch, observer: &mut Observer) -> Live {
    observer.report(Path::new("/proc"), watch.ledger(), monotonic_ns())
}

fn of(live: &Live, pid: u32) -> &ProcessCoverage {
    let found = live.processes.iter().find(|process| process.pid == pid);
    found.unwrap_or_else(|| panic!("process {pid} is not reported: {live:#?}"))
}

fn io_uring(tls: &PrivateTls) -> Script {
    Script::start(&mut clients::python("io_uring.py", tls).unwrap())
}

#[test]
fn an_io_uring_is_noticed_when_it_is_made_and_when_it_was_there_before() {
    let what = "io_uring";
    if !able(what, &[Program::Python]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let (mut before, mut after) = (io_uring(&tls), io_uring(&tls));
    let made = before.act();
    if made != "made" {
        return programs::skipped(what, &made);
    }
    let Some(mut watch) = Watch::start(what, &options(&tls, &[before.guard.pid(), after.guard.pid()])) else {
        return;
    };
    let mut observer = watch.observer();
    assert_eq!((after.act(), after.act()), ("made".to_owned(), "made".to_owned()));
    watch.settle();
    let live = report(&watch, &mut observer);
    for pid in [before.guard.pid(), after.guard.pid()] {
        let process = of(&live, pid);
        assert_eq!(process.state, Some(State::IoUring), "{process:#?}");
        assert_eq!(process.blind.len(), 1, "{process:#?}");
        assert_eq!(process.blind[0].what, "io_uring");
    }
    let told = watch
        .notices
        .iter()
        .filter(|(pid, _)| *pid == after.guard.pid())
        .count();
    assert_eq!(
        told, 1,
        "once per process, however many rings: {:?}",
        watch.notices
    );
    watch.stop();
}

#[test]
fn quic_is_reported_as_quic() {
    let what = "QUIC";
    if !able(what, &[Program::Python, Program::Openssl]) {
        return;
    }
    if !testbed::python().join("aioquic").is_dir() {
        return programs::skipped(
            what,
            &"aioquic is not in the testbed (cargo xtask test installs it)",
        );
    }
    let tls = PrivateTls::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let certificate = Certificate::create(directory.path()).unwrap();
    let mut command = clients::python("quic.py", &tls).unwrap();
    command
        .env("PYTHONPATH", testbed::python())
        .arg(&certificate.certificate)
        .arg(&certificate.key);
    let mut quic = Script::start(&mut command);
    let Some(mut watch) = Watch::start(what, &options(&tls, &[quic.guard.pid()])) else {
        return;
    };
    let mut observer = watch.observer();
    assert_eq!(quic.act(), "20000");
    watch.settle();
    let live = report(&watch, &mut observer);
    let process = of(&live, quic.guard.pid());
    assert_eq!(process.state, Some(State::Quic), "{process:#?}");
    assert!(
        process.blind.iter().any(|blind| blind.what == "quic"),
        "{process:#?}"
    );
    let datagrams = process.activity.unwrap().datagram_bytes;
    assert!(datagrams > 40_000, "{datagrams} bytes in datagrams");
    assert_eq!(watch.notices, [(quic.guard.pid(), Notice::Quic)]);
    watch.stop();
}

#[test]
fn ordinary_datagrams_are_not_taken_for_quic() {
    let what = "datagrams";
    if !able(what, &[Program::Python]) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let mut command = clients::python("datagrams.py", &tls).unwrap();
    let mut sender = Script::start(&mut command);
    let Some(mut watch) = Watch::start(what, &options(&tls, &[sender.guard.pid()])) else {
        return;
    };
    assert_eq!(sender.act(), "sent");
    watch.settle();
    assert_eq!(watch.notices, []);
    assert_eq!(
        watch
            .account(sender.guard.pid())
            .kernel(sensor_common::account::Entry::DatagramBytes),
        0
    );
    watch.stop();
}

/// A relay passes TLS on; `imports` are modules it loads and never uses.
fn relay(tls: &PrivateTls, port: u16, imports: &str) -> (Guard, u16) {
    let code = format!(
        "{imports}\nimport sys\nsys.argv[0] = {path:?}\nexec(open(sys.argv[0]).read())",
        path = fixture("relay.py").to_string_lossy()
    );
    let mut command = Command::new(Program::Python.find().unwrap());
    command.args(["-c", &code, &port.to_string()]);
    tls.apply(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut guard = Guard::start(&mut command).unwrap();
    let line = guard.first_line().unwrap();
    (guard, line.trim().parse().unwrap())
}

#[test]
fn tls_on_sockets_without_a_call_of_the_library_is_never_fired_or_opaque() {
    let what = "coverage states";
    let needed = [Program::Nginx, Program::Curl, Program::Openssl, Program::Python];
    if !able(what, &needed) {
        return;
    }
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let worker = nginx.workers().unwrap()[0];
    // One has a TLS library, which is probed and not used; the other has none.
    let (idle_library, probed_port) = relay(&tls, nginx.port(Transport::Tls), "import ssl");
    let (no_library, bare_port) = relay(&tls, nginx.port(Transport::Tls), "");
    let plain = PythonApi::start(&tls, Transport::Plain).unwrap();
    let pids = [worker, idle_library.pid(), no_library.pid(), plain.pid()];
    let Some(mut watch) = Watch::start(what, &options(&tls, &pids)) else {
        return;
    };
    let mut observer = watch.observer();
    let call = |watch: &mut Watch, url: &str| {
        let call = Call::new("GET", url, b"").unwrap();
        let held = Held::new(&call.curl(&tls).unwrap()).unwrap();
        let pid = held.pid();
        watch.also(pid);
        let output = watch.follow(held.release().unwrap());
        assert!(output.status.success(), "{output:?}");
        pid
    };
    for port in [probed_port, bare_port] {
        call(&mut watch, &Transport::Tls.url(port, "/who/am"));
    }
    let url = Transport::Plain.url(plain.port(), "/echo?seed=1&length=3000");
    let curl = call(&mut watch, &url);
    let live = report(&watch, &mut observer);
    for (pid, state) in [
        (idle_library.pid(), State::NeverFired),
        (no_library.pid(), State::Opaque),
        (worker, State::Captured),
        (plain.pid(), State::PlaintextOnly),
        (curl, State::PlaintextOnly),
    ] {
        let process = of(&live, pid);
        assert_eq!(process.state, Some(state), "{process:#?}");
        let silent = matches!(state, State::NeverFired | State::Opaque);
        assert_eq!(!process.blind.is_empty(), silent, "{process:#?}");
    }
    let captured = of(&live, worker);
    let probes: usize = captured.stacks.iter().filter_map(|stack| stack.probes).sum();
    assert!(probes > 10, "{captured:#?}");
    assert!(captured.activity.unwrap().tls_calls >= 4, "{captured:#?}");
    let ended = of(&live, curl);
    assert_eq!((ended.comm.as_str(), ended.ended), ("curl", true), "{ended:#?}");
    assert_eq!(live.processes[0].pid, idle_library.pid(), "the loudest is first");
    watch.stop();
}
