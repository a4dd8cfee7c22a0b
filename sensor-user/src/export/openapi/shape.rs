//! Places to JSON Schema (2020-12, the dialect of `OpenAPI` 3.1), and what repeats to components.
//!
//! Takes branches of learnt schemas. Gives schemas that name types, formats and members. Never gives a number, text or
//! length that was observed, but words of enumerations that may be shown. Bounded by the schemas; recursion by their
//! depth, which the parsers bound (`protocol::walk::MAX_DEPTH`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::classify::outline::{Facts, Looks};
use crate::inventory::schema::Branch;

use super::naming::{Names, pascal, singular};

/// Members that an object has at least to become a component where it repeats.
const FOLDED_MEMBERS: usize = 2;

/// The schema of places that are one to the document. `name` is what they are called.
pub(super) fn shape(branches: &[Branch<'_>], name: &str, components: &mut Components) -> Value {
    let mut facts = Facts::NONE;
    for branch in branches {
        facts.merge(branch.place().facts());
    }
    let mut schema = Map::new();
    let types = types(facts.looks);
    match types.as_slice() {
        // A message that was cut before its first value says nothing.
        [] => return json!({}),
        [one] => schema.insert("type".to_owned(), (*one).into()),
        many => schema.insert("type".to_owned(), many.into()),
    };
    scalar(branches, &facts, &mut schema);
    if facts.looks.has(Looks::ARRAY) {
        let items: Vec<_> = branches.iter().filter_map(|branch| branch.items()).collect();
        let items = if items.is_empty() {
            json!({})
        } else {
            shape(&items, &singular(name), components)
        };
        schema.insert("items".to_owned(), items);
    }
    let mut members = 0;
    if facts.looks.has(Looks::OBJECT) {
        members = object(branches, &facts, name, &mut schema, components);
    }
    if members >= FOLDED_MEMBERS && types.len() == 1 {
        return components.fold(schema.into(), name);
    }
    schema.into()
}

/// Types in the order of JSON Schema's own list.
fn types(looks: Looks) -> Vec<&'static str> {
    let number = if looks.has(Looks::FRACTION) {
        "number"
    } else {
        "integer"
    };
    [
        (Looks::NULL, "null"),
        (Looks::BOOL, "boolean"),
        (Looks::OBJECT, "object"),
        (Looks::ARRAY, "array"),
        (Looks::NUMBER, number),
        (Looks::STRING.and(Looks::BYTES), "string"),
    ]
    .into_iter()
    .filter(|(look, _)| looks.has(*look))
    .map(|(_, name)| name)
    .collect()
}

/// Formats of the registry of `OpenAPI` and JSON Schema.
const FORMATS: [(Looks, &str); 7] = [
    (Looks::UUID, "uuid"),
    (Looks::DATE, "date"),
    (Looks::DATE_TIME, "date-time"),
    (Looks::EMAIL, "email"),
    (Looks::URI, "uri"),
    (Looks::IPV4, "ipv4"),
    (Looks::IPV6, "ipv6"),
];

