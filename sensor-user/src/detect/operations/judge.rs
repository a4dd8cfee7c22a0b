//! One exchange against what is known of its operation.

use super::{MAX_PARTS, MAX_PROPERTIES, Operation, Operations, Rights, Tenants};
use crate::callers::Answer;
use crate::classify::{BlindSpot, Half};
use crate::detect::functions::groups::{GroupKey, Sizes};
use crate::detect::functions::uses::GroupUse;
use crate::detect::functions::{self, Function, Outsider, Scene};
use crate::detect::operation::{HostKey, OperationKey};
use crate::detect::properties::part::{News, Now, Part};
use crate::detect::properties::sketch::{Body, Sketch};
use crate::detect::properties::{self, Answers, Assigned, Bulk, Excess};
use crate::detect::{Blind, Observation};
use crate::exchange::{CallerHash, Method};
use smallvec::SmallVec;

/// Time for each stranger after the first, in which a release has more.
const EACH_S: u32 = 3 * 3600;
/// Strangers from which a function was opened to their group, unless many are refused.
const OPENED: u16 = 6;
/// The same for an administrative function, and of the group's callers one in so many.
const ADMINISTRATIVE_OPENED: u16 = 20;
const ADMINISTRATIVE_SHARE: u16 = 10;

/// Who, and when.
#[derive(Clone, Copy)]
struct Caller {
    group: GroupKey,
    who: CallerHash,
    now_s: u32,
}

impl Operations {
    /// Judges an exchange and learns from it.
    pub(crate) fn observe(&mut self, seen: &Observation<'_>, now_s: u32) -> Rights {
        let exchange = seen.exchange;
        let method = Method::of(exchange.request.method());
        if exchange.part.is_some() || matches!(method, Method::Options | Method::Head) {
            return Rights::QUIET;
        }
        let Some(group) = GroupKey::of(seen.caller) else {
            return Rights::blind(Blind::CallerUnseen);
        };
        if seen.caller.ambiguous {
            return Rights::blind(Blind::CallerAmbiguous);
        }
        let who = seen.caller.id.map(|id| id.0).or(exchange.client.hash);
        let caller = Caller {
            group,
            who: who.unwrap_or(CallerHash([0; 16])),
            now_s,
        };
        match Answer::of(exchange) {
            Answer::Accepted => self.accepted(seen, method, caller),
            Answer::Unauthenticated | Answer::Forbidden => {
                self.refused(OperationKey::of(seen.endpoint.id), group);
                Rights::QUIET
            }
            Answer::Unknown if exchange.outcome.response().is_none() => Rights::blind(Blind::NoResponse),
            Answer::Redirected | Answer::Unknown => Rights::QUIET,
        }
    }

    fn refused(&mut self, key: OperationKey, group: GroupKey) {
        let place = self.find(key);
        if let Some(operation) = place.and_then(|place| self.all.get_mut(place)) {
            operation.uses.refused(group);
        }
    }

    fn accepted(&mut self, seen: &Observation<'_>, method: Method, caller: Caller) -> Rights {
        let host = HostKey::of(seen.endpoint);
        let circle = (host, caller.group);
        let at_host = self.groups.observe(circle, seen.caller, caller.who, caller.now_s);
        let room = at_host.is_some();
        let Some(place) = self.place(OperationKey::of(seen.endpoint.id), caller.now_s) else {
            return Rights::blind(Blind::NoRoom);
        };
        if let Some(operation) = self.all.get_mut(place) {
            operation.count = operation.count.saturating_add(1);
            operation.last_s = operation.last_s.max(caller.now_s);
        }
        let function = self.function(place, seen, (host, method), caller);
        if let (Some(tenant), Some(operation)) = (seen.caller.tenant, self.all.get_mut(place)) {
            operation.tenants = operation.tenants.with(tenant.front());
        }
        let stranger = matches!(function.0, Ok(Some(_)));
        let sketch = Sketch::of(&seen.labels.outline);
        let assigned = self.assigned(place, seen, &sketch, caller);
        let excess = self.excess(place, seen, &sketch, caller);
        let bulk = self.bulk(place, seen, &sketch, (host, caller), stranger);
        let function = match function.1 {
            Err(Blind::NotEnoughEvidence) if !room => Err(Blind::NoRoom),
            told => told,
        };
        Rights {
            function,
            assigned,
            excess,
            bulk,
        }
    }

