//! Stories of API2-006 and API2-007: passwords and names that are guessed.

use super::*;

pub(super) fn all() -> Vec<Story> {
    [guessing(), telling()].into_iter().flatten().collect()
}

/// Sixty-four names from sixteen addresses, once each, in five minutes.
pub(super) fn campaign(sort: &'static str, from: u64) -> impl Iterator<Item = Builder> {
    (0..64).map(move |at| fails(&name(sort, at), from + at * 4).remote(address(number(at % 16))))
}

/// Two hours in which two users log in every ten minutes, and one of them mistypes now and then.
pub(super) fn usual_days() -> Vec<Builder> {
    let windows = 0..12;
    windows
        .flat_map(|window| {
            let from = window * 10 * MINUTE;
            [
                succeeds("alice", from).remote(address(150)),
                fails("bob", from + 20).remote(address(151)),
                succeeds("bob", from + 30).remote(address(151)),
            ]
        })
        .collect()
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(super) fn guessing() -> Vec<Story> {
    let rule = "API2-006";
    let forced = |count: u64| (0..count).map(|at| fails("admin", at * 5)).collect::<Vec<_>>();
    let again = (0..12).map(|at| fails("admin", 30 * HOUR + at * 5));
    let on_two_days = forced(12).into_iter().chain(again).collect();
    let mistypes = (1..4).map(|day| fails("admin", day * 24 * HOUR).remote(address(number(day))));
    let by_its_user = forced(40).into_iter().chain(mistypes).collect();
    let got_in = [forced(12), vec![succeeds("admin", 70)]].concat();
    let limited = [
        forced(8),
        vec![attempt("admin", 45).status(429)],
        (10..70).map(|at| fails("admin", at * 5)).collect(),
    ]
    .concat();
    let put_off = |from: u64, count: u64| (from..from + count).map(|at| attempt("admin", at * 5).status(429));
    let withstood = || [forced(5), put_off(5, 40).collect()].concat();
    let locked = forced(5)
        .into_iter()
        .chain((5..45).map(|at| attempt("admin", at * 5).status(423)));
    let leaky = [withstood(), vec![succeeds("admin", 300)]].concat();
    let too_late = forced(12).into_iter().chain(put_off(12, 40)).collect();
    let turned_away = (0..40).map(|at| {
        let who = name("u", at);
        if at < 5 {
            fails(&who, at * 5)
        } else {
            attempt(&who, at * 5).status(429)
        }
    });
    let busy = (0..9).map(|at| attempt(&name("u", at), at * 5).status(429));
    let flooded = campaign("leaked", 3 * HOUR).map(|one| one.status(429));
    let flooded = usual_days().into_iter().chain(flooded).collect();
    let at_leisure = leisurely(100, 1).into_iter().map(|one| one.status(429));
    let at_leisure = homes().into_iter().chain(at_leisure).collect();
    let sprayed = (0..14).map(|at| fails(&name("u", at), at * 5)).collect();
    let slowly = (0..45)
        .map(|at| fails(&name("u", at), at * 20 * MINUTE))
        .collect();
    let one_slowly = (0..40).map(|at| fails("admin", at * 15 * MINUTE)).collect();
    let sprayed_slowly = (0..45).map(|at| fails(&name("u", at), at * 4 * HOUR)).collect();
    let stuffed = [usual_days(), campaign("leaked", 3 * HOUR).collect()].concat();
    vec![
        story(rule, "one name", forced(12), Fires(&[High])),
        story(rule, "one name, slowly", one_slowly, Fires(&[High])),
        story(rule, "one name, on two days", on_two_days, Fires(&[High, High])),
        story(
            rule,
            "one name, and its user in the next days",
            by_its_user,
            Fires(&[High]),
        ),
        story(
            rule,
            "one name, and nothing stops it",
            forced(60),
            Fires(&[High, Medium]),
        ),
        story(
            rule,
            "one name, and it is slowed down",
            limited,
            Fires(&[Info, High]),
        ),
        story(rule, "one name, and it is withstood", withstood(), Fires(&[Info])),
        story(
            rule,
            "one name, and it is locked",
            locked.collect(),
            Fires(&[Info]),
        ),
        story(rule, "one name, withstood too late", too_late, Fires(&[High])),
        story(rule, "got in past the limit", leaky, Fires(&[Info, Critical])),
        story(
            rule,
            "one address, and it is withstood",
            turned_away.collect(),
            Fires(&[Info]),
        ),
        story(
            rule,
            "one address, turned away a few times",
            busy.collect(),
            Quiet,
        ),
        story(rule, "many addresses, and all are turned away", flooded, Quiet),
        story(rule, "many addresses, turned away at leisure", at_leisure, Quiet),
        story(rule, "got in", got_in, Fires(&[High, Critical])),
        story(rule, "one address", sprayed, Fires(&[High])),
        story(rule, "one address, slowly", slowly, Fires(&[High])),
        story(rule, "many addresses", stuffed, Fires(&[High])),
        story(
            rule,
            "many addresses, twice a day",
            [
                usual_days(),
                campaign("leaked", 3 * HOUR).collect(),
                campaign("other", 6 * HOUR).collect(),
            ]
            .concat(),
            Fires(&[High, High]),
        ),
        story(
            rule,
            "somebody mistypes after it",
            mistypes_after(),
            Fires(&[High]),
        ),
        story(
            rule,
            "many addresses, after two hours of it",
            [
                usual_days(),
                (0..12)
                    .flat_map(|at| campaign("leaked", 3 * HOUR + at * 10 * MINUTE))
                    .collect(),
                campaign("other", 7 * HOUR).collect(),
            ]
            .concat(),
            Fires(&[High, High]),
        ),
        story(rule, "one name, in a week", week_of(4, 6, 0), Fires(&[High])),
        story(
            rule,
            "one name, in a week, whose user gets in",
            week_of(4, 6, 1),
            Fires(&[High]),
        ),
        story(
            rule,
            "one name, whose user gets in as often",
            week_of(3, 6, 7),
            Quiet,
        ),
        story(rule, "one address, in a week", sprayed_slowly, Fires(&[High])),
        story(rule, "an office, in a week", office_week(succeeds), Quiet),
        story(rule, "an office with a second factor", office_week(asks), Quiet),
        story(
            rule,
            "many addresses, at leisure",
            [homes(), leisurely(100, 1)].concat(),
            Fires(&[High]),
        ),
        story(
            rule,
            "many addresses, on two days",
            [homes(), leisurely(100, 1), leisurely(124, 1)].concat(),
            Fires(&[High, High]),
        ),
        story(
            rule,
            "many addresses, one by one for days",
            one_by_one(96, 30, None),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "as many as ever, one by one",
            one_by_one(0, 80, None),
            Quiet,
        ),
        story(
            rule,
            "they come back for it",
            one_by_one(96, 30, Some("list")),
            Quiet,
        ),
        story(
            rule,
            "they come back with another name",
            one_by_one(96, 30, Some("right")),
            Quiet,
        ),
        story(
            rule,
            "many mistype once before a second factor",
            [homes(), second_factor()].concat(),
            Quiet,
        ),
        story(
            rule,
            "service breaks for people on the way",
            [homes(), leisurely(100, 3)].concat(),
            Quiet,
        ),
        story(
            rule,
            "service breaks for programs at home",
            [homes(), leisurely(0, 1)].concat(),
            Quiet,
        ),
        story(
            rule,
            "forgotten password",
            [forced(5), vec![succeeds("admin", 60)]].concat(),
            Quiet,
        ),
        story(rule, "password manager", forced(8), Quiet),
        story(rule, "office behind one address", office(), Quiet),
        story(rule, "job with an old password", basic_job(), Quiet),
        story(rule, "application with an old password", application(), Quiet),
        story(
            rule,
            "load test",
            (0..300).map(|at| succeeds(&name("load", at), at)).collect(),
            Quiet,
        ),
        story(rule, "service breaks for its users", breaks(), Quiet),
        story(
            rule,
            "many addresses, on the first day",
            campaign("leaked", 0).collect(),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        story(
            rule,
            "no answer",
            vec![attempt("a", 0).unanswered()],
            Expect::Blind(Blind::NoResponse),
        ),
    ]
}

/// A name that, for a week, fails so often a day, and gets in so often, each time from somewhere else, hours apart.
fn week_of(hours: u64, wrong: u64, right: u64) -> Vec<Builder> {
    let days = (0..7).flat_map(|day| (0..wrong.max(right)).map(move |time| (day, time)));
    let tries = days.flat_map(|(day, time)| {
        let (second, from) = ((24 * day + time * hours) * HOUR, day * 7 + time);
        let wrong = (time < wrong).then(|| fails("admin", second).remote(address(number(from))));
        let right = (time < right).then(|| succeeds("admin", second + 1).remote(address(number(from + 100))));
        wrong.into_iter().chain(right)
    });
    tries.collect()
}

/// Sixty-four users who log in from sixteen addresses for eight hours.
fn homes() -> Vec<Builder> {
    let hours = (0..8).flat_map(|hour| (0..64).map(move |at| (hour, at)));
    let comes =
        |(hour, at)| succeeds(&name("user", at), hour * HOUR + at * 40).remote(address(number(at % 16)));
    hours.map(comes).collect()
}

/// Two hundred names from sixteen addresses at the beginning of an hour, and in the middle of the next a user elsewhere.
fn mistypes_after() -> Vec<Builder> {
    let tries =
        (0..200).map(|at| fails(&name("leaked", at), 24 * HOUR + at).remote(address(number(at % 16))));
    let user = fails(&name("user", 1), 25 * HOUR + 30 * MINUTE).remote(address(150));
    homes().into_iter().chain(tries).chain([user]).collect()
}

/// A day or two later the same names, so often each, within the hour, from other addresses unless `from` is 0.
fn leisurely(from: u64, times: u64) -> Vec<Builder> {
    let names = (0..64).flat_map(|at| (0..times).map(move |time| (at, time)));
    let hour = 24 + from - from % 24;
    let comes = |(at, time)| {
        let second = hour * HOUR + at * 50 + time * 10;
        fails(&name("user", at), second).remote(address(number(from + at % 16)))
    };
    names.map(comes).collect()
}

/// Sixteen users who log in each day for nine days; from that hour on, ten names a day, each once and from somewhere else,
/// so many; and in an hour, somebody from there gets in, if so.
fn one_by_one(hour: u64, count: u64, then: Option<&str>) -> Vec<Builder> {
    let days = (0..9).flat_map(|day| (0..16).map(move |at| (day, at)));
    let usual = days.map(|(day, at)| {
        let second = (24 * day + 9) * HOUR + at * 40;
        (
            second,
            succeeds(&name("user", at), second).remote(address(number(at))),
        )
    });
    let tries = (0..count).flat_map(|at| {
        let (second, from) = (hour * HOUR + at * 144 * MINUTE, address(number(20 + at)));
        let wrong = fails(&name("list", at), second).remote(from);
        let right = then.map(|sort| succeeds(&name(sort, at), second + HOUR).remote(from));
        [Some((second, wrong)), right.map(|right| (second + HOUR, right))]
    });
    let mut all: Vec<_> = usual.chain(tries.flatten()).collect();
    all.sort_by_key(|(second, _)| *second);
    all.into_iter().map(|(_, exchange)| exchange).collect()
}

/// The same names from other addresses: each mistypes once, and is asked for a code then.
fn second_factor() -> Vec<Builder> {
    let again = |wrong: Builder, at: usize| {
        let at = u64::try_from(at).unwrap();
        let right = asks(&name("user", at), 120 * HOUR + at * 50 + 20);
        [wrong, right.remote(address(number(100 + at % 16)))]
    };
    let wrong = leisurely(100, 1).into_iter().enumerate();
    wrong.flat_map(|(at, wrong)| again(wrong, at)).collect()
}

/// The password is right, and a code is asked for.
fn asks(name: &str, second: u64) -> Builder {
    attempt(name, second).answer(r#"{"mfa_token":"q8W2e7R4t9Y1u3I5o0"}"#)
}

/// Forty people behind one address, each of whom mistypes once in a week.
fn office_week(right: fn(&str, u64) -> Builder) -> Vec<Builder> {
    let days = (0..5).flat_map(|day| (0..40).map(move |at| (day, at)));
    let comes = |(day, at): (u64, u64)| {
        let second = day * 24 * HOUR + at * 60;
        let mistypes = (at % 5 == day).then(|| fails(&name("staff", at), second));
        mistypes
            .into_iter()
            .chain([right(&name("staff", at), second + 9)])
    };
    days.flat_map(comes).collect()
}

/// Monday morning: sixty people log in within ten minutes, and fifteen of them mistype.
fn office() -> Vec<Builder> {
    let people = (0..60).flat_map(|at| {
        let mistypes = (at % 4 == 0).then(|| fails(&name("staff", at), at * 8));
        mistypes
            .into_iter()
            .chain([succeeds(&name("staff", at), at * 8 + 3)])
    });
    people.collect()
}

/// Each minute for five hours with a password that is no longer right.
fn basic_job() -> Vec<Builder> {
    let header = format!("Basic {}", STANDARD.encode("batch:old"));
    let run = |at: u64| {
        Builder::get("/export")
            .field("Authorization", &header)
            .at_s(NOW + at * MINUTE)
    };
    (0..300).map(|at| run(at).status(401)).collect()
}

/// It worked, the password was changed, and now it asks each five minutes.
fn application() -> Vec<Builder> {
    let before = (0..3).map(|at| succeeds("app", at * HOUR));
    let after = (0..200).map(|at| fails("app", 4 * HOUR + at * 5 * MINUTE));
    before.chain(after).collect()
}

/// Everybody who logged in for hours fails at once.
fn breaks() -> Vec<Builder> {
    let days = (0..8).flat_map(|round| {
        (0..64).map(move |at| {
            succeeds(&name("user", at), round * 15 * MINUTE + at * 4).remote(address(number(at % 16)))
        })
    });
    days.chain(campaign("user", 3 * HOUR)).collect()
}

/// Users who log in, and later mistype once.
pub(super) fn known_names(count: u64, answer: impl Fn(Builder) -> Builder) -> Vec<Builder> {
    let before = (0..count).map(|at| succeeds(&name("user", at), at));
    let after = (0..count).map(|at| answer(attempt(&name("user", at), HOUR + at)));
    before.chain(after).collect()
}

pub(super) fn strangers(count: u64, answer: impl Fn(Builder) -> Builder) -> Vec<Builder> {
    let all = (0..count).map(|at| answer(attempt(&name("stranger", at), 2 * HOUR + at * MINUTE)));
    all.collect()
}

pub(super) fn telling() -> Vec<Story> {
    let rule = "API2-007";
    let wrong = |attempt: Builder| attempt.status(401).answer(r#"{"error":"wrong password"}"#);
    let unknown = |attempt: Builder| attempt.status(401).answer(r#"{"error":"no such user"}"#);
    let status = |status| move |attempt: Builder| attempt.status(status).answer("{}");
    let after = |ms| move |attempt: Builder| attempt.status(401).answered_after_ms(ms);
    let both = |known: Vec<Builder>, others: Vec<Builder>| [known, others].concat();
    vec![
        story(
            rule,
            "status",
            both(known_names(10, wrong), strangers(8, status(404))),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "size",
            both(known_names(12, wrong), strangers(15, unknown)),
            Fires(&[Medium]),
        ),
        story(
            rule,
            "time",
            both(known_names(50, after(120)), strangers(50, after(2))),
            Fires(&[Medium]),
        ),
        story(rule, "registration", registrations(), Fires(&[Low])),
        story(
            rule,
            "all the same",
            both(known_names(20, wrong), strangers(50, wrong)),
            Quiet,
        ),
        story(
            rule,
            "input is malformed",
            both(known_names(10, wrong), strangers(20, status(422))),
            Quiet,
        ),
        story(
            rule,
            "a firewall",
            both(known_names(10, wrong), strangers(20, status(403))),
            Quiet,
        ),
        story(rule, "the name is in the answer", echoes(), Quiet),
        story(rule, "time is noise", noise(), Quiet),
        story(
            rule,
            "few names",
            both(known_names(3, wrong), strangers(3, status(404))),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
    ]
}

fn registrations() -> Vec<Builder> {
    let form = |name: &str, second| {
        let body = format!(r#"{{"username":"{name}","password":"correct horse"}}"#);
        Builder::post("/register").json(&body).at_s(NOW + second)
    };
    let before = (0..10).map(|at| succeeds(&name("user", at), at));
    let taken = (0..10).map(|at| form(&name("user", at), HOUR + at).status(409));
    let free = (0..10).map(|at| form(&name("new", at), 2 * HOUR + at).status(201));
    before.chain(taken).chain(free).collect()
}

fn echoes() -> Vec<Builder> {
    let echo = |at: usize, attempt: Builder| {
        let text = format!(r#"{{"error":"wrong","user":"{}"}}"#, "x".repeat(at % 9 + 5));
        attempt.status(401).answer(&text)
    };
    let known = known_names(12, |attempt| attempt.status(401));
    let known = known
        .into_iter()
        .enumerate()
        .map(|(at, attempt)| if at < 12 { attempt } else { echo(at, attempt) });
    let others = strangers(60, |attempt| attempt);
    let others = others
        .into_iter()
        .enumerate()
        .map(|(at, attempt)| echo(at + 3, attempt));
    known.chain(others).collect()
}

fn noise() -> Vec<Builder> {
    let waits = [2, 90, 5, 40, 130, 15];
    let slow = |(at, attempt): (usize, Builder)| attempt.answered_after_ms(waits[at % waits.len()]);
    let known = known_names(50, |attempt| attempt.status(401))
        .into_iter()
        .enumerate()
        .map(slow);
    let others = strangers(50, |attempt| attempt.status(401))
        .into_iter()
        .enumerate()
        .map(slow);
    known.chain(others).collect()
}
