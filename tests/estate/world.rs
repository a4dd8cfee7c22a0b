//! The estate as its services know it: users, tenants and objects, and the one way by which exchanges leave it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use sensor_user::capture::{Direction, Record};

use super::clock::{DAY, HOUR, MS};
use super::people::{People, User};
use super::rng::Rng;
use super::services::books::Books;
use super::services::shop::Shop;
use super::services::social::Social;
use super::services::stock::Stock;
use super::services::{Release, Service};
use super::truth::{Pattern, Tag, Truth};
use super::wire::net::{LineId, Net, stamp};
use super::wire::{http1, http2};

/// Writes to a text of the draft, which cannot fail.
macro_rules! put {
    ($to:expr, $($rest:tt)*) => {{
        use std::fmt::Write as _;
        let _fits = write!($to, $($rest)*);
    }};
}
/// Writes JSON to an answer or a body, which cannot fail.
macro_rules! json {
    ($to:expr, $($rest:tt)*) => {{
        use std::io::Write as _;
        let _fits = write!($to, $($rest)*);
    }};
}
pub(crate) use {json, put};

/// What a body of a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Json,
    Form,
}

/// The exchange that is being written.
pub(crate) struct Draft {
    pub(crate) service: Service,
    pub(crate) method: &'static str,
    pub(crate) target: String,
    /// Further fields of the request, each ended by CRLF.
    pub(crate) fields: String,
    pub(crate) format: Format,
    pub(crate) body: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) answer_fields: String,
    pub(crate) answer: Vec<u8>,
    /// What it is part of, where that is narrower than what the session is.
    pub(crate) pattern: Option<Pattern>,
    /// The weakness that it shows, where it is not the session's.
    pub(crate) attack: Option<u16>,
    /// How long the service takes beyond the usual.
    pub(crate) slow_ms: u64,
}

/// A client, as long as it holds on to its connections.
pub(crate) struct Session {
    pub(crate) actor: u32,
    pub(crate) pattern: Pattern,
    pub(crate) attack: Option<u16>,
    pub(crate) address: Ipv4Addr,
    pub(crate) agent: &'static str,
    /// Field lines with credentials, each ended by CRLF.
    pub(crate) auth: String,
    /// When its token ends, and the one that renews it.
    pub(crate) expires: u64,
    pub(crate) refresh: u64,
    /// The tenant that its token was made out for, where the user has several.
    pub(crate) tenant: Option<u16>,
    /// The next answer, instead of what the service would say.
    pub(crate) fail: Option<u16>,
    /// Without TLS.
    pub(crate) clear: bool,
    lines: [Option<LineId>; Service::ALL.len()],
}

impl Session {
    pub(crate) fn new(actor: u32, pattern: Pattern, address: Ipv4Addr, agent: &'static str) -> Self {
        Self {
            actor,
            pattern,
            attack: None,
            address,
            agent,
            auth: String::new(),
            expires: 0,
            refresh: 0,
            tenant: None,
            fail: None,
            clear: false,
            lines: [None; Service::ALL.len()],
        }
    }
}

/// Connections that a proxy keeps to each service behind it.
const POOLED: usize = 12;
/// One record in so many is lost.
const LOST: f64 = 0.000_4;
/// Truth of exchanges that is remembered: findings come soon.
const REMEMBERED: usize = 65_536;

/// Everything.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) rng: Rng,
    /// Simulated time.
    pub(crate) now: u64,
    /// One for each million exchanges.
    pub(crate) scale: f64,
    pub(crate) net: Net,
    pub(crate) truth: Truth,
    pub(crate) people: People,
    pub(crate) shop: Shop,
    pub(crate) books: Books,
    pub(crate) social: Social,
    pub(crate) stock: Stock,
    pub(crate) draft: Draft,
    /// Weaknesses that services show to everybody: in what kind of answer, and the attack.
    pub(crate) leaks: Vec<(&'static str, u16)>,
    /// Numbers that tokens and keys are made of.
    serial: u64,
    pool: [Vec<(LineId, u64)>; Service::ALL.len()],
    /// Truths of the last exchanges by the time of the request, which no two share.
    recent: BTreeMap<u64, Tag>,
    bytes: Vec<u8>,
    /// Bytes on the wire.
    pub(crate) carried: u64,
}

