//! Steps of a login that are left out: API2-009.

use crate::callers::PrincipalKind;
use crate::classify::Confidence;
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};

/// API2-009.
pub(in crate::detect) struct SkippedLoginStep;

static META: RuleMeta = RuleMeta {
    id: RuleId("API2-009"),
    title: "Step of a login skipped",
    owasp_2019: "API2:2019",
    owasp_2023: "API2:2023",
    cwe: 288,
    severity: Severity::High,
    needs: &[
        Input::RequestHead,
        Input::RequestBody,
        Input::Status,
        Input::CallerIdentity,
        Input::LoginHistory,
    ],
    evidence: &[EvidenceKind::SkippedStep],
    description: "After the first step of a login, at least 20 callers in 97 of 100 logins took the same second step \
        (a code, a challenge), and this caller went on without: it used an endpoint that needs credentials with the \
        token of the first step, or was given a token by another endpoint, within fifteen minutes; or it was given one \
        without any first step, where 20 callers and 97 of 100 brought a token, a session or a client's name. First steps at one \
        endpoint are told apart by what they hand out (a token, a session, a ticket, nothing), so who has no second \
        factor is another sequence; where devices are remembered and the answer does not show it, fewer take the step, \
        and nothing is told. A second step of another name (a key instead of a code) is none that was left out.",
    remedy: "Let the first step hand out nothing but a ticket that only the second step accepts, keep on the server how \
        far a login has come, and check it wherever tokens are made and wherever they are used.",
};

impl Detector for SkippedLoginStep {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        if seen.caller.kind == PrincipalKind::Unseen {
            return Err(Blind::CallerUnseen);
        }
        let Some(skipped) = past.signs.skipped.as_ref().map_err(|blind| *blind)?.as_ref() else {
            return Ok(());
        };
        if seen.caller.ambiguous {
            return Err(Blind::CallerAmbiguous);
        }
        if seen.caller.kind == PrincipalKind::Service {
            return Ok(());
        }
        out.push(Verdict {
            severity: Severity::High,
            confidence: Confidence(if skipped.took >= 100 { 85 } else { 75 }),
            claim: Claim::SkippedStep(skipped),
        });
        Ok(())
    }
}
