//! Exchanges to endpoints: which API was called.
//!
//! Takes an exchange and the calls in it. Gives an [`Endpoint`] whose text holds no observed value, and what is known of
//! it. Only what was answered as existing is kept; probes are counted apart. Never reads the clock. Bounded by [`Limits`].

mod answer;
mod correct;
mod endpoint;
mod host;
mod hosts;
mod operations;
pub mod schema;
mod state;
mod template;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::classify::ShownCall;
use crate::exchange::call::CallKind;
use crate::exchange::{Exchange, Method, Secret};
use crate::telemetry::{Counters, Metric};
use answer::Answer;
pub use correct::Change;
pub use endpoint::{Endpoint, EndpointId, EndpointKind, EndpointRef, History, Standing};
use hosts::Hosts;
pub use hosts::Probes;
use operations::{METHODS, Operations};
pub use state::{State, StateError};
use template::{CONFIRMED, NO_SLOT, NodeId, Steps, Tree};
pub use template::{PathValue, PathValues, ValueKind};

/// Bounds of the inventory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Endpoints remembered; further ones are counted as overflow and not judged by history.
    pub endpoints: usize,
    /// Bytes of a template.
    pub template_bytes: usize,
    /// Names of operations (GraphQL, gRPC, SOAP, RPC) told apart; further ones are `*`.
    pub operations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            endpoints: 10_000,
            template_bytes: 512,
            operations: 4_096,
        }
    }
}

/// What an exchange was a call of.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// What it was called first: the same whatever its template is corrected to. `None` for what is not kept.
    pub identity: Option<EndpointId>,
    /// What was known of it before this exchange.
    pub history: History,
    /// Whether it exists.
    pub standing: Standing,
    /// How sure its template is, in hundredths.
    pub confidence: u8,
}

impl Seen {
    /// It is in the inventory, so that more may be learnt of it. Probes are not, nor what there was no room for.
    pub const fn is_kept(&self) -> bool {
        self.identity.is_some()
    }
}

/// One endpoint and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The endpoint.
    pub endpoint: &'a EndpointRef,
    /// Its history.
    pub history: &'a History,
    /// Whether it exists.
    pub standing: Standing,
    /// How sure its template is, in hundredths.
    pub confidence: u8,
    /// Answers that say that it exists.
    pub answered: u64,
    /// Nanoseconds of its first and last exchange.
    pub seen_ns: (u64, u64),
}

/// Nodes per endpoint that the tree may hold: a template of four steps shares most of them with its siblings.
const NODES_PER_ENDPOINT: usize = 4;

#[derive(Clone, Debug)]
struct Known {
    endpoint: EndpointRef,
    /// Its id when it was new. No two have the same.
    identity: EndpointId,
    history: History,
    answered: u64,
    seen_ns: (u64, u64),
    host: u32,
    node: NodeId,
    key: u32,
    /// Observation that came last.
    used: u64,
}

/// Every endpoint seen, with its history.
#[derive(Debug)]
pub struct Inventory {
    limits: Limits,
    tree: Tree,
    hosts: Hosts,
    /// Invariant: a slot of the tree is an index into it.
    known: Vec<Option<Known>>,
    free: Vec<u32>,
    /// Identities of endpoints that were called otherwise since: a new one of that name needs another.
    taken: HashSet<EndpointId>,
    operations: Operations,
    changes: VecDeque<Change>,
    observations: u64,
    hand: usize,
    /// The host under way; kept for its memory.
    host: String,
    counters: Arc<Counters>,
}

/// Where an exchange belongs.
#[derive(Clone, Copy)]
struct Place {
    host: u32,
    node: NodeId,
    key: u32,
    /// By an error, at what ends with values where the path has words: that they are values is not known.
    refused: bool,
}

impl Inventory {
    /// An empty inventory.
    pub fn new(limits: Limits, counters: Arc<Counters>) -> Self {
        Self::with_seed(limits, counters, 0)
    }