impl World {
    pub(crate) fn new(seed: u64, scale: f64) -> Self {
        let mut rng = Rng::new(seed);
        let people = People::new(&mut rng, scale);
        let mut world = Self {
            seed,
            rng,
            now: 0,
            scale,
            net: Net::new(),
            truth: Truth::default(),
            shop: Shop::default(),
            books: Books::default(),
            social: Social::default(),
            stock: Stock::default(),
            people,
            draft: Draft::new(),
            leaks: Vec::new(),
            serial: 0,
            pool: Default::default(),
            recent: BTreeMap::new(),
            bytes: Vec::new(),
            carried: 0,
        };
        super::people::furnish(&mut world);
        world
    }

    pub(crate) fn serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(crate) fn user(&self, number: u32) -> &User {
        &self.people.users[number as usize]
    }

    /// Begins an exchange. What is written to the draft next is the request and what the service answers.
    pub(crate) fn ask(&mut self, service: Service, method: &'static str) -> &mut Draft {
        let draft = &mut self.draft;
        draft.service = service;
        draft.method = method;
        draft.target.clear();
        draft.fields.clear();
        draft.format = Format::Json;
        draft.body.clear();
        draft.status = 200;
        draft.answer_fields.clear();
        draft.answer.clear();
        (draft.pattern, draft.attack, draft.slow_ms) = (None, None, 0);
        draft
    }

    /// Whether a release is out; what it brought is new for a day.
    pub(crate) fn released(&mut self, release: Release) -> bool {
        let out = self.now >= release.at();
        if out && self.now < release.at() + DAY {
            self.draft.pattern = Some(Pattern::Release);
        }
        out
    }

    /// The attack whose weakness a kind of answer shows now.
    pub(crate) fn leaking(&self, what: &str) -> Option<u16> {
        self.leaks.iter().find(|leak| leak.0 == what).map(|leak| leak.1)
    }

    /// The exchange takes place. Gives the status.
    pub(crate) fn send(&mut self, session: &mut Session) -> u16 {
        self.now += 1;
        while self.recent.contains_key(&stamp(self.now)) {
            self.now += 1;
        }
        self.fail(session);
        let tag = self.tag(session);
        let (line, behind) = self.line(session);
        let done = self.carry(session, line, behind);
        if behind {
            let pool = &mut self.pool[self.draft.service as usize];
            if let Some(slot) = pool.iter_mut().find(|slot| slot.0 == line) {
                slot.1 = done;
            }
        }
        // The client goes on when it has its answer.
        let (now, status) = (self.now, self.draft.status);
        self.truth.note(tag, now);
        self.recent.insert(stamp(now), tag);
        if self.recent.len() > REMEMBERED {
            self.recent.pop_first();
        }
        self.now = done;
        status
    }

    fn fail(&mut self, session: &mut Session) {
        if let Some(status) = session.fail.take() {
            self.draft.status = status;
            self.draft.answer.clear();
            self.draft.answer_fields.clear();
            json!(
                self.draft.answer,
                r#"{{"error":{{"code":{status},"message":"request failed"}}}}"#
            );
        }
    }

    fn tag(&self, session: &Session) -> Tag {
        let recently = |since: u64| since > 0 && self.now >= since && self.now < since + 2 * DAY;
        let user = self.people.users.get(session.actor as usize);
        let change = user.and_then(|user| {
            let changed = recently(user.promoted).then_some(Pattern::RoleChange);
            let tenant = self.people.tenants.get(usize::from(user.tenant));
            let settled = tenant
                .filter(|tenant| recently(tenant.joined))
                .map(|_| Pattern::NewTenant);
            changed
                .or(settled)
                .or(recently(user.joined).then_some(Pattern::NewHire))
        });
        Tag {
            actor: session.actor,
            pattern: self.draft.pattern.or(change).unwrap_or(session.pattern),
            attack: session.attack.or(self.draft.attack),
        }
    }

