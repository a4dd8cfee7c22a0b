//! Resets of passwords that tell which names exist.

use super::*;

/// Somebody forgot a password.
fn forgot(name: &str, at: u64, status: u16) -> Builder {
    let body = format!(r#"{{"email":"{name}@example.com"}}"#);
    let asked = Builder::post("/api/password/forgot")
        .json(&body)
        .at_s(NOW + at * MINUTE);
    asked.status(status).answer("{}")
}

/// Names one after the other, each with the status that it gets.
fn asked(statuses: impl IntoIterator<Item = u16>) -> Vec<Builder> {
    let numbered = (0..).zip(statuses);
    numbered
        .map(|(at, status)| forgot(&format!("user{at}"), at, status))
        .collect()
}

pub(super) fn all() -> Vec<Story> {
    let rule = "API2-007";
    vec![
        story(
            rule,
            "a reset says who is not found",
            asked([202, 404].repeat(12)),
            Fires(&[Medium]),
        ),
        story(rule, "a reset says nothing", asked([202; 30]), Quiet),
        // The service is away: names that it accepts are not found for a while.
        story(
            rule,
            "a reset is away",
            asked([vec![202; 20], vec![404; 20], vec![202; 20]].concat()),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        story(
            rule,
            "one name is mistyped over and over",
            (0..40)
                .map(|at| match at % 2 {
                    0 => forgot("ada", at, 202),
                    _ => forgot("adda", at, 404),
                })
                .collect(),
            Expect::Blind(Blind::NotEnoughEvidence),
        ),
        // A form with an address is no reset.
        story(
            rule,
            "a letter with news",
            [202, 404]
                .repeat(12)
                .into_iter()
                .enumerate()
                .map(|(at, status)| {
                    let body = format!(r#"{{"email":"user{at}@example.com"}}"#);
                    Builder::post("/api/newsletter")
                        .json(&body)
                        .status(status)
                        .answer("{}")
                })
                .collect(),
            Quiet,
        ),
    ]
}
