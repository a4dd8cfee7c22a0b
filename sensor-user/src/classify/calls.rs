//! Calls as they may be shown: names judged piece by piece, as field names are.
//!
//! Takes the calls of an exchange. Gives [`ShownCall`]s whose text is ASCII and holds no value: a piece that could be one
//! is `*`. Bounded as the calls are.

use super::names::Names;
use crate::exchange::call::{Call, CallKind, CallName, CallOutcome};
use crate::protocol::name::NameSet;
use crate::protocol::soap::FaultCode;

/// Top-level fields that stand for a GraphQL operation without a name. More would not fit on a line.
const FIELDS: usize = 4;

/// One call as it may be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownCall {
    /// Kind of API.
    pub kind: CallKind,
    /// What is called: of SOAP `{namespace}name`, of a GraphQL operation without a name `{field,field}`.
    pub name: Box<str>,
    /// What came of it.
    pub outcome: CallOutcome,
    /// Code of a SOAP fault.
    pub fault: Option<FaultCode>,
    /// Size of a GraphQL operation.
    pub graphql: Option<ShownOperation>,
}

/// Size of a GraphQL operation as it may be shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownOperation {
    /// Levels of fields.
    pub depth: u32,
    /// Fields, fragments resolved.
    pub fields: u32,
    /// Fields under another name.
    pub aliases: u32,
    /// Requests in its batch; 0 outside of one.
    pub batch: u32,
    /// It asks for the schema.
    pub introspection: bool,
    /// Paths of what it selects.
    pub selected: Vec<Box<str>>,
    /// Paths of its variables.
    pub variables: Vec<Box<str>>,
}

/// Judges the names of a call.
pub(super) fn show(call: &Call, names: &mut Names) -> ShownCall {
    let mut name = String::new();
    if let Some(soap) = call.soap() {
        if !soap.namespace.is_empty() {
            name.push('{');
            push(&soap.namespace, names, &mut name);
            name.push('}');
        }
        let what = if call.name.is_empty() {
            &soap.action
        } else {
            &call.name
        };
        push(what, names, &mut name);
    } else if let (true, Some(shape)) = (call.name.is_empty(), call.graphql()) {
        fields(&shape.document.top, names, &mut name);
    } else {
        push(&call.name, names, &mut name);
    }
    let graphql = call.graphql().map(|shape| ShownOperation {
        depth: shape.document.depth,
        fields: shape.document.fields,
        aliases: shape.document.aliases,
        batch: shape.batch,
        introspection: shape.document.introspection,
        selected: all(&shape.document.selected, names),
        variables: all(&shape.variables, names),
    });
    ShownCall {
        kind: call.kind,
        name: name.into(),
        outcome: call.outcome,
        fault: call.soap().and_then(|soap| soap.fault),
        graphql,
    }
}

fn all(set: &NameSet, names: &mut Names) -> Vec<Box<str>> {
    set.iter()
        .map(|name| {
            let mut text = String::new();
            push(name, names, &mut text);
            text.into()
        })
        .collect()
}

fn fields(top: &NameSet, names: &mut Names, out: &mut String) {
    if top.is_empty() {
        return;
    }
    out.push('{');
    for (number, name) in top.iter().enumerate() {
        if number == FIELDS {
            out.push_str(",...");
            break;
        }
        if number > 0 {
            out.push(',');
        }
        push(name, names, out);
    }
    out.push('}');
}

/// A name piece by piece: packages, paths and namespaces are words between marks.
fn push(name: &CallName, names: &mut Names, out: &mut String) {
    // What no name holds makes a value of the whole, of an address for example.
    if !name.expose().iter().all(|byte| is_mark(*byte) || is_word(*byte)) {
        out.push('*');
        return;
    }
    for piece in name.expose().split_inclusive(|byte| is_mark(*byte)) {
        let (word, mark) = match piece.split_last() {
            Some((mark, word)) if is_mark(*mark) => (word, Some(*mark)),
            _ => (piece, None),
        };
        if !word.is_empty() {
            let id = names.look_up(word);
            out.push_str(std::str::from_utf8(names.shown(id)).unwrap_or("*"));
        }
        if let Some(mark) = mark {
            out.push(char::from(mark));
        }
    }
}

/// Stands between the pieces of a name.
const fn is_mark(byte: u8) -> bool {
    matches!(byte, b'.' | b'/' | b':' | b'#' | b'[' | b']')
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'$' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str) -> String {
        let call = Call::new(CallKind::JsonRpc, CallName::new(name.as_bytes()));
        show(&call, &mut Names::new()).name.into()
    }

    #[test]
    fn words_are_shown_and_values_are_not() {
        for (name, expected) in [
            ("eth_getBlockByNumber", "eth_getBlockByNumber"),
            ("system.listMethods", "system.listMethods"),
            ("shop.orders.v1.Orders/GetOrder", "shop.orders.v1.Orders/GetOrder"),
            ("http://example.com/orders#Get", "http://example.com/orders#Get"),
            ("user.alice@example.com", "*"),
            ("get/4111111111111111", "get/*"),
            ("items[].price", "items[].price"),
            ("a\u{1b}[31m", "*"),
            ("", ""),
        ] {
            assert_eq!(shown(name), expected, "{name:?}");
        }
    }
}
