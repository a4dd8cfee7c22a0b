//! Stories of API1: customers with what is theirs, and what is not.

mod colleagues;
mod edges;

use super::Expect::{self, Fires, Quiet};
use super::Severity::{Critical, High, Low, Medium};
use super::stories::{NOW, Story, bearer, jwt, story};
use crate::detect::Blind;
use crate::exchange::test_support::Builder;

/// Customers of the stories.
pub(super) const CUSTOMERS: u64 = 10;

fn uuid(kind: u8, number: u64) -> String {
    format!("{kind:08x}-3b1c-4d2e-9f3a-{number:012x}")
}

/// A customer's token.
fn token_of(customer: u64, tenant: &str) -> String {
    let subject = uuid(1, customer);
    let payload = format!(
        r#"{{"iss":"i","sub":"{subject}","roles":["customer"],"iat":{NOW},"exp":{}{tenant}}}"#,
        NOW + 900
    );
    jwt(r#"{"alg":"RS256"}"#, &payload, "c2lnbmF0dXJl")
}

pub(super) fn asks(customer: u64, path: &str) -> Builder {
    bearer(path, &token_of(customer, ""))
}

/// A customer gets an order that is some customer's.
pub(super) fn order(customer: u64, owner: u64, number: u64) -> Builder {
    let id = 100_000 + owner * 100 + number;
    let answer = format!(r#"{{"id":{id},"customer":"{}","total":12.5}}"#, uuid(1, owner));
    asks(customer, &format!("/orders/{id}")).answer(&answer)
}

/// Each of them gets orders of their own.
pub(super) fn own_orders(customers: u64, each: u64) -> Vec<Builder> {
    let all = (0..each).flat_map(|number| (0..customers).map(move |customer| (customer, number)));
    all.map(|(customer, number)| order(customer, customer, number))
        .collect()
}

/// The same at a shop whose customers have numbers that no token tells.
fn numbered(customer: u64, owner: u64, number: u64) -> Builder {
    let id = 100_000 + owner * 100 + number;
    let answer = format!(r#"{{"id":{id},"customer":{},"total":12.5}}"#, 40_000 + owner);
    asks(customer, &format!("/orders/{id}")).answer(&answer)
}

/// Customers and their numbers are known, and one was seen with the number of somebody who comes later: before there was
/// a norm.
fn numbers() -> Vec<Builder> {
    let all = (0..12).flat_map(|number| (0..CUSTOMERS).map(move |customer| (customer, number)));
    let mut all: Vec<_> = all
        .map(|(customer, number)| numbered(customer, customer, number))
        .collect();
    // Callers are known by eight orders each; by fourteen more there is nearly a norm.
    all.splice(94..94, (0..4).map(|number| numbered(1, 20, number)));
    all
}

fn owners() -> Vec<Story> {
    let rule = "API1-001";
    let newcomer: Vec<_> = (0..6).map(|number| numbered(20, 20, number)).collect();
    let then = |before: &[Builder], last: Builder| [before, &[last]].concat();
    let own = own_orders(CUSTOMERS, 3);
    // One of three orders is a neighbour's: here, that is how it is.
    let shared: Vec<_> = (0..CUSTOMERS * 6)
        .map(|n| order(n % CUSTOMERS, if n % 3 == 0 { n + 1 } else { n } % CUSTOMERS, n))
        .collect();
    vec![
        story(
            rule,
            "another's order",
            then(&own, order(1, 2, 0)),
            Fires(&[High]),
        ),
        story(
            rule,
            "another's number",
            then(&numbers(), numbered(2, 3, 0)),
            Fires(&[High]),
        ),
        story(
            rule,
            "a newcomer whose number another was seen with",
            [numbers(), newcomer].concat(),
            Quiet,
        ),
        story(rule, "one's own again", then(&own, order(1, 1, 7)), Quiet),
        story(rule, "refused", then(&own, order(1, 2, 0).status(404)), Quiet),
        story(rule, "shared by all", then(&shared, order(1, 2, 0)), Quiet),
        story(
            rule,
            "nothing is known yet",
            then(&own_orders(3, 1), order(1, 2, 0)),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        story(
            rule,
            "no answer",
            then(&own, order(1, 2, 0).unanswered()),
            Expect::Blind(Blind::NoResponse),
        ),
    ]
}

pub(super) fn report(customer: u64, of: u64, token_for: u64) -> Builder {
    let token = token_of(customer, &format!(r#","tenant":"tenant-{token_for}""#));
    bearer("/report", &token).answer(&format!(r#"{{"tenant":"tenant-{of}","orders":12}}"#))
}

fn tenants() -> Vec<Story> {
    let rule = "API1-005";
    let own: Vec<_> = (0..CUSTOMERS * 3)
        .map(|n| report(n % CUSTOMERS, n % 2, n % 2))
        .collect();
    let then = |before: &[Builder], last: Builder| [before, &[last]].concat();
    vec![
        story(
            rule,
            "another tenant",
            then(&own, report(2, 1, 0)),
            Fires(&[Critical]),
        ),
        story(rule, "with a token for it", then(&own, report(2, 1, 1)), Quiet),
        story(
            rule,
            "nothing is known yet",
            then(own.get(..4).unwrap(), report(2, 1, 0)),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        story(
            rule,
            "what each ticket says, to somebody who read much else",
            then(&tickets(), ticket(1, 900)),
            Quiet,
        ),
    ]
}

/// A ticket of some customer's; all are about the same.
fn ticket(staff: u64, number: u64) -> Builder {
    let answer = format!(
        r#"{{"ticket":{},"customer":{},"subject":"where is my order"}}"#,
        3000 + number,
        40_000 + number
    );
    asks(staff, &format!("/tickets/{}", 3000 + number)).answer(&answer)
}

/// Staff read tickets, and one of them so many profiles that nothing else is remembered of its answers.
fn tickets() -> Vec<Builder> {
    let read = (0..CUSTOMERS * 12).map(|n| ticket(n % CUSTOMERS, n));
    let profiles = (0..60).map(|n| {
        let fields = (0..8).map(|at| format!(r#""field{at}":"{}""#, uuid(3, n * 8 + at)));
        let fields: Vec<_> = fields.collect();
        asks(1, &format!("/customers/{}", 40_000 + n)).answer(&format!("{{{}}}", fields.join(",")))
    });
    read.chain(profiles).collect()
}

fn listed(customer: u64, documents: &[u64]) -> Builder {
    let ids: Vec<_> = documents
        .iter()
        .map(|number| format!(r#"{{"id":"{}"}}"#, uuid(2, *number)))
        .collect();
    asks(customer, "/documents").answer(&format!("[{}]", ids.join(",")))
}

/// A list that is the same for all, or for a team.
fn shown(customer: u64, what: &str, kind: u8, numbers: &[u64]) -> Builder {
    let ids: Vec<_> = numbers
        .iter()
        .map(|number| format!(r#"{{"id":"{}"}}"#, uuid(kind, *number)))
        .collect();
    asks(customer, &format!("/{what}")).answer(&format!("[{}]", ids.join(",")))
}

fn opened(customer: u64, document: u64) -> Builder {
    asks(customer, &format!("/documents/{}", uuid(2, document))).answer(r#"{"title":"notes"}"#)
}

/// Each lists four documents, and opens them.
fn own_documents(customers: u64) -> Vec<Builder> {
    let of = |customer: u64| [0, 1, 2, 3].map(|number| customer * 100 + number);
    let all = (0..customers).flat_map(|customer| {
        let opened = of(customer).map(|document| opened(customer, document));
        std::iter::once(listed(customer, &of(customer))).chain(opened)
    });
    all.collect()
}

/// Who is handed the same as others.
fn related() -> Vec<Story> {
    let (others, own) = ("API1-002", own_documents(CUSTOMERS));
    let all: Vec<u64> = (0..12).collect();
    let products: Vec<_> = (0..CUSTOMERS)
        .map(|customer| shown(customer, "products", 3, &all))
        .collect();
    let teams: Vec<_> = (0..CUSTOMERS * 2)
        .map(|n| {
            shown(
                n % CUSTOMERS,
                "files",
                4,
                &[1, 2, 3].map(|file| n % CUSTOMERS % 3 * 100 + file),
            )
        })
        .collect();
    // Shown to one, and opened by another as if it were a document.
    let new_products = [
        shown(5, "products", 2, &[8001, 8002, 8003]),
        opened(1, 8001),
        opened(1, 8002),
        opened(1, 8003),
    ];
    vec![
        story(
            others,
            "of another, where all are shown the same products",
            [
                &products,
                &own[..],
                &[opened(1, 200), opened(1, 201), opened(1, 202)],
            ]
            .concat(),
            Fires(&[Low, Medium]),
        ),
        story(
            others,
            "of another of one's team",
            [
                &teams,
                &own[..],
                &[opened(1, 400), opened(1, 401), opened(1, 402)],
            ]
            .concat(),
            Quiet,
        ),
        story(
            others,
            "a product that others were shown, at a place that shows the same to all",
            [&products, &own[..], &new_products].concat(),
            Quiet,
        ),
    ]
}

const fn neighbour(customer: u64) -> u64 {
    (customer + 1) % CUSTOMERS
}

fn twice(each: impl Fn(u64) -> Builder) -> Vec<Builder> {
    (0..CUSTOMERS * 2).map(|n| each(n % CUSTOMERS)).collect()
}

/// One of five things that each bought is what a neighbour bought, too.
fn purchases() -> Vec<Builder> {
    twice(|customer| {
        let things = [
            customer,
            neighbour(customer),
            100 + customer,
            200 + customer,
            300 + customer,
        ];
        shown(customer, "purchases", 6, &things)
    })
}

/// Each looks at what is said of two products, of which a neighbour looks at one.
fn reviews() -> Vec<Builder> {
    let products: Vec<u64> = (0..12).collect();
    let of = |customer: u64, product: u64| {
        let what = format!("products/{}/reviews", uuid(3, product));
        shown(customer, &what, 7, &[0, 1, 2].map(|place| product * 10 + place))
    };
    [
        twice(|customer| shown(customer, "products", 3, &products)),
        twice(|customer| of(customer, customer)),
        twice(|customer| of(customer, neighbour(customer))),
    ]
    .concat()
}

/// Who shares some ids with others, as everybody does now and then.
fn met() -> Vec<Story> {
    let (others, own) = ("API1-002", own_documents(CUSTOMERS));
    let bought = purchases();
    let opens = [opened(1, 200), opened(1, 201), opened(1, 202)];
    // Some open what a neighbour was shown, all along.
    let four = |customer: u64| [0, 1, 2, 3].map(|number| customer * 100 + number);
    let lists: Vec<_> = (0..CUSTOMERS)
        .map(|customer| listed(customer, &four(customer)))
        .collect();
    let shared = twice(|customer| opened(customer, neighbour(customer) * 100 + 1));
    vec![
        story(
            others,
            "of another who bought one of the same things",
            [&bought, &own[..], &opens].concat(),
            Fires(&[Low, Medium]),
        ),
        story(
            others,
            "of another who looked at the same product",
            [&reviews(), &own[..], &opens].concat(),
            Fires(&[Low, Medium]),
        ),
        story(
            others,
            "of another who bought one of the same things, where some open what others have",
            [&bought, &lists[..], &shared, &own, &opens].concat(),
            Quiet,
        ),
        story(
            others,
            "where too few opened what is theirs, by one who bought the same",
            [&bought, own.get(..25).unwrap(), &opens[..1]].concat(),
            Quiet,
        ),
    ]
}

fn handed() -> Vec<Story> {
    let own = own_documents(CUSTOMERS);
    let then = |last: &[Builder]| [&own, last].concat();
    let few = |last: Builder| [own_documents(2), vec![last]].concat();
    let nobodys = |numbers: std::ops::Range<u64>| -> Vec<Builder> {
        numbers.map(|number| opened(1, 9000 + number)).collect()
    };
    let (others, nobody) = ("API1-002", "API1-003");
    let early = Expect::Blind(Blind::NotEnoughEvidence);
    vec![
        story(
            others,
            "documents of another",
            then(&[opened(1, 200), opened(1, 201), opened(1, 202)]),
            Fires(&[Low, Medium]),
        ),
        story(
            others,
            "handed to this one, too",
            then(&[listed(1, &[200]), opened(1, 200)]),
            Quiet,
        ),
        story(others, "one's own", then(&[opened(1, 100)]), Quiet),
        story(others, "nothing is known yet", few(opened(1, 0)), early),
        story(
            nobody,
            "ids of nobody",
            then(&nobodys(0..3)),
            Fires(&[Low, Medium]),
        ),
        story(
            nobody,
            "just made",
            then(&[listed(1, &[9000]), opened(1, 9000)]),
            Quiet,
        ),
        story(nobody, "nothing is known yet", few(opened(1, 9000)), early),
    ]
}

fn many() -> Vec<Story> {
    let rule = "API1-004";
    let tries = |count: u64| -> Vec<Builder> {
        let of = |number| opened(1, 200 + number / 4 * 100 + number % 4);
        (0..count).map(of).collect()
    };
    // The other half of a day's work of twenty.
    let all = own_documents(2 * CUSTOMERS);
    let then = |last: Vec<Builder>| [all.clone(), last].concat();
    let refused = tries(12).into_iter().map(|one| one.status(404)).collect();
    vec![
        story(rule, "one after the other", then(tries(12)), Fires(&[High])),
        story(rule, "a few", then(tries(6)), Quiet),
        story(rule, "nothing was given", then(refused), Quiet),
        story(
            rule,
            "nothing is known yet",
            [own_documents(4), tries(11)].concat(),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
    ]
}

pub(super) fn all() -> Vec<Story> {
    [
        owners(),
        tenants(),
        handed(),
        related(),
        met(),
        many(),
        colleagues::all(),
        edges::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
