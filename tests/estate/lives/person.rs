//! A user with an account: comes, logs in, does some things, goes.

use std::net::Ipv4Addr;

use super::super::clock::{HOUR, MINUTE, Rhythm, SECOND};
use super::super::ids;
use super::super::people::Role;
use super::super::services::{identity, shop};
use super::super::truth::Pattern;
use super::super::world::{Session, World};
use super::{Life, customers, members, office, staff};

/// A user.
pub(crate) struct Person {
    user: u32,
    session: Session,
    /// Things still to be done in this visit; 0 when away.
    left: u32,
    /// What the visit is about: a ticket, a tenant.
    about: u32,
}

/// How a role lives: when, visits on a mean day, things done in a visit, mean seconds between them.
const fn habits(role: Role) -> (Rhythm, f64, u64, u64) {
    match role {
        Role::Shopper => (Rhythm::Home, 0.7, 12, 25),
        Role::Mobile => (Rhythm::Home, 2.8, 14, 20),
        Role::Member => (Rhythm::Home, 1.0, 12, 15),
        Role::Clerk => (Rhythm::Office, 2.0, 14, 40),
        Role::Manager => (Rhythm::Office, 1.5, 12, 60),
        Role::Auditor => (Rhythm::Office, 0.5, 25, 30),
        Role::Accountant => (Rhythm::Office, 1.5, 20, 40),
        Role::Support => (Rhythm::Office, 3.0, 40, 45),
        Role::Admin => (Rhythm::Office, 1.5, 8, 60),
        Role::Warehouse => (Rhythm::Shift, 3.0, 20, 60),
    }
}

const fn pattern(role: Role) -> Pattern {
    match role {
        Role::Shopper => Pattern::Shopping,
        Role::Mobile => Pattern::Mobile,
        Role::Member => Pattern::Social,
        Role::Clerk => Pattern::Office,
        Role::Manager => Pattern::Manager,
        Role::Auditor => Pattern::Auditor,
        Role::Accountant => Pattern::Accountant,
        Role::Support => Pattern::Support,
        Role::Admin => Pattern::Admin,
        Role::Warehouse => Pattern::Warehouse,
    }
}

/// A new session of a user, not logged in.
pub(crate) fn session(w: &World, user: u32) -> Session {
    let one = w.user(user);
    Session::new(user, pattern(one.role), one.home, one.agent)
}

/// The user logs in, in the way of the role.
pub(crate) fn log_in(w: &mut World, s: &mut Session) {
    let user = s.actor;
    if w.user(user).role == Role::Shopper {
        shop::login(w, s, user);
    } else {
        identity::login(w, s, user);
    }
}

/// Does one thing that is usual for the role.
pub(crate) fn act(w: &mut World, s: &mut Session, about: u32) {
    match w.user(s.actor).role {
        Role::Shopper => customers::browse(w, s),
        Role::Mobile => customers::tap(w, s),
        Role::Member => members::act(w, s),
        Role::Clerk => office::clerk(w, s),
        Role::Manager => office::manager(w, s),
        Role::Auditor => office::auditor(w, s),
        Role::Accountant => office::accountant(w, s, about),
        Role::Support => staff::support(w, s, about),
        Role::Admin => staff::admin(w, s),
        Role::Warehouse => staff::warehouse(w, s),
    }
}

impl Person {
    pub(crate) fn new(w: &World, user: u32) -> Self {
        Self {
            user,
            session: session(w, user),
            left: 0,
            about: 0,
        }
    }

    /// When the first visit is.
    pub(crate) fn first(w: &mut World, user: u32) -> u64 {
        let (rhythm, per_day, ..) = habits(w.user(user).role);
        let from = w.user(user).joined;
        rhythm.next(&mut w.rng, from, per_day)
    }

    fn arrive(&mut self, w: &mut World) {
        let s = &mut self.session;
        let one = &mut w.people.users[self.user as usize];
        if one.promoted > 0 && w.now >= one.promoted && one.role == Role::Clerk {
            one.role = Role::Manager;
            (s.pattern, s.refresh, s.expires) = (Pattern::Manager, 0, 0);
        }
        let (role, home) = (one.role, one.home);
        let mobile = matches!(role, Role::Mobile | Role::Member);
        // On the way, a telephone has an address of its carrier, which many share.
        s.address = if mobile && w.rng.chance(0.4) {
            s.pattern = Pattern::Roaming;
            Ipv4Addr::new(100, 64 + (self.user % 4) as u8, 7, w.rng.below(60) as u8)
        } else {
            s.pattern = pattern(role);
            home
        };
        (_, _, self.left, self.about) = {
            let (rhythm, per_day, things, _) = habits(role);
            let count = 1 + w.rng.wait(things * 1000) / 1000;
            (rhythm, per_day, count.min(things * 4) as u32, w.rng.next() as u32)
        };
        if role == Role::Shopper && w.rng.chance(0.4) {
            // Only looks around.
            s.auth.clear();
        } else if role == Role::Shopper || s.refresh == 0 || w.rng.chance(0.05) {
            self.log_in(w);
        }
    }

