//! The community: GraphQL, UUIDs, opaque tokens; posts for all, talks for two, documents for a team.

use super::super::ids::{self, Of};
use super::super::world::{Session, World, json};
use super::{Release, Service};

const SERVICE: Service = Service::Social;

/// What is kept. An object's number is its place.
#[derive(Default)]
pub(crate) struct Social {
    /// Who wrote it.
    pub(crate) posts: Vec<u32>,
    /// Who talks.
    pub(crate) talks: Vec<[u32; 2]>,
    /// Of which team.
    pub(crate) documents: Vec<u16>,
}

pub(crate) fn new_post(w: &mut World, author: u32) -> u32 {
    let post = w.social.posts.len() as u32;
    w.social.posts.push(author);
    w.people.users[author as usize].posts.push(post);
    post
}

/// With some other member.
pub(crate) fn new_talk(w: &mut World, user: u32) -> u32 {
    let other = w
        .people
        .any(&mut w.rng, super::super::people::Role::Member, u64::MAX);
    let talk = w.social.talks.len() as u32;
    w.social.talks.push([user, other]);
    w.people.users[user as usize].talks.push(talk);
    if other != user {
        w.people.users[other as usize].talks.push(talk);
    }
    talk
}

pub(crate) fn new_document(w: &mut World, team: u16) {
    w.social.documents.push(team);
}

/// Begins a call of an operation.
fn operation(w: &mut World, name: &str, query: &str, variables: std::fmt::Arguments<'_>) {
    let d = w.ask(SERVICE, "POST");
    d.target.push_str("/graphql");
    json!(
        d.body,
        r#"{{"operationName":"{name}","query":"{query}","variables":{{{variables}}}}}"#
    );
}

fn post_json(w: &mut World, post: u32) {
    let (seed, author) = (w.seed, w.social.posts[post as usize % w.social.posts.len()]);
    json!(
        w.draft.answer,
        r#"{{"id":"{}","author":{{"id":"{}","name":"{}"}},"text":"number {post} about {}","likes":{}}}"#,
        ids::uuid(seed, Of::Post, post.into()),
        ids::uuid(seed, Of::User, author.into()),
        ids::person(author),
        ids::product(post as usize % ids::PRODUCTS),
        post % 70
    );
}

