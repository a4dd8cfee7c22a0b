//! Stories of API2-003 to API2-005: what tokens show of themselves.

use super::*;

pub(super) fn all() -> Vec<Story> {
    [weak_tokens(), expired_tokens(), guessable_secrets()]
        .into_iter()
        .flatten()
        .collect()
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn weak_tokens() -> Vec<Story> {
    let rule = "API2-003";
    let unsigned = || {
        let payload = format!(r#"{{"sub":"a","iat":{NOW},"exp":{}}}"#, NOW + HOUR);
        bearer("/orders", &jwt(r#"{"alg":"none"}"#, &payload, ""))
    };
    let says = |claims: &str| {
        let payload = format!(r#"{{"sub":"a","iat":{NOW},"exp":{},{claims}}}"#, NOW + HOUR);
        vec![bearer("/orders", &jwt(r#"{"alg":"RS256"}"#, &payload, "c2ln"))]
    };
    let day = 86_400;
    let hmac = |sub: &str| {
        let payload = format!(r#"{{"iss":"i","sub":"{sub}","iat":{NOW},"exp":{}}}"#, NOW + HOUR);
        jwt(r#"{"alg":"HS256"}"#, &payload, "c2ln")
    };
    let handed_out = attempt("alice", 1).answer(&format!(r#"{{"access_token":"{}"}}"#, hmac("alice")));
    let forever = jwt(
        r#"{"alg":"RS256"}"#,
        &format!(r#"{{"sub":"a","iat":{NOW}}}"#),
        "c2ln",
    );
    let good = || bearer("/orders", &token(0, 3600));
    vec![
        story(rule, "unsigned", vec![unsigned()], Fires(&[Critical])),
        story(
            rule,
            "never expires",
            vec![bearer("/x", &forever)],
            Fires(&[Medium]),
        ),
        story(
            rule,
            "a year",
            vec![bearer("/x", &token(0, 365 * day))],
            Fires(&[Medium]),
        ),
        story(
            rule,
            "two months",
            vec![bearer("/x", &token(0, 60 * day))],
            Fires(&[Low]),
        ),
        story(
            rule,
            "symmetric where it was not",
            vec![good(), bearer("/orders", &hmac("alice"))],
            Fires(&[High]),
        ),
        story(
            rule,
            "symmetric where it was not, again and again",
            [
                vec![good()],
                ["alice", "bob", "carol"]
                    .map(|sub| bearer("/orders", &hmac(sub)))
                    .to_vec(),
            ]
            .concat(),
            Fires(&[High, High, High]),
        ),
        story(
            rule,
            "issuer that hands out two sorts",
            vec![good(), handed_out, bearer("/orders", &hmac("alice"))],
            Quiet,
        ),
        story(
            rule,
            "e-mail inside",
            says(r#""email":"a@example.org""#),
            Fires(&[Info]),
        ),
        story(
            rule,
            "password inside",
            says(r#""password":"hunter2""#),
            Fires(&[High]),
        ),
        story(rule, "ordinary", vec![good()], Quiet),
        story(rule, "a week", vec![bearer("/x", &token(0, 7 * day))], Quiet),
        story(rule, "unsigned and refused", vec![unsigned().status(401)], Quiet),
        // Nobody looks at the token there.
        story(
            rule,
            "a public endpoint",
            vec![Builder::get("/orders").at_s(NOW), unsigned()],
            Quiet,
        ),
        story(
            rule,
            "no answer",
            vec![unsigned().unanswered()],
            Expect::Blind(Blind::NoResponse),
        ),
        story(
            rule,
            "head cut",
            vec![Builder::get("/orders").caller(Caller::Unseen)],
            Expect::Blind(Blind::CallerUnseen),
        ),
    ]
}

fn expired_tokens() -> Vec<Story> {
    let rule = "API2-004";
    let old = || bearer("/orders", &token(-10_800, -7200));
    let refreshed = Builder::post("/session")
        .field("Authorization", &format!("Bearer {}", token(-10_800, -7200)))
        .json(&format!(r#"{{"refresh_token":"{}"}}"#, opaque("r")))
        .answer(&format!(r#"{{"access_token":"{}"}}"#, opaque("a")))
        .at_s(NOW);
    let stale = (0..50).map(|minute| old().status(401).at_s(NOW + minute * MINUTE));
    let dated = old().at_s(1000);
    vec![
        story(rule, "two hours", vec![old()], Fires(&[High])),
        story(
            rule,
            "the server's own clock",
            vec![dated.response_field("Date", "Wed, 18 Nov 2026 16:00:00 GMT")],
            Fires(&[High]),
        ),
        story(
            rule,
            "not yet good",
            vec![bearer("/x", &token(3600, 7200))],
            Fires(&[Medium]),
        ),
        story(
            rule,
            "clocks differ",
            vec![bearer("/x", &token(-3600, -120))],
            Quiet,
        ),
        story(rule, "a job with an old token", stale.collect(), Quiet),
        story(rule, "refresh", vec![refreshed], Quiet),
        story(
            rule,
            "logout",
            vec![bearer("/auth/logout", &token(-10_800, -7200))],
            Quiet,
        ),
        story(
            rule,
            "no clock",
            vec![old().at_s(1000)],
            Expect::Blind(Blind::NoClock),
        ),
        story(
            rule,
            "no answer",
            vec![old().unanswered()],
            Expect::Blind(Blind::NoResponse),
        ),
    ]
}

fn guessable_secrets() -> Vec<Story> {
    let rule = "API2-005";
    // What a well-known debugger shows first; `your-256-bit-secret` signs it.
    let known = concat!(
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0Ijo",
        "xNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    );
    let other = jwt(
        r#"{"alg":"HS256"}"#,
        r#"{"sub":"a","exp":1795003200}"#,
        "c2lnbmF0dXJl",
    );
    let long = format!(r#"{{"sub":"a","groups":"{}"}}"#, "x".repeat(5000));
    let long = jwt(r#"{"alg":"HS256"}"#, &long, "c2lnbmF0dXJl");
    vec![
        story(
            rule,
            "accepted",
            vec![bearer("/orders", known)],
            Fires(&[Critical]),
        ),
        story(
            rule,
            "accepted at four endpoints of a host",
            ["/orders", "/bills", "/me", "/orders"]
                .map(|path| bearer(path, known))
                .into(),
            Fires(&[Critical]),
        ),
        story(
            rule,
            "accepted at two hosts",
            ["one.example", "two.example"]
                .map(|host| bearer("/orders", known).field("Host", host))
                .into(),
            Fires(&[Critical, Critical]),
        ),
        story(rule, "refused", vec![bearer("/orders", known).status(401)], Quiet),
        story(rule, "another secret", vec![bearer("/orders", &other)], Quiet),
        story(
            rule,
            "too long",
            vec![bearer("/orders", &long)],
            Expect::Blind(Blind::NotTried),
        ),
    ]
}
