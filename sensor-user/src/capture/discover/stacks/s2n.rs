//! s2n-tls: the `struct s2n_connection *` is the first argument of every function; counts are of type `ssize_t`.

use sensor_common::call::{CallKind, CallSpec, CountRule, Shape};

use super::{Function, bare, counted_wide, descriptor, plain, row};

/// Ids 96 to 111.
pub(super) const FUNCTIONS: &[Function] = &[
    counted_wide("s2n_recv", 96, CallKind::Read),
    counted_wide("s2n_send", 97, CallKind::Write),
    vector("s2n_sendv", 98),
    // `(conn, vector, count, offset, *blocked)`: where in the vector the bytes are is not worked out.
    super::bufferless("s2n_sendv_with_offset", 99, CallKind::Write),
    early("s2n_recv_early_data", 100, CallKind::EarlyRead),
    early("s2n_send_early_data", 101, CallKind::EarlyWrite),
    descriptor("s2n_connection_set_fd", 102),
    descriptor("s2n_connection_set_read_fd", 103),
    descriptor("s2n_connection_set_write_fd", 104),
    plain("s2n_negotiate", 105, CallKind::Handshake),
    plain("s2n_shutdown", 106, CallKind::Shutdown),
    // The same object serves the next connection.
    plain("s2n_connection_wipe", 107, CallKind::Free),
    plain("s2n_connection_free", 108, CallKind::Free),
    sendfile("s2n_sendfile", 109),
];

/// `ssize_t f(conn, vector, count, *blocked)`.
const fn vector(symbol: &'static str, function: u16) -> Function {
    let spec = CallSpec {
        out: 2,
        shape: Shape::Vector,
        ..counted_wide(symbol, function, CallKind::Write).spec
    };
    row(symbol, spec)
}

/// `int f(conn, data, length, ssize_t *moved, *blocked)`: bytes may have moved when it reports that it would block.
const fn early(symbol: &'static str, function: u16, kind: CallKind) -> Function {
    let spec = CallSpec {
        buffer: 1,
        out: 3,
        count: CountRule::Out,
        ..bare(function, kind)
    };
    row(symbol, spec)
}

/// `int f(conn, file, offset, count, size_t *written, *blocked)`: only with TLS in the kernel.
const fn sendfile(symbol: &'static str, function: u16) -> Function {
    let spec = CallSpec {
        out: 4,
        count: CountRule::Out,
        ..bare(function, CallKind::Write)
    };
    row(symbol, spec)
}
