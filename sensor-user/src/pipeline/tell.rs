//! What is told of an exchange, and of what was found.
//!
//! Takes an observation, or what is due. Gives a [`Summary`] or an [`Event`]. Never holds an observed value. Bounded by the labels it copies.

use std::sync::Arc;

use crate::detect::Observation;
use crate::exchange::trace::TraceContext;
use crate::exchange::{AuthScheme, Caller, CallerHash, Connection};
use crate::export::{Event, Summary};
use crate::incident::alerts::Told;
use crate::kubernetes::{Directory, Peers};

/// The caller, and the scheme of the credential that names it best; a session that no name gave away is one.
fn known_caller(seen: &Observation<'_>) -> Option<(AuthScheme, CallerHash)> {
    let id = seen.caller.id.filter(|_| seen.caller.is_known())?;
    Some(match seen.exchange.caller {
        Caller::Known { scheme, .. } => (scheme, id.0),
        Caller::Anonymous | Caller::Unseen => (AuthScheme::Session, id.0),
    })
}

/// The pods at both ends. The peer's by its address: not where the evidence for addresses contradicts itself.
pub(super) fn pods(connection: &Connection, directory: Option<&Directory>) -> Peers {
    let Some(directory) = directory else {
        return Peers::default();
    };
    let uid = connection
        .container
        .as_deref()
        .and_then(|container| container.pod.as_deref());
    let remote = connection.remote.filter(|_| !connection.ambiguous);
    Peers {
        own: uid.and_then(|uid| directory.by_uid(uid)),
        peer: remote.and_then(|(address, _)| directory.by_address(address)),
    }
}

/// Of one exchange.
pub(super) fn summary(seen: &Observation<'_>, pods: Peers) -> Summary {
    let exchange = seen.exchange;
    let response = exchange.outcome.response();
    let whole = exchange.request.body.is_whole() && response.is_some_and(|response| response.body.is_whole());
    Summary {
        time_ns: exchange.request.time_ns.0,
        endpoint: Arc::clone(seen.endpoint),
        connection: Arc::clone(&exchange.connection),
        pods,
        status: response.map_or(0, |response| response.status),
        duration_ns: response.map(|response| response.time_ns.1.saturating_sub(exchange.request.time_ns.0)),
        body_bytes: (
            exchange.request.body.total,
            response.map_or(0, |response| response.body.total),
        ),
        caller: known_caller(seen),
        data: seen
            .labels
            .found
            .iter()
            .map(|label| (label.place.half, label.kind, label.count))
            .collect(),
        calls: seen.labels.calls.clone(),
        part: exchange.part,
        early_data: exchange.request.early_data,
        partial: !whole,
        trace: TraceContext::of(&exchange.request.head),
    }
}

/// Of what was found.
pub(super) fn event(told: Told) -> Event {
    match told {
        Told::Finding(finding) => Event::Finding(finding),
        Told::Incident(incident) => Event::Incident(incident),
        Told::Held(held) => Event::Held(held),
    }
}
