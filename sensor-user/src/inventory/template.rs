//! Path templates, learnt online: a trie whose branches are words of the API and placeholders for values.
//!
//! Takes a request target. Gives a node that stands for its template. Never keeps what could be a value.
//! Bounded by the number of nodes; a known path allocates nothing.

use rustc_hash::FxHashMap;

use crate::classify::shape::Shape;

/// The template of one path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct NodeId(u32);

/// Templates seen.
#[derive(Debug)]
pub(super) struct Templates {
    nodes: Vec<Node>,
    siblings: usize,
    /// Nodes at most.
    limit: usize,
    template_bytes: usize,
}

#[derive(Debug)]
struct Node {
    parent: NodeId,
    /// What this step is called in a template; safe to show.
    text: Box<str>,
    /// Bounded by the siblings that are allowed, so names chosen to collide cost that many comparisons at most.
    words: FxHashMap<Box<[u8]>, NodeId>,
    /// By [`Placeholder`]; 0 is none, because the root is nobody's child.
    values: [u32; Placeholder::ALL.len()],
}

/// What stands in a template for a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Placeholder {
    Id,
    Uuid,
    Ulid,
    Hex,
    Date,
    Email,
    Token,
    Slug,
    Param,
    Empty,
    /// What follows a path that is too long.
    Rest,
}

impl Placeholder {
    const ALL: [Self; 11] = [
        Self::Id,
        Self::Uuid,
        Self::Ulid,
        Self::Hex,
        Self::Date,
        Self::Email,
        Self::Token,
        Self::Slug,
        Self::Param,
        Self::Empty,
        Self::Rest,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::Id => "{id}",
            Self::Uuid => "{uuid}",
            Self::Ulid => "{ulid}",
            Self::Hex => "{hex}",
            Self::Date => "{date}",
            Self::Email => "{email}",
            Self::Token => "{token}",
            Self::Slug => "{slug}",
            Self::Param => "{param}",
            Self::Empty => "",
            Self::Rest => "{rest}",
        }
    }

    /// `None` for a word.
    const fn of(shape: Shape) -> Option<Self> {
        Some(match shape {
            Shape::Word => return None,
            Shape::Number => Self::Id,
            Shape::Uuid => Self::Uuid,
            Shape::Ulid => Self::Ulid,
            Shape::Hex => Self::Hex,
            Shape::Date => Self::Date,
            Shape::Email => Self::Email,
            Shape::Token => Self::Token,
            Shape::Slug => Self::Slug,
            Shape::Odd => Self::Param,
        })
    }
}

/// Steps of a path; browsers and servers stop near 8 KiB, real APIs below ten steps.
const MAX_STEPS: usize = 32;

const ROOT: NodeId = NodeId(0);

impl Templates {
    /// No templates yet.
    pub(super) fn new(limit: usize, siblings: usize, template_bytes: usize) -> Self {
        Self {
            nodes: vec![Node::new(ROOT, "")],
            siblings,
            limit: limit.max(1),
            template_bytes,
        }
    }

    /// The template of a request target; learns it when it is new. `None` when there is no room to.
    pub(super) fn learn(&mut self, target: &[u8]) -> Option<NodeId> {
        let path = path_of(target);
        let mut at = ROOT;
        let mut bytes = 0;
        for (number, step) in path.split(|byte| *byte == b'/').enumerate() {
            if number >= MAX_STEPS || bytes > self.template_bytes {
                return self.value(at, Placeholder::Rest);
            }
            let next = self.step(at, step)?;
            bytes += 1 + self.node(next).map_or(0, |node| node.text.len());
            at = next;
        }
        Some(at)
    }

    /// The node of a template as [`render`](Self::render) writes it, made when there is room.
    pub(super) fn plant(&mut self, template: &str) -> Option<NodeId> {
        let mut at = ROOT;
        let steps = template.strip_prefix('/')?;
        for step in steps.split('/').take(MAX_STEPS + 1) {
            // No word of a path looks like one: braces are no shape of a word.
            let placeholder = Placeholder::ALL.into_iter().find(|one| one.text() == step);
            at = match (placeholder, self.node(at)?.words.get(step.as_bytes())) {
                (Some(placeholder), _) => self.value(at, placeholder)?,
                (None, Some(known)) => *known,
                (None, None) => self.word(at, step)?,
            };
        }
        Some(at)
    }

    /// Writes the template of a node, such as `/users/{id}`.
    pub(super) fn render(&self, node: NodeId) -> String {
        let mut steps = Vec::new();
        let mut at = node;
        while at != ROOT
            && let Some(node) = self.node(at)
        {
            steps.push(&*node.text);
            at = node.parent;
        }
        let mut text = String::new();
        for step in steps.iter().rev() {
            text.push('/');
            text.push_str(step);
        }
        if text.is_empty() {
            text.push('/');
        }
        text
    }

    fn step(&mut self, parent: NodeId, step: &[u8]) -> Option<NodeId> {
        // Known words first: most steps are, and this spares judging their shape.
        if let Some(known) = self.node(parent).and_then(|node| node.words.get(step)) {
            return Some(*known);
        }
        if step.is_empty() {
            return self.value(parent, Placeholder::Empty);
        }
        let mut decoded = [0; 64];
        let shape = match undo_escapes(step, &mut decoded) {
            Some(plain) => Shape::of(plain),
            None => Shape::of(step),
        };
        if let Some(placeholder) = Placeholder::of(shape) {
            return self.value(parent, placeholder);
        }
        let full = self.nodes.len() >= self.limit;
        let crowded = self
            .node(parent)
            .is_none_or(|node| node.words.len() >= self.siblings);
        let text = std::str::from_utf8(step)
            .ok()
            .filter(|_| !full && !crowded && !step.contains(&b'%'));
        let Some(text) = text else {
            return self.value(parent, Placeholder::Param);
        };
        self.word(parent, text)
    }

