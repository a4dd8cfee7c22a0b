//! Bytes as they are on the wire, and the records a kernel would give of them.

pub(crate) mod http1;
pub(crate) mod http2;
pub(crate) mod net;
pub(crate) mod protobuf;
