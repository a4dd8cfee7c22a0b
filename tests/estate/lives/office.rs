//! Those who keep a tenant's books: clerks, managers, auditors, accountants from outside.

use super::super::services::{books, identity};
use super::super::world::{Session, World};

/// One of the tenant's invoices, the newest most often.
fn invoice(w: &mut World, tenant: u16) -> Option<u32> {
    let count = w.people.tenants[usize::from(tenant)].invoices.len();
    let at = w.rng.popular(count);
    w.people.tenants[usize::from(tenant)]
        .invoices
        .iter()
        .rev()
        .nth(at)
        .copied()
}

pub(crate) fn clerk(w: &mut World, s: &mut Session) {
    let tenant = w.user(s.actor).tenant;
    let Some(one) = invoice(w, tenant) else {
        books::create(w, s, tenant, "");
        return;
    };
    match w.rng.below(100) {
        0..25 => {
            let page = w.rng.popular(4);
            books::list(w, s, tenant, page);
        }
        25..65 => {
            books::invoice(w, s, tenant, one, "GET");
        }
        65..80 => {
            books::invoice(w, s, tenant, one, "PUT");
        }
        80..90 => {
            books::create(w, s, tenant, "");
        }
        90..96 => books::attachments(w, s, tenant, one),
        96..98 => identity::me(w, s, s.actor),
        _ => identity::update_me(w, s, s.actor, ""),
    }
}

pub(crate) fn manager(w: &mut World, s: &mut Session) {
    let tenant = w.user(s.actor).tenant;
    match w.rng.below(100) {
        0..30 => books::report(w, s, tenant),
        30..38 => books::settings(w, s, tenant),
        38..46 => {
            if let Some(one) = invoice(w, tenant) {
                books::invoice(w, s, tenant, one, "DELETE");
            }
        }
        _ => clerk(w, s),
    }
}

/// Reads everything of one tenant, one after the other.
pub(crate) fn auditor(w: &mut World, s: &mut Session) {
    let tenant = w.user(s.actor).tenant;
    match invoice(w, tenant) {
        Some(one) if w.rng.chance(0.8) => {
            books::invoice(w, s, tenant, one, "GET");
        }
        _ => books::list(w, s, tenant, 0),
    }
}

/// Does the books of three tenants, with a token for each.
pub(crate) fn accountant(w: &mut World, s: &mut Session, about: u32) {
    let home = w.user(s.actor).tenant;
    let count = w.people.tenants.len();
    let tenant = ((usize::from(home) + about as usize % 3) % count) as u16;
    if w.people.tenants[usize::from(tenant)].joined > w.now {
        return identity::me(w, s, s.actor);
    }
    if s.tenant != Some(tenant) {
        identity::exchange(w, s, s.actor, tenant);
        s.tenant = Some(tenant);
    }
    match (w.rng.below(10), invoice(w, tenant)) {
        (0..5, Some(one)) => {
            books::invoice(w, s, tenant, one, "GET");
        }
        (5, _) => books::report(w, s, tenant),
        _ => books::list(w, s, tenant, 0),
    }
}
