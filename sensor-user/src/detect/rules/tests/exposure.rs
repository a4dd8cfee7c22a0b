//! What answers hold that they should not: cases of API3-001.

use super::stories::{Story, story};
use super::{Blind, BodyState, Builder, Case, Expect, Fires, PartKind, Quiet, case};
use super::{Critical, High, Info, Low, Medium};

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(super) fn api3() -> Vec<Case> {
    let rule = "API3-001";
    let bulk: Vec<_> = (0..50)
        .map(|number| format!("\"a{number}@example.org\""))
        .collect();
    let token = r#"{"access_token":"0123456789abcdef","expires_in":3600}"#;
    vec![
        case(
            rule,
            "card",
            Builder::get("/x").answer(r#"{"pan":"4111111111111111"}"#),
            Fires(&[High]),
        ),
        case(
            rule,
            "e-mail",
            Builder::get("/x").answer(r#"{"mail":"a@example.org"}"#),
            Fires(&[Low]),
        ),
        case(
            rule,
            "one's own",
            Builder::get("/me").known().answer(r#"{"mail":"a@example.org"}"#),
            Fires(&[Info]),
        ),
        case(
            rule,
            "one's own card",
            Builder::get("/me")
                .known()
                .answer(r#"{"pan":"4111111111111111"}"#),
            Fires(&[Medium]),
        ),
        case(
            rule,
            "one's own password",
            Builder::get("/me").known().answer(r#"{"password":"hunter2"}"#),
            Fires(&[Critical]),
        ),
        case(
            rule,
            "another's by number",
            Builder::get("/users/7")
                .known()
                .answer(r#"{"pan":"4111111111111111"}"#),
            Fires(&[High]),
        ),
        case(
            rule,
            "another's by query",
            Builder::get("/profile?user=4711")
                .known()
                .answer(r#"{"pan":"4111111111111111"}"#),
            Fires(&[High]),
        ),
        case(
            rule,
            "token of a path that is for it",
            Builder::get("/reports/token").known().answer(token),
            Fires(&[Info]),
        ),
        case(
            rule,
            "token for a token",
            Builder::post("/reports/token").known().answer(token),
            Quiet,
        ),
        case(
            rule,
            "token for a token, where nobody expects one",
            Builder::post("/reports").known().answer(token),
            Fires(&[High]),
        ),
        case(
            rule,
            "password for a token",
            Builder::post("/reports/token")
                .known()
                .answer(r#"{"password":"hunter2"}"#),
            Fires(&[Critical]),
        ),
        case(
            rule,
            "many e-mails",
            Builder::get("/x").answer(&format!("[{}]", bulk.join(","))),
            Fires(&[Medium]),
        ),
        case(
            rule,
            "password",
            Builder::get("/x").answer(r#"{"password":"hunter2"}"#),
            Fires(&[Critical]),
        ),
        case(
            rule,
            "token for nothing",
            Builder::get("/x").answer(token),
            Fires(&[High]),
        ),
        case(
            rule,
            "token at a login",
            Builder::post("/v1/login").answer(token),
            Fires(&[Info]),
        ),
        case(
            rule,
            "login",
            Builder::post("/x")
                .json(r#"{"password":"hunter2"}"#)
                .answer(token),
            Quiet,
        ),
        case(
            rule,
            "login echoes",
            Builder::post("/x")
                .json(r#"{"password":"a1"}"#)
                .answer(r#"{"password":"a1"}"#),
            Fires(&[Critical]),
        ),
        case(
            rule,
            "session cookie",
            Builder::get("/x").response_field("Set-Cookie", "sid=0123456789abcdef"),
            Quiet,
        ),
        case(
            rule,
            "e-mail in a cookie",
            Builder::get("/x").response_field("Set-Cookie", "u=a@example.org"),
            Fires(&[Low]),
        ),
        case(
            rule,
            "order number",
            Builder::get("/x").answer(r#"{"order_id":"4111111111111111"}"#),
            Quiet,
        ),
        case(
            rule,
            "request only",
            Builder::post("/x").json(r#"{"mail":"a@example.org"}"#),
            Quiet,
        ),
        case(
            rule,
            "masked",
            Builder::get("/x").answer(r#"{"password":"********"}"#),
            Quiet,
        ),
        case(
            rule,
            "no response",
            Builder::get("/x").unanswered(),
            Expect::Blind(Blind::NoResponse),
        ),
        case(
            rule,
            "body cut",
            Builder::get("/x").answer("{").answer_state(BodyState::Cut),
            Expect::Blind(Blind::BodyCut),
        ),
        case(
            rule,
            "compressed",
            Builder::get("/x")
                .response_field("Content-Encoding", "gzip")
                .answer("x"),
            Expect::Blind(Blind::BodyCut),
        ),
    ]
}

/// A login by messages of a WebSocket hands its token to who logs in.
pub(super) fn dialogues() -> Vec<Story> {
    let open = || Builder::get("/ws").status(101);
    let asks = |body: &str| open().part(PartKind::MessageToServer).json(body);
    let token = || {
        open()
            .part(PartKind::MessageToClient)
            .answer(r#"{"token":"0123456789abcdef0"}"#)
    };
    let login = || asks(r#"{"user":"a","password":"hunter2"}"#);
    vec![
        story("API3-001", "login by message", vec![login(), token()], Quiet),
        story(
            "API3-001",
            "token for nothing by message",
            vec![asks(r#"{"subscribe":"news"}"#), token()],
            Fires(&[High]),
        ),
        story(
            "API3-001",
            "token long after a login",
            vec![login(), token().at_s(3600)],
            Fires(&[High]),
        ),
    ]
}
