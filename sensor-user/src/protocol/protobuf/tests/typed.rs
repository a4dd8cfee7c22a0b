//! Messages of known types.

use super::super::{Schema, SchemaError, Walker};
use super::{Line, Writer};
use crate::protocol::walk::Ending;

/// `FieldDescriptorProto`.
fn field(name: &str, number: u64, label: u64, kind: u64, refers: &str) -> Vec<u8> {
    let written = Writer::default()
        .bytes(1, name.as_bytes())
        .varint(3, number)
        .varint(4, label)
        .varint(5, kind);
    if refers.is_empty() {
        written.0
    } else {
        written.bytes(6, refers.as_bytes()).0
    }
}

/// A set of one file: `shop.Orders/Place (Order) returns (Receipt)`.
fn set() -> Vec<u8> {
    let line = Writer::default()
        .bytes(1, b"Line")
        .bytes(2, &field("sku", 1, 1, 9, ""))
        .bytes(2, &field("amount", 2, 1, 17, ""));
    let order = [
        field("customer", 1, 1, 9, ""),
        field("lines", 2, 3, 11, ".shop.Order.Line"),
        field("codes", 3, 3, 5, ""),
        field("token", 4, 1, 12, ""),
        field("paid", 5, 1, 8, ""),
        field("total", 6, 1, 1, ""),
        field("elsewhere", 7, 1, 11, ".other.Unknown"),
        field("ratios", 8, 3, 2, ""),
    ];
    let order = order
        .iter()
        .fold(Writer::default().bytes(1, b"Order"), |written, field| {
            written.bytes(2, field)
        });
    let order = order.bytes(3, &line.0);
    let receipt = Writer::default()
        .bytes(1, b"Receipt")
        .bytes(2, &field("id", 1, 1, 4, ""));
    let method = Writer::default()
        .bytes(1, b"Place")
        .bytes(2, b".shop.Order")
        .bytes(3, b".shop.Receipt");
    let service = Writer::default().bytes(1, b"Orders").bytes(2, &method.0);
    let file = Writer::default()
        .bytes(1, b"shop.proto")
        .bytes(2, b"shop")
        .bytes(4, &order.0)
        .bytes(4, &receipt.0)
        .bytes(6, &service.0);
    Writer::default().bytes(1, &file.0).0
}

fn told(bytes: &[u8]) -> (String, Ending) {
    let set = set();
    let schema = Schema::parse(&set).unwrap();
    let method = schema.method(b"shop.Orders/Place").unwrap();
    let mut line = Line::default();
    let ending = Walker::new(1024).walk(bytes, true, method.request, &mut line);
    (line.0, ending)
}

#[test]
fn fields_have_their_names_and_types() {
    let line = |sku: &[u8], amount| Writer::default().bytes(1, sku).varint(2, amount).0;
    let order = Writer::default()
        .bytes(1, b"hi")
        .bytes(2, &line(b"a-1", 3))
        .bytes(2, &line(b"b-2", 4))
        .bytes(3, &[1, 2, 0x80, 1])
        .varint(3, 9)
        .bytes(4, b"text in bytes")
        .varint(5, 1)
        .fixed(6, 1, &12.5_f64.to_le_bytes())
        .bytes(7, &Writer::default().bytes(1, b"who knows this").0)
        .bytes(8, &[0.5_f32.to_le_bytes(), 2_f32.to_le_bytes()].concat())
        .varint(99, 1);
    let expected = "{customer:'hi' lines:[{sku:'a-1' amount:-2 }{sku:'b-2' amount:2 }}codes:[1 2 128 9 }token:x13 \
                    paid:true total:1.25e1 elsewhere:{1:'who knows this' }ratios:[5e-1 2e0 }99:1 }";
    assert_eq!(told(&order.0), (expected.to_owned(), Ending::Complete));
}

#[test]
fn a_schema_that_is_older_than_the_message_does_not_mislead() {
    // `customer` as a number and `paid` as a message.
    let order = Writer::default()
        .varint(1, 5)
        .bytes(5, &Writer::default().bytes(1, b"now a message").0);
    assert_eq!(told(&order.0).0, "{1:5 5:{1:'now a message' }}");
    // A string that is none.
    assert_eq!(
        told(&Writer::default().bytes(1, &[0xff, 0xfe]).0).0,
        "{customer:x2 }"
    );
}

#[test]
fn methods_and_types_are_found_by_name() {
    let set = set();
    let schema = Schema::parse(&set).unwrap();
    assert!(schema.message(b"shop.Order.Line").is_some());
    assert!(schema.message(b"shop.Line").is_none() && schema.method(b"shop.Orders/Other").is_none());
    assert_eq!(schema.methods().collect::<Vec<_>>(), [b"shop.Orders/Place"]);
    assert!(!schema.is_empty() && Schema::parse(&[]).unwrap().is_empty());
}

#[test]
fn what_is_no_set_is_refused() {
    let set = set();
    for cut in 1..set.len() {
        assert_eq!(
            Schema::parse(&set[..cut]).unwrap_err(),
            SchemaError::Malformed,
            "cut at {cut}"
        );
    }
    assert_eq!(
        Schema::parse(b"syntax = \"proto3\";").unwrap_err(),
        SchemaError::Malformed
    );
}
