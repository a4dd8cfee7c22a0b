//! A schema as a tree, for whoever shows or judges it as a whole.
//!
//! Takes a schema. Gives its parts and what is inside of each, in the order of their names. Never changes it. Bounded by
//! the schema.

use crate::classify::outline::{Looks, Root, Step};

use super::{Place, Schema};

/// Members that a map whose keys are words has at least.
const MAP_MEMBERS: usize = 12;
/// Objects that must have been seen before members that come and go make a map.
const MAP_OBJECTS: u32 = 20;

/// A schema and which of its places are inside of which.
#[derive(Debug)]
pub struct Tree<'a> {
    schema: &'a Schema,
    /// Places by the one around them.
    inside: Vec<Vec<usize>>,
    tops: Vec<(Root, usize)>,
}

/// A place and what is inside of it.
#[derive(Clone, Copy, Debug)]
pub struct Branch<'a> {
    tree: &'a Tree<'a>,
    at: usize,
    place: &'a Place,
}

impl<'a> Tree<'a> {
    /// Sorts the places of a schema.
    pub fn of(schema: &'a Schema) -> Self {
        #[cfg(test)]
        work::TREES.set(work::TREES.get() + 1);
        let mut inside = vec![Vec::new(); schema.places.len()];
        let mut tops = Vec::new();
        for (at, place) in schema.places.iter().enumerate() {
            match place.step {
                Step::Root(root) => tops.push((root, at)),
                Step::Member | Step::Key | Step::Item => {
                    let around = place.parent().and_then(|parent| inside.get_mut(parent));
                    if let Some(around) = around {
                        Vec::push(around, at);
                    }
                }
            }
        }
        let name = |at: &usize| schema.places.get(*at).map(|place| (place.step, &*place.name));
        for children in &mut inside {
            children.sort_by(|one, other| name(one).cmp(&name(other)));
        }
        tops.sort_unstable();
        Self { schema, inside, tops }
    }

    /// The parts of messages.
    pub fn parts(&'a self) -> impl Iterator<Item = (Root, Branch<'a>)> {
        self.tops
            .iter()
            .filter_map(|(root, at)| Some((*root, self.branch(*at)?)))
    }

    /// The place whose way has that hash.
    pub fn find(&'a self, path: u64) -> Option<Branch<'a>> {
        self.branch(usize::from(self.schema.find(path)?))
    }

    /// What it was made of.
    pub const fn schema(&self) -> &'a Schema {
        self.schema
    }

    fn branch(&'a self, at: usize) -> Option<Branch<'a>> {
        let place = self.schema.places.get(at)?;
        Some(Branch {
            tree: self,
            at,
            place,
        })
    }
}

impl<'a> Branch<'a> {
    /// The place.
    pub const fn place(self) -> &'a Place {
        self.place
    }

    /// Its named members, by name.
    pub fn members(self) -> impl Iterator<Item = Branch<'a>> {
        self.inside().filter(|branch| branch.place.step == Step::Member)
    }

    /// The items of an array.
    pub fn items(self) -> Option<Branch<'a>> {
        self.inside().find(|branch| branch.place.step == Step::Item)
    }

    /// What stands behind names that may be values.
    pub fn keyed(self) -> Option<Branch<'a>> {
        self.inside().find(|branch| branch.place.step == Step::Key)
    }

    /// Whether every object had that member.
    pub fn requires(self, member: Branch<'_>) -> bool {
        let facts = &self.place.facts;
        let objects = facts.count.saturating_sub(facts.nulls);
        objects > 0 && member.place.facts.count >= objects
    }

    /// Whether it is a map: its names are data and all its values alike.
    pub fn is_map(self) -> bool {
        #[cfg(test)]
        work::MAPS.set(work::MAPS.get() + 1);
        let objects = self.place.facts.count;
        let (mut members, mut values, mut most) = (0, 0_u64, 0);
        let mut looks = Looks::NONE;
        for member in self.members() {
            let facts = &member.place.facts;
            members += 1;
            values += u64::from(facts.count);
            most = most.max(facts.count);
            looks = looks.and(facts.looks);
        }
        if let Some(keyed) = self.keyed()
            && u64::from(keyed.place.facts.count) >= values
        {
            return true;
        }
        let kinds = looks.common(Looks::KINDS).without(Looks::NULL);
        let alike = kinds.0.is_power_of_two() && self.members_agree();
        members >= MAP_MEMBERS && objects >= MAP_OBJECTS && most.saturating_mul(2) <= objects && alike
    }

    /// Whether what is inside of the members has few names beside those that most share.
    fn members_agree(self) -> bool {
        let mut names: Vec<&str> = Vec::new();
        let (mut members, mut steps) = (0, 0);
        for member in self.members() {
            members += 1;
            for inside in member.members() {
                names.push(inside.place.name());
                steps += 1;
            }
        }
        names.sort_unstable();
        names.dedup();
        names.len() * members <= steps * 2
    }

    fn inside(self) -> impl Iterator<Item = Branch<'a>> {
        let children = self.tree.inside.get(self.at).map(Vec::as_slice);
        children
            .unwrap_or_default()
            .iter()
            .filter_map(move |at| self.tree.branch(*at))
    }
}

/// Work done on this thread, for tests: trees made, and places judged to be maps or not.
#[cfg(test)]
pub(super) mod work {
    use std::cell::Cell;

    thread_local! {
        pub(in crate::inventory::schema) static TREES: Cell<usize> = const { Cell::new(0) };
        pub(in crate::inventory::schema) static MAPS: Cell<usize> = const { Cell::new(0) };
    }
}
