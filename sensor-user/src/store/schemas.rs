//! Schemas on their way to the store and back.
//!
//! Takes the endpoints of each flush. Gives the schemas to write: those that changed, those that wait longest first.
//! Never holds an observed value, as schemas do not. Bounded by [`MAX_WAITING`] and, each flush, by
//! [`SCHEMAS`](super::remembered::SCHEMAS) bytes.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::remembered::{SCHEMAS, Turn};
use crate::inventory::schema::{Schema, Schemas};
use crate::inventory::{Endpoint, EndpointRef};

/// Endpoints whose schema waits: as many as have one.
const MAX_WAITING: usize = 10_000;

/// Endpoints whose schema changed since it was written.
#[derive(Default)]
pub(super) struct Waiting {
    line: VecDeque<EndpointRef>,
    /// The same.
    known: HashSet<EndpointRef>,
}

impl Waiting {
    /// The schema of an endpoint changed.
    pub(super) fn add(&mut self, endpoint: &EndpointRef) {
        if self.known.len() < MAX_WAITING && self.known.insert(Arc::clone(endpoint)) {
            self.line.push_back(Arc::clone(endpoint));
        }
    }

    /// What goes with this flush.
    pub(super) fn take(&mut self, schemas: &Schemas, turn: Turn) -> Vec<(EndpointRef, Option<String>)> {
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        while turn == Turn::All || bytes < SCHEMAS {
            let Some(endpoint) = self.line.pop_front() else {
                break;
            };
            self.known.remove(&endpoint);
            let text = schemas.get(&endpoint).and_then(text);
            bytes += text.as_ref().map_or(0, String::len);
            chosen.push((endpoint, text));
        }
        chosen
    }
}

fn text(schema: &Schema) -> Option<String> {
    serde_json::to_string(&schema.store()).ok()
}

/// A schema from its text; `None` when it is none, or of another version, or a fault of the sensor's comes of it.
pub(super) fn read(text: &str) -> Option<Schema> {
    let read = || Schema::restore(serde_json::from_str(text).ok()?).ok();
    catch_unwind(read).unwrap_or(None)
}

/// Schemas of the run before.
#[derive(Default)]
pub(super) struct Earlier {
    pub(super) all: Vec<(Endpoint, Schema)>,
    /// Of so many endpoints it cannot be read.
    pub(super) unusable: u64,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} endpoints]", self.line.len())
    }
}

impl fmt::Debug for Earlier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} schemas]", self.all.len())
    }
}

impl Earlier {
    /// Gives them back. `known` are endpoints by the names that others share. Says of how many a fault came, which would
    /// come again at each start.
    pub(super) fn restore(self, schemas: &mut Schemas, known: &HashSet<EndpointRef>) -> u64 {
        let mut faults = 0;
        for (endpoint, schema) in self.all {
            let shared = known.get(&endpoint).map(Arc::clone);
            let endpoint = shared.unwrap_or_else(|| Arc::new(endpoint));
            let restored = catch_unwind(AssertUnwindSafe(|| schemas.restore(&endpoint, &schema)));
            faults += u64::from(restored.is_err());
        }
        faults
    }
}
