//! Findings that somebody decided not to be told of.
//!
//! Takes the configuration's decisions, each with a reason and an end. Says which of them covers a verdict at its time,
//! by the traffic's clock. Never suppresses for ever. Bounded by the configuration.

use crate::detect::Mark;

/// One decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suppression {
    /// Id of the rule.
    pub rule: String,
    /// Host and template, `*` for any text; `None` for every endpoint.
    pub endpoint: Option<String>,
    /// The caller's hash in hexadecimal digits, or its beginning; of what nobody known does, the client's address's. `None`
    /// for everybody.
    pub caller: Option<String>,
    /// Until when, in nanoseconds since 1970.
    pub until_ns: u64,
}

impl Suppression {
    /// Whether it covers a verdict.
    pub fn covers(&self, mark: &Mark) -> bool {
        // Whom an incident would be about: behind an address there may be many callers.
        let caller = |wanted: &String| {
            let hash = mark.caller.or(mark.client);
            hash.is_some_and(|hash| hash.to_string().starts_with(wanted.as_str()))
        };
        let place = |pattern: &String| {
            let endpoint = &mark.endpoint;
            matches(
                pattern,
                &[endpoint.host.as_bytes(), endpoint.template.as_bytes()].concat(),
            )
        };
        mark.rule.id.0 == self.rule
            && mark.time_ns < self.until_ns
            && self.endpoint.as_ref().is_none_or(place)
            && self.caller.as_ref().is_none_or(caller)
    }
}

/// Whether a text is as a pattern says, in which `*` stands for any text. Each star goes on from where the one before
/// ended at the earliest, so the work is at most the product of both lengths.
fn matches(pattern: &str, text: &[u8]) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first.as_bytes())) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match find(rest, part.as_bytes()) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last.as_bytes())
}

/// What is behind a text.
fn find<'a>(text: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let windows = (0..=text.len()).filter_map(|at| text.get(at..));
    windows.into_iter().find_map(|rest| rest.strip_prefix(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let text = b"shop.example/api/orders/{id}";
        for pattern in [
            "shop.example/api/orders/{id}",
            "*",
            "shop.example/*",
            "*/orders/*",
            "shop.*/api/*{id}",
            "**",
        ] {
            assert!(matches(pattern, text), "{pattern}");
        }
        for pattern in [
            "",
            "shop.example",
            "*/orders",
            "shop.example/api/*/x",
            "x*",
            "*{id}{id}",
        ] {
            assert!(!matches(pattern, text), "{pattern}");
        }
    }
}
