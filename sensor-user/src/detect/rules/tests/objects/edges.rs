//! Stories of API1 at the edges of what is known: refusals, fields that say nothing, cut answers, newcomers.

use super::super::Expect::{self, Fires, Quiet};
use super::super::Severity::{High, Low, Medium};
use super::super::stories::{NOW, Story, bearer, opaque, story};
use super::{CUSTOMERS, asks, listed, numbered, numbers, opened, own_documents, token_of, uuid};
use crate::detect::Blind;
use crate::exchange::BodyState;
use crate::exchange::test_support::Builder;

const DAY: u64 = 86_400;

fn then(before: &[Builder], last: &[Builder]) -> Vec<Builder> {
    [before, last].concat()
}

/// Documents of another, one after the other.
fn of_another(by: u64, owner: u64, answer: impl Fn(u64) -> String) -> Vec<Builder> {
    let of = |number| opened(by, owner * 100 + number).answer(&answer(by));
    (0..3).map(of).collect()
}

/// Each is handed so many documents, and opens them; `answer` is for whom it is.
fn opened_by_all(each: u64, answer: impl Fn(u64) -> String) -> Vec<Builder> {
    let all = (0..CUSTOMERS).flat_map(|customer| {
        let own: Vec<_> = (0..each).map(|number| customer * 100 + number).collect();
        let opened = own
            .iter()
            .map(|document| opened(customer, *document).answer(&answer(customer)));
        std::iter::once(listed(customer, &own)).chain(opened.collect::<Vec<_>>())
    });
    all.collect()
}

