//! One exchange into a schema.

use crate::classify::outline::{Facts, Looks, NOWHERE, Outline, PlaceId, PlaceSeen, Root, Step};
use crate::classify::{Half, Part};

use super::place::Place;
use super::{MAX_STATUSES, Schema, Seen};

/// Where the places of an outline are in a schema. Kept for its memory.
#[derive(Default, Debug)]
pub(super) struct Resolved(Vec<Known>);

#[derive(Clone, Copy, Debug)]
struct Known {
    place: PlaceId,
    /// The message was cut.
    cut: bool,
}

/// Placeholders of a path whose values are learnt: real templates have at most about ten.
pub(super) const MAX_POSITIONS: u8 = 16;

/// Room is made at most once an hour of the traffic's time.
const PRUNE_EVERY: u32 = 3600;
/// A place that was met once and not again for a day may have been chance or an attack.
const ONCE: u32 = 24 * 3600;
/// A place that was not met for thirty days is no longer there.
const GONE: u32 = 30 * 24 * 3600;

impl Schema {
    /// Learns from an exchange; has at most `room` places then, or as many as before.
    pub(super) fn learn(&mut self, outline: &Outline, seen: &Seen, room: usize, resolved: &mut Resolved) {
        let time = self.count(seen);
        if outline.is_empty() {
            return;
        }
        if self.places.len() >= room && time.saturating_sub(self.pruned) >= PRUNE_EVERY {
            self.pruned = time;
            self.prune(time);
        }
        resolved.0.clear();
        let mut guess = 0;
        for place in outline.places() {
            let known = self.resolve(&place, seen, time, room, guess, resolved);
            resolved.0.push(known);
            let Some(learnt) = self.places.get_mut(usize::from(known.place)) else {
                continue;
            };
            learnt.learn(&place, known.cut, time);
            // What came next the last time comes next again, mostly.
            guess = learnt.next;
        }
        self.chain(resolved);
        for value in outline.values().filter(|value| !value.word.is_empty()) {
            let known = resolved.0.get(usize::from(value.place));
            if let Some(place) = known.and_then(|known| self.places.get_mut(usize::from(known.place))) {
                place.word(
                    value.hash.0,
                    value.word,
                    u32::from(value.count),
                    seen.caller,
                    time,
                );
            }
        }
    }

