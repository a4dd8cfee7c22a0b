//! SOAP 1.1 and 1.2 envelopes and XML-RPC messages, as far as they say what is called and what came of it.
//!
//! Takes a body's front. Gives a [`Message`] and signs of entities. Never expands an entity nor follows a reference: those
//! are told, and what they stand for is nothing. Bounded by [`MAX_EVENTS`].

mod read;

use super::name::Name;

pub use read::{MAX_WITHIN, answers, read};

/// Parts of a document (tags, texts, comments) that are read before the first element of the SOAP body. A header with a
/// signature of a dozen parts has some hundred.
pub const MAX_EVENTS: usize = 4_096;

/// Version of a SOAP envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SoapVersion {
    /// `http://schemas.xmlsoap.org/soap/envelope/`.
    V11,
    /// `http://www.w3.org/2003/05/soap-envelope`.
    V12,
}

/// Code of a SOAP fault (SOAP 1.1, 4.4.1; SOAP 1.2, 5.4.6), named as in 1.2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultCode {
    /// The envelope is of another version.
    VersionMismatch,
    /// A header block that must be understood is not.
    MustUnderstand,
    /// An encoding is not known.
    DataEncodingUnknown,
    /// The caller's fault: `Client` of 1.1.
    Sender,
    /// The server's fault: `Server` of 1.1.
    Receiver,
    /// A code of the application's own.
    Other,
}

impl FaultCode {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VersionMismatch => "version_mismatch",
            Self::MustUnderstand => "must_understand",
            Self::DataEncodingUnknown => "data_encoding_unknown",
            Self::Sender => "sender",
            Self::Receiver => "receiver",
            Self::Other => "other",
        }
    }

    /// Of a qualified name; what follows a dot narrows it (SOAP 1.1, 4.4.1).
    fn of(code: &[u8]) -> Self {
        let local = code
            .trim_ascii()
            .rsplit(|byte| *byte == b':')
            .next()
            .unwrap_or_default();
        match local.split(|byte| *byte == b'.').next().unwrap_or_default() {
            b"VersionMismatch" => Self::VersionMismatch,
            b"MustUnderstand" => Self::MustUnderstand,
            b"DataEncodingUnknown" => Self::DataEncodingUnknown,
            b"Sender" | b"Client" => Self::Sender,
            b"Receiver" | b"Server" => Self::Receiver,
            _ => Self::Other,
        }
    }
}

/// What a document is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum Message {
    /// Neither, as far as was seen.
    #[default]
    Other,
    /// An envelope.
    Soap {
        /// Its version.
        version: SoapVersion,
        /// The body's first element; empty when the body is, or was not seen.
        name: Name,
        /// Its namespace.
        namespace: Name,
        /// The code, when it is a fault.
        fault: Option<FaultCode>,
    },
    /// An XML-RPC call.
    Call {
        /// `methodName`; empty when there is none.
        method: Name,
        /// The same of each call in a `system.multicall`, at most [`MAX_WITHIN`].
        within: Vec<Name>,
    },
    /// An XML-RPC response.
    Response {
        /// `faultCode`, when it is a fault.
        fault: Option<i64>,
    },
}

/// What is odd about a document.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each may be there without the others"
)]
pub struct Oddities {
    /// It has a document type declaration.
    pub doctype: bool,
    /// It declares an entity.
    pub declared: bool,
    /// It refers to an entity that is not XML's own.
    pub used: bool,
    /// It is not well-formed up to what was looked for, or not what its specification says.
    pub malformed: bool,
}

#[cfg(test)]
mod tests;
