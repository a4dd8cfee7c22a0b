//! Exchanges to [`Labels`]: what sensitive data is where.
//!
//! Takes an exchange. Gives labels with a masked sample each. Never keeps a value.
//! Bounded by [`Limits`]; a value or a count beyond them is marked, not ignored.

mod body;
mod calls;
mod classifier;
mod hint;
mod mask;
mod names;
pub mod outline;
mod place;
mod scan;
pub mod shape;
mod sink;
mod types;
mod validate;

use smallvec::SmallVec;

pub use calls::{ShownCall, ShownOperation};
pub use classifier::Classifier;
pub use types::Types;

use crate::protocol::Anomaly;

/// Kind of sensitive data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum DataKind {
    /// Payment card number (ISO/IEC 7812, Luhn).
    PaymentCard,
    /// IBAN (ISO 13616, mod 97).
    Iban,
    /// E-mail address (RFC 5321 shape).
    Email,
    /// Telephone number (E.164 shape or field evidence).
    Phone,
    /// United States Social Security number.
    UsSsn,
    /// JSON Web Token (RFC 7519).
    Jwt,
    /// Private key in PEM.
    PrivateKey,
    /// Cloud provider's credential.
    CloudToken,
    /// Code host's or registry's token.
    CodeHostToken,
    /// Password field.
    Password,
    /// Secret field: API keys, client secrets, session and access tokens named as such.
    SecretField,
}

impl DataKind {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::PaymentCard,
        Self::Iban,
        Self::Email,
        Self::Phone,
        Self::UsSsn,
        Self::Jwt,
        Self::PrivateKey,
        Self::CloudToken,
        Self::CodeHostToken,
        Self::Password,
        Self::SecretField,
    ];

    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PaymentCard => "payment_card",
            Self::Iban => "iban",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::UsSsn => "us_ssn",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private_key",
            Self::CloudToken => "cloud_token",
            Self::CodeHostToken => "code_host_token",
            Self::Password => "password",
            Self::SecretField => "secret_field",
        }
    }

    /// Whether it grants access by itself.
    pub const fn is_credential(self) -> bool {
        matches!(
            self,
            Self::Jwt
                | Self::PrivateKey
                | Self::CloudToken
                | Self::CodeHostToken
                | Self::Password
                | Self::SecretField
        )
    }
}

/// Which half of an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Half {
    /// The request.
    Request,
    /// The response.
    Response,
}

/// Which part of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Part {
    /// A path segment.
    Path,
    /// A query parameter.
    Query,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
    /// The body.
    Body,
}

/// Where a value was: safe to show. Names are kept only when they look like identifiers and are no value
/// themselves; others become `*`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Request or response.
    pub half: Half,
    /// Part of the message.
    pub part: Part,
    /// Header or parameter name, or the path in the body (`data[].card.number`).
    pub name: Box<str>,
}

/// How sure a label is, in percent: 1 to 100.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Confidence(pub u8);

/// A value of which only a shape is left: at most its first and last characters, the rest `*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Masked(pub Box<str>);

/// One kind of data at one place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Kind.
    pub kind: DataKind,
    /// Place.
    pub place: Place,
    /// Highest confidence among the values counted.
    pub confidence: Confidence,
    /// Values of this kind at this place in this exchange.
    pub count: u32,
    /// The first of them, masked.
    pub sample: Masked,
}

/// Everything found in one exchange.
#[derive(Clone, Default, Debug)]
pub struct Labels {
    /// One entry per kind and place.
    pub found: SmallVec<[Label; 0]>,
    /// Part of the exchange could not be looked at: holes, limits, an encoding that is not read.
    pub blind: SmallVec<[BlindSpot; 2]>,
    /// Departures of the bodies from their formats. They belong to the exchange, which the pipeline gives them to.
    pub anomalies: SmallVec<[Anomaly; 0]>,
    /// The exchange's calls, fit to be shown.
    pub calls: Vec<ShownCall>,
    /// What its parameters and bodies are made of.
    pub outline: outline::Outline,
}

/// Why a part could not be looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BlindSpot {
    /// The request's body was not whole.
    RequestBodyCut,
    /// The response's body was not whole.
    ResponseBodyCut,
    /// A body, or a part of one, is binary or of a type that is not read.
    UnreadEncoding,
    /// A body had a content coding that is not known, or too many of them.
    UnknownCoding,
    /// A body was not of its content coding; what came out before the mistake was looked at.
    BadCoding,
    /// More would have come out of a compressed body than is read; its front was looked at.
    DecodedLimit,
    /// More distinct labels than the limit.
    TooManyLabels,
    /// A value was longer than the limit; its front was looked at.
    ValueCut,
    /// A body said to be structured was not, or nested too deep; the rest of it was looked at as text.
    Malformed,
}

impl Labels {
    /// Whether there may be more in the answer than was looked at.
    pub fn lacks_answer(&self) -> bool {
        let unread = [
            BlindSpot::ResponseBodyCut,
            BlindSpot::UnreadEncoding,
            BlindSpot::UnknownCoding,
            BlindSpot::BadCoding,
            BlindSpot::DecodedLimit,
            BlindSpot::TooManyLabels,
            BlindSpot::ValueCut,
        ];
        unread.iter().any(|spot| self.blind.contains(spot))
    }
}

impl BlindSpot {
    /// Name in outputs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestBodyCut => "request_body_cut",
            Self::ResponseBodyCut => "response_body_cut",
            Self::UnreadEncoding => "unread_encoding",
            Self::UnknownCoding => "unknown_coding",
            Self::BadCoding => "bad_coding",
            Self::DecodedLimit => "decoded_limit",
            Self::TooManyLabels => "too_many_labels",
            Self::ValueCut => "value_cut",
            Self::Malformed => "malformed",
        }
    }
}

/// Bounds of classification.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Labels per exchange.
    pub labels: usize,
    /// Bytes of one value that are looked at.
    pub value_bytes: usize,
    /// Nesting of a structured body that is named; deeper values are looked at under `*`.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            labels: 64,
            value_bytes: 16 * 1024,
            depth: 32,
        }
    }
}

#[cfg(test)]
mod tests;
