//! What a token shows of its own weakness: API2-003.

use super::{accepted, sure_of_acceptance};
use crate::callers::TokenFacts;
use crate::classify::Confidence;
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, TokenFlaw,
    Verdict, Verdicts,
};
use crate::exchange::credentials::{Sensitive, Weak};

/// API2-003.
pub(in crate::detect) struct WeakToken;

/// Seconds a token may be good for before that is told: thirty days. Sessions that are kept for a month are common,
/// and the finding would only repeat what somebody decided.
const LONG_S: u64 = 30 * 86_400;
/// From half a year on nobody meant it to expire.
const ENDLESS_S: u64 = 182 * 86_400;

static META: RuleMeta = RuleMeta {
    id: RuleId("API2-003"),
    title: "JSON Web Token with a weakness was accepted",
    owasp_2019: "API2:2019",
    owasp_2023: "API2:2023",
    cwe: 347,
    severity: Severity::High,
    needs: &[
        Input::RequestHead,
        Input::CallerIdentity,
        Input::Status,
        Input::EndpointHistory,
    ],
    evidence: &[EvidenceKind::Token],
    description: "A request was answered with success though its token shows a weakness, each told by itself: no \
        signature or an empty one (critical); another kind of algorithm than the issuer's, unless a login was answered \
        with such a token, 20 callers and one in twenty have them within a week or two, or 3 and half as many as have \
        the other kind (high); a key id that holds a path or a piece of a query (high); a key of its own or a place to fetch it from, a claim that \
        is there twice, or no expiry (medium); good for more than 30 days (low; more than half a year: medium); a \
        password or Social Security number among its claims, which are encoded and not encrypted (high), a telephone \
        number (low) or e-mail address (information). Endpoints that answer without credentials too, in one of 20 \
        successes or more, are left out: they do not look at the token.",
    remedy: "Pin the algorithm and the key on the server and never take either from the token; refuse tokens without \
        a signature. Give access tokens minutes and refresh tokens days (RFC 8725, RFC 9068), and put nothing into \
        claims that the bearer or a log should not read.",
};

impl Detector for WeakToken {
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
        let confidence = sure_of_acceptance(past.endpoint);
        flaws(token, &mut |flaw, severity| {
            let confidence = match flaw {
                TokenFlaw::OtherAlgorithm | TokenFlaw::OddKeyId => confidence.min(80),
                TokenFlaw::OwnKey | TokenFlaw::RemoteKey => confidence.min(60),
                _ => confidence,
            };
            out.push(Verdict {
                severity,
                confidence: Confidence(confidence),
                claim: Claim::Token(flaw),
            });
        });
        Ok(())
    }
}

fn flaws(token: &TokenFacts, tell: &mut dyn FnMut(TokenFlaw, Severity)) {
    for (weak, flaw, severity) in [
        (Weak::UNSIGNED, TokenFlaw::Unsigned, Severity::Critical),
        (
            Weak::EMPTY_SIGNATURE,
            TokenFlaw::EmptySignature,
            Severity::Critical,
        ),
        (Weak::ODD_KEY_ID, TokenFlaw::OddKeyId, Severity::High),
        (Weak::OWN_KEY, TokenFlaw::OwnKey, Severity::Medium),
        (Weak::REMOTE_KEY, TokenFlaw::RemoteKey, Severity::Medium),
        (Weak::TWICE, TokenFlaw::Twice, Severity::Medium),
        (Weak::NO_EXPIRY, TokenFlaw::NoExpiry, Severity::Medium),
    ] {
        if token.weak.has(weak) {
            tell(flaw, severity);
        }
    }
    // `none` is told as such.
    if token.other_algorithm && !token.weak.has(Weak::UNSIGNED) {
        tell(TokenFlaw::OtherAlgorithm, Severity::High);
    }
    if let Some(lifetime_s) = token.lifetime_s.filter(|lifetime_s| *lifetime_s > LONG_S) {
        let severity = if lifetime_s > ENDLESS_S {
            Severity::Medium
        } else {
            Severity::Low
        };
        tell(TokenFlaw::LongLived { lifetime_s }, severity);
    }
    for (kind, flaw, severity) in [
        (Sensitive::PASSWORD, TokenFlaw::PasswordInside, Severity::High),
        (Sensitive::SSN, TokenFlaw::SsnInside, Severity::High),
        (Sensitive::PHONE, TokenFlaw::PhoneInside, Severity::Low),
        (Sensitive::EMAIL, TokenFlaw::EmailInside, Severity::Info),
    ] {
        if token.sensitive.has(kind) {
            tell(flaw, severity);
        }
    }
}
