//! Heads by `httparse`, what it refuses by `odd`, and what follows from them.
//!
//! Takes bytes from the start of a message on. Gives a head with spans, and where its body is. Never copies.
//! Bounded by [`MAX_HEADERS`]; the caller bounds the bytes.

use std::mem::MaybeUninit;
use std::num::NonZeroUsize;

use httparse::{Error, Header, Status};

use super::body::Place;
use super::framing::{Fields, Framing};
use super::odd::{self, Reading, is_token, note};
use super::start::{self, Start};
use super::target::is_target;
use super::{Anomalies, Anomaly, Headers, MAX_HEADERS, RequestHead, ResponseHead, Rest, Span};

/// What differs between requests and responses.
pub trait Kind: Default {
    /// Its head.
    type Head;

    /// Whether a message of this kind starts here, strictly: for the search.
    #[doc(hidden)]
    fn starts(input: &[u8]) -> Start;

    /// As [`Self::starts`], where the byte before may be any.
    #[doc(hidden)]
    fn starts_anywhere(input: &[u8]) -> Start {
        Self::starts(input)
    }

    /// Whether the bytes, however few, may begin a head, leniently. Once it says no, more bytes do not help.
    #[doc(hidden)]
    fn may_begin(input: &[u8]) -> bool;

    /// Reads a head strictly; `None` when it is not complete, or not strictly HTTP/1.
    #[doc(hidden)]
    fn parse(&mut self, input: &[u8]) -> Option<Parsed<Self::Head>>;

    /// Reads what [`Self::parse`] did not, up to and with its empty line.
    #[doc(hidden)]
    fn parse_odd(&mut self, head: &[u8]) -> Result<Parsed<Self::Head>, Anomaly>;

    /// Whether the body that was announced may not be there.
    #[doc(hidden)]
    fn doubts_body(&self) -> bool {
        false
    }

    /// Stops doubting.
    #[doc(hidden)]
    fn trust_body(&mut self) {}

    /// A head stands where a body was to come.
    #[doc(hidden)]
    fn message_instead(&mut self) {
        self.trust_body();
    }

    /// Whether a head may stand where a body was to come, so that behind a hole nobody knows which it was in.
    #[doc(hidden)]
    fn may_be_elsewhere(&self) -> bool {
        false
    }

    /// Bytes are missing: what the last message said of the next one is void.
    #[doc(hidden)]
    fn lost(&mut self);
}

/// A head, its length and what follows.
pub(super) type Parsed<H> = (NonZeroUsize, H, Next);

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
pub struct Requests {
    /// The last message said that none follows.
    closing: bool,
    /// The body of the one under way may not be sent.
    doubt: bool,
    /// The next one stands where a body was to come.
    instead: bool,
}

/// Responses, each parsed in the light of the request it answers.
#[derive(Clone, Copy, Default, Debug)]
pub struct Responses {
    answering: Answering,
    doubt: bool,
    /// The last message said that none follows.
    closing: bool,
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

    fn starts_anywhere(input: &[u8]) -> Start {
        start::request_anywhere(input)
    }

    /// A method is a token (RFC 9110, 9.1); 32 bytes leave room for any that is in use.
    fn may_begin(input: &[u8]) -> bool {
        let token = input.iter().take(33).take_while(|byte| is_token(**byte)).count();
        token <= 32 && token > 0 && input.get(token).is_none_or(|byte| matches!(byte, b' ' | b'\t'))
    }

    fn parse(&mut self, input: &[u8]) -> Option<Parsed<RequestHead>> {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let len = complete(request.parse_with_uninit_headers(input, &mut fields))?;
        let line = odd::RequestLine {
            method: span(input, request.method?.as_bytes()),
            target: span(input, request.path?.as_bytes()),
            version: version(request.version),
        };
        let reading = strict(input.get(..len.get())?, request.headers);
        Some(self.finish(input, len, &line, reading))
    }

    fn parse_odd(&mut self, head: &[u8]) -> Result<Parsed<RequestHead>, Anomaly> {
        let (line, reading) = odd::request(head)?;
        let len = NonZeroUsize::new(head.len()).ok_or(Anomaly::MalformedHead)?;
        Ok(self.finish(head, len, &line, reading))
    }

    fn doubts_body(&self) -> bool {
        self.doubt
    }

    fn trust_body(&mut self) {
        self.doubt = false;
    }

    fn message_instead(&mut self) {
        (self.doubt, self.instead) = (false, true);
    }

    fn may_be_elsewhere(&self) -> bool {
        self.doubt
    }

    fn lost(&mut self) {
        *self = Self::default();
    }
}

impl Requests {
    pub(super) fn doubt_body(&mut self) {
        self.doubt = true;
    }

    /// What follows from a head.
    fn finish(
        &mut self,
        raw: &[u8],
        len: NonZeroUsize,
        line: &odd::RequestLine,
        reading: Reading,
    ) -> Parsed<RequestHead> {
        let Reading {
            headers,
            fields,
            mut anomalies,
        } = reading;
        if std::mem::replace(&mut self.closing, fields.closes(line.version)) {
            note(&mut anomalies, Anomaly::DataAfterClose);
        }
        if std::mem::take(&mut self.instead) {
            note(&mut anomalies, Anomaly::BodyNotSent);
        }
        let connect = line.method.of(raw) == b"CONNECT";
        if !is_target(line.target.of(raw), connect) {
            note(&mut anomalies, Anomaly::BadTarget);
        }
        let after = request_body(fields, connect, line.version, &mut anomalies);
        let asks_for_tunnel = connect || fields.upgrade;
        let head = RequestHead {
            method: line.method,
            target: line.target,
            version: line.version,
            headers,
            rest: after.rest(),
            asks_for_tunnel,
            anomalies,
        };
        let next = Next {
            rest: after,
            wait_after: asks_for_tunnel,
        };
        (len, head, next)
    }
}

