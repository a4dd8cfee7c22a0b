//! Schemas of endpoints whose templates are corrected.
//!
//! Takes changes. Gives what was learnt to whatever the endpoint is called now, its path's placeholders numbered anew.
//! Never learns. Bounded by what there is.

use std::sync::Arc;

use super::learn::{MAX_POSITIONS, PATH_TOP};
use super::{Schema, Schemas};
use crate::inventory::{Change, EndpointRef};

impl Schemas {
    /// Goes along with a correction of the inventory.
    pub fn follow(&mut self, change: &Change) {
        match change {
            Change::New(_) => {}
            Change::Renamed { from, into } | Change::Merged { from, into } => self.rename(from, into),
            Change::Forgotten(endpoint) => {
                self.take(endpoint);
            }
        }
    }

    /// Moves what was learnt of an endpoint to another, when it turns out to be the same.
    pub fn rename(&mut self, old: &EndpointRef, new: &EndpointRef) {
        let Some(mut schema) = self.take(old) else { return };
        let (before, after) = (placeholders(&old.template), placeholders(&new.template));
        if before != after {
            let moved = before.iter().map(|place| {
                let at = after.iter().position(|other| other == place)?;
                u64::try_from(at).ok()
            });
            schema.renumber(&moved.collect::<Vec<_>>());
        }
        self.restore(new, &schema);
    }

    fn take(&mut self, endpoint: &EndpointRef) -> Option<Schema> {
        let at = self.index.remove(endpoint).filter(|at| *at < self.all.len())?;
        let (_, schema) = self.all.swap_remove(at);
        if let Some((moved, _)) = self.all.get(at) {
            self.index.insert(Arc::clone(moved), at);
        }
        let beyond = schema.places.len().saturating_sub(self.limits.share);
        self.spare = self.spare.saturating_sub(beyond);
        Some(schema)
    }
}

impl Schema {
    /// Gives each placeholder of the path the number that is now its own; those without one are let go.
    fn renumber(&mut self, moved: &[Option<u64>]) {
        let mut kept = vec![true; self.places.len()];
        for (place, kept) in self.places.iter_mut().zip(&mut kept) {
            let number = place.path.checked_sub(PATH_TOP + 1);
            let Some(number) = number.filter(|number| *number < u64::from(MAX_POSITIONS)) else {
                continue;
            };
            let at = usize::try_from(number).ok().and_then(|number| moved.get(number));
            let Some(now) = at.copied().flatten() else {
                *kept = false;
                continue;
            };
            place.path = PATH_TOP + 1 + now;
            place.name = now.to_string().into();
        }
        self.keep(&kept);
    }
}

/// Placeholders of a template: the step of each and its number within it.
fn placeholders(template: &str) -> Vec<(usize, usize)> {
    let steps = template.split('/').enumerate();
    let each = steps.flat_map(|(step, text)| {
        let count = text.bytes().filter(|byte| *byte == b'{').count();
        (0..count).map(move |number| (step, number))
    });
    each.take(usize::from(MAX_POSITIONS)).collect()
}
