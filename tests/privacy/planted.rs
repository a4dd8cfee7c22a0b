//! Values that must never leave the sensor, made up anew for each place, so that a leak tells where it came from.
//!
//! Made at run time, not written down: a scanner of this repository would take them for real ones.

use sensor_tests::payload;

/// One secret or personal value.
#[derive(Clone)]
pub(crate) struct Value {
    /// What the sensor should call it.
    pub(crate) kind: &'static str,
    /// Name of the field, parameter or cookie that holds it.
    pub(crate) name: &'static str,
    /// As it is sent.
    pub(crate) text: String,
    /// The parts of it that tell something: without prefixes that all values of the kind share.
    pub(crate) secret: Vec<String>,
}

/// One value of each kind, two of those that have several families.
pub(crate) fn values(seed: u64) -> Vec<Value> {
    let mut random = Random::new(seed);
    let aws = random.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16);
    let shop = random.alnum(28);
    let git_hub = random.alnum(36);
    let git_lab = random.alnum(20);
    let (payload, signature) = (random.alnum(20), random.alnum(43));
    let claims = base64(format!("{{\"sub\":\"{payload}\"}}").as_bytes());
    let claims = claims.trim_end_matches('=');
    let header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    let lines: Vec<String> = (0..4).map(|_| random.alnum(64)).collect();
    let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
    let pem = format!("{begin}\n{}\n{end}\n", lines.join("\n"));
    vec![
        plain("payment_card", "card", card(&mut random)),
        plain("iban", "iban", iban(&mut random)),
        email(&mut random),
        plain("phone", "phone", format!("+1415{}", random.digits_from(2, 7))),
        ssn(&mut random),
        Value {
            secret: vec![claims.to_owned(), signature.clone()],
            ..plain("jwt", "assertion", format!("{header}.{claims}.{signature}"))
        },
        Value {
            secret: lines,
            ..plain("private_key", "pem", pem)
        },
        prefixed("cloud_token", "aws", "AKIA", aws),
        prefixed("cloud_token", "shop", "sk_live_", shop),
        prefixed("code_host_token", "vcs", "ghp_", git_hub),
        prefixed("code_host_token", "ci", "glpat-", git_lab),
        plain("password", "password", random.alnum(14)),
        plain("secret_field", "client_secret", random.alnum(32)),
    ]
}

fn plain(kind: &'static str, name: &'static str, text: String) -> Value {
    Value {
        kind,
        name,
        secret: vec![text.clone()],
        text,
    }
}

fn prefixed(kind: &'static str, name: &'static str, prefix: &str, secret: String) -> Value {
    Value {
        kind,
        name,
        text: format!("{prefix}{secret}"),
        secret: vec![secret],
    }
}

fn email(random: &mut Random) -> Value {
    let (user, domain) = (random.letters(12), random.letters(11));
    Value {
        secret: vec![user.clone(), domain.clone()],
        ..plain("email", "email", format!("{user}@{domain}.com"))
    }
}

fn ssn(random: &mut Random) -> Value {
    // Areas from 500 to 599, groups and serial numbers that do not begin with 0 are given out.
    let (area, group, serial) = (
        random.digits(2),
        random.digits_from(1, 2),
        random.digits_from(1, 4),
    );
    plain("us_ssn", "ssn", format!("5{area}-{group}-{serial}"))
}

/// A Visa number with its Luhn digit.
fn card(random: &mut Random) -> String {
    let front = format!("4{}", random.digits(14));
    let sum: u32 = front
        .bytes()
        .enumerate()
        .map(|(place, digit)| {
            let value = u32::from(digit - b'0') * if place % 2 == 0 { 2 } else { 1 };
            value / 10 + value % 10
        })
        .sum();
    format!("{front}{}", (10 - sum % 10) % 10)
}

/// A German one with its check digits (ISO 13616: D is 13, E is 14).
fn iban(random: &mut Random) -> String {
    let account = random.digits_from(1, 18);
    let number: u128 = format!("{account}131400").parse().unwrap();
    format!("DE{:02}{account}", 98 - number % 97)
}

/// Letters and digits that follow from a seed.
struct Random {
    bytes: std::vec::IntoIter<u8>,
}

impl Random {
    fn new(seed: u64) -> Self {
        Self {
            bytes: payload::body(seed, 4096).into_iter(),
        }
    }

    /// Three letters give 17,576 values: enough for an even choice.
    fn below(&mut self, limit: usize) -> usize {
        let number = self.bytes.by_ref().take(3);
        number.fold(0, |sum, byte| sum * 26 + usize::from(byte - b'a')) % limit
    }

    fn of(&mut self, alphabet: &str, length: usize) -> String {
        let alphabet = alphabet.as_bytes();
        (0..length)
            .map(|_| char::from(alphabet[self.below(alphabet.len())]))
            .collect()
    }

    fn alnum(&mut self, length: usize) -> String {
        self.of(
            "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            length,
        )
    }

    fn letters(&mut self, length: usize) -> String {
        self.of("abcdefghijklmnopqrstuvwxyz", length)
    }

    fn digits(&mut self, length: usize) -> String {
        self.of("0123456789", length)
    }

    /// Digits of which the first is at least `least`.
    fn digits_from(&mut self, least: usize, length: usize) -> String {
        let first = least + self.below(10 - least);
        format!("{first}{}", self.digits(length - 1))
    }
}

/// RFC 4648, 4.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_usize, |word, at| {
            word << 8 | usize::from(chunk.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let digit = if at <= chunk.len() {
                DIGITS[word >> (18 - 6 * at) & 63]
            } else {
                b'='
            };
            text.push(char::from(digit));
        }
    }
    text
}

/// RFC 3986, 2.1: everything but letters and digits.
pub(crate) fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