    /// What is found, and what of it is told.
    fn function(
        &mut self,
        place: usize,
        seen: &Observation<'_>,
        (host, method): (HostKey, Method),
        caller: Caller,
    ) -> (Result<Option<Outsider>, Blind>, Result<Option<Outsider>, Blind>) {
        let Caller { group, who, now_s } = caller;
        let Some(operation) = self.all.get_mut(place) else {
            return (Ok(None), Ok(None));
        };
        let Some(own) = operation.uses.of(group, now_s) else {
            return (Err(Blind::NoRoom), Err(Blind::NoRoom));
        };
        if own.belongs(who) {
            own.learn(who);
            return (Ok(None), Ok(None));
        }
        let found = self.scene(place, seen, (host, method), caller);
        let Some(own) = self
            .all
            .get_mut(place)
            .and_then(|operation| operation.uses.of(group, now_s))
        else {
            return (found, found);
        };
        let Ok(Some(outsider)) = found else {
            own.learn(who);
            return (found, found);
        };
        let strangers = own.strangers.add_together(who, now_s);
        if opened(own, &outsider, strangers) {
            own.open = true;
            own.learn(who);
            return (Ok(None), Ok(None));
        }
        let told = own.strangers.is_told(now_s, EACH_S);
        (found, Ok(told.then_some(outsider)))
    }

    fn scene(
        &self,
        place: usize,
        seen: &Observation<'_>,
        (host, method): (HostKey, Method),
        caller: Caller,
    ) -> Result<Option<Outsider>, Blind> {
        let Some(operation) = self.all.get(place) else {
            return Ok(None);
        };
        let reads = self
            .find(OperationKey::with(seen.endpoint, Method::Get))
            .and_then(|place| self.all.get(place));
        let scene = Scene {
            uses: &operation.uses,
            reads: reads.map(|reads| &reads.uses),
            groups: &self.groups,
            host,
            group: caller.group,
            method,
            administrative: functions::is_administrative(seen),
            one_tenant: seen
                .caller
                .tenant
                .is_some_and(|tenant| operation.tenants == Tenants::One(tenant.front())),
            first_s: (
                operation.first_s,
                reads.map_or(operation.first_s, |reads| reads.first_s),
            ),
            now_s: caller.now_s,
        };
        scene.outsider()
    }

    fn assigned(
        &mut self,
        place: usize,
        seen: &Observation<'_>,
        sketch: &Sketch,
        caller: Caller,
    ) -> Result<Option<Assigned>, Blind> {
        if seen.labels.blind.contains(&BlindSpot::RequestBodyCut) {
            return Err(Blind::BodyCut);
        }
        let outline = &seen.labels.outline;
        let lacks = outline.lacks_places(Half::Request);
        let Some(body) = sketch.request else {
            return unless(lacks.then_some(Blind::NoRoom), None);
        };
        let news = self.news(place, seen, (body, sketch, Half::Request), caller)?;
        let assigned = properties::assigned(&news, sketch, outline, caller.now_s);
        // What is told to be passed over may be where there was no room.
        let lacks = lacks || !news.is_empty() && outline.lacks_places(Half::Response);
        unless(lacks.then_some(Blind::NoRoom), assigned)
    }

    fn excess(
        &mut self,
        place: usize,
        seen: &Observation<'_>,
        sketch: &Sketch,
        caller: Caller,
    ) -> Result<Option<Excess>, Blind> {
        let Some(body) = sketch.response else {
            return unless(unread(seen), None);
        };
        let news = self.news(place, seen, (body, sketch, Half::Response), caller)?;
        // What a login hands out is for who logs in.
        let told = seen.exchange.handover.as_deref();
        let granted = told.is_some_and(|told| !told.granted.is_empty() || !told.asker.forgot);
        let outline = &seen.labels.outline;
        let excess = properties::excess(&news, granted, outline, caller.now_s);
        unless(unread(seen), excess)
    }

