//! How big operations are once fragments are put in their places.
//!
//! Each definition is measured once by itself; fragments are then added up in the order in which they need each other, so
//! that a document whose fragments multiply costs no more than its length.

use std::collections::HashMap;

use apollo_parser::cst::{CstNode, Field, FragmentSpread};
use apollo_parser::{SyntaxKind, SyntaxNode};

use super::Faults;
use super::tree::{self, Into};

/// Sizes that add up.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Size {
    pub(super) depth: u32,
    pub(super) fields: u32,
    pub(super) aliases: u32,
    pub(super) arguments: u32,
    pub(super) directives: u32,
    pub(super) introspection: bool,
}

impl Size {
    /// Adds what is spread below `depth` levels of fields.
    fn add(&mut self, other: Self, depth: u32) {
        self.depth = self.depth.max(depth.saturating_add(other.depth));
        self.fields = self.fields.saturating_add(other.fields);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.arguments = self.arguments.saturating_add(other.arguments);
        self.directives = self.directives.saturating_add(other.directives);
        self.introspection |= other.introspection;
    }
}

/// One definition by itself.
#[derive(Debug)]
pub(super) struct Part {
    own: Size,
    pub(super) variables: u32,
    /// Fragments it spreads, and below how many levels of fields.
    spreads: Vec<(String, u32)>,
}

impl Part {
    /// Measures an operation or a fragment.
    pub(super) fn of(definition: &SyntaxNode) -> Self {
        let mut part = Self {
            own: Size::default(),
            variables: 0,
            spreads: Vec::new(),
        };
        let mut depth = 0_u32;
        tree::walk(definition, |node, begins| part.step(node, begins, &mut depth));
        part
    }

    fn step(&mut self, node: &SyntaxNode, begins: bool, depth: &mut u32) -> Into {
        let kind = node.kind();
        if !begins {
            if kind == SyntaxKind::FIELD {
                *depth = depth.saturating_sub(1);
            }
            return Into::Nothing;
        }
        let own = &mut self.own;
        match kind {
            SyntaxKind::FIELD => {
                *depth = depth.saturating_add(1);
                own.depth = own.depth.max(*depth);
                own.fields = own.fields.saturating_add(1);
                let name = Field::cast(node.clone()).and_then(|field| field.name());
                own.introspection |= name.is_some_and(|name| matches!(&*name.text(), "__schema" | "__type"));
            }
            SyntaxKind::ALIAS => own.aliases = own.aliases.saturating_add(1),
            SyntaxKind::ARGUMENT => {
                own.arguments = own.arguments.saturating_add(1);
                return Into::Nothing;
            }
            SyntaxKind::DIRECTIVE => own.directives = own.directives.saturating_add(1),
            SyntaxKind::VARIABLE_DEFINITION => {
                self.variables = self.variables.saturating_add(1);
                return Into::Nothing;
            }
            SyntaxKind::FRAGMENT_SPREAD => self.spreads.push((spread_name(node), *depth)),
            _ => {}
        }
        Into::Children
    }
}

/// The fragment that is spread.
pub(super) fn spread_name(node: &SyntaxNode) -> String {
    let spread = FragmentSpread::cast(node.clone()).and_then(|spread| spread.fragment_name());
    let name = spread.and_then(|name| name.name());
    name.map(|name| name.text().to_string()).unwrap_or_default()
}

/// How far a fragment's sum is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Fresh,
    Open,
    Done,
}

#[derive(Debug)]
struct Fragment {
    definition: SyntaxNode,
    part: Part,
    total: Size,
    state: State,
}

/// Fragments of a document by name.
#[derive(Default, Debug)]
pub(super) struct Fragments {
    index: HashMap<String, usize>,
    list: Vec<Fragment>,
}

impl Fragments {
    /// Takes a definition; `false` when that name is taken.
    pub(super) fn add(&mut self, name: String, definition: &SyntaxNode) -> bool {
        if self.index.contains_key(&name) {
            return false;
        }
        self.index.insert(name, self.list.len());
        self.list.push(Fragment {
            definition: definition.clone(),
            part: Part::of(definition),
            total: Size::default(),
            state: State::Fresh,
        });
        true
    }

    /// The definition of a fragment.
    pub(super) fn definition(&self, name: &str) -> Option<&SyntaxNode> {
        let fragment = self.index.get(name).and_then(|at| self.list.get(*at));
        fragment.map(|fragment| &fragment.definition)
    }

    /// Adds up every fragment.
    pub(super) fn resolve(&mut self, faults: &mut Faults) {
        for start in 0..self.list.len() {
            self.resolve_from(start, faults);
        }
    }

    /// Those it needs first; each fragment is opened once and summed once. What leads back into itself counts nothing.
    fn resolve_from(&mut self, start: usize, faults: &mut Faults) {
        // Fragment and its next spread to look at.
        let mut path = vec![(start, 0_usize)];
        while let Some((at, next)) = path.last_mut() {
            let Some(fragment) = self.list.get_mut(*at) else {
                return;
            };
            if fragment.state == State::Done {
                path.pop();
                continue;
            }
            fragment.state = State::Open;
            let Some((name, _)) = fragment.part.spreads.get(*next) else {
                let at = *at;
                path.pop();
                self.close(at);
                continue;
            };
            *next += 1;
            match self.index.get(name).copied() {
                None => faults.fragments = true,
                Some(target) => match self.list.get(target).map(|target| target.state) {
                    Some(State::Fresh) => path.push((target, 0)),
                    Some(State::Open) => faults.cyclic = true,
                    Some(State::Done) | None => {}
                },
            }
        }
    }

    fn close(&mut self, at: usize) {
        let total = self.list.get(at).map(|fragment| self.sum(&fragment.part));
        if let (Some(total), Some(fragment)) = (total, self.list.get_mut(at)) {
            fragment.total = total;
            fragment.state = State::Done;
        }
    }

    fn sum(&self, part: &Part) -> Size {
        let mut total = part.own;
        for (name, depth) in &part.spreads {
            let fragment = self.index.get(name).and_then(|at| self.list.get(*at));
            if let Some(fragment) = fragment.filter(|fragment| fragment.state == State::Done) {
                total.add(fragment.total, *depth);
            }
        }
        total
    }

    /// The size of an operation with its fragments.
    pub(super) fn size_of(&self, operation: &Part, faults: &mut Faults) -> Size {
        let missing = |(name, _): &(String, u32)| !self.index.contains_key(name);
        faults.fragments |= operation.spreads.iter().any(missing);
        self.sum(operation)
    }
}
