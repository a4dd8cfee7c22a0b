//! HPACK's Huffman code (RFC 7541, 5.2 and Appendix B).
//!
//! Takes a coded string. Gives its bytes, or that it is no such string. Never reads past its end. Bounded by the input:
//! the shortest code has five bits, so at most 8 bytes come of 5.

/// The string is not padded with the front of the end mark, holds the end mark, or ends within a code (5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotHuffman;

/// Lengths of the codes, by symbol; the last is the end mark. The code is canonical, so they say it all: codes are
/// numbered by length, then by symbol.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// Bytes and the end mark.
const SYMBOLS: usize = 257;

/// Bits of the longest code.
const LONGEST: u32 = 30;

const LENGTHS_END: usize = LONGEST as usize + 1;

/// Bits that one look-up takes: two codes of the characters that fields are made of (5 and 6 bits) fit.
const LOOK: u32 = 12;

/// What the next [`LOOK`] bits begin with: one symbol or two.
#[derive(Clone, Copy)]
struct Entry {
    symbols: [u8; 2],
    /// Bits of the first code; 0 when it is longer than [`LOOK`].
    first: u8,
    /// Bits of both; as `first` when there is one.
    both: u8,
}

static LOOK_UP: [Entry; 1 << LOOK] = look_up();
static CODES: Codes = Codes::new();

/// The canonical code: of each length, the first code and where its symbols begin in `order`.
struct Codes {
    first: [u32; LENGTHS_END],
    count: [u16; LENGTHS_END],
    offset: [u16; LENGTHS_END],
    order: [u16; SYMBOLS],
}

// Indices here are judged by the compiler, which evaluates it.
#[expect(clippy::cast_possible_truncation, reason = "there are 257 symbols")]
impl Codes {
    const fn new() -> Self {
        let mut codes = Self {
            first: [0; LENGTHS_END],
            count: [0; LENGTHS_END],
            offset: [0; LENGTHS_END],
            order: [0; SYMBOLS],
        };
        let (mut length, mut next, mut code) = (1, 0, 0_u32);
        while length < LENGTHS_END {
            codes.first[length] = code;
            codes.offset[length] = next;
            let mut symbol = 0;
            while symbol < SYMBOLS {
                if LENGTHS[symbol] as usize == length {
                    codes.order[next as usize] = symbol as u16;
                    next += 1;
                    code += 1;
                }
                symbol += 1;
            }
            codes.count[length] = next - codes.offset[length];
            code <<= 1;
            length += 1;
        }
        codes
    }
}

// Indices here are judged by the compiler, which evaluates it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "lengths are at most LOOK, symbols below 256"
)]
const fn look_up() -> [Entry; 1 << LOOK] {
    let codes = Codes::new();
    let none = Entry {
        symbols: [0; 2],
        first: 0,
        both: 0,
    };
    let mut table = [none; 1 << LOOK];
    let mut length = 1;
    while length <= LOOK {
        let mut nth = 0;
        while nth < codes.count[length as usize] {
            let symbol = codes.order[(codes.offset[length as usize] + nth) as usize] as u8;
            let from = (codes.first[length as usize] + nth as u32) << (LOOK - length);
            let mut at = from;
            while at < from + (1 << (LOOK - length)) {
                table[at as usize] = Entry {
                    symbols: [symbol, 0],
                    first: length as u8,
                    both: length as u8,
                };
                at += 1;
            }
            nth += 1;
        }
        length += 1;
    }
    let single = table;
    let mut at = 0;
    while at < 1 << LOOK {
        let first = single[at].first;
        if first > 0 {
            let second = single[(at << first) & ((1 << LOOK) - 1)];
            if second.first > 0 && first + second.first <= LOOK as u8 {
                table[at].symbols[1] = second.symbols[0];
                table[at].both = first + second.first;
            }
        }
        at += 1;
    }
    table
}

