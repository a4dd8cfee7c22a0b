//! A decoded header block as a message's head, written out like one of HTTP/1.
//!
//! Takes fields. Gives a head with spans: start line, `:authority` as `host`, the other fields in order. Never invents
//! what is unknown: such a field is left out and the head says so. Bounded by the block.

use smallvec::SmallVec;

use super::hpack::{Block, Field};
use super::{Anomaly, Span};

/// Departures found in one head.
pub type Anomalies = SmallVec<[Anomaly; 2]>;

/// A head.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// What it begins.
    pub opening: Opening,
    /// Start line, fields and the empty line.
    pub raw: Vec<u8>,
    /// Fields in `raw`: name and value.
    pub fields: Vec<(Span, Span)>,
    /// Fields were left out: they were unknown, or over the limit.
    pub incomplete: bool,
    /// `content-length`, when there is one number.
    pub content_length: Option<u64>,
    /// Departures.
    pub anomalies: Anomalies,
}

impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "[head, {} bytes, {} fields]",
            self.raw.len(),
            self.fields.len()
        )
    }
}

/// What a head begins (RFC 9113, 8.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Opening {
    /// A request.
    Request {
        /// Method in `raw`.
        method: Span,
        /// `:path`, or `:authority` of CONNECT, in `raw`.
        target: Span,
    },
    /// A response.
    Response(u16),
    /// Fields after a body: no pseudo-field.
    #[default]
    Trailers,
    /// A request of which the method or path is not known.
    UnknownRequest,
    /// A response of unknown status, trailers with unknown fields, or what breaks section 8.3.
    Unknown,
}

/// Pseudo-fields of a block.
#[derive(Clone, Copy, Default)]
struct Pseudo {
    method: Option<Span>,
    path: Option<Span>,
    scheme: Option<Span>,
    authority: Option<Span>,
    status: Option<Span>,
    /// A name before the first plain field, or a value of a pseudo-field, is unknown.
    unknown: bool,
    /// Any of those of a request was there, perhaps with an unknown value.
    of_request: bool,
    of_response: bool,
}

/// Writes a block out.
pub fn write(block: &Block) -> Head {
    let mut head = Head {
        incomplete: block.overflowed,
        ..Head::default()
    };
    if block.overflowed {
        head.anomalies.push(Anomaly::HeadTooLong);
    }
    if block.table_too_large {
        head.anomalies.push(Anomaly::Http2TableTooLarge);
    }
    let pseudo = pseudo(block, &mut head);
    head.raw
        .reserve_exact(block.text.len() + 4 * block.fields.len() + START);
    start(block, pseudo, &mut head);
    fields(block, pseudo, &mut head);
    head.raw.extend_from_slice(b"\r\n");
    if head.incomplete && !block.overflowed {
        note(&mut head, Anomaly::Http2UnknownFields);
    }
    head
}

/// Spaces and line ends of a start line, its version, and `host: `.
const START: usize = 32;

fn pseudo(block: &Block, head: &mut Head) -> Pseudo {
    let mut pseudo = Pseudo::default();
    let mut plain = false;
    for field in &block.fields {
        let Some(name) = field.name.map(|name| block.bytes(name)) else {
            pseudo.unknown |= !plain;
            continue;
        };
        let Some(b':') = name.first() else {
            plain = true;
            continue;
        };
        let (slot, of_request) = match name {
            b":method" => (&mut pseudo.method, true),
            b":path" => (&mut pseudo.path, true),
            b":scheme" => (&mut pseudo.scheme, true),
            b":authority" => (&mut pseudo.authority, true),
            b":status" => (&mut pseudo.status, false),
            // RFC 8441, 4: of an extended CONNECT; it is kept as a field.
            b":protocol" => {
                pseudo.of_request = true;
                continue;
            }
            _ => {
                note(head, Anomaly::Http2BadHead);
                continue;
            }
        };
        // 8.3: once each, and before every plain field.
        let twice = slot.is_some();
        if !twice {
            *slot = field.value;
        }
        if of_request {
            pseudo.of_request = true;
        } else {
            pseudo.of_response = true;
        }
        pseudo.unknown |= field.value.is_none();
        if twice || plain {
            note(head, Anomaly::Http2BadHead);
        }
    }
    pseudo
}

fn start(block: &Block, pseudo: Pseudo, head: &mut Head) {
    if pseudo.of_request && pseudo.of_response {
        note(head, Anomaly::Http2BadHead);
    }
    head.opening = if pseudo.of_request {
        request(block, pseudo, head)
    } else if pseudo.of_response {
        response(block, pseudo, head)
    } else if pseudo.unknown {
        Opening::Unknown
    } else {
        Opening::Trailers
    };
}

