//! Two schemas into one: the same result in whatever order many are merged, at the bounds, too.
//!
//! Takes schemas learnt with one key. Gives their union. Bounded by [`MAX_MERGED`] and [`MAX_STATUSES`]: what is left out
//! is chosen by depth, path and number, none of which merging changes.

use crate::classify::outline::{NOWHERE, PlaceId};

use super::place::Place;
use super::slots::Slots;
use super::{MAX_MERGED, MAX_STATUSES, Schema};

impl Schema {
    /// Takes what another schema of the same endpoint knows.
    pub fn merge(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.accepted = self.accepted.saturating_add(other.accepted);
        self.left_out = self.left_out.saturating_add(other.left_out);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.pruned = self.pruned.max(other.pruned);
        self.truncated |= other.truncated;
        self.merge_statuses(other);
        let mut moved: Vec<PlaceId> = Vec::with_capacity(other.places.len());
        for place in &other.places {
            let found = self.find(place.path);
            let at = found.unwrap_or_else(|| {
                let parent = place.parent().and_then(|parent| moved.get(parent)).copied();
                self.add(Place {
                    parent: parent.unwrap_or(NOWHERE),
                    next: NOWHERE,
                    ..Place::new(
                        place.path,
                        NOWHERE,
                        place.step,
                        place.name.as_bytes(),
                        place.first,
                    )
                })
            });
            if let Some(known) = self.places.get_mut(usize::from(at)) {
                known.merge(place);
            }
            moved.push(at);
        }
        self.truncate();
    }

    fn merge_statuses(&mut self, other: &Self) {
        for (status, count) in &other.statuses {
            let at = self.statuses.partition_point(|(known, _)| known < status);
            match self.statuses.get_mut(at).filter(|(known, _)| known == status) {
                Some((_, known)) => *known = known.saturating_add(*count),
                None => self.statuses.insert(at, (*status, *count)),
            }
        }
        self.truncated |= self.statuses.len() > MAX_STATUSES;
        self.statuses.truncate(MAX_STATUSES);
    }

    /// Keeps the places nearest to the top, of those equally deep the ones of lowest hash. A place is deeper than the
    /// one around it, so that one stays, too.
    fn truncate(&mut self) {
        if self.places.len() <= MAX_MERGED {
            return;
        }
        self.truncated = true;
        let mut depths: Vec<u16> = Vec::with_capacity(self.places.len());
        for place in &self.places {
            let around = place.parent().and_then(|parent| depths.get(parent));
            depths.push(around.map_or(0, |depth| depth.saturating_add(1)));
        }
        let mut order: Vec<(u16, u64, usize)> = depths
            .iter()
            .zip(&self.places)
            .enumerate()
            .map(|(at, (depth, place))| (*depth, place.path, at))
            .collect();
        order.sort_unstable();
        let mut kept = vec![false; self.places.len()];
        for (_, _, at) in order.into_iter().take(MAX_MERGED) {
            if let Some(kept) = kept.get_mut(at) {
                *kept = true;
            }
        }
        self.keep(&kept);
    }

    /// Lets all other places go. Invariant: with a place the one around it is kept.
    pub(super) fn keep(&mut self, kept: &[bool]) {
        let places = std::mem::take(&mut self.places);
        self.slots = Slots::default();
        let mut moved: Vec<PlaceId> = Vec::with_capacity(places.len());
        for (mut place, kept) in places.into_iter().zip(kept) {
            if !kept {
                moved.push(NOWHERE);
                continue;
            }
            let parent = place.parent().and_then(|parent| moved.get(parent)).copied();
            place.parent = parent.unwrap_or(NOWHERE);
            place.next = NOWHERE;
            moved.push(self.add(place));
        }
    }
}
