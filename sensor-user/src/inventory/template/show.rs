//! Templates as text, and the values of a path.
//!
//! Takes nodes and paths. Gives text that is safe to show, and where values are. Learns nothing.

use smallvec::SmallVec;

use super::node::{Edge, Node, NodeId, Values};
use super::segment::Segment;
use super::{MAX_STEPS, PathValue, PathValues, Tree, words};

impl Tree {
    /// Writes the template of a node, such as `/users/{id}`, at most so many bytes.
    pub(in crate::inventory) fn render(&self, id: NodeId, most: usize) -> String {
        let mut steps: SmallVec<[NodeId; MAX_STEPS]> = SmallVec::new();
        let mut at = id;
        while let Some(node) = self.node(at).filter(|node| node.edge != Edge::Root)
            && steps.len() <= MAX_STEPS
        {
            steps.push(at);
            at = node.parent;
        }
        let mut text = String::new();
        for node in steps.iter().rev().filter_map(|id| self.node(*id)) {
            text.push('/');
            if text.len() >= most {
                text.push_str("{rest}");
                break;
            }
            node.write(&mut text);
        }
        if text.is_empty() {
            text.push('/');
        }
        text
    }

    /// Writes a path that is not known: what is known of its beginning, and the rest by what it looks like.
    pub(in crate::inventory) fn describe(&self, root: Option<NodeId>, path: &[u8], most: usize) -> String {
        let mut at = root.and_then(|root| self.node(root));
        let mut text = String::new();
        for (number, step) in path.split(|byte| *byte == b'/').enumerate() {
            text.push('/');
            if text.len() >= most || number >= MAX_STEPS {
                text.push_str("{rest}");
                break;
            }
            at = at
                .and_then(|node| self.child(node, step, number))
                .and_then(|(id, _)| self.node(id));
            match at {
                Some(node) => node.write(&mut text),
                None => write_unknown(step, &mut text),
            }
        }
        text
    }

    /// How sure the template of a node is, in hundredths: as sure as its least sure step.
    pub(in crate::inventory) fn confidence(&self, id: NodeId) -> u8 {
        let mut least = 99;
        let mut at = id;
        while let Some(node) = self.node(at).filter(|node| node.edge != Edge::Root) {
            least = least.min(node.confidence());
            at = node.parent;
        }
        least
    }

    /// Values of a path that was found at a node.
    pub(in crate::inventory) fn values(&self, path: &[u8]) -> PathValues {
        let mut values = PathValues::new();
        let mut at = 0;
        for (number, step) in path.split(|byte| *byte == b'/').enumerate() {
            let node = self.trail.get(number + 1).and_then(|(id, _)| self.node(*id));
            if node.is_some_and(|node| node.values.is_some() && node.version().is_none()) {
                let segment = Segment::of(step);
                for (place, (start, end)) in segment.values.iter().enumerate() {
                    values.push(PathValue {
                        step: short(number),
                        number: short(place),
                        start: short(at + usize::from(*start)),
                        length: end.saturating_sub(*start),
                        kind: segment.kind,
                    });
                }
            }
            at += step.len() + 1;
        }
        values
    }
}

impl Node {
    /// Writes its step of a template.
    fn write(&self, out: &mut String) {
        match &self.edge {
            Edge::Literal(text) => out.push_str(&String::from_utf8_lossy(text)),
            Edge::Value(pattern) => {
                if let Some(version) = self.version() {
                    return out.push_str(version);
                }
                let name = self.values.as_deref().map_or("param", Values::name);
                write_pattern(pattern, name, out);
            }
            Edge::Rest => out.push_str("{rest}"),
            Edge::Root | Edge::Free => {}
        }
    }

    /// A date or number that never changes and has an API below it.
    fn version(&self) -> Option<&str> {
        let sole = self.values.as_deref()?.sole.as_deref();
        sole.filter(|_| self.visits >= VERSION_VISITS && !self.literals.is_empty())
    }

    fn confidence(&self) -> u8 {
        let often = |visits: u32| match visits {
            0 | 1 => 40,
            2 => 60,
            3..8 => 80,
            8..32 => 90,
            _ => 97,
        };
        match &self.values {
            Some(values) if values.words => values.sure.max(50),
            Some(values) => match values.distinct() {
                0 | 1 => 60,
                2 => 80,
                3..8 => 90,
                _ => 97,
            },
            None => often(self.visits),
        }
    }
}

fn write_pattern(pattern: &[u8], name: &str, out: &mut String) {
    let mut pieces = std::str::from_utf8(pattern).unwrap_or("{}").split("{}");
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.push('{');
        out.push_str(name);
        out.push('}');
        out.push_str(piece);
    }
}

fn write_unknown(step: &[u8], out: &mut String) {
    let segment = Segment::of(step);
    // Nobody said that it exists: what is not a word of interfaces may be anything that somebody typed.
    if segment.is_word() && words::is_own(segment.text) {
        out.push_str(&String::from_utf8_lossy(segment.text));
    } else if !step.is_empty() {
        write_pattern(&segment.pattern, segment.kind.name(), out);
    }
}

/// Visits of one and the same date or number before it is shown as an API's version.
const VERSION_VISITS: u32 = 8;

fn short(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}
