//! Stories of API1 among those who do the same work in teams: what one is handed, the others of its team use.

use super::super::Expect::{Fires, Quiet};
use super::super::Severity::Medium;
use super::super::stories::{Story, story};
use super::{CUSTOMERS, asks, listed, opened, shown};
use crate::exchange::test_support::Builder;

/// Two teams, whose members are handed the same files, each time by another of them first. Of new documents one of a team is
/// handed the list, and all open them.
fn teams() -> Vec<Builder> {
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

pub(super) fn all() -> Vec<Story> {
    let rule = "API1-002";
    // One of 200 uses may be of others', and three do the same amount of work.
    let members = || [1, 3, 5].into_iter();
    let works = members().flat_map(|member| std::iter::repeat_n(opened(member, 11), 200));
    let known = [members().flat_map(settles).collect(), teams(), works.collect()].concat();
    let of = |team: u64| [2, 3, 4].map(|round| opened(1, (round * 2 + team) * 10));
    let of_one = [0, 1, 2].map(|number| opened(1, 40 + number));
    let then = |last: &[Builder]| [&known, last].concat();
    vec![
        story(rule, "documents of another team", then(&of(0)), Fires(&[Medium])),
        story(
            rule,
            "documents of one other, who may be of the team",
            then(&of_one),
            Quiet,
        ),
        story(rule, "documents of one's own team", then(&of(1)), Quiet),
        story(
            rule,
            "documents of another team, by one of whom too little is known",
            [&teams()[..], &of(0)].concat(),
            Quiet,
        ),
    ]
}
