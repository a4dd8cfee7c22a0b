//! Decisions not to be told of findings: `[[suppress]]`.
//!
//! Takes the tables of the file. Gives decisions, each with a reason and an end, or what is wrong with them and what to do.
//! Bounded by [`MOST`].

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Decisions at most: each verdict is held against all of them.
pub(super) const MOST: usize = 256;
/// Digits of a caller's hash: fewer than eight would choose by chance, and there are no more than 32.
const DIGITS: std::ops::RangeInclusive<usize> = 8..=32;
/// Names of its settings.
const NAMES: &str = "rule, endpoint, caller, reason, until";

/// One decision.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppress {
    /// Id of the rule, such as `API3-001`.
    pub rule: String,
    /// Host and path template, such as `shop.example/api/orders/{id}`; `*` stands for any text. Every endpoint without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The caller's hash as findings show it, or that of the client's address as incidents show it for what nobody known
    /// does, or at least its first eight digits. Everybody without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// Why: for whoever reads it later.
    pub reason: String,
    /// The last day it holds (UTC), such as `2026-12-31`.
    pub until: String,
}

/// What is wrong, and what to do.
pub(super) type Wrong = (String, &'static str);

impl Suppress {
    /// Reads one table. Without `rules`, any rule of the right form may be named.
    pub(super) fn read(table: &Table, rules: &[&str]) -> Result<Self, Vec<Wrong>> {
        let mut read = Self::default();
        let mut wrong = Vec::new();
        for (name, value) in table {
            let text = match value {
                Value::String(text) => text.clone(),
                // A date may be written as TOML has it.
                Value::Datetime(date) if name == "until" => date.to_string(),
                _ => {
                    let name = name.escape_debug();
                    wrong.push((format!("suppress.{name}: not a text"), "put it into quotes"));
                    continue;
                }
            };
            match name.as_str() {
                "rule" => read.rule = text,
                "endpoint" => read.endpoint = Some(text),
                "caller" => read.caller = Some(text.to_ascii_lowercase()),
                "reason" => read.reason = text,
                "until" => read.until = text,
                _ => {
                    let name = name.escape_debug();
                    let what = format!("unknown setting `{name}` in [[suppress]], which has {NAMES}");
                    wrong.push((what, "remove it"));
                }
            }
        }
        read.check(rules, &mut wrong);
        if wrong.is_empty() { Ok(read) } else { Err(wrong) }
    }

    fn check(&self, rules: &[&str], wrong: &mut Vec<Wrong>) {
        let mut require = |right: bool, what: String, remedy| {
            if !right {
                wrong.push((what, remedy));
            }
        };
        let rule = &self.rule;
        let known = rules.is_empty() || rules.contains(&rule.as_str());
        require(
            !rule.is_empty() && known,
            format!("suppress.rule: there is no rule `{}`", rule.escape_debug()),
            "`api-sensor rules` lists them",
        );
        let reason = self.reason.trim();
        require(
            !reason.is_empty(),
            format!(
                "suppress.reason: nobody says why {} is not told",
                rule.escape_debug()
            ),
            "give a reason for whoever reads it later",
        );
        require(
            self.last_day().is_some(),
            format!("suppress.until: `{}` is no date", self.until.escape_debug()),
            "give the last day it holds, such as 2026-12-31",
        );
        let endpoint = self.endpoint.as_deref();
        require(
            endpoint.is_none_or(|endpoint| endpoint.contains(['/', '*'])),
            format!(
                "suppress.endpoint: `{}` is no endpoint",
                endpoint.unwrap_or_default().escape_debug()
            ),
            "write host and template, such as shop.example/orders/{id} or shop.example/*",
        );
        let caller = self.caller.as_deref();
        let is_hash = |caller: &str| {
            DIGITS.contains(&caller.len()) && caller.bytes().all(|digit| digit.is_ascii_hexdigit())
        };
        require(
            caller.is_none_or(is_hash),
            format!(
                "suppress.caller: `{}` is no caller's hash",
                caller.unwrap_or_default().escape_debug()
            ),
            "give the hash that findings show, or its first eight digits",
        );
    }

    fn last_day(&self) -> Option<Date> {
        self.until.parse().ok()
    }

    /// When it ends, in nanoseconds since 1970.
    pub fn ends_unix_ns(&self) -> u64 {
        let day = self.last_day().and_then(|day| day.tomorrow().ok());
        let end = day.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
        let ns = end.map_or(0, |end| end.timestamp().as_nanosecond());
        u64::try_from(ns).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Suppress, Vec<Wrong>> {
        Suppress::read(&toml::from_str(text).unwrap(), &["API3-001"])
    }

    const GOOD: &str = "rule = \"API3-001\"\nreason = \"known\"\nuntil = \"2026-12-31\"\n";

    #[test]
    fn a_decision_is_read_and_ends() {
        let known = read(GOOD).unwrap();
        // date -u -d 2027-01-01 +%s
        assert_eq!(known.ends_unix_ns(), 1_798_761_600_000_000_000);
        let native = GOOD.replace('"', "").replace("API3-001", "\"API3-001\"");
        assert_eq!(read(&native.replace("known", "\"known\"")), Ok(known));
        let whole = format!("{GOOD}endpoint = \"shop.example/*\"\ncaller = \"ABCDEF01\"\n");
        assert_eq!(read(&whole).unwrap().caller.as_deref(), Some("abcdef01"));
    }

    #[test]
    fn bad_ones_say_what_is_wrong_and_what_to_do() {
        for (from, to, wanted) in [
            (
                "API3-001",
                "API3-999",
                "suppress.rule: there is no rule `API3-999`",
            ),
            ("known", " ", "suppress.reason: nobody says why API3-001"),
            (
                "2026-12-31",
                "2026-02-30",
                "suppress.until: `2026-02-30` is no date",
            ),
            ("2026-12-31", "", "suppress.until: `` is no date"),
            ("until", "till", "unknown setting `till`"),
            (
                "rule",
                "endpoint = \"shop\"\nrule",
                "suppress.endpoint: `shop` is no endpoint",
            ),
            (
                "rule",
                "caller = \"xyz\"\nrule",
                "suppress.caller: `xyz` is no caller's hash",
            ),
            ("\"known\"", "7", "suppress.reason: not a text"),
        ] {
            let wrong = read(&GOOD.replace(from, to)).unwrap_err();
            assert!(
                wrong.iter().any(|(what, _)| what.starts_with(wanted)),
                "{wanted}: {wrong:?}"
            );
            assert!(wrong.iter().all(|(_, remedy)| !remedy.is_empty()));
        }
    }
}
