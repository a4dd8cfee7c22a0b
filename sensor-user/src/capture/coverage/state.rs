//! The verdict on a process that was watched, and what of it is not seen and why.
//!
//! Takes what a process's files promise and what its account says. Gives a state, and for each blindness its reason
//! and remedy. Never guesses from names. Bounded by the stacks and notices of the process.

use std::borrow::Cow;

use serde::Serialize;

use super::{Activity, ProcessCoverage, StackCoverage};
use crate::capture::Notice;

/// What became of a process's traffic. Worst first, and that is the order in reports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its TLS library is probed and its sockets carried TLS, but no call of the library was seen.
    NeverFired,
    /// Its sockets carried TLS, and no library that the sensor reads is in it.
    Opaque,
    /// It speaks QUIC.
    Quic,
    /// The kernel encrypts its sockets.
    Ktls,
    /// It uses an `io_uring`, and nothing was seen of it.
    IoUring,
    /// It was captured, but for some bytes.
    Lost,
    /// Its TLS was captured.
    Captured,
    /// It was captured and used no TLS.
    PlaintextOnly,
    /// It moved bytes in which no API was recognised, and no TLS.
    Unrecognised,
    /// It moved nothing so far.
    Idle,
}

impl State {
    /// Every state, worst first.
    pub const ALL: [Self; 10] = [
        Self::NeverFired,
        Self::Opaque,
        Self::Quic,
        Self::Ktls,
        Self::IoUring,
        Self::Lost,
        Self::Captured,
        Self::PlaintextOnly,
        Self::Unrecognised,
        Self::Idle,
    ];

    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverFired => "never_fired",
            Self::Opaque => "opaque",
            Self::Quic => "quic",
            Self::Ktls => "ktls",
            Self::IoUring => "io_uring",
            Self::Lost => "lost",
            Self::Captured => "captured",
            Self::PlaintextOnly => "plaintext_only",
            Self::Unrecognised => "unrecognised",
            Self::Idle => "idle",
        }
    }

    /// What it means.
    pub const fn help(self) -> &'static str {
        match self {
            Self::NeverFired => {
                "probes are in its TLS library and its sockets carried TLS, but the library was never called"
            }
            Self::Opaque => "its sockets carried TLS, and no TLS library that the sensor reads is in it",
            Self::Quic => "it sent QUIC packets, which are not seen",
            Self::Ktls => "the kernel encrypts its sockets, so that what it writes is taken for TLS",
            Self::IoUring => "it has an io_uring, and nothing of it was seen",
            Self::Lost => "it was captured, but for bytes that found no room or could not be read",
            Self::Captured => "its TLS was captured",
            Self::PlaintextOnly => "it was captured, and used no TLS",
            Self::Unrecognised => "it moved bytes in which no API was recognised, and no TLS",
            Self::Idle => "it moved nothing so far",
        }
    }
}

/// Something of a process that is not seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Blindness {
    /// A state's name, or that of a notice.
    pub what: &'static str,
    /// Why.
    pub reason: Cow<'static, str>,
    /// What the operator can do.
    pub remedy: &'static str,
}

/// Judges a process by what was seen of it. `noticed` are the ways out of sight that the kernel object saw it take.
pub(super) fn judge(coverage: &ProcessCoverage, seen: &Activity, noticed: &[Notice]) -> State {
    let probed = |stack: &StackCoverage| stack.probes.unwrap_or(0) > 0;
    let fired = seen.tls_calls > 0;
    if noticed.contains(&Notice::Quic) {
        State::Quic
    } else if noticed.contains(&Notice::KernelTls) {
        State::Ktls
    } else if seen.cipher_bytes > 0 && !fired {
        if coverage.stacks.iter().any(probed) {
            State::NeverFired
        } else {
            State::Opaque
        }
    } else if seen.lost_bytes > 0 {
        State::Lost
    } else if fired {
        State::Captured
    } else if seen.plain_bytes > 0 {
        State::PlaintextOnly
    } else if noticed.contains(&Notice::IoUring) {
        State::IoUring
    } else if seen.unknown_bytes > 0 {
        State::Unrecognised
    } else {
        State::Idle
    }
}

