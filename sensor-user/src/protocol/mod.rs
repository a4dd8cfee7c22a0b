//! Bytes to messages, for every protocol the sensor reads.
//!
//! Takes the bytes of one direction, however split. Gives messages and anomalies.
//! Never performs I/O, reads a clock, logs, spawns or panics, and uses nothing else of this crate.
//! Bounded by the `Limits` handed in; each limit hit is an [`Anomaly`].

pub mod chars;
pub mod detect;
pub mod document;
pub mod envelope;
pub mod form;
pub mod graphql;
pub mod grpc;
pub mod http1;
pub mod http2;
pub mod inflate;
pub mod json;
pub mod multipart;
pub mod name;
pub mod protobuf;
pub mod proxy;
pub mod soap;
pub mod sse;
pub mod walk;
pub mod websocket;
pub mod xml;

use std::num::NonZeroUsize;

/// Turns one direction of a connection's bytes into protocol messages.
///
/// Law (property-tested): how the bytes are split never changes the output, where adjacent pieces of a body count
/// as one. One exception: a parser that lost its place takes the start of an input for a likelier start of a message
/// than the middle of one.
///
/// The caller keeps what a step did not consume and presents it again, with more behind it.
pub trait StreamParser {
    /// What comes out. Spans inside it are relative to the bytes that the same step consumed.
    type Message;

    /// Looks at the front of `input` and says how to proceed. Never blocks, never panics.
    fn step(&mut self, input: &[u8]) -> Step<Self::Message>;

    /// `missing` bytes were lost in the kernel or by reassembly; find the next boundary or stop.
    fn on_gap(&mut self, missing: u64) -> Resync<Self::Message>;

    /// No more bytes will come. Gives the end of a message that only the end of the connection ends, or tells that
    /// the one under way is cut.
    fn on_end(&mut self) -> Option<Self::Message>;
}

/// How a parser wants to proceed.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Step<M> {
    /// Drop `consumed` bytes. `message` is `None` while something is skipped.
    Advance {
        /// Bytes to drop from the front of the input.
        consumed: NonZeroUsize,
        /// What they were.
        message: Option<M>,
    },
    /// Call again once `at_least` bytes are buffered; nothing was consumed.
    NeedMore {
        /// Bytes needed from the front of the input.
        at_least: NonZeroUsize,
    },
    /// The peer broke the protocol; the anomaly is itself evidence. What was buffered is of no use; after
    /// `on_gap(0)` the parser looks for the next message in bytes to come.
    Reject(Anomaly),
}

/// What a parser makes of a hole.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Resync<M> {
    /// The hole lies within a part of known length: parsing goes on exactly where it ends. A message is given
    /// when the hole ended one.
    Exact(Option<M>),
    /// The place in the protocol is lost: bytes are skipped until a message starts. A message that was under way
    /// is given as cut.
    Searching(Option<M>),
}

/// Bytes within the input that a step consumed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// As a range of indices.
    pub const fn range(&self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start.saturating_add(self.len as usize)
    }

    /// The bytes in `raw`, or nothing when the span lies outside of it.
    pub fn of<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        raw.get(self.range()).unwrap_or_default()
    }
}

