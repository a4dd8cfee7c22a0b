//! Which rules may find which weakness. A rule that lands is switched on by its line in [`LANDED`].

/// Rules that exist: a weakness with one of them must be found.
pub(crate) const LANDED: &[&str] = &[
    "API1-001", //
    "API1-002", //
    "API1-003", //
    "API1-004", //
    "API1-005", //
    "API2-001", //
    "API2-002", //
    "API2-003", //
    "API2-004", //
    "API2-005", //
    "API2-006", //
    "API2-007", //
    "API2-008", //
    "API2-009", //
    "API3-001", //
    "API3-002", //
    "API3-003", //
    "API3-004", //
    "API5-001", //
    "API5-002", //
    "API5-003", //
    "API8-001", //
];

/// A weakness of the shop, by the name that the attacks give it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weakness {
    pub(crate) name: &'static str,
    /// Any of these rules finds it.
    pub(crate) rules: &'static [&'static str],
    /// Where a finding may be.
    pub(crate) place: Place,
    /// What the evidence must say, where a rule tells several things; empty when it does not matter.
    pub(crate) says: &'static str,
}

/// Where a finding of a weakness may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// At an endpoint that was attacked.
    Attacked,
    /// At any endpoint: every token has the weakness.
    Anywhere,
}

impl Weakness {
    /// Whether a rule for it exists.
    pub(crate) fn is_due(&self) -> bool {
        self.rules.iter().any(|rule| LANDED.contains(rule))
    }
}

const fn at(name: &'static str, rules: &'static [&'static str]) -> Weakness {
    Weakness {
        name,
        rules,
        place: Place::Attacked,
        says: "",
    }
}

const fn anywhere(name: &'static str, rules: &'static [&'static str], says: &'static str) -> Weakness {
    Weakness {
        name,
        rules,
        place: Place::Anywhere,
        says,
    }
}

const fn saying(name: &'static str, rules: &'static [&'static str], says: &'static str) -> Weakness {
    Weakness {
        name,
        rules,
        place: Place::Attacked,
        says,
    }
}

/// Every weakness. Ownership, provenance and enumeration overlap: an object of another is found by whichever rule has
/// the evidence.
pub(crate) const WEAKNESSES: &[Weakness] = &[
    at("bola-read-path", &["API1-001", "API1-002"]),
    at("bola-update-path", &["API1-001", "API1-002"]),
    at("bola-delete-path", &["API1-001", "API1-002"]),
    at("bola-read-query", &["API1-001", "API1-002"]),
    at("bola-write-body", &["API1-001", "API1-002"]),
    at("bola-foreign-document", &["API1-002"]),
    at("bola-listed-paper", &["API1-002"]),
    at("bola-hidden-paper", &["API1-003"]),
    at("enumerable-invoices", &["API1-004"]),
    at("tenant-by-path", &["API1-005"]),
    at("tenant-by-header", &["API1-005"]),
    anywhere("guessable-secret", &["API2-005"], ""),
    anywhere("no-expiry", &["API2-003"], "exp"),
    saying("alg-none", &["API2-003"], "none"),
    // Which tokens were forged nobody can tell: the secret is told of the host, once.
    anywhere("forged-by-secret", &["API2-005"], ""),
    at("expired-token", &["API2-004"]),
    at("token-in-url", &["API2-001"]),
    at("missing-authentication", &["API2-002"]),
    at("token-from-many-places", &["API2-008"]),
    at("mfa-skipped", &["API2-009"]),
    at("brute-force", &["API2-006"]),
    at("password-spraying", &["API2-006"]),
    at("credential-stuffing", &["API2-006"]),
    at("user-enumeration-login", &["API2-007"]),
    at("user-enumeration-reset", &["API2-007"]),
    at("mass-assignment-role", &["API3-002"]),
    at("mass-assignment-balance", &["API3-002"]),
    at("mass-assignment-register", &["API3-002"]),
    at("excessive-data", &["API3-001"]),
    at("properties-beyond-norm", &["API3-003"]),
    at("bulk-export", &["API3-004"]),
    at("function-of-support", &["API5-001"]),
    at("administrative-list", &["API5-001", "API5-002"]),
    at("administrative-change", &["API5-001", "API5-002"]),
    at("method-unprotected", &["API5-001", "API5-003"]),
    at("basic-over-cleartext", &["API8-001"]),
];