/// What is not seen, without having watched.
pub(super) fn blindness(coverage: &ProcessCoverage) -> Vec<Blindness> {
    coverage
        .has_io_uring
        .then(|| of_notice(Notice::IoUring))
        .into_iter()
        .collect()
}

/// What is not seen of a process that was watched.
pub(super) fn blindness_of(
    coverage: &ProcessCoverage,
    state: State,
    seen: &Activity,
    noticed: &[Notice],
) -> Vec<Blindness> {
    let mut blind = Vec::new();
    match state {
        State::NeverFired => {
            // A stack that is known not to be read is the likelier of the ways: Python loads libssl beside grpcio's own.
            blind.extend(unread_stack(coverage).map(|stack| opaque(Some(stack))));
            blind.push(Blindness {
                what: state.name(),
                reason: "probes are in its TLS library and its sockets carried TLS, but the library was never called: \
                         it may pass TLS on, use another TLS library, or hold connections older than the sensor"
                    .into(),
                remedy: "restart the process once; if that does not help, observe the plain side of a proxy",
            });
        }
        State::Opaque => blind.push(opaque(unread_stack(coverage))),
        State::Captured if seen.cipher_bytes > explained(seen.tls_bytes) => {
            blind.extend(unread_stack(coverage).map(|stack| opaque(Some(stack))));
        }
        _ => {}
    }
    blind.extend(noticed.iter().map(|notice| of_notice(*notice)));
    if seen.ring_full_bytes > 0 {
        blind.push(Blindness {
            what: "ring_full",
            reason: format!("{} bytes found no room in the ring", seen.ring_full_bytes).into(),
            remedy: "raise capture.ring_bytes, or watch fewer processes",
        });
    }
    let other = seen.lost_bytes.saturating_sub(seen.ring_full_bytes);
    if other > 0 {
        blind.push(Blindness {
            what: "lost",
            reason: format!("{other} bytes could not be read, or their stream found no room").into(),
            remedy: "raise capture.stream_entries where no_stream_bytes grows; the other reasons are rare and harmless",
        });
    }
    blind
}

/// TLS on sockets that the calls seen may have caused: memory BIOs move it outside of TLS calls. Records add little,
/// handshakes some kilobytes each.
const fn explained(tls_bytes: u64) -> u64 {
    tls_bytes.saturating_mul(2).saturating_add(64 << 10)
}

fn unread_stack(coverage: &ProcessCoverage) -> Option<&StackCoverage> {
    coverage.stacks.iter().find(|stack| stack.reason.is_some())
}

fn opaque(stack: Option<&StackCoverage>) -> Blindness {
    let (reason, remedy) = match stack {
        Some(StackCoverage {
            stack,
            reason: Some(reason),
            remedy,
            ..
        }) => (format!("{stack}: {reason}").into(), *remedy),
        _ => (
            "its sockets carry TLS, and no TLS library was recognised in its files".into(),
            Some("nothing where it only passes TLS on; else observe the plain side of a proxy"),
        ),
    };
    Blindness {
        what: State::Opaque.name(),
        reason,
        remedy: remedy.unwrap_or("observe the plain side of a proxy"),
    }
}