    /// The connection that the exchange takes, and whether it comes through the proxy.
    fn line(&mut self, session: &mut Session) -> (LineId, bool) {
        let (service, now) = (self.draft.service, self.now);
        if service.is_proxied() && !session.clear {
            let pool = &mut self.pool[service as usize];
            let idle = (0..pool.len()).filter(|slot| pool[*slot].1 < now).count();
            if idle > 0 && (pool.len() >= POOLED || !self.rng.chance(0.01)) {
                let wanted = self.rng.below(idle);
                let free = pool.iter().filter(|slot| slot.1 < now).nth(wanted);
                if let Some((line, _)) = free {
                    return (*line, true);
                }
            }
            let line = self.net.open(now, service, Service::PROXY, false);
            pool.push((line, now));
            return (line, true);
        }
        let slot = &mut session.lines[service as usize];
        let line = *slot.get_or_insert_with(|| self.net.open(now, service, session.address, session.clear));
        (line, false)
    }

    /// Puts request and response on the wire. Gives the time at which the answer was there.
    fn carry(&mut self, session: &Session, line: LineId, behind: bool) -> u64 {
        let (draft, now) = (&self.draft, self.now);
        let latency = 8 * MS + self.rng.wait(12 * MS) + draft.slow_ms * MS + draft.answer.len() as u64 * 500;
        let done = now + latency;
        let lost = self.rng.chance(LOST);
        let late = lost && self.rng.chance(0.5);
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        if draft.service == Service::Stock {
            let (stream, first) = self.net.stream(line);
            if first {
                http2::preface(&mut bytes);
            }
            http2::request(stream, draft, draft.service.host(), &session.auth, &mut bytes);
            self.net.carry(now, line, Direction::Read, &bytes, lost && !late);
            self.carried += bytes.len() as u64;
            bytes.clear();
            if first {
                http2::settings(&mut bytes);
            }
            http2::response(stream, draft, &mut bytes);
        } else {
            let mut client = String::new();
            if behind {
                let _fits = write!(client, "{}", session.address);
            }
            let client = behind.then_some(client.as_str());
            http1::request(
                draft,
                draft.service.host(),
                session.agent,
                &session.auth,
                client,
                &mut bytes,
            );
            self.net.carry(now, line, Direction::Read, &bytes, lost && !late);
            self.carried += bytes.len() as u64;
            bytes.clear();
            http1::response(draft, now, &mut bytes);
        }
        self.net.carry(done, line, Direction::Write, &bytes, lost && late);
        self.carried += bytes.len() as u64;
        self.bytes = bytes;
        done
    }

    /// The client lets its connections go.
    pub(crate) fn leave(&mut self, session: &mut Session) {
        for line in &mut session.lines {
            if let Some(line) = line.take() {
                self.net.close(self.now, line);
            }
        }
    }

    /// The proxy closes a connection now and then.
    pub(crate) fn recycle(&mut self) {
        let now = self.now;
        for pool in &mut self.pool {
            if let Some(at) = pool.iter().position(|slot| slot.1 + HOUR < now) {
                let (line, _) = pool.swap_remove(at);
                self.net.close(now, line);
            }
        }
    }

    /// The next record that is due until then.
    pub(crate) fn record(&mut self, until: u64) -> Option<Record> {
        self.net.next(until)
    }

    /// The truth of the exchange whose request began then.
    pub(crate) fn truth_of(&self, time_ns: u64) -> Option<Tag> {
        self.recent.get(&time_ns).copied()
    }
}

impl Draft {
    fn new() -> Self {
        Self {
            service: Service::Shop,
            method: "GET",
            target: String::new(),
            fields: String::new(),
            format: Format::Json,
            body: Vec::new(),
            status: 200,
            answer_fields: String::new(),
            answer: Vec::new(),
            pattern: None,
            attack: None,
            slow_ms: 0,
        }
    }
}
