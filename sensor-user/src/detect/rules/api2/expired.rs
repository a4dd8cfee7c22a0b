//! Tokens out of their time: API2-004.

use super::{accepted, sure_of_acceptance};
use crate::callers::time_of_day_s;
use crate::classify::Confidence;
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};

/// API2-004.
pub(in crate::detect) struct ExpiredToken;

/// Seconds by which clocks may differ: servers allow "usually no more than a few minutes" (RFC 7519, 4.1.4).
const TOLERANCE_S: u64 = 300;

/// Steps of a path where an old token is what is asked for: it is exchanged, or given back.
const ENDS: [&str; 10] = [
    "refresh",
    "renew",
    "token",
    "logout",
    "signout",
    "sign-out",
    "sign_out",
    "revoke",
    "introspect",
    "login",
];

static META: RuleMeta = RuleMeta {
    id: RuleId("API2-004"),
    title: "Token accepted outside of its time",
    owasp_2019: "API2:2019",
    owasp_2023: "API2:2023",
    cwe: 613,
    severity: Severity::High,
    needs: &[
        Input::RequestHead,
        Input::CallerIdentity,
        Input::Status,
        Input::Clock,
        Input::EndpointHistory,
    ],
    evidence: &[EvidenceKind::TokenTime],
    description: "A request was answered with success though its JSON Web Token expired more than five minutes before \
        (high), or begins to be good in more than five minutes (medium). The time is the server's own (Date), else \
        the recording's. Refreshing, logging in and logging out with an old token is what clients do and is not told, \
        and neither are endpoints that answer without credentials too.",
    remedy: "Check exp and nbf of each token on each request, with a tolerance of a minute or two, in one library \
        call that cannot be left out; keep the clocks of servers in step.",
};

impl Detector for ExpiredToken {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        let Some(token) = accepted(seen, past.endpoint)? else {
            return Ok(());
        };
        if time_of_day_s(seen.exchange).is_none() {
            return Err(Blind::NoClock);
        }
        if is_an_end(seen) {
            return Ok(());
        }
        let confidence = Confidence(sure_of_acceptance(past.endpoint));
        let beyond = |seconds: Option<u64>| seconds.filter(|seconds| *seconds > TOLERANCE_S);
        if let Some(seconds) = beyond(token.expired_s) {
            out.push(Verdict {
                severity: Severity::High,
                confidence,
                claim: Claim::Expired { seconds },
            });
        }
        if let Some(seconds) = beyond(token.too_early_s) {
            out.push(Verdict {
                severity: Severity::Medium,
                confidence,
                claim: Claim::NotYetGood { seconds },
            });
        }
        Ok(())
    }
}

/// The old token is handed in for another, or given back.
fn is_an_end(seen: &Observation<'_>) -> bool {
    let hands_out = seen
        .exchange
        .handover
        .as_ref()
        .is_some_and(|told| !told.granted.is_empty() || told.asker.refresh.is_some());
    let mut steps = seen.endpoint.template.split('/');
    hands_out || steps.any(|step| ENDS.iter().any(|end| step.eq_ignore_ascii_case(end)))
}
