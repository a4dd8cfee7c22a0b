//! `docs/RULES.md` out of the registry.

use std::fmt::Write as _;

use super::registry::RULES;
use super::{Blind, RuleMeta};

/// The page, as committed.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for rule in RULES {
        let meta = rule.meta();
        let row = format!(
            "| [{0}](#{1}) | {2} | {3}, {4} | {5} |\n",
            meta.id.0,
            meta.id.0.to_ascii_lowercase(),
            meta.title,
            meta.owasp_2019,
            meta.owasp_2023,
            meta.severity.name()
        );
        page.push_str(&row);
    }
    for rule in RULES {
        section(rule.meta(), &mut page);
    }
    page.push_str(BLIND);
    for reason in Blind::ALL {
        line(
            &mut page,
            format_args!("- `{}`: {}", reason.name(), explain(reason)),
        );
    }
    page
}

const HEAD: &str = "# Rules

Generated from `sensor-user/src/detect/registry.rs`; a test fails when this page is not current. Set `SENSOR_BLESS=1`
for that test to write it anew.

A finding is told the first time it is seen in a run, then when its count reaches 10, 100 and so on; it is the same
when rule, endpoint, kind of data and place are; where it is about somebody, also who. `repeats` says how often it was seen before.

| rule | title | OWASP | severity |
| --- | --- | --- | --- |
";

const BLIND: &str = "
## When a rule cannot judge

It says why and is counted (`rules_blind`); that is not the same as clean.

";

fn section(meta: &RuleMeta, page: &mut String) {
    line(page, format_args!("\n## {}\n", meta.id.0));
    line(page, format_args!("**{}**\n", meta.title));
    line(page, format_args!("{}\n", meta.description));
    let needs: Vec<_> = meta.needs.iter().map(|input| input.name()).collect();
    line(
        page,
        format_args!("- OWASP: {}, {}", meta.owasp_2019, meta.owasp_2023),
    );
    let cwe = meta.cwe;
    line(
        page,
        format_args!("- Weakness: [CWE-{cwe}](https://cwe.mitre.org/data/definitions/{cwe}.html)"),
    );
    line(page, format_args!("- Severity: {}", meta.severity.name()));
    line(page, format_args!("- Needs: {}", needs.join(", ")));
    let evidence: Vec<_> = meta.evidence.iter().map(|kind| kind.name()).collect();
    line(page, format_args!("- Evidence: {}", evidence.join(", ")));
    line(page, format_args!("- Remedy: {}", meta.remedy));
}

const fn explain(reason: Blind) -> &'static str {
    match reason {
        Blind::HeadCut => "the head of the request was cut, so absence of a field means nothing",
        Blind::NoResponse => "no response was seen",
        Blind::BodyCut => "a body was cut, or in an encoding that is not read",
        Blind::NotEnoughEvidence => "what it would be compared with has not been seen often enough",
        Blind::CallerUnseen => "the head of the request was cut, so nobody knows who called",
        Blind::CallerAmbiguous => "what is known of the caller contradicts itself",
        Blind::ClientUnknown => {
            "the client's address is not known, or it is behind a proxy that `identity.trusted_proxies` does not name"
        }
        Blind::NoClock => "neither the answer nor the recording says what time of day it was",
        Blind::NotTried => {
            "guessable secrets were not tried on this token: it is one of a flood, or too long"
        }
        Blind::NoRoom => "the table of what it would be compared with is full of what is established",
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let written = writeln!(page, "{text}");
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/RULES.md");
        if std::env::var_os("SENSOR_BLESS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            committed == markdown(),
            "docs/RULES.md is not current: run this test with SENSOR_BLESS=1"
        );
    }
}
