//! Staff of the estate: support, administrators, the warehouse.

use super::super::ids::PRODUCTS;
use super::super::people::Role;
use super::super::services::{back, identity, shop, social, stock};
use super::super::world::{Session, World};

/// Works on tickets: looks at the customer, the orders, one order, and sometimes gives money back.
pub(crate) fn support(w: &mut World, s: &mut Session, about: u32) {
    let tickets = w.shop.tickets.len();
    if tickets == 0 {
        return identity::me(w, s, s.actor);
    }
    // Another ticket every few minutes, so that a day sees many customers.
    let span = (w.now / (4 * super::super::clock::MINUTE)) as u32;
    let ticket = tickets - 1 - (about ^ span.wrapping_mul(2_654_435_761)) as usize % tickets.min(60);
    let user = w.shop.tickets[ticket];
    let order = w.user(user).orders.last().copied();
    match (w.rng.below(10), order) {
        (2..4, _) => shop::profile(w, s, user, false),
        (4..6, _) => shop::orders(w, s, user),
        (6..9, Some(order)) => shop::order_for_ticket(w, s, order, ticket as u32),
        (9, Some(order)) => back::refund(w, s, order),
        _ => back::ticket(w, s, ticket as u32),
    }
}

pub(crate) fn admin(w: &mut World, s: &mut Session) {
    let now = w.now;
    match w.rng.below(20) {
        0..6 => {
            let page = w.rng.popular(10);
            identity::list_users(w, s, page, 20);
        }
        6..8 => {
            let user = w.people.any(&mut w.rng, Role::Clerk, now);
            identity::set_role(w, s, user, "clerk");
        }
        8..12 => {
            let page = w.rng.popular(10);
            identity::journal(w, s, page);
        }
        12..15 => {
            let page = w.rng.popular(6) as u32;
            back::all_orders(w, s, page, 20);
        }
        15..17 => {
            let user = w.people.any(&mut w.rng, Role::Member, now);
            social::ban(w, s, user);
        }
        _ => {
            let product = w.rng.popular(PRODUCTS);
            stock::adjust(w, s, product);
        }
    }
}

/// A warehouse's staff sees the shipments of that warehouse.
pub(crate) fn warehouse(w: &mut World, s: &mut Session) {
    let warehouse = (s.actor % u32::from(stock::WAREHOUSES)) as u8;
    let open: Vec<u32> = stock::open(w, warehouse).collect();
    match w.rng.below(10) {
        0..2 => stock::list(w, s, warehouse),
        2..7 if !open.is_empty() => {
            let one = w.rng.pick(&open);
            stock::shipment(w, s, one);
        }
        7..9 if !open.is_empty() => {
            let one = w.rng.pick(&open);
            stock::update(w, s, one);
        }
        _ => {
            let product = w.rng.popular(PRODUCTS);
            stock::level(w, s, product);
        }
    }
}
