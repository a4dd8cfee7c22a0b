//! GnuTLS: the session is the first argument of every function; counts are of type `ssize_t`.
//!
//! While a session is corked, a send puts its bytes into a buffer, and `gnutls_record_uncork` sends them by
//! `gnutls_record_send`: as a window in which nothing is read or written for the application, it keeps them from
//! counting twice. `gnutls_record_send_file` reads the file and sends it by `gnutls_record_send`, so it needs no row.
//! A send repeated with no buffer after `GNUTLS_E_AGAIN` counts as a gap of the right length.

use sensor_common::call::{CallKind, CallSpec, CountRule};

use super::{Function, bare, bufferless, counted_wide, plain, row};

/// Ids 32 to 47.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        // Since 3.6.3.
        jumps_to: Some("gnutls_record_send2"),
        ..counted_wide("gnutls_record_send", 32, CallKind::Write)
    },
    counted_wide("gnutls_record_send2", 33, CallKind::Write),
    counted_wide("gnutls_record_recv", 34, CallKind::Read),
    counted_wide("gnutls_record_recv_seq", 35, CallKind::Read),
    counted_wide("gnutls_record_send_range", 36, CallKind::Write),
    early_send("gnutls_record_send_early_data", 37),
    counted_wide("gnutls_record_recv_early_data", 38, CallKind::EarlyRead),
    plain("gnutls_record_uncork", 39, CallKind::Handshake),
    transport("gnutls_transport_set_ptr", 40, CallKind::SetTransport),
    transport("gnutls_transport_set_ptr2", 41, CallKind::SetTransport),
    transport("gnutls_transport_set_int2", 42, CallKind::SetFd),
    plain("gnutls_handshake", 43, CallKind::Handshake),
    plain("gnutls_bye", 44, CallKind::Shutdown),
    plain("gnutls_deinit", 45, CallKind::Free),
    // The bytes are in an object whose layout is the library's own.
    bufferless("gnutls_record_recv_packet", 46, CallKind::Read),
];

/// `void f(session, to receive from, to send to)`: the first of two names the socket.
const fn transport(symbol: &'static str, function: u16, kind: CallKind) -> Function {
    row(
        symbol,
        CallSpec {
            fd: 1,
            ..bare(function, kind)
        },
    )
}

/// `ssize_t f(session, data, length)`: takes all of it and returns 0 (`lib/record.c` of 3.7.9, against its page).
const fn early_send(symbol: &'static str, function: u16) -> Function {
    row(
        symbol,
        CallSpec {
            buffer: 1,
            out: 2,
            count: CountRule::LengthUnlessNegative,
            ..bare(function, CallKind::EarlyWrite)
        },
    )
}
