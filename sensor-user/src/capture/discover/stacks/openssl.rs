//! OpenSSL since 1.1.0, LibreSSL, BoringSSL and AWS-LC: the `SSL *` is the first argument of every function.
//!
//! `SSL_peek` is left alone: what it shows is read again. Where one function is built on another (`SSL_read_ex` on
//! `SSL_read` in LibreSSL and AWS-LC), the outermost call of a thread counts.

use sensor_common::call::{BIO_FUNCTIONS, CallKind, CallSpec, NO_ARG};

use super::{Function, bare, bufferless, counted, counted_by_pointer, descriptor, plain, row};

/// What leads to the two functions below, which have no symbols of their own.
pub(in crate::capture::discover) const BIO_F_SSL: &str = "BIO_f_ssl";
/// `int f(BIO *, buffer, length, size_t *read)`.
pub(in crate::capture::discover) const BIO_READ: &str = "BIO_f_ssl's read";
/// `int f(BIO *, buffer, length, size_t *written)`.
pub(in crate::capture::discover) const BIO_WRITE: &str = "BIO_f_ssl's write";

/// Ids 0 to 31.
pub(super) const FUNCTIONS: &[Function] = &[
    counted("SSL_read", 0, CallKind::Read),
    counted("SSL_write", 1, CallKind::Write),
    counted_by_pointer("SSL_read_ex", 2, CallKind::Read, 3),
    Function {
        // Since 3.3.
        jumps_to: Some("SSL_write_ex2"),
        ..counted_by_pointer("SSL_write_ex", 3, CallKind::Write, 3)
    },
    descriptor("SSL_set_fd", 4),
    descriptor("SSL_set_rfd", 5),
    descriptor("SSL_set_wfd", 6),
    plain("SSL_do_handshake", 7, CallKind::Handshake),
    plain("SSL_connect", 8, CallKind::Handshake),
    plain("SSL_accept", 9, CallKind::Handshake),
    plain("SSL_shutdown", 10, CallKind::Shutdown),
    plain("SSL_free", 11, CallKind::Free),
    // 3.3: `(ssl, buffer, length, flags, *written)`.
    counted_by_pointer("SSL_write_ex2", 20, CallKind::Write, 4),
    // 1.1.1. Reading returns 1 with bytes, 2 when there are no more (and stores 0), 0 on error.
    counted_by_pointer("SSL_read_early_data", 21, CallKind::EarlyRead, 3),
    counted_by_pointer("SSL_write_early_data", 22, CallKind::EarlyWrite, 3),
    // 3.0, only with TLS in the kernel: the file's bytes never pass through the process.
    bufferless("SSL_sendfile", 23, CallKind::Write),
    // Of a chain of BIOs: the object is the BIO. The kernel object takes it for the connection below it, once a socket
    // shows which that is; where no handshake was seen, its end is that of the socket.
    counted_by_pointer(BIO_READ, BIO_FUNCTIONS[0], CallKind::Read, 3),
    counted_by_pointer(BIO_WRITE, BIO_FUNCTIONS[1], CallKind::Write, 3),
    bio("SSL_set_bio", 24),
    bio("SSL_set0_rbio", 25),
    bio("SSL_set0_wbio", 26),
];

/// `BIO *f(descriptor, close_flag)`.
pub(super) const BIO: &[Function] = &[row(
    "BIO_new_socket",
    CallSpec {
        handle: NO_ARG,
        fd: 0,
        ..bare(27, CallKind::NewSocketBio)
    },
)];

/// `void f(handle, bio, ...)`. Of two BIOs the one to read from is taken: they differ when the socket is not theirs.
const fn bio(symbol: &'static str, function: u16) -> Function {
    let spec = CallSpec {
        fd: 1,
        ..bare(function, CallKind::SetBio)
    };
    row(symbol, spec)
}
