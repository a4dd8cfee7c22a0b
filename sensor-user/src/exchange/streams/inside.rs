//! What travels on a stream where a body would: events, a WebSocket (RFC 8441), or a tunnel (RFC 9113, 8.5).
//!
//! Takes pieces, holes and ends of both halves. Gives an exchange for each event or message, as on a connection of
//! HTTP/1. Never keeps what a tunnel carries. Bounded as its readers are; [`Inside::held_bytes`] says what they hold.

use bytes::Bytes;

use super::super::events::Events;
use super::super::upgrade;
use super::super::websocket::{Told, WebSocket};
use super::super::{Exchange, Limits};
use crate::capture::GapReason;
use crate::protocol::Anomaly;
use crate::protocol::websocket::Travel;

/// Of one stream.
#[derive(Default, Debug)]
pub(super) enum Inside {
    /// Bodies.
    #[default]
    Bodies,
    /// The answer is a stream of events.
    Events(Box<Events>),
    /// Both halves are one.
    WebSocket(Box<WebSocket>),
    /// Both halves are something else: a CONNECT that was not refused.
    Tunnel,
}

impl Inside {
    /// When a request begins.
    pub(super) fn asked(exchange: &Exchange) -> Self {
        if exchange.request.method() == b"CONNECT" {
            Self::Tunnel
        } else {
            Self::Bodies
        }
    }

    /// When its answer begins. Gives the number of anomalies.
    pub(super) fn answered(&mut self, exchange: &mut Exchange, limits: &Limits) -> u64 {
        let before = exchange.anomalies.len();
        *self = match self {
            Self::Tunnel => match upgrade::websocket_on_stream(exchange, limits) {
                Some(reader) => Self::WebSocket(Box::new(reader)),
                None if is_granted(exchange) => Self::Tunnel,
                None => Self::Bodies,
            },
            _ => match Events::of(exchange, limits.body_bytes) {
                Some(events) => Self::Events(Box::new(events)),
                None => Self::Bodies,
            },
        };
        // Sent before it was granted: the first frames are not known.
        let early = exchange.request.body.total;
        if early > 0 && matches!(self, Self::WebSocket(_)) {
            self.hole(
                exchange,
                (Travel::ToServer, early),
                GapReason::Limit,
                &mut Vec::new(),
            );
        }
        (exchange.anomalies.len() - before) as u64
    }

    /// Whether a half is a body like any other.
    pub(super) const fn is_body(&self, travel: Travel) -> bool {
        match self {
            Self::Bodies => true,
            Self::Events(_) => matches!(travel, Travel::ToServer),
            Self::WebSocket(_) | Self::Tunnel => false,
        }
    }

    /// Whether what is no body is told as parts.
    pub(super) const fn tells_parts(&self) -> bool {
        matches!(self, Self::Events(_) | Self::WebSocket(_))
    }

    /// The next bytes of a half. Gives the number of anomalies, as the others do.
    pub(super) fn piece(
        &mut self,
        exchange: &mut Exchange,
        (travel, piece): (Travel, Bytes),
        time_ns: u64,
        out: &mut Vec<Exchange>,
    ) -> u64 {
        match self {
            Self::Events(events) => {
                let anomalies = events.piece(&piece, time_ns, out);
                anomalies + note(exchange, events.take_fault())
            }
            Self::WebSocket(reader) => {
                let connection = &exchange.connection;
                reader.feed(travel, piece, time_ns, &mut Told { connection, out });
                reader.take_anomalies()
            }
            Self::Bodies | Self::Tunnel => 0,
        }
    }

    /// Bytes of a half are missing.
    pub(super) fn hole(
        &mut self,
        exchange: &Exchange,
        (travel, missing): (Travel, u64),
        reason: GapReason,
        out: &mut Vec<Exchange>,
    ) -> u64 {
        match self {
            Self::Events(events) if travel == Travel::ToClient => {
                events.gap(reason, last_ns(exchange, travel), out)
            }
            Self::WebSocket(reader) => {
                let connection = &exchange.connection;
                reader.hole(travel, missing, reason, &mut Told { connection, out });
                reader.take_anomalies()
            }
            Self::Events(_) | Self::Bodies | Self::Tunnel => 0,
        }
    }

    /// A half ends.
    pub(super) fn end(&mut self, exchange: &mut Exchange, travel: Travel, out: &mut Vec<Exchange>) -> u64 {
        let time_ns = last_ns(exchange, travel);
        match self {
            Self::Events(events) if travel == Travel::ToClient => {
                let anomalies = events.finish(time_ns, out);
                anomalies + note(exchange, events.take_fault())
            }
            Self::WebSocket(reader) => {
                let connection = &exchange.connection;
                reader.close(travel, time_ns, &mut Told { connection, out });
                reader.take_anomalies()
            }
            Self::Events(_) | Self::Bodies | Self::Tunnel => 0,
        }
    }

    /// The stream ends.
    pub(super) fn end_all(&mut self, exchange: &mut Exchange, out: &mut Vec<Exchange>) -> u64 {
        if let Self::WebSocket(reader) = self {
            let time_ns = last_ns(exchange, Travel::ToServer).max(last_ns(exchange, Travel::ToClient));
            let connection = &exchange.connection;
            reader.end_all(time_ns, &mut Told { connection, out });
            return reader.take_anomalies();
        }
        self.end(exchange, Travel::ToClient, out)
    }

    /// Memory that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Bodies | Self::Tunnel => 0,
            Self::Events(events) => events.held_bytes(),
            Self::WebSocket(reader) => reader.held_bytes(),
        }
    }
}

/// RFC 9113, 8.5: any 2xx.
fn is_granted(exchange: &Exchange) -> bool {
    let response = exchange.outcome.response();
    response.is_some_and(|response| response.status / 100 == 2)
}

fn last_ns(exchange: &Exchange, travel: Travel) -> u64 {
    match (travel, exchange.outcome.response()) {
        (Travel::ToClient, Some(response)) => response.time_ns.1,
        _ => exchange.request.time_ns.1,
    }
}

fn note(exchange: &mut Exchange, anomaly: Option<Anomaly>) -> u64 {
    let Some(anomaly) = anomaly.filter(|anomaly| !exchange.anomalies.contains(anomaly)) else {
        return 0;
    };
    exchange.anomalies.push(anomaly);
    1
}