pub(crate) fn feed(w: &mut World, s: &mut Session) {
    operation(
        w,
        "Feed",
        "query Feed($first: Int) { feed(first: $first) { id author { id name } text likes } }",
        format_args!(r#""first":5"#),
    );
    w.draft.answer.extend(br#"{"data":{"feed":["#);
    for place in 0..5 {
        let post = w.social.posts.len() - 1 - w.rng.popular(w.social.posts.len());
        w.draft.answer.extend(if place == 0 { "" } else { "," }.bytes());
        post_json(w, post as u32);
    }
    w.draft.answer.extend(b"]}}");
    w.send(s);
}

pub(crate) fn post(w: &mut World, s: &mut Session, post: u32) {
    let id = ids::uuid(w.seed, Of::Post, post.into());
    operation(
        w,
        "Post",
        "query Post($id: ID!) { post(id: $id) { id author { id name } text likes } }",
        format_args!(r#""id":"{id}""#),
    );
    w.draft.answer.extend(br#"{"data":{"post":"#);
    post_json(w, post);
    w.draft.answer.extend(b"}}");
    w.send(s);
}

/// Members look at each other: that is what the place is for.
pub(crate) fn profile(w: &mut World, s: &mut Session, user: u32) {
    let id = ids::uuid(w.seed, Of::User, user.into());
    operation(
        w,
        "Profile",
        "query Profile($id: ID!) { user(id: $id) { id name bio } }",
        format_args!(r#""id":"{id}""#),
    );
    let leak = w.leaking("member");
    let d = &mut w.draft;
    json!(
        d.answer,
        r#"{{"data":{{"user":{{"id":"{id}","name":"{}","bio":"likes lamps""#,
        ids::person(user)
    );
    if let Some(attack) = leak {
        d.attack = Some(attack);
        super::shop::leak_json(user, d);
    }
    d.answer.extend(b"}}}");
    w.send(s);
}

/// A talk of two. What is asked for may be one that does not exist.
pub(crate) fn talk(w: &mut World, s: &mut Session, talk: u32, of: Of) -> u16 {
    let id = ids::uuid(w.seed, of, talk.into());
    operation(
        w,
        "Talk",
        "query Talk($id: ID!) { talk(id: $id) { id members { id } messages { from text } } }",
        format_args!(r#""id":"{id}""#),
    );
    let [one, other] = w.social.talks[talk as usize % w.social.talks.len()];
    let seed = w.seed;
    let who = |user: u32| ids::uuid(seed, Of::User, user.into());
    json!(
        w.draft.answer,
        r#"{{"data":{{"talk":{{"id":"{id}","members":[{{"id":"{}"}},{{"id":"{}"}}],"messages":[{{"from":"{}","text":"see you at {talk}"}}]}}}}}}"#,
        who(one),
        who(other),
        who(one)
    );
    w.send(s)
}

pub(crate) fn say(w: &mut World, s: &mut Session, talk: u32) {
    let id = ids::uuid(w.seed, Of::Talk, talk.into());
    operation(
        w,
        "Say",
        "mutation Say($id: ID!, $text: String!) { say(talk: $id, text: $text) { id } }",
        format_args!(r#""id":"{id}","text":"see you""#),
    );
    json!(w.draft.answer, r#"{{"data":{{"say":{{"id":"{id}"}}}}}}"#);
    w.send(s);
}

pub(crate) fn document(w: &mut World, s: &mut Session, document: u32) {
    let id = ids::uuid(w.seed, Of::Document, document.into());
    operation(
        w,
        "Document",
        "query Document($id: ID!) { document(id: $id) { id team title text } }",
        format_args!(r#""id":"{id}""#),
    );
    let team = w.social.documents[document as usize];
    json!(
        w.draft.answer,
        r#"{{"data":{{"document":{{"id":"{id}","team":{team},"title":"plan {document}","text":"to be done"}}}}}}"#
    );
    w.send(s);
}

pub(crate) fn create_post(w: &mut World, s: &mut Session, user: u32) {
    let post = new_post(w, user);
    operation(
        w,
        "CreatePost",
        "mutation CreatePost($text: String!) { createPost(text: $text) { id author { id name } text likes } }",
        format_args!(r#""text":"number {post}""#),
    );
    w.draft.answer.extend(br#"{"data":{"createPost":"#);
    post_json(w, post);
    w.draft.answer.extend(b"}}");
    w.send(s);
}

pub(crate) fn delete_post(w: &mut World, s: &mut Session, post: u32) {
    let id = ids::uuid(w.seed, Of::Post, post.into());
    operation(
        w,
        "DeletePost",
        "mutation DeletePost($id: ID!) { deletePost(id: $id) { id } }",
        format_args!(r#""id":"{id}""#),
    );
    json!(w.draft.answer, r#"{{"data":{{"deletePost":{{"id":"{id}"}}}}}}"#);
    w.send(s);
}

/// Changes one's profile; `extra` is what the client adds to the input, and gets back.
pub(crate) fn update(w: &mut World, s: &mut Session, user: u32, extra: &str) {
    let id = ids::uuid(w.seed, Of::User, user.into());
    operation(
        w,
        "UpdateProfile",
        "mutation UpdateProfile($input: ProfileInput!) { updateProfile(input: $input) { id bio } }",
        format_args!(r#""input":{{"bio":"likes lamps"{extra}}}"#),
    );
    json!(
        w.draft.answer,
        r#"{{"data":{{"updateProfile":{{"id":"{id}","bio":"likes lamps"{extra}}}}}}}"#
    );
    w.send(s);
}

/// What came with a release.
pub(crate) fn stories(w: &mut World, s: &mut Session) {
    operation(
        w,
        "Stories",
        "query Stories { stories { id author { id name } text likes } }",
        format_args!(""),
    );
    if !w.released(Release::SocialStories) {
        return;
    }
    let post = w.rng.below(w.social.posts.len()) as u32;
    w.draft.answer.extend(br#"{"data":{"stories":["#);
    post_json(w, post);
    w.draft.answer.extend(b"]}}");
    w.send(s);
}

/// Invites somebody to a team, in a role: a lawful property of that name.
pub(crate) fn invite(w: &mut World, s: &mut Session, team: u16) {
    let who = w.rng.below(w.people.users.len()) as u32;
    operation(
        w,
        "Invite",
        "mutation Invite($team: Int!, $input: InviteInput!) { invite(team: $team, input: $input) { role } }",
        format_args!(
            r#""team":{team},"input":{{"email":"{}@mail.example","role":"editor"}}"#,
            ids::person(who)
        ),
    );
    if !w.released(Release::SocialInvites) {
        return;
    }
    w.draft.answer.extend(br#"{"data":{"invite":{"role":"editor"}}}"#);
    w.send(s);
}

/// An administrator's mutation.
pub(crate) fn ban(w: &mut World, s: &mut Session, user: u32) {
    let id = ids::uuid(w.seed, Of::User, user.into());
    operation(
        w,
        "AdminBanUser",
        "mutation AdminBanUser($id: ID!) { adminBanUser(id: $id) { id banned } }",
        format_args!(r#""id":"{id}""#),
    );
    json!(
        w.draft.answer,
        r#"{{"data":{{"adminBanUser":{{"id":"{id}","banned":true}}}}}}"#
    );
    w.send(s);
}
