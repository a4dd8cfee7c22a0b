//! Secrets that anybody can guess: API2-005.

use super::{accepted, sure_of_acceptance};
use crate::classify::Confidence;
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, TokenFlaw,
    Verdict, Verdicts,
};
use crate::exchange::credentials::Weak;

/// API2-005.
pub(in crate::detect) struct GuessableSecret;

static META: RuleMeta = RuleMeta {
    id: RuleId("API2-005"),
    title: "Token signed with a guessable secret was accepted",
    owasp_2019: "API2:2019",
    owasp_2023: "API2:2023",
    cwe: 521,
    severity: Severity::Critical,
    needs: &[
        Input::RequestHead,
        Input::CallerIdentity,
        Input::Status,
        Input::EndpointHistory,
    ],
    evidence: &[EvidenceKind::Token],
    description: "A request was answered with success, and one of a short list of well-known secrets (defaults of \
        libraries, tutorials and debuggers) signed its JSON Web Token. Whoever guesses the secret can be any user. \
        The list is tried once for each token and service; in a flood of new tokens not on each, which is told as \
        blind.",
    remedy: "Replace the secret by 32 random bytes or more from a secret store, or sign with a private key (RS256, \
        ES256, EdDSA); then every token signed before is worthless, as it should be.",
};

impl Detector for GuessableSecret {
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
        if token.weak.has(Weak::GUESSABLE) {
            out.push(Verdict {
                severity: Severity::Critical,
                confidence: Confidence(sure_of_acceptance(past.endpoint)),
                claim: Claim::Token(TokenFlaw::GuessableSecret),
            });
        } else if token.algorithm.is_symmetric() && !token.tried {
            return Err(Blind::NotTried);
        }
        Ok(())
    }
}