/// Appends the bytes of a coded string.
pub fn decode(mut input: &[u8], out: &mut Vec<u8>) -> Result<(), NotHuffman> {
    // The next bits, from the top; zeros below them.
    let (mut bits, mut held) = (0_u64, 0_u32);
    loop {
        if held <= 32
            && let Some((word, rest)) = input.split_first_chunk::<4>()
        {
            bits |= u64::from(u32::from_be_bytes(*word)) << (32 - held);
            held += 32;
            input = rest;
        }
        while held <= 56
            && let Some((byte, rest)) = input.split_first()
        {
            bits |= u64::from(*byte) << (56 - held);
            held += 8;
            input = rest;
        }
        let Some(entry) = usize::try_from(bits >> (64 - LOOK))
            .ok()
            .and_then(|at| LOOK_UP.get(at))
        else {
            return Err(NotHuffman);
        };
        let (first, both) = (u32::from(entry.first), u32::from(entry.both));
        if both > first && both <= held {
            out.extend_from_slice(&entry.symbols);
            bits <<= both;
            held -= both;
        } else if first > 0 && first <= held {
            let [symbol, _] = entry.symbols;
            out.push(symbol);
            bits <<= first;
            held -= first;
        } else if input.is_empty() && is_padding(bits, held) {
            return Ok(());
        } else {
            let (symbol, length) = long(bits, held).ok_or(NotHuffman)?;
            out.push(symbol);
            bits <<= length;
            held -= length;
        }
    }
}

/// Less than a byte of ones.
const fn is_padding(bits: u64, held: u32) -> bool {
    held < 8 && bits.leading_ones() >= held
}

/// A code of more than [`LOOK`] bits. The end mark is none.
#[cold]
fn long(bits: u64, held: u32) -> Option<(u8, u32)> {
    let mut length = LOOK + 1;
    while length <= held.min(LONGEST) {
        let code = u32::try_from(bits >> (64 - length)).ok()?;
        let nth = code.checked_sub(*CODES.first.get(length as usize)?);
        let count = u32::from(*CODES.count.get(length as usize)?);
        if let Some(nth) = nth.filter(|nth| *nth < count) {
            let offset = u32::from(*CODES.offset.get(length as usize)?);
            let symbol = CODES.order.get((offset + nth) as usize)?;
            return Some((u8::try_from(*symbol).ok()?, length));
        }
        length += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]

    use super::*;

    fn encode(text: &[u8]) -> Vec<u8> {
        let (mut out, mut bits, mut held) = (Vec::new(), 0_u64, 0);
        for byte in text {
            let length = usize::from(LENGTHS[usize::from(*byte)]);
            let nth = (0..SYMBOLS)
                .filter(|symbol| usize::from(LENGTHS[*symbol]) == length && *symbol < usize::from(*byte))
                .count();
            bits = (bits << length) | (u64::from(CODES.first[length]) + nth as u64);
            held += length;
            while held >= 8 {
                held -= 8;
                out.push((bits >> held) as u8);
            }
        }
        if held > 0 {
            out.push((bits << (8 - held)) as u8 | (0xff_u8 >> held));
        }
        out
    }

    fn decoded(input: &[u8]) -> Result<Vec<u8>, NotHuffman> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 7541, C.4.1 and C.6.1.
        let cases: [(&[u8], &str); 3] = [
            (
                b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
                "www.example.com",
            ),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache"),
            (
                b"\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3",
                "https://www.example.com",
            ),
        ];
        for (wire, text) in cases {
            assert_eq!(decoded(wire).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn the_first_and_last_codes_are_those_of_the_appendix() {
        // '0', ' ', '&', the byte 10 and the end mark.
        assert_eq!(CODES.first[5], 0);
        assert_eq!(CODES.first[6], 0x14);
        assert_eq!(CODES.first[8], 0xf8);
        assert_eq!(CODES.first[30], 0x3fff_fffc);
        assert_eq!(CODES.order[256], 256);
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encode(&all)).unwrap(), all);
        for byte in 0..=255_u8 {
            for around in [&b""[..], b"a", b"~", b"\\x"] {
                let text = [around, &[byte, byte], around].concat();
                assert_eq!(decoded(&encode(&text)).unwrap(), text);
            }
        }
    }

    #[test]
    fn bad_padding_is_refused() {
        // Zeros, a whole byte of ones, the end mark, a code that is cut.
        for wire in [
            &b"\x18"[..],
            b"\x1f\xff",
            b"\xff\xff\xff\xff",
            b"\xff\xfe",
            b"\xff\xff\xff\xfc",
        ] {
            assert_eq!(decoded(wire), Err(NotHuffman), "{wire:x?}");
        }
        assert_eq!(decoded(b""), Ok(Vec::new()));
        assert_eq!(decoded(b"\x1f"), Ok(b"a".to_vec()));
    }
}
