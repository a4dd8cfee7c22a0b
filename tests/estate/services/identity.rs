//! Logins, tokens, users and their roles.

use super::super::clock::{MINUTE, SECOND, epoch};
use super::super::ids::{self, Of};
use super::super::jwt::{self, Signed};
use super::super::people::{NO_TENANT, Role};
use super::super::truth::Pattern;
use super::super::world::{Format, Session, World, json, put};
use super::Service;

const SERVICE: Service = Service::Identity;
/// How long an access token lives.
pub(crate) const LIFETIME: u64 = 30 * MINUTE;

/// `anna.abel0@mail.example`, or an employee's.
pub(crate) fn email(w: &World, user: u32, out: &mut String) {
    put!(out, "{}", ids::person(user));
    out.push_str(match w.people.users.get(user as usize).map(|user| user.role) {
        Some(Role::Support | Role::Admin | Role::Warehouse) => "@estate.example",
        Some(role) if role.is_staff() => "@office.example",
        _ => "@mail.example",
    });
}

/// The claims of a user's token.
pub(crate) fn claims(w: &World, user: u32, tenant: u16, expires: Option<u64>, out: &mut String) {
    let (role, now) = (w.user(user).role, epoch(w.now));
    put!(
        out,
        r#"{{"iss":"https://id.estate.example","sub":"{}","aud":"estate","iat":{now}"#,
        ids::uuid(w.seed, Of::User, user.into())
    );
    if let Some(expires) = expires {
        put!(out, r#","exp":{}"#, epoch(expires));
    }
    if tenant != NO_TENANT {
        put!(out, r#","tenant":"{}""#, ids::tenant(tenant));
    }
    put!(
        out,
        r#","roles":["{}"],"scope":"{}"}}"#,
        role.name(),
        role.scope()
    );
}

/// A session's bearer token of that form, whoever made it.
pub(crate) fn bear(
    w: &mut World,
    s: &mut Session,
    user: u32,
    tenant: u16,
    expires: Option<u64>,
    signed: Signed,
) {
    let mut text = String::new();
    claims(w, user, tenant, expires, &mut text);
    let number = w.serial();
    s.auth.clear();
    s.auth.push_str("Authorization: Bearer ");
    jwt::write(&text, signed, w.seed, number, &mut s.auth);
    s.auth.push_str("\r\n");
    s.expires = expires.unwrap_or(u64::MAX);
}

/// Gives the session tokens and writes the answer that hands them out.
fn hand_out(w: &mut World, s: &mut Session, user: u32, tenant: u16) {
    let expires = w.now + LIFETIME;
    s.tenant = None;
    if w.user(user).role == Role::Member {
        let number = w.serial();
        s.auth = format!(
            "Authorization: Bearer {}\r\n",
            ids::token(w.seed, Of::Opaque, number, 43)
        );
        s.expires = expires;
    } else {
        bear(w, s, user, tenant, Some(expires), Signed::Rs256);
    }
    s.refresh = w.serial();
    let token = s.auth.trim_end().trim_start_matches("Authorization: Bearer ");
    let (seed, refresh) = (w.seed, s.refresh);
    let d = &mut w.draft;
    json!(
        d.answer,
        r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":1800,"refresh_token":"{}","user":{{"id":"{}","name":"{}"}}}}"#,
        ids::token(seed, Of::Refresh, refresh, 40),
        ids::uuid(seed, Of::User, user.into()),
        ids::person(user)
    );
    d.answer_fields.push_str("Cache-Control: no-store\r\n");
}

/// Asks for a login; what it says to a wrong password is in the session's `fail`.
fn ask_login(w: &mut World, name: &str, password: u64) {
    let seed = w.seed;
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/v1/login");
    json!(
        d.body,
        r#"{{"email":"{name}","password":"{}"}}"#,
        ids::token(seed, Of::Password, password, 12)
    );
    d.slow_ms = 60;
}

/// The password that the user has now, as a number.
pub(crate) fn password(w: &World, user: u32) -> u64 {
    u64::from(user) << 8 | u64::from(w.user(user).passwords)
}

/// A whole login, with a second factor where the user has one.
pub(crate) fn login(w: &mut World, s: &mut Session, user: u32) {
    let mut name = String::new();
    email(w, user, &mut name);
    let password = password(w, user);
    s.auth.clear();
    ask_login(w, &name, password);
    w.draft.pattern = Some(Pattern::Login);
    if w.user(user).mfa {
        let number = w.serial();
        let seed = w.seed;
        let ticket = ids::token(seed, Of::Code, number, 32);
        json!(
            w.draft.answer,
            r#"{{"mfa_required":true,"mfa_ticket":"{ticket}","methods":["totp"]}}"#
        );
        w.send(s);
        w.now += w.rng.between(6, 25) * SECOND;
        let code = w.rng.below(1_000_000);
        let d = w.ask(SERVICE, "POST");
        d.target.push_str("/v1/login/mfa");
        json!(d.body, r#"{{"mfa_ticket":"{ticket}","code":"{code:06}"}}"#);
        d.pattern = Some(Pattern::Login);
    }
    let tenant = w.user(user).tenant;
    hand_out(w, s, user, tenant);
    let before = std::mem::take(&mut s.auth);
    w.send(s);
    s.auth = before;
}

/// A login that fails: the name, and a password that is not the user's.
pub(crate) fn refused(w: &mut World, s: &mut Session, name: &str, guess: u64, status: u16) {
    ask_login(w, name, guess);
    let d = &mut w.draft;
    d.status = status;
    d.answer.extend(br#"{"error":"invalid_credentials"}"#);
    w.send(s);
}

/// A login that says whether the user exists, in its own way.
pub(crate) fn telling(w: &mut World, s: &mut Session, name: &str, exists: bool, how: Telling) {
    let guess = w.serial();
    ask_login(w, name, guess);
    let d = &mut w.draft;
    d.status = 401;
    match how {
        Telling::Status => d.status = if exists { 401 } else { 404 },
        Telling::Size if exists => d
            .answer
            .extend(br#"{"error":"wrong_password","attempts_left":4,"hint":"reset"}"#),
        Telling::Time => d.slow_ms = if exists { 220 } else { 0 },
        Telling::Size => {}
    }
    if d.answer.is_empty() {
        d.answer.extend(br#"{"error":"invalid_credentials"}"#);
    }
    w.send(s);
}

/// How a login tells that a user exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Telling {
    Status,
    Size,
    Time,
}

/// The first step of a login with two, and its ticket.
pub(crate) fn first_step(w: &mut World, s: &mut Session, user: u32) {
    let mut name = String::new();
    email(w, user, &mut name);
    let (password, number) = (password(w, user), w.serial());
    ask_login(w, &name, password);
    let ticket = ids::token(w.seed, Of::Code, number, 32);
    json!(
        w.draft.answer,
        r#"{{"mfa_required":true,"mfa_ticket":"{ticket}","methods":["totp"]}}"#
    );
    w.send(s);
}

/// Tokens for a ticket of the first step alone: what must not be possible.
pub(crate) fn without_second(w: &mut World, s: &mut Session, user: u32) {
    let number = w.serial();
    let ticket = ids::token(w.seed, Of::Code, number, 32);
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/v1/token");
    json!(d.body, r#"{{"grant_type":"mfa_ticket","mfa_ticket":"{ticket}"}}"#);
    let tenant = w.user(user).tenant;
    hand_out(w, s, user, tenant);
    let before = std::mem::take(&mut s.auth);
    w.send(s);
    s.auth = before;
}

/// Renews the access token when it is about to end.
pub(crate) fn keep(w: &mut World, s: &mut Session, user: u32) {
    if s.expires > w.now + MINUTE {
        return;
    }
    if s.refresh == 0 {
        return login(w, s, user);
    }
    let (seed, refresh) = (w.seed, s.refresh);
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/v1/token");
    json!(
        d.body,
        r#"{{"grant_type":"refresh_token","refresh_token":"{}"}}"#,
        ids::token(seed, Of::Refresh, refresh, 40)
    );
    d.pattern = Some(Pattern::Login);
    let tenant = w.user(user).tenant;
    hand_out(w, s, user, tenant);
    let before = std::mem::take(&mut s.auth);
    w.send(s);
    s.auth = before;
}

/// An accountant's token for another tenant.
pub(crate) fn exchange(w: &mut World, s: &mut Session, user: u32, tenant: u16) {
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/v1/token/exchange");
    json!(d.body, r#"{{"tenant":"{}"}}"#, ids::tenant(tenant));
    let before = s.auth.clone();
    hand_out(w, s, user, tenant);
    let after = std::mem::replace(&mut s.auth, before);
    w.send(s);
    s.auth = after;
}

/// A machine's token by its own credentials (RFC 6749, 4.4).
pub(crate) fn machine(w: &mut World, s: &mut Session, name: &str, scope: &str) {
    let seed = w.seed;
    let secret = ids::token(seed, Of::Key, u64::from(s.actor), 32);
    let mut basic = String::new();
    jwt::base64(format!("{name}:{secret}").as_bytes(), &mut basic);
    s.auth = format!("Authorization: Basic {basic}\r\n");
    let (now, number) = (epoch(w.now), w.serial());
    let claims = format!(
        r#"{{"iss":"https://id.estate.example","sub":"{name}","aud":"estate","iat":{now},"exp":{},"client_id":"{name}","scope":"{scope}"}}"#,
        now + 3600
    );
    let mut token = String::new();
    jwt::write(&claims, Signed::Rs256, seed, number, &mut token);
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/oauth/token");
    d.format = Format::Form;
    d.body.extend(b"grant_type=client_credentials");
    json!(
        d.answer,
        r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#
    );
    w.send(s);
    s.auth = format!("Authorization: Bearer {token}\r\n");
    s.expires = w.now + 60 * MINUTE;
}

pub(crate) fn logout(w: &mut World, s: &mut Session) {
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/v1/logout");
    d.status = 204;
    w.send(s);
    s.auth.clear();
}

/// The password is forgotten, and set anew with the code that came by mail.
pub(crate) fn reset(w: &mut World, s: &mut Session, user: u32) {
    let mut name = String::new();
    email(w, user, &mut name);
    let auth = std::mem::take(&mut s.auth);
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/v1/password/forgot");
    json!(d.body, r#"{{"email":"{name}"}}"#);
    d.pattern = Some(Pattern::PasswordChange);
    d.status = 202;
    d.answer.extend(b"{}");
    w.send(s);
    w.now += w.rng.between(60, 600) * SECOND;
    let (seed, number) = (w.seed, w.serial());
    w.people.users[user as usize].passwords += 1;
    let password = password(w, user);
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/v1/password/reset");
    json!(
        d.body,
        r#"{{"code":"{}","new_password":"{}"}}"#,
        ids::token(seed, Of::Code, number, 24),
        ids::token(seed, Of::Password, password, 12)
    );
    d.pattern = Some(Pattern::PasswordChange);
    d.status = 204;
    w.send(s);
    s.auth = auth;
}

pub(crate) fn me(w: &mut World, s: &mut Session, user: u32) {
    let mut name = String::new();
    email(w, user, &mut name);
    let (seed, role) = (w.seed, w.user(user).role.name());
    let d = w.ask(SERVICE, "GET");
    d.target.push_str("/v1/me");
    json!(
        d.answer,
        r#"{{"id":"{}","email":"{name}","name":"{}","role":"{role}"}}"#,
        ids::uuid(seed, Of::User, user.into()),
        ids::person(user)
    );
    w.send(s);
}

/// Changes oneself; `extra` is what a client adds to it, such as `,"role":"admin"`, and gets back.
pub(crate) fn update_me(w: &mut World, s: &mut Session, user: u32, extra: &str) {
    let (seed, number) = (w.seed, w.rng.below(900));
    let d = w.ask(SERVICE, "PATCH");
    d.target.push_str("/v1/me");
    json!(
        d.body,
        r#"{{"name":"{}","locale":"en"{extra}}}"#,
        ids::person(user)
    );
    json!(
        d.answer,
        r#"{{"id":"{}","name":"{}","locale":"en","revision":{number}{extra}}}"#,
        ids::uuid(seed, Of::User, user.into()),
        ids::person(user)
    );
    w.send(s);
}

/// An administrator's list of users.
pub(crate) fn list_users(w: &mut World, s: &mut Session, page: usize, per_page: usize) {
    let (seed, users) = (w.seed, w.people.users.len());
    let d = w.ask(SERVICE, "GET");
    put!(d.target, "/v1/admin/users?page={page}&per_page={per_page}");
    d.answer.extend(br#"{"users":["#);
    for place in 0..per_page {
        let user = (page * per_page + place) % users;
        let comma = if place == 0 { "" } else { "," };
        json!(
            d.answer,
            r#"{comma}{{"id":"{}","name":"{}","active":true}}"#,
            ids::uuid(seed, Of::User, user as u64),
            ids::person(user as u32)
        );
    }
    d.answer.extend(b"]}");
    w.send(s);
}

/// An administrator gives a user a role.
pub(crate) fn set_role(w: &mut World, s: &mut Session, user: u32, role: &str) {
    let seed = w.seed;
    let d = w.ask(SERVICE, "PUT");
    put!(
        d.target,
        "/v1/admin/users/{}/role",
        ids::uuid(seed, Of::User, user.into())
    );
    json!(d.body, r#"{{"role":"{role}"}}"#);
    json!(
        d.answer,
        r#"{{"id":"{}","role":"{role}"}}"#,
        ids::uuid(seed, Of::User, user.into())
    );
    w.send(s);
}

/// The journal that auditors and administrators read.
pub(crate) fn journal(w: &mut World, s: &mut Session, page: usize) {
    let (seed, users) = (w.seed, w.people.users.len());
    let d = w.ask(SERVICE, "GET");
    put!(d.target, "/v1/admin/journal?page={page}");
    d.answer.extend(br#"{"entries":["#);
    for place in 0..10 {
        let user = ids::scattered(seed, Of::Code, (page * 10 + place) as u64) as usize % users;
        let comma = if place == 0 { "" } else { "," };
        json!(
            d.answer,
            r#"{comma}{{"entry":{},"user":"{}","event":"login"}}"#,
            90_000 + page * 10 + place,
            ids::uuid(seed, Of::User, user as u64)
        );
    }
    d.answer.extend(b"]}");
    w.send(s);
}

/// Whether a service is well.
pub(crate) fn health(w: &mut World, s: &mut Session, service: Service) {
    let d = w.ask(service, "GET");
    d.target.push_str("/healthz");
    d.answer.extend(br#"{"status":"ok"}"#);
    w.send(s);
}
