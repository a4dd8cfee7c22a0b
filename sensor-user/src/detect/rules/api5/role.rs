//! Functions of another role: API5-001.

use crate::detect::functions::Function;
use crate::detect::{
    Blind, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdicts,
};

use super::tell;

/// API5-001.
pub(in crate::detect) struct FunctionOfAnotherRole;

static META: RuleMeta = RuleMeta {
    id: RuleId("API5-001"),
    title: "Function of another role",
    owasp_2019: "API5:2019",
    owasp_2023: "API5:2023",
    cwe: 285,
    severity: Severity::High,
    needs: &[
        Input::RequestHead,
        Input::Status,
        Input::CallerIdentity,
        Input::EndpointHistory,
    ],
    evidence: &[EvidenceKind::Outsider],
    description: "A caller succeeds at an operation that the callers of the own roles and scopes never \
        used, though they would have 60 times and more if they were like those who do. Those are few: a \
        quarter of the own group, of ten callers and more, at the host. A group that has every role and \
        scope of one that uses the operation may use it, too. Medium until the operation was used 20 times \
        over a day. Groups are told apart by what tokens say; callers whose tokens say nothing are one \
        group, and programs without scopes are never judged. When six callers of a group come within \
        hours, the function was opened to them: the first is told, and no more.",
    remedy: "Decide in one place, by role and for each function, what is allowed, and deny what is not \
        named. Check the function itself, not only the page that leads to it.",
};

impl Detector for FunctionOfAnotherRole {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        _seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        tell(Function::OfRole, past, out)
    }
}