/// Fields of answers that say nothing of whose an object is.
fn fields() -> Vec<Story> {
    let (others, nobody) = ("API1-002", "API1-003");
    let site = |_| format!(r#"{{"title":"notes","site":"{}"}}"#, uuid(9, 1));
    let viewer = |customer| format!(r#"{{"title":"notes","viewer":"{}"}}"#, uuid(1, customer));
    // Each asks for one document all day, whose tracking number is nobody's name.
    let tracked = |document| format!(r#"{{"title":"notes","tracking":"{}"}}"#, uuid(7, document));
    let polled: Vec<_> = (0..CUSTOMERS)
        .flat_map(|customer| {
            let poll = opened(customer, customer * 100).answer(&tracked(customer * 100));
            std::iter::once(listed(customer, &[customer * 100])).chain(std::iter::repeat_n(poll, 25))
        })
        .collect();
    let fresh = [9001, 9002].map(|document| opened(1, document).answer(&tracked(document)));
    vec![
        story(
            others,
            "all answers have the same field",
            then(&opened_by_all(24, site), &of_another(1, 2, site)),
            Fires(&[Low, Medium]),
        ),
        story(
            others,
            "answers name whoever asks",
            then(&opened_by_all(4, viewer), &of_another(1, 8, viewer)),
            Fires(&[Low, Medium]),
        ),
        story(
            nobody,
            "a number that is nobody's name",
            then(&polled, &fresh),
            Fires(&[Low]),
        ),
    ]
}

/// Customers and orders that have small numbers.
fn small_numbers() -> Vec<Story> {
    let order = |customer: u64, owner: u64, id: u64| {
        asks(customer, &format!("/orders/{id}")).answer(&format!(r#"{{"order_id":{id},"user_id":{owner}}}"#))
    };
    let all = (0..12).flat_map(|number| (1..=CUSTOMERS).map(move |customer| (customer, number)));
    let mut all: Vec<_> = all
        .map(|(customer, number)| order(customer, customer, customer * 100 + number))
        .collect();
    // Order 3 is customer 1's, whose list has no other.
    all.extend((0..4).map(|_| asks(1, "/orders").answer(r#"[{"order_id":3}]"#)));
    // Each is handed an old order and four new ones, and opens the new ones.
    let read =
        |customer: u64, id: u64| asks(customer, &format!("/orders/{id}")).answer(r#"{"title":"lamp"}"#);
    let new = |customer: u64| (0..4).map(move |number| 50_000 + customer * 10 + number);
    let listed = |customer: u64| {
        let ids = std::iter::once(700 + customer).chain(new(customer));
        let items: Vec<_> = ids.map(|id| format!(r#"{{"order_id":{id}}}"#)).collect();
        asks(customer, "/orders").answer(&format!("[{}]", items.join(",")))
    };
    let mixed: Vec<_> = (0..CUSTOMERS)
        .flat_map(|customer| {
            let opened = new(customer).map(move |id| read(customer, id));
            std::iter::once(listed(customer)).chain(opened)
        })
        .collect();
    vec![
        story(
            "API1-001",
            "another whose number an own order has",
            then(&all, &[order(1, 3, 300)]),
            Fires(&[High]),
        ),
        story(
            "API1-003",
            "a small number from a list of large ones",
            then(&mixed, &[read(1, 701)]),
            Quiet,
        ),
    ]
}

fn cut_answers() -> Vec<Story> {
    let own = own_documents(CUSTOMERS);
    let cut = |builder: Builder| builder.answer_state(BodyState::Cut);
    let nobodys = |at: u64| [9000, 9001, 9002].map(|number| opened(1, number).at_s(at));
    let unseen = [cut(listed(1, &[]))];
    let moved = asks(1, "/latest")
        .status(303)
        .response_field("X-Document-Id", &uuid(2, 9000));
    let rule = "API1-003";
    vec![
        story(
            rule,
            "a list was not seen to its end",
            [&own[..], &unseen, &nobodys(NOW + 3 * DAY)].concat(),
            Expect::Blind(Blind::BodyCut),
        ),
        story(
            rule,
            "a list was not seen to its end, days ago",
            [&own[..], &unseen, &nobodys(NOW + 5 * DAY)].concat(),
            Fires(&[Low, Medium]),
        ),
        story(
            rule,
            "an answer that hands out nothing was not seen to its end",
            [&own[..], &[cut(opened(1, 100))], &nobodys(NOW)].concat(),
            Fires(&[Low, Medium]),
        ),
        story(
            rule,
            "what was seen of a list that was cut",
            [
                &own[..],
                &[cut(listed(1, &[9000])), opened(1, 9000).at_s(NOW + 5 * DAY)],
            ]
            .concat(),
            Quiet,
        ),
        story(
            rule,
            "handed out by a field of a redirection",
            [&own[..], &[moved, opened(1, 9000)]].concat(),
            Quiet,
        ),
    ]
}

/// More in a message than is looked at.
fn no_room() -> Vec<Story> {
    let ids: Vec<_> = (0..40)
        .map(|number| format!(r#""{}""#, uuid(2, 100 + number % 4 + number * 1000)))
        .collect();
    let batch = asks(1, "/batch").json(&format!(r#"{{"ids":[{}]}}"#, ids.join(",")));
    let query: Vec<_> = (0..40)
        .map(|number| format!("p{number}={}", uuid(5, number)))
        .collect();
    let answer = r#"{"id":100300,"customer":40003,"total":12.5}"#;
    let padded = asks(2, &format!("/orders/100300?{}", query.join("&"))).answer(answer);
    vec![
        story(
            "API1-002",
            "more ids than are looked at",
            then(&own_documents(CUSTOMERS), &[batch]),
            Expect::Blind(Blind::NoRoom),
        ),
        story(
            "API1-001",
            "a query of more places than are looked at",
            then(&numbers(), &[padded]),
            Fires(&[High]),
        ),
    ]
}

/// Who comes just now, and who was known as another before.
fn newcomers() -> Vec<Story> {
    let (owner, others) = ("API1-001", "API1-002");
    // What they ask for first was another's, as far as it is known.
    let first: Vec<_> = (0..8).map(|number| numbered(30 + number, 3, number)).collect();
    let used: Vec<_> = (0..3).map(|number| opened(50 + number, 300 + number)).collect();
    // A list by a session that turns out to be a customer's.
    let page = format!(r#"[{{"id":"{}"}}]"#, uuid(2, 7000));
    let login = Builder::post("/login")
        .json(r#"{"username":"customer60","password":"hunter22"}"#)
        .at_s(NOW);
    let granted = format!(
        r#"{{"token":"{}","access_token":"{}"}}"#,
        opaque("v"),
        token_of(60, "")
    );
    let news = asks(60, "/news").answer(r#"{"title":"news"}"#);
    let logged_in = [
        bearer("/documents", &opaque("v")).answer(&page),
        login.answer(&granted),
        news.clone(),
        news.clone(),
        news,
        opened(60, 7000),
    ];
    let link = |customer| opened(customer, 200);
    vec![
        story(
            owner,
            "newcomers break no norm",
            [&numbers()[..], &first, &[numbered(2, 3, 0)]].concat(),
            Fires(&[High]),
        ),
        story(
            others,
            "newcomers are not told, and teach nothing",
            [
                &own_documents(CUSTOMERS)[..],
                &used,
                &of_another(1, 2, |_| r#"{"title":"notes"}"#.into()),
            ]
            .concat(),
            Fires(&[Low, Medium]),
        ),
        story(
            "API1-003",
            "handed out before the login",
            then(&own_documents(CUSTOMERS), &logged_in),
            Quiet,
        ),
        story(
            others,
            "two who come again are no crowd",
            then(&own_documents(CUSTOMERS), &[link(1), link(3), link(1), link(4)]),
            Fires(&[Low; 3]),
        ),
    ]
}

/// Answers to logins name the customer, in the body.
fn logins() -> Vec<Story> {
    let login = |customer: u64| {
        let answer = format!(
            r#"{{"access_token":"{}","customer":{}}}"#,
            token_of(customer, ""),
            40_000 + customer
        );
        let ids = ["X-Cell-Id", "X-Shard-Id", "X-Machine-Id"];
        let numbered = ids.iter().zip(0..).fold(
            Builder::post("/login")
                .json(&format!(
                    r#"{{"username":"customer{customer}","password":"hunter22"}}"#
                ))
                .at_s(NOW),
            |login, (name, number)| login.response_field(name, &uuid(8, customer * 10 + number)),
        );
        numbered.answer(&answer)
    };
    let all = (0..CUSTOMERS).flat_map(|customer| {
        [
            login(customer),
            numbered(customer, customer, 0),
            numbered(customer, customer, 1),
        ]
    });
    // With a session of which only the login knows whose it is.
    let session = |customer: u64| opaque(&format!("s{customer}"));
    let begins = |customer: u64| {
        let answer = format!(
            r#"{{"access_token":"{}","customer":{}}}"#,
            session(customer),
            40_000 + customer
        );
        let name = format!(r#"{{"username":"customer{customer}","password":"hunter22"}}"#);
        Builder::post("/login").json(&name).at_s(NOW).answer(&answer)
    };
    let reads = |customer: u64, owner: u64| {
        let id = 100_000 + owner * 100;
        let answer = format!(r#"{{"id":{id},"customer":{},"total":12.5}}"#, 40_000 + owner);
        bearer(&format!("/orders/{id}"), &session(customer)).answer(&answer)
    };
    let sessions = (0..2 * CUSTOMERS).flat_map(|customer| [begins(customer), reads(customer, customer)]);
    vec![
        story(
            "API1-001",
            "another's number, where logins tell one's own",
            then(&all.collect::<Vec<_>>(), &[numbered(2, 3, 0)]),
            Fires(&[High]),
        ),
        story(
            "API1-001",
            "of another, first of all after a login that tells one's own",
            then(&sessions.collect::<Vec<_>>(), &[begins(30), reads(30, 3)]),
            Fires(&[High]),
        ),
    ]
}

/// Who departs from a norm before anything can be told of it: its own number is not known.
fn departures() -> Vec<Story> {
    let news = |customer| asks(customer, "/news").answer(r#"{"title":"news"}"#);
    let counts = |customer: u64| {
        let orders = (0..20).map(move |number| numbered(customer, 2 + number % 8, number));
        std::iter::repeat_n(news(customer), 8)
            .chain(orders)
            .collect::<Vec<_>>()
    };
    let all: Vec<_> = (30..34).flat_map(counts).collect();
    vec![
        story(
            "API1-001",
            "another's number, where one counted through all there is",
            then(&numbers(), &[counts(30), vec![numbered(2, 3, 0)]].concat()),
            Fires(&[High]),
        ),
        story(
            "API1-001",
            "another's number, where several count through all there is",
            then(&numbers(), &[all, vec![numbered(2, 3, 0)]].concat()),
            Quiet,
        ),
    ]
}

fn refusals() -> Vec<Story> {
    let own = own_documents(2 * CUSTOMERS);
    let tried = (2..2 * CUSTOMERS).flat_map(|customer| {
        (0..8).map(move |number| opened(customer, 9000 + customer * 10 + number).status(404))
    });
    let tries: Vec<_> = (0..12)
        .map(|number| opened(1, 200 + number / 4 * 100 + number % 4))
        .collect();
    vec![story(
        "API1-004",
        "refusals make nothing usual",
        [own, tried.collect(), tries].concat(),
        Fires(&[High]),
    )]
}

pub(super) fn all() -> Vec<Story> {
    [
        fields(),
        small_numbers(),
        cut_answers(),
        no_room(),
        newcomers(),
        logins(),
        departures(),
        refusals(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
