//! Messages of OTLP, written straight from what is told.
//!
//! Takes fields. Gives protobuf bytes (opentelemetry-proto 1.x; field numbers are theirs). Nothing is allocated but the
//! bytes: building the crate's messages first costs three times what encoding them does, most of it for names of
//! attributes. Bounded by the fields.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::export::field::Value;

/// A message of which nothing is wrong but that its length is not known yet.
pub(super) type Bytes = Vec<u8>;

/// Whole number that is 0 when absent.
pub(super) fn number(out: &mut Bytes, tag: u32, value: u64) {
    if value != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(value, out);
    }
}

/// Eight bytes, such as a time.
pub(super) fn fixed64(out: &mut Bytes, tag: u32, value: u64) {
    encode_key(tag, WireType::SixtyFourBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Four bytes, such as flags.
pub(super) fn fixed32(out: &mut Bytes, tag: u32, value: u32) {
    encode_key(tag, WireType::ThirtyTwoBit, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Text, identifiers, or a message that is encoded already.
pub(super) fn bytes(out: &mut Bytes, tag: u32, value: &[u8]) {
    length(out, tag, value.len());
    out.extend_from_slice(value);
}

/// `KeyValue`: key 1, value 2.
pub(super) fn attribute(out: &mut Bytes, tag: u32, name: &str, value: &Value<'_>) {
    let any = any_length(value);
    length(out, tag, delimited(1, name.len()) + delimited(2, any));
    bytes(out, 1, name.as_bytes());
    any_value(out, 2, value);
}

/// `AnyValue`: text 1, flag 2, whole number 3, decimal 4, list 5 of values 1.
pub(super) fn any_value(out: &mut Bytes, tag: u32, value: &Value<'_>) {
    length(out, tag, any_length(value));
    match value {
        Value::Text(text) => bytes(out, 1, text.as_bytes()),
        Value::Flag(flag) => {
            encode_key(2, WireType::Varint, out);
            encode_varint((*flag).into(), out);
        }
        Value::Count(count) => {
            encode_key(3, WireType::Varint, out);
            encode_varint(signed(*count), out);
        }
        Value::Seconds(seconds) => {
            encode_key(4, WireType::SixtyFourBit, out);
            out.extend_from_slice(&seconds.to_le_bytes());
        }
        Value::Texts(texts) => {
            length(out, 5, texts_length(texts));
            for text in texts {
                length(out, 1, delimited(1, text.len()));
                bytes(out, 1, text.as_bytes());
            }
        }
    }
}

/// `InstrumentationScope` of everything that the sensor tells: name 1, version 2.
pub(super) fn scope() -> Bytes {
    let mut out = Vec::new();
    bytes(&mut out, 1, b"api-sensor");
    bytes(&mut out, 2, env!("CARGO_PKG_VERSION").as_bytes());
    out
}

/// OTLP's whole numbers have a sign.
const fn signed(count: u64) -> u64 {
    if count > i64::MAX.cast_unsigned() {
        i64::MAX.cast_unsigned()
    } else {
        count
    }
}

pub(super) fn length(out: &mut Bytes, tag: u32, length: usize) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

/// Bytes of something with a length before it.
pub(super) fn delimited(tag: u32, length: usize) -> usize {
    key_len(tag) + encoded_len_varint(length as u64) + length
}

fn texts_length(texts: &[String]) -> usize {
    let each = texts.iter().map(|text| delimited(1, delimited(1, text.len())));
    each.sum()
}

fn any_length(value: &Value<'_>) -> usize {
    match value {
        Value::Text(text) => delimited(1, text.len()),
        Value::Flag(_) => 2,
        Value::Count(count) => 1 + encoded_len_varint(signed(*count)),
        Value::Seconds(_) => 9,
        Value::Texts(texts) => delimited(5, texts_length(texts)),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn any(value: &Value<'_>) -> Any {
        match value {
            Value::Text(text) => Any::StringValue(text.to_string()),
            Value::Flag(flag) => Any::BoolValue(*flag),
            Value::Count(count) => Any::IntValue(i64::try_from(*count).unwrap_or(i64::MAX)),
            Value::Seconds(seconds) => Any::DoubleValue(*seconds),
            Value::Texts(texts) => {
                let values = texts.iter().map(|text| AnyValue {
                    value: Some(Any::StringValue(text.clone())),
                });
                Any::ArrayValue(opentelemetry_proto::tonic::common::v1::ArrayValue {
                    values: values.collect(),
                })
            }
        }
    }

    fn values() -> impl Strategy<Value = Value<'static>> {
        prop_oneof![
            ".{0,300}".prop_map(|text| Value::Text(text.into())),
            proptest::bool::ANY.prop_map(Value::Flag),
            proptest::num::u64::ANY.prop_map(Value::Count),
            (-1e9..1e9_f64).prop_map(Value::Seconds),
            proptest::collection::vec(".{0,200}", 0..4).prop_map(Value::Texts),
        ]
    }

    proptest! {
        #[test]
        fn the_crates_messages_say_the_same(fields in proptest::collection::vec(("[a-z._]{1,200}", values()), 0..6)) {
            let mut out = Vec::new();
            for (name, value) in &fields {
                attribute(&mut out, 1, name, value);
            }
            let attributes = fields.iter().map(|(name, value)| KeyValue {
                key: name.clone(),
                value: Some(AnyValue { value: Some(any(value)) }),
                ..KeyValue::default()
            });
            let expected = Resource { attributes: attributes.collect(), ..Resource::default() };
            prop_assert_eq!(&Resource::decode(out.as_slice()).unwrap(), &expected);
            prop_assert_eq!(out, expected.encode_to_vec());
        }
    }
}
