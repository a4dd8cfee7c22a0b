//! Attacks: designs as rows of tables, one file per family, and how a design is carried out at a speed.

mod authentication;
mod function;
mod guessing;
mod object;
mod property;

use std::net::Ipv4Addr;

use super::clock::{DAY, END, HOUR, SECOND};
use super::lives::person;
use super::lives::{Life, Lives};
use super::people::Role;
use super::services::identity;
use super::truth::{Cover, Instance, Kind, NOBODY, Pattern, Speed};
use super::world::{Session, World};

/// One way to attack.
pub(crate) struct Design {
    kind: Kind,
    cover: Cover,
    /// What it goes for.
    target: &'static str,
    /// Whose account is used.
    who: Who,
    /// Exchanges at full speed; slower ones make fewer.
    count: u32,
    /// Makes one exchange, or the few that belong together.
    act: fn(&mut World, &mut Session, &Scene),
}

/// As whom the attacker comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Who {
    /// Logs in with an account of that role.
    LoggedIn(Role),
    /// Has an account, and makes credentials of its own.
    Forging(Role),
    /// Has none.
    Nobody,
    /// Is a weakness of a service that everybody meets, in that kind of answer.
    Weakness(&'static str),
}

/// How far the attack has come.
pub(crate) struct Scene {
    /// Exchanges made.
    n: u32,
    /// A number of its own, to begin from.
    base: u32,
}

const TABLES: [&[Design]; 5] = [
    object::DESIGNS,
    function::DESIGNS,
    property::DESIGNS,
    authentication::DESIGNS,
    guessing::DESIGNS,
];

/// Accounts of an attack that is spread over some.
const ACCOUNTS: u32 = 6;
/// Addresses of an attack that is spread over them.
const ADDRESSES: usize = 60;
/// Nothing is known of anybody before that day.
const FIRST: u64 = 3 * DAY;
/// How long slow attacks take.
const SLOW: u64 = 4 * DAY;

/// Puts every design into the future, at every speed; in a small estate each at one.
pub(crate) fn plan(w: &mut World, lives: &mut Lives, small: bool) {
    for (row, design) in TABLES.into_iter().flatten().enumerate() {
        for (column, speed) in Speed::ALL.iter().copied().enumerate() {
            if small && column != row % Speed::ALL.len() {
                continue;
            }
            let number = w.truth.instances.len() as u16;
            w.truth.instances.push(Instance {
                kind: design.kind,
                speed,
                cover: design.cover,
                target: design.target,
                begin: 0,
                end: 0,
                exchanges: 0,
                actors: std::collections::BTreeSet::new(),
            });
            let latest = END
                - if speed == Speed::Slow {
                    SLOW + DAY
                } else {
                    14 * HOUR
                };
            let begin = w.rng.between(FIRST, latest);
            if let Who::Weakness(what) = design.who {
                // From a busy hour of a working day on.
                let begin = begin - begin / DAY % 7 / 5 * 2 * DAY;
                let (begin, hours) = (begin / DAY * DAY + 10 * HOUR, [1, 5, 24][column]);
                lives.add(
                    begin,
                    Weakness {
                        what,
                        number,
                        until: begin + hours * HOUR,
                        begun: false,
                    },
                );
                continue;
            }
            let strike = Strike::new(w, design, number, speed, small);
            lives.add(begin, strike);
        }
    }
}

/// A design under way.
struct Strike {
    design: &'static Design,
    number: u16,
    speed: Speed,
    sessions: Vec<Session>,
    addresses: Vec<Ipv4Addr>,
    left: u32,
    total: u32,
    scene: Scene,
}

impl Strike {
    fn new(w: &mut World, design: &'static Design, number: u16, speed: Speed, small: bool) -> Self {
        let most = if small { 16 } else { u32::MAX };
        let total = match speed {
            Speed::Fast => design.count,
            Speed::Ordinary => (design.count / 2).max(8),
            Speed::Slow => (design.count / 5).clamp(6, 40),
        }
        .min(most);
        let addresses = (0..ADDRESSES)
            .map(|_| Ipv4Addr::from(0x5b00_0000 | w.rng.next() as u32 & 0x00ff_ffff))
            .collect();
        Self {
            design,
            number,
            speed,
            sessions: Vec::new(),
            addresses,
            left: total,
            total,
            scene: Scene {
                n: 0,
                base: w.rng.next() as u32,
            },
        }
    }

    /// Who comes, chosen when it begins.
    fn gather(&mut self, w: &mut World) {
        let count = if self.design.cover == Cover::Accounts {
            ACCOUNTS
        } else {
            1
        };
        for number in 0..count {
            let address = self.addresses[number as usize];
            let session = match self.design.who {
                Who::LoggedIn(role) | Who::Forging(role) => {
                    let user = accomplice(w, role);
                    let mut session = person::session(w, user);
                    session.address = if w.rng.chance(0.5) {
                        address
                    } else {
                        session.address
                    };
                    session
                }
                _ => Session::new(NOBODY, Pattern::Failure, address, "python-requests/2.32.3"),
            };
            self.sessions.push(session);
        }
    }

    fn gap(&self, w: &mut World) -> u64 {
        match self.speed {
            Speed::Fast => SECOND / 5 + w.rng.wait(SECOND),
            Speed::Ordinary => SECOND + w.rng.wait(45 * SECOND),
            Speed::Slow => {
                HOUR / 4
                    + w.rng
                        .wait((SLOW / u64::from(self.total)).saturating_sub(HOUR / 4))
            }
        }
    }
}

/// Somebody of that role who is there already and has no role that is about to change.
fn accomplice(w: &mut World, role: Role) -> u32 {
    loop {
        let now = w.now;
        let user = w.people.any(&mut w.rng, role, now);
        if w.user(user).promoted == 0 {
            return user;
        }
    }
}

impl Life for Strike {
    fn step(&mut self, w: &mut World) -> Option<u64> {
        if self.sessions.is_empty() {
            self.gather(w);
        }
        let place = self.scene.n as usize % self.sessions.len();
        let s = &mut self.sessions[place];
        if self.design.cover == Cover::Addresses {
            w.leave(s);
            s.address = w.rng.pick(&self.addresses);
        }
        if let Who::LoggedIn(_) = self.design.who {
            if s.auth.is_empty() {
                person::log_in(w, s);
            } else if s.refresh > 0 && self.design.kind != Kind::ManyPlaces {
                identity::keep(w, s, s.actor);
            }
        }
        if self.design.cover == Cover::Mixed && w.rng.chance(0.6) {
            person::act(w, s, self.scene.base);
        } else {
            s.attack = Some(self.number);
            (self.design.act)(w, s, &self.scene);
            s.attack = None;
            self.scene.n += 1;
            self.left -= 1;
        }
        if self.speed == Speed::Slow || self.left == 0 {
            w.leave(s);
        }
        if self.left == 0 {
            self.sessions.iter_mut().for_each(|s| w.leave(s));
            return None;
        }
        let gap = self.gap(w);
        Some(w.now + gap)
    }
}

/// A release that tells too much, until it is repaired.
struct Weakness {
    what: &'static str,
    number: u16,
    until: u64,
    begun: bool,
}

impl Life for Weakness {
    fn step(&mut self, w: &mut World) -> Option<u64> {
        if self.begun {
            w.leaks.retain(|leak| leak.1 != self.number);
            return None;
        }
        w.leaks.push((self.what, self.number));
        self.begun = true;
        Some(self.until)
    }
}