    /// An empty inventory whose hashes of values follow from a seed; the installation's key gives it.
    pub fn with_seed(limits: Limits, counters: Arc<Counters>, seed: u64) -> Self {
        let nodes = limits.endpoints.saturating_mul(NODES_PER_ENDPOINT);
        Self {
            limits,
            tree: Tree::new(nodes.saturating_add(hosts::MAX_HOSTS), seed),
            hosts: Hosts::default(),
            known: Vec::new(),
            free: Vec::new(),
            taken: HashSet::new(),
            operations: Operations::default(),
            changes: VecDeque::new(),
            observations: 0,
            hand: 0,
            host: String::new(),
            counters,
        }
    }

    /// Names the endpoint of an exchange and gives what was known of it before this exchange, then learns from it.
    /// `calls` are those that were found in it; each further one counts for an endpoint of its own.
    pub fn observe(&mut self, exchange: &Exchange, calls: &[ShownCall]) -> Seen {
        self.observations += 1;
        let field = exchange.request.head.header("host").map(Secret::expose);
        host::write(field, &mut self.host);
        let seen = self.observe_one(exchange, calls.first());
        for (number, call) in calls.iter().enumerate().skip(1) {
            let before = calls.get(..number).unwrap_or_default();
            if !before
                .iter()
                .any(|known| known.kind == call.kind && known.name == call.name)
            {
                self.observe_one(exchange, Some(call));
            }
        }
        seen
    }