const fn of_notice(notice: Notice) -> Blindness {
    let (reason, remedy) = match notice {
        Notice::IoUring => (
            "it has an io_uring: what it sends and receives through that passes no system call, and is seen only by \
             hooks inside the kernel's TCP",
            "where its traffic is missing and the report's `hooks inside the kernel's TCP` says no, switch io_uring off in \
             the program (UV_USE_IO_URING=0 for Node), or set kernel.io_uring_disabled",
        ),
        Notice::Quic => (
            "it speaks QUIC, which is encrypted datagram by datagram within the process",
            "let a proxy terminate HTTP/3, or drop the Alt-Svc header that offers it, so that clients use TCP",
        ),
        Notice::KernelTls => (
            "the kernel encrypts its sockets (kTLS): what it writes there is taken for TLS",
            "switch kTLS off in the program, or observe the plain side of a proxy",
        ),
    };
    Blindness {
        what: notice.name(),
        reason: Cow::Borrowed(reason),
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::coverage::Verdict;
    use crate::capture::coverage::tests::{process, stack};

    fn probed() -> ProcessCoverage {
        let mut stack = stack("openssl", None);
        stack.probes = Some(12);
        process(Verdict::Covered, vec![stack])
    }

    #[test]
    fn tls_on_the_sockets_of_a_probed_process_that_never_called_its_library_is_the_loudest_state() {
        let silent = Activity {
            cipher_bytes: 5000,
            ..Activity::default()
        };
        assert_eq!(judge(&probed(), &silent, &[]), State::NeverFired);
        let fired = Activity {
            tls_calls: 1,
            ..silent
        };
        assert_eq!(judge(&probed(), &fired, &[]), State::Captured);
        let unprobed = process(Verdict::Blind, vec![stack("go", Some("not yet"))]);
        assert_eq!(judge(&unprobed, &silent, &[]), State::Opaque);
        assert_eq!(State::ALL.into_iter().min(), Some(State::NeverFired));
    }

    #[test]
    fn tls_of_a_library_that_is_not_read_is_named_with_its_reason_also_beside_one_that_is() {
        let unread = stack("go", Some("not yet"));
        let mut both = probed();
        both.stacks.push(unread);
        let silent = Activity {
            cipher_bytes: 500_000,
            ..Activity::default()
        };
        let fired = Activity {
            tls_calls: 1,
            tls_bytes: 1000,
            ..silent
        };
        let state = judge(&both, &fired, &[]);
        assert_eq!(state, State::Captured);
        let blind = blindness_of(&both, state, &fired, &[]);
        assert_eq!(
            blind
                .iter()
                .map(|one| (one.what, &*one.reason))
                .collect::<Vec<_>>(),
            [("opaque", "go: not yet")]
        );
        let memory_bio = Activity {
            tls_bytes: 400_000,
            ..fired
        };
        assert_eq!(blindness_of(&both, state, &memory_bio, &[]), []);
        assert_eq!(
            blindness_of(&probed(), state, &fired, &[]),
            [],
            "it may pass TLS on"
        );
    }

    #[test]
    fn a_stack_that_is_not_read_is_named_beside_a_probed_one_that_was_never_called() {
        let silent = Activity {
            cipher_bytes: 5000,
            ..Activity::default()
        };
        let mut both = probed();
        both.stacks.push(stack("openssl-stripped", Some("stripped")));
        let state = judge(&both, &silent, &[]);
        assert_eq!(state, State::NeverFired);
        let blind = blindness_of(&both, state, &silent, &[]);
        let said: Vec<_> = blind.iter().map(|one| one.what).collect();
        assert_eq!(said, ["opaque", "never_fired"]);
        assert_eq!(blind[0].reason, "openssl-stripped: stripped");
        let alone = blindness_of(&probed(), state, &silent, &[]);
        assert_eq!(
            alone.iter().map(|one| one.what).collect::<Vec<_>>(),
            ["never_fired"]
        );
    }

    #[test]
    fn each_way_out_of_sight_has_a_state_a_reason_and_a_remedy() {
        let nothing = Activity::default();
        for (notice, state) in [
            (Notice::Quic, State::Quic),
            (Notice::KernelTls, State::Ktls),
            (Notice::IoUring, State::IoUring),
        ] {
            assert_eq!(judge(&probed(), &nothing, &[notice]), state);
            let blind = blindness_of(&probed(), state, &nothing, &[notice]);
            assert_eq!(blind.len(), 1, "{blind:?}");
            assert!(
                blind
                    .iter()
                    .all(|one| one.what == notice.name() && !one.remedy.is_empty())
            );
        }
        let plain = Activity {
            plain_bytes: 9,
            ..nothing
        };
        assert_eq!(judge(&probed(), &plain, &[Notice::IoUring]), State::PlaintextOnly);
        assert_eq!(
            blindness_of(&probed(), State::PlaintextOnly, &plain, &[Notice::IoUring]).len(),
            1
        );
    }

    #[test]
    fn lost_bytes_are_a_state_and_say_how_many() {
        let lost = Activity {
            tls_calls: 1,
            lost_bytes: 30,
            ring_full_bytes: 20,
            ..Activity::default()
        };
        assert_eq!(judge(&probed(), &lost, &[]), State::Lost);
        let blind = blindness_of(&probed(), State::Lost, &lost, &[]);
        let reasons: Vec<_> = blind
            .iter()
            .map(|one| one.reason.split(' ').next().unwrap())
            .collect();
        assert_eq!(reasons, ["20", "10"]);
    }
}
