//! Both ends of a connection on one host: one exchange, the server's view first.
//!
//! Takes exchanges of all connections. Gives each at most once. Never drops a view whose other was not handed on: the
//! client's waits for the server's, at most [`WAIT_NS`], and goes on alone when none comes. Only connections whose peer
//! is on this host wait: loopback, or an address that a watched process has had as its own. Bounded by [`HELD`] and
//! [`TOLD`].

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use super::call::CallKind;
use super::{Connection, Exchange};
use crate::capture::Role;

/// How long a client's view waits. The server's may be held for a record out of order (50 ms), for its binding
/// (100 ms), and for its turn in another thread.
const WAIT_NS: u64 = 500_000_000;
/// How long a server's view is remembered after it was handed on.
const REMEMBER_NS: u64 = 2_000_000_000;
/// Views of one exchange overlap in time; calls return a moment after the bytes are on their way.
const SLACK_NS: u64 = 5_000_000;
/// Clients' views waiting at most; the oldest goes on alone.
const HELD: usize = 4096;
/// Bytes of them at most: 1,024 with a body at its limit each.
const HELD_BYTES: usize = 64 * 1024 * 1024;
/// Servers' views remembered at most; the oldest is forgotten.
const TOLD: usize = 16_384;
/// Addresses of this host remembered at most.
const ADDRESSES: usize = 1024;

/// A view of an exchange, and what is known about it.
pub trait View: AsRef<Exchange> {
    /// Bytes it holds beside the exchange.
    fn bytes_beside(&self) -> usize;
}

fn weight(view: &impl View) -> usize {
    view.as_ref().held_bytes() + view.bytes_beside()
}

/// Exchanges on their way to the judge. `T` is an exchange and what is known about it.
#[derive(Debug)]
pub struct Ends<T> {
    /// Clients' views by arrival; taken ones leave a hole. The first has number `first`.
    held: VecDeque<Option<Held<T>>>,
    first: u64,
    /// Bytes of what is held.
    bytes: usize,
    waiting: FxHashMap<u64, VecDeque<u64>>,
    /// Servers' views by arrival, and by what they have in common with the client's.
    told: VecDeque<Told>,
    views: FxHashMap<u64, VecDeque<Span>>,
    addresses: FxHashSet<IpAddr>,
    suppressed: u64,
}

#[derive(Debug)]
struct Held<T> {
    view: T,
    common: u64,
    span: Span,
    due_ns: u64,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    common: u64,
    until_ns: u64,
}

/// First and last moment of an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Span(u64, u64);

impl Span {
    const fn overlaps(self, other: Self) -> bool {
        self.0 <= other.1.saturating_add(SLACK_NS) && other.0 <= self.1.saturating_add(SLACK_NS)
    }
}

impl<T> Default for Ends<T> {
    fn default() -> Self {
        Self {
            held: VecDeque::new(),
            first: 0,
            bytes: 0,
            waiting: FxHashMap::default(),
            told: VecDeque::new(),
            views: FxHashMap::default(),
            addresses: FxHashSet::default(),
            suppressed: 0,
        }
    }
}

impl<T: View> Ends<T> {
    /// Takes one view; `sink` gets what is to be told. `now_ns` is on the clock of the exchanges.
    pub fn push(&mut self, view: T, now_ns: u64, sink: &mut dyn FnMut(T)) {
        self.tick(now_ns, sink);
        let exchange = view.as_ref();
        let Some(common) = self.common(exchange) else {
            return sink(view);
        };
        let span = span(exchange);
        if exchange.connection.role == Role::Server {
            if !self.take_held(common, span) {
                self.remember(common, span, now_ns);
            }
            return sink(view);
        }
        if self.take_told(common, span) {
            self.suppressed += 1;
            return;
        }
        self.bytes += weight(&view);
        while self.held.len() >= HELD || (self.bytes > HELD_BYTES && !self.held.is_empty()) {
            self.release(sink);
        }
        let number = self.first.wrapping_add(self.held.len() as u64);
        self.waiting.entry(common).or_default().push_back(number);
        self.held.push_back(Some(Held {
            view,
            common,
            span,
            due_ns: now_ns.saturating_add(WAIT_NS),
        }));
    }

    /// Lets time pass: views that waited long enough go on alone.
    pub fn tick(&mut self, now_ns: u64, sink: &mut dyn FnMut(T)) {
        while self
            .held
            .front()
            .is_some_and(|held| held.as_ref().is_none_or(|held| held.due_ns <= now_ns))
        {
            self.release(sink);
        }
        while self.told.front().is_some_and(|told| told.until_ns <= now_ns) {
            self.forget();
        }
    }

    /// Hands on what still waits: there is no more.
    pub fn finish(&mut self, sink: &mut dyn FnMut(T)) {
        while !self.held.is_empty() {
            self.release(sink);
        }
    }

