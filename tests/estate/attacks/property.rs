//! Property level (API3): properties that a client must not set, answers that tell too much or too many.

use super::super::people::Role::{Clerk, Member, Mobile, Shopper};
use super::super::services::{back, books, identity, shop, social};
use super::super::truth::{Cover, Kind};
use super::Design;
use super::Who::{LoggedIn, Weakness};

pub(super) const DESIGNS: &[Design] = &[
    Design {
        kind: Kind::MassAssignment,
        cover: Cover::Plain,
        target: "customer, is_admin",
        who: LoggedIn(Mobile),
        count: 8,
        act: |w, s, _| shop::update_profile(w, s, s.actor, r#","is_admin":true"#),
    },
    Design {
        kind: Kind::MassAssignment,
        cover: Cover::Mixed,
        target: "user, role",
        who: LoggedIn(Clerk),
        count: 8,
        act: |w, s, _| identity::update_me(w, s, s.actor, r#","role":"admin""#),
    },
    Design {
        kind: Kind::MassAssignment,
        cover: Cover::Write,
        target: "customer, balance",
        who: LoggedIn(Shopper),
        count: 8,
        act: |w, s, _| shop::update_profile(w, s, s.actor, r#","balance":99999"#),
    },
    Design {
        kind: Kind::MassAssignment,
        cover: Cover::Body,
        target: "invoice, approved_by",
        who: LoggedIn(Clerk),
        count: 8,
        act: |w, s, _| {
            let tenant = w.user(s.actor).tenant;
            books::create(w, s, tenant, r#","approved":true,"approved_by":"cfo""#);
        },
    },
    Design {
        kind: Kind::MassAssignment,
        cover: Cover::Variable,
        target: "member, verified",
        who: LoggedIn(Member),
        count: 8,
        act: |w, s, _| social::update(w, s, s.actor, r#","verified":true,"role":"moderator""#),
    },
    weakness("order"),
    weakness("invoice"),
    weakness("member"),
    Design {
        kind: Kind::ExcessCaller,
        cover: Cover::Plain,
        target: "customer",
        who: LoggedIn(Mobile),
        count: 12,
        act: |w, s, _| shop::profile(w, s, s.actor, true),
    },
    Design {
        kind: Kind::ExcessCaller,
        cover: Cover::Mixed,
        target: "customer",
        who: LoggedIn(Shopper),
        count: 12,
        act: |w, s, _| shop::profile(w, s, s.actor, true),
    },
    Design {
        kind: Kind::BulkRead,
        cover: Cover::Plain,
        target: "invoices, by limit",
        who: LoggedIn(Clerk),
        count: 8,
        act: |w, s, _| books::bulk(w, s, w.user(s.actor).tenant, 300),
    },
    Design {
        kind: Kind::BulkRead,
        cover: Cover::Query,
        target: "shop export, by limit",
        who: LoggedIn(Mobile),
        count: 8,
        act: |w, s, _| back::export(w, s, s.actor, 400),
    },
];

const fn weakness(what: &'static str) -> Design {
    Design {
        kind: Kind::ExcessRelease,
        cover: Cover::Plain,
        target: what,
        who: Weakness(what),
        count: 0,
        act: |_, _, _| {},
    }
}