fn request_body(fields: Fields, connect: bool, version: u8, anomalies: &mut Anomalies) -> After {
    let framing = fields.framing(version, anomalies);
    // RFC 9110, 9.3.6: CONNECT has no content.
    if connect {
        if fields.announces_body() {
            note(anomalies, Anomaly::FramingNotAllowed);
        }
        return After::Nothing;
    }
    match framing {
        Framing::Unsaid => After::Nothing,
        Framing::Length(length) => After::fixed(length),
        Framing::Chunked => After::Body(Place::ChunkLine { first: true }),
        Framing::Coded => {
            note(anomalies, Anomaly::BadTransferEncoding);
            After::Unknowable
        }
        Framing::Unknowable => After::Unknowable,
    }
}

impl Responses {
    pub(super) fn answering(&mut self, request: Answering) {
        self.answering = request;
    }

    /// What follows from a head.
    fn finish(
        &mut self,
        len: NonZeroUsize,
        (version, status): (u8, u16),
        reading: Reading,
    ) -> Parsed<ResponseHead> {
        let Reading {
            headers,
            fields,
            mut anomalies,
        } = reading;
        if std::mem::replace(&mut self.closing, status >= 200 && fields.closes(version)) {
            note(&mut anomalies, Anomaly::DataAfterClose);
        }
        let after = self.body(status, fields, version, &mut anomalies);
        let head = ResponseHead {
            status,
            version,
            headers,
            rest: after.rest(),
            anomalies,
        };
        let next = Next {
            rest: after,
            wait_after: false,
        };
        (len, head, next)
    }

    fn body(&mut self, status: u16, fields: Fields, version: u8, anomalies: &mut Anomalies) -> After {
        let framing = fields.framing(version, anomalies);
        let success = (200..300).contains(&status);
        let tunnel = status == 101 || (success && self.answering == Answering::Connect);
        if (tunnel || status < 200 || status == 204) && fields.announces_body() {
            note(anomalies, Anomaly::FramingNotAllowed);
        }
        if tunnel {
            return After::Tunnel;
        }
        // RFC 9112, 6.3, first rule.
        if status < 200 || status == 204 || status == 304 || self.answering == Answering::Head {
            // A length that is not used frames nothing, whatever it says.
            return After::Nothing;
        }
        let after = match framing {
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
        let expected = b"HTTP/";
        let seen = input.get(..expected.len()).unwrap_or(input);
        expected.starts_with(seen)
    }

    fn parse(&mut self, input: &[u8]) -> Option<Parsed<ResponseHead>> {
        let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let status = config.parse_response_with_uninit_headers(&mut response, input, &mut fields);
        let len = complete(status)?;
        // RFC 9110, 15: codes below 100 do not exist.
        let status = response.code.filter(|status| *status >= 100)?;
        let line = (version(response.version), status);
        let reading = strict(input.get(..len.get())?, response.headers);
        Some(self.finish(len, line, reading))
    }

    fn parse_odd(&mut self, head: &[u8]) -> Result<Parsed<ResponseHead>, Anomaly> {
        let (line, reading) = odd::response(head)?;
        let len = NonZeroUsize::new(head.len()).ok_or(Anomaly::MalformedHead)?;
        Ok(self.finish(len, line, reading))
    }

    fn doubts_body(&self) -> bool {
        self.doubt
    }

    fn trust_body(&mut self) {
        self.doubt = false;
    }

    fn lost(&mut self) {
        self.doubt = false;
        self.closing = false;
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

fn complete(status: Result<Status<usize>, Error>) -> Option<NonZeroUsize> {
    match status {
        Ok(Status::Complete(len)) => NonZeroUsize::new(len),
        Ok(Status::Partial) | Err(_) => None,
    }
}

/// What `httparse` read; it takes LF for a line end.
fn strict(head: &[u8], headers: &[Header<'_>]) -> Reading {
    let mut fields = Fields::default();
    for header in headers {
        fields.add(header.name.as_bytes(), header.value);
    }
    let mut anomalies = Anomalies::new();
    let headers = spans(head, headers);
    if !ends_in_crlf(head, &headers) && has_bare_lf(head) {
        anomalies.push(Anomaly::BareLf);
    }
    Reading {
        headers,
        fields,
        anomalies,
    }
}

/// Whether a CR, which `httparse` takes before LF alone, stands right behind every value and the start line: of most
/// heads, and cheaper to see than every line end.
fn ends_in_crlf(head: &[u8], headers: &[(Span, Span)]) -> bool {
    let first = memchr::memchr(b'\n', head).and_then(|at| at.checked_sub(1));
    let before = first.and_then(|at| head.get(at));
    before == Some(&b'\r')
        && head.ends_with(b"\r\n\r\n")
        && headers
            .iter()
            .all(|(_, value)| value.len > 0 && head.get(value.range().end) == Some(&b'\r'))
}

fn has_bare_lf(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head.get(at - 1) != Some(&b'\r'))
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
