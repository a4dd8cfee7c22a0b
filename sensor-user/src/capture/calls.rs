//! The hooks of system calls: at tracepoints, or at the functions of the kernel that implement the calls.
//!
//! Takes the loaded object. Gives links. Both places see the same. Tracepoints are on every kernel; from Linux 7.2 on,
//! a run there is left out while another task is preempted inside the same program (`trace_call_bpf_faultable`).
//! Functions are hooked by `kprobe_multi` links (Linux 5.18), whose programs run with preemption off. Bounded by the two
//! tables.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use aya::Ebpf;
use aya::programs::trace_point::TracePointLink;
use aya::programs::{ProgramError, TracePoint};

use super::attach::AttachError;
use super::attach::multi::{BPF_LINK_CREATE, Linked, bpf};
use super::btf::{Btf, BtfError};
use super::load::{LoadError, OBJECT};

/// Where system calls are hooked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Calls {
    /// At functions where tracepoints lose runs and the kernel takes it; else at tracepoints.
    #[default]
    Auto,
    /// At tracepoints.
    Tracepoints,
    /// At functions.
    Functions,
}

/// A system call and the programs of its two places, each with a loop that the verifier walks and with `bpf_loop`.
struct Call {
    name: &'static str,
    begins: bool,
    tracepoint: [&'static str; 2],
    function: [&'static str; 2],
}

macro_rules! calls {
    (moving: $($moving:literal)+; at_return: $($name:literal $program:literal)+; at_entry: $($begin:literal $at:literal $in:literal)+) => {
        &[
            $(Call {
                name: $moving,
                begins: false,
                tracepoint: [concat!($moving, "_exit"), concat!($moving, "_exit_loop")],
                function: [concat!($moving, "_return"), concat!($moving, "_return_loop")],
            },)+
            $(Call {
                name: $name,
                begins: false,
                tracepoint: [concat!($program, "_exit"); 2],
                function: [concat!($program, "_return"); 2],
            },)+
            $(Call { name: $begin, begins: true, tracepoint: [$at; 2], function: [$in; 2] },)+
        ]
    };
}

const CALLS: &[Call] = calls! {
    moving: "read" "write" "readv" "writev" "recvfrom" "sendto" "recvmsg" "sendmsg" "recvmmsg" "sendmmsg";
    at_return: "sendfile64" "sendfile" "splice" "splice" "close_range" "close_range" "accept" "accept"
        "accept4" "accept" "connect" "connect" "mmap" "mmap";
    at_entry: "close" "close_enter" "close_begin"
};

/// What the name of a system call's function begins with (`SYSCALL_DEFINE`, `arch/*/include/asm/syscall_wrapper.h`).
#[cfg(target_arch = "x86_64")]
const FUNCTIONS: &str = "__x64_sys_";
#[cfg(not(target_arch = "x86_64"))]
const FUNCTIONS: &str = "__arm64_sys_";

/// `BPF_TRACE_KPROBE_MULTI` and `BPF_F_KPROBE_MULTI_RETURN` of `include/uapi/linux/bpf.h`.
const KPROBE_MULTI: u32 = 42;
const AT_RETURN: u32 = 1;

/// Names of the two places.
const AT_TRACEPOINTS: &str = "tracepoints";
/// See [`AT_TRACEPOINTS`].
pub(super) const AT_FUNCTIONS: &str = "functions";

/// Whether the kernel runs programs at system call tracepoints preemptibly.
pub(super) fn loses_runs(types: &Btf<'_>) -> Result<bool, BtfError> {
    Ok(types.parameters("trace_call_bpf_faultable")?.is_some())
}

/// A hook in place; dropping it takes it out.
#[derive(Debug)]
#[expect(dead_code, reason = "held for what their drop does")]
pub(super) enum Link {
    Tracepoint(TracePointLink),
    Function(OwnedFd),
}

/// Hooks in place, where they are, and programs that aya does not know of.
#[derive(Debug, Default)]
pub(super) struct Attached {
    pub(super) links: Vec<Link>,
    pub(super) place: &'static str,
    pub(super) programs: Vec<(&'static str, OwnedFd)>,
}

/// Hooks every call at its tracepoint.
pub(super) fn at_tracepoints(object: &mut Ebpf, has_loop: bool) -> Result<Attached, LoadError> {
    let links = CALLS.iter().map(|call| {
        let place = format!("sys_{}_{}", if call.begins { "enter" } else { "exit" }, call.name);
        tracepoint(object, chosen(call.tracepoint, has_loop), &place).map(Link::Tracepoint)
    });
    Ok(Attached {
        links: links.collect::<Result<_, _>>()?,
        place: AT_TRACEPOINTS,
        programs: Vec::new(),
    })
}

const fn chosen([bounded, by_helper]: [&'static str; 2], has_loop: bool) -> &'static str {
    if has_loop { by_helper } else { bounded }
}

fn tracepoint(object: &mut Ebpf, program: &str, tracepoint: &str) -> Result<TracePointLink, LoadError> {
    let refused = |error| LoadError::Program(format!("{program} at {tracepoint}"), Box::new(error));
    let found = object
        .program_mut(program)
        .ok_or(ProgramError::NotLoaded)
        .map_err(refused)?;
    let loaded: &mut TracePoint = found.try_into().map_err(refused)?;
    match loaded.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
        Err(error) => return Err(refused(error)),
    }
    let id = loaded.attach("syscalls", tracepoint).map_err(refused)?;
    loaded.take_link(id).map_err(refused)
}

/// Hooks every call at its function, all or none.
pub(super) fn at_functions(object: &Ebpf, has_loop: bool) -> Result<Attached, AttachError> {
    let linked = Linked::of(OBJECT, object, "system calls", None)?;
    let mut programs: Vec<(&'static str, OwnedFd)> = Vec::new();
    let mut links = Vec::new();
    for call in CALLS {
        let name = chosen(call.function, has_loop);
        if programs.last().is_none_or(|(last, _)| *last != name) {
            programs.push((name, linked.load(name, KPROBE_MULTI)?));
        }
        if let Some((_, program)) = programs.last() {
            let function = format!("{FUNCTIONS}{}", call.name);
            let made = link(program, &function, !call.begins);
            links.push(Link::Function(made.map_err(|source| AttachError::Link {
                program: name,
                file: function,
                source,
            })?));
        }
    }
    Ok(Attached {
        links,
        place: AT_FUNCTIONS,
        programs,
    })
}

/// `struct` of `BPF_LINK_CREATE` in `union bpf_attr`, with its `kprobe_multi` arm.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    multi_flags: u32,
    count: u32,
    symbols: u64,
    addresses: u64,
    cookies: u64,
}

fn link(program: &OwnedFd, function: &str, at_return: bool) -> io::Result<OwnedFd> {
    let symbol = CString::new(function).map_err(io::Error::other)?;
    let symbols = [symbol.as_ptr() as u64];
    let attr = LinkCreate {
        prog_fd: u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?,
        target_fd: 0,
        attach_type: KPROBE_MULTI,
        flags: 0,
        multi_flags: if at_return { AT_RETURN } else { 0 },
        count: 1,
        symbols: symbols.as_ptr() as u64,
        addresses: 0,
        cookies: 0,
    };
    bpf(BPF_LINK_CREATE, &attr)
}
