//! Methods that are new for a group: API5-003.

use crate::detect::functions::Function;
use crate::detect::{
    Blind, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdicts,
};

use super::tell;

/// API5-003.
pub(in crate::detect) struct NewMethod;

static META: RuleMeta = RuleMeta {
    id: RuleId("API5-003"),
    title: "Method new for the role",
    owasp_2019: "API5:2019",
    owasp_2023: "API5:2023",
    cwe: 650,
    severity: Severity::High,
    needs: &[
        Input::RequestHead,
        Input::Status,
        Input::CallerIdentity,
        Input::EndpointHistory,
    ],
    evidence: &[EvidenceKind::Outsider],
    description: "A caller succeeds with a method that changes something (POST, PUT, PATCH, DELETE) at a \
        path that the callers of the own roles only read: others used the method five times and more, and \
        the group would have 30 times if it changed as often as others for each time that it reads. Medium \
        until it was used 20 times over a day. When six callers of a group come within hours, it was \
        opened to them: the first is told, and no more.",
    remedy: "Authorize each method of a path by itself. What may be read need not be changed: deny methods \
        that are not named for the role.",
};

impl Detector for NewMethod {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        _seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        tell(Function::Method, past, out)
    }
}
