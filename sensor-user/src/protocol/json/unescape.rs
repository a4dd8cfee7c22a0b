//! Undoing the escapes of a string (RFC 8259, 7).

/// Appends what the escaped string `raw` means, which is never longer. Lone surrogates become U+FFFD; an escape that a
/// cut tore is left out.
pub fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at_checked(at).unwrap_or_default();
        out.extend_from_slice(plain);
        let Some(code) = escape.get(1).copied() else {
            return;
        };
        let mut used = 2;
        match code {
            b'b' => out.push(0x08),
            b'f' => out.push(0x0c),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' if escape.len() < UNICODE => return,
            b'u' => {
                let (decoded, length) = unicode(escape);
                used = length;
                let mut buffer = [0; 4];
                out.extend_from_slice(decoded.encode_utf8(&mut buffer).as_bytes());
            }
            other => out.push(other),
        }
        rest = escape.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// Length of `\uXXXX`.
const UNICODE: usize = 6;

/// Decodes `\uXXXX` or a surrogate pair at the front; gives the bytes used.
fn unicode(escape: &[u8]) -> (char, usize) {
    const PAIR: usize = 12;
    let Some(high) = hex4(escape.get(2..UNICODE)) else {
        return (char::REPLACEMENT_CHARACTER, UNICODE);
    };
    if let Some(plain) = char::from_u32(high) {
        return (plain, UNICODE);
    }
    let low = escape.get(6..8).filter(|mark| *mark == b"\\u");
    let low = low.and_then(|_| hex4(escape.get(8..PAIR)));
    match low {
        Some(low @ 0xdc00..=0xdfff) if high < 0xdc00 => {
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), PAIR)
        }
        _ => (char::REPLACEMENT_CHARACTER, UNICODE),
    }
}

fn hex4(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0, |value, digit| {
        Some(value << 4 | char::from(*digit).to_digit(16)?)
    })
}
