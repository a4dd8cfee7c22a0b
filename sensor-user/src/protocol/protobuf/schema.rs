//! Names and types of messages and methods, from descriptor sets (`protoc --include_imports --descriptor_set_out`).
//!
//! Takes the bytes of `google.protobuf.FileDescriptorSet`s (descriptor.proto). Gives types by name and by the path of a
//! gRPC method. Never fails on a type that is not in the sets: its fields are read without a schema. Bounded by
//! [`MAX_TYPES`] and [`MAX_FIELDS`]; the sets are the operator's own.

use rustc_hash::FxHashMap;

use super::wire::{Cursor, Field, Value};

/// Message types of all sets: all of Google's published interfaces have some 30,000.
const MAX_TYPES: usize = 1 << 17;
/// Fields of all messages.
const MAX_FIELDS: usize = 1 << 21;

/// Types and methods by name.
#[derive(Default, Debug)]
pub struct Schema {
    types: Vec<MessageType>,
    by_name: FxHashMap<Box<[u8]>, u32>,
    /// By `package.Service/Method`.
    methods: FxHashMap<Box<[u8]>, MethodType>,
}

/// A message's type.
#[derive(Clone, Copy, Debug)]
pub struct Message<'s> {
    schema: &'s Schema,
    pub(super) id: u32,
}

/// What a method takes and gives.
#[derive(Clone, Copy, Debug)]
pub struct Method<'s> {
    /// Type of each message to the server; `None` when it is in no set.
    pub request: Option<Message<'s>>,
    /// Type of each message to the client.
    pub response: Option<Message<'s>>,
}

/// Why a descriptor set is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SchemaError {
    /// The bytes are no `FileDescriptorSet`.
    #[error("not a FileDescriptorSet; write one with protoc --include_imports --descriptor_set_out")]
    Malformed,
    /// More types or fields than the limit.
    #[error("more than {MAX_TYPES} messages or {MAX_FIELDS} fields; leave out what is not called")]
    TooLarge,
}

#[derive(Default, Debug)]
struct MessageType {
    /// In the order of numbers.
    fields: Vec<FieldType>,
}

/// A field of a known type.
#[derive(Debug)]
pub(super) struct FieldType {
    pub(super) number: u32,
    pub(super) name: Box<[u8]>,
    pub(super) repeated: bool,
    pub(super) kind: Kind,
    /// Full name of a message's type until all sets are read.
    refers: Box<[u8]>,
}

/// `FieldDescriptorProto.Type`, as far as the wire or the value differs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Double,
    Float,
    /// `int32`, `int64` and enumerations.
    Signed,
    /// `uint32` and `uint64`.
    Unsigned,
    /// `sint32` and `sint64`.
    Zigzag,
    Bool,
    Fixed64,
    Fixed32,
    SignedFixed64,
    SignedFixed32,
    Text,
    Bytes,
    /// A message or group of that type.
    Message(u32),
    /// A type that is in no set.
    Unknown,
}

#[derive(Debug)]
struct MethodType {
    request: Option<u32>,
    response: Option<u32>,
}

impl<'s> Message<'s> {
    /// The type of that index in the same schema.
    pub(super) const fn of_same(self, id: u32) -> Self {
        Self {
            schema: self.schema,
            id,
        }
    }

    pub(super) fn field(self, number: u32) -> Option<&'s FieldType> {
        let fields = &self.schema.types.get(self.id as usize)?.fields;
        let at = fields.binary_search_by_key(&number, |field| field.number).ok()?;
        fields.get(at)
    }
}

impl Schema {
    /// Reads one set.
    pub fn parse(set: &[u8]) -> Result<Self, SchemaError> {
        Self::parse_all([set])
    }

    /// Reads sets that may refer to each other. Of two types or methods of one name the first counts.
    pub fn parse_all<'a>(sets: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, SchemaError> {
        let mut builder = Builder::default();
        for set in sets {
            // FileDescriptorSet.file
            each(set, 1, |file| builder.file(file))?;
        }
        Ok(builder.build())
    }

    /// A type by its full name, such as `package.Message`.
    pub fn message(&self, name: &[u8]) -> Option<Message<'_>> {
        let id = *self.by_name.get(name)?;
        Some(Message { schema: self, id })
    }

    /// A method by `package.Service/Method`.
    pub fn method(&self, name: &[u8]) -> Option<Method<'_>> {
        let method = self.methods.get(name)?;
        let typed = |id: Option<u32>| id.map(|id| Message { schema: self, id });
        Some(Method {
            request: typed(method.request),
            response: typed(method.response),
        })
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Methods by name.
    pub fn methods(&self) -> impl Iterator<Item = &[u8]> {
        self.methods.keys().map(|name| &**name)
    }
}

#[derive(Default)]
struct Builder {
    schema: Schema,
    fields: usize,
    /// Method, type of its request, type of its response.
    methods: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)>,
}

impl Builder {
    /// `FileDescriptorProto`.
    fn file(&mut self, file: &[u8]) -> Result<(), SchemaError> {
        let package = text(file, 2)?;
        // Messages within messages wait here rather than on the stack.
        let mut waiting: Vec<(Vec<u8>, &[u8])> = Vec::new();
        each(file, 4, |message| {
            waiting.push((package.to_vec(), message));
            Ok(())
        })?;
        while let Some((outer, message)) = waiting.pop() {
            let name = joined(&outer, text(message, 1)?);
            each(message, 3, |nested| {
                waiting.push((name.clone(), nested));
                Ok(())
            })?;
            self.message(name, message)?;
        }
        each(file, 6, |service| self.service(package, service))
    }

