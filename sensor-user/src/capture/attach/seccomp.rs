//! Whether the kernel's return probes are safe for processes under seccomp, found out by losing a child instead of
//! somebody's service.
//!
//! Takes a backend. Gives a verdict. Linux 6.11 on `x86_64` made the return trampoline a system call of its own
//! (`uretprobe`, 335), and until about 6.13 a seccomp filter that does not know it ends the process
//! (systemd issue 34615; repaired by the kernel commit "seccomp: passthrough uretprobe systemcall without filtering").
//! A child under such a filter calls a probed function of our own; versions are not asked, because the repair was
//! backported. Bounded by [`PATIENCE_NS`]; a child that lasts longer is killed and tells nothing.
#![expect(
    unsafe_code,
    reason = "a child that may do nothing but what seccomp leaves it is made with fork and left with _exit"
)]

use std::io;
use std::time::Duration;

use super::trial::own_offset;
use super::{AttachBackend, AttachError, Hook, Point};
use crate::capture::kernel::monotonic_ns;

/// What became of processes under seccomp that hit a return probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// They went on as if nothing had been there.
    Safe,
    /// One died or computed something else.
    Harmful,
    /// One gave no answer in time, or could not be made: nothing is known.
    Unknown,
}

/// How long a child may take: it makes three calls, but on a machine with ten runnable tasks per processor one was seen
/// to need more than two seconds. One that a return probe harms ends at once.
const PATIENCE_NS: u64 = 20_000_000_000;
/// Calls under the probe: newer kernels replace a breakpoint after its first hit.
const CALLS: u64 = 3;
/// `SECCOMP_RET_ERRNO` with `EPERM`: what container runtimes answer to calls they do not know.
const DENY: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
/// The strictest filters end the process.
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

/// What the return probe is tried on. Never inlined, so that it has an address and returns to its caller.
#[inline(never)]
extern "C" fn returning(value: u64) -> u64 {
    std::hint::black_box(value).wrapping_mul(3)
}

/// Probes the return of a function of our own and lets children under two filters call it.
pub fn test_returns(backend: &mut dyn AttachBackend) -> Result<Verdict, AttachError> {
    let Some((file, offset)) = own_offset(returning as *const () as u64) else {
        // Without its own map the sensor cannot tell, and does not take the chance with others.
        return Ok(Verdict::Unknown);
    };
    let probe = Point {
        hook: Hook::Return,
        offset,
        cookie: 0,
    };
    let attached = backend.attach(&file, &[probe])?;
    let fates = [DENY, KILL].map(|action| fate(action, calls_are_right));
    drop(attached);
    let worst = |verdict| fates.contains(&verdict);
    Ok(if worst(Verdict::Harmful) {
        Verdict::Harmful
    } else if worst(Verdict::Unknown) {
        Verdict::Unknown
    } else {
        Verdict::Safe
    })
}

fn calls_are_right() -> bool {
    (1..=CALLS).all(|value| returning(value) == value * 3)
}

/// What becomes of a child under a filter with that action for everything but its own end: safe when it finds `check`
/// to hold.
fn fate(action: u32, check: fn() -> bool) -> Verdict {
    // SAFETY: the child only makes system calls and calls `check`, neither of which allocates or takes a lock.
    match unsafe { libc::fork() } {
        0 => child(action, check),
        pid if pid > 0 => ended(pid),
        _ => Verdict::Unknown,
    }
}

/// What the child does. Nothing here may allocate: another thread may have held the allocator's lock at the fork.
fn child(action: u32, check: fn() -> bool) -> ! {
    // On a kernel without seccomp no process is under it: the check then runs as it is.
    confine(action).ok();
    let status = i32::from(!check());
    // SAFETY: ends the child without running the parent's exit handlers.
    unsafe { libc::_exit(status) }
}

/// Lets this process do nothing more than end.
fn confine(action: u32) -> io::Result<()> {
    // `struct seccomp_data` begins with the number of the call (`include/uapi/linux/seccomp.h`).
    let mut filter = [
        statement(LOAD_WORD, 0, 0),
        statement(JUMP_UNLESS_EQUAL, 1, EXIT_GROUP),
        statement(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        statement(RETURN, 0, action),
    ];
    let program = libc::sock_fprog {
        len: 4,
        filter: filter.as_mut_ptr(),
    };
    // A child that is killed leaves no dump of the sensor's memory behind.
    prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    prctl(
        libc::PR_SET_SECCOMP,
        libc::SECCOMP_MODE_FILTER as libc::c_ulong,
        &raw const program as libc::c_ulong,
    )
}

/// `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K` and `BPF_RET | BPF_K` (`include/uapi/linux/bpf_common.h`).
const LOAD_WORD: u16 = 0x20;
const JUMP_UNLESS_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// Number of the one call that is left to the child.
#[cfg(target_arch = "x86_64")]
const EXIT_GROUP: u32 = 231;
#[cfg(target_arch = "aarch64")]
const EXIT_GROUP: u32 = 94;

/// One instruction of the filter; `jf` are the instructions left out when a comparison fails.
const fn statement(code: u16, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: 0, jf, k }
}

fn prctl(option: i32, value: libc::c_ulong, address: libc::c_ulong) -> io::Result<()> {
    // SAFETY: `address` is 0 or points to a sock_fprog that lives during the call.
    match unsafe { libc::prctl(option, value, address, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for the child and reaps it.
fn ended(pid: libc::pid_t) -> Verdict {
    let deadline = monotonic_ns().saturating_add(PATIENCE_NS);
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for one integer.
        match unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } {
            0 if monotonic_ns() < deadline => std::thread::sleep(Duration::from_millis(1)),
            0 => {
                // SAFETY: `pid` is our child and not reaped yet, so it is nobody else's.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                // SAFETY: no status is asked for.
                unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
                return Verdict::Unknown;
            }
            ended if ended != pid => return Verdict::Unknown,
            _ if libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0 => return Verdict::Safe,
            _ => return Verdict::Harmful,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_only_computes_survives_every_filter() {
        assert_eq!(fate(DENY, calls_are_right), Verdict::Safe);
        assert_eq!(fate(KILL, calls_are_right), Verdict::Safe);
    }

    /// What the trampoline does on a kernel with the defect: a system call that the filter does not know.
    fn makes_a_call() -> bool {
        // SAFETY: getppid takes and touches nothing.
        unsafe { libc::syscall(libc::SYS_getppid) > 0 }
    }

    #[test]
    fn a_child_that_is_denied_or_killed_is_noticed() {
        assert_eq!(fate(DENY, makes_a_call), Verdict::Harmful);
        assert_eq!(fate(KILL, makes_a_call), Verdict::Harmful);
    }

    #[test]
    fn a_child_that_computes_something_else_is_noticed() {
        assert_eq!(fate(DENY, || false), Verdict::Harmful);
    }
}
