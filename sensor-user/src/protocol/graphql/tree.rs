//! A walk through the parser's tree without recursion.

use apollo_parser::SyntaxNode;

/// Whether the walk goes into a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Into {
    /// Its children come next.
    Children,
    /// They are left out.
    Nothing,
}

/// Tells every node below `root` in document order: `step(node, true)` when it begins, `step(node, false)` when it ends.
pub(super) fn walk(root: &SyntaxNode, mut step: impl FnMut(&SyntaxNode, bool) -> Into) {
    let Some(mut node) = root.first_child() else {
        return;
    };
    loop {
        if step(&node, true) == Into::Children
            && let Some(child) = node.first_child()
        {
            node = child;
            continue;
        }
        loop {
            step(&node, false);
            if let Some(next) = node.next_sibling() {
                node = next;
                break;
            }
            match node.parent() {
                Some(parent) if parent != *root => node = parent,
                _ => return,
            }
        }
    }
}
