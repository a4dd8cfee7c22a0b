//! Is any planted value, or eight characters of one, in these bytes?

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::planted::{Value, base64, percent};

/// Characters of a secret that tell too much. Digits alone turn up by chance in clocks and counters, so more of them.
const WINDOW: usize = 8;
const DIGITS_WINDOW: usize = 10;
/// Bytes whose list, as `Debug` prints a slice, is looked for.
const LISTED: usize = 6;

/// What must not be found: a text, and where its value was planted.
pub(crate) struct Forbidden {
    /// By length, so that each is looked up at each position.
    by_length: HashMap<usize, HashMap<Vec<u8>, String>>,
}

impl Forbidden {
    /// Every form of values; `planted` is told in failures.
    pub(crate) fn of<'a>(values: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Self {
        let mut forbidden = Self {
            by_length: HashMap::new(),
        };
        for (place, value) in values {
            let what = format!("{} of {place}", value.kind);
            let escaped = serde_json::to_string(&value.text).unwrap();
            for text in [&value.text, &percent(&value.text), escaped.trim_matches('"')] {
                forbidden.add(text.as_bytes(), &what);
                forbidden.add(text.to_lowercase().as_bytes(), &what);
            }
            for secret in &value.secret {
                forbidden.windows(secret, &what);
                forbidden.windows(&secret.to_lowercase(), &what);
                forbidden.windows(&secret.to_uppercase(), &what);
                forbidden.windows(base64(secret.as_bytes()).trim_end_matches('='), &what);
                forbidden.add(hexadecimal(secret).as_bytes(), &what);
                let list: Vec<_> = secret.bytes().take(LISTED).map(|byte| byte.to_string()).collect();
                forbidden.add(list.join(", ").as_bytes(), &what);
            }
        }
        forbidden
    }

    fn windows(&mut self, secret: &str, what: &str) {
        let digits = secret.bytes().all(|byte| !byte.is_ascii_alphabetic());
        let window = if digits { DIGITS_WINDOW } else { WINDOW };
        for part in secret.as_bytes().windows(window) {
            self.add(part, what);
        }
    }

    fn add(&mut self, text: &[u8], what: &str) {
        let same = self.by_length.entry(text.len()).or_default();
        same.insert(text.to_vec(), what.to_owned());
    }

    /// How many texts are looked for.
    pub(crate) fn len(&self) -> usize {
        self.by_length.values().map(HashMap::len).sum()
    }

    /// What was found, and the line around it.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (length, texts) in &self.by_length {
            for (at, window) in bytes.windows(*length).enumerate() {
                if let Some(what) = texts.get(window) {
                    let around = &bytes[at.saturating_sub(80)..bytes.len().min(at + length + 40)];
                    found.push(format!("{what}: ...{}...", String::from_utf8_lossy(around)));
                }
            }
        }
        found
    }

    /// Fails when something is found.
    pub(crate) fn assert_absent(&self, output: &str, bytes: &[u8]) {
        let found = self.found_in(bytes);
        let first: Vec<_> = found.iter().take(5).collect();
        assert!(found.is_empty(), "{} leaks in {output}: {first:#?}", found.len());
    }
}

fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

#[test]
fn each_form_of_a_leak_is_seen() {
    let values = crate::planted::values(99);
    let forbidden = Forbidden::of(values.iter().map(|value| ("here", value)));
    for value in &values {
        let secret = &value.secret[0];
        let part = &secret[1..secret.len().min(12)];
        let list = format!("{:?}", secret.as_bytes());
        for leak in [
            value.text.clone(),
            percent(&value.text),
            format!("{:?}", value.text),
            format!("-{part}-"),
            format!("{part}-").to_lowercase(),
            base64(secret.as_bytes()),
            hexadecimal(secret),
            list,
        ] {
            let output = format!("before {leak} after");
            assert!(
                !forbidden.found_in(output.as_bytes()).is_empty(),
                "{}: {leak}",
                value.kind
            );
        }
    }
    let masked = "41************11 DE******************03 4**********9 /users/{id} eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    assert_eq!(forbidden.found_in(masked.as_bytes()), Vec::<String>::new());
}
