//! Heads by `httparse`, and what follows from them.
//!
//! Takes bytes from the start of a message on. Gives a head with spans, and where its body is. Never copies.
//! Bounded by [`MAX_HEADERS`]; the caller bounds the bytes.

use std::mem::MaybeUninit;
use std::num::NonZeroUsize;

use httparse::{Error, Header, ParserConfig, Status};

use super::body::Place;
use super::framing::{Fields, Framing};
use super::start::{self, Start};
use super::{Anomalies, Anomaly, Headers, MAX_HEADERS, RequestHead, ResponseHead, Rest, Span};

/// What differs between requests and responses.
pub trait Kind: Default {
    /// Its head.
    type Head;

    /// Whether a message of this kind starts here, strictly: for the search.
    #[doc(hidden)]
    fn starts(input: &[u8]) -> Start;

    /// Whether the bytes, however few, may begin a head, leniently. Once it says no, more bytes do not help.
    #[doc(hidden)]
    fn may_begin(input: &[u8]) -> bool;

    /// Reads a head; `None` when it is not complete.
    #[doc(hidden)]
    fn parse(&mut self, input: &[u8]) -> Parsed<Self::Head>;

    /// Whether the body that was announced may not be there.
    #[doc(hidden)]
    fn doubts_body(&self) -> bool {
        false
    }

    /// Stops doubting.
    #[doc(hidden)]
    fn trust_body(&mut self) {}
}

/// A head, its length and what follows.
pub(super) type Parsed<H> = Result<Option<(NonZeroUsize, H, Next)>, Anomaly>;

/// What follows a head.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Next {
    pub(super) rest: After,
    pub(super) wait_after: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum After {
    Nothing,
    Body(Place),
    Unknowable,
    Tunnel,
}

impl After {
    const fn rest(self) -> Rest {
        match self {
            Self::Nothing => Rest::Nothing,
            Self::Body(_) => Rest::Body,
            Self::Unknowable => Rest::Cut,
            Self::Tunnel => Rest::Tunnel,
        }
    }

    const fn fixed(length: u64) -> Self {
        if length == 0 {
            Self::Nothing
        } else {
            Self::Body(Place::Fixed(length))
        }
    }
}

/// Requests.
#[derive(Clone, Copy, Default, Debug)]
pub struct Requests;

/// Responses, each parsed in the light of the request it answers.
#[derive(Clone, Copy, Default, Debug)]
pub struct Responses {
    answering: Answering,
    doubt: bool,
}

/// What is known of the request that a response answers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Answering {
    /// It was not seen.
    #[default]
    Unknown,
    /// HEAD: the response has no body (RFC 9112, 6.3).
    Head,
    /// CONNECT: success begins a tunnel.
    Connect,
    /// Another method.
    Other,
}

impl Kind for Requests {
    type Head = RequestHead;

    fn starts(input: &[u8]) -> Start {
        start::request(input)
    }

    /// A method is a token (RFC 9110, 9.1); 32 bytes leave room for any that is in use.
    fn may_begin(input: &[u8]) -> bool {
        let token = input.iter().take(33).take_while(|byte| is_token(**byte)).count();
        token <= 32 && token > 0 && input.get(token).is_none_or(|byte| *byte == b' ')
    }

    fn parse(&mut self, input: &[u8]) -> Parsed<RequestHead> {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let status =
            ParserConfig::default().parse_request_with_uninit_headers(&mut request, input, &mut fields);
        let Some(len) = complete(status)? else {
            return Ok(None);
        };
        let version = version(request.version);
        let (method, target) = (
            request.method.unwrap_or_default(),
            request.path.unwrap_or_default(),
        );
        let fields = Fields::of(request.headers);
        let mut anomalies = Anomalies::new();
        let connect = method == "CONNECT";
        let after = request_body(fields, connect, version, &mut anomalies);
        let asks_for_tunnel = connect || fields.upgrade;
        let head = RequestHead {
            method: span(input, method.as_bytes()),
            target: span(input, target.as_bytes()),
            version,
            headers: spans(input, request.headers),
            rest: after.rest(),
            asks_for_tunnel,
            anomalies,
        };
        Ok(Some((
            len,
            head,
            Next {
                rest: after,
                wait_after: asks_for_tunnel,
            },
        )))
    }
}

fn request_body(fields: Fields, connect: bool, version: u8, anomalies: &mut Anomalies) -> After {
    // RFC 9110, 9.3.6: CONNECT has no content.
    if connect {
        return After::Nothing;
    }
    match fields.framing(version, anomalies) {
        Framing::Unsaid => After::Nothing,
        Framing::Length(length) => After::fixed(length),
        Framing::Chunked => After::Body(Place::ChunkLine { first: true }),
        Framing::Coded => {
            if !anomalies.contains(&Anomaly::BadTransferEncoding) {
                anomalies.push(Anomaly::BadTransferEncoding);
            }
            After::Unknowable
        }
        Framing::Unknowable => After::Unknowable,
    }
}

