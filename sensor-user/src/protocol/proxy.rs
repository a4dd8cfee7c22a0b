//! The PROXY protocol's header: whom a proxy speaks for (haproxy.org, proxy-protocol.txt, versions 1 and 2).
//!
//! Takes the first bytes of a connection. Gives the header's length and the client's address, when it names one. Never
//! takes for a header what is none. Bounded by [`V1_MOST`] and [`V2_MOST`] bytes.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;

/// Longest header of version 1, line end included (2.1).
const V1_MOST: usize = 107;
const V1_BEGIN: &[u8] = b"PROXY ";
/// First twelve bytes of version 2 (2.2).
const V2_BEGIN: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length of the rest.
const V2_FIXED: usize = 16;
/// Longest rest of version 2 that is read: the addresses take 216 bytes at most, the others are type-length-value
/// fields, of which a client certificate's are the largest known.
const V2_MOST: usize = 4096;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    /// A header of that many bytes. The client is `None` when the proxy speaks for itself or does not say.
    Header {
        /// Bytes of it.
        length: NonZeroUsize,
        /// The client's address and port.
        client: Option<(IpAddr, u16)>,
    },
    /// Call again once this many bytes are there.
    NeedMore(NonZeroUsize),
    /// No header.
    Other,
}

/// Looks at the first bytes of a connection.
pub fn front(prefix: &[u8]) -> Front {
    if begins(prefix, V1_BEGIN) {
        return version_1(prefix);
    }
    if begins(prefix, V2_BEGIN) {
        return version_2(prefix);
    }
    Front::Other
}

/// Whether `prefix` begins with `wanted`, as far as it goes.
fn begins(prefix: &[u8], wanted: &[u8]) -> bool {
    let length = prefix.len().min(wanted.len());
    prefix.get(..length) == wanted.get(..length)
}

fn more(length: usize) -> Front {
    Front::NeedMore(NonZeroUsize::MIN.saturating_add(length))
}

fn header(length: usize, client: Option<(IpAddr, u16)>) -> Front {
    NonZeroUsize::new(length).map_or(Front::Other, |length| Front::Header { length, client })
}

fn version_1(prefix: &[u8]) -> Front {
    let seen = prefix.get(..V1_MOST).unwrap_or(prefix);
    let Some(end) = memchr::memchr(b'\n', seen) else {
        return if seen.len() < V1_MOST {
            more(prefix.len())
        } else {
            Front::Other
        };
    };
    let line = seen
        .get(V1_BEGIN.len()..end)
        .and_then(|line| line.strip_suffix(b"\r"))
        .and_then(|line| str::from_utf8(line).ok());
    match line {
        Some(line) if line == "UNKNOWN" || line.starts_with("UNKNOWN ") => header(end + 1, None),
        Some(line) => named(line).map_or(Front::Other, |client| header(end + 1, Some(client))),
        None => Front::Other,
    }
}

/// `TCP4 SOURCE DESTINATION PORT PORT`.
fn named(line: &str) -> Option<(IpAddr, u16)> {
    let mut words = line.split(' ');
    let family = words.next()?;
    let (source, destination): (IpAddr, IpAddr) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let (port, _): (u16, u16) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then_some((source.to_canonical(), port))
}