fn scalar(branches: &[Branch<'_>], facts: &Facts, schema: &mut Map<String, Value>) {
    let looks = facts.looks;
    let formats = looks.without(Looks::KINDS.and(Looks::MANY_WORDS).and(Looks::CUT));
    let format = match formats {
        Looks::INT32 => Some("int32"),
        _ if !formats.is_empty() && formats.without(Looks::INT32.and(Looks::INT64)).is_empty() => {
            Some("int64")
        }
        _ => FORMATS
            .iter()
            .find(|(look, _)| formats == *look)
            .map(|(_, name)| *name),
    };
    if let Some(format) = format {
        schema.insert("format".to_owned(), format.into());
    }
    if formats == Looks::BASE64 {
        schema.insert("contentEncoding".to_owned(), "base64".into());
    }
    if let [branch] = branches
        && let Some(words) = branch.place().enumeration()
    {
        let empty = looks.has(Looks::EMPTY).then_some(Value::from(""));
        let null = looks.has(Looks::NULL).then_some(Value::Null);
        let all: Vec<Value> = words
            .into_iter()
            .map(Value::from)
            .chain(empty)
            .chain(null)
            .collect();
        schema.insert("enum".to_owned(), all.into());
    }
}

/// Members or a map's values; how many members are named.
fn object(
    branches: &[Branch<'_>],
    facts: &Facts,
    name: &str,
    schema: &mut Map<String, Value>,
    components: &mut Components,
) -> usize {
    let keyed = branches.iter().filter_map(|branch| branch.keyed());
    if branches.iter().any(|branch| branch.is_map()) {
        let members = branches.iter().flat_map(|branch| branch.members());
        let values: Vec<_> = keyed.chain(members).collect();
        let values = shape(&values, &singular(name), components);
        schema.insert("additionalProperties".to_owned(), values);
        return 0;
    }
    let mut members: BTreeMap<&str, Vec<Branch<'_>>> = BTreeMap::new();
    for member in branches.iter().flat_map(|branch| branch.members()) {
        members.entry(member.place().name()).or_default().push(member);
    }
    let objects = facts.count.saturating_sub(facts.nulls);
    let mut required = Vec::new();
    let mut properties = Map::new();
    for (member, places) in &members {
        let count = places.iter().map(|place| place.place().facts().count);
        if objects > 0 && count.fold(0_u32, u32::saturating_add) >= objects {
            required.push(*member);
        }
        properties.insert((*member).to_owned(), shape(places, member, components));
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    if !properties.is_empty() {
        schema.insert("properties".to_owned(), properties.into());
    }
    let keyed: Vec<_> = keyed.collect();
    if !keyed.is_empty() {
        let values = shape(&keyed, &singular(name), components);
        schema.insert("additionalProperties".to_owned(), values);
    }
    members.len()
}

/// Objects by what they are; those that come more than once get a name.
#[derive(Default)]
pub(super) struct Components {
    entries: Vec<Entry>,
    /// Entries by their JSON, which is the same for equal schemas.
    known: BTreeMap<String, usize>,
}

struct Entry {
    schema: Value,
    times: u32,
    name: String,
}

/// Member of a schema that stands for an entry until all are known. No schema has it otherwise.
const MARK: &str = "$entry";

impl Components {
    fn fold(&mut self, schema: Value, name: &str) -> Value {
        let text = schema.to_string();
        let next = self.entries.len();
        let at = *self.known.entry(text).or_insert(next);
        if at == next {
            self.entries.push(Entry {
                schema,
                times: 0,
                name: pascal(&singular(name)),
            });
        }
        if let Some(entry) = self.entries.get_mut(at) {
            entry.times += 1;
        }
        json!({ MARK: at })
    }

    /// Puts references, or the schema itself where it comes once, in the place of marks; names the components.
    pub(super) fn resolve(&mut self, document: &mut Value) {
        let mut used = Names::default();
        for entry in self.entries.iter_mut().filter(|entry| entry.times > 1) {
            let name = if entry.name.is_empty() {
                "Object"
            } else {
                &entry.name
            };
            entry.name = used.unique(name);
        }
        self.replace(document);
    }

    /// The components by name, to be called behind [`Self::resolve`].
    pub(super) fn named(&self) -> Map<String, Value> {
        self.entries
            .iter()
            .filter(|entry| entry.times > 1)
            .map(|entry| {
                let mut schema = entry.schema.clone();
                self.replace(&mut schema);
                (entry.name.clone(), schema)
            })
            .collect()
    }

    fn replace(&self, value: &mut Value) {
        if let Some(entry) = self.marked(value) {
            if entry.times > 1 {
                *value = json!({ "$ref": format!("#/components/schemas/{}", entry.name) });
                return;
            }
            *value = entry.schema.clone();
        }
        match value {
            Value::Object(members) => members.values_mut().for_each(|value| self.replace(value)),
            Value::Array(items) => items.iter_mut().for_each(|value| self.replace(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn marked(&self, value: &Value) -> Option<&Entry> {
        let members = value.as_object().filter(|members| members.len() == 1)?;
        let at = members.get(MARK)?.as_u64()?;
        self.entries.get(usize::try_from(at).ok()?)
    }
}
