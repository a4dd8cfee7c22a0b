//! Which label values metrics may have: a bounded set, so that no peer can make the sensor remember without end.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::{Summary, wording};
use crate::capture::Role;
use crate::exchange::call::CallKind;
use crate::exchange::{Method, PartKind};
use crate::inventory::EndpointRef;

/// What takes the place of labels beyond the bound (as OpenTelemetry's conventions do for methods).
pub const OTHER: &str = "_OTHER";

/// Labels of one call. Ordered and hashable: the key of a series.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Labels {
    /// Server side of the call; otherwise client side.
    pub server: bool,
    /// Method.
    pub method: Method,
    /// Host, or [`OTHER`].
    pub host: Box<str>,
    /// Template, or [`OTHER`].
    pub route: Box<str>,
    /// Status code; 0 when none was seen or when it is beyond the bound.
    pub status: u16,
    /// Kind of the first call of an API inside; `None` for plain REST and beyond the bound.
    pub call: Option<CallKind>,
    /// It is a part of a longer exchange.
    pub part: Option<PartKind>,
}

impl Labels {
    /// `error.type` of the HTTP conventions: the code, where it is an error of the side that is measured.
    pub fn is_error(&self) -> bool {
        self.status >= if self.server { 500 } else { 400 }
    }
}

/// What the counter of parts counts.
pub const MESSAGES: &str = "Messages of WebSockets and server-sent events.";

/// What makes a series: side, endpoint, status, kind of call, part.
type Key = (bool, EndpointRef, u16, Option<CallKind>, Option<PartKind>);

/// Series at most, overflow excepted. The OpenTelemetry SDK itself folds everything beyond 2,000 into one.
pub const MOST: usize = 1_500;

/// What an output keeps of each series, up to a bound.
#[derive(Debug)]
pub struct Series<T> {
    known: HashMap<Key, T>,
    /// Of those beyond the bound: at most eighty.
    others: BTreeMap<Labels, T>,
    most: usize,
}

impl<T> Series<T> {
    /// Admits up to `most` series.
    pub fn new(most: usize) -> Self {
        Self {
            known: HashMap::new(),
            others: BTreeMap::new(),
            most,
        }
    }

    /// What is kept of the series of a call, made when it is new. Its labels are the call's own while there is room, else
    /// [`OTHER`] without a status. A process whose end is not known counts as a server, because requests arrive at more
    /// processes than send any.
    pub fn of(&mut self, call: &Summary, make: impl FnOnce(&Labels) -> T) -> &mut T {
        let server = call.connection.role != Role::Client;
        let kind = call.calls.first().map(|call| call.kind);
        let key = (
            server,
            EndpointRef::clone(&call.endpoint),
            call.status,
            kind,
            call.part,
        );
        let method = call.endpoint.method;
        let has_room = self.known.len() < self.most;
        match self.known.entry(key) {
            Entry::Occupied(known) => return known.into_mut(),
            Entry::Vacant(place) if has_room => {
                let text = |text: &str| wording::clean(text).into();
                return place.insert(make(&Labels {
                    server,
                    method,
                    host: text(&call.endpoint.host),
                    route: text(&call.endpoint.template),
                    status: call.status,
                    call: kind,
                    part: call.part,
                }));
            }
            Entry::Vacant(_) => {}
        }
        let labels = Labels {
            server,
            method,
            host: OTHER.into(),
            route: OTHER.into(),
            status: 0,
            call: None,
            part: call.part,
        };
        self.others.entry(labels).or_insert_with_key(make)
    }
}

/// Upper bounds of the buckets of a duration, in seconds: those of OpenTelemetry's HTTP conventions.
pub const DURATION_BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::sample;

    #[test]
    fn what_is_beyond_the_bound_shares_one_series() {
        let mut series = Series::new(2);
        let mut call = sample::summary(Role::Server);
        let mut of = |template: &str, status| {
            call.endpoint = sample::endpoint("h", template);
            call.status = status;
            series.of(&call, Labels::clone).clone()
        };
        assert_eq!(&*of("/a", 200).route, "/a");
        assert_eq!(&*of("/a", 500).route, "/a");
        let other = of("/b", 200);
        assert_eq!((&*other.host, &*other.route, other.status), (OTHER, OTHER, 0));
        assert_eq!(of("/c", 404), other);
        assert_eq!(of("/a", 200).status, 200, "known ones stay");
    }
}
