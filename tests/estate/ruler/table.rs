//! Which rule finds what. A new rule is a row.

use super::super::truth::Kind;

/// What a rule is measured by.
pub(crate) struct Row {
    pub(crate) rule: &'static str,
    /// Attacks that it is there for: its recall is of these.
    pub(crate) finds: &'static [Kind],
    /// Attacks that it may well see a side of: a finding there is true, and none is no fault.
    pub(crate) also: &'static [Kind],
}

use Kind::{
    AdminFunction, BasicCleartext, BruteForce, BulkRead, CredentialInUrl, Enumeration, ExcessCaller,
    ExcessRelease, ExpiredAccepted, ForeignObject, GuessableSecret, JwtConfused, JwtExpiry, JwtNone,
    ManyPlaces, MassAssignment, NewMethod, NoCredentials, RoleFunction, SkippedStep, Spraying, Stuffing,
    TenantMismatch, UnissuedObject, UserEnumeration,
};

pub(crate) const ROWS: &[Row] = &[
    row(
        "API1-001",
        &[ForeignObject],
        &[UnissuedObject, Enumeration, TenantMismatch],
    ),
    row("API1-002", &[ForeignObject], &[Enumeration, TenantMismatch]),
    row(
        "API1-003",
        &[UnissuedObject],
        &[ForeignObject, Enumeration, TenantMismatch],
    ),
    row(
        "API1-004",
        &[Enumeration],
        &[ForeignObject, UnissuedObject, TenantMismatch, NoCredentials],
    ),
    row("API1-005", &[TenantMismatch], &[]),
    row("API2-001", &[CredentialInUrl], &[]),
    row("API2-002", &[NoCredentials], &[]),
    row("API2-003", &[JwtNone, JwtConfused, JwtExpiry], &[GuessableSecret]),
    row("API2-004", &[ExpiredAccepted], &[]),
    row("API2-005", &[GuessableSecret], &[]),
    row("API2-006", &[Stuffing, Spraying, BruteForce], &[UserEnumeration]),
    row("API2-007", &[UserEnumeration], &[Stuffing]),
    row("API2-008", &[ManyPlaces], &[]),
    row("API2-009", &[SkippedStep], &[]),
    row("API3-001", &[ExcessRelease, ExcessCaller], &[BulkRead]),
    row("API3-002", &[MassAssignment], &[]),
    row("API3-003", &[ExcessRelease, ExcessCaller], &[MassAssignment]),
    row("API3-004", &[BulkRead], &[]),
    row("API5-001", &[RoleFunction], &[AdminFunction, NewMethod]),
    row("API5-002", &[AdminFunction], &[RoleFunction]),
    row("API5-003", &[NewMethod], &[RoleFunction, AdminFunction]),
    row("API8-001", &[BasicCleartext], &[]),
];

const fn row(rule: &'static str, finds: &'static [Kind], also: &'static [Kind]) -> Row {
    Row { rule, finds, also }
}

/// Attacks whose finding need not name the caller: there is none, there are many, or it is the service's fault.
pub(crate) const fn is_anybodys(kind: Kind) -> bool {
    matches!(
        kind,
        Stuffing | Spraying | BruteForce | UserEnumeration | NoCredentials | ExcessRelease | SkippedStep
    )
}

#[test]
fn every_attack_is_somebodys_and_every_rule_has_a_row() {
    for kind in Kind::ALL {
        assert!(ROWS.iter().any(|row| row.finds.contains(kind)), "{}", kind.name());
    }
    for rule in sensor_user::detect::registry::RULES {
        let id = rule.meta().id.0;
        assert!(ROWS.iter().any(|row| row.rule == id), "{id} has no row");
    }
}
