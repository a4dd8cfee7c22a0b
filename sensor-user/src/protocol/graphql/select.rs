//! The names in an operation: what is selected under which path, and with which arguments.
//!
//! Fragments are put in their places, so a few of them can multiply without end: bounded by [`MAX_STEPS`].

use apollo_parser::cst::{Argument, CstNode, Field, VariableDefinition};
use apollo_parser::{SyntaxKind, SyntaxNode};

use super::measure::{Fragments, spread_name};
use super::{MAX_DEPTH, MAX_NAMES, Shape};
use crate::protocol::name::{MAX_NAME, NameSet};

/// Nodes looked at for one operation: some ten for each field, and hundreds of fields are more than is kept.
const MAX_STEPS: usize = 8_192;

/// Where the walk is: the next node of a level, and the path to it.
struct Level {
    next: Option<SyntaxNode>,
    /// Bytes of the path above the level's fields.
    path: usize,
}

/// Fills the names of a shape.
pub(super) fn names(operation: &SyntaxNode, fragments: &Fragments, shape: &mut Shape) {
    let mut path = String::new();
    let mut levels = vec![Level {
        next: operation.first_child(),
        path: 0,
    }];
    for _ in 0..MAX_STEPS {
        let Some(level) = levels.last_mut() else {
            return;
        };
        let Some(node) = level.next.take() else {
            levels.pop();
            continue;
        };
        level.next = node.next_sibling();
        path.truncate(level.path);
        let inside = match node.kind() {
            SyntaxKind::FIELD => {
                enter(&node, &mut path, shape);
                node.first_child()
            }
            SyntaxKind::ARGUMENT => {
                argument(&node, &path, shape);
                None
            }
            SyntaxKind::VARIABLE_DEFINITION => {
                variable(&node, shape);
                None
            }
            SyntaxKind::FRAGMENT_SPREAD => {
                let fragment = fragments.definition(&spread_name(&node));
                fragment.and_then(SyntaxNode::first_child)
            }
            SyntaxKind::SELECTION_SET
            | SyntaxKind::INLINE_FRAGMENT
            | SyntaxKind::ARGUMENTS
            | SyntaxKind::VARIABLE_DEFINITIONS => node.first_child(),
            _ => None,
        };
        // Three levels of the tree for each level of fields.
        if inside.is_some() && levels.len() < 3 * MAX_DEPTH as usize {
            levels.push(Level {
                next: inside,
                path: path.len(),
            });
        }
    }
    shape.selected.mark_more();
}

/// A field: its name goes onto the path; without fields below it, the path is told.
fn enter(node: &SyntaxNode, path: &mut String, shape: &mut Shape) {
    let Some(field) = Field::cast(node.clone()) else {
        return;
    };
    let Some(name) = field.name() else {
        return;
    };
    if path.is_empty() {
        shape.top.add(name.text().as_bytes(), MAX_NAMES);
    }
    push(path, &name.text());
    if field.selection_set().is_none() {
        shape.selected.add(path.as_bytes(), MAX_NAMES);
    }
}

fn argument(node: &SyntaxNode, path: &str, shape: &mut Shape) {
    if let Some(name) = Argument::cast(node.clone()).and_then(|argument| argument.name()) {
        let mut path = path.to_owned();
        push(&mut path, &name.text());
        add(&mut shape.argument_paths, &path);
    }
}

fn variable(node: &SyntaxNode, shape: &mut Shape) {
    let variable = VariableDefinition::cast(node.clone()).and_then(|definition| definition.variable());
    if let Some(name) = variable.and_then(|variable| variable.name()) {
        add(&mut shape.variable_names, &name.text());
    }
}

fn add(names: &mut NameSet, name: &str) {
    names.add(name.as_bytes(), MAX_NAMES);
}

/// Names are ASCII (2.1.9), so a path is cut between characters.
fn push(path: &mut String, name: &str) {
    if path.len() < MAX_NAME {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    }
}