/// A peer's departure from its protocol, or a limit that was hit. A closed set: usable as a metric label.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Anomaly {
    /// A start line or header block that is not HTTP/1.
    MalformedHead,
    /// The head exceeds the limit.
    HeadTooLong,
    /// More header fields than the limit.
    TooManyHeaders,
    /// `Content-Length` is not a number (RFC 9112, 6.3).
    BadContentLength,
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112, 6.1).
    LengthAndChunked,
    /// A chunk's data is not followed by a line end: its size was a lie (RFC 9112, 7.1).
    BadChunk,
    /// `Transfer-Encoding` with a last coding other than chunked in a request (RFC 9112, 6.3).
    BadTransferEncoding,
    // grpc
    /// A gRPC request whose path is not `/service/method`.
    GrpcBadMethod,
    /// A gRPC frame with flags that are not defined, or one that the end of the body cuts.
    GrpcBadFrame,
    /// A gRPC message longer than what the peers' libraries accept by default.
    GrpcMessageTooLong,
    /// A gRPC message is compressed, and `grpc-encoding` does not say how.
    GrpcNoEncoding,
    /// A complete gRPC answer without `grpc-status`, or with one that is no code.
    GrpcBadStatus,
    /// A gRPC-Web text body that is no base64.
    GrpcBadBase64,
    /// Data after the trailers of a gRPC-Web body, or trailers in a request.
    GrpcAfterTrailers,
    // calls
    /// More calls in one message than are told apart.
    TooManyCalls,
    /// A GraphQL document that is not of the grammar, or whose fragments are not defined once each.
    GraphqlMalformed,
    /// A GraphQL document nests deeper than is followed.
    GraphqlTooDeep,
    /// A GraphQL document has more tokens than are read.
    GraphqlTooLong,
    /// GraphQL fragments that spread themselves.
    GraphqlFragmentCycle,
    /// A message of JSON-RPC that is not one of version 2.0 (JSON-RPC 2.0, 4 to 6).
    JsonRpcMalformed,
    /// An answer of JSON-RPC to a call that was not made, or a second one.
    JsonRpcUnpaired,
    /// A SOAP envelope or XML-RPC message that is not well-formed, or not what its specification says.
    XmlCallMalformed,
    // body
    /// A body is not of the content coding that its head names, or its checksum is wrong.
    BadContentCoding,
    /// A content coding that is not known (RFC 9110, 8.4.1).
    UnknownContentCoding,
    /// More content codings over each other than `inflate::MAX_LAYERS`.
    TooManyCodings,
    /// More would come out of a compressed body than `inflate::Limits::output_bytes`.
    DecodedTooLarge,
    /// Out of all proportion comes out of a compressed body, or it asks for more memory or members than
    /// `inflate::MAX_WINDOW` and `inflate::MAX_MEMBERS`.
    DecompressionBomb,
    /// A structured body nests deeper than `walk::MAX_DEPTH`.
    BodyTooDeep,
    /// XML with a document type declaration: the way to entities and to files of the server (XML 1.0, 2.8).
    XmlDoctype,
    /// XML that declares an entity (XML 1.0, 4.2).
    XmlEntityDeclared,
    /// XML that refers to an entity other than the five predefined ones (XML 1.0, 4.6). None is expanded.
    XmlEntityUsed,
    /// More parts in a multipart body than `multipart::MAX_PARTS`.
    TooManyParts,
    /// A part of a multipart body whose header is not one, or exceeds `multipart::MAX_HEADER`.
    BadPartHeader,
    /// A multipart body without its boundary, or whose boundary is not one (RFC 2046, 5.1.1).
    BadBoundary,
    // HTTP/1: http1/mod.rs says how each is read.
    /// Several lengths that disagree (RFC 9112, 6.3).
    ConflictingLengths,
    /// The same length twice (RFC 9112, 6.3).
    RepeatedLength,
    /// Chunked applied twice, or several `Transfer-Encoding` fields (RFC 9112, 6.1 and 7).
    RepeatedTransferCoding,
    /// A transfer coding that is not registered, or chunked with parameters (RFC 9112, 7).
    UnknownTransferCoding,
    /// `Transfer-Encoding` in a message of HTTP/1.0 (RFC 9112, 6.1).
    CodingInHttp10,
    /// A length or coding where no body can be: in a 1xx or 204, or in the answer that opens a tunnel (RFC 9112, 6.1;
    /// RFC 9110, 8.6).
    FramingNotAllowed,
    /// Several `Host` fields (RFC 9112, 3.2).
    RepeatedHost,
    /// A line that ends in LF without CR (RFC 9112, 2.2).
    BareLf,
    /// CR without LF (RFC 9112, 2.2).
    BareCr,
    /// A field that goes on in the next line (RFC 9112, 5.2).
    ObsoleteFolding,
    /// White space between a field's name and the colon (RFC 9112, 5.1).
    SpaceBeforeColon,
    /// White space before the first field (RFC 9112, 2.2).
    SpaceBeforeField,
    /// Odd white space in a start line (RFC 9112, 3 and 4).
    OddStartLine,
    /// Another version than 1.0 and 1.1 in the words of HTTP/1 (RFC 9112, 2.3).
    UnknownVersion,
    /// A request line without version, as in HTTP/0.9.
    MissingVersion,
    /// NUL in a head, chunk line or trailer section (RFC 9110, 5.5).
    NulByte,
    /// A field name that is empty or no token (RFC 9110, 5.1).
    BadFieldName,
    /// A control character in a field value (RFC 9110, 5.5).
    BadFieldValue,
    /// A line among the fields without a colon (RFC 9112, 5).
    FieldWithoutColon,
    /// A request target in none of the four forms, or with a byte in it that is no visible ASCII (RFC 9112, 3.2).
    BadTarget,
    /// A message behind one that was the last, as it said (RFC 9112, 9.3 and 9.6).
    DataAfterClose,
    /// A chunk size that is no hexadecimal number: a sign, `0x`, white space before it, nothing (RFC 9112, 7.1).
    BadChunkSize,
    /// A chunk size above 63 bits (RFC 9112, 7.1).
    ChunkTooBig,
    /// A chunk line beyond the limit.
    ChunkLineTooLong,
    /// White space after a chunk size (RFC 9112, 7.1.1).
    SpaceAfterChunkSize,
    /// A chunk extension that is not one (RFC 9112, 7.1.1).
    BadChunkExtension,
    /// A trailer field that frames, routes or authorises (RFC 9110, 6.5.1).
    ForbiddenTrailer,
    // End of HTTP/1.
    // h2
    /// A frame breaks RFC 9113, section 6: length, stream or padding.
    Http2BadFrame,
    /// A frame is longer than its reader allows (RFC 9113, 4.2).
    Http2FrameTooLong,
    /// A header block is not HPACK (RFC 7541).
    Http2BadCompression,
    /// Another frame stands within a header block (RFC 9113, 6.10).
    Http2BrokenBlock,
    /// More CONTINUATION frames than the limit.
    Http2ContinuationFlood,
    /// The compression table was made larger than allowed or followed.
    Http2TableTooLarge,
    /// Pseudo-fields are missing, repeated, unknown, misplaced or malformed, or `host` contradicts `:authority`
    /// (RFC 9113, 8.3).
    Http2BadHead,
    /// A field that HTTP/2 forbids: capital letters, line breaks, fields of a connection (RFC 9113, 8.2).
    Http2BadField,
    /// `content-length` and the DATA frames disagree (RFC 9113, 8.1.1).
    Http2BadLength,
    /// More streams, or more bytes of them, at once than the limit: the oldest was given up.
    Http2TooManyStreams,
    /// Nobody's fault: fields refer to a part of the connection that was not seen, and were left out.
    Http2UnknownFields,
    // ws
    /// A WebSocket handshake whose key, answer or extensions do not fit each other (RFC 6455, 4.2.2).
    WebSocketHandshake,
    /// A frame's head that is wrong in more than one way: no WebSocket any more.
    WebSocketFrame,
    /// A reserved bit that no extension gave a meaning (RFC 6455, 5.2).
    WebSocketReservedBit,
    /// A reserved opcode (RFC 6455, 5.2).
    WebSocketOpcode,
    /// A control frame that is fragmented or longer than 125 bytes, or a bad close code (RFC 6455, 5.5 and 7.4).
    WebSocketControl,
    /// A client's frame without mask, or a server's with one (RFC 6455, 5.1).
    WebSocketMask,
    /// A length in more bytes than it needs, or beyond 63 bits (RFC 6455, 5.2).
    WebSocketLength,
    /// A continuation of nothing, or a message within a message (RFC 6455, 5.4).
    WebSocketFragment,
    /// Text that is not UTF-8 (RFC 6455, 8.1).
    WebSocketText,
    /// A compressed message that does not inflate (RFC 7692, 6.2).
    WebSocketDeflate,
    /// A compressed message that inflates beyond the limit of size or ratio.
    WebSocketInflated,
    /// A line of an event stream longer than the limit.
    EventTooLong,
}

