//! Tokens and keys with a published prefix: what begins like one is measured, and its checksum proved where the
//! issuer published how.

use super::super::{Confidence, DataKind};
use super::{before, is_base64url, jwt, run};

/// What follows a prefix.
#[derive(Clone, Copy)]
enum Body {
    /// A run of an alphabet of so many characters.
    Run(Alphabet, usize, usize),
    /// 30 characters and the CRC-32 of them in 6 digits of base 62 (GitHub's format of April 2021; npm uses it too).
    Checked,
    /// A JSON Web Token, prefix included.
    Jwt,
    /// PEM, up to its end line.
    Pem,
}

#[derive(Clone, Copy)]
enum Alphabet {
    /// Letters and digits.
    Alnum,
    /// base64url.
    Url,
    /// base64 with padding.
    Base64,
    /// base32 in upper case.
    Base32,
    /// Lower-case hexadecimal.
    Hex,
    /// base64url and the dot.
    Dotted,
}

/// One family of tokens.
pub(in crate::classify) struct Family {
    /// What it begins with.
    pub(in crate::classify) prefix: &'static str,
    kind: DataKind,
    confidence: Confidence,
    body: Body,
}

const fn family(prefix: &'static str, kind: DataKind, confidence: u8, body: Body) -> Family {
    Family {
        prefix,
        kind,
        confidence: Confidence(confidence),
        body,
    }
}

use Alphabet::{Alnum, Base32, Base64, Dotted, Hex, Url};
use Body::{Checked, Jwt, Pem, Run};
use DataKind::{CloudToken, CodeHostToken, PrivateKey};

/// Every family. Payment processors and model providers count as cloud: their key opens an account with a provider.
pub(in crate::classify) static FAMILIES: [Family; 33] = [
    family("eyJ", DataKind::Jwt, 98, Jwt),
    family("-----BEGIN ", PrivateKey, 99, Pem),
    // AWS access key ids: 16 characters of base32 after the prefix of a long-term (AKIA) or temporary (ASIA) key.
    family("AKIA", CloudToken, 95, Run(Base32, 16, 16)),
    family("ASIA", CloudToken, 90, Run(Base32, 16, 16)),
    family("AIza", CloudToken, 95, Run(Url, 35, 35)),
    family("GOCSPX-", CloudToken, 95, Run(Url, 28, 28)),
    family("ya29.", CloudToken, 90, Run(Url, 30, 2048)),
    // A storage account key is 64 bytes: 88 characters of base64 with two of padding.
    family("AccountKey=", CloudToken, 97, Run(Base64, 88, 88)),
    family("dop_v1_", CloudToken, 97, Run(Hex, 64, 64)),
    family("SG.", CloudToken, 90, Run(Dotted, 66, 66)),
    family("sk_live_", CloudToken, 97, Run(Alnum, 16, 247)),
    family("rk_live_", CloudToken, 97, Run(Alnum, 16, 247)),
    family("sk_test_", CloudToken, 70, Run(Alnum, 16, 247)),
    family("rk_test_", CloudToken, 70, Run(Alnum, 16, 247)),
    family("sk-ant-", CloudToken, 90, Run(Url, 32, 200)),
    family("sk-proj-", CloudToken, 90, Run(Url, 32, 256)),
    family("ghp_", CodeHostToken, 75, Checked),
    family("gho_", CodeHostToken, 75, Checked),
    family("ghu_", CodeHostToken, 75, Checked),
    family("ghs_", CodeHostToken, 75, Checked),
    family("ghr_", CodeHostToken, 70, Run(Alnum, 36, 255)),
    family("github_pat_", CodeHostToken, 97, Run(Url, 82, 82)),
    family("glpat-", CodeHostToken, 92, Run(Dotted, 20, 300)),
    family("gldt-", CodeHostToken, 85, Run(Url, 20, 64)),
    family("glrt-", CodeHostToken, 85, Run(Dotted, 20, 300)),
    family("npm_", CodeHostToken, 75, Checked),
    family("pypi-AgE", CodeHostToken, 97, Run(Url, 50, 1024)),
    family("dckr_pat_", CodeHostToken, 92, Run(Url, 27, 64)),
    family("xoxb-", CodeHostToken, 92, Run(Url, 20, 255)),
    family("xoxp-", CodeHostToken, 92, Run(Url, 20, 255)),
    family("xoxa-", CodeHostToken, 90, Run(Url, 20, 255)),
    family("xoxr-", CodeHostToken, 90, Run(Url, 20, 255)),
    family("xoxs-", CodeHostToken, 90, Run(Url, 20, 255)),
];

