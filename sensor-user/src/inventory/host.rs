//! Hosts as endpoints show them: lower case, without port, and without labels that could be a value.

use crate::classify::shape::Shape;

/// Longest name (RFC 1035, 2.3.4).
const MAX_HOST: usize = 253;

/// Writes the host of a `Host` field to `out`; `-` when it is none.
pub(super) fn write(field: Option<&[u8]>, out: &mut String) {
    out.clear();
    let host = field.map(without_port).filter(|host| is_host(host));
    let Some(host) = host.and_then(|host| std::str::from_utf8(host).ok()) else {
        return out.push('-');
    };
    if host.starts_with('[') {
        out.push_str(host);
    } else {
        let mut rest = host;
        while let Some(dot) = memchr::memchr(b'.', rest.as_bytes()) {
            let (label, behind) = rest.split_at(dot);
            out.push_str(shown(label));
            out.push('.');
            rest = behind.get(1..).unwrap_or_default();
        }
        out.push_str(shown(rest));
    }
    out.make_ascii_lowercase();
}

/// Digits in a row that are no number of a server any more, but an account's, a telephone's or a card's.
const MAX_DIGITS: usize = 8;
/// Letters and digits without a hyphen that a server's name has at most; keys of cloud providers have 20.
const MAX_MIXED: usize = 15;

fn shown(label: &str) -> &str {
    if is_value(label) { "*" } else { label }
}

/// Generated names of buckets, tenants and tokens; twelve hexadecimal digits are a container's id.
fn is_value(label: &str) -> bool {
    // Nothing below is true of so short a label.
    if label.len() <= MAX_DIGITS {
        return false;
    }
    let shape = Shape::of(label.as_bytes());
    let odd = label.len() >= 12 && !matches!(shape, Shape::Word | Shape::Number | Shape::Slug);
    let mut digits = label.split(|c: char| !c.is_ascii_digit());
    let mut mixed = label.split(|c: char| !c.is_ascii_alphanumeric());
    let has_digit = |run: &str| run.bytes().any(|byte| byte.is_ascii_digit());
    odd || digits.any(|run| run.len() > MAX_DIGITS)
        || mixed.any(|run| run.len() > MAX_MIXED && has_digit(run))
}

/// `host:port` and `[address]:port` (RFC 3986, 3.2).
fn without_port(field: &[u8]) -> &[u8] {
    let field = field.trim_ascii();
    if field.starts_with(b"[") {
        let end = memchr::memchr(b']', field).map_or(field.len(), |at| at + 1);
        return field.get(..end).unwrap_or_default();
    }
    let end = memchr::memchr(b':', field).unwrap_or(field.len());
    field.get(..end).unwrap_or_default()
}

fn is_host(host: &[u8]) -> bool {
    if host.is_empty() || host.len() > MAX_HOST {
        return false;
    }
    if let Some(address) = host.strip_prefix(b"[") {
        let inner = address.strip_suffix(b"]");
        let text = inner.and_then(|inner| std::str::from_utf8(inner).ok());
        return text.is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    host.iter().all(fits) && host.split(|byte| *byte == b'.').all(|label| label.len() <= 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(field: &str) -> String {
        let mut out = String::new();
        write(Some(field.as_bytes()), &mut out);
        out
    }

    #[test]
    fn hosts_lose_case_port_and_values() {
        for (field, expected) in [
            ("API.Example.com:8443", "api.example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "[::1]"),
            ("3f2a1b9c4d5e.svc.local", "*.svc.local"),
            ("4111111111111111.example", "*.example"),
            ("tenant-120363456789.example", "*.example"),
            ("AKIAJDAC3JSVOAFXZOUL.example", "*.example"),
            (
                "ip-10-0-12-240.replica-of-accounts-01",
                "ip-10-0-12-240.replica-of-accounts-01",
            ),
            ("a b", "-"),
            ("user@host", "-"),
            ("", "-"),
            ("[zz]", "-"),
        ] {
            assert_eq!(written(field), expected, "{field}");
        }
    }
}
