//! Findings, exchanges and the sensor's accounts to the outside.
//!
//! Takes [`Event`]s. Gives text, JSON lines and OTLP. Nothing else in this crate serialises, and only types that
//! hold no observed value arrive here. Bounded queues; what does not fit is counted.

use crate::classify::{DataKind, Half};
use crate::detect::Finding;
use crate::exchange::{AuthScheme, CallerHash, Connection};
use crate::inventory::EndpointRef;
use std::sync::Arc;

/// What is told to the outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// One API call.
    Exchange(Summary),
    /// One finding.
    Finding(Box<Finding>),
}

/// An exchange without any observed value.
#[derive(Clone, Debug)]
pub struct Summary {
    /// When the request began, on the clock of the capture.
    pub time_ns: u64,
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// The connection.
    pub connection: Arc<Connection>,
    /// Status code, 0 when no response was seen.
    pub status: u16,
    /// First byte of the request to last byte of the response, nanoseconds; `None` without a response.
    pub duration_ns: Option<u64>,
    /// Bytes of request and response body on the wire.
    pub body_bytes: (u64, u64),
    /// The caller, when known.
    pub caller: Option<(AuthScheme, CallerHash)>,
    /// Kinds of sensitive data and how many, by half.
    pub data: Vec<(Half, DataKind, u32)>,
    /// Holes, limits or a missing response.
    pub partial: bool,
}
