//! wolfSSL: the `WOLFSSL *` is the first argument of every function. Its OpenSSL names are macros for these.
//!
//! `wolfSSL_send` and `wolfSSL_recv` are built on the others or stand alone, by version; the outermost call counts.

use sensor_common::call::CallKind;

use super::{Function, counted, counted_by_pointer, descriptor, plain};

/// Ids 64 to 79.
pub(super) const FUNCTIONS: &[Function] = &[
    counted("wolfSSL_read", 64, CallKind::Read),
    counted("wolfSSL_write", 65, CallKind::Write),
    counted("wolfSSL_recv", 66, CallKind::Read),
    counted("wolfSSL_send", 67, CallKind::Write),
    // 5.7.2.
    counted_by_pointer("wolfSSL_read_ex", 68, CallKind::Read, 3),
    counted_by_pointer("wolfSSL_write_ex", 69, CallKind::Write, 3),
    // The count is returned as well as stored.
    counted("wolfSSL_read_early_data", 70, CallKind::EarlyRead),
    counted("wolfSSL_write_early_data", 71, CallKind::EarlyWrite),
    descriptor("wolfSSL_set_fd", 72),
    descriptor("wolfSSL_set_read_fd", 73),
    descriptor("wolfSSL_set_write_fd", 74),
    plain("wolfSSL_connect", 75, CallKind::Handshake),
    plain("wolfSSL_accept", 76, CallKind::Handshake),
    plain("wolfSSL_negotiate", 77, CallKind::Handshake),
    plain("wolfSSL_shutdown", 78, CallKind::Shutdown),
    plain("wolfSSL_free", 79, CallKind::Free),
];
