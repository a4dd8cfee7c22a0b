//! The stages of the pipeline one by one, each over a round of calls, as [`sensor_user::pipeline`] joins them.

use std::hint::black_box;
use std::sync::Arc;

use sensor_user::callers::{Callers, Resolved};
use sensor_user::capture::Record;
use sensor_user::detect::{self, Engine, Observation};
use sensor_user::exchange::secret::HashKey;
use sensor_user::exchange::{Body, Conversations, Exchange};
use sensor_user::export::Event;
use sensor_user::flow::FlowTable;
use sensor_user::inventory::schema::{self, Schemas};
use sensor_user::inventory::{self, Inventory};
use sensor_user::pipeline::{Judge, Observed, Settings, Shard};
use sensor_user::protocol::document::Documents;
use sensor_user::protocol::walk::{Container, Scalar, Text, Visitor};
use sensor_user::telemetry::Counters;

use super::estate::{Call, OBJECTS, OPERATIONS, Wire, mixed};

/// Calls of a round.
pub(crate) const CALLS: usize = 1024;
/// Hosts, nouns of each and callers: 288 endpoints.
const HOSTS: usize = 4;
const USED_NOUNS: usize = 12;
const CALLERS: usize = 400;
const CONNECTIONS: usize = 128;
/// Between two rounds: callers come back after minutes.
const PAUSE_NS: u64 = 30_000_000_000;

/// Everything that the stages keep.
pub(crate) struct Stages {
    wire: Wire,
    bind: Vec<Record>,
    flow: FlowTable,
    conversations: Conversations,
    documents: Documents,
    shard: Shard,
    callers: Callers,
    inventory: Inventory,
    schemas: Schemas,
    engine: Engine,
    judge: Judge,
}

/// One round on its way through the stages.
pub(crate) struct Round {
    records: [Vec<Record>; 2],
    exchanges: Vec<Exchange>,
    walked: usize,
    observed: Vec<Observed>,
    resolved: Vec<Resolved>,
    seen: Vec<inventory::Seen>,
    told: usize,
    now_ns: u64,
}

/// A stage: the name of its function, and that.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) work: fn(&mut Stages, &mut Round),
}

/// In the order in which a round goes through them. Rules before schemas: what is new is judged before it is known.
pub(crate) const STAGES: [Stage; 8] = [
    Stage {
        name: "heads",
        work: heads,
    },
    Stage {
        name: "bodies",
        work: bodies,
    },
    Stage {
        name: "shard",
        work: shard,
    },
    Stage {
        name: "identity",
        work: identity,
    },
    Stage {
        name: "templates",
        work: templates,
    },
    Stage {
        name: "schemas",
        work: schemas,
    },
    Stage {
        name: "rules",
        work: rules,
    },
    Stage {
        name: "judge",
        work: judge,
    },
];

impl Stages {
    pub(crate) fn new() -> Self {
        let counters = Arc::new(Counters::default());
        let settings = Settings::new(HashKey::new([7; 32]), Arc::clone(&counters));
        let mut bind = Vec::new();
        Self {
            wire: Wire::new(CONNECTIONS, &mut bind),
            bind,
            flow: FlowTable::new(settings.flow, Arc::clone(&counters)),
            conversations: Conversations::new(settings.exchange, settings.key.clone(), Arc::clone(&counters)),
            documents: Documents::new(16 * 1024),
            shard: Shard::new(&settings),
            callers: Callers::new(settings.callers),
            inventory: Inventory::new(settings.inventory, Arc::clone(&counters)),
            schemas: Schemas::new(schema::Limits::default()),
            engine: Engine::new(detect::Limits::default(), Arc::clone(&counters)),
            judge: Judge::new(&settings),
        }
    }

    /// Whether what was measured is the estate, and learnt.
    pub(crate) fn check(&self) {
        let endpoints = self.inventory.endpoints().count();
        assert_eq!(endpoints, HOSTS * USED_NOUNS * OPERATIONS, "endpoints");
        let (established, probation) = self.callers.len();
        assert_eq!((established, probation), (CALLERS, 0), "callers");
    }
}

impl Round {
    pub(crate) fn new(stages: &mut Stages, number: usize) -> Self {
        stages.wire.time_ns += PAUSE_NS;
        let mut records = std::mem::take(&mut stages.bind);
        for at in 0..CALLS {
            let call = call(number * CALLS + at);
            stages
                .wire
                .call(call.caller % CONNECTIONS, &call.messages(), &mut records);
        }
        Self {
            records: [records.clone(), records],
            exchanges: Vec::with_capacity(2 * CALLS),
            walked: 0,
            observed: Vec::with_capacity(2 * CALLS),
            resolved: Vec::with_capacity(2 * CALLS),
            seen: Vec::with_capacity(2 * CALLS),
            told: 0,
            now_ns: stages.wire.time_ns,
        }
    }

