//! Accounting for many tenants: invoices with ULIDs below the tenant's name.

use super::super::clock;
use super::super::ids::{self, Of};
use super::super::world::{Session, World, json, put};
use super::{Release, Service, shop};

const SERVICE: Service = Service::Books;

/// Invoices: whose, and when they were made.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) invoices: Vec<(u16, u64)>,
}

pub(crate) fn new_invoice(w: &mut World, tenant: u16) -> u32 {
    let invoice = w.books.invoices.len() as u32;
    w.books.invoices.push((tenant, w.now));
    w.people.tenants[usize::from(tenant)].invoices.push(invoice);
    invoice
}

fn id(w: &World, invoice: u32) -> impl std::fmt::Display + use<> {
    let made = w.books.invoices.get(invoice as usize).map_or(w.now, |one| one.1);
    ids::ulid(w.seed, Of::Invoice, invoice.into(), made)
}

fn invoice_json(w: &mut World, invoice: u32, whole: bool) {
    let (tenant, made) = w.books.invoices.get(invoice as usize).copied().unwrap_or((0, 0));
    let renamed = w.released(Release::BooksAttachments);
    let leak = w.leaking("invoice").filter(|_| whole);
    let id = id(w, invoice);
    let d = &mut w.draft;
    let total = if renamed { "amount_total" } else { "total" };
    json!(
        d.answer,
        r#"{{"id":"{id}","number":{},"tenant":"{}","{total}":{}.{:02},"state":"{}""#,
        invoice + 1,
        ids::tenant(tenant),
        40 + invoice % 9000,
        invoice % 100,
        ["draft", "sent", "paid"][invoice as usize % 3]
    );
    if whole {
        let mut time = String::new();
        clock::iso(made, &mut time);
        json!(
            d.answer,
            r#","created_at":"{time}","debtor":"{}","lines":[{{"text":"{}","quantity":{},"price":{}.00}}]"#,
            ids::person(invoice * 13 % 9000),
            ids::product(invoice as usize * 17 % ids::PRODUCTS),
            1 + invoice % 9,
            10 + invoice % 300
        );
        if renamed {
            json!(d.answer, r#","attachments":{}"#, invoice % 3);
        }
    }
    if let Some(attack) = leak {
        d.attack = Some(attack);
        shop::leak_json(invoice, d);
    }
    d.answer.push(b'}');
}

pub(crate) fn list(w: &mut World, s: &mut Session, tenant: u16, page: usize) {
    w.ask(SERVICE, "GET");
    put!(
        w.draft.target,
        "/v2/tenants/{}/invoices?page={page}",
        ids::tenant(tenant)
    );
    many(w, tenant, page, 8);
    w.send(s);
}

/// As many of a tenant's invoices as there are, at once.
pub(crate) fn bulk(w: &mut World, s: &mut Session, tenant: u16, limit: usize) {
    w.ask(SERVICE, "GET");
    put!(
        w.draft.target,
        "/v2/tenants/{}/invoices?page=0&limit={limit}",
        ids::tenant(tenant)
    );
    many(w, tenant, 0, limit);
    w.send(s);
}

fn many(w: &mut World, tenant: u16, page: usize, count: usize) {
    let of_tenant = w.people.tenants[usize::from(tenant)].invoices.iter();
    let some: Vec<u32> = of_tenant.rev().skip(page * count).take(count).copied().collect();
    w.draft.answer.extend(br#"{"invoices":["#);
    for (place, invoice) in some.into_iter().enumerate() {
        w.draft.answer.extend(if place == 0 { "" } else { "," }.bytes());
        invoice_json(w, invoice, false);
    }
    w.draft.answer.extend(b"]}");
}

/// Reads, changes or removes an invoice below the name of a tenant, which need not be the invoice's.
pub(crate) fn invoice(
    w: &mut World,
    s: &mut Session,
    tenant: u16,
    invoice: u32,
    method: &'static str,
) -> u16 {
    let id = id(w, invoice);
    w.ask(SERVICE, method);
    put!(
        w.draft.target,
        "/v2/tenants/{}/invoices/{id}",
        ids::tenant(tenant)
    );
    if method == "DELETE" {
        w.draft.status = 204;
        return w.send(s);
    }
    invoice_json(w, invoice, true);
    if method == "PUT" {
        json!(
            w.draft.body,
            r#"{{"state":"sent","due_on":"2026-04-{:02}"}}"#,
            1 + invoice % 28
        );
    }
    w.send(s)
}

/// Creates one; `extra` is what the client adds, and gets back.
pub(crate) fn create(w: &mut World, s: &mut Session, tenant: u16, extra: &str) -> u32 {
    let invoice = new_invoice(w, tenant);
    w.ask(SERVICE, "POST");
    put!(w.draft.target, "/v2/tenants/{}/invoices", ids::tenant(tenant));
    json!(
        w.draft.body,
        r#"{{"debtor":"{}","lines":[{{"text":"{}","quantity":{},"price":{}.00}}]{extra}}}"#,
        ids::person(invoice * 13 % 9000),
        ids::product(invoice as usize * 17 % ids::PRODUCTS),
        1 + invoice % 9,
        10 + invoice % 300
    );
    w.draft.status = 201;
    invoice_json(w, invoice, true);
    if !extra.is_empty() {
        w.draft.answer.pop();
        json!(w.draft.answer, "{extra}}}");
    }
    w.send(s);
    invoice
}

/// Files that belong to an invoice, once there are any.
pub(crate) fn attachments(w: &mut World, s: &mut Session, tenant: u16, invoice: u32) {
    let id = id(w, invoice);
    w.ask(SERVICE, "GET");
    if !w.released(Release::BooksAttachments) {
        return;
    }
    put!(
        w.draft.target,
        "/v2/tenants/{}/invoices/{id}/attachments",
        ids::tenant(tenant)
    );
    json!(
        w.draft.answer,
        r#"{{"invoice":"{id}","attachments":[{{"name":"scan.pdf","bytes":{}}}]}}"#,
        invoice % 90_000
    );
    w.send(s);
}

/// A manager's or accountant's figures.
pub(crate) fn report(w: &mut World, s: &mut Session, tenant: u16) {
    let count = w.people.tenants[usize::from(tenant)].invoices.len();
    let d = w.ask(SERVICE, "GET");
    put!(d.target, "/v2/tenants/{}/reports/monthly", ids::tenant(tenant));
    json!(
        d.answer,
        r#"{{"tenant":"{}","month":"2026-03","invoices":{count},"revenue":{}}}"#,
        ids::tenant(tenant),
        count * 731
    );
    w.send(s);
}

/// A manager's settings.
pub(crate) fn settings(w: &mut World, s: &mut Session, tenant: u16) {
    let d = w.ask(SERVICE, "PUT");
    put!(d.target, "/v2/tenants/{}/settings", ids::tenant(tenant));
    d.body.extend(br#"{"reminder_days":14,"footer":"thank you"}"#);
    d.answer.extend(br#"{"reminder_days":14,"footer":"thank you"}"#);
    w.send(s);
}

/// The nightly export asks for one after the other, by running number.
pub(crate) fn export(w: &mut World, s: &mut Session, invoice: u32) {
    w.ask(SERVICE, "GET");
    put!(w.draft.target, "/v2/export/invoices/{}", invoice + 1);
    invoice_json(w, invoice, true);
    w.send(s);
}

/// Somebody without an account opens an invoice by the link that was sent.
pub(crate) fn open_link(w: &mut World, s: &mut Session, invoice: u32) {
    let seed = w.seed;
    w.ask(SERVICE, "GET");
    put!(
        w.draft.target,
        "/v2/public/{}",
        ids::token(seed, Of::Link, 1 << 32 | u64::from(invoice), 22)
    );
    invoice_json(w, invoice, true);
    w.send(s);
}
