//! Joins a stream to its socket by evidence.
//!
//! Takes what the kernel says about a stream's socket. Gives the one belief about it that all evidence supports.
//! Never overwrites a belief with its contradiction: both are then marked ambiguous, because a wrong peer is worse
//! than an unknown one. Bounded: one belief per stream.

use crate::capture::{Evidence, Role, SocketAddress};

/// What is believed of a stream's socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Binding {
    pub(super) socket: SocketAddress,
    pub(super) evidence: Evidence,
    pub(super) ambiguous: bool,
}

impl Binding {
    /// Takes further evidence. Returns whether the belief changed.
    pub(super) fn merge(&mut self, other: Self) -> bool {
        let before = *self;
        self.ambiguous |= other.ambiguous;
        if self.contradicts(&other) {
            self.ambiguous = true;
        } else {
            self.complete(&other.socket);
            self.evidence = stronger(self.evidence, other.evidence);
        }
        *self != before
    }

    /// Two sockets are different when something known of both differs.
    fn contradicts(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.socket, &other.socket);
        let inodes = ours.inode != 0 && theirs.inode != 0 && ours.inode != theirs.inode;
        let differ = |a: Option<_>, b: Option<_>| a.is_some() && b.is_some() && a != b;
        // A listening or unconnected address fills in later, so an unspecified one contradicts nothing.
        inodes
            || differ(specified(ours.local), specified(theirs.local))
            || differ(specified(ours.remote), specified(theirs.remote))
    }

    fn complete(&mut self, other: &SocketAddress) {
        let socket = &mut self.socket;
        if socket.inode == 0 {
            socket.inode = other.inode;
        }
        if specified(socket.local).is_none() {
            socket.local = other.local.or(socket.local);
        }
        if specified(socket.remote).is_none() {
            socket.remote = other.remote.or(socket.remote);
        }
        if socket.role == Role::Unknown {
            socket.role = other.role;
        }
    }
}

fn specified(endpoint: crate::capture::Endpoint) -> crate::capture::Endpoint {
    endpoint.filter(|(address, port)| !address.is_unspecified() && *port != 0)
}

/// A descriptor named by the program outweighs a socket call seen at the right moment.
const fn stronger(a: Evidence, b: Evidence) -> Evidence {
    if strength(a) >= strength(b) { a } else { b }
}

const fn strength(evidence: Evidence) -> u8 {
    match evidence {
        Evidence::Adjacent => 0,
        // It may mean something else to the program; a system call cannot.
        Evidence::Transport => 1,
        Evidence::NestedSyscall => 2,
        Evidence::SetBio => 3,
        Evidence::SetFd | Evidence::RuntimeConn => 4,
        Evidence::Recorded => 5,
        Evidence::Direct => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(inode: u64, evidence: Evidence) -> Binding {
        let socket = SocketAddress {
            inode,
            local: Some(("127.0.0.1".parse().unwrap(), 443)),
            remote: None,
            role: Role::Unknown,
        };
        Binding {
            socket,
            evidence,
            ambiguous: false,
        }
    }

    #[test]
    fn agreeing_evidence_completes_and_strengthens() {
        let mut ours = binding(7, Evidence::NestedSyscall);
        let mut theirs = binding(7, Evidence::SetFd);
        theirs.socket.remote = Some(("127.0.0.2".parse().unwrap(), 9));
        theirs.socket.role = Role::Client;
        assert!(ours.merge(theirs));
        assert_eq!(ours, theirs);
        assert!(!ours.merge(binding(7, Evidence::NestedSyscall)));
    }

    #[test]
    fn contradicting_evidence_marks_and_never_overwrites() {
        let mut ours = binding(7, Evidence::NestedSyscall);
        assert!(ours.merge(binding(8, Evidence::SetFd)));
        assert!(ours.ambiguous);
        assert_eq!((ours.socket.inode, ours.evidence), (7, Evidence::NestedSyscall));
        assert!(
            !ours.merge(binding(7, Evidence::NestedSyscall)),
            "stays ambiguous"
        );
    }

    #[test]
    fn another_peer_on_the_same_inode_is_a_contradiction() {
        let mut ours = binding(7, Evidence::SetFd);
        let mut theirs = ours;
        theirs.socket.local = Some(("127.0.0.1".parse().unwrap(), 444));
        ours.merge(theirs);
        assert!(ours.ambiguous);
    }

    #[test]
    fn an_unspecified_address_contradicts_nothing() {
        let mut ours = binding(7, Evidence::SetFd);
        ours.socket.local = Some(("0.0.0.0".parse().unwrap(), 0));
        ours.merge(binding(7, Evidence::SetFd));
        assert!(!ours.ambiguous);
        assert_eq!(ours.socket.local, Some(("127.0.0.1".parse().unwrap(), 443)));
    }
}