impl Family {
    /// Measures the token whose prefix begins at `start`; gives kind, confidence and length.
    pub(in crate::classify) fn judge(
        &self,
        value: &[u8],
        start: usize,
    ) -> Option<(DataKind, Confidence, usize)> {
        let glued = before(value, start).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let whole = value.get(start..)?;
        let rest = whole.get(self.prefix.len()..)?;
        if glued {
            return None;
        }
        let (confidence, length) = match self.body {
            Jwt => (self.confidence, jwt::at_front(whole)?),
            Pem => (self.confidence, pem(whole)?),
            Checked => self.checked(rest)?,
            Run(alphabet, least, most) => {
                let length = run(rest, |byte| alphabet.has(byte));
                let sample = whole.get(..self.prefix.len() + length)?;
                if !(least..=most).contains(&length) || !looks_random(rest.get(..length)?) {
                    return None;
                }
                (sober(self.confidence, sample), sample.len())
            }
        };
        Some((self.kind, confidence, length))
    }

    fn checked(&self, rest: &[u8]) -> Option<(Confidence, usize)> {
        let length = run(rest, |byte| byte.is_ascii_alphanumeric());
        let (random, check) = rest.get(..36).filter(|_| length == 36)?.split_at_checked(30)?;
        // Issued before the format or made up for a manual: the shape alone is weaker evidence, not none.
        let confidence = if base62(crc32(random)).as_slice() == check {
            Confidence(99)
        } else {
            self.confidence
        };
        looks_random(random).then_some((confidence, self.prefix.len() + length))
    }
}

impl Alphabet {
    const fn has(self, byte: u8) -> bool {
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Url => is_base64url(byte),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Base32 => matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
            Self::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Self::Dotted => is_base64url(byte) || byte == b'.',
        }
    }
}

/// Keys printed in manuals say so.
fn sober(confidence: Confidence, sample: &[u8]) -> Confidence {
    let example = memchr::memmem::find(sample, b"EXAMPLE").is_some();
    if example {
        Confidence(confidence.0.min(60))
    } else {
        confidence
    }
}

/// Not a placeholder: at least a fifth of the characters (at most eight) differ. `xxxx` and `0000` do not.
fn looks_random(text: &[u8]) -> bool {
    let mut seen = [0_u64; 4];
    for byte in text {
        if let Some(word) = seen.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }
    let distinct: u32 = seen.iter().map(|word| word.count_ones()).sum();
    distinct as usize >= (text.len() / 5).clamp(3, 8)
}

/// Length of a PEM private key (RFC 7468; OpenSSH and PGP use the same frame).
fn pem(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"-----END ";
    let label = bytes.get(11..)?;
    let name = run(label, |byte| {
        byte.is_ascii_uppercase() || byte == b' ' || byte.is_ascii_digit()
    });
    let name_text = label.get(..name)?;
    let is_key = name_text.ends_with(b"PRIVATE KEY") || name_text.ends_with(b"PRIVATE KEY BLOCK");
    let body = label.get(name..)?.strip_prefix(b"-----")?;
    let material = body
        .iter()
        .take(128)
        .filter(|byte| byte.is_ascii_alphanumeric())
        .count();
    // The text of a prompt may hold the first line only; a key has at least 32 bytes of base64.
    if !is_key || material < 32 {
        return None;
    }
    let frame = bytes.len() - body.len();
    Some(memchr::memmem::find(body, END).map_or(bytes.len(), |end| frame + end + END.len()))
}

/// CRC-32 (IEEE 802.3), bit by bit: it runs on 30 bytes of a candidate only.
fn crc32(bytes: &[u8]) -> u32 {
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    });
    !crc
}

/// Six digits of base 62: digits, upper case, lower case.
fn base62(mut value: u32) -> [u8; 6] {
    let mut text = [b'0'; 6];
    for slot in text.iter_mut().rev() {
        let digit = u8::try_from(value % 62).unwrap_or_default();
        *slot = match digit {
            0..=9 => b'0' + digit,
            10..=35 => b'A' + digit - 10,
            _ => b'a' + digit - 36,
        };
        value /= 62;
    }
    text
}

#[cfg(test)]
mod tests;
