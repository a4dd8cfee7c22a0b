//! Credentials (API2): tokens that should not have been accepted, or should not be where they are.

use super::super::clock::{DAY, HOUR};
use super::super::ids::{self, Of};
use super::super::jwt::{self, Signed};
use super::super::lives::machines::Integration;
use super::super::people::Role::{Clerk, Manager, Member, Mobile};
use super::super::services::{books, identity, shop, social};
use super::super::truth::{Cover, Kind};
use super::super::world::{Session, World};
use super::Who::{Forging, LoggedIn, Nobody};
use super::{Design, Scene, Who, person};

pub(super) const DESIGNS: &[Design] = &[
    row(
        Kind::JwtNone,
        Cover::Plain,
        "shop",
        Forging(Mobile),
        12,
        |w, s, _| {
            forge(w, s, Some(HOUR), Signed::None);
        },
    ),
    row(
        Kind::JwtNone,
        Cover::Accounts,
        "books",
        Forging(Clerk),
        12,
        |w, s, _| forge(w, s, Some(HOUR), Signed::None),
    ),
    row(
        Kind::JwtConfused,
        Cover::Plain,
        "shop",
        Forging(Mobile),
        12,
        |w, s, _| {
            forge(w, s, Some(HOUR), Signed::Confused);
        },
    ),
    row(
        Kind::JwtExpiry,
        Cover::Plain,
        "shop, none",
        Forging(Mobile),
        12,
        |w, s, _| forge(w, s, None, Signed::Rs256),
    ),
    row(
        Kind::JwtExpiry,
        Cover::Accounts,
        "books, a year",
        Forging(Clerk),
        12,
        |w, s, _| {
            forge(w, s, Some(365 * DAY), Signed::Rs256);
        },
    ),
    row(
        Kind::ExpiredAccepted,
        Cover::Plain,
        "shop",
        Forging(Mobile),
        12,
        |w, s, _| expired(w, s),
    ),
    row(
        Kind::ExpiredAccepted,
        Cover::Random,
        "books",
        Forging(Manager),
        12,
        |w, s, _| expired(w, s),
    ),
    row(
        Kind::GuessableSecret,
        Cover::Plain,
        "shop",
        Forging(Mobile),
        12,
        |w, s, _| {
            forge(w, s, Some(HOUR), Signed::Guessable);
        },
    ),
    row(
        Kind::CredentialInUrl,
        Cover::Query,
        "shop, access_token",
        LoggedIn(Mobile),
        12,
        |w, s, _| {
            url(w, s, "access_token");
        },
    ),
    row(
        Kind::CredentialInUrl,
        Cover::Mixed,
        "shop, jwt",
        LoggedIn(Mobile),
        12,
        |w, s, _| url(w, s, "jwt"),
    ),
    row(
        Kind::BasicCleartext,
        Cover::Plain,
        "shop",
        Forging(Mobile),
        12,
        |w, s, _| {
            s.clear = true;
            let (mut name, password) = (String::new(), identity::password(w, s.actor));
            identity::email(w, s.actor, &mut name);
            let mut basic = String::new();
            let text = format!("{name}:{}", ids::token(w.seed, Of::Password, password, 12));
            jwt::base64(text.as_bytes(), &mut basic);
            s.auth = format!("Authorization: Basic {basic}\r\n");
            shop::orders(w, s, s.actor);
        },
    ),
    row(
        Kind::ManyPlaces,
        Cover::Addresses,
        "opaque token",
        LoggedIn(Member),
        60,
        |w, s, scene| {
            s.agent = AGENTS[scene.n as usize % AGENTS.len()];
            social::feed(w, s);
        },
    ),
    row(
        Kind::ManyPlaces,
        Cover::Addresses,
        "API key",
        Forging(Manager),
        60,
        |w, s, scene| {
            s.agent = AGENTS[scene.n as usize % AGENTS.len()];
            if s.auth.is_empty() {
                let tenants = w.people.tenants.len() as u32;
                let tenant = (scene.base % tenants / 3 * 3) as u16;
                (s.tenant, s.actor) = (Some(tenant), Integration::actor(tenant));
                s.auth = Integration::key(w, tenant);
            }
            books::list(w, s, s.tenant.unwrap_or_default(), 0);
        },
    ),
    row(
        Kind::SkippedStep,
        Cover::Plain,
        "second factor",
        Nobody,
        8,
        |w, s, _| {
            let user = w.people.any(&mut w.rng, Manager, 0);
            s.actor = user;
            s.auth.clear();
            identity::first_step(w, s, user);
            identity::without_second(w, s, user);
            identity::me(w, s, user);
        },
    ),
    row(
        Kind::SkippedStep,
        Cover::Addresses,
        "password of a reset",
        Nobody,
        8,
        |w, s, _| {
            // Tokens for a ticket, without even the first step.
            let user = w.people.any(&mut w.rng, Manager, 0);
            s.actor = user;
            s.auth.clear();
            identity::without_second(w, s, user);
            identity::me(w, s, user);
        },
    ),
];

/// Programs of those who share a token.
const AGENTS: [&str; 4] = [
    "curl/8.12.1",
    "Go-http-client/2.0",
    "okhttp/4.12.0",
    "python-requests/2.32.3",
];

const fn row(
    kind: Kind,
    cover: Cover,
    target: &'static str,
    who: Who,
    count: u32,
    act: fn(&mut World, &mut Session, &Scene),
) -> Design {
    Design {
        kind,
        cover,
        target,
        who,
        count,
        act,
    }
}

/// Does something usual with a token that somebody made.
fn forge(w: &mut World, s: &mut Session, lives: Option<u64>, signed: Signed) {
    if s.auth.is_empty() || s.expires < w.now {
        let (user, tenant) = (s.actor, w.user(s.actor).tenant);
        let expires = lives.map(|lives| w.now + lives);
        identity::bear(w, s, user, tenant, expires, signed);
    }
    person::act(w, s, 0);
}

/// Does something usual with a token that ended two hours before it was first used, and was never renewed.
fn expired(w: &mut World, s: &mut Session) {
    if s.auth.is_empty() {
        let (user, tenant, now) = (s.actor, w.user(s.actor).tenant, w.now);
        w.now = now.saturating_sub(3 * HOUR);
        identity::bear(w, s, user, tenant, Some(now - 2 * HOUR), Signed::Rs256);
        w.now = now;
    }
    person::act(w, s, 0);
}

fn url(w: &mut World, s: &mut Session, parameter: &str) {
    let own = w.user(s.actor).orders.last().copied().unwrap_or_default();
    shop::order_by_url(w, s, own, parameter);
}
