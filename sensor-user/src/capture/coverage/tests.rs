use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::*;

fn host() -> Abilities {
    Abilities::read_below(&tempfile::tempdir().unwrap().path().join("nothing"))
}

pub(super) fn process(verdict: Verdict, stacks: Vec<StackCoverage>) -> ProcessCoverage {
    ProcessCoverage {
        pid: 4,
        comm: "app".to_owned(),
        exe: Some("/usr/bin/app".to_owned()),
        sockets: 2,
        verdict,
        state: None,
        blind: Vec::new(),
        activity: None,
        ended: false,
        has_io_uring: false,
        stacks,
        unread: Vec::new(),
    }
}

pub(super) fn stack(name: &'static str, reason: Option<&'static str>) -> StackCoverage {
    StackCoverage {
        stack: name,
        file: format!("/lib/{name}.so"),
        functions: 12,
        probes: None,
        reason: reason.map(Into::into),
        remedy: reason.map(|_| "do this"),
    }
}

#[test]
fn the_verdict_sums_up_the_stacks() {
    let of = |stacks: Vec<StackCoverage>| verdict(&process(Verdict::Unknown, stacks));
    assert_eq!(of(vec![]), Verdict::PlainOnly);
    assert_eq!(of(vec![stack("a", None)]), Verdict::Covered);
    assert_eq!(of(vec![stack("b", Some("why"))]), Verdict::Blind);
    assert_eq!(
        of(vec![stack("a", None), stack("b", Some("why"))]),
        Verdict::Partly
    );
    let mut unread = process(Verdict::Unknown, vec![]);
    unread
        .unread
        .push(super::unread("file", &io::ErrorKind::PermissionDenied.into()));
    assert_eq!(verdict(&unread), Verdict::Unknown);
}

#[test]
fn the_text_names_blind_processes_first_with_reason_and_remedy() {
    let mut seen = process(Verdict::Covered, vec![stack("openssl", None)]);
    seen.pid = 3;
    let report = Report {
        host: host(),
        watched: None,
        processes: vec![
            seen,
            process(Verdict::Blind, vec![stack("jsse", Some("no symbol"))]),
        ],
        without_sockets: 7,
        others: None,
    };
    let text = render(&report);
    let blind = text
        .find("BLIND to TLS          4  app              2 sockets")
        .unwrap();
    let covered = text
        .find("covered               3  app              2 sockets")
        .unwrap();
    assert!(blind < covered, "{text}");
    assert!(
        text.contains("jsse in /lib/jsse.so: no symbol\n        do: do this"),
        "{text}"
    );
    assert!(
        text.contains("openssl in /lib/openssl.so: 12 functions can be probed"),
        "{text}"
    );
    assert!(
        text.contains("2 processes with sockets, worst first (7 without any are not listed)"),
        "{text}"
    );
}

#[test]
fn abilities_are_read_from_proc_and_sys() {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("proc/sys/kernel/osrelease", "6.1.0-44-amd64\n");
    put("proc/sys/kernel/perf_event_paranoid", "2\n");
    put(
        "proc/self/mounts",
        "proc /proc proc rw 0 0\nnodev /my\\040trace tracefs rw 0 0\n",
    );
    // CAP_BPF and CAP_SYS_PTRACE.
    put(
        "proc/self/status",
        "Name:\tx\nCapPrm:\tffff\nCapEff:\t0000008000080000\n",
    );
    put(
        "proc/self/limits",
        "Limit  Soft  Hard  Units\nMax locked memory         8388608              8388608  bytes\n",
    );
    put(
        "sys/kernel/security/lockdown",
        "none [integrity] confidentiality\n",
    );
    put("sys/kernel/btf/vmlinux", "");
    let host = Abilities::read_below(root.path());
    assert_eq!(host.kernel, "6.1.0-44-amd64");
    assert_eq!(host.tracefs.as_deref(), Some("/my trace"));
    assert_eq!(
        (host.perf_event_paranoid, host.lockdown.as_deref()),
        (Some(2), Some("integrity"))
    );
    assert_eq!(host.memlock.as_deref(), Some("8388608"));
    let held: Vec<_> = host
        .privileges
        .iter()
        .filter(|privilege| privilege.held)
        .map(|held| held.name)
        .collect();
    assert_eq!(held, ["CAP_BPF", "CAP_SYS_PTRACE"]);
    let found: Vec<_> = host.abilities.iter().map(|ability| ability.available).collect();
    // tracefs is mounted, but not where it is looked for.
    assert_eq!(found, [Some(true), Some(false), None]);
}

#[test]
fn full_administration_includes_what_was_split_off_it() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("proc/self")).unwrap();
    fs::write(
        root.path().join("proc/self/status"),
        "CapEff:\t0000000000200000\n",
    )
    .unwrap();
    let held = Abilities::read_below(root.path()).privileges;
    let held: Vec<_> = held
        .iter()
        .filter(|privilege| privilege.held)
        .map(|held| held.name)
        .collect();
    assert_eq!(
        held,
        [
            "CAP_BPF",
            "CAP_PERFMON",
            "CAP_CHECKPOINT_RESTORE",
            "CAP_SYS_ADMIN"
        ]
    );
}

struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_running_client_of_openssl_is_covered_and_its_arguments_stay_unseen() {
    // It connects to a listener that never answers, and so stays where it is.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-servername", "planted.example", "-connect", &address]);
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        println!("SKIPPED coverage of a running client: no openssl command");
        return;
    };
    let client = Client(child);
    // Connected: its socket and libraries are there.
    let _connection = listener.accept().unwrap();
    let filter = Filter {
        pids: vec![client.0.id()],
        ..Filter::default()
    };
    let found = report(Path::new("/proc"), &filter, host(), &mut Cache::default()).unwrap();
    let [process] = found.processes.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(
        (process.pid, process.verdict),
        (client.0.id(), Verdict::Covered),
        "{process:?}"
    );
    assert_eq!(process.comm, "openssl");
    assert!(
        process
            .stacks
            .iter()
            .any(|stack| stack.stack == "openssl" && stack.functions >= 12),
        "{process:?}"
    );
    let json = serde_json::to_string(&found).unwrap();
    assert!(json.contains("\"verdict\":\"covered\""), "{json}");
    assert!(!json.contains("planted") && !render(&found).contains("planted"));
}
