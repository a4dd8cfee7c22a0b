//! Stories of API2-008: where tokens are used from.

use super::*;

/// Many users within half an hour, each with one token and so many addresses.
fn first_hour(addresses: u64) -> Vec<Builder> {
    let user = |of: u64| {
        (0..addresses).map(move |at| {
            bearer("/orders", &opaque(&name("u", of)))
                .at_s(NOW + of * 10 + at)
                .remote(address(number(of * addresses + at)))
        })
    };
    (0..150).flat_map(user).collect()
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(super) fn all() -> Vec<Story> {
    let rule = "API2-008";
    let used = |second: u64, from: u64| {
        bearer("/orders", &opaque("t"))
            .at_s(NOW + second)
            .remote(address(number(from)))
    };
    let usual = |hours: u64| {
        (0..hours)
            .map(move |hour| used(hour * HOUR, 1))
            .collect::<Vec<_>>()
    };
    let everywhere = |from: u64| {
        (0..40)
            .map(move |at| used(from + at * 30, at % 12))
            .collect::<Vec<_>>()
    };
    // At home, on the way, at work, and back, each day.
    let roaming =
        (0..12).flat_map(|hour| (0..6).map(move |at| used(hour * HOUR + at * 500, hour / 6 + at % 3)));
    let journey = (0..8).map(|at| used(9 * HOUR + at * 300, 20 + at));
    let key = || Builder::get("/orders").field("X-Api-Key", &opaque("key"));
    let telephone = || bearer("/orders", &opaque("t"));
    let fleet = |hours: u64| {
        (0..hours).flat_map(|hour| {
            (0..60).map(move |at| {
                key()
                    .at_s(NOW + hour * HOUR + at * 50)
                    .remote(address(number(at % 20)))
            })
        })
    };
    let proxied = everywhere(0)
        .into_iter()
        .map(|use_of| use_of.field("X-Forwarded-For", "192.0.2.9"));
    vec![
        story(
            rule,
            "stolen",
            [usual(8), everywhere(9 * HOUR)].concat(),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "new user, unlike all others",
            [others(1), everywhere(9 * HOUR)].concat(),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "new user in the first hour of all",
            [first_hour(1), everywhere(HOUR / 2)].concat(),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "everybody has many in the first hour",
            [first_hour(9), everywhere(HOUR / 2)].concat(),
            Quiet,
        ),
        story(rule, "roaming", roaming.collect(), Quiet),
        story(
            rule,
            "a journey",
            usual(8).into_iter().chain(journey).collect(),
            Quiet,
        ),
        story(
            rule,
            "pool of a carrier",
            [others(8), everywhere(9 * HOUR)].concat(),
            Quiet,
        ),
        story(rule, "fleet with one key", fleet(9).collect(), Quiet),
        story(
            rule,
            "refused",
            everywhere(0)
                .into_iter()
                .map(|use_of| use_of.status(401))
                .collect(),
            Quiet,
        ),
        story(rule, "key on the move", moves(&key, 4), Fires(&[Medium])),
        story(rule, "key on the move, slowly", moves(&key, 2), Fires(&[Medium])),
        story(rule, "key that moves house", moves(&key, 1), Quiet),
        story(rule, "telephone on the move", moves(&telephone, 4), Quiet),
        story(
            rule,
            "new fleet",
            fleet(1).collect(),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        story(
            rule,
            "new user",
            everywhere(0),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        story(
            rule,
            "unknown proxy",
            proxied.collect(),
            Expect::Blind(Blind::ClientUnknown),
        ),
    ]
}

/// Seven days at one address, each third hour; for the last three of them, between that, at so many others a day.
fn moves(held: &dyn Fn() -> Builder, others: u64) -> Vec<Builder> {
    let uses = (0..56).flat_map(|turn| {
        let second = NOW + turn * 3 * HOUR;
        let away = turn >= 32 && turn % 8 < others;
        let place = 20 + turn / 8 * others + turn % 8;
        let elsewhere = away.then(|| held().at_s(second + HOUR).remote(address(number(place))));
        [held().at_s(second).remote(address(1))]
            .into_iter()
            .chain(elsewhere)
    });
    uses.collect()
}

/// Thirty other users for five hours, each from so many addresses in turn.
fn others(addresses: u64) -> Vec<Builder> {
    let hours = (0..5).flat_map(|hour| (0..30).map(move |user| (hour, user)));
    let uses = hours.flat_map(|(hour, user)| {
        (0..addresses * 3).map(move |at| {
            bearer("/orders", &opaque(&format!("o{user}")))
                .at_s(NOW + hour * HOUR + at * 40)
                .remote(address(number(user * 3 + at % addresses)))
        })
    });
    uses.collect()
}
