//! What the system call hooks do not see: a source inside the kernel's TCP where there is one, an account elsewhere.
//!
//! Takes the loaded object. Gives attached programs, chosen by trying: fentry and fexit, kprobes, then the lengths of
//! socket calls, which say how much was not seen. Never fails the start: a kernel with none of them gives
//! [`Source::Nothing`] and why. Bounded by four links.

use std::path::Path;

use aya::programs::fentry::FEntryLink;
use aya::programs::fexit::FExitLink;
use aya::programs::kprobe::KProbeLink;
use aya::programs::raw_trace_point::RawTracePointLink;
use aya::programs::{FEntry, FExit, KProbe, ProgramError, RawTracePoint};
use aya::{Btf, Ebpf};

use super::btf::BtfError;

/// Which source is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Beyond {
    /// The best that the kernel has.
    #[default]
    Auto,
    /// fentry and fexit of `tcp_sendmsg` and `tcp_recvmsg`, or nothing.
    Fentry,
    /// kprobes of the same, or nothing.
    Kprobe,
    /// Lengths of socket calls, or nothing.
    Lengths,
    /// None.
    Off,
}

/// Which source there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// fentry and fexit.
    Fentry,
    /// kprobes.
    Kprobe,
    /// Bytes past the hooks are counted and are gaps in streams, but nobody sees them.
    Lengths,
    /// What goes past the hooks is not even counted.
    Nothing,
}

impl Source {
    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::Lengths => "lengths",
            Self::Nothing => "none",
        }
    }
}

/// Attached programs; dropping them detaches.
#[derive(Debug)]
#[expect(dead_code, reason = "held for what their drop does")]
pub(super) enum Link {
    Entry(FEntryLink),
    Exit(FExitLink),
    Probe(KProbeLink),
    Length(RawTracePointLink),
}

/// Why a source cannot be used here.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeyondError {
    #[error("{program} at {function}")]
    Program {
        program: &'static str,
        function: &'static str,
        #[source]
        source: Box<ProgramError>,
    },
    #[error("the kernel has no kprobes ({KPROBES} is not there)")]
    NoKprobes,
    #[error("the kernel's type information cannot be read")]
    Types(#[source] Box<aya::BtfError>),
}

/// Where kernels with kprobes show them (Linux 4.17, `kernel/events/core.c`).
const KPROBES: &str = "/sys/bus/event_source/devices/kprobe";

type Attached = Result<Vec<Link>, BeyondError>;

/// Attaches what is asked for. Gives the source, its links, and why better ones are not in use.
pub(super) fn attach(
    object: &mut Ebpf,
    wanted: Beyond,
    has_loop: bool,
) -> (Source, Vec<Link>, Vec<BeyondError>) {
    let tries: &[Source] = match wanted {
        Beyond::Auto => &[Source::Fentry, Source::Kprobe, Source::Lengths],
        Beyond::Fentry => &[Source::Fentry],
        Beyond::Kprobe => &[Source::Kprobe],
        Beyond::Lengths => &[Source::Lengths],
        Beyond::Off => &[],
    };
    let mut refused = Vec::new();
    for source in tries {
        let attached = match source {
            Source::Fentry => fentry(object, has_loop),
            Source::Kprobe => kprobes(object, has_loop),
            Source::Lengths => lengths(object),
            Source::Nothing => Ok(Vec::new()),
        };
        match attached {
            Ok(links) => return (*source, links, refused),
            Err(error) => refused.push(error),
        }
    }
    (Source::Nothing, Vec::new(), refused)
}

/// Returns first: a call under way when its entry is attached must not be taken for one that ended.
fn fentry(object: &mut Ebpf, has_loop: bool) -> Attached {
    let btf = Btf::from_sys_fs().map_err(|error| BeyondError::Types(Box::new(error)))?;
    let [send, receive] = if has_loop {
        ["tcp_send_fexit_loop", "tcp_receive_fexit_loop"]
    } else {
        ["tcp_send_fexit", "tcp_receive_fexit"]
    };
    let mut links = Vec::new();
    for (program, function) in [(send, "tcp_sendmsg"), (receive, "tcp_recvmsg")] {
        let link = with(object, program, function, |found: &mut FExit| {
            found.load(function, &btf)?;
            let id = found.attach()?;
            found.take_link(id)
        })?;
        links.push(Link::Exit(link));
    }
    for (program, function) in [
        ("tcp_send_fentry", "tcp_sendmsg"),
        ("tcp_receive_fentry", "tcp_recvmsg"),
    ] {
        let link = with(object, program, function, |found: &mut FEntry| {
            found.load(function, &btf)?;
            let id = found.attach()?;
            found.take_link(id)
        })?;
        links.push(Link::Entry(link));
    }
    Ok(links)
}