fn request(block: &Block, pseudo: Pseudo, head: &mut Head) -> Opening {
    let connect = pseudo
        .method
        .is_some_and(|method| block.bytes(method) == b"CONNECT")
        && pseudo.path.is_none();
    let target = if connect { pseudo.authority } else { pseudo.path };
    let (Some(method), Some(target)) = (pseudo.method, target) else {
        if !pseudo.unknown && !block.overflowed {
            note(head, Anomaly::Http2BadHead);
        }
        return Opening::UnknownRequest;
    };
    let bad = |bytes: &[u8]| bytes.is_empty() || bytes.iter().any(|byte| *byte <= b' ' || *byte == 0x7f);
    if bad(block.bytes(method))
        || bad(block.bytes(target))
        || (!connect && pseudo.scheme.is_none() && !pseudo.unknown)
    {
        note(head, Anomaly::Http2BadHead);
    }
    let method = copy(&mut head.raw, block.bytes(method));
    head.raw.push(b' ');
    let target = copy(&mut head.raw, block.bytes(target));
    head.raw.extend_from_slice(b" HTTP/2\r\n");
    Opening::Request { method, target }
}

fn response(block: &Block, pseudo: Pseudo, head: &mut Head) -> Opening {
    let Some(status) = pseudo.status.map(|status| block.bytes(status)) else {
        return Opening::Unknown;
    };
    // RFC 9110, 15: three digits, 100 to 599; others are taken as their class.
    let [hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = *status else {
        note(head, Anomaly::Http2BadHead);
        return Opening::Unknown;
    };
    head.raw.extend_from_slice(b"HTTP/2 ");
    head.raw.extend_from_slice(status);
    head.raw.extend_from_slice(b"\r\n");
    let digit = |byte: u8| u16::from(byte - b'0');
    Opening::Response(digit(hundreds) * 100 + digit(tens) * 10 + digit(ones))
}

fn fields(block: &Block, pseudo: Pseudo, head: &mut Head) {
    if let Some(authority) = pseudo
        .authority
        .filter(|_| matches!(head.opening, Opening::Request { .. }))
    {
        judge(b"host", block.bytes(authority), head);
        field(b"host", block.bytes(authority), head);
    }
    for Field { name, value, .. } in &block.fields {
        let (Some(name), Some(value)) = (name, value) else {
            head.incomplete = true;
            continue;
        };
        let (name, value) = (block.bytes(*name), block.bytes(*value));
        match name.first() {
            Some(b':') if name != b":protocol" => continue,
            Some(b'h') if name == b"host" => {
                let authority = pseudo.authority.map(|authority| block.bytes(authority));
                match authority {
                    Some(authority) if authority.eq_ignore_ascii_case(value) => continue,
                    // RFC 9113, 8.3.1: it must not differ.
                    Some(_) => note(head, Anomaly::Http2BadHead),
                    None => {}
                }
            }
            Some(b'c') if name == b"content-length" => content_length(value, head),
            _ => {}
        }
        judge(name, value, head);
        field(name, value, head);
    }
}

fn content_length(value: &[u8], head: &mut Head) {
    let number = std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok());
    if number.is_none() || head.content_length.is_some_and(|known| Some(known) != number) {
        note(head, Anomaly::BadContentLength);
    }
    head.content_length = head.content_length.or(number);
}

/// RFC 9113, 8.2.1 and 8.2.2: what a field may not hold, and fields that belong to HTTP/1's connections.
fn judge(name: &[u8], value: &[u8], head: &mut Head) {
    let bad_name = name.is_empty()
        || name
            .iter()
            .any(|byte| matches!(byte, 0..=b' ' | b'A'..=b'Z' | 0x7f..))
        || name
            .get(1..)
            .is_some_and(|rest| memchr::memchr(b':', rest).is_some());
    let bad_value = memchr::memchr3(b'\r', b'\n', 0, value).is_some()
        || [value.first(), value.last()]
            .iter()
            .any(|edge| matches!(edge, Some(b' ' | b'\t')));
    let of_connection = match name {
        b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade" => true,
        b"te" => !value.eq_ignore_ascii_case(b"trailers"),
        _ => false,
    };
    if bad_name || bad_value || of_connection {
        note(head, Anomaly::Http2BadField);
    }
}

fn field(name: &[u8], value: &[u8], head: &mut Head) {
    let name = copy(&mut head.raw, name);
    head.raw.extend_from_slice(b": ");
    let value = copy(&mut head.raw, value);
    head.raw.extend_from_slice(b"\r\n");
    head.fields.push((name, value));
}

fn copy(raw: &mut Vec<u8>, bytes: &[u8]) -> Span {
    let start = u32::try_from(raw.len()).unwrap_or(u32::MAX);
    raw.extend_from_slice(bytes);
    let end = u32::try_from(raw.len()).unwrap_or(u32::MAX);
    Span {
        start,
        len: end - start,
    }
}

fn note(head: &mut Head, anomaly: Anomaly) {
    if !head.anomalies.contains(&anomaly) {
        head.anomalies.push(anomaly);
    }
}
