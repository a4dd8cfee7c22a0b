//! Machines: batch jobs, service accounts, integrations by API key, crawlers, probes.

use std::net::Ipv4Addr;

use super::super::clock::{DAY, HOUR, MINUTE, MS, Rhythm, SECOND};
use super::super::ids::{self, Of, PRODUCTS};
use super::super::services::shop::Place;
use super::super::services::{Service, books, identity, shop, stock};
use super::super::truth::{MACHINES, NOBODY, Pattern};
use super::super::world::{Session, World};
use super::Life;

/// What a batch job goes through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    Invoices,
    Orders,
}

/// Goes through everything new, every night, by sequential ids.
pub(crate) struct Batch {
    over: Over,
    session: Session,
    next: u32,
    /// The night it works in.
    night: u64,
}

impl Batch {
    pub(crate) fn new(w: &World, over: Over) -> Self {
        let address = Ipv4Addr::new(10, 0, 9, 5);
        let session = Session::new(
            MACHINES + over as u32,
            Pattern::Batch,
            address,
            "nightly-export/2.3",
        );
        Self {
            over,
            session,
            // Orders of before went out long ago.
            next: if over == Over::Orders {
                w.shop.orders.len() as u32
            } else {
                0
            },
            night: 0,
        }
    }

    /// At that hour.
    pub(crate) const START: u64 = 2 * HOUR;
    /// On Saturdays it begins so far back.
    const FULL: u32 = 2000;
}

impl Life for Batch {
    fn step(&mut self, w: &mut World) -> Option<u64> {
        let s = &mut self.session;
        let count = match self.over {
            Over::Invoices => w.books.invoices.len(),
            Over::Orders => w.shop.orders.len(),
        } as u32;
        if s.auth.is_empty() {
            identity::machine(w, s, "nightly-export", "invoices:read orders:read");
            if self.night % 7 == 5 {
                self.next = count.saturating_sub((f64::from(Self::FULL) * w.scale.max(0.05)) as u32);
            }
        }
        if self.next >= count {
            s.auth.clear();
            w.leave(s);
            self.night += 1;
            return Some(self.night * DAY + Self::START + w.rng.between(0, 10 * MINUTE));
        }
        match self.over {
            Over::Invoices => books::export(w, s, self.next),
            Over::Orders => {
                shop::order(w, s, self.next, Place::Path);
            }
        }
        self.next += 1;
        Some(w.now + 20 * MS)
    }
}

/// Sends what was ordered: tells the stock of each new order.
pub(crate) struct Dispatcher {
    session: Session,
    next: u32,
}

impl Dispatcher {
    pub(crate) fn new(w: &World) -> Self {
        let address = Ipv4Addr::new(10, 0, 1, 11);
        let session = Session::new(MACHINES + 10, Pattern::Machine, address, "dispatcher/1.9");
        Self {
            session,
            next: w.shop.orders.len() as u32,
        }
    }
}

impl Life for Dispatcher {
    fn step(&mut self, w: &mut World) -> Option<u64> {
        let s = &mut self.session;
        if s.auth.is_empty() || w.now > s.expires {
            identity::machine(w, s, "dispatcher", "shipments stock");
            w.leave(s);
        }
        if self.next >= w.shop.orders.len() as u32 {
            return Some(w.now + 2 * MINUTE);
        }
        stock::level(w, s, self.next as usize * 31 % PRODUCTS);
        let shipment = stock::create(w, s, self.next);
        stock::shipment(w, s, shipment);
        self.next += 1;
        Some(w.now + 200 * MS)
    }
}

/// A tenant's own program, with a key.
pub(crate) struct Integration {
    tenant: u16,
    session: Session,
}

impl Integration {
    pub(crate) fn new(w: &World, tenant: u16) -> Self {
        let office = w.people.tenants[usize::from(tenant)].office;
        let actor = Self::actor(tenant);
        let mut session = Session::new(actor, Pattern::Integration, office, "python-requests/2.32.3");
        session.auth = Self::key(w, tenant);
        Self { tenant, session }
    }
}

impl Integration {
    /// Its number as an actor.
    pub(crate) fn actor(tenant: u16) -> u32 {
        MACHINES + 100 + u32::from(tenant)
    }

    /// The field line with its key.
    pub(crate) fn key(w: &World, tenant: u16) -> String {
        let number = u64::from(Self::actor(tenant));
        format!("X-Api-Key: {}\r\n", ids::token(w.seed, Of::Key, number, 40))
    }
}

impl Life for Integration {
    fn step(&mut self, w: &mut World) -> Option<u64> {
        let s = &mut self.session;
        let invoice = books::create(w, s, self.tenant, "");
        books::invoice(w, s, self.tenant, invoice, "GET");
        if w.rng.chance(0.3) {
            books::list(w, s, self.tenant, 0);
        }
        w.leave(s);
        Some(Rhythm::Office.next(&mut w.rng, w.now, 8.0))
    }
}

/// Reads everything that is public.
pub(crate) struct Crawler {
    session: Session,
    next: usize,
}

impl Crawler {
    pub(crate) fn new(number: u8) -> Self {
        let address = Ipv4Addr::new(66, 249, 66, number);
        Self {
            session: Session::new(
                NOBODY,
                Pattern::Crawler,
                address,
                "ExampleBot/2.1 (+https://bot.example)",
            ),
            next: usize::from(number) * 977,
        }
    }
}

impl Life for Crawler {
    fn step(&mut self, w: &mut World) -> Option<u64> {
        let s = &mut self.session;
        // Products go, and crawlers remember them.
        s.fail = self.next.is_multiple_of(41).then_some(404);
        if self.next.is_multiple_of(20) {
            shop::products(w, s, self.next / 20 % 200);
        } else {
            shop::product(w, s, self.next % PRODUCTS);
        }
        self.next += 1;
        let pause = (60.0 / w.scale.clamp(0.05, 2.0)) as u64;
        Some(w.now + w.rng.wait(pause * SECOND))
    }
}

/// Asks each service whether it is well.
pub(crate) struct Probe {
    session: Session,
}

impl Probe {
    pub(crate) fn new() -> Self {
        Self {
            session: Session::new(NOBODY, Pattern::Monitor, Ipv4Addr::new(10, 0, 9, 9), "uptime/3.0"),
        }
    }
}

impl Life for Probe {
    fn step(&mut self, w: &mut World) -> Option<u64> {
        for service in Service::ALL {
            if service != Service::Stock {
                identity::health(w, &mut self.session, service);
            }
        }
        w.leave(&mut self.session);
        w.recycle();
        let pause = (5.0 / w.scale.clamp(0.05, 1.0)) as u64;
        Some(w.now + pause * MINUTE)
    }
}