fn kprobes(object: &mut Ebpf, has_loop: bool) -> Attached {
    // Asked first: loading the programs takes the verifier a second.
    if !Path::new(KPROBES).exists() {
        return Err(BeyondError::NoKprobes);
    }
    let back = if has_loop {
        "tcp_kretprobe_loop"
    } else {
        "tcp_kretprobe"
    };
    let mut links = Vec::new();
    for (program, function) in [
        (back, "tcp_sendmsg"),
        (back, "tcp_recvmsg"),
        ("tcp_send_kprobe", "tcp_sendmsg"),
        ("tcp_receive_kprobe", "tcp_recvmsg"),
    ] {
        let link = with(object, program, function, |found: &mut KProbe| {
            match found.load() {
                Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
                Err(error) => return Err(error),
            }
            let id = found.attach(function, 0)?;
            found.take_link(id)
        })?;
        links.push(Link::Probe(link));
    }
    Ok(links)
}

fn lengths(object: &mut Ebpf) -> Attached {
    let mut links = Vec::new();
    for (program, tracepoint) in [
        ("send_length", "sock_send_length"),
        ("receive_length", "sock_recv_length"),
    ] {
        let link = with(object, program, tracepoint, |found: &mut RawTracePoint| {
            found.load()?;
            let id = found.attach(tracepoint)?;
            found.take_link(id)
        })?;
        links.push(Link::Length(link));
    }
    Ok(links)
}

/// Does something with a program of the object; names it in what goes wrong.
fn with<'a, P: 'a, T>(
    object: &'a mut Ebpf,
    program: &'static str,
    function: &'static str,
    act: impl FnOnce(&'a mut P) -> Result<T, ProgramError>,
) -> Result<T, BeyondError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let refused = |source| BeyondError::Program {
        program,
        function,
        source: Box::new(source),
    };
    let found = object
        .program_mut(program)
        .ok_or(ProgramError::NotLoaded)
        .map_err(refused)?;
    let typed = found.try_into().map_err(refused)?;
    act(typed).map_err(refused)
}

/// Offsets and numbers that the source inside the kernel needs, by the name of the global that takes each.
pub(super) fn offsets(btf: &super::btf::Btf<'_>) -> Result<Vec<(&'static str, u32)>, BtfError> {
    // iov_iter.type became iter_type, without the direction in its lowest bit, in Linux 5.14 (commit 8cd54c1c8480).
    let (kind, mask) = match btf.offset("iov_iter", "iter_type") {
        Ok(offset) => (offset, u32::MAX),
        Err(_) => (btf.offset("iov_iter", "type")?, !1),
    };
    let either = |new, old| {
        btf.offset("iov_iter", new)
            .or_else(|_| btf.offset("iov_iter", old))
    };
    let is_buffer = btf.enumerator("ITER_UBUF")?;
    let mut offsets = vec![
        ("TASK_FLAGS", btf.offset("task_struct", "flags")?),
        ("SK_SOCKET", btf.offset("sock", "sk_socket")?),
        ("SK_PROTOCOL", btf.offset("sock", "sk_protocol")?),
        ("SOCKET_FILE", btf.offset("socket", "file")?),
        ("MSG_ITER", btf.offset("msghdr", "msg_iter")?),
        ("ITER_TYPE", kind),
        ("ITER_TYPE_MASK", mask),
        ("ITER_OFFSET", btf.offset("iov_iter", "iov_offset")?),
        // Linux 6.4 (commit de4f5fed3f23) put `__` before the name.
        ("ITER_IOV", either("__iov", "iov")?),
        ("ITER_SEGMENTS", btf.offset("iov_iter", "nr_segs")?),
        ("ITER_IS_IOVEC", btf.enumerator("ITER_IOVEC")?.unwrap_or(u32::MAX)),
        ("ITER_IS_BUFFER", is_buffer.unwrap_or(u32::MAX)),
        // A file's references are an `f_ref` that counts from 0 since Linux 6.13 (commit 90ee6ed776c0).
        (
            "FILE_COUNT",
            btf.offset("file", "f_ref")
                .or_else(|_| btf.offset("file", "f_count"))?,
        ),
        ("RECEIVE_ARGS", btf.parameters("tcp_recvmsg")?.unwrap_or(5)),
    ];
    if is_buffer.is_some() {
        offsets.push(("ITER_BUFFER", btf.offset("iov_iter", "ubuf")?));
    }
    Ok(offsets)
}

/// What `FILE_COUNT` holds while a file has one reference.
pub(super) fn one_reference(btf: &super::btf::Btf<'_>) -> u64 {
    u64::from(btf.offset("file", "f_ref").is_err())
}
