//! Exchange by exchange: who it is, what is learnt from the answer, and the facts.

use smallvec::SmallVec;

use super::answer::Answer;
use super::attributes::{AttributeId, Names, ShownAttribute};
use super::facts::{self, LoginFacts, LoginResult, TokenFacts, Trouble};
use super::principals::{Key, KeyKind, MAX_ATTRIBUTES, Principals, Slot};
use super::signers::Signers;
use super::ties::Tied;
use super::windows::{SHORT_S, Try, Windows};
use super::{Basis, CallerId, Limits, PrincipalKind, Resolved};
use crate::exchange::credentials::{Claims, Credential, Placed, Sureness};
use crate::exchange::secret::{CallerHash, KeyedHash};
use crate::exchange::{AuthScheme, Caller, Exchange};

/// Window in which a caller's addresses are counted.
const ADDRESSES_S: u32 = 3600;

/// Everything known of callers.
#[derive(Debug)]
pub struct Callers {
    pub(super) principals: Principals,
    pub(super) names: Names,
    pub(super) signers: Signers,
    addresses: Windows,
    logins: Windows,
}

/// An exchange and what was made of it at first sight.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) answer: Answer,
    pub(super) now_s: u32,
}

/// A credential and whose it is.
#[derive(Clone, Copy)]
pub(super) struct Presented<'a> {
    pub(super) credential: &'a Credential,
    pub(super) owner: Option<Slot>,
    basis: Basis,
    ambiguous: bool,
    /// It is no new one: it was handed out, or let in, before.
    held: bool,
}

impl Callers {
    /// Nobody is known.
    pub fn new(limits: Limits) -> Self {
        Self {
            principals: Principals::new(limits),
            names: Names::default(),
            signers: Signers::default(),
            addresses: Windows::default(),
            logins: Windows::default(),
        }
    }

    /// Bounds of what is remembered.
    pub const fn limits(&self) -> Limits {
        self.principals.limits()
    }

    /// Callers remembered: established, and on probation.
    pub const fn len(&self) -> (usize, usize) {
        self.principals.len()
    }

    /// Nobody is remembered.
    pub const fn is_empty(&self) -> bool {
        matches!(self.len(), (0, 0))
    }

    /// Callers on probation that made room for others, since the start.
    pub const fn forgotten(&self) -> u64 {
        self.principals.forgotten
    }

    /// A role, group or scope as it may be shown.
    pub fn attribute(&self, id: AttributeId) -> Option<&ShownAttribute> {
        self.names.shown(id)
    }

    /// Says who sent an exchange, and learns from it.
    pub fn observe(&mut self, exchange: &Exchange) -> Resolved {
        let seen = Seen {
            exchange,
            answer: Answer::of(exchange),
            now_s: u32::try_from(exchange.request.time_ns.0 / 1_000_000_000).unwrap_or(u32::MAX),
        };
        let presented = self.presented(exchange);
        let user = pick(&presented, |one| !is_application(one.credential));
        let key = pick(&presented, |one| is_application(one.credential));
        let (main, application) = match user {
            Some(user) => (Some(user), key),
            None => (key, None),
        };
        let mut resolved = match main {
            Some(main) => self.known(main, seen),
            None if exchange.caller == Caller::Unseen => Resolved::nobody(PrincipalKind::Unseen),
            None => anonymous(exchange),
        };
        if let Some(application) = application {
            // The caller may have been new, and have taken somebody's place.
            let application = self.owner(application.credential);
            resolved.application = self.known(application, seen).id;
        }
        resolved.facts.answer = seen.answer;
        self.credential_facts(&presented, main, seen, &mut resolved);
        if exchange.part.is_none() {
            self.logged_in(&presented, main, seen, &mut resolved);
        }
        if let Some(address) = exchange.client.hash {
            resolved.facts.address = self.addresses.counts(address, seen.now_s).into();
        }
        resolved
    }

