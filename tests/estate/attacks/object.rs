//! Object level (API1): others' objects, ids that nobody was given, enumeration, other tenants.

use super::super::ids::Of;
use super::super::people::Role::{Clerk, Member, Mobile, Shopper, Warehouse};
use super::super::services::shop::Place;
use super::super::services::{books, shop, social, stock};
use super::super::truth::{Cover, Kind};
use super::super::world::{Session, World};
use super::Who::LoggedIn;
use super::{Design, Scene};

pub(super) const DESIGNS: &[Design] = &[
    row(
        Kind::ForeignObject,
        Cover::Plain,
        "shop order",
        LoggedIn(Shopper),
        24,
        |w, s, _| order(w, s, Place::Path),
    ),
    row(
        Kind::ForeignObject,
        Cover::Query,
        "shop bill",
        LoggedIn(Shopper),
        24,
        |w, s, _| order(w, s, Place::Query),
    ),
    row(
        Kind::ForeignObject,
        Cover::Header,
        "shop receipt",
        LoggedIn(Mobile),
        24,
        |w, s, _| order(w, s, Place::Header),
    ),
    row(
        Kind::ForeignObject,
        Cover::Body,
        "shop tracking",
        LoggedIn(Mobile),
        24,
        |w, s, _| order(w, s, Place::Body),
    ),
    row(
        Kind::ForeignObject,
        Cover::Mixed,
        "shop order",
        LoggedIn(Mobile),
        24,
        |w, s, _| order(w, s, Place::Path),
    ),
    row(
        Kind::ForeignObject,
        Cover::Write,
        "shop order",
        LoggedIn(Shopper),
        16,
        |w, s, _| {
            let order = foreign(w, s);
            shop::change(w, s, order);
        },
    ),
    row(
        Kind::ForeignObject,
        Cover::Delete,
        "shop order",
        LoggedIn(Mobile),
        16,
        |w, s, _| {
            let order = foreign(w, s);
            shop::cancel(w, s, order);
        },
    ),
    row(
        Kind::ForeignObject,
        Cover::Accounts,
        "shop customer",
        LoggedIn(Mobile),
        24,
        |w, s, _| {
            let user = w.people.active(&mut w.rng, Mobile);
            if user != s.actor {
                shop::profile(w, s, user, false);
            }
        },
    ),
    row(
        Kind::ForeignObject,
        Cover::Variable,
        "talk",
        LoggedIn(Member),
        20,
        |w, s, _| {
            let talk = w.rng.below(w.social.talks.len());
            if !w.social.talks[talk].contains(&s.actor) {
                social::talk(w, s, talk as u32, Of::Talk);
            }
        },
    ),
    row(
        Kind::ForeignObject,
        Cover::Grpc,
        "shipment",
        LoggedIn(Warehouse),
        20,
        |w, s, _| {
            let own = (s.actor % u32::from(stock::WAREHOUSES)) as u8;
            let shipments = w.stock.shipments.len();
            let one = shipments - 1 - w.rng.below(shipments / 2);
            if w.stock.shipments[one].1 != own {
                stock::shipment(w, s, one as u32);
            }
        },
    ),
    row(
        Kind::UnissuedObject,
        Cover::Plain,
        "shop order",
        LoggedIn(Shopper),
        20,
        |w, s, scene| {
            unissued(w, s, scene, Place::Path);
        },
    ),
    row(
        Kind::UnissuedObject,
        Cover::Body,
        "shop tracking",
        LoggedIn(Mobile),
        20,
        |w, s, scene| {
            unissued(w, s, scene, Place::Body);
        },
    ),
    row(
        Kind::UnissuedObject,
        Cover::Variable,
        "talk",
        LoggedIn(Member),
        16,
        |w, s, scene| {
            social::talk(w, s, scene.base % 10_000 + scene.n, Of::Nobody);
        },
    ),
    row(
        Kind::Enumeration,
        Cover::Plain,
        "shop order",
        LoggedIn(Mobile),
        400,
        |w, s, scene| {
            walk(w, s, scene, Place::Path);
        },
    ),
    row(
        Kind::Enumeration,
        Cover::Query,
        "shop bill",
        LoggedIn(Shopper),
        300,
        |w, s, scene| {
            walk(w, s, scene, Place::Query);
        },
    ),
    row(
        Kind::Enumeration,
        Cover::Random,
        "shop order",
        LoggedIn(Mobile),
        300,
        |w, s, _| order(w, s, Place::Path),
    ),
    row(
        Kind::Enumeration,
        Cover::Accounts,
        "shop order",
        LoggedIn(Mobile),
        400,
        |w, s, scene| {
            walk(w, s, scene, Place::Path);
        },
    ),
    row(
        Kind::Enumeration,
        Cover::Addresses,
        "shop order",
        LoggedIn(Mobile),
        300,
        |w, s, scene| {
            walk(w, s, scene, Place::Path);
        },
    ),
    row(
        Kind::Enumeration,
        Cover::Mixed,
        "shop customer",
        LoggedIn(Mobile),
        200,
        |w, s, scene| {
            let user = (scene.base.wrapping_add(scene.n)) % w.people.users.len() as u32;
            shop::profile(w, s, user, false);
        },
    ),
    row(
        Kind::Enumeration,
        Cover::Write,
        "shop address",
        LoggedIn(Shopper),
        150,
        |w, s, scene| {
            let address = scene.base.wrapping_add(scene.n) % w.shop.addresses.len() as u32;
            shop::address(w, s, address, "PUT");
        },
    ),
    row(
        Kind::Enumeration,
        Cover::Grpc,
        "shipment",
        LoggedIn(Warehouse),
        250,
        |w, s, scene| {
            let count = w.stock.shipments.len() as u32;
            stock::shipment(w, s, scene.base.wrapping_add(scene.n) % count);
        },
    ),
    row(
        Kind::TenantMismatch,
        Cover::Plain,
        "invoice",
        LoggedIn(Clerk),
        30,
        |w, s, _| invoice(w, s, "GET"),
    ),
    row(
        Kind::TenantMismatch,
        Cover::Write,
        "invoice",
        LoggedIn(Clerk),
        16,
        |w, s, _| invoice(w, s, "PUT"),
    ),
    row(
        Kind::TenantMismatch,
        Cover::Mixed,
        "invoices",
        LoggedIn(Clerk),
        16,
        |w, s, _| {
            let tenant = other_tenant(w, s);
            books::list(w, s, tenant, 0);
        },
    ),
    row(
        Kind::TenantMismatch,
        Cover::Accounts,
        "invoice",
        LoggedIn(Clerk),
        24,
        |w, s, _| {
            // Below one's own name, another's invoice.
            let (own, other) = (w.user(s.actor).tenant, other_tenant(w, s));
            if let Some(one) = w.people.tenants[usize::from(other)].invoices.last().copied() {
                books::invoice(w, s, own, one, "GET");
            }
        },
    ),
];

