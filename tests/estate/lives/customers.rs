//! Customers of the shop, in a browser and in the app.

use super::super::ids::PRODUCTS;
use super::super::services::shop::Place;
use super::super::services::{back, identity, shop};
use super::super::truth::Pattern;
use super::super::world::{Session, World};

/// One of one's own orders, the newest most often.
fn own(w: &mut World, user: u32) -> Option<u32> {
    let count = w.user(user).orders.len();
    let at = w.rng.popular(count);
    w.user(user).orders.iter().rev().nth(at).copied()
}

/// In a browser.
pub(crate) fn browse(w: &mut World, s: &mut Session) {
    let user = s.actor;
    let product = w.rng.popular(PRODUCTS);
    let choice = w.rng.below(100);
    if s.auth.is_empty() || choice < 50 {
        let page = w.rng.popular(40);
        return match choice % 10 {
            0..3 => shop::products(w, s, page),
            3..8 => shop::product(w, s, product),
            _ => shop::search(w, s, product),
        };
    }
    let mine = own(w, user);
    match (choice, mine) {
        (50..60, _) => shop::cart(w, s, Some(product)),
        (60..66, _) => shop::cart(w, s, None),
        (66..72, _) => {
            shop::place(w, s, user, "");
        }
        (72..80, _) => shop::orders(w, s, user),
        (80..86, Some(order)) => {
            shop::order(w, s, order, Place::Path);
        }
        (86..89, Some(order)) => {
            shop::order(w, s, order, Place::Query);
        }
        (89, Some(order)) => shop::change(w, s, order),
        (90, Some(order)) => shop::cancel(w, s, order),
        (91, Some(order)) => shop::give_back(w, s, order),
        (92..94, _) => shop::profile(w, s, user, false),
        (94, _) => shop::update_profile(w, s, user, ""),
        (95..97, _) => addresses(w, s),
        (97, _) => {
            shop::share(w, s, user);
        }
        _ => {
            back::complain(w, s, user);
        }
    }
}

fn addresses(w: &mut World, s: &mut Session) {
    let Some(address) = w.user(s.actor).addresses.last().copied() else {
        shop::new_address(w, s.actor);
        return;
    };
    let method = w.rng.pick(&["GET", "GET", "GET", "GET", "PUT", "DELETE"]);
    shop::address(w, s, address, method);
    if method == "DELETE" {
        w.people.users[s.actor as usize].addresses.pop();
    }
}

/// In the app, which asks for news most of the time.
pub(crate) fn tap(w: &mut World, s: &mut Session) {
    let user = s.actor;
    let product = w.rng.popular(PRODUCTS);
    let mine = own(w, user);
    match (w.rng.below(100), mine) {
        (0..50, _) => {
            let usual = s.pattern;
            if usual == Pattern::Mobile {
                s.pattern = Pattern::Polling;
            }
            shop::poll(w, s);
            s.pattern = usual;
        }
        (50..60, _) => shop::orders(w, s, user),
        (60..68, Some(order)) => {
            shop::order(w, s, order, Place::Path);
        }
        (68..73, Some(order)) => {
            shop::order(w, s, order, Place::Header);
        }
        (73..80, Some(order)) => {
            shop::order(w, s, order, Place::Body);
        }
        (80..88, _) => shop::product(w, s, product),
        (88..92, _) => {
            shop::place(w, s, user, "");
        }
        (92, Some(order)) => shop::cancel(w, s, order),
        (93, _) => addresses(w, s),
        (94..97, _) => shop::profile(w, s, user, false),
        (97, _) => shop::update_profile(w, s, user, ""),
        (98, _) => identity::me(w, s, user),
        _ => {
            back::complain(w, s, user);
        }
    }
}
