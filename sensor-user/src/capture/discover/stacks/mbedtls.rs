//! Mbed TLS: the `mbedtls_ssl_context *` is the first argument of every function; errors are negative.
//!
//! `mbedtls_ssl_set_bio` takes a pointer whose meaning is the program's, so the socket is found by the system calls
//! inside these functions.

use sensor_common::call::CallKind;

use super::{Function, counted, plain};

/// Ids 80 to 95.
pub(super) const FUNCTIONS: &[Function] = &[
    counted("mbedtls_ssl_read", 80, CallKind::Read),
    counted("mbedtls_ssl_write", 81, CallKind::Write),
    // 3.6.
    counted("mbedtls_ssl_read_early_data", 82, CallKind::EarlyRead),
    counted("mbedtls_ssl_write_early_data", 83, CallKind::EarlyWrite),
    plain("mbedtls_ssl_handshake", 84, CallKind::Handshake),
    plain("mbedtls_ssl_close_notify", 85, CallKind::Shutdown),
    // The same object serves the next connection.
    plain("mbedtls_ssl_session_reset", 86, CallKind::Free),
    plain("mbedtls_ssl_free", 87, CallKind::Free),
];
