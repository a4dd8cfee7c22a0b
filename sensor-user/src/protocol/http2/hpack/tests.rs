#![expect(clippy::cast_possible_truncation, reason = "numbers of tests are small")]

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    bytes: 16_384,
    fields: 128,
};

fn show(block: &Block) -> Vec<String> {
    let text = |span: Option<Span>| {
        span.map_or("?".to_owned(), |span| {
            String::from_utf8_lossy(block.bytes(span)).into_owned()
        })
    };
    block
        .fields
        .iter()
        .map(|field| format!("{}={}", text(field.name), text(field.value)))
        .collect()
}

fn decode(decoder: &mut Decoder, wire: &[u8]) -> (Result<(), Fault>, Vec<String>) {
    let mut block = Block::default();
    let result = decoder.decode(wire, &mut block);
    (result, show(&block))
}

/// RFC 7541, C.4.
const REQUESTS: [&[u8]; 3] = [
    b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
    b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf",
    b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
];

#[test]
fn the_examples_of_the_rfc() {
    let mut decoder = Decoder::new(LIMITS);
    let expected = [
        ":method=GET :scheme=http :path=/ :authority=www.example.com",
        ":method=GET :scheme=http :path=/ :authority=www.example.com cache-control=no-cache",
        ":method=GET :scheme=https :path=/index.html :authority=www.example.com custom-key=custom-value",
    ];
    for (wire, expected) in REQUESTS.iter().zip(expected) {
        let (result, fields) = decode(&mut decoder, wire);
        assert_eq!((result, fields.join(" ")), (Ok(()), expected.to_owned()));
    }
}

#[test]
fn an_index_into_an_unknown_table_is_unknown_and_never_wrong() {
    let mut decoder = Decoder::joined(LIMITS);
    let (result, fields) = decode(&mut decoder, REQUESTS[1]);
    assert_eq!(result, Ok(()));
    assert_eq!(
        fields,
        [
            ":method=GET",
            ":scheme=http",
            ":path=/",
            "?=?",
            "cache-control=no-cache"
        ]
    );
    // The entry added after the join is known by its place from the newest; the one before it is not.
    let (result, fields) = decode(&mut decoder, b"\xbe\xbf\x7f\x00\x01x\x0f\x2f\x01y");
    assert_eq!(result, Ok(()));
    assert_eq!(fields, ["cache-control=no-cache", "?=?", "?=x", "?=y"]);
    let (_, fields) = decode(&mut decoder, b"\xbe\xbf");
    assert_eq!(fields, ["?=x", "cache-control=no-cache"]);
}

#[test]
fn faults_are_told_apart_and_leave_an_unknown_table() {
    let cases: [(&[u8], Fault); 8] = [
        (b"\x80", Fault::Index),
        (b"\xbe", Fault::Index),
        (b"\x82\x20", Fault::LateResize),
        (b"\xff\xff\xff\xff\xff\xff", Fault::Integer),
        (b"\x7f", Fault::Cut),
        (b"\x40\x05abc", Fault::Cut),
        (b"\x40", Fault::Cut),
        (b"\x40\x81\xfe\x01a", Fault::Huffman),
    ];
    for (wire, fault) in cases {
        let mut decoder = Decoder::new(LIMITS);
        assert_eq!(decode(&mut decoder, wire).0, Err(fault), "{wire:x?}");
        assert_eq!(
            decode(&mut decoder, b"\xbe"),
            (Ok(()), vec!["?=?".to_owned()]),
            "{wire:x?}"
        );
    }
}

#[test]
fn a_block_that_unfolds_without_end_is_bounded_and_keeps_the_table_right() {
    let mut decoder = Decoder::new(LIMITS);
    // 4,000 bytes in one entry, then pointed at a thousand times, then another entry.
    let value = 4000_u32;
    let mut wire = b"\x40\x01a\x7f".to_vec();
    let rest = value - 127;
    wire.extend([(rest & 0x7f) as u8 | 0x80, (rest >> 7) as u8]);
    wire.extend([b'x'; 4000]);
    wire.extend([0xbe; 1000]);
    wire.extend(b"\x40\x01b\x01c");
    let mut block = Block::default();
    assert_eq!(decoder.decode(&wire, &mut block), Ok(()));
    assert!(block.overflowed);
    assert!(block.text.len() <= LIMITS.bytes);
    assert_eq!(decode(&mut decoder, b"\xbe").1, ["b=c"]);
}

/// Some blocks that one encoder could have written, in order.
fn story() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let field = prop_oneof![
        (1_u8..=61).prop_map(|index| vec![0x80 | index]),
        ("[a-z]{1,9}", "[ -~]{0,20}").prop_map(|(name, value)| {
            let mut wire = vec![0x40, name.len() as u8];
            wire.extend(name.as_bytes());
            wire.push(value.len() as u8);
            wire.extend(value.as_bytes());
            wire
        }),
        // The newest entry, which is there once any was added: see below.
        Just(vec![0xbe]),
        Just(b"\x7e\x01v".to_vec()),
    ];
    let block = prop::collection::vec(field, 1..6).prop_map(|fields| fields.concat());
    prop::collection::vec(block, 1..8).prop_map(|mut blocks| {
        blocks.insert(0, b"\x40\x01n\x01v".to_vec());
        blocks
    })
}

proptest! {
    #[test]
    fn nothing_panics(wire in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(decode(&mut Decoder::new(LIMITS), &wire));
        drop(decode(&mut Decoder::joined(LIMITS), &wire));
    }

    #[test]
    fn a_lost_block_makes_fields_unknown_and_none_wrong(blocks in story(), lost in 0_usize..8) {
        let (mut whole, mut holed) = (Decoder::new(LIMITS), Decoder::new(LIMITS));
        for (nth, wire) in blocks.iter().enumerate() {
            let (result, expected) = decode(&mut whole, wire);
            prop_assert_eq!(result, Ok(()));
            if nth == lost {
                holed.lose();
                continue;
            }
            let (result, fields) = decode(&mut holed, wire);
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(fields.len(), expected.len());
            for (field, expected) in fields.iter().zip(expected) {
                let (name, value) = field.split_once('=').unwrap();
                let (true_name, true_value) = expected.split_once('=').unwrap();
                prop_assert!(name == "?" || name == true_name);
                prop_assert!(value == "?" || value == true_value);
            }
        }
    }
}
