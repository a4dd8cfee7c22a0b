//! What a connection turns into after a 101 or a CONNECT that succeeded (RFC 9110, 7.8 and 9.3.6).
//!
//! Takes the exchange that asked and was answered. Gives what goes on. Never turns without both halves: what was not
//! asked for stays unread. Only HTTP/2 whose request was lost is believed without, as its frames prove themselves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smallvec::SmallVec;

use super::http2::{Http2, Joined};
use super::part::Whole;
use super::reader::Next;
use super::websocket::WebSocket;
use super::{Exchange, Head, Limits};
use crate::capture::{Direction, GapReason};
use crate::protocol::Anomaly;
use crate::protocol::websocket::handshake::{self, Extensions};

/// What reads the connection from now on; nothing when nobody does. The handshake's faults go into the exchange.
pub(super) fn next(exchange: &mut Exchange, requests_travel: Direction, limits: &Limits) -> Option<Next> {
    let response = exchange.outcome.response()?;
    if response.status != 101 {
        // Only a CONNECT that succeeded is behind another status: a tunnel, in which a connection begins anew.
        return (exchange.request.method() == b"CONNECT").then_some(Next::Recognise);
    }
    let (asked, answered) = (&exchange.request.head, &response.head);
    if both_name(asked, answered, b"websocket") {
        let (reader, is_sound) = websocket(exchange, requests_travel, limits)?;
        if !is_sound {
            exchange.anomalies.push(Anomaly::WebSocketHandshake);
        }
        return Some(Next::Read(Box::new(reader)));
    }
    None
}

/// Whether a request asks for HTTP/2, or a 101 goes on in it (RFC 7540, 3.2).
pub(super) fn names_http2(head: &Head) -> bool {
    names_upgrade(head, b"h2c")
}

/// The reader of HTTP/2 behind a 101, and the number of anomalies. `first` asked for it and is answered on stream 1;
/// `hole` says why the beginning of the answers is missing.
pub(super) fn http2(
    first: Option<Exchange>,
    requests_travel: Direction,
    hole: Option<GapReason>,
    limits: &Limits,
) -> (Http2, u64) {
    let mut reader = Http2::new(requests_travel, Joined::No, limits);
    let Some(mut first) = first else {
        return (reader, 0);
    };
    let settings = http2_settings(&first.request.head);
    let sound = settings.is_some() && is_sound(&first);
    if !sound {
        first.anomalies.push(Anomaly::Http2Upgrade);
    }
    reader.upgraded(first, &settings.unwrap_or_default(), hole);
    (reader, u64::from(!sound))
}

/// RFC 7540, 3.2: cleartext, version 1.1, and `Connection` names both fields.
fn is_sound(asked: &Exchange) -> bool {
    let named = |wanted: &[u8]| {
        let mut fields = asked.request.head.fields();
        fields.any(|(name, value)| {
            name.eq_ignore_ascii_case(b"connection")
                && names(value.expose()).any(|name| name.eq_ignore_ascii_case(wanted))
        })
    };
    !asked.connection.tls && asked.request.version == 11 && named(b"upgrade") && named(b"http2-settings")
}

/// Settings of a client: a dozen are registered, and unknown ones are allowed.
const MAX_SETTINGS: usize = 32;

/// RFC 7540, 3.2.1: exactly one field, the payload of a SETTINGS frame in base64url.
fn http2_settings(head: &Head) -> Option<SmallVec<[u8; 36]>> {
    let mut fields = head
        .fields()
        .filter(|(name, _)| name.eq_ignore_ascii_case(b"http2-settings"));
    let (Some((_, value)), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let mut settings = [0; MAX_SETTINGS * SETTING];
    let len = URL_SAFE_NO_PAD
        .decode_slice(value.expose().trim_ascii(), &mut settings)
        .ok()?;
    let whole = len.is_multiple_of(SETTING);
    settings.get(..len).filter(|_| whole).map(SmallVec::from_slice)
}

/// Identifier and value (RFC 9113, 6.5.1).
const SETTING: usize = 6;

/// A reader, and whether the handshake is sound (RFC 6455, 4.1 and 4.2).
fn websocket(exchange: &Exchange, requests_travel: Direction, limits: &Limits) -> Option<(WebSocket, bool)> {
    let answered = &exchange.outcome.response()?.head;
    let asked = &exchange.request.head;
    let value = |head: &'_ Head, name| {
        head.header(name)
            .map(|value| value.expose().trim_ascii().to_vec())
    };
    let (key, accept) = (
        value(asked, "sec-websocket-key"),
        value(answered, "sec-websocket-accept"),
    );
    let is_proven = match (&key, &accept) {
        (Some(key), Some(accept)) => handshake::is_key(key) && handshake::accepts(key, accept),
        _ => false,
    };
    let (reader, is_agreed) = agreed(exchange, requests_travel, limits)?;
    Some((reader, is_proven && is_agreed))
}

/// A WebSocket on a stream of HTTP/2 (RFC 8441, 5): an extended CONNECT that was granted. There is no key to prove.
pub(super) fn websocket_on_stream(exchange: &mut Exchange, limits: &Limits) -> Option<WebSocket> {
    let granted = exchange.outcome.response()?.status / 100 == 2;
    let protocol = exchange.request.head.header(":protocol")?;
    if !granted || !protocol.expose().eq_ignore_ascii_case(b"websocket") {
        return None;
    }
    let (reader, is_agreed) = agreed(exchange, Direction::Read, limits)?;
    if !is_agreed {
        exchange.anomalies.push(Anomaly::WebSocketHandshake);
    }
    Some(reader)
}

/// A reader with what the handshake agreed on, and whether all of that was offered.
fn agreed(exchange: &Exchange, requests_travel: Direction, limits: &Limits) -> Option<(WebSocket, bool)> {
    let answered = &exchange.outcome.response()?.head;
    let asked = &exchange.request.head;
    let mut extensions = Extensions::default();
    for (_, value) in answered.fields().filter(|(name, _)| is_extensions(name)) {
        extensions.add(value.expose());
    }
    // A server must not agree to what was not offered (RFC 6455, 9.1 and 4.2.2).
    let offered = asked.fields().any(|(name, value)| {
        is_extensions(name)
            && names(value.expose()).any(|name| name.eq_ignore_ascii_case(b"permessage-deflate"))
    });
    let subprotocol = answered.header("sec-websocket-protocol");
    let subprotocol = subprotocol.map_or_else(Vec::new, |value| value.expose().trim_ascii().to_vec());
    let is_offered = subprotocol.is_empty()
        || asked.fields().any(|(name, value)| {
            name.eq_ignore_ascii_case(b"sec-websocket-protocol")
                && names(value.expose()).any(|name| name == subprotocol)
        });
    let whole = Whole::of(exchange)?;
    let reader = WebSocket::new(whole, requests_travel, extensions, &subprotocol, limits);
    Some((reader, is_offered && (offered || extensions.deflate.is_none())))
}

fn is_extensions(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"sec-websocket-extensions")
}

/// Whether the client asked for the protocol and the server agreed.
fn both_name(asked: &Head, answered: &Head, protocol: &[u8]) -> bool {
    names_upgrade(asked, protocol) && names_upgrade(answered, protocol)
}

fn names_upgrade(head: &Head, protocol: &[u8]) -> bool {
    head.fields().any(|(name, value)| {
        name.eq_ignore_ascii_case(b"upgrade")
            && names(value.expose()).any(|name| name.eq_ignore_ascii_case(protocol))
    })
}

/// Names in a list, parameters left out.
fn names(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',').map(|item| {
        item.split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .trim_ascii()
    })
}