    fn word(&mut self, parent: NodeId, text: &str) -> Option<NodeId> {
        if self.nodes.len() >= self.limit {
            return None;
        }
        let id = self.push(Node::new(parent, text));
        if let Some(node) = self.nodes.get_mut(parent.index()) {
            node.words.insert(text.as_bytes().into(), id);
        }
        Some(id)
    }

    fn value(&mut self, parent: NodeId, placeholder: Placeholder) -> Option<NodeId> {
        let known = self
            .node(parent)
            .and_then(|node| node.values.get(placeholder as usize));
        if let Some(known @ 1..) = known {
            return Some(NodeId(*known));
        }
        if self.nodes.len() >= self.limit {
            return None;
        }
        let id = self.push(Node::new(parent, placeholder.text()));
        let slot = self.nodes.get_mut(parent.index());
        if let Some(slot) = slot.and_then(|node| node.values.get_mut(placeholder as usize)) {
            *slot = id.0;
        }
        Some(id)
    }

    fn push(&mut self, node: Node) -> NodeId {
        let id = u32::try_from(self.nodes.len()).unwrap_or_default();
        self.nodes.push(node);
        NodeId(id)
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }
}

impl NodeId {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Node {
    fn new(parent: NodeId, text: &str) -> Self {
        Self {
            parent,
            text: text.into(),
            words: FxHashMap::default(),
            values: [0; Placeholder::ALL.len()],
        }
    }
}

/// The path within a target: origin form, absolute form, `*` or an authority (RFC 9112, 3.2). Without its first `/`.
fn path_of(target: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'?', b'#', target).unwrap_or(target.len());
    let path = target.get(..end).unwrap_or_default();
    if let Some(path) = path.strip_prefix(b"/") {
        return path;
    }
    let after_scheme = memchr::memmem::find(path, b"://").and_then(|at| path.get(at + 3..));
    match after_scheme {
        Some(rest) => match memchr::memchr(b'/', rest) {
            Some(at) => rest.get(at + 1..).unwrap_or_default(),
            None => b"",
        },
        None => path,
    }
}

/// Undoes percent-encoding of a short step; `None` when there is none, or it does not fit.
fn undo_escapes<'a>(step: &[u8], out: &'a mut [u8; 64]) -> Option<&'a [u8]> {
    if !step.contains(&b'%') {
        return None;
    }
    let mut length = 0;
    let mut rest = step;
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *byte == b'%');
        let decoded = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        *out.get_mut(length)? = decoded.unwrap_or(*byte);
        length += 1;
        rest = if decoded.is_some() { after.get(2..)? } else { after };
    }
    out.get(..length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(target: &str) -> String {
        let mut templates = Templates::new(100, 64, 512);
        let node = templates.learn(target.as_bytes()).unwrap();
        templates.render(node)
    }

    #[test]
    fn values_become_placeholders() {
        for (target, expected) in [
            ("/", "/"),
            ("/users/42?x=1", "/users/{id}"),
            ("/users/", "/users/"),
            (
                "/v1/users/550e8400-e29b-41d4-a716-446655440000",
                "/v1/users/{uuid}",
            ),
            ("/o/01ARZ3NDEKTSV4RRFFQ69G5FAV/x", "/o/{ulid}/x"),
            ("/c/deadbeef01", "/c/{hex}"),
            ("/d/2024-05-01", "/d/{date}"),
            ("/u/alice%40example.com", "/u/{email}"),
            ("/u/alice@example.com", "/u/{email}"),
            ("/t/eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2ln", "/t/{token}"),
            ("/t/a8Xk29fjQ0lmZp38sTuv", "/t/{token}"),
            ("/blog/my-first-post-about-rust", "/blog/{slug}"),
            ("/files/caf%C3%A9%20menu", "/files/{param}"),
            ("/files/a%2Fb", "/files/{param}"),
            ("/a;jsessionid=1234", "/{param}"),
            ("/pkg.v1.UserService/GetUser", "/pkg.v1.UserService/GetUser"),
            ("http://host:80/users/1", "/users/{id}"),
            ("http://host", "/"),
            ("*", "/{param}"),
            ("host:443", "/{param}"),
            ("/536-22-8726", "/{id}"),
            ("/ghp_abcdefghijklmnopqrstuvwxyz0123456789", "/{token}"),
        ] {
            assert_eq!(template(target), expected, "{target}");
        }
    }

    #[test]
    fn many_siblings_become_one() {
        let mut templates = Templates::new(1000, 3, 512);
        let mut seen = Vec::new();
        for name in ["ann", "bob", "cid", "dan", "eve", "ann"] {
            let node = templates.learn(format!("/users/{name}/mail").as_bytes()).unwrap();
            seen.push(templates.render(node));
        }
        assert_eq!(
            seen,
            [
                "/users/ann/mail",
                "/users/bob/mail",
                "/users/cid/mail",
                "/users/{param}/mail",
                "/users/{param}/mail",
                "/users/ann/mail"
            ]
        );
    }

    #[test]
    fn nodes_are_bounded() {
        let mut templates = Templates::new(10, 64, 512);
        for a in b'a'..=b'z' {
            for b in b'a'..=b'z' {
                templates.learn(format!("/{}/{}/{}/1", a as char, b as char, a as char).as_bytes());
            }
        }
        assert_eq!(templates.nodes.len(), 10);
        assert_eq!(templates.learn(b"/new/9/9/9"), None);
    }

    #[test]
    fn long_paths_end_in_rest() {
        let long = template(&"/abc".repeat(100));
        assert!(long.ends_with("/{rest}") && long.len() < 200, "{long}");
    }
}