    /// Passwords are mistyped, and sometimes forgotten.
    fn log_in(&mut self, w: &mut World) {
        let s = &mut self.session;
        if w.rng.chance(0.05) {
            let usual = std::mem::replace(&mut s.pattern, Pattern::Mistyped);
            let mut name = String::new();
            identity::email(w, self.user, &mut name);
            s.auth.clear();
            let times = w.rng.between(1, 4);
            for _ in 0..times {
                let guess = w.serial();
                identity::refused(w, s, &name, guess, 401);
                w.now += w.rng.between(3, 15) * SECOND;
            }
            s.pattern = usual;
            if times == 4 {
                identity::reset(w, s, self.user);
            }
        }
        log_in(w, s);
    }

    /// Renews the token; some clients do so only when it was refused.
    fn renew(&mut self, w: &mut World) {
        let s = &mut self.session;
        if s.refresh == 0 {
            return;
        }
        if s.expires < w.now && w.rng.chance(0.3) {
            let usual = std::mem::replace(&mut s.pattern, Pattern::Expired);
            s.fail = Some(401);
            act(w, s, self.about);
            s.fail = None;
            s.pattern = usual;
        }
        identity::keep(w, s, self.user);
    }

    fn depart(&mut self, w: &mut World) {
        let web = matches!(
            w.user(self.user).role,
            Role::Shopper | Role::Support | Role::Admin | Role::Manager
        );
        if web && !self.session.auth.is_empty() && w.rng.chance(0.3) {
            if w.user(self.user).role == Role::Shopper {
                shop::logout(w, &mut self.session);
            } else {
                identity::logout(w, &mut self.session);
            }
            self.session.refresh = 0;
        }
        w.leave(&mut self.session);
    }
}

impl Life for Person {
    fn step(&mut self, w: &mut World) -> Option<u64> {
        let (rhythm, per_day, _, seconds) = habits(w.user(self.user).role);
        if self.left == 0 {
            self.arrive(w);
        } else {
            self.renew(w);
            once(w, &mut self.session, self.about);
            self.left -= 1;
        }
        if self.left == 0 {
            self.depart(w);
            let away = w.now + HOUR / 4;
            return Some(rhythm.next(&mut w.rng, away, per_day));
        }
        Some(w.now + SECOND + w.rng.wait(seconds * SECOND).min(20 * MINUTE))
    }
}

/// Does one thing, which may go wrong in the usual ways.
fn once(w: &mut World, s: &mut Session, about: u32) {
    let wrong = match w.rng.below(1000) {
        0..12 => Some((Pattern::Missing, 404)),
        12..14 => Some((Pattern::Missing, 403)),
        14..17 => Some((Pattern::Failure, 409)),
        17..22 => Some((Pattern::Failure, 422)),
        22..25 => Some((Pattern::Failure, 500)),
        25..28 => Some((Pattern::Failure, 503)),
        _ => None,
    };
    let Some((pattern, status)) = wrong else {
        return act(w, s, about);
    };
    let usual = std::mem::replace(&mut s.pattern, pattern);
    s.fail = Some(status);
    act(w, s, about);
    s.fail = None;
    if status == 503 {
        // Tries again at once.
        w.now += SECOND;
        act(w, s, about);
    }
    s.pattern = usual;
}

/// Somebody without an account: opens links that others shared, from anywhere.
pub(crate) struct Visitor {
    pub(crate) per_day: f64,
}

impl Life for Visitor {
    fn step(&mut self, w: &mut World) -> Option<u64> {
        let address = Ipv4Addr::from(0x5000_0000 | w.rng.next() as u32 & 0x00ff_ffff);
        let mut s = Session::new(
            super::super::truth::NOBODY,
            Pattern::ShareLink,
            address,
            "Mozilla/5.0",
        );
        let links = w.shop.links.len();
        if links > 0 && w.rng.chance(0.6) {
            let link = links - 1 - w.rng.popular(links);
            shop::open_link(w, &mut s, link as u32);
            w.now += 5 * SECOND;
            let product = w.rng.popular(ids::PRODUCTS);
            shop::product(w, &mut s, product);
        } else {
            let count = w.books.invoices.len();
            let invoice = count - 1 - w.rng.popular(count);
            super::super::services::books::open_link(w, &mut s, invoice as u32);
        }
        w.leave(&mut s);
        Some(Rhythm::Home.next(&mut w.rng, w.now, self.per_day))
    }
}
