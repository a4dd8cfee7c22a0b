//! What a connection turns into after a 101 or a CONNECT that succeeded (RFC 9110, 7.8 and 9.3.6).
//!
//! Takes the exchange that asked and was answered. Gives what goes on. Never turns without both halves: what was not
//! asked for stays unread.

use super::part::Whole;
use super::reader::Next;
use super::websocket::WebSocket;
use super::{Exchange, Head, Limits};
use crate::capture::Direction;
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
    // `h2c` (RFC 7540, 3.2) has its place here.
    None
}

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
    let mut extensions = Extensions::default();
    for (_, value) in answered.fields().filter(|(name, _)| is_extensions(name)) {
        extensions.add(value.expose());
    }
    // A server must not agree to what was not offered (RFC 6455, 9.1 and 4.2.2).
    let offered = asked.fields().any(|(name, value)| {
        is_extensions(name)
            && names(value.expose()).any(|name| name.eq_ignore_ascii_case(b"permessage-deflate"))
    });
    let subprotocol = value(answered, "sec-websocket-protocol").unwrap_or_default();
    let is_offered = subprotocol.is_empty()
        || asked.fields().any(|(name, value)| {
            name.eq_ignore_ascii_case(b"sec-websocket-protocol")
                && names(value.expose()).any(|name| name == subprotocol)
        });
    let whole = Whole::of(exchange)?;
    let reader = WebSocket::new(whole, requests_travel, extensions, &subprotocol, limits);
    Some((
        reader,
        is_proven && is_offered && (offered || extensions.deflate.is_none()),
    ))
}

fn is_extensions(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"sec-websocket-extensions")
}

/// Whether the client asked for the protocol and the server agreed.
fn both_name(asked: &Head, answered: &Head, protocol: &[u8]) -> bool {
    let upgrade = |head: &Head| {
        head.fields().any(|(name, value)| {
            name.eq_ignore_ascii_case(b"upgrade")
                && names(value.expose()).any(|name| name.eq_ignore_ascii_case(protocol))
        })
    };
    upgrade(asked) && upgrade(answered)
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