    /// Endpoints known, in no particular but a stable order.
    pub fn endpoints(&self) -> impl Iterator<Item = Entry<'_>> {
        self.known.iter().flatten().map(|known| Entry {
            endpoint: &known.endpoint,
            history: &known.history,
            standing: known.standing(),
            confidence: self.confidence(known.node),
            answered: known.answered,
            seen_ns: known.seen_ns,
        })
    }

    /// Bytes it holds, names of operations excepted.
    pub fn held_bytes(&self) -> usize {
        let endpoints = self.known.iter().flatten();
        let names: usize = endpoints
            .map(|known| size_of::<Endpoint>() + known.endpoint.host.len() + known.endpoint.template.len())
            .sum();
        size_of::<Self>()
            + self.tree.held_bytes()
            + self.known.capacity() * size_of::<Option<Known>>()
            + self.free.capacity() * size_of::<u32>()
            + self.taken.capacity() * size_of::<EndpointId>()
            + self.changes.capacity() * size_of::<Change>()
            + self.hosts.all.capacity() * size_of::<hosts::Host>()
            + names
    }

    /// Hosts and what was asked of each in vain.
    pub fn probes(&self) -> impl Iterator<Item = (&str, &Probes)> {
        self.hosts.all.iter().map(|host| (&*host.name, &host.probes))
    }

    /// Values of the parameters of the endpoint that was observed last; positions are those in the request's target.
    pub fn path_values(&self, target: &[u8]) -> PathValues {
        let path = answer::path(target);
        let start = path.as_ptr().addr().saturating_sub(target.as_ptr().addr());
        let mut values = self.tree.values(path);
        for value in &mut values {
            value.start = value
                .start
                .saturating_add(u16::try_from(start).unwrap_or(u16::MAX));
        }
        values
    }

    /// What changed since this was called last: to be taken after each exchange, for beyond a bound the oldest are lost.
    pub fn take_changes(&mut self) -> impl Iterator<Item = Change> {
        self.changes.drain(..)
    }

    fn observe_one(&mut self, exchange: &Exchange, call: Option<&ShownCall>) -> Seen {
        let method = Method::of(exchange.request.method());
        let path = answer::path(exchange.request.target().expose());
        let answer = Answer::of(exchange);
        let place = self.locate(exchange, path, call, answer);
        let Some(place) = place else {
            return self.probe(method, path, call, answer);
        };
        let slot = if place.refused {
            self.tree.slot(place.node, place.key)
        } else {
            self.tree.count(path, place.key)
        };
        let slot = slot
            .filter(|slot| *slot != NO_SLOT)
            .or_else(|| self.remember(place, method, exchange));
        let Some(slot) = slot else {
            self.counters.add(Metric::EndpointsOverflow, 1);
            return self.describe(place, method, call);
        };
        let history = self.learn(slot, exchange, answer);
        let mut slot = slot;
        if self.tree.settle() || self.tree.is_corrected() {
            self.correct();
            // The path may lead elsewhere now.
            let node = self.tree.find_again(path);
            slot = node
                .and_then(|node| self.tree.slot(node, place.key))
                .unwrap_or(slot);
        }
        self.seen(slot, history)
    }

    /// Where the exchange belongs: to what is known, or to what becomes known by its answer.
    fn locate(
        &mut self,
        exchange: &Exchange,
        path: &[u8],
        call: Option<&ShownCall>,
        answer: Answer,
    ) -> Option<Place> {
        let response = exchange.outcome.response();
        let success = response.is_some_and(|response| response.status < 400);
        let creates = answer == Answer::Exists && (success || answer::is_plain(path));
        let length = response.map_or(0, |response| response.body.total);
        let method = Method::of(exchange.request.method());
        let key = self.key(method, call, creates)?;
        let host = match self.hosts.find(&self.host) {
            Some(host) => host,
            None if creates => {
                let root = self.tree.plant()?;
                self.hosts.add(&self.host, root)?
            }
            None => return None,
        };
        let root = self.hosts.get(host)?.root;
        // The path of gRPC is its operation.
        let grpc = call.is_some_and(|call| matches!(call.kind, CallKind::Grpc | CallKind::GrpcWeb));
        let steps = if grpc { Steps::None } else { Steps::All };
        let at = |node, refused| Place {
            host,
            node,
            key,
            refused,
        };
        let found = self.tree.find(root, path, steps);
        if let Some(node) = found.filter(|node| self.tree.slot(*node, key).is_some()) {
            if answer == Answer::Exists {
                self.hosts.get_mut(host)?.answered(length);
            }
            return Some(at(node, false));
        }
        if !creates {
            return None;
        }
        // An error proves that a route read what was sent, not that the path's words are the route's own.
        if !success && let Some(node) = self.tree.find_as_values(root, path, key) {
            return Some(at(node, true));
        }
        if let Some(node) = found {
            return Some(at(node, false));
        }
        if (success && self.hosts.get_mut(host)?.is_soft(length)) || !self.tree.grow(root, path) {
            return None;
        }
        let node = self.tree.find(root, path, steps)?;
        Some(at(node, false))
    }

    /// What ends at a node is told apart by this.
    fn key(&mut self, method: Method, call: Option<&ShownCall>, creates: bool) -> Option<u32> {
        let Some(call) = call.filter(|call| !call.name.is_empty()) else {
            return Some(method as u32);
        };
        self.operations.key(call, creates, self.limits.operations)
    }

    /// Counts an exchange; gives the history before.
    fn learn(&mut self, slot: u32, exchange: &Exchange, answer: Answer) -> History {
        let observations = self.observations;
        let Some(known) = self.known.get_mut(slot as usize).and_then(Option::as_mut) else {
            return History::default();
        };
        let before = known.history;
        known.history.learn(exchange);
        known.answered += u64::from(answer == Answer::Exists);
        known.used = observations;
        let time_ns = exchange.request.time_ns.0;
        known.seen_ns = (known.seen_ns.0.min(time_ns), known.seen_ns.1.max(time_ns));
        before
    }

    fn seen(&self, slot: u32, history: History) -> Seen {
        let known = self.known.get(slot as usize).and_then(Option::as_ref);
        known.map_or_else(
            || self.nowhere(),
            |known| Seen {
                endpoint: Arc::clone(&known.endpoint),
                identity: Some(known.identity),
                history,
                standing: known.standing(),
                confidence: self.confidence(known.node),
            },
        )
    }

    /// Cannot happen: a slot without endpoint. Told as a probe rather than with a wrong name.
    fn nowhere(&self) -> Seen {
        let endpoint = Endpoint::rest(Method::Other, &self.host, "/{rest}");
        Seen {
            endpoint: Arc::new(endpoint),
            identity: None,
            history: History::default(),
            standing: Standing::Probe,
            confidence: 0,
        }
    }

    /// What is no endpoint: counted with its host, and named by what is known of its path.
    fn probe(&mut self, method: Method, path: &[u8], call: Option<&ShownCall>, answer: Answer) -> Seen {
        let host = self.hosts.find(&self.host);
        if let Some(host) = host.and_then(|host| self.hosts.get_mut(host)) {
            host.probed(answer);
        }
        self.counters.add(Metric::Probes, 1);
        let root = host.and_then(|host| self.hosts.get(host)).map(|host| host.root);
        let template = self.tree.describe(root, path, self.limits.template_bytes);
        let (kind, operation) = of_call(call);
        Seen {
            endpoint: Arc::new(Endpoint::new(kind, method, &self.host, &template, operation)),
            identity: None,
            history: History::default(),
            standing: Standing::Probe,
            confidence: 0,
        }
    }

    fn describe(&self, place: Place, method: Method, call: Option<&ShownCall>) -> Seen {
        let (kind, operation) = of_call(call);
        let template = self.template(place.node, kind, operation);
        Seen {
            endpoint: Arc::new(Endpoint::new(
                kind,
                method,
                self.host_name(place.host),
                &template,
                operation,
            )),
            identity: None,
            history: History::default(),
            standing: Standing::Tentative,
            confidence: self.confidence(place.node),
        }
    }

    fn template(&self, node: NodeId, kind: EndpointKind, operation: Option<&str>) -> String {
        match (kind, operation) {
            (EndpointKind::Call(CallKind::Grpc | CallKind::GrpcWeb), Some(operation)) => {
                format!("/{operation}")
            }
            _ => self.tree.render(node, self.limits.template_bytes),
        }
    }

    fn host_name(&self, host: u32) -> &str {
        self.hosts.get(host).map_or("-", |host| &host.name)
    }

    fn confidence(&self, node: NodeId) -> u8 {
        self.tree.confidence(node)
    }

    /// Adds an endpoint; `None` when there is no room.
    fn remember(&mut self, place: Place, method: Method, exchange: &Exchange) -> Option<u32> {
        if self.free.is_empty() && self.known.len() >= self.limits.endpoints {
            self.make_room();
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.known.len() < self.limits.endpoints => {
                self.known.push(None);
                u32::try_from(self.known.len() - 1).ok()?
            }
            None => return None,
        };
        let endpoint = Arc::new(self.name(place, method));
        self.tree.set_slot(place.node, place.key, slot);
        let time_ns = exchange.request.time_ns.0;
        let identity = self.identity(&endpoint);
        *self.known.get_mut(slot as usize)? = Some(Known {
            endpoint: Arc::clone(&endpoint),
            identity,
            history: History::default(),
            answered: 0,
            seen_ns: (time_ns, time_ns),
            host: place.host,
            node: place.node,
            key: place.key,
            used: self.observations,
        });
        self.tell(Change::New(endpoint));
        Some(slot)
    }

    /// The id of a new endpoint, unless one that is called otherwise now had it first.
    fn identity(&self, endpoint: &Endpoint) -> EndpointId {
        let mut identity = endpoint.id;
        if self.taken.contains(&identity) {
            let number = self.observations.to_le_bytes();
            let bytes = identity.0.iter_mut().zip(number);
            bytes.for_each(|(byte, number)| *byte ^= number);
        }
        identity
    }

    fn name(&self, place: Place, method: Method) -> Endpoint {
        let call = self.operations.of(place.key);
        let kind = call.map_or(EndpointKind::Rest, |(kind, _)| EndpointKind::Call(*kind));
        let operation = call.map(|(_, name)| &**name);
        let template = self.template(place.node, kind, operation);
        Endpoint::new(kind, method, self.host_name(place.host), &template, operation)
    }
}

impl Known {
    fn standing(&self) -> Standing {
        if self.answered >= u64::from(CONFIRMED) {
            Standing::Known
        } else {
            Standing::Tentative
        }
    }
}

fn of_call(call: Option<&ShownCall>) -> (EndpointKind, Option<&str>) {
    match call.filter(|call| !call.name.is_empty()) {
        Some(call) => (EndpointKind::Call(call.kind), Some(&call.name)),
        None => (EndpointKind::Rest, None),
    }
}

#[cfg(test)]
mod tests;
