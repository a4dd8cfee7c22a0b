//! Objects that were imported into TLS. NSS reads and writes TLS, plain sockets and files by the same functions of NSPR;
//! only what `SSL_ImportFD` returned is TLS. Bounded by the map; what finds no room is counted.

use sensor_common::counter::Counter;

use crate::{copy, emit};
use crate::maps::IMPORTED;
use crate::policy::Watched;
use crate::stream::{self, StreamKey};

/// Whether the object speaks TLS.
#[inline(always)]
pub fn contains(watched: Watched, object: u64) -> bool {
    IMPORTED.get_ptr(StreamKey::tls(watched.tgid(), object)).is_some()
}

/// Whether a listening socket, which may have been imported before the sensor began, has a layer on it: the member
/// `lower` of `struct PRFileDesc`, the third word, is not null (`prio.h`, NSPR's public interface).
#[inline(always)]
pub fn is_layered(object: u64) -> bool {
    copy::user::<u64>(object + 16).is_some_and(|lower| lower != 0)
}

/// An import returned the object; nothing when it failed. The address may have been another connection's, whose end
/// was not seen.
#[inline(always)]
pub fn add(watched: Watched, object: u64) {
    if object == 0 {
        return;
    }
    let key = StreamKey::tls(watched.tgid(), object);
    if IMPORTED.insert(key, 1, 0).is_err() {
        emit::count(Counter::NoImportSlot, 1);
        return;
    }
    stream::forget(&key);
}

/// The object was closed.
#[inline(always)]
pub fn remove(watched: Watched, object: u64) {
    let _ = IMPORTED.remove(StreamKey::tls(watched.tgid(), object));
}
