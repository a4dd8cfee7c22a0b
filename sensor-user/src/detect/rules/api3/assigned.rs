//! Properties that a client should not set: API3-002.

use crate::classify::Confidence;
use crate::detect::properties::Privilege;
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};

/// API3-002.
pub(in crate::detect) struct AssignedProperty;

static META: RuleMeta = RuleMeta {
    id: RuleId("API3-002"),
    title: "Property set that no client sets",
    owasp_2019: "API6:2019",
    owasp_2023: "API3:2023",
    cwe: 915,
    severity: Severity::High,
    needs: &[
        Input::RequestHead,
        Input::RequestBody,
        Input::Status,
        Input::CallerIdentity,
        Input::EndpointHistory,
    ],
    evidence: &[EvidenceKind::Assigned],
    description: "A request sets a property by a name of rights, money or belonging (role, is_admin, balance, \
        approved_by, ...) that none of at least 20 earlier requests of the operation had, and the server accepted it: the \
        answer has the property as it was sent, or there is nothing to tell (no answer, or a property that is null or has \
        members of its own). Where the answer tells of the object without \
        the property, or with another value, it was passed over and nothing is told. Properties that eight callers \
        set, each twentieth request among them, or twenty callers, or three in half of the requests of seven days, came with \
        a release; until then, callers who follow \
        each other within hours are told once.",
    remedy: "Bind requests to an explicit list of the properties that this caller may set, refuse others, and never \
        assign a request's body to a stored object as it is. Set roles, owners and amounts on the server only.",
};

impl Detector for AssignedProperty {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        _seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        let assigned = past.signs.rights.assigned.as_ref().map_err(|blind| *blind)?;
        let Some(assigned) = assigned else {
            return Ok(());
        };
        let right = assigned.privilege == Privilege::Right;
        let (severity, sure) = match (right, assigned.reflected) {
            (true, true) => (Severity::High, 85),
            (true, false) => (Severity::Medium, 55),
            (false, true) => (Severity::Medium, 60),
            (false, false) => (Severity::Low, 40),
        };
        out.push(Verdict {
            severity,
            confidence: Confidence(sure),
            claim: Claim::Assigned(assigned),
        });
        Ok(())
    }
}