    fn news(
        &mut self,
        place: usize,
        seen: &Observation<'_>,
        (body, sketch, half): (Body, &Sketch, Half),
        caller: Caller,
    ) -> Result<SmallVec<[News; 1]>, Blind> {
        let now = Now {
            who: caller.who,
            at_s: caller.now_s,
            room: self.properties < MAX_PROPERTIES,
        };
        let operation = self.all.get_mut(place).ok_or(Blind::NoRoom)?;
        let part = operation.part(body.path, now.room).ok_or(Blind::NoRoom)?;
        let before = part.held();
        let news = part.observe(body, (sketch, &seen.labels.outline, half), now);
        self.properties = (self.properties + part.held()).saturating_sub(before);
        news
    }

    fn bulk(
        &mut self,
        place: usize,
        seen: &Observation<'_>,
        sketch: &Sketch,
        (host, caller): (HostKey, Caller),
        stranger: bool,
    ) -> Result<Option<Bulk>, Blind> {
        let unread = unread(seen);
        let Some(body) = sketch.response.filter(|body| body.items > 0) else {
            return unless(unread, None);
        };
        let Caller { group, who, now_s } = caller;
        let at_host = self.groups.find(host, group);
        let at_host = at_host.map_or(Sizes::EMPTY, |circle| circle.sizes);
        let operation = self.all.get_mut(place);
        let Some(own) = operation.and_then(|operation| operation.uses.of(group, now_s)) else {
            return Err(Blind::NoRoom);
        };
        let usual = Answers {
            own: own.sizes,
            at_host,
        };
        if let Some(mut bulk) = properties::bulk(seen, sketch, body.items, usual) {
            let callers = own.greedy.add_together(who, now_s);
            bulk.callers = callers;
            if callers < OPENED {
                return Ok(own.greedy.is_told(now_s, EACH_S).then_some(bulk));
            }
        }
        // Whoever should not be there at all sets no norm, nor does half an answer.
        if !stranger && unread.is_none() {
            own.sizes.add(body.items);
            self.groups.sized(host, group, body.items);
        }
        unless(unread, None)
    }
}

/// Why something may be in the answer that was not seen.
fn unread(seen: &Observation<'_>) -> Option<Blind> {
    if seen.labels.lacks_answer() {
        return Some(Blind::BodyCut);
    }
    let lacks = seen.labels.outline.lacks_places(Half::Response);
    lacks.then_some(Blind::NoRoom)
}

/// Nothing found is no judgement where something was not seen.
fn unless<T>(unread: Option<Blind>, found: Option<T>) -> Result<Option<T>, Blind> {
    match (found, unread) {
        (None, Some(reason)) => Err(reason),
        (found, _) => Ok(found),
    }
}

impl Operation {
    /// One of its bodies; `None` when there are too many.
    fn part(&mut self, path: u64, room: bool) -> Option<&mut Part> {
        let known = self.parts.iter().position(|part| part.path() == path);
        let place = match known {
            Some(place) => place,
            None if self.parts.len() >= MAX_PARTS || !room => return None,
            None => {
                self.parts.push(Part::new(path));
                self.parts.len() - 1
            }
        };
        self.parts.get_mut(place)
    }
}

/// Whether so many of a group were let in that the function is theirs now.
fn opened(own: &GroupUse, outsider: &Outsider, strangers: u16) -> bool {
    let needed = match outsider.function {
        Function::Administrative => ADMINISTRATIVE_OPENED.max(outsider.own_callers / ADMINISTRATIVE_SHARE),
        Function::OfRole | Function::Method => OPENED,
    };
    strangers >= needed && own.refusals < u32::from(strangers)
}
