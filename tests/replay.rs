//! Does the sensor read recordings, its own and others', and say the same about them as before?

// `cfg(test)` tells clippy that helpers may panic here, as tests may.
#[cfg(test)]
mod replay {
    pub(crate) mod corpus;
    pub(crate) mod golden;
    pub(crate) mod grpc;
    pub(crate) mod lines;
    pub(crate) mod openapi;
    pub(crate) mod recordings;
    pub(crate) mod source;
    pub(crate) mod store;
    pub(crate) mod wireshark;
}
