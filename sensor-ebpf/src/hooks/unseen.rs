//! Bytes that the kernel moves by itself: no buffer of the process holds them, so they are gaps of the right length.

use sensor_common::record::gap;

use super::syscall::argument;
use crate::copy;
use crate::emit::Subject;
use crate::policy::{self, Watched};
use crate::sock::{self, Found};
use crate::stream::{self, StreamKey, VERDICT_API};

/// `sendfile(2)` wrote to the descriptor of its first argument.
#[inline(always)]
pub fn sendfile(moved: i64) {
    let Some(watched) = policy::watched() else { return };
    if moved > 0
        && let Some(found) = argument::<0>().and_then(|fd| sock::find(fd as i32))
    {
        pass(watched, found, 1, moved as u64, gap::UNSEEN);
    }
}

/// `splice(2)` moved bytes from a pipe to a socket or from a socket to a pipe: one of its ends is a pipe. (`tee(2)`
/// moves between two pipes and concerns no socket.)
#[inline(always)]
pub fn splice(moved: i64) {
    let Some(watched) = policy::watched() else { return };
    if moved <= 0 {
        return;
    }
    if let Some(found) = argument::<2>().and_then(|fd| sock::find(fd as i32)) {
        pass(watched, found, 1, moved as u64, gap::UNSEEN);
    } else if let Some(found) = argument::<0>().and_then(|fd| sock::find(fd as i32)) {
        pass(watched, found, 0, moved as u64, gap::UNSEEN);
    }
}

/// Says that bytes passed out of sight on a socket that speaks an API.
#[inline(always)]
pub fn pass(watched: Watched, found: Found, direction: usize, moved: u64, reason: u16) {
    let key = StreamKey::socket(watched.tgid(), found.inode);
    let Some(state) = stream::known(&key) else { return };
    if state.verdict == VERDICT_API {
        let mut subject = Subject::new(watched, &key, state);
        subject.socket = found.inode;
        copy::unseen(&mut subject, state, direction, moved, reason);
    }
}
