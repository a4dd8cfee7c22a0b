//! Function level (API5), and functions without any credentials (API2).

use super::super::ids::PRODUCTS;
use super::super::people::Role::{Auditor, Clerk, Member, Mobile, Shopper, Warehouse};
use super::super::services::shop::Place;
use super::super::services::{back, books, identity, shop, social, stock};
use super::super::truth::{Cover, Kind};
use super::Design;
use super::Who::{LoggedIn, Nobody};

pub(super) const DESIGNS: &[Design] = &[
    Design {
        kind: Kind::RoleFunction,
        cover: Cover::Plain,
        target: "tenant report",
        who: LoggedIn(Clerk),
        count: 16,
        act: |w, s, _| books::report(w, s, w.user(s.actor).tenant),
    },
    Design {
        kind: Kind::RoleFunction,
        cover: Cover::Write,
        target: "tenant settings",
        who: LoggedIn(Clerk),
        count: 12,
        act: |w, s, _| books::settings(w, s, w.user(s.actor).tenant),
    },
    Design {
        kind: Kind::RoleFunction,
        cover: Cover::Mixed,
        target: "tickets",
        who: LoggedIn(Mobile),
        count: 16,
        act: |w, s, _| {
            if !w.shop.tickets.is_empty() {
                let ticket = w.rng.below(w.shop.tickets.len());
                back::ticket(w, s, ticket as u32);
            }
        },
    },
    Design {
        kind: Kind::AdminFunction,
        cover: Cover::Plain,
        target: "list of users",
        who: LoggedIn(Mobile),
        count: 20,
        act: |w, s, scene| identity::list_users(w, s, scene.n as usize, 20),
    },
    Design {
        kind: Kind::AdminFunction,
        cover: Cover::Write,
        target: "role of a user",
        who: LoggedIn(Clerk),
        count: 8,
        act: |w, s, _| identity::set_role(w, s, s.actor, "admin"),
    },
    Design {
        kind: Kind::AdminFunction,
        cover: Cover::Accounts,
        target: "refund",
        who: LoggedIn(Mobile),
        count: 16,
        act: |w, s, _| {
            let order = w.rng.below(w.shop.orders.len());
            back::refund(w, s, order as u32);
        },
    },
    Design {
        kind: Kind::AdminFunction,
        cover: Cover::Mixed,
        target: "journal",
        who: LoggedIn(Clerk),
        count: 12,
        act: |w, s, scene| identity::journal(w, s, scene.n as usize),
    },
    Design {
        kind: Kind::AdminFunction,
        cover: Cover::Variable,
        target: "ban",
        who: LoggedIn(Member),
        count: 10,
        act: |w, s, _| {
            let user = w.people.any(&mut w.rng, Member, 0);
            social::ban(w, s, user);
        },
    },
    Design {
        kind: Kind::AdminFunction,
        cover: Cover::Grpc,
        target: "stock level",
        who: LoggedIn(Warehouse),
        count: 12,
        act: |w, s, _| {
            let product = w.rng.below(PRODUCTS);
            stock::adjust(w, s, product);
        },
    },
    Design {
        kind: Kind::NewMethod,
        cover: Cover::Delete,
        target: "invoice",
        who: LoggedIn(Clerk),
        count: 10,
        act: |w, s, _| own_invoice(w, s, "DELETE"),
    },
    Design {
        kind: Kind::NewMethod,
        cover: Cover::Write,
        target: "invoice",
        who: LoggedIn(Auditor),
        count: 10,
        act: |w, s, _| own_invoice(w, s, "PUT"),
    },
    Design {
        kind: Kind::NoCredentials,
        cover: Cover::Plain,
        target: "shop order",
        who: Nobody,
        count: 20,
        act: |w, s, _| {
            let order = w.rng.below(w.shop.orders.len());
            shop::order(w, s, order as u32, Place::Path);
        },
    },
    Design {
        kind: Kind::NoCredentials,
        cover: Cover::Addresses,
        target: "shop customer",
        who: Nobody,
        count: 20,
        act: |w, s, _| {
            let user = w.people.active(&mut w.rng, Shopper);
            shop::profile(w, s, user, false);
        },
    },
    Design {
        kind: Kind::NoCredentials,
        cover: Cover::Random,
        target: "invoice",
        who: Nobody,
        count: 20,
        act: |w, s, _| {
            let one = w.rng.below(w.books.invoices.len());
            let tenant = w.books.invoices[one].0;
            books::invoice(w, s, tenant, one as u32, "GET");
        },
    },
];

fn own_invoice(w: &mut super::World, s: &mut super::Session, method: &'static str) {
    let tenant = w.user(s.actor).tenant;
    let invoices = &w.people.tenants[usize::from(tenant)].invoices;
    if invoices.is_empty() {
        return;
    }
    let at = w.rng.below(invoices.len());
    let one = w.people.tenants[usize::from(tenant)].invoices[at];
    books::invoice(w, s, tenant, one, method);
}
