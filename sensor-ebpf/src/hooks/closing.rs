//! Sockets that a process lets go of.
//!
//! A stream is one process's view of one socket, so it ends with the last of the process's descriptors, whatever other
//! processes still hold.

use sensor_common::record::{KIND_CLOSED_MANY, close, source};

use super::syscall::argument;
use crate::policy;
use crate::stream::{self, StreamKey};
use crate::emit::{self, Subject};
use crate::sock;

/// `close(2)` begins: at its exit the descriptor is gone.
#[inline(always)]
pub fn closing() {
    let Some(watched) = policy::watched() else { return };
    let Some(fd) = argument::<0>() else { return };
    let Some(found) = sock::find(fd as i32) else { return };
    let key = StreamKey::socket(watched.tgid(), found.inode);
    let Some(state) = stream::known(&key) else { return };
    if sock::has_duplicate(fd as i32) {
        return;
    }
    let subject = Subject::new(watched, &key, state);
    emit::close(&subject, state, close::SOCKET);
    if state.tls != 0 {
        let tls_key = StreamKey { id: state.tls, source: source::TLS, ..key };
        if let Some(tls) = stream::known(&tls_key)
            && tls.socket == found.inode
        {
            let subject = Subject::new(watched, &tls_key, tls);
            emit::close(&subject, tls, close::SOCKET);
            stream::renew(tls);
        }
    }
    stream::forget(&key);
}

/// `close_range(2)` returned: user space looks at what is left.
#[inline(always)]
pub fn closed_many() {
    const CLOSE_RANGE_CLOEXEC: u64 = 4;
    let Some(watched) = policy::watched() else { return };
    if argument::<2>().unwrap_or(0) & CLOSE_RANGE_CLOEXEC == 0 {
        emit::process(watched.pid_tgid, KIND_CLOSED_MANY);
    }
}