    /// Whether each call went through each stage.
    pub(crate) fn check(&self) {
        let all = [
            self.exchanges.len(),
            self.resolved.len(),
            self.seen.len(),
            self.told,
        ];
        assert_eq!(all, [CALLS; 4]);
        assert!(self.walked > 0);
    }
}

/// A caller reads its lists and objects most of the time, and changes some.
fn call(number: usize) -> Call {
    let seed = mixed(number as u64);
    let part = |from: u32, of: usize| usize::try_from(seed >> from & 0xffff).unwrap() % of;
    let caller = part(0, CALLERS);
    let operation = [0, 0, 1, 1, 1, 1, 2, 3, 4, 5][part(16, 10)];
    Call {
        host: caller % HOSTS,
        noun: part(32, USED_NOUNS),
        operation,
        caller,
        owner: caller,
        object: part(48, OBJECTS),
    }
}

/// Records to exchanges: streams, heads, framing, pairing, and the hashes of credentials.
#[inline(never)]
fn heads(stages: &mut Stages, round: &mut Round) {
    for record in round.records[0].drain(..) {
        let (conversations, out) = (&mut stages.conversations, &mut round.exchanges);
        stages
            .flow
            .push(record, &mut |event| conversations.push(event, out));
    }
}

/// One walk over each body, which sees everything and does nothing.
#[inline(never)]
fn bodies(stages: &mut Stages, round: &mut Round) {
    for exchange in &round.exchanges {
        let answered = exchange.outcome.response().map(|response| &response.body);
        for body in [Some(&exchange.request.body), answered].into_iter().flatten() {
            round.walked += walk(&mut stages.documents, body);
        }
    }
}

fn walk(documents: &mut Documents, body: &Body) -> usize {
    let pieces = body.pieces.iter().map(|piece| &*piece.0);
    if body.total == 0 {
        return 0;
    }
    let mut nothing = Nothing::default();
    documents.json(pieces, &mut nothing).accepted + nothing.0
}

/// Sees everything, does nothing.
#[derive(Default)]
struct Nothing(usize);

impl Visitor for Nothing {
    fn open(&mut self, _container: Container) {}
    fn close(&mut self) {}
    fn key(&mut self, text: Text<'_>) {
        self.0 += text.raw.len();
    }
    fn scalar(&mut self, _kind: Scalar, text: Text<'_>) {
        self.0 += text.raw.len();
    }
}

/// Records to exchanges with their labels: parsing and classification.
#[inline(never)]
fn shard(stages: &mut Stages, round: &mut Round) {
    for record in round.records[1].drain(..) {
        stages.shard.push(record, &mut round.observed);
    }
}

#[inline(never)]
fn identity(stages: &mut Stages, round: &mut Round) {
    for observed in &round.observed {
        round.resolved.push(stages.callers.observe(&observed.exchange));
    }
}

#[inline(never)]
fn templates(stages: &mut Stages, round: &mut Round) {
    for observed in &round.observed {
        let seen = stages
            .inventory
            .observe(&observed.exchange, &observed.labels.calls);
        for change in stages.inventory.take_changes() {
            stages.schemas.follow(&change);
            stages.engine.follow(&change);
        }
        round.seen.push(seen);
    }
}

#[inline(never)]
fn schemas(stages: &mut Stages, round: &mut Round) {
    for ((observed, caller), seen) in round.observed.iter().zip(&round.resolved).zip(&round.seen) {
        let facts = schema::Seen::of(&observed.exchange, caller);
        let target = observed.exchange.request.target();
        stages
            .schemas
            .observe(&seen.endpoint, &observed.labels.outline, &facts);
        stages
            .schemas
            .observe_target(&seen.endpoint, target.expose(), &facts);
    }
}

#[inline(never)]
fn rules(stages: &mut Stages, round: &mut Round) {
    let mut findings = Vec::new();
    for ((observed, caller), seen) in round.observed.iter().zip(&round.resolved).zip(&round.seen) {
        let observation = Observation {
            exchange: &observed.exchange,
            labels: &observed.labels,
            endpoint: &seen.endpoint,
            known: seen.identity,
            caller,
        };
        stages
            .engine
            .judge(&observation, &seen.history, &|_| false, &mut findings);
        findings.clear();
    }
}

/// All of them as they run, with what joins them: both ends of a connection, incidents, and what is told.
#[inline(never)]
fn judge(stages: &mut Stages, round: &mut Round) {
    told(stages, round, &mut |event| drop::<Event>(black_box(event)));
}

/// The same, with what is told.
pub(crate) fn told(stages: &mut Stages, round: &mut Round, out: &mut impl FnMut(Event)) {
    for observed in round.observed.drain(..) {
        stages.judge.take(observed, round.now_ns, &mut |event| {
            round.told += usize::from(matches!(event, Event::Exchange(_)));
            out(event);
        });
    }
}
