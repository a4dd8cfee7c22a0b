//! BIOs made of a descriptor: `BIO_new_socket` returns one, `SSL_set_bio` gives it to a connection.
//!
//! Between the two the BIO is remembered by its address, which another BIO may have later: it is forgotten when it is
//! given away, and believed only while its descriptor still leads to the same socket.

use sensor_common::counter::Counter;
use sensor_common::record::evidence;

use super::tls_call;
use crate::maps::{BIOS, NEW_BIOS};
use crate::policy::Watched;
use crate::stream::{self, StreamKey};
use crate::{emit, sock};

/// A BIO of a process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BioKey {
    pub bio: u64,
    pub tgid: u64,
}

/// What it was made of.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BioSocket {
    pub inode: u64,
    pub fd: i64,
}

/// `BIO_new_socket(fd, close_flag)` was called.
#[inline(always)]
pub fn begin(watched: Watched, fd: i32) {
    if NEW_BIOS.insert(watched.pid_tgid, fd, 0).is_err() {
        emit::count(Counter::NoBioSlot, 1);
    }
}

/// It returned a BIO.
#[inline(always)]
pub fn made(watched: Watched, bio: u64) {
    let Some(fd) = NEW_BIOS.get_ptr(watched.pid_tgid) else { return };
    let fd = unsafe { *fd };
    let _ = NEW_BIOS.remove(watched.pid_tgid);
    let Some(found) = sock::find(fd) else { return };
    let key = BioKey { bio, tgid: watched.tgid() as u64 };
    if bio != 0 && BIOS.insert(key, BioSocket { inode: found.inode, fd: fd as i64 }, 0).is_err() {
        emit::count(Counter::NoBioSlot, 1);
    }
}

/// A connection was given the BIO.
#[inline(always)]
pub fn given(watched: Watched, handle: u64, bio: u64) {
    let bio_key = BioKey { bio, tgid: watched.tgid() as u64 };
    let Some(known) = BIOS.get_ptr(bio_key) else { return };
    let known = unsafe { *known };
    let _ = BIOS.remove(bio_key);
    let fd = known.fd as i32;
    let Some(found) = sock::find(fd) else { return };
    if found.inode != known.inode {
        return;
    }
    let key = StreamKey::tls(watched.tgid(), handle);
    if let Some(state) = stream::state(&key) {
        tls_call::bind(watched, &key, state, found, fd, evidence::SET_BIO);
    }
}
