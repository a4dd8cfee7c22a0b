//! Members of the community.

use super::super::ids::Of;
use super::super::people::Role;
use super::super::services::social;
use super::super::truth::Pattern;
use super::super::world::{Session, World};

pub(crate) fn act(w: &mut World, s: &mut Session) {
    let user = s.actor;
    let posts = w.social.posts.len();
    let recent = (posts - 1 - w.rng.popular(posts)) as u32;
    let talk = w.user(user).talks.last().copied();
    match w.rng.below(100) {
        0..35 => social::feed(w, s),
        35..50 => social::post(w, s, recent),
        50..62 => {
            let other = w.rng.popular(w.people.users.len()) as u32;
            let (known, now) = (w.user(other).role == Role::Member, w.now);
            let other = if known {
                other
            } else {
                w.people.any(&mut w.rng, Role::Member, now)
            };
            social::profile(w, s, other);
        }
        62..74 => {
            let talk = talk.unwrap_or_else(|| social::new_talk(w, user));
            social::talk(w, s, talk, Of::Talk);
        }
        74..80 => {
            let talk = talk.unwrap_or_else(|| social::new_talk(w, user));
            social::say(w, s, talk);
        }
        80..88 => document(w, s),
        88..93 => social::create_post(w, s, user),
        93 => {
            if let Some(post) = w.people.users[user as usize].posts.pop() {
                social::delete_post(w, s, post);
            }
        }
        94..97 => social::update(w, s, user, ""),
        97..99 => social::stories(w, s),
        _ => {
            let team = w.user(user).team;
            social::invite(w, s, team);
        }
    }
}

/// Everybody of a team reads its documents.
fn document(w: &mut World, s: &mut Session) {
    let team = w.user(s.actor).team;
    let of_team = |one: &(usize, &u16)| *one.1 == team;
    let all: Vec<usize> = w
        .social
        .documents
        .iter()
        .enumerate()
        .filter(of_team)
        .map(|one| one.0)
        .collect();
    let document = w.rng.pick(&all);
    let usual = std::mem::replace(&mut s.pattern, Pattern::Team);
    social::document(w, s, document as u32);
    s.pattern = usual;
}
