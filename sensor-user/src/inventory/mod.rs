//! Exchanges to endpoints: which API was called.
//!
//! Takes an exchange. Gives an [`Endpoint`] whose text holds no observed value, and what is known of it.
//! Never reads the clock. Bounded by [`Limits`].

mod host;
pub mod schema;
mod snapshot;
mod template;

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::exchange::{Caller, Exchange, Method, Secret};
use crate::telemetry::{Counters, Metric};
pub use snapshot::Snapshot;
use template::{NodeId, Templates};

/// An API endpoint. Its text is safe to show: values in the path became `{...}`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Endpoint {
    /// Method.
    pub method: Method,
    /// Host from the `Host` header without its port, lower case; `-` when absent or not a host name.
    pub host: Box<str>,
    /// Path template, such as `/users/{id}`.
    pub template: Box<str>,
}

/// Shared endpoint.
pub type EndpointRef = Arc<Endpoint>;

/// Bounds of the inventory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Endpoints remembered; further ones are counted as overflow and not judged by history.
    pub endpoints: usize,
    /// Bytes of a template.
    pub template_bytes: usize,
    /// Distinct literals under one parent before further ones become `{param}`.
    pub siblings: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            endpoints: 10_000,
            template_bytes: 512,
            siblings: 64,
        }
    }
}

/// What is known of one endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct History {
    /// Exchanges seen.
    pub exchanges: u64,
    /// Successes ([`Exchange::is_success`]) with credentials; parts of longer exchanges are none of their own.
    pub success_known: u64,
    /// Successes without credentials, where the head was whole.
    pub success_anonymous: u64,
}

/// Every endpoint seen, with its history.
#[derive(Debug)]
pub struct Inventory {
    limits: Limits,
    templates: Templates,
    hosts: HashMap<Box<str>, u32>,
    /// Invariant: values are indices into `endpoints`. Its keys are numbers that were given here, so nobody chooses them.
    index: FxHashMap<(Method, u32, NodeId), usize>,
    endpoints: Vec<(EndpointRef, History)>,
    /// The host under way; kept for its memory.
    host: String,
    counters: Arc<Counters>,
}

/// Nodes per endpoint that the trie may hold: a template of four steps shares most of them with its siblings.
const NODES_PER_ENDPOINT: usize = 4;

impl Inventory {
    /// An empty inventory.
    pub fn new(limits: Limits, counters: Arc<Counters>) -> Self {
        let nodes = limits.endpoints.saturating_mul(NODES_PER_ENDPOINT);
        Self {
            limits,
            templates: Templates::new(nodes, limits.siblings, limits.template_bytes),
            hosts: HashMap::new(),
            index: FxHashMap::default(),
            endpoints: Vec::new(),
            host: String::new(),
            counters,
        }
    }

    /// Names the endpoint of an exchange and gives what was known of it before this exchange, then learns from it.
    pub fn observe(&mut self, exchange: &Exchange) -> (EndpointRef, History) {
        let request = &exchange.request;
        let method = Method::of(request.method());
        let node = self.templates.learn(request.target().expose());
        let field = request.head.header("host").map(Secret::expose);
        host::write(field, &mut self.host);
        let number = node.and_then(|node| self.known(method, node).or_else(|| self.remember(method, node)));
        if let Some((endpoint, history)) = number.and_then(|number| self.endpoints.get_mut(number)) {
            let before = *history;
            history.learn(exchange);
            return (Arc::clone(endpoint), before);
        }
        self.counters.add(Metric::EndpointsOverflow, 1);
        (Arc::new(self.describe(method, node)), History::default())
    }

    /// Endpoints remembered, in the order in which they were first seen.
    pub fn endpoints(&self) -> impl Iterator<Item = (&EndpointRef, &History)> {
        self.endpoints
            .iter()
            .map(|(endpoint, history)| (endpoint, history))
    }

    fn known(&self, method: Method, node: NodeId) -> Option<usize> {
        let host = self.hosts.get(self.host.as_str())?;
        self.index.get(&(method, *host, node)).copied()
    }

