//! Names of operations that a path does not say: of GraphQL, SOAP, remote procedures, channels.
//!
//! Takes calls as they may be shown. Gives numbers, which are keys of the tree beyond those of methods. Bounded by the
//! inventory's limit: a further name is `*`.

use std::collections::HashMap;

use crate::classify::ShownCall;
use crate::exchange::call::CallKind;

/// Keys below are methods; an operation's are beyond.
pub(super) const METHODS: u32 = 16;

/// Names of operations, numbered: keys of the tree beyond those of methods.
#[derive(Default, Debug)]
pub(super) struct Operations {
    /// By kind.
    by_name: [HashMap<Box<str>, u32>; CallKind::ALL.len()],
    pub(super) all: Vec<(CallKind, Box<str>)>,
}

impl Operations {
    /// The number of an operation; `None` when it is new and must not be learnt.
    pub(super) fn key(&mut self, call: &ShownCall, creates: bool, most: usize) -> Option<u32> {
        let names = self.by_name.get_mut(call.kind as usize)?;
        if let Some(known) = names.get(&*call.name) {
            return known.checked_add(METHODS);
        }
        if !creates {
            return None;
        }
        let name = if self.all.len() < most { &*call.name } else { "*" };
        let next = u32::try_from(self.all.len()).ok()?;
        let number = *names.entry(name.into()).or_insert(next);
        if number == next {
            self.all.push((call.kind, name.into()));
        }
        number.checked_add(METHODS)
    }

    pub(super) fn add(&mut self, kind: CallKind, name: &str) {
        let number = u32::try_from(self.all.len()).unwrap_or_default();
        if let Some(names) = self.by_name.get_mut(kind as usize) {
            names.insert(name.into(), number);
        }
        self.all.push((kind, name.into()));
    }

    pub(super) fn of(&self, key: u32) -> Option<&(CallKind, Box<str>)> {
        self.all.get(key.checked_sub(METHODS)? as usize)
    }
}
