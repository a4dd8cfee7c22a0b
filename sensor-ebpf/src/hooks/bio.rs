//! BIOs made of a descriptor: `BIO_new_socket` returns one, `SSL_set_bio` gives it to a connection.
//!
//! Between the two the BIO is remembered by its address, which another BIO may have later: it is forgotten when it is
//! given away, and believed only while its descriptor still leads to the same socket.
//!
//! And BIOs over a connection (`BIO_f_ssl`): what is read and written through one is the connection's. Which connection
//! that is stands in structures of the library, so it is told by the socket: the one that a call on the BIO drives and
//! that a connection of the process, which did its handshake, is bound to.

use sensor_common::counter::Counter;
use sensor_common::record::{evidence, source};

use super::tls_call;
use crate::maps::{BIOS, NEW_BIOS};
use crate::policy::Watched;
use crate::stream::{self, StreamKey, StreamState};
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

/// Whether the socket that a call on the BIO drives is bound to a connection; the BIO then lies on that.
#[inline(always)]
pub fn lies_on(key: &StreamKey, layer: &mut StreamState, inode: u64) -> bool {
    let Some(socket) = stream::known(&StreamKey { id: inode, source: source::SOCKET, ..*key }) else { return false };
    let handle = socket.tls;
    if handle == 0 || handle == key.id {
        return false;
    }
    let Some(connection) = stream::known(&StreamKey { id: handle, ..*key }) else { return false };
    if connection.socket != inode {
        return false;
    }
    layer.tls = handle;
    layer.below = connection.generation;
    true
}

/// The stream that a call on the BIO belongs to: that of the connection below, as long as it is the one that was found.
#[inline(always)]
pub fn follow(key: &mut StreamKey) {
    let Some(layer) = stream::known(key) else { return };
    let below = StreamKey { id: layer.tls, ..*key };
    if layer.tls != 0 && stream::known(&below).is_some_and(|connection| connection.generation == layer.below) {
        key.id = below.id;
    }
}
