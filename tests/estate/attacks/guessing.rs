//! Guessing (API2): passwords and names of users.

use super::super::ids;
use super::super::people::Role::{Manager, Member, Mobile};
use super::super::services::identity::{self, Telling};
use super::super::truth::{Cover, Kind};
use super::super::world::{Session, World};
use super::Who::Nobody;
use super::{Design, Scene};

pub(super) const DESIGNS: &[Design] = &[
    row(Kind::Stuffing, Cover::Plain, 400, stuff),
    row(Kind::Stuffing, Cover::Addresses, 400, stuff),
    row(Kind::Spraying, Cover::Plain, 200, spray),
    row(Kind::Spraying, Cover::Addresses, 200, spray),
    row(Kind::BruteForce, Cover::Plain, 300, force),
    row(Kind::BruteForce, Cover::Addresses, 300, force),
    row(Kind::UserEnumeration, Cover::Plain, 200, |w, s, scene| {
        tell(w, s, scene, Telling::Status);
    }),
    row(Kind::UserEnumeration, Cover::Random, 200, |w, s, scene| {
        tell(w, s, scene, Telling::Size);
    }),
    row(Kind::UserEnumeration, Cover::Addresses, 200, |w, s, scene| {
        tell(w, s, scene, Telling::Time);
    }),
];

const fn row(kind: Kind, cover: Cover, count: u32, act: fn(&mut World, &mut Session, &Scene)) -> Design {
    Design {
        kind,
        cover,
        target: "login",
        who: Nobody,
        count,
        act,
    }
}

/// Pairs out of a list that leaked elsewhere: most names are not known here, one in sixty fits.
fn stuff(w: &mut World, s: &mut Session, scene: &Scene) {
    if scene.n % 60 == 59 {
        let user = w.people.any(&mut w.rng, Mobile, 0);
        s.actor = user;
        identity::login(w, s, user);
        s.auth.clear();
        return;
    }
    let name = format!("{}@mail.example", ids::person(scene.base % 4000 + scene.n * 3));
    let guess = w.serial();
    identity::refused(w, s, &name, guess, 401);
}

/// One password for everybody.
fn spray(w: &mut World, s: &mut Session, scene: &Scene) {
    let user = (scene.base as usize + scene.n as usize * 5) % w.people.users.len();
    let mut name = String::new();
    identity::email(w, user as u32, &mut name);
    identity::refused(w, s, &name, u64::from(scene.base), 401);
}

/// All passwords for one.
fn force(w: &mut World, s: &mut Session, scene: &Scene) {
    let mut managers = w.people.all(Manager);
    // Clerks become managers while a slow attack goes on: it would have another victim after each.
    managers.retain(|user| w.user(*user).promoted == 0);
    let user = managers[scene.base as usize % managers.len()];
    let mut name = String::new();
    identity::email(w, user, &mut name);
    let guess = w.serial();
    identity::refused(w, s, &name, guess, 401);
}

/// Every other name is somebody's.
fn tell(w: &mut World, s: &mut Session, scene: &Scene, how: Telling) {
    let exists = scene.n.is_multiple_of(2);
    let name = if exists {
        let user = w.people.any(&mut w.rng, Member, 0);
        let mut name = String::new();
        identity::email(w, user, &mut name);
        name
    } else {
        format!(
            "{}@mail.example",
            ids::person(100_000 + scene.base % 9000 + scene.n)
        )
    };
    identity::telling(w, s, &name, exists, how);
}
