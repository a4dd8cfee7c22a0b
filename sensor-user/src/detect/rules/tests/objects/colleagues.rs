//! Stories of API1 among those who do the same work in teams: what one is handed, the others of its team use.

use super::super::Expect::{Fires, Quiet};
use super::super::Severity::Medium;
use super::super::stories::{Story, bearer, story};
use super::{CUSTOMERS, asks, listed, opened, shown, token_of, uuid};
use crate::exchange::test_support::Builder;

/// Two teams, whose members are handed the same files, each time by another of them first. Of new documents one of a team is
/// handed the list, and all open them.
fn teams(opened: fn(u64, u64) -> Builder) -> Vec<Builder> {
    let files = (0..CUSTOMERS * 5).map(|n| {
        let (round, member) = (n / CUSTOMERS, (n + n / CUSTOMERS * 2) % CUSTOMERS);
        let first = member % 2 * 100 + round * 10;
        shown(member, "files", 4, &[first, first + 1, first + 2])
    });
    let rounds = (0..CUSTOMERS * 3).flat_map(|round| {
        let documents = [0, 1, 2].map(|number| round * 10 + number);
        let team = (0..CUSTOMERS).filter(move |member| member % 2 == round % 2);
        let opened = team.flat_map(move |member| documents.map(|document| opened(member, document)));
        std::iter::once(listed(round % CUSTOMERS, &documents)).chain(opened.collect::<Vec<_>>())
    });
    files.chain(rounds).collect()
}

/// So many answers that those are known with whom the customer shares what each is handed.
fn settles(customer: u64) -> Vec<Builder> {
    let news = asks(customer, "/news").answer(r#"{"title":"news"}"#);
    std::iter::repeat_n(news, 256).collect()
}

/// A token tells the tenant of all, and the answer says that it is that one's.
fn ours(customer: u64, document: u64) -> Builder {
    let token = token_of(customer, r#","tenant":"tenant-7""#);
    bearer(&format!("/documents/{}", uuid(2, document)), &token)
        .answer(r#"{"title":"notes","tenant":"tenant-7"}"#)
}

/// Teams at work, three of whose members are known well. One of 200 uses may be of others', so there are many.
fn known(opened: fn(u64, u64) -> Builder) -> Vec<Builder> {
    let members = || [1, 3, 5].into_iter();
    let works = members().flat_map(|member| std::iter::repeat_n(opened(member, 11), 200));
    [
        members().flat_map(settles).collect(),
        teams(opened),
        works.collect(),
    ]
    .concat()
}

/// Documents of a team.
fn of(team: u64, opened: fn(u64, u64) -> Builder) -> Vec<Builder> {
    [2, 3, 4].map(|round| opened(1, (round * 2 + team) * 10)).to_vec()
}

pub(super) fn all() -> Vec<Story> {
    let rule = "API1-002";
    let one = [0, 1, 2].map(|number| opened(1, 40 + number)).to_vec();
    let then = |last: Vec<Builder>| [known(opened), last].concat();
    vec![
        story(
            rule,
            "documents of another team",
            then(of(0, opened)),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "documents of one other, who may be of the team",
            then(one),
            Quiet,
        ),
        story(rule, "documents of one's own team", then(of(1, opened)), Quiet),
        story(
            rule,
            "documents of another team, by one of whom too little is known",
            [teams(opened), of(0, opened)].concat(),
            Quiet,
        ),
        story(
            rule,
            "documents of another team that the answer says are the tenant's",
            [known(ours), of(0, ours)].concat(),
            Quiet,
        ),
    ]
}