    /// Every credential of the exchange with its owner.
    fn presented<'a>(&mut self, exchange: &'a Exchange) -> SmallVec<[Presented<'a>; 4]> {
        let in_body = exchange.handover.iter().flat_map(|told| &told.in_body);
        let all = exchange.credentials.iter().chain(in_body);
        all.map(|credential| self.owner(credential)).collect()
    }

    pub(super) fn owner<'a>(&mut self, credential: &'a Credential) -> Presented<'a> {
        let claimed = credential.claims.as_ref().and_then(|claims| claims.principal);
        let by_name = claimed
            .or(credential.user)
            .and_then(|name| self.principals.find(name));
        let by_token = credential.secret.and_then(|secret| self.principals.find(secret));
        let key = by_token.zip(credential.secret).and_then(|(slot, secret)| {
            let principal = self.principals.get(slot)?;
            principal.key(secret.now).copied()
        });
        let issued = key.is_some_and(|key| key.issued);
        let contradicts = matches!((by_token, by_name), (Some(token), Some(name)) if token != name);
        let basis = match (by_token, credential.user, claimed) {
            (Some(_), ..) if issued && !contradicts => Basis::Issued,
            (_, Some(_), _) => Basis::Name,
            (.., Some(_)) => Basis::Claims,
            _ => Basis::Credential,
        };
        Presented {
            credential,
            // What a token says of itself is what the server reads.
            owner: by_name.or(by_token),
            basis,
            ambiguous: contradicts || key.is_some_and(|key| key.ambiguous),
            held: by_token.is_some(),
        }
    }

    /// The caller that a credential stands for. One that is not known yet is remembered if the server accepted it.
    fn known(&mut self, presented: Presented<'_>, seen: Seen<'_>) -> Resolved {
        let Presented {
            credential,
            owner,
            basis,
            ambiguous,
            ..
        } = presented;
        let accepted = seen.answer == Answer::Accepted && seen.exchange.part.is_none();
        let slot = match owner {
            None if accepted => self.meet(credential, seen.now_s),
            owner => owner,
        };
        let mut resolved = Resolved {
            id: name_of(credential).map(CallerId),
            kind: kind_of(credential),
            basis,
            ambiguous,
            ..Resolved::nobody(PrincipalKind::Unnamed)
        };
        let claims = credential.claims.as_deref();
        if let Some(slot) = slot {
            if accepted {
                self.accepted(slot, credential, seen);
            } else if seen.answer.is_refused()
                && let Some(principal) = self.principals.get_mut(slot)
            {
                principal.refusals.add(seen.now_s, SHORT_S);
            }
            self.describe(slot, seen.now_s, &mut resolved);
        }
        // What this very token says goes before what another said.
        if let Some(claims) = claims.filter(|claims| claims.whole) {
            resolved.attributes = attributes(claims);
            resolved.tenant = claims.tenant.or(resolved.tenant);
            resolved.tenant_value = claims.tenant_value;
            resolved.names.clone_from(&claims.names);
        }
        resolved
    }

    /// Fills in what is known of a caller.
    pub(super) fn describe(&self, slot: Slot, now_s: u32, resolved: &mut Resolved) {
        let Some(principal) = self.principals.get(slot) else {
            return;
        };
        resolved.id = Some(principal.id);
        resolved.kind = principal.kind;
        resolved.tenant = principal.tenant;
        resolved.attributes.clone_from(&principal.attributes);
        resolved.established = principal.established;
        resolved.facts.addresses = principal.addresses.estimate(now_s, ADDRESSES_S);
        resolved.facts.refusals = principal.refusals.sum(now_s, SHORT_S);
    }

    /// Remembers whom an accepted credential stands for. What only may be a credential stands for nobody.
    fn meet(&mut self, credential: &Credential, now_s: u32) -> Option<Slot> {
        let name = name_of(credential).filter(|_| credential.sureness == Sureness::Named)?;
        let slot = self.principals.create(CallerId(name), kind_of(credential), now_s);
        self.recognise(slot, credential, now_s);
        Some(slot)
    }

    /// Ties what a credential says to a caller: subject or user, else the token itself.
    fn recognise(&mut self, slot: Slot, credential: &Credential, now_s: u32) {
        let claims = credential.claims.as_deref();
        if let Some((claims, subject)) = claims.and_then(|claims| Some((claims, claims.principal?))) {
            self.tie_subject(slot, claims, subject, now_s);
        } else if let Some(user) = credential.user {
            self.principals.tie(slot, key(user, KeyKind::Login, now_s));
        } else if let Some(secret) = credential.secret {
            self.principals.tie(slot, key(secret, KeyKind::Token, now_s));
        }
    }

    /// Ties a subject; not a second one of the same issuer.
    pub(super) fn tie_subject(
        &mut self,
        slot: Slot,
        claims: &Claims,
        subject: KeyedHash,
        now_s: u32,
    ) -> bool {
        let authority = claims.authority;
        let contradicts = |slot| {
            let principal = self.principals.get(slot);
            principal.is_some_and(|principal| principal.contradicts(subject.now, authority))
        };
        if contradicts(slot) {
            return false;
        }
        self.principals.tie(
            slot,
            Key {
                authority,
                ..key(subject, KeyKind::Subject, now_s)
            },
        )
    }

    /// The server accepted a caller's credential.
    fn accepted(&mut self, slot: Slot, credential: &Credential, seen: Seen<'_>) {
        if let Some(secret) = credential.secret {
            self.principals.touch(slot, secret.now, seen.now_s);
        }
        if let Some(claims) = credential.claims.as_deref().filter(|claims| claims.whole) {
            self.says(slot, claims);
            match claims
                .principal
                .map(|subject| (subject, self.principals.find(subject)))
            {
                Some((subject, None)) => {
                    self.tie_subject(slot, claims, subject, seen.now_s);
                }
                // Another key makes another hash of the issuer, too.
                Some((subject, Some(owner))) => self.principals.vouch(owner, subject.now, claims.authority),
                None => {}
            }
        }
        if let (Some(principal), Some(address)) = (self.principals.get_mut(slot), seen.exchange.client.hash) {
            principal.addresses.add(address, seen.now_s, ADDRESSES_S);
        }
        self.principals.succeeded(slot, seen.now_s);
    }

    /// Learns roles, scopes and tenant from the claims of an accepted token.
    pub(super) fn says(&mut self, slot: Slot, claims: &Claims) {
        let Some(principal) = self.principals.get_mut(slot) else {
            return;
        };
        principal.tenant = claims.tenant.or(principal.tenant);
        let same = principal
            .attributes
            .iter()
            .copied()
            .eq(claims.attributes.iter().map(AttributeId::of));
        if !same && !claims.attributes.is_empty() {
            principal.attributes = attributes(claims);
            claims
                .attributes
                .iter()
                .for_each(|attribute| self.names.learn(attribute));
        }
    }

    /// Where credentials were, how they travelled, and what a token shows of itself.
    fn credential_facts(
        &mut self,
        presented: &[Presented<'_>],
        main: Option<Presented<'_>>,
        seen: Seen<'_>,
        resolved: &mut Resolved,
    ) {
        let facts = &mut resolved.facts;
        facts.contradiction = resolved.ambiguous;
        facts.held = main.is_some_and(|one| one.held && !is_application(one.credential));
        let certain =
            |one: &&Presented<'_>| one.credential.sureness == Sureness::Named || one.owner.is_some();
        let mut all = presented.iter().filter(certain).map(|one| one.credential);
        facts.in_url = all
            .clone()
            .find(|credential| credential.placed == Placed::Query)
            .map(|credential| credential.scheme);
        if !seen.exchange.connection.tls {
            facts.in_clear = main
                .map(|one| one.credential.scheme)
                .or_else(|| all.next().map(|one| one.scheme));
        }
        let Some((credential, claims)) =
            main.and_then(|one| Some((one.credential, one.credential.claims.as_deref()?)))
        else {
            return;
        };
        let mut token = TokenFacts::of(claims, credential.placed, facts::time_of_day_s(seen.exchange));
        let who = name_of(credential);
        let accepted = seen.answer == Answer::Accepted;
        token.other_algorithm =
            who.is_some_and(|who| self.signers.presented(claims, who, accepted, seen.now_s));
        facts.token = Some(token);
    }

    /// Logins: what was handed out is tied to who asked, and failures are counted.
    fn logged_in(
        &mut self,
        presented: &[Presented<'_>],
        main: Option<Presented<'_>>,
        seen: Seen<'_>,
        resolved: &mut Resolved,
    ) {
        let mut login = None;
        if let Some(told) = seen.exchange.handover.as_deref() {
            let tied = self.hand_over(told, presented, seen);
            self.tell_tied(&tied, seen, resolved);
            login = tied.login;
        }
        // Basic and Digest log in with each request.
        let user = main.and_then(|one| one.credential.user);
        if let (None, Some(user)) = (login, user) {
            login = match seen.answer {
                Answer::Accepted => Some((user.now, LoginResult::Succeeded)),
                Answer::Unauthenticated => Some((user.now, LoginResult::Failed)),
                Answer::Forbidden | Answer::Redirected | Answer::Unknown => None,
            };
        }
        if let Some((name, result)) = login {
            resolved.facts.login = Some(self.login_facts(name, result, seen));
        } else if seen.answer == Answer::Unauthenticated
            && let (Some(main), Some(address)) = (main, seen.exchange.client.hash)
        {
            let tried = name_of(main.credential);
            self.addresses.note(address, Try::Failed, tried, seen.now_s);
        }
    }

    fn tell_tied(&self, tied: &Tied, seen: Seen<'_>, resolved: &mut Resolved) {
        resolved.merged.clone_from(&tied.merged);
        resolved.facts.contradiction |= tied.contradiction;
        if let Some(owner) = tied.owner {
            self.describe(owner, seen.now_s, resolved);
            resolved.basis = Basis::Issued;
            resolved.ambiguous = tied.contradiction;
        }
    }

    fn login_facts(&mut self, name: CallerHash, result: LoginResult, seen: Seen<'_>) -> LoginFacts {
        let response = seen.exchange.outcome.response();
        let asked_ns = seen.exchange.request.time_ns.1;
        let told = seen.exchange.handover.as_deref();
        let mut login = LoginFacts {
            name,
            result,
            ticket: result == LoginResult::Unknown
                && seen.answer == Answer::Accepted
                && told.is_some_and(|told| told.ticket.is_some()),
            name_trouble: Trouble::default(),
            status: response.map_or(0, |response| response.status),
            answer_bytes: response.map_or(0, |response| response.body.total),
            answer_ns: response.map_or(0, |response| response.time_ns.0.saturating_sub(asked_ns)),
        };
        let what = match result {
            LoginResult::Failed if login.is_put_off() => Some(Try::PutOff),
            LoginResult::Failed => Some(Try::Failed),
            _ => login.passes().then_some(Try::Succeeded),
        };
        if let Some(what) = what {
            let address = seen.exchange.client.hash;
            self.logins.note(name, what, address, seen.now_s);
            if let Some(address) = address {
                self.addresses.note(address, what, Some(name), seen.now_s);
            }
        }
        login.name_trouble = Trouble::from(self.logins.counts(name, seen.now_s));
        login
    }
}

/// The strongest of those that are wanted: by place, and of what only may be a credential what is known.
fn pick<'a>(presented: &[Presented<'a>], wanted: impl Fn(&Presented<'a>) -> bool) -> Option<Presented<'a>> {
    let rank = |one: &&Presented<'a>| match one.credential.placed {
        Placed::Authorization => 0,
        Placed::Header => 1,
        Placed::Cookie => 2,
        Placed::Query => 3,
        Placed::Body => 4,
    };
    let certain = |one: &&Presented<'a>| {
        let named = one.credential.sureness == Sureness::Named && one.credential.placed != Placed::Body;
        // What only may be a session, and others have as well, is none.
        (named || (one.owner.is_some() && !one.ambiguous)) && wanted(one)
    };
    presented.iter().filter(certain).min_by_key(rank).copied()
}

