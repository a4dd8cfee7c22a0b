//! The shop: public catalogue, orders with sequential ids, addresses, tickets, shared wish lists, back office.

use super::super::clock;
use super::super::ids::{self, Of, PRODUCTS};
use super::super::truth::Pattern;
use super::super::world::{Draft, Session, World, json, put};
use super::{Release, Service, identity};

const SERVICE: Service = Service::Shop;

/// What the shop keeps. An object's number is its place.
#[derive(Default)]
pub(crate) struct Shop {
    /// Whose it is.
    pub(crate) orders: Vec<u32>,
    pub(crate) addresses: Vec<u32>,
    pub(crate) tickets: Vec<u32>,
    /// Whose wish list each link opens.
    pub(crate) links: Vec<u32>,
}

/// Numbers as they are handed out.
pub(crate) const fn order_id(order: u32) -> u32 {
    100_000 + order
}
const fn address_id(address: u32) -> u32 {
    7000 + address
}
/// A user as customer.
pub(crate) const fn customer_id(user: u32) -> u32 {
    40_000 + user
}

pub(crate) fn new_order(w: &mut World, owner: u32) -> u32 {
    let order = w.shop.orders.len() as u32;
    w.shop.orders.push(owner);
    w.people.users[owner as usize].orders.push(order);
    order
}

pub(crate) fn new_address(w: &mut World, owner: u32) -> u32 {
    let address = w.shop.addresses.len() as u32;
    w.shop.addresses.push(owner);
    w.people.users[owner as usize].addresses.push(address);
    address
}

fn product_json(number: usize, d: &mut Draft) {
    json!(
        d.answer,
        r#"{{"slug":"{}","price":{}.{:02},"currency":"EUR","stock":{},"rating":{}}}"#,
        ids::product(number),
        5 + number % 190,
        number * 7 % 100,
        number % 40,
        1 + number % 5
    );
}

