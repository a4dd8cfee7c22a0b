//! Administrative functions: API5-002.

use crate::detect::functions::Function;
use crate::detect::{
    Blind, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdicts,
};

use super::tell;

/// API5-002.
pub(in crate::detect) struct AdministrativeFunction;

static META: RuleMeta = RuleMeta {
    id: RuleId("API5-002"),
    title: "Administrative function used from outside",
    owasp_2019: "API5:2019",
    owasp_2023: "API5:2023",
    cwe: 269,
    severity: Severity::High,
    needs: &[
        Input::RequestHead,
        Input::Status,
        Input::CallerIdentity,
        Input::EndpointHistory,
    ],
    evidence: &[EvidenceKind::Outsider],
    description: "A caller succeeds at an operation whose path or call is named for administrators (admin, \
        internal, manage, role, impersonate, ...), that others with other roles used three times and more, \
        and that the callers of the own roles never used, though they would have 20 times if they were \
        like those who do. Medium until it was used 20 times over a day. Where a tenth of the group, and \
        twenty callers, come, it was opened to them.",
    remedy: "Let every administrative function check an administrative role itself, deny by default, and \
        keep them on paths and hosts of their own that ordinary clients cannot reach.",
};

impl Detector for AdministrativeFunction {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        _seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        tell(Function::Administrative, past, out)
    }
}
