//! The shop's other side: tickets, refunds, lists for the office, exports.

use super::super::world::{Session, World, json, put};
use super::Service;
use super::shop::{customer_id, order_id, order_json};

const SERVICE: Service = Service::Shop;

/// A customer writes to support. Gives the ticket.
pub(crate) fn complain(w: &mut World, s: &mut Session, user: u32) -> u32 {
    let ticket = w.shop.tickets.len() as u32;
    w.shop.tickets.push(user);
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/api/tickets");
    d.status = 201;
    d.body
        .extend(br#"{"subject":"where is my order","text":"It has not come yet."}"#);
    json!(d.answer, r#"{{"ticket":{},"state":"open"}}"#, 3000 + ticket);
    w.send(s);
    ticket
}

pub(crate) fn ticket(w: &mut World, s: &mut Session, ticket: u32) {
    let user = w.shop.tickets[ticket as usize];
    let d = w.ask(SERVICE, "GET");
    put!(d.target, "/api/tickets/{}", 3000 + ticket);
    json!(
        d.answer,
        r#"{{"ticket":{},"customer":{},"subject":"where is my order","state":"open"}}"#,
        3000 + ticket,
        customer_id(user)
    );
    w.send(s);
}

/// Back office: money back.
pub(crate) fn refund(w: &mut World, s: &mut Session, order: u32) {
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/api/admin/refunds");
    d.status = 201;
    json!(
        d.body,
        r#"{{"order":{},"amount":{}.00}}"#,
        order_id(order),
        5 + order % 60
    );
    json!(
        d.answer,
        r#"{{"refund":{},"order":{}}}"#,
        880 + order,
        order_id(order)
    );
    w.send(s);
}

/// Back office: the orders of a day, so many at once.
pub(crate) fn all_orders(w: &mut World, s: &mut Session, page: u32, per_page: u32) {
    w.ask(SERVICE, "GET");
    put!(
        w.draft.target,
        "/api/admin/orders?status=open&page={page}&per_page={per_page}"
    );
    w.draft.answer.extend(br#"{"orders":["#);
    let count = w.shop.orders.len() as u32;
    for place in 0..per_page {
        w.draft.answer.extend(if place == 0 { "" } else { "," }.bytes());
        order_json(w, (page * per_page + place) % count, false);
    }
    w.draft.answer.extend(b"]}");
    w.send(s);
}

/// A customer's own orders as a file, so many at once.
pub(crate) fn export(w: &mut World, s: &mut Session, user: u32, limit: u32) {
    w.ask(SERVICE, "GET");
    put!(w.draft.target, "/api/export?limit={limit}");
    w.draft.answer.extend(br#"{"orders":["#);
    let own: Vec<u32> = w.user(user).orders.iter().rev().take(10).copied().collect();
    let count = w.shop.orders.len() as u32;
    let first = w.rng.below(count as usize) as u32;
    // More than one's own can only be others'.
    let all = if limit <= 10 {
        own
    } else {
        (0..limit).map(|n| (first + n) % count).collect()
    };
    for (place, order) in all.into_iter().enumerate() {
        w.draft.answer.extend(if place == 0 { "" } else { "," }.bytes());
        order_json(w, order, false);
    }
    w.draft.answer.extend(b"]}");
    w.send(s);
}
