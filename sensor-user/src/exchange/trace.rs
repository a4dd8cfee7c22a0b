//! The trace that a request says it belongs to.
//!
//! Takes a head. Gives identifiers of the trace and of the span that made the request (W3C Trace Context, level 1,
//! `traceparent`). Anybody can send one: it joins what is told to a trace, and nothing is concluded from it. Of what is no
//! `traceparent`, or of two of them, nothing.

use super::Head;

/// Bytes of the first version's value: `00-` trace `-` parent `-` flags.
const LENGTH: usize = 55;

/// What a `traceparent` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceContext {
    /// The trace; never zero.
    pub trace: [u8; 16],
    /// The span that the request is made in; never zero.
    pub parent: [u8; 8],
    /// Its maker keeps the trace.
    pub sampled: bool,
}

impl TraceContext {
    /// Of a request. A value of a later version counts by its front, as section 3.2.1.1 has it.
    pub fn of(head: &Head) -> Option<Self> {
        let mut values = head
            .fields()
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"traceparent"));
        let (_, value) = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.expose())
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let (front, rest) = value.split_at_checked(LENGTH)?;
        let mut parts = front.split(|byte| *byte == b'-');
        let [version] = hex(parts.next()?)?;
        let later = version != 0 && version != 0xff && rest.first().is_none_or(|byte| *byte == b'-');
        if !(version == 0 && rest.is_empty() || later) {
            return None;
        }
        let (trace, parent) = (hex(parts.next()?)?, hex(parts.next()?)?);
        let [flags] = hex(parts.next()?)?;
        let exists = trace != [0; 16] && parent != [0; 8] && parts.next().is_none();
        exists.then_some(Self {
            trace,
            parent,
            sampled: flags & 1 == 1,
        })
    }
}

/// Lower-case digits, as the specification asks for.
fn hex<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; BYTES];
    if pairs.len() != BYTES {
        return None;
    }
    for (to, [high, low]) in bytes.iter_mut().zip(pairs) {
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parsed(value: &str) -> Option<TraceContext> {
        TraceContext::parse(value.as_bytes())
    }

    #[test]
    fn the_specifications_example_is_read() {
        let context = parsed(GOOD).unwrap();
        assert_eq!(context.trace[..3], [0x0a, 0xf7, 0x65]);
        assert_eq!(context.parent[7], 0x31);
        assert!(context.sampled);
        assert!(!parsed(&GOOD.replace("-01", "-00")).unwrap().sampled);
        assert!(parsed(&GOOD.replace("-01", "-ff")).unwrap().sampled);
        assert_eq!(parsed(&format!("cc{}", &GOOD[2..])), Some(context));
        assert_eq!(
            parsed(&format!("cc{}-what-comes-later", &GOOD[2..])),
            Some(context)
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        for bad in [
            "",
            "00",
            &format!("{GOOD}-"),
            &format!("{GOOD}-more"),
            &format!("ff{}", &GOOD[2..]),
            &format!("cc{}.later", &GOOD[2..]),
            &GOOD.to_uppercase(),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("0af7", "0ag7"),
            &GOOD.replace("-b7", "b-7"),
            &GOOD.replace('-', "_"),
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_no_fault(value: Vec<u8>) {
            TraceContext::parse(&value);
        }

        #[test]
        fn what_is_written_is_read(trace: [u8; 16], parent: [u8; 8], flags: u8) {
            let (long, short) = (u128::from_be_bytes(trace), u64::from_be_bytes(parent));
            let value = format!("00-{long:032x}-{short:016x}-{flags:02x}");
            let real = trace != [0; 16] && parent != [0; 8];
            let expected = real.then_some(TraceContext { trace, parent, sampled: flags & 1 == 1 });
            prop_assert_eq!(parsed(&value), expected);
        }
    }
}