fn version_2(prefix: &[u8]) -> Front {
    let Some(fixed) = prefix.first_chunk::<V2_FIXED>() else {
        return more(prefix.len());
    };
    let [.., command, family, high, low] = *fixed;
    let rest = usize::from(u16::from_be_bytes([high, low]));
    // Version 2; LOCAL is command 0 and PROXY is 1 (2.2).
    if !matches!(command, 0x20 | 0x21) || rest > V2_MOST {
        return Front::Other;
    }
    let length = V2_FIXED + rest;
    let Some(addresses) = prefix.get(V2_FIXED..length) else {
        return Front::NeedMore(NonZeroUsize::MIN.saturating_add(length - 1));
    };
    if command == 0x20 {
        return header(length, None);
    }
    // Source, destination, source port, destination port.
    let client = match family {
        0x11 => addresses
            .first_chunk::<12>()
            .map(|[a, b, c, d, _, _, _, _, high, low, ..]| {
                (
                    Ipv4Addr::new(*a, *b, *c, *d).into(),
                    u16::from_be_bytes([*high, *low]),
                )
            }),
        0x21 => addresses.split_first_chunk::<16>().and_then(|(source, rest)| {
            let [high, low] = *rest.get(16..18)?.first_chunk()?;
            Some((
                Ipv6Addr::from(*source).to_canonical(),
                u16::from_be_bytes([high, low]),
            ))
        }),
        // Unspecified, datagrams, UNIX sockets: no address of a client on a network.
        _ => None,
    };
    header(length, client)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut raw = V2_BEGIN.to_vec();
        raw.extend([command, family]);
        raw.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        raw.extend(rest);
        raw
    }

    fn client(raw: &[u8]) -> Option<(usize, Option<(IpAddr, u16)>)> {
        match front(raw) {
            Front::Header { length, client } => Some((length.get(), client)),
            Front::NeedMore(_) | Front::Other => None,
        }
    }

    #[test]
    fn version_1_names_the_client() {
        let raw = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n";
        assert_eq!(
            client(raw),
            Some((45, Some(("192.0.2.7".parse().unwrap(), 56_324))))
        );
        let raw = b"PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n";
        assert_eq!(
            client(raw),
            Some((raw.len(), Some(("2001:db8::7".parse().unwrap(), 1))))
        );
        assert_eq!(client(b"PROXY UNKNOWN\r\n"), Some((15, None)));
        assert_eq!(client(b"PROXY UNKNOWN ff:: ff:: 1 2\r\n"), Some((29, None)));
    }

    #[test]
    fn version_2_names_the_client() {
        let rest = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x34, 0, 80, 1, 2, 3];
        let raw = v2(0x21, 0x11, &rest);
        assert_eq!(
            client(&raw),
            Some((31, Some(("192.0.2.7".parse().unwrap(), 0x1234))))
        );
        let mut rest = [0; 36];
        rest[15] = 1;
        rest[32] = 0x12;
        rest[33] = 0x34;
        assert_eq!(
            client(&v2(0x21, 0x21, &rest)),
            Some((52, Some(("::1".parse().unwrap(), 0x1234))))
        );
        assert_eq!(
            client(&v2(0x20, 0, &[])),
            Some((16, None)),
            "the proxy speaks for itself"
        );
        assert_eq!(
            client(&v2(0x21, 0x31, &[0; 216])),
            Some((232, None)),
            "a UNIX socket"
        );
        assert_eq!(
            client(&v2(0x21, 0x11, &[0; 3])),
            Some((19, None)),
            "too short for addresses"
        );
    }

    #[test]
    fn what_is_no_header_is_left_alone() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let others: [&[u8]; 9] = [
            b"POST / HTTP/1.1\r\n",
            b"PROXY / HTTP/1.1\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
            b"PROXY \xff\xff\r\n",
            b"\r\n\r\nGET /",
            &long,
        ];
        for raw in others {
            assert_eq!(front(raw), Front::Other, "{}", raw.escape_ascii());
        }
        assert_eq!(front(&v2(0x31, 0x11, &[0; 12])), Front::Other, "version 3");
        assert_eq!(
            front(&v2(0x21, 0x11, &[0; V2_MOST + 1])),
            Front::Other,
            "beyond the bound"
        );
    }

    #[test]
    fn a_shorter_prefix_never_says_otherwise() {
        let headers = [
            b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n".to_vec(),
            v2(0x21, 0x11, &[1; 30]),
        ];
        for raw in headers {
            for cut in 1..raw.len() {
                assert!(
                    matches!(front(&raw[..cut]), Front::NeedMore(least) if least.get() > cut && least.get() <= raw.len()),
                    "{cut}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(begin in 0_usize..3, raw in proptest::collection::vec(any::<u8>(), 0..300)) {
            let raw = [[b"".as_slice(), V1_BEGIN, V2_BEGIN][begin], &raw].concat();
            match front(&raw) {
                Front::Header { length, .. } => prop_assert!(length.get() <= raw.len()),
                Front::NeedMore(least) => {
                    prop_assert!(least.get() > raw.len());
                    prop_assert!(least.get() <= V2_FIXED + V2_MOST);
                }
                Front::Other => {}
            }
        }
    }
}
