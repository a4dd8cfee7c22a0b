//! GraphQL documents (specification of September 2025, section 2): which operations they hold and how big those are.
//!
//! Takes a document's text. Gives each operation with its [`Shape`], fragments resolved. Never keeps a value of the
//! document, and never recurses: the parser's own recursion is bounded by [`MAX_DEPTH`]. Bounded by [`MAX_TOKENS`].

mod measure;
mod select;
mod tree;

use apollo_parser::cst::{CstNode, Definition, OperationDefinition};
use apollo_parser::{Parser, SyntaxNode};

use super::name::{Name, NameSet};
use super::walk;
use measure::{Fragments, Part};

/// Nesting of selections and values that is followed, as in every other body.
pub const MAX_DEPTH: u32 = walk::MAX_DEPTH;

/// Tokens of a document, white space counted. Apollo Router and graphql-java stop at 15,000 too.
pub const MAX_TOKENS: usize = 15_000;

/// Names kept of each kind: top-level fields, selected paths, arguments, variables.
pub const MAX_NAMES: usize = 32;

/// A document as it was read.
#[derive(Clone, Default, Debug)]
pub struct Document {
    /// Its operations in order, at most as many as were asked for.
    pub operations: Vec<Operation>,
    /// Operations in the document, told or not.
    pub count: usize,
    /// It holds definitions of types.
    pub has_types: bool,
    /// What is wrong with it.
    pub faults: Faults,
}

/// What is wrong with a document.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Faults {
    /// It is not of the grammar.
    pub malformed: bool,
    /// It nests deeper than [`MAX_DEPTH`].
    pub too_deep: bool,
    /// It has more than [`MAX_TOKENS`].
    pub too_long: bool,
    /// A fragment spreads itself, at once or through others (5.5.2.2).
    pub cyclic: bool,
    /// A fragment is spread that is not there, or defined twice (5.5.1.1, 5.5.2.1).
    pub fragments: bool,
}

impl Faults {
    /// It was read whole.
    pub const fn is_readable(self) -> bool {
        !(self.malformed || self.too_deep || self.too_long)
    }
}

/// Kind of operation (2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OperationKind {
    /// It reads.
    Query,
    /// It writes, then reads.
    Mutation,
    /// It listens.
    Subscription,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its kind.
    pub kind: OperationKind,
    /// Its name; empty when it has none.
    pub name: Name,
    /// What it selects.
    pub shape: Shape,
}

/// Size and names of an operation. Numbers count a fragment as often as it is spread, and stop at their largest value.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Shape {
    /// Levels of fields.
    pub depth: u32,
    /// Fields.
    pub fields: u32,
    /// Fields under another name.
    pub aliases: u32,
    /// Arguments.
    pub arguments: u32,
    /// Directives.
    pub directives: u32,
    /// Variables that the operation declares.
    pub variables: u32,
    /// It asks for the schema: `__schema` or `__type` (4.1).
    pub introspection: bool,
    /// Top-level fields.
    pub top: NameSet,
    /// Paths of the fields without fields below them, such as `user.posts.title`.
    pub selected: NameSet,
    /// Paths of arguments, such as `user.id`.
    pub argument_paths: NameSet,
    /// Declared variables, without `$`.
    pub variable_names: NameSet,
}

/// Whether a text may be a document that holds an operation, by its first word: cheap, for texts of any origin.
pub fn may_be_document(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut rest = text;
    loop {
        // Ignored tokens (2.1.7 to 2.1.9).
        rest = rest.trim_ascii_start();
        match rest.split_first() {
            Some((b',', after)) => rest = after,
            Some((b'#', after)) => {
                let end = memchr::memchr2(b'\n', b'\r', after);
                rest = end.and_then(|end| after.get(end..)).unwrap_or_default();
            }
            // A description (September 2025, 2.3) and the shorthand (2.3).
            Some((b'{' | b'"', _)) => return memchr::memchr(b'{', rest).is_some(),
            _ => break,
        }
    }
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = rest.get(..length).unwrap_or_default();
    let opens = matches!(word, b"query" | b"mutation" | b"subscription" | b"fragment");
    let goes_on = rest
        .get(length)
        .is_some_and(|byte| !(byte.is_ascii_digit() || *byte == b'_'));
    opens && goes_on && memchr::memchr(b'{', rest).is_some()
}

/// Reads a document; tells `most` operations. A text that was cut gives what is in its front.
pub fn read(text: &str, most: usize) -> Document {
    let parser = Parser::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let tree = parser
        .recursion_limit(MAX_DEPTH as usize)
        .token_limit(MAX_TOKENS)
        .parse();
    let mut document = Document::default();
    let faults = &mut document.faults;
    faults.too_deep = tree.recursion_limit().high > MAX_DEPTH as usize;
    faults.too_long = tree.token_limit().high > MAX_TOKENS;
    faults.malformed = tree.errors().any(|error| !error.is_limit());

    let mut fragments = Fragments::default();
    let mut operations = Vec::new();
    for definition in tree.document().definitions() {
        match definition {
            Definition::OperationDefinition(operation) => {
                document.count += 1;
                if operations.len() < most {
                    operations.push(operation);
                }
            }
            Definition::FragmentDefinition(fragment) => {
                let name = fragment.fragment_name().and_then(|name| name.name());
                let name = name.map(|name| name.text().to_string()).unwrap_or_default();
                faults.fragments |= !fragments.add(name, fragment.syntax());
            }
            _ => document.has_types = true,
        }
    }
    fragments.resolve(faults);
    document.operations = operations
        .iter()
        .map(|operation| describe(operation, &fragments, faults))
        .collect();
    document
}

fn describe(operation: &OperationDefinition, fragments: &Fragments, faults: &mut Faults) -> Operation {
    let syntax: &SyntaxNode = operation.syntax();
    let kind = match operation.operation_type() {
        Some(kind) if kind.mutation_token().is_some() => OperationKind::Mutation,
        Some(kind) if kind.subscription_token().is_some() => OperationKind::Subscription,
        _ => OperationKind::Query,
    };
    let name = operation.name();
    let part = Part::of(syntax);
    let size = fragments.size_of(&part, faults);
    let mut shape = Shape {
        depth: size.depth,
        fields: size.fields,
        aliases: size.aliases,
        arguments: size.arguments,
        directives: size.directives,
        variables: part.variables,
        introspection: size.introspection,
        ..Shape::default()
    };
    select::names(syntax, fragments, &mut shape);
    Operation {
        kind,
        name: name.map_or_else(Name::default, |name| Name::new(name.text().as_bytes())),
        shape,
    }
}

#[cfg(test)]
mod tests;