const fn row(
    kind: Kind,
    cover: Cover,
    target: &'static str,
    who: super::Who,
    count: u32,
    act: fn(&mut World, &mut Session, &Scene),
) -> Design {
    Design {
        kind,
        cover,
        target,
        who,
        count,
        act,
    }
}

/// One of the newer half of all orders, somebody else's: its id was handed out to that one.
fn foreign(w: &mut World, s: &Session) -> u32 {
    let count = w.shop.orders.len();
    loop {
        let order = count - 1 - w.rng.below(count / 2);
        if w.shop.orders[order] != s.actor {
            return order as u32;
        }
    }
}

fn order(w: &mut World, s: &mut Session, place: Place) {
    let order = foreign(w, s);
    shop::order(w, s, order, place);
}

/// Orders of those who never come: nobody was told their ids.
fn unissued(w: &mut World, s: &mut Session, scene: &Scene, place: Place) {
    let hidden = &w.people.hidden;
    let order = hidden[(scene.base as usize + scene.n as usize * 7) % hidden.len()];
    shop::order(w, s, order, place);
}

/// One order after the other; some are not there.
fn walk(w: &mut World, s: &mut Session, scene: &Scene, place: Place) {
    let order = scene.base.wrapping_add(scene.n) % w.shop.orders.len() as u32;
    s.fail = w.rng.chance(0.12).then_some(404);
    shop::order(w, s, order, place);
}

fn other_tenant(w: &mut World, s: &Session) -> u16 {
    let (own, now) = (w.user(s.actor).tenant, w.now);
    loop {
        let tenant = w.rng.below(w.people.tenants.len());
        if tenant != usize::from(own) && w.people.tenants[tenant].joined <= now {
            return tenant as u16;
        }
    }
}

fn invoice(w: &mut World, s: &mut Session, method: &'static str) {
    let tenant = other_tenant(w, s);
    let invoices = &w.people.tenants[usize::from(tenant)].invoices;
    if invoices.is_empty() {
        return;
    }
    let one = w.rng.pick(&w.people.tenants[usize::from(tenant)].invoices);
    books::invoice(w, s, tenant, one, method);
}
