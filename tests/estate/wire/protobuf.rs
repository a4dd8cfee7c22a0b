//! Fields of protobuf messages (<https://protobuf.dev/programming-guides/encoding/>).

pub(crate) fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    varint(u64::from(field) << 3, out);
    varint(value, out);
}

pub(crate) fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    varint(u64::from(field) << 3 | 2, out);
    varint(value.len() as u64, out);
    out.extend(value);
}

/// A text, or anything that displays as one.
pub(crate) fn text(field: u32, value: &dyn std::fmt::Display, out: &mut Vec<u8>) {
    bytes(field, value.to_string().as_bytes(), out);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 128 {
        out.push((value % 128) as u8 | 128);
        value /= 128;
    }
    out.push(value as u8);
}
