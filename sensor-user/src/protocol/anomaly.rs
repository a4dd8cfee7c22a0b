//! What a peer may do wrong, and which limits may be hit: one list of names for metrics, outputs and rules.
//!
//! Takes and gives nothing; each parser says where it reads around an anomaly and how.

macro_rules! anomalies {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A peer's departure from its protocol, or a limit that was hit. A closed set: usable as a metric label.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Anomaly { $($(#[doc = $doc])+ $variant,)+ }

        impl Anomaly {
            /// Name in outputs and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

anomalies! {
    /// A start line or header block that is not HTTP/1.
    MalformedHead = "malformed_head",
    /// The head exceeds the limit.
    HeadTooLong = "head_too_long",
    /// More header fields than the limit.
    TooManyHeaders = "too_many_headers",
    /// `Content-Length` is not a number (RFC 9112, 6.3).
    BadContentLength = "bad_content_length",
    /// `Content-Length` beside `Transfer-Encoding` (RFC 9112, 6.1).
    LengthAndChunked = "length_and_chunked",
    /// A chunk's data is not followed by a line end: its size was a lie (RFC 9112, 7.1).
    BadChunk = "bad_chunk",
    /// `Transfer-Encoding` with a last coding other than chunked in a request (RFC 9112, 6.3).
    BadTransferEncoding = "bad_transfer_encoding",
    // grpc
    /// A gRPC request whose path is not `/service/method`.
    GrpcBadMethod = "grpc_bad_method",
    /// A gRPC frame with flags that are not defined, or one that the end of the body cuts.
    GrpcBadFrame = "grpc_bad_frame",
    /// A gRPC message longer than what the peers' libraries accept by default.
    GrpcMessageTooLong = "grpc_message_too_long",
    /// A gRPC message is compressed, and `grpc-encoding` does not say how.
    GrpcNoEncoding = "grpc_no_encoding",
    /// A complete gRPC answer without `grpc-status`, or with one that is no code.
    GrpcBadStatus = "grpc_bad_status",
    /// A gRPC-Web text body that is no base64.
    GrpcBadBase64 = "grpc_bad_base64",
    /// Data after the trailers of a gRPC-Web body, or trailers in a request.
    GrpcAfterTrailers = "grpc_after_trailers",
    // calls
    /// More calls in one message than are told apart.
    TooManyCalls = "too_many_calls",
    /// A GraphQL document that is not of the grammar, or whose fragments are not defined once each.
    GraphqlMalformed = "graphql_malformed",
    /// A GraphQL document nests deeper than is followed.
    GraphqlTooDeep = "graphql_too_deep",
    /// A GraphQL document has more tokens than are read.
    GraphqlTooLong = "graphql_too_long",
    /// GraphQL fragments that spread themselves.
    GraphqlFragmentCycle = "graphql_fragment_cycle",
    /// A message of JSON-RPC that is not one of version 2.0 (JSON-RPC 2.0, 4 to 6).
    JsonRpcMalformed = "json_rpc_malformed",
    /// An answer of JSON-RPC to a call that was not made, or a second one.
    JsonRpcUnpaired = "json_rpc_unpaired",
    /// A SOAP envelope or XML-RPC message that is not well-formed, or not what its specification says.
    XmlCallMalformed = "xml_call_malformed",
    // body
    /// A body is not of the content coding that its head names, or its checksum is wrong.
    BadContentCoding = "bad_content_coding",
    /// A content coding that is not known (RFC 9110, 8.4.1).
    UnknownContentCoding = "unknown_content_coding",
    /// More content codings over each other than `inflate::MAX_LAYERS`.
    TooManyCodings = "too_many_codings",
    /// More would come out of a compressed body than `inflate::Limits::output_bytes`.
    DecodedTooLarge = "decoded_too_large",
    /// Out of all proportion comes out of a compressed body, or it asks for more memory or members than
    /// `inflate::MAX_WINDOW` and `inflate::MAX_MEMBERS`.
    DecompressionBomb = "decompression_bomb",
    /// A structured body nests deeper than `walk::MAX_DEPTH`.
    BodyTooDeep = "body_too_deep",
    /// XML with a document type declaration: the way to entities and to files of the server (XML 1.0, 2.8).
    XmlDoctype = "xml_doctype",
    /// XML that declares an entity (XML 1.0, 4.2).
    XmlEntityDeclared = "xml_entity_declared",
    /// XML that refers to an entity other than the five predefined ones (XML 1.0, 4.6). None is expanded.
    XmlEntityUsed = "xml_entity_used",
    /// More parts in a multipart body than `multipart::MAX_PARTS`.
    TooManyParts = "too_many_parts",
    /// A part of a multipart body whose header is not one, or exceeds `multipart::MAX_HEADER`.
    BadPartHeader = "bad_part_header",
    /// A multipart body without its boundary, or whose boundary is not one (RFC 2046, 5.1.1).
    BadBoundary = "bad_boundary",
    // HTTP/1: http1/mod.rs says how each is read.
    /// Several lengths that disagree (RFC 9112, 6.3).
    ConflictingLengths = "conflicting_lengths",
    /// The same length twice (RFC 9112, 6.3).
    RepeatedLength = "repeated_length",
    /// Chunked applied twice, or several `Transfer-Encoding` fields (RFC 9112, 6.1 and 7).
    RepeatedTransferCoding = "repeated_transfer_coding",
    /// A transfer coding that is not registered, or chunked with parameters (RFC 9112, 7).
    UnknownTransferCoding = "unknown_transfer_coding",
    /// `Transfer-Encoding` in a message of HTTP/1.0 (RFC 9112, 6.1).
    CodingInHttp10 = "coding_in_http10",
    /// A length or coding where no body can be: in a 1xx or 204, or in the answer that opens a tunnel (RFC 9112, 6.1;
    /// RFC 9110, 8.6).
    FramingNotAllowed = "framing_not_allowed",
    /// Several `Host` fields (RFC 9112, 3.2).
    RepeatedHost = "repeated_host",
    /// A line that ends in LF without CR (RFC 9112, 2.2).
    BareLf = "bare_lf",
    /// CR without LF (RFC 9112, 2.2).
    BareCr = "bare_cr",
    /// A field that goes on in the next line (RFC 9112, 5.2).
    ObsoleteFolding = "obsolete_folding",
    /// White space between a field's name and the colon (RFC 9112, 5.1).
    SpaceBeforeColon = "space_before_colon",
    /// White space before the first field (RFC 9112, 2.2).
    SpaceBeforeField = "space_before_field",
    /// Odd white space in a start line (RFC 9112, 3 and 4).
    OddStartLine = "odd_start_line",
    /// Another version than 1.0 and 1.1 in the words of HTTP/1 (RFC 9112, 2.3).
    UnknownVersion = "unknown_version",
    /// A request line without version, as in HTTP/0.9.
    MissingVersion = "missing_version",
    /// NUL in a head, chunk line or trailer section (RFC 9110, 5.5).
    NulByte = "nul_byte",
    /// A field name that is empty or no token (RFC 9110, 5.1).
    BadFieldName = "bad_field_name",
    /// A control character in a field value (RFC 9110, 5.5).
    BadFieldValue = "bad_field_value",
    /// A line among the fields without a colon (RFC 9112, 5).
    FieldWithoutColon = "field_without_colon",
    /// A request target in none of the four forms, or with a byte in it that is no visible ASCII (RFC 9112, 3.2).
    BadTarget = "bad_target",
    /// A message behind one that was the last, as it said (RFC 9112, 9.3 and 9.6).
    DataAfterClose = "data_after_close",
    /// A chunk size that is no hexadecimal number: a sign, `0x`, white space before it, nothing (RFC 9112, 7.1).
    BadChunkSize = "bad_chunk_size",
    /// A chunk size above 63 bits (RFC 9112, 7.1).
    ChunkTooBig = "chunk_too_big",
    /// A chunk line beyond the limit.
    ChunkLineTooLong = "chunk_line_too_long",
    /// White space after a chunk size (RFC 9112, 7.1.1).
    SpaceAfterChunkSize = "space_after_chunk_size",
    /// A chunk extension that is not one (RFC 9112, 7.1.1).
    BadChunkExtension = "bad_chunk_extension",
    /// A trailer field that frames, routes or authorises (RFC 9110, 6.5.1).
    ForbiddenTrailer = "forbidden_trailer",
    // End of HTTP/1.
    // h2
    /// A frame breaks RFC 9113, section 6: length, stream or padding.
    Http2BadFrame = "http2_bad_frame",
    /// A frame is longer than its reader allows (RFC 9113, 4.2).
    Http2FrameTooLong = "http2_frame_too_long",
    /// A header block is not HPACK (RFC 7541).
    Http2BadCompression = "http2_bad_compression",
    /// Another frame stands within a header block (RFC 9113, 6.10).
    Http2BrokenBlock = "http2_broken_block",
    /// More CONTINUATION frames than the limit.
    Http2ContinuationFlood = "http2_continuation_flood",
    /// The compression table was made larger than allowed or followed.
    Http2TableTooLarge = "http2_table_too_large",
    /// Pseudo-fields are missing, repeated, unknown, misplaced or malformed, or `host` contradicts `:authority`
    /// (RFC 9113, 8.3).
    Http2BadHead = "http2_bad_head",
    /// A field that HTTP/2 forbids: capital letters, line breaks, fields of a connection (RFC 9113, 8.2).
    Http2BadField = "http2_bad_field",
    /// `content-length` and the DATA frames disagree (RFC 9113, 8.1.1).
    Http2BadLength = "http2_bad_length",
    /// More streams, or more bytes of them, at once than the limit: the oldest was given up.
    Http2TooManyStreams = "http2_too_many_streams",
    /// Nobody's fault: fields refer to a part of the connection that was not seen, and were left out.
    Http2UnknownFields = "http2_unknown_fields",
    // ws
    /// A WebSocket handshake whose key, answer or extensions do not fit each other (RFC 6455, 4.2.2).
    WebSocketHandshake = "websocket_handshake",
    /// A frame's head that is wrong in more than one way: no WebSocket any more.
    WebSocketFrame = "websocket_frame",
    /// A reserved bit that no extension gave a meaning (RFC 6455, 5.2).
    WebSocketReservedBit = "websocket_reserved_bit",
    /// A reserved opcode (RFC 6455, 5.2).
    WebSocketOpcode = "websocket_opcode",
    /// A control frame that is fragmented or longer than 125 bytes, or a bad close code (RFC 6455, 5.5 and 7.4).
    WebSocketControl = "websocket_control",
    /// A client's frame without mask, or a server's with one (RFC 6455, 5.1).
    WebSocketMask = "websocket_mask",
    /// A length in more bytes than it needs, or beyond 63 bits (RFC 6455, 5.2).
    WebSocketLength = "websocket_length",
    /// A continuation of nothing, or a message within a message (RFC 6455, 5.4).
    WebSocketFragment = "websocket_fragment",
    /// Text that is not UTF-8 (RFC 6455, 8.1).
    WebSocketText = "websocket_text",
    /// A compressed message that does not inflate (RFC 7692, 6.2).
    WebSocketDeflate = "websocket_deflate",
    /// A compressed message that inflates beyond the limit of size or ratio.
    WebSocketInflated = "websocket_inflated",
    /// A line of an event stream longer than the limit.
    EventTooLong = "event_too_long",
    // h2c
    /// A connection went on in HTTP/2 although the request that asked for it may not: `HTTP2-Settings` missing, repeated
    /// or malformed, not named in `Connection`, or inside TLS, where proxies are bypassed so (RFC 7540, 3.2).
    Http2Upgrade = "http2_upgrade",
    // early answers
    /// A request stands where the body of one before it was to come: that one asked for leave to send it, was answered
    /// without, and sent none (RFC 9110, 10.1.1). A server that still waits for the body takes the request for it.
    BodyNotSent = "body_not_sent",
}