    /// Adds the endpoint with the host under way; `None` when there is no room.
    fn remember(&mut self, method: Method, node: NodeId) -> Option<usize> {
        if self.endpoints.len() >= self.limits.endpoints {
            return None;
        }
        let next = u32::try_from(self.hosts.len()).ok()?;
        let host = match self.hosts.get(self.host.as_str()) {
            Some(host) => *host,
            None => *self.hosts.entry(self.host.as_str().into()).or_insert(next),
        };
        let number = self.endpoints.len();
        let endpoint = self.describe(method, Some(node));
        self.endpoints.push((Arc::new(endpoint), History::default()));
        self.index.insert((method, host, node), number);
        Some(number)
    }

    fn describe(&self, method: Method, node: Option<NodeId>) -> Endpoint {
        let template = node.map_or_else(|| "/{rest}".to_owned(), |node| self.templates.render(node));
        Endpoint {
            method,
            host: self.host.as_str().into(),
            template: template.into(),
        }
    }
}

impl History {
    fn learn(&mut self, exchange: &Exchange) {
        self.exchanges += 1;
        let success = exchange.part.is_none() && exchange.is_success();
        match exchange.caller {
            Caller::Known { .. } if success => self.success_known += 1,
            Caller::Anonymous if success => self.success_anonymous += 1,
            Caller::Known { .. } | Caller::Anonymous | Caller::Unseen => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::PartKind;
    use crate::exchange::call::{CallKind, CallOutcome};
    use crate::exchange::test_support::Builder;

    fn inventory(endpoints: usize) -> (Inventory, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let limits = Limits {
            endpoints,
            ..Limits::default()
        };
        (Inventory::new(limits, Arc::clone(&counters)), counters)
    }

    #[test]
    fn history_is_what_was_known_before() {
        let (mut inventory, _) = inventory(10);
        let known = Builder::get("/users/1").known().build();
        let anonymous = Builder::get("/users/2").build();
        let refused = Builder::get("/users/3").status(401).build();
        let unseen = Builder::get("/users/4").caller(Caller::Unseen).build();
        let (endpoint, first) = inventory.observe(&known);
        assert_eq!(
            (&*endpoint.host, &*endpoint.template),
            ("api.example.com", "/users/{id}")
        );
        assert_eq!(first, History::default());
        inventory.observe(&anonymous);
        inventory.observe(&refused);
        inventory.observe(&unseen);
        let (again, history) = inventory.observe(&known);
        assert!(Arc::ptr_eq(&endpoint, &again));
        assert_eq!(
            history,
            History {
                exchanges: 4,
                success_known: 1,
                success_anonymous: 1
            }
        );
    }

    #[test]
    fn parts_and_refusals_are_no_successes() {
        let (mut inventory, _) = inventory(10);
        let refused = |code| Builder::get("/a").call(CallKind::Grpc, CallOutcome::Failure(code));
        inventory.observe(&Builder::get("/a").known().part(PartKind::Event).build());
        inventory.observe(&refused(16).build());
        inventory.observe(&refused(16).known().build());
        let (_, history) = inventory.observe(&Builder::get("/a").build());
        let expected = History {
            exchanges: 3,
            ..History::default()
        };
        assert_eq!(history, expected);
    }

    #[test]
    fn methods_and_hosts_tell_endpoints_apart() {
        let (mut inventory, _) = inventory(10);
        inventory.observe(&Builder::get("/a").build());
        inventory.observe(&Builder::post("/a").build());
        inventory.observe(&Builder::get("/a").field("Host", "other.example.com").build());
        inventory.observe(&Builder::get("/a").field("Host", "API.example.com:443").build());
        assert_eq!(inventory.endpoints().count(), 3);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let (mut inventory, counters) = inventory(1);
        inventory.observe(&Builder::get("/a").build());
        let (endpoint, _) = inventory.observe(&Builder::get("/b").field("Host", "x.example.com").build());
        assert_eq!((&*endpoint.template, &*endpoint.host), ("/b", "x.example.com"));
        inventory.observe(&Builder::get("/a").build());
        assert_eq!(counters.value(Metric::EndpointsOverflow), 1);
        assert_eq!(inventory.hosts.len(), 1);
    }
}
