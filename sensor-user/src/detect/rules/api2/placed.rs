//! Where credentials are, and where they are missing: API2-001 and API2-002.

use crate::classify::{Confidence, DataKind, Half, Part};
use crate::detect::baseline::Door;
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};
use crate::exchange::{Caller, Method};

/// API2-001.
pub(in crate::detect) struct CredentialInUrl;

static CREDENTIAL_IN_URL: RuleMeta = RuleMeta {
    id: RuleId("API2-001"),
    title: "Credential or token in a URL",
    owasp_2019: "API2:2019",
    owasp_2023: "API2:2023",
    cwe: 598,
    severity: Severity::High,
    needs: &[Input::RequestHead],
    evidence: &[EvidenceKind::Data],
    description: "A path segment or query parameter of a request is a credential: a password, a JSON Web Token, a \
        provider's key, or a parameter named as a secret. URLs are written to access logs of servers and proxies, to \
        browser histories and to Referer fields, so whoever reads those can act as the caller. A value known by its \
        name only is medium; one whose form proves it is high.",
    remedy: "Send the credential in the Authorization field or in the body, refuse requests that carry it in the \
        URL, and treat the ones seen as leaked: revoke them and remove them from logs.",
};

impl Detector for CredentialInUrl {
    fn meta(&self) -> &'static RuleMeta {
        &CREDENTIAL_IN_URL
    }

    fn inspect<'a>(
        &self,
        seen: &Observation<'a>,
        _past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        for label in &seen.labels.found {
            let in_url = matches!(label.place.part, Part::Path | Part::Query);
            if label.place.half != Half::Request || !in_url || !label.kind.is_credential() {
                continue;
            }
            let severity = match label.kind {
                DataKind::SecretField => Severity::Medium,
                _ => Severity::High,
            };
            out.push(Verdict {
                severity,
                confidence: label.confidence,
                claim: Claim::Data(label),
            });
        }
        if seen.exchange.caller == Caller::Unseen {
            return Err(Blind::HeadCut);
        }
        Ok(())
    }
}

/// API2-002.
pub(in crate::detect) struct SuccessWithoutCredentials;

/// Successes an endpoint must have had before its habit counts as a norm: with fewer, one odd client decides.
const MIN_SUCCESSES: u64 = 20;
/// Share of them that had credentials, in percent: leaves room for health checks and for a mistake or two.
const MIN_SHARE: u64 = 95;
/// Where nobody was ever turned away: successes of an endpoint that changes something, and their share in percent, that
/// make credentials its norm all the same.
const MANY_WRITES: u64 = 100;
const WRITES_SHARE: u64 = 99;

static SUCCESS_WITHOUT_CREDENTIALS: RuleMeta = RuleMeta {
    id: RuleId("API2-002"),
    title: "Success without credentials where the endpoint normally has them",
    owasp_2019: "API2:2019",
    owasp_2023: "API2:2023",
    cwe: 306,
    severity: Severity::High,
    needs: &[Input::RequestHead, Input::Status, Input::EndpointHistory],
    evidence: &[EvidenceKind::AuthenticationNorm],
    description: "A request without any credentials was answered with success (2xx, and not every call of \
        gRPC, GraphQL or JSON-RPC inside failed), although at least 95 % of the \
        endpoint's earlier successes, of which there were at least 20, had credentials, and the endpoint is no public \
        one: it turned away requests without credentials (401 or 403) or with bad ones (401), or callers read there \
        what nobody else reads. Where callers of all sorts get the same, those who are logged in happen to have \
        credentials, and nothing is told; where neither is known the rule is blind. Something that is changed needs 99 % \
        of 100 successes instead. Credentials are Authorization, API key fields and session cookies; the \
        request's head was seen whole.",
    remedy: "Enforce authentication before the handler, for every route and method by default, and let public \
        routes be named exceptions. Repeat the request without credentials as a test; it must be answered with 401.",
};

impl Detector for SuccessWithoutCredentials {
    fn meta(&self) -> &'static RuleMeta {
        &SUCCESS_WITHOUT_CREDENTIALS
    }

    fn inspect<'a>(
        &self,
        seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        match seen.exchange.caller {
            Caller::Known { .. } => return Ok(()),
            Caller::Unseen => return Err(Blind::HeadCut),
            Caller::Anonymous => {}
        }
        if seen.exchange.outcome.response().is_none() {
            return Err(Blind::NoResponse);
        }
        if seen.exchange.part.is_some() || !seen.exchange.is_success() {
            return Ok(());
        }
        let history = past.endpoint;
        let with = history.success_known;
        let of = with + history.success_anonymous;
        if of < MIN_SUCCESSES {
            return Err(Blind::NotEnoughEvidence);
        }
        if with * 100 >= of * MIN_SHARE {
            // 80 % on 20 successes, rising by one per 20 more: the norm may still be a habit of few clients.
            let grown = (79 + of / MIN_SUCCESSES).min(95);
            let confidence = match past.signs.door {
                Door::Closed => grown,
                Door::Checked | Door::Personal => grown.min(90),
                Door::Common => return Ok(()),
                Door::Unknown if writes(seen) && of >= MANY_WRITES && with * 100 >= of * WRITES_SHARE => 75,
                Door::Unknown => return Err(Blind::NotEnoughEvidence),
                Door::NoRoom => return Err(Blind::NoRoom),
            };
            out.push(Verdict {
                severity: Severity::High,
                confidence: Confidence(u8::try_from(confidence).unwrap_or(80)),
                claim: Claim::AuthenticationNorm { with, of },
            });
        }
        Ok(())
    }
}

/// It changes something.
fn writes(seen: &Observation<'_>) -> bool {
    let method = Method::of(seen.exchange.request.method());
    matches!(
        method,
        Method::Post | Method::Put | Method::Patch | Method::Delete
    )
}