impl Responses {
    pub(super) fn answering(&mut self, request: Answering) {
        self.answering = request;
    }

    fn body(&mut self, status: u16, fields: Fields, version: u8, anomalies: &mut Anomalies) -> After {
        let success = (200..300).contains(&status);
        if status == 101 || (success && self.answering == Answering::Connect) {
            return After::Tunnel;
        }
        // RFC 9112, 6.3, first rule.
        if status < 200 || status == 204 || status == 304 || self.answering == Answering::Head {
            return After::Nothing;
        }
        let after = match fields.framing(version, anomalies) {
            Framing::Unsaid | Framing::Coded => After::Body(Place::UntilClose),
            Framing::Length(length) => After::fixed(length),
            Framing::Chunked => After::Body(Place::ChunkLine { first: true }),
            Framing::Unknowable => After::Unknowable,
        };
        // The unseen request may have been HEAD; then the next response follows at once.
        self.doubt = self.answering == Answering::Unknown && matches!(after, After::Body(_));
        after
    }
}

impl Kind for Responses {
    type Head = ResponseHead;

    fn starts(input: &[u8]) -> Start {
        start::response(input)
    }

    fn may_begin(input: &[u8]) -> bool {
        let expected = b"HTTP/1.";
        let seen = input.get(..expected.len()).unwrap_or(input);
        expected.starts_with(seen)
    }

    fn parse(&mut self, input: &[u8]) -> Parsed<ResponseHead> {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let mut config = ParserConfig::default();
        // What user agents accept (RFC 9112, 5.1 and 5.2).
        config.allow_obsolete_multiline_headers_in_responses(true);
        config.allow_spaces_after_header_name_in_responses(true);
        let status = config.parse_response_with_uninit_headers(&mut response, input, &mut fields);
        let Some(len) = complete(status)? else {
            return Ok(None);
        };
        let (version, status) = (version(response.version), response.code.unwrap_or_default());
        // RFC 9110, 15: codes below 100 do not exist.
        if status < 100 {
            return Err(Anomaly::MalformedHead);
        }
        let mut anomalies = Anomalies::new();
        let after = self.body(status, Fields::of(response.headers), version, &mut anomalies);
        let head = ResponseHead {
            status,
            version,
            headers: spans(input, response.headers),
            rest: after.rest(),
            anomalies,
        };
        Ok(Some((
            len,
            head,
            Next {
                rest: after,
                wait_after: false,
            },
        )))
    }

    fn doubts_body(&self) -> bool {
        self.doubt
    }

    fn trust_body(&mut self) {
        self.doubt = false;
    }
}

/// Index after the first empty line that ends at or before `limit`. `scanned` bytes hold no such end.
pub(super) fn end(input: &[u8], scanned: usize, limit: usize) -> Option<usize> {
    // The end may straddle what was scanned: `\n\r` of `\n\r\n`.
    let from = scanned.saturating_sub(2);
    let input = input.get(..limit).unwrap_or(input);
    let tail = input.get(from..)?;
    memchr::memchr_iter(b'\n', tail).find_map(|newline| match tail.get(newline + 1..)? {
        [b'\n', ..] => Some(from + newline + 2),
        [b'\r', b'\n', ..] => Some(from + newline + 3),
        _ => None,
    })
}

fn complete(status: Result<Status<usize>, Error>) -> Result<Option<NonZeroUsize>, Anomaly> {
    match status {
        Ok(Status::Complete(len)) => Ok(NonZeroUsize::new(len)),
        Ok(Status::Partial) => Ok(None),
        Err(Error::TooManyHeaders) => Err(Anomaly::TooManyHeaders),
        Err(_) => Err(Anomaly::MalformedHead),
    }
}

/// `httparse` gives the minor version, 0 or 1.
fn version(minor: Option<u8>) -> u8 {
    if minor == Some(0) { 10 } else { 11 }
}

fn spans(input: &[u8], headers: &[Header<'_>]) -> Headers {
    headers
        .iter()
        .map(|header| (span(input, header.name.as_bytes()), span(input, header.value)))
        .collect()
}

/// Where `part`, a sub-slice of `input`, is. Heads end below 4 GiB, so the numbers fit.
fn span(input: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr().addr().wrapping_sub(input.as_ptr().addr());
    Span {
        start: u32::try_from(start).unwrap_or(u32::MAX),
        len: u32::try_from(part.len()).unwrap_or(0),
    }
}

/// `tchar` of RFC 9110, 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
