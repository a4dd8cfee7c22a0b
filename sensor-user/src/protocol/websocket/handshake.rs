//! The opening handshake (RFC 6455, 4) and what it agrees on.
//!
//! Takes values of header fields. Gives whether the answer proves that the server read the request, and the
//! parameters of compression (RFC 7692, 7). Never fails: what cannot be read is not agreed on. Holds nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// RFC 6455, 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A key is 16 bytes in base64 (RFC 6455, 4.1).
const KEY_BYTES: usize = 16;

/// Whether `Sec-WebSocket-Accept` answers `Sec-WebSocket-Key` (RFC 6455, 4.2.2).
pub fn accepts(key: &[u8], accept: &[u8]) -> bool {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.digest().bytes()).as_bytes() == accept
}

/// Whether it is a key: 16 bytes in base64.
pub fn is_key(key: &[u8]) -> bool {
    // 24 characters; a decoder's buffer of 18 bytes holds what they can be.
    let mut bytes = [0; 18];
    key.len() == 24
        && STANDARD
            .decode_slice(key, &mut bytes)
            .is_ok_and(|len| len == KEY_BYTES)
}

/// What `Sec-WebSocket-Extensions` of the answer agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Extensions {
    /// `permessage-deflate` (RFC 7692, 7).
    pub deflate: Option<Deflate>,
    /// Something that is not read.
    pub foreign: bool,
}

/// Parameters of `permessage-deflate` (RFC 7692, 7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Deflate {
    /// What the client sends.
    pub to_server: Window,
    /// What the server sends.
    pub to_client: Window,
}

/// How one direction is compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// Logarithm of the window: 8 to 15.
    pub bits: u8,
    /// A message refers to the ones before.
    pub takeover: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            bits: 15,
            takeover: true,
        }
    }
}

impl Extensions {
    /// Takes one field of the answer; a message may have several (RFC 6455, 9.1).
    pub fn add(&mut self, value: &[u8]) {
        for extension in value.split(|byte| *byte == b',') {
            let mut parts = extension.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            match parts.next() {
                None | Some(b"") => {}
                Some(name) if name.eq_ignore_ascii_case(b"permessage-deflate") && self.deflate.is_none() => {
                    self.deflate = parameters(parts);
                    self.foreign |= self.deflate.is_none();
                }
                Some(_) => self.foreign = true,
            }
        }
    }
}

/// RFC 7692, 7.1; `None` when one is not of those.
fn parameters<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Option<Deflate> {
    let mut deflate = Deflate {
        to_server: Window::default(),
        to_client: Window::default(),
    };
    for part in parts {
        let mut pair = part.splitn(2, |byte| *byte == b'=').map(<[u8]>::trim_ascii);
        let (name, value) = (pair.next().unwrap_or_default(), pair.next());
        match name.to_ascii_lowercase().as_slice() {
            b"server_no_context_takeover" => deflate.to_client.takeover = false,
            b"client_no_context_takeover" => deflate.to_server.takeover = false,
            b"server_max_window_bits" => deflate.to_client.bits = window_bits(value?)?,
            b"client_max_window_bits" => deflate.to_server.bits = window_bits(value?)?,
            b"" => {}
            _ => return None,
        }
    }
    Some(deflate)
}

/// 8 to 15 (RFC 7692, 7.1.2.1), perhaps in quotes (RFC 6455, 9.1).
fn window_bits(value: &[u8]) -> Option<u8> {
    let value = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value);
    let bits: u8 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (8..=15).contains(&bits).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_the_standard_is_accepted_and_no_other() {
        // RFC 6455, 1.3.
        let (key, accept) = (b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(is_key(key) && accepts(key, accept));
        assert!(!accepts(key, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOO="));
        assert!(!accepts(b"dGhlIHNhbXBsZSBub25jZR==", accept));
        assert!(!is_key(b"c2hvcnQ=") && !is_key(b"") && !is_key(b"dGhlIHNhbXBsZSBub25jZTEy"));
    }

    #[test]
    fn parameters_of_compression() {
        let of = |value: &[u8]| {
            let mut extensions = Extensions::default();
            extensions.add(value);
            extensions
        };
        let plain = of(b"permessage-deflate").deflate.unwrap();
        assert_eq!(
            (plain.to_server, plain.to_client),
            (Window::default(), Window::default())
        );
        let set = of(
            b"permessage-deflate; server_no_context_takeover; client_max_window_bits=\"10\" ; \
              server_max_window_bits=9",
        )
        .deflate
        .unwrap();
        assert_eq!((set.to_client.bits, set.to_client.takeover), (9, false));
        assert_eq!((set.to_server.bits, set.to_server.takeover), (10, true));
        for bad in [
            "client_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits",
            "x",
        ] {
            let value = format!("permessage-deflate; {bad}");
            assert_eq!(
                of(value.as_bytes()),
                Extensions {
                    deflate: None,
                    foreign: true
                },
                "{bad}"
            );
        }
        assert!(of(b"x-webkit-deflate-frame").foreign);
        assert_eq!(of(b""), Extensions::default());
    }
}
