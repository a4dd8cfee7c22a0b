//! The rules in words: a list, one explained, and JSON.

use std::fmt::Write as _;

use crate::detect::RuleMeta;

/// One line per rule.
pub(super) fn list(rules: &[&RuleMeta]) -> String {
    let mut text = String::new();
    for rule in rules {
        let (id, severity, owasp) = (rule.id.0, rule.severity.name(), rule.owasp_2023);
        let _infallible = writeln!(text, "{id:<9} {severity:<8} {owasp:<10} {}", rule.title);
    }
    text
}

/// Everything about a rule.
pub(super) fn explain(rule: &RuleMeta) -> String {
    let needs: Vec<_> = rule.needs.iter().map(|input| input.name()).collect();
    let shows: Vec<_> = rule.evidence.iter().map(|kind| kind.name()).collect();
    format!(
        "{} {}\n\nSeverity  {}\nOWASP     {}, {}\nCWE       {}\nNeeds     {}\nShows     {}\n\n{}\n\nWhat to do: {}\n",
        rule.id.0,
        rule.title,
        rule.severity.name(),
        rule.owasp_2023,
        rule.owasp_2019,
        rule.cwe,
        needs.join(", "),
        shows.join(", "),
        rule.description,
        rule.remedy
    )
}

/// An array of objects.
pub(super) fn json(rules: &[&RuleMeta]) -> String {
    let object = |rule: &&RuleMeta| {
        serde_json::json!({
            "id": rule.id.0,
            "title": rule.title,
            "severity": rule.severity.name(),
            "owasp_2023": rule.owasp_2023,
            "owasp_2019": rule.owasp_2019,
            "cwe": rule.cwe,
            "needs": rule.needs.iter().map(|input| input.name()).collect::<Vec<_>>(),
            "evidence": rule.evidence.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
            "description": rule.description,
            "remedy": rule.remedy,
        })
    };
    serde_json::Value::Array(rules.iter().map(object).collect()).to_string() + "\n"
}