/// A key outside of `Authorization` that says nothing of a user: the application's.
fn is_application(credential: &Credential) -> bool {
    credential.scheme == AuthScheme::ApiKey && credential.claims.is_none()
}

fn anonymous(exchange: &Exchange) -> Resolved {
    let id = exchange.client.hash.map(CallerId);
    Resolved {
        id,
        basis: id.map_or(Basis::Nothing, |_| Basis::Address),
        ..Resolved::nobody(PrincipalKind::Anonymous)
    }
}

/// What a caller is named by who is met with this credential.
fn name_of(credential: &Credential) -> Option<CallerHash> {
    let subject = credential.claims.as_ref().and_then(|claims| claims.principal);
    subject
        .or(credential.user)
        .or(credential.secret)
        .map(|hash| hash.now)
}

fn kind_of(credential: &Credential) -> PrincipalKind {
    match (&credential.claims, credential.scheme) {
        (Some(claims), _) if claims.is_service => PrincipalKind::Service,
        (Some(claims), _) if claims.principal.is_some() => PrincipalKind::User,
        (_, AuthScheme::ApiKey) => PrincipalKind::Service,
        _ if credential.user.is_some() => PrincipalKind::User,
        (_, AuthScheme::Other) if credential.placed == Placed::Query => PrincipalKind::Service,
        _ => PrincipalKind::Unnamed,
    }
}

fn attributes(claims: &Claims) -> SmallVec<[AttributeId; 4]> {
    let all = claims.attributes.iter().map(AttributeId::of);
    all.take(MAX_ATTRIBUTES).collect()
}

pub(super) fn key(hash: KeyedHash, kind: KeyKind, now_s: u32) -> Key {
    Key {
        hash: hash.now,
        kind,
        issued: false,
        ambiguous: false,
        authority: 0,
        seen_s: now_s,
    }
}