    /// Learns the text of a placeholder; has at most `room` places then, or as many as before.
    pub(super) fn observe_path(&mut self, position: u8, text: &[u8], time_ns: u64, room: usize) {
        if position >= MAX_POSITIONS {
            return;
        }
        let time = seconds(time_ns);
        let root = Root {
            half: Half::Request,
            part: Part::Path,
            media: crate::classify::outline::Media::None,
            status: 0,
        };
        // No keyed hash leads to these: there is one root, and positions are few.
        let top = PATH_TOP;
        let path = top + 1 + u64::from(position);
        let (found, known) = (self.find(top), self.find(path));
        let more = usize::from(found.is_none()) + usize::from(known.is_none());
        if more > 0 && self.places.len() + more > room {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let parent = found.unwrap_or_else(|| self.add(Place::new(top, NOWHERE, Step::Root(root), b"", time)));
        let place = known.unwrap_or_else(|| {
            let name = position.to_string();
            self.add(Place::new(path, parent, Step::Member, name.as_bytes(), time))
        });
        // The path as a whole is counted with its first placeholder.
        let whole = (parent, Facts::of_look(Looks::OBJECT));
        let whole = (position == 0).then_some(whole);
        for (at, facts) in whole.into_iter().chain([(place, Facts::of_text(text))]) {
            if let Some(place) = self.places.get_mut(usize::from(at)) {
                place.facts.merge(&facts);
                place.seen = place.seen.saturating_add(1);
                place.last = place.last.max(time);
            }
        }
    }

    /// Counts an exchange; when it was, in seconds.
    fn count(&mut self, seen: &Seen) -> u32 {
        let time = seconds(seen.time_ns);
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.requests = self.requests.saturating_add(1);
        self.accepted = self.accepted.saturating_add(u32::from(seen.accepted));
        if seen.status != 0 {
            let at = self.statuses.partition_point(|(status, _)| *status < seen.status);
            let full = self.statuses.len() >= MAX_STATUSES;
            match self
                .statuses
                .get_mut(at)
                .filter(|(status, _)| *status == seen.status)
            {
                Some((_, count)) => *count = count.saturating_add(1),
                None if full => {}
                None => self.statuses.insert(at, (seen.status, 1)),
            }
        }
        time
    }

    #[inline]
    fn resolve(
        &mut self,
        place: &PlaceSeen<'_>,
        seen: &Seen,
        time: u32,
        room: usize,
        guess: PlaceId,
        resolved: &Resolved,
    ) -> Known {
        let mut cut = place.facts.looks.has(Looks::CUT);
        let mut parent = NOWHERE;
        match place.step {
            // Steps of a path are learnt by the placeholders of its template.
            Step::Root(root) if root.part == Part::Path || root.half == Half::Request && !seen.accepted => {
                return Known { place: NOWHERE, cut };
            }
            Step::Root(_) => {}
            Step::Member | Step::Key | Step::Item => {
                let around = resolved.0.get(usize::from(place.parent));
                let Some(around) = around.filter(|around| around.place != NOWHERE) else {
                    return Known { place: NOWHERE, cut };
                };
                parent = around.place;
                cut = around.cut;
            }
        }
        let guessed = self
            .places
            .get(usize::from(guess))
            .is_some_and(|known| known.path == place.path);
        let found = if guessed {
            Some(guess)
        } else {
            self.find(place.path)
        };
        let place = match found {
            Some(found) => found,
            None if self.places.len() >= room => {
                self.left_out = self.left_out.saturating_add(1);
                NOWHERE
            }
            None => self.add(Place::new(place.path, parent, place.step, place.name, time)),
        };
        Known { place, cut }
    }

    /// Remembers which place came behind which.
    fn chain(&mut self, resolved: &Resolved) {
        for [one, next] in resolved.0.array_windows() {
            if let Some(place) = self.places.get_mut(usize::from(one.place)) {
                place.next = next.place;
            }
        }
    }

    #[inline]
    pub(super) fn find(&self, path: u64) -> Option<PlaceId> {
        let is = |at: PlaceId| {
            self.places
                .get(usize::from(at))
                .is_some_and(|place| place.path == path)
        };
        self.slots.find(path, is)
    }

    pub(super) fn add(&mut self, place: Place) -> PlaceId {
        let at = PlaceId::try_from(self.places.len()).unwrap_or(NOWHERE);
        self.slots
            .push(place.path, self.places.iter().map(|place| place.path));
        self.places.push(place);
        at
    }

    /// Lets places go that were met once, a day ago or longer, and those that were not met for thirty days; never one
    /// with another inside.
    pub fn prune(&mut self, now: u32) {
        let mut kept = vec![false; self.places.len()];
        for (at, place) in self.places.iter().enumerate().rev() {
            let age = now.saturating_sub(place.last);
            let stays = age < ONCE || (place.seen > 1 && age < GONE);
            let inside = kept.get(at).copied().unwrap_or(false);
            if !stays && !inside {
                continue;
            }
            for at in [Some(at), place.parent()].into_iter().flatten() {
                if let Some(kept) = kept.get_mut(at) {
                    *kept = true;
                }
            }
        }
        self.keep(&kept);
    }
}

/// First of the numbers that stand for places in a path.
pub(super) const PATH_TOP: u64 = 0x7061_7468_0000_0000;

fn seconds(time_ns: u64) -> u32 {
    u32::try_from(time_ns / 1_000_000_000).unwrap_or(u32::MAX)
}