impl Anomaly {
    /// Name in outputs and metrics.
    #[expect(clippy::too_many_lines, reason = "one for each")]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MalformedHead => "malformed_head",
            Self::HeadTooLong => "head_too_long",
            Self::TooManyHeaders => "too_many_headers",
            Self::BadContentLength => "bad_content_length",
            Self::LengthAndChunked => "length_and_chunked",
            Self::BadChunk => "bad_chunk",
            Self::BadTransferEncoding => "bad_transfer_encoding",
            // grpc
            Self::GrpcBadMethod => "grpc_bad_method",
            Self::GrpcBadFrame => "grpc_bad_frame",
            Self::GrpcMessageTooLong => "grpc_message_too_long",
            Self::GrpcNoEncoding => "grpc_no_encoding",
            Self::GrpcBadStatus => "grpc_bad_status",
            Self::GrpcBadBase64 => "grpc_bad_base64",
            Self::GrpcAfterTrailers => "grpc_after_trailers",
            // calls
            Self::TooManyCalls => "too_many_calls",
            Self::GraphqlMalformed => "graphql_malformed",
            Self::GraphqlTooDeep => "graphql_too_deep",
            Self::GraphqlTooLong => "graphql_too_long",
            Self::GraphqlFragmentCycle => "graphql_fragment_cycle",
            Self::JsonRpcMalformed => "json_rpc_malformed",
            Self::JsonRpcUnpaired => "json_rpc_unpaired",
            Self::XmlCallMalformed => "xml_call_malformed",
            // body
            Self::BadContentCoding => "bad_content_coding",
            Self::UnknownContentCoding => "unknown_content_coding",
            Self::TooManyCodings => "too_many_codings",
            Self::DecodedTooLarge => "decoded_too_large",
            Self::DecompressionBomb => "decompression_bomb",
            Self::BodyTooDeep => "body_too_deep",
            Self::XmlDoctype => "xml_doctype",
            Self::XmlEntityDeclared => "xml_entity_declared",
            Self::XmlEntityUsed => "xml_entity_used",
            Self::TooManyParts => "too_many_parts",
            Self::BadPartHeader => "bad_part_header",
            Self::BadBoundary => "bad_boundary",
            // HTTP/1
            Self::ConflictingLengths => "conflicting_lengths",
            Self::RepeatedLength => "repeated_length",
            Self::RepeatedTransferCoding => "repeated_transfer_coding",
            Self::UnknownTransferCoding => "unknown_transfer_coding",
            Self::CodingInHttp10 => "coding_in_http10",
            Self::FramingNotAllowed => "framing_not_allowed",
            Self::RepeatedHost => "repeated_host",
            Self::BareLf => "bare_lf",
            Self::BareCr => "bare_cr",
            Self::ObsoleteFolding => "obsolete_folding",
            Self::SpaceBeforeColon => "space_before_colon",
            Self::SpaceBeforeField => "space_before_field",
            Self::OddStartLine => "odd_start_line",
            Self::UnknownVersion => "unknown_version",
            Self::MissingVersion => "missing_version",
            Self::NulByte => "nul_byte",
            Self::BadFieldName => "bad_field_name",
            Self::BadFieldValue => "bad_field_value",
            Self::FieldWithoutColon => "field_without_colon",
            Self::BadTarget => "bad_target",
            Self::DataAfterClose => "data_after_close",
            Self::BadChunkSize => "bad_chunk_size",
            Self::ChunkTooBig => "chunk_too_big",
            Self::ChunkLineTooLong => "chunk_line_too_long",
            Self::SpaceAfterChunkSize => "space_after_chunk_size",
            Self::BadChunkExtension => "bad_chunk_extension",
            Self::ForbiddenTrailer => "forbidden_trailer",
            // End of HTTP/1.
            // h2
            Self::Http2BadFrame => "http2_bad_frame",
            Self::Http2FrameTooLong => "http2_frame_too_long",
            Self::Http2BadCompression => "http2_bad_compression",
            Self::Http2BrokenBlock => "http2_broken_block",
            Self::Http2ContinuationFlood => "http2_continuation_flood",
            Self::Http2TableTooLarge => "http2_table_too_large",
            Self::Http2BadHead => "http2_bad_head",
            Self::Http2BadField => "http2_bad_field",
            Self::Http2BadLength => "http2_bad_length",
            Self::Http2TooManyStreams => "http2_too_many_streams",
            Self::Http2UnknownFields => "http2_unknown_fields",
            // ws
            Self::WebSocketHandshake => "websocket_handshake",
            Self::WebSocketFrame => "websocket_frame",
            Self::WebSocketReservedBit => "websocket_reserved_bit",
            Self::WebSocketOpcode => "websocket_opcode",
            Self::WebSocketControl => "websocket_control",
            Self::WebSocketMask => "websocket_mask",
            Self::WebSocketLength => "websocket_length",
            Self::WebSocketFragment => "websocket_fragment",
            Self::WebSocketText => "websocket_text",
            Self::WebSocketDeflate => "websocket_deflate",
            Self::WebSocketInflated => "websocket_inflated",
            Self::EventTooLong => "event_too_long",
        }
    }
}
