//! What a login, a token request or a refresh ties together.
//!
//! Takes who asked and what was handed out. Gives whose it is from now on. Never ties by an answer that refused, never
//! merges two subjects of one issuer, and never takes a token from somebody who has a name.

use smallvec::SmallVec;

use super::answer::{Answer, is_sent_back};
use super::facts::LoginResult;
use super::principals::{Key, KeyKind, Principal, Slot};
use super::resolve::{Callers, Presented, Seen, key};
use super::{CallerId, PrincipalKind};
use crate::exchange::credentials::{Grant, GrantType, Handover, Placed, Sureness};
use crate::exchange::secret::{CallerHash, KeyedHash};
use crate::exchange::{Method, Secret};

/// What came of it.
#[derive(Default)]
pub(super) struct Tied {
    /// Whose the tokens are.
    pub(super) owner: Option<Slot>,
    /// Callers that turned out to be the owner.
    pub(super) merged: SmallVec<[CallerId; 2]>,
    /// Something belongs to two callers.
    pub(super) contradiction: bool,
    /// Who logged in, and what came of it.
    pub(super) login: Option<(CallerHash, LoginResult)>,
}

impl Callers {
    /// Ties what was handed out to who asked.
    pub(super) fn hand_over(&mut self, told: &Handover, presented: &[Presented<'_>], seen: Seen<'_>) -> Tied {
        let mut tied = Tied::default();
        let granted = hands_out(told, seen);
        let asker = &told.asker;
        let name = match asker.grant_type {
            Some(GrantType::ClientCredentials) => asker.client,
            _ => asker.login.filter(|_| asker.proof),
        };
        tied.login = name.map(|name| (name.now, result(granted, seen)));
        if !granted {
            return tied;
        }
        let Some(owner) = self.whose(told, presented, seen) else {
            self.is_shared(&told.granted);
            return tied;
        };
        tied.owner = Some(owner);
        // What is handed out may bring new callers, who must not take the owner's place: fewer are met in one exchange
        // than are on probation.
        self.principals.renew(owner);
        if let Some(refresh) = asker.refresh {
            self.tie_token(owner, refresh, None, seen.now_s, &mut tied);
        }
        let by_name = asker.login.is_some() && asker.proof;
        let logs_in = by_name || asker.refresh.is_some() || asker.grant_type.is_some();
        let came = |grant: &&Grant| {
            let secret = Some(grant.secret);
            !presented.iter().any(|one| one.credential.secret == secret)
        };
        for grant in told.granted.iter().filter(came) {
            if let Some(claims) = grant.claims.as_deref().filter(|_| logs_in) {
                self.signers.handed_out(claims);
            }
            // A cookie that only may be a session is one when a login or refresh sets it, or one like it goes
            // on.
            if grant.sureness == Sureness::Named || logs_in || !has_named(told) {
                self.tie_grant(owner, grant, seen.now_s, &mut tied);
            }
        }
        self.principals.succeeded(owner, seen.now_s);
        tied
    }

    /// Whose the tokens of a successful answer are.
    fn whose(&mut self, told: &Handover, presented: &[Presented<'_>], seen: Seen<'_>) -> Option<Slot> {
        let asker = &told.asker;
        // Looked up anew: whoever was met just now is known by now, and may have taken somebody's place.
        let requester = presented.iter().find_map(|one| self.owner(one.credential).owner);
        if let Some(login) = asker.login.filter(|_| asker.proof) {
            return Some(self.named(login, KeyKind::Login, seen.now_s));
        }
        let known = match asker.grant_type {
            Some(GrantType::ClientCredentials) => match asker.client {
                Some(client) => Some(self.named(client, KeyKind::Client, seen.now_s)),
                None => requester,
            },
            // The application asks for somebody.
            Some(GrantType::Refresh | GrantType::Code | GrantType::Password | GrantType::Other) => {
                asker.refresh.and_then(|refresh| self.principals.find(refresh))
            }
            None => {
                let refreshed = asker.refresh.and_then(|refresh| self.principals.find(refresh));
                // Reading a token tells whose it is as little as reading a letter; asking for one by a command does.
                let is_command = Method::of(seen.exchange.request.method()) == Method::Post;
                let commands = requester.filter(|_| is_command && asker.login.is_none() && has_named(told));
                refreshed.or(commands).or_else(|| self.goes_on(told, presented))
            }
        };
        known.or_else(|| self.by_what_it_says(told, seen.now_s))
    }

    /// A session that goes on under another number: a cookie came, cookies go.
    fn goes_on(&mut self, told: &Handover, presented: &[Presented<'_>]) -> Option<Slot> {
        let only_cookies = told.granted.iter().all(|grant| grant.placed == Placed::Cookie);
        let came = presented
            .iter()
            .filter(|one| one.credential.placed == Placed::Cookie && only_cookies)
            .find_map(|one| Some((one.credential.sureness, self.owner(one.credential).owner?)))?;
        let same_sort = told.granted.iter().any(|grant| grant.sureness == came.0);
        same_sort.then_some(came.1)
    }

    /// Cookies that are set for anybody: whoever has one is not recognised by it.
    fn is_shared(&mut self, granted: &[Grant]) {
        for grant in granted.iter().filter(|grant| grant.placed == Placed::Cookie) {
            if let Some(other) = self.principals.find(grant.secret) {
                self.principals.mark_ambiguous(other, grant.secret.now);
            }
        }
    }

    /// Nobody asked by name: the tokens say whose they are, or at least belong together. A cookie alone is set for any
    /// visitor, who is met when it comes back.
    fn by_what_it_says(&mut self, told: &Handover, now_s: u32) -> Option<Slot> {
        let subject = told
            .granted
            .iter()
            .find_map(|grant| grant.claims.as_ref().and_then(|claims| claims.principal));
        if let Some(known) = subject.and_then(|subject| self.principals.find(subject)) {
            return Some(known);
        }
        let mut others = told.granted.iter().filter(|grant| grant.placed != Placed::Cookie);
        let first = others.next()?;
        if let Some(known) = std::iter::once(first)
            .chain(others)
            .find_map(|grant| self.principals.find(grant.secret))
        {
            return Some(known);
        }
        let (id, kind) = match subject {
            Some(subject) => (subject, PrincipalKind::User),
            None => (first.secret, PrincipalKind::Unnamed),
        };
        Some(self.principals.create(CallerId(id.now), kind, now_s))
    }

    /// The caller of a name, who may be new.
    fn named(&mut self, name: KeyedHash, kind: KeyKind, now_s: u32) -> Slot {
        if let Some(known) = self.principals.find(name) {
            return known;
        }
        let of = if kind == KeyKind::Client {
            PrincipalKind::Service
        } else {
            PrincipalKind::User
        };
        let slot = self.principals.create(CallerId(name.now), of, now_s);
        self.principals.tie(slot, key(name, kind, now_s));
        slot
    }

    /// One token is the owner's from now on, unless it says or is known to be another's.
    fn tie_grant(&mut self, owner: Slot, grant: &Grant, now_s: u32, tied: &mut Tied) {
        let mut whose = owner;
        if let Some((claims, subject)) = grant
            .claims
            .as_deref()
            .and_then(|claims| Some((claims, claims.principal?)))
        {
            let known = self.principals.find(subject);
            let contradicts = self
                .principals
                .get(owner)
                .is_some_and(|principal| principal.contradicts(subject.now, claims.authority));
            match known {
                Some(known) if known == owner => {}
                Some(known) if contradicts => whose = known,
                Some(known) => match self.principals.merge(owner, known) {
                    Some(gone) => tied.merged.push(gone),
                    None => whose = known,
                },
                None if contradicts => {
                    whose = self
                        .principals
                        .create(CallerId(subject.now), PrincipalKind::User, now_s);
                    self.tie_subject(whose, claims, subject, now_s);
                }
                None => {
                    self.tie_subject(owner, claims, subject, now_s);
                }
            }
            tied.contradiction |= whose != owner;
            self.says(whose, claims);
            self.becomes_named(whose, claims.is_service);
        }
        let issued = Some(grant.sureness);
        self.tie_token(whose, grant.secret, issued, now_s, tied);
    }

    /// Ties a token. One that is another's who has no name makes the two one: the token was in use before the login that
    /// hands it out was seen. One of somebody with a name stays there, and is marked.
    fn tie_token(
        &mut self,
        owner: Slot,
        secret: KeyedHash,
        issued: Option<Sureness>,
        now_s: u32,
        tied: &mut Tied,
    ) {
        let known = self.principals.find(secret);
        match known {
            None => {
                let key = Key {
                    issued: issued.is_some(),
                    ..key(secret, KeyKind::Token, now_s)
                };
                self.principals.tie(owner, key);
            }
            Some(known) if known == owner => self.principals.touch(owner, secret.now, now_s),
            Some(other) => {
                let has_name = self.principals.get(other).is_some_and(Principal::is_named);
                let merged = if has_name {
                    None
                } else {
                    self.principals.merge(owner, other)
                };
                if let Some(gone) = merged {
                    tied.merged.push(gone);
                } else {
                    self.principals.mark_ambiguous(other, secret.now);
                    // What only may be a session, and two have, is none.
                    tied.contradiction |= issued != Some(Sureness::Possible);
                }
            }
        }
    }

    fn becomes_named(&mut self, slot: Slot, is_service: bool) {
        if let Some(principal) = self.principals.get_mut(slot)
            && principal.kind == PrincipalKind::Unnamed
        {
            principal.kind = if is_service {
                PrincipalKind::Service
            } else {
                PrincipalKind::User
            };
        }
    }
}

/// Whether something is handed out that is a token or session for sure.
fn has_named(told: &Handover) -> bool {
    told.granted.iter().any(|grant| grant.sureness == Sureness::Named)
}

/// Whether the answer hands something out to whoever asked.
fn hands_out(told: &Handover, seen: Seen<'_>) -> bool {
    if told.granted.is_empty() || told.is_list {
        return false;
    }
    let only_cookies = told.granted.iter().all(|grant| grant.placed == Placed::Cookie);
    let asks_by_name = told.asker.login.is_some() && told.asker.proof;
    let Some(response) = seen.exchange.outcome.response() else {
        return false;
    };
    match seen.answer {
        // A form that is shown again after a wrong password often sets a cookie, too; after a right one the client is
        // sent on.
        Answer::Accepted if only_cookies && asks_by_name => {
            let media = response.head.header("content-type").map(Secret::expose);
            !media.is_some_and(|media| media.starts_with(b"text/html"))
        }
        Answer::Accepted => true,
        Answer::Redirected => only_cookies && !is_sent_back(response),
        Answer::Unauthenticated | Answer::Forbidden | Answer::Unknown => false,
    }
}

/// What came of a login.
fn result(granted: bool, seen: Seen<'_>) -> LoginResult {
    if granted {
        return LoginResult::Succeeded;
    }
    let Some(response) = seen.exchange.outcome.response() else {
        return LoginResult::Unknown;
    };
    let failed = match seen.answer {
        Answer::Unauthenticated | Answer::Forbidden => true,
        Answer::Redirected => is_sent_back(response),
        Answer::Accepted => false,
        Answer::Unknown => matches!(response.status, 400 | 404 | 422 | 423 | 429),
    };
    if failed {
        LoginResult::Failed
    } else {
        LoginResult::Unknown
    }
}