pub(crate) fn products(w: &mut World, s: &mut Session, page: usize) {
    let d = w.ask(SERVICE, "GET");
    put!(d.target, "/api/products?page={page}&sort=popular");
    d.answer.extend(br#"{"products":["#);
    for place in 0..8 {
        d.answer.extend(if place == 0 { "" } else { "," }.bytes());
        product_json((page * 8 + place) % PRODUCTS, d);
    }
    json!(d.answer, r#"],"page":{page}}}"#);
    w.send(s);
}

pub(crate) fn product(w: &mut World, s: &mut Session, number: usize) {
    let d = w.ask(SERVICE, "GET");
    put!(d.target, "/api/products/{}", ids::product(number));
    product_json(number, d);
    w.send(s);
}

pub(crate) fn search(w: &mut World, s: &mut Session, number: usize) {
    let d = w.ask(SERVICE, "GET");
    let name = ids::product(number).to_string();
    let word = name.split('-').next().unwrap_or("oak");
    put!(d.target, "/api/search?q={word}");
    d.answer.extend(br#"{"hits":["#);
    product_json(number, d);
    d.answer.extend(b"]}");
    w.send(s);
}

/// A browser logs in and gets a session cookie.
pub(crate) fn login(w: &mut World, s: &mut Session, user: u32) {
    let mut name = String::new();
    identity::email(w, user, &mut name);
    let (password, number) = (identity::password(w, user), w.serial());
    let seed = w.seed;
    let cookie = ids::token(seed, Of::Session, number, 32).to_string();
    s.auth.clear();
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/api/login");
    json!(
        d.body,
        r#"{{"email":"{name}","password":"{}"}}"#,
        ids::token(seed, Of::Password, password, 12)
    );
    put!(
        d.answer_fields,
        "Set-Cookie: sid={cookie}; Path=/; Secure; HttpOnly; SameSite=Lax\r\n"
    );
    json!(
        d.answer,
        r#"{{"customer":{},"name":"{}"}}"#,
        customer_id(user),
        ids::person(user)
    );
    d.pattern = Some(Pattern::Login);
    w.send(s);
    s.auth = format!("Cookie: sid={cookie}\r\n");
}

pub(crate) fn logout(w: &mut World, s: &mut Session) {
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/api/logout");
    d.status = 204;
    w.send(s);
    s.auth.clear();
}

/// What an order looks like at that time.
pub(super) fn order_json(w: &mut World, order: u32, whole: bool) {
    let owner = w.shop.orders[order as usize % w.shop.orders.len()];
    let (loyal, returns) = (w.released(Release::ShopLoyalty), w.released(Release::ShopReturns));
    let leak = w.leaking("order").filter(|_| whole);
    let d = &mut w.draft;
    let product = order as usize * 31 % PRODUCTS;
    json!(
        d.answer,
        r#"{{"id":{},"customer":{},"status":"{}","total":{}.{:02},"currency":"EUR""#,
        order_id(order),
        customer_id(owner),
        ["placed", "paid", "shipped", "delivered"][order as usize % 4],
        10 + order % 400,
        order % 100
    );
    if whole {
        json!(
            d.answer,
            r#","items":[{{"product":"{}","quantity":{}}}],"address":{}"#,
            ids::product(product),
            1 + order % 3,
            address_id(order % 500)
        );
    }
    if loyal {
        json!(d.answer, r#","loyalty_points":{}"#, order % 90);
    }
    if !returns {
        json!(d.answer, r#","legacy_code":"L{}""#, order % 7);
    }
    if let Some(attack) = leak {
        d.attack = Some(attack);
        leak_json(owner, d);
    }
    d.answer.push(b'}');
}

/// What no client should get: somebody serialised the stored object as it is.
pub(crate) fn leak_json(owner: u32, d: &mut Draft) {
    json!(
        d.answer,
        r#","internal":{{"password_hash":"$2b$12$KIXQ0c1h7r{owner:08}uG8nT0Ww5H1yq3vJ2m","card_number":"4111111111111111","iban":"DE89370400440532013000"}}"#
    );
}

pub(crate) fn orders(w: &mut World, s: &mut Session, user: u32) {
    w.ask(SERVICE, "GET");
    put!(w.draft.target, "/api/customers/{}/orders", customer_id(user));
    let last: Vec<u32> = w.user(user).orders.iter().rev().take(6).copied().collect();
    w.draft.answer.extend(br#"{"orders":["#);
    for (place, order) in last.into_iter().enumerate() {
        w.draft.answer.extend(if place == 0 { "" } else { "," }.bytes());
        order_json(w, order, false);
    }
    w.draft.answer.extend(b"]}");
    w.send(s);
}

/// Where a request names the order it is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Path,
    Query,
    Header,
    Body,
}

/// An order, asked for in one of the shop's ways.
pub(crate) fn order(w: &mut World, s: &mut Session, order: u32, place: Place) -> u16 {
    let id = order_id(order);
    let d = w.ask(SERVICE, if place == Place::Body { "POST" } else { "GET" });
    match place {
        Place::Path => put!(d.target, "/api/orders/{id}"),
        Place::Query => put!(d.target, "/api/bill?order_id={id}"),
        Place::Header => {
            d.target.push_str("/api/receipt");
            put!(d.fields, "X-Order-Id: {id}\r\n");
        }
        Place::Body => {
            d.target.push_str("/api/track");
            json!(d.body, r#"{{"order_id":{id}}}"#);
        }
    }
    order_json(w, order, true);
    w.send(s)
}

/// An order, asked for with the credentials in the URL.
pub(crate) fn order_by_url(w: &mut World, s: &mut Session, order: u32, parameter: &str) {
    let auth = std::mem::take(&mut s.auth);
    let token = auth.trim_end().rsplit(' ').next().unwrap_or_default();
    w.ask(SERVICE, "GET");
    put!(
        w.draft.target,
        "/api/orders/{}?{parameter}={token}",
        order_id(order)
    );
    order_json(w, order, true);
    w.send(s);
    s.auth = auth;
}

/// A supporter looks at an order for a ticket.
pub(crate) fn order_for_ticket(w: &mut World, s: &mut Session, order: u32, ticket: u32) {
    w.ask(SERVICE, "GET");
    put!(w.draft.target, "/api/orders/{}", order_id(order));
    put!(w.draft.fields, "X-Ticket: {}\r\n", 3000 + ticket);
    order_json(w, order, true);
    w.send(s);
}

/// Places an order; `extra` is what the client adds, and gets back.
pub(crate) fn place(w: &mut World, s: &mut Session, user: u32, extra: &str) -> u32 {
    w.ask(SERVICE, "POST");
    let order = new_order(w, user);
    let gift = w.released(Release::ShopLoyalty) && order.is_multiple_of(5);
    let d = &mut w.draft;
    d.target.push_str("/api/orders");
    d.status = 201;
    json!(
        d.body,
        r#"{{"items":[{{"product":"{}","quantity":{}}}],"payment":"invoice""#,
        ids::product(order as usize * 31 % PRODUCTS),
        1 + order % 3
    );
    if gift {
        d.body.extend(br#","gift_note":"all the best""#);
    }
    json!(d.body, "{extra}}}");
    order_json(w, order, true);
    if !extra.is_empty() {
        w.draft.answer.pop();
        json!(w.draft.answer, "{extra}}}");
    }
    w.send(s);
    order
}

/// Changes an order before it is sent.
pub(crate) fn change(w: &mut World, s: &mut Session, order: u32) {
    let day = w.rng.between(1, 28);
    w.ask(SERVICE, "PATCH");
    put!(w.draft.target, "/api/orders/{}", order_id(order));
    json!(w.draft.body, r#"{{"deliver_on":"2026-04-{day:02}"}}"#);
    order_json(w, order, true);
    w.send(s);
}

pub(crate) fn cancel(w: &mut World, s: &mut Session, order: u32) {
    let d = w.ask(SERVICE, "DELETE");
    put!(d.target, "/api/orders/{}", order_id(order));
    d.status = 204;
    w.send(s);
}

/// Sends goods back, once that is possible.
pub(crate) fn give_back(w: &mut World, s: &mut Session, order: u32) {
    w.ask(SERVICE, "POST");
    if !w.released(Release::ShopReturns) {
        return;
    }
    let d = &mut w.draft;
    put!(d.target, "/api/orders/{}/returns", order_id(order));
    d.body.extend(br#"{"reason":"does not fit"}"#);
    d.status = 201;
    json!(
        d.answer,
        r#"{{"return":{},"order":{}}}"#,
        600 + order,
        order_id(order)
    );
    w.send(s);
}

/// Reads, changes or removes a postal address.
pub(crate) fn address(w: &mut World, s: &mut Session, address: u32, method: &'static str) -> u16 {
    let owner = w.shop.addresses[address as usize % w.shop.addresses.len()];
    let d = w.ask(SERVICE, method);
    put!(d.target, "/api/addresses/{}", address_id(address));
    let text = format!(
        r#"{{"street":"{} Elm Street","city":"Springfield","postcode":"{:05}""#,
        1 + address % 150,
        10_000 + address % 80_000
    );
    if method == "DELETE" {
        d.status = 204;
    } else {
        json!(
            d.answer,
            r#"{text},"id":{},"customer":{}}}"#,
            address_id(address),
            customer_id(owner)
        );
    }
    if method == "PUT" {
        json!(d.body, "{text}}}");
    }
    w.send(s)
}

/// A customer's profile; `excess` makes it one that tells too much.
pub(crate) fn profile(w: &mut World, s: &mut Session, user: u32, excess: bool) {
    let mut name = String::new();
    identity::email(w, user, &mut name);
    let leak = w.leaking("profile");
    let d = w.ask(SERVICE, "GET");
    put!(d.target, "/api/customers/{}", customer_id(user));
    json!(
        d.answer,
        r#"{{"id":{},"name":"{}","email":"{name}","locale":"en","since":"2025-01-0{}""#,
        customer_id(user),
        ids::person(user),
        1 + user % 9
    );
    if let Some(attack) = leak {
        d.attack = Some(attack);
        leak_json(user, d);
    }
    if excess {
        leak_json(user, d);
    }
    d.answer.push(b'}');
    w.send(s);
}

/// Changes a profile; `extra` is what the client adds, and gets back.
pub(crate) fn update_profile(w: &mut World, s: &mut Session, user: u32, extra: &str) {
    let d = w.ask(SERVICE, "PATCH");
    put!(d.target, "/api/customers/{}", customer_id(user));
    json!(
        d.body,
        r#"{{"name":"{}","locale":"en"{extra}}}"#,
        ids::person(user)
    );
    json!(
        d.answer,
        r#"{{"id":{},"name":"{}","locale":"en"{extra}}}"#,
        customer_id(user),
        ids::person(user)
    );
    w.send(s);
}

/// An app asks what is new: most often nothing.
pub(crate) fn poll(w: &mut World, s: &mut Session) {
    let fresh = w.rng.chance(0.15);
    let tag = w.rng.below(60_000);
    let now = w.now;
    let d = w.ask(SERVICE, "GET");
    d.target.push_str("/api/notifications");
    put!(d.fields, "If-None-Match: \"{tag:x}\"\r\n");
    d.status = if fresh { 200 } else { 304 };
    put!(d.answer_fields, "ETag: \"{:x}\"\r\n", tag + usize::from(fresh));
    let mut time = String::new();
    clock::iso(now, &mut time);
    json!(
        d.answer,
        r#"{{"notifications":[{{"kind":"shipped","at":"{time}"}}]}}"#
    );
    w.send(s);
}

pub(crate) fn cart(w: &mut World, s: &mut Session, add: Option<usize>) {
    let d = w.ask(SERVICE, if add.is_some() { "POST" } else { "GET" });
    d.target.push_str(if add.is_some() {
        "/api/cart/items"
    } else {
        "/api/cart"
    });
    if let Some(number) = add {
        json!(d.body, r#"{{"product":"{}","quantity":1}}"#, ids::product(number));
        d.status = 201;
    }
    d.answer.extend(br#"{"items":["#);
    product_json(add.unwrap_or(3), d);
    d.answer.extend(b"]}");
    w.send(s);
}

/// Makes a link to one's wish list. Gives its number.
pub(crate) fn share(w: &mut World, s: &mut Session, user: u32) -> u32 {
    let link = w.shop.links.len() as u32;
    w.shop.links.push(user);
    let seed = w.seed;
    let d = w.ask(SERVICE, "POST");
    put!(d.target, "/api/customers/{}/wishlist/share", customer_id(user));
    d.status = 201;
    json!(
        d.answer,
        r#"{{"link":"/api/wishlists/{}"}}"#,
        ids::token(seed, Of::Link, link.into(), 16)
    );
    w.send(s);
    link
}

pub(crate) fn open_link(w: &mut World, s: &mut Session, link: u32) {
    let owner = w.shop.links[link as usize];
    let seed = w.seed;
    let d = w.ask(SERVICE, "GET");
    put!(
        d.target,
        "/api/wishlists/{}",
        ids::token(seed, Of::Link, link.into(), 16)
    );
    json!(d.answer, r#"{{"of":"{}","items":["#, ids::person(owner));
    product_json(owner as usize % PRODUCTS, d);
    d.answer.extend(b"]}");
    w.send(s);
}
