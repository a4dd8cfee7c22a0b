//! NSS and NSPR. NSS makes a layer on a `PRFileDesc`, and from then on the functions of NSPR that serve every file
//! and socket read and write TLS on it. So those count only for what `SSL_ImportFD` returned.
//!
//! A connection that was imported before the sensor began is not seen; one that a listening socket accepts by a call
//! made since is, because the layer on that socket tells.
//!
//! `PR_TransmitFile` and `PR_SendFile` on TLS send by `PR_Writev` and `PR_Send` (`PR_EmulateSendFile`), so they need no
//! row. A program that calls the layer's methods itself (`fd->methods->write`) instead of these functions is not seen.

use sensor_common::call::{CallKind, CallSpec, CountRule, Shape};

use super::{Function, bare, counted, plain, row};

/// Ids 48 to 50: in the library with NSS's TLS.
pub(super) const FUNCTIONS: &[Function] = &[
    plain("SSL_ImportFD", 48, CallKind::Import),
    plain("SSL_ForceHandshake", 49, CallKind::Handshake),
    plain("SSL_ForceHandshakeWithTimeout", 50, CallKind::Handshake),
];

/// Ids 51 to 63: in NSPR's library.
pub(super) const NSPR: &[Function] = &[
    of_import(&counted("PR_Read", 51, CallKind::Read)),
    of_import(&counted("PR_Write", 52, CallKind::Write)),
    of_import(&receive("PR_Recv", 53)),
    of_import(&counted("PR_Send", 54, CallKind::Write)),
    of_import(&vector("PR_Writev", 55)),
    // A listening socket with a layer gives connections with that layer.
    of_import(&plain("PR_Accept", 56, CallKind::Import)),
    of_import(&plain("PR_Close", 57, CallKind::Free)),
];

const fn of_import(function: &Function) -> Function {
    let spec = CallSpec {
        imported: true,
        ..function.spec
    };
    row(function.symbol, spec)
}

/// `PRInt32 f(fd, buffer, length, flags, timeout)`.
const fn receive(symbol: &'static str, function: u16) -> Function {
    let spec = CallSpec {
        buffer: 1,
        out: 3,
        count: CountRule::ReturnUnlessPeek,
        ..bare(function, CallKind::Read)
    };
    row(symbol, spec)
}

/// `PRInt32 f(fd, vector, length, timeout)`.
const fn vector(symbol: &'static str, function: u16) -> Function {
    let spec = CallSpec {
        buffer: 1,
        out: 2,
        count: CountRule::Return,
        shape: Shape::NarrowVector,
        ..bare(function, CallKind::Write)
    };
    row(symbol, spec)
}