    /// `DescriptorProto`.
    fn message(&mut self, name: Vec<u8>, message: &[u8]) -> Result<(), SchemaError> {
        let mut fields = Vec::new();
        each(message, 2, |field| {
            fields.push(field_type(field)?);
            Ok(())
        })?;
        fields.sort_by_key(|field: &FieldType| field.number);
        self.fields += fields.len();
        if self.schema.types.len() == MAX_TYPES || self.fields > MAX_FIELDS {
            return Err(SchemaError::TooLarge);
        }
        let id = u32::try_from(self.schema.types.len()).map_err(|_too_many| SchemaError::TooLarge)?;
        self.schema.types.push(MessageType { fields });
        self.schema.by_name.entry(name.into_boxed_slice()).or_insert(id);
        Ok(())
    }

    /// `ServiceDescriptorProto`.
    fn service(&mut self, package: &[u8], service: &[u8]) -> Result<(), SchemaError> {
        let name = joined(package, text(service, 1)?);
        each(service, 2, |method| {
            let mut path = name.clone();
            path.push(b'/');
            path.extend_from_slice(text(method, 1)?);
            let (request, response) = (text(method, 2)?, text(method, 3)?);
            self.methods
                .push((path, undotted(request).to_vec(), undotted(response).to_vec()));
            Ok(())
        })
    }

    /// Names become indices.
    fn build(self) -> Schema {
        let Self {
            mut schema, methods, ..
        } = self;
        let names = &schema.by_name;
        for field in schema.types.iter_mut().flat_map(|kind| &mut kind.fields) {
            if matches!(field.kind, Kind::Message(_)) {
                let found = names.get(undotted(&field.refers)).copied();
                field.kind = found.map_or(Kind::Unknown, Kind::Message);
            }
            field.refers = Box::default();
        }
        for (path, request, response) in methods {
            let method = MethodType {
                request: names.get(request.as_slice()).copied(),
                response: names.get(response.as_slice()).copied(),
            };
            schema.methods.entry(path.into_boxed_slice()).or_insert(method);
        }
        schema
    }
}

/// `FieldDescriptorProto`: name 1, number 3, label 4, type 5, type name 6.
fn field_type(field: &[u8]) -> Result<FieldType, SchemaError> {
    let number = varint(field, 3)?;
    Ok(FieldType {
        number: u32::try_from(number).map_err(|_too_large| SchemaError::Malformed)?,
        name: text(field, 1)?.into(),
        // LABEL_REPEATED
        repeated: varint(field, 4)? == 3,
        kind: match varint(field, 5)? {
            1 => Kind::Double,
            2 => Kind::Float,
            3 | 5 | 14 => Kind::Signed,
            4 | 13 => Kind::Unsigned,
            6 => Kind::Fixed64,
            7 => Kind::Fixed32,
            8 => Kind::Bool,
            9 => Kind::Text,
            // Which one is known when all types are.
            10 | 11 => Kind::Message(u32::MAX),
            12 => Kind::Bytes,
            15 => Kind::SignedFixed32,
            16 => Kind::SignedFixed64,
            17 | 18 => Kind::Zigzag,
            _ => Kind::Unknown,
        },
        refers: text(field, 6)?.into(),
    })
}

/// Runs `take` on each length-delimited field of that number.
fn each<'a>(
    message: &'a [u8],
    number: u32,
    mut take: impl FnMut(&'a [u8]) -> Result<(), SchemaError>,
) -> Result<(), SchemaError> {
    fields(message, |field| match field.value {
        Value::Bytes { bytes, .. } if field.number == number => take(bytes),
        _ => Ok(()),
    })
}

/// The last length-delimited field of that number; empty when there is none.
fn text(message: &[u8], number: u32) -> Result<&[u8], SchemaError> {
    let mut found: &[u8] = &[];
    each(message, number, |bytes| {
        found = bytes;
        Ok(())
    })?;
    Ok(found)
}

fn varint(message: &[u8], number: u32) -> Result<u64, SchemaError> {
    let mut found = 0;
    fields(message, |field| {
        if let (Value::Varint(value), true) = (field.value, field.number == number) {
            found = value;
        }
        Ok(())
    })?;
    Ok(found)
}

fn fields<'a>(
    message: &'a [u8],
    mut take: impl FnMut(Field<'a>) -> Result<(), SchemaError>,
) -> Result<(), SchemaError> {
    let mut cursor = Cursor::new(message);
    while !cursor.is_empty() {
        let field = cursor.field().map_err(|_stop| SchemaError::Malformed)?;
        if matches!(field.value, Value::Bytes { missing: 1.., .. }) {
            return Err(SchemaError::Malformed);
        }
        take(field)?;
    }
    Ok(())
}

fn joined(outer: &[u8], name: &[u8]) -> Vec<u8> {
    let mut joined = outer.to_vec();
    if !joined.is_empty() {
        joined.push(b'.');
    }
    joined.extend_from_slice(name);
    joined
}

/// References to types begin with a dot.
fn undotted(name: &[u8]) -> &[u8] {
    name.strip_prefix(b".").unwrap_or(name)
}
