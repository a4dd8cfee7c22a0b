//! Every rule, as a visible list. Ids are permanent: a rule that goes leaves its id behind.

use super::{Detector, rules};

/// The rules, in the order of their ids.
pub static RULES: [&dyn Detector; 22] = [
    &rules::api1::ANOTHERS_OBJECT,
    &rules::api1::HANDED_TO_OTHERS,
    &rules::api1::HANDED_TO_NOBODY,
    &rules::api1::ENUMERATED_OBJECTS,
    &rules::api1::ANOTHER_TENANT,
    &rules::api2::CredentialInUrl,
    &rules::api2::SuccessWithoutCredentials,
    &rules::api2::WeakToken,
    &rules::api2::ExpiredToken,
    &rules::api2::GuessableSecret,
    &rules::api2::GuessedPasswords,
    &rules::api2::TellingAnswers,
    &rules::api2::ManyPlaces,
    &rules::api2::SkippedLoginStep,
    &rules::api3::SensitiveDataInResponse,
    &rules::api3::AssignedProperty,
    &rules::api3::ExcessProperty,
    &rules::api3::BulkRead,
    &rules::api5::FunctionOfAnotherRole,
    &rules::api5::AdministrativeFunction,
    &rules::api5::NewMethod,
    &rules::api8::CredentialsOverCleartext,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_in_order() {
        let ids: Vec<_> = RULES.iter().map(|rule| rule.meta().id).collect();
        assert!(ids.is_sorted_by(|first, second| first < second), "{ids:?}");
    }

    #[test]
    fn every_rule_is_described() {
        for rule in RULES {
            let meta = rule.meta();
            let id = meta.id.0;
            assert!(meta.description.len() > 80 && meta.remedy.len() > 80, "{id}");
            assert!(
                meta.owasp_2019.ends_with(":2019") && meta.owasp_2023.ends_with(":2023"),
                "{id}"
            );
            assert!(
                meta.cwe > 0
                    && !meta.needs.is_empty()
                    && !meta.evidence.is_empty()
                    && !meta.title.ends_with('.'),
                "{id}"
            );
        }
    }
}