    /// Places of views that wait.
    pub fn waiting(&self) -> usize {
        self.held.len()
    }

    /// Views since the last call of exchanges that were told from the other end.
    pub fn take_suppressed(&mut self) -> u64 {
        std::mem::take(&mut self.suppressed)
    }

    /// What both views of an exchange have in common; `None` when the other end cannot be on this host, or is not
    /// known for sure.
    fn common(&mut self, exchange: &Exchange) -> Option<u64> {
        let connection = &*exchange.connection;
        let ((local, _), (remote, _)) = (connection.local?, connection.remote?);
        if connection.ambiguous || connection.evidence.is_none() {
            return None;
        }
        if self.addresses.len() < ADDRESSES {
            self.addresses.insert(local);
        }
        if !remote.is_loopback() && !self.addresses.contains(&remote) {
            return None;
        }
        common(connection, exchange)
    }

    /// Whether a client's view of the same exchange waits; it goes no further.
    fn take_held(&mut self, common: u64, span: Span) -> bool {
        let Some(numbers) = self.waiting.get_mut(&common) else {
            return false;
        };
        let (held, first) = (&mut self.held, self.first);
        let place = |number: u64| usize::try_from(number.wrapping_sub(first)).unwrap_or(usize::MAX);
        let overlapping = numbers.iter().position(|number| {
            let one = held.get(place(*number)).and_then(Option::as_ref);
            one.is_some_and(|one| one.span.overlaps(span))
        });
        let Some(number) = overlapping.and_then(|index| numbers.remove(index)) else {
            return false;
        };
        if numbers.is_empty() {
            self.waiting.remove(&common);
        }
        if let Some(taken) = held.get_mut(place(number)).and_then(Option::take) {
            self.bytes = self.bytes.saturating_sub(weight(&taken.view));
        }
        self.suppressed += 1;
        true
    }

    /// Whether the server's view of the same exchange was told. Each is the other end of one view only.
    fn take_told(&mut self, common: u64, span: Span) -> bool {
        let Some(views) = self.views.get_mut(&common) else {
            return false;
        };
        let found = views.iter().position(|view| view.overlaps(span));
        let taken = found.and_then(|index| views.remove(index)).is_some();
        if views.is_empty() {
            self.views.remove(&common);
        }
        taken
    }

    fn remember(&mut self, common: u64, span: Span, now_ns: u64) {
        if self.told.len() >= TOLD {
            self.forget();
        }
        self.views.entry(common).or_default().push_back(span);
        self.told.push_back(Told {
            common,
            until_ns: now_ns.saturating_add(REMEMBER_NS),
        });
    }

    fn forget(&mut self) {
        let Some(told) = self.told.pop_front() else { return };
        let Some(views) = self.views.get_mut(&told.common) else {
            return;
        };
        // As many are remembered as were told and not taken, so a taken one's turn may forget a later one early: it
        // has waited as long as there were others of its kind.
        views.pop_front();
        if views.is_empty() {
            self.views.remove(&told.common);
        }
    }

    /// The view that waits longest goes on.
    fn release(&mut self, sink: &mut dyn FnMut(T)) {
        let number = self.first;
        self.first = self.first.wrapping_add(1);
        let Some(held) = self.held.pop_front().flatten() else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(weight(&held.view));
        if let Some(numbers) = self.waiting.get_mut(&held.common) {
            numbers.retain(|one| *one != number);
            if numbers.is_empty() {
                self.waiting.remove(&held.common);
            }
        }
        sink(held.view);
    }
}

/// A hash of the connection's two ends and of the request line.
fn common(connection: &Connection, exchange: &Exchange) -> Option<u64> {
    let (server, client) = match connection.role {
        Role::Server => (connection.local?, connection.remote?),
        Role::Client => (connection.remote?, connection.local?),
        Role::Unknown => return None,
    };
    let request = &exchange.request;
    let line = (
        server,
        client,
        connection.tls,
        request.method(),
        request.target().expose(),
        part_bytes(exchange),
    );
    let mut hasher = FxBuildHasher.build_hasher();
    std::hash::Hash::hash(&line, &mut hasher);
    Some(hasher.finish())
}

/// Messages and events of one connection share its request line; their sizes tell them apart.
fn part_bytes(exchange: &Exchange) -> Option<(u64, u64)> {
    let kind = exchange.calls.first()?.kind;
    let is_part = matches!(kind, CallKind::WebSocket | CallKind::ServerSentEvent);
    let answered = exchange
        .outcome
        .response()
        .map_or(0, |response| response.body.total);
    is_part.then_some((exchange.request.body.total, answered))
}

fn span(exchange: &Exchange) -> Span {
    let (begin, mut end) = exchange.request.time_ns;
    if let Some(response) = exchange.outcome.response() {
        end = end.max(response.time_ns.1);
    }
    Span(begin, end)
}

#[cfg(test)]
mod tests;
