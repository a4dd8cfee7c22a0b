//! Sensitive properties beyond the norm: API3-003.

use crate::classify::{Confidence, DataKind};
use crate::detect::properties::bit;
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};

/// API3-003.
pub(in crate::detect) struct ExcessProperty;

/// Answers without the data before it is beyond a norm.
const ANSWERS: u32 = 30;
/// Answers from which that is sure.
const SURE: u32 = 200;
/// Kinds that are credentials of others or nobody's business.
const WORST: u32 = bit(DataKind::Password)
    | bit(DataKind::PrivateKey)
    | bit(DataKind::CloudToken)
    | bit(DataKind::CodeHostToken)
    | bit(DataKind::PaymentCard)
    | bit(DataKind::UsSsn);
/// Kinds that people give away.
const COMMON: u32 = bit(DataKind::Email) | bit(DataKind::Phone);

static META: RuleMeta = RuleMeta {
    id: RuleId("API3-003"),
    title: "Sensitive data beyond what an operation returns",
    owasp_2019: "API3:2019",
    owasp_2023: "API3:2023",
    cwe: 213,
    severity: Severity::High,
    needs: &[Input::ResponseBody, Input::CallerIdentity, Input::EndpointHistory],
    evidence: &[EvidenceKind::Excess],
    description: "An answer holds sensitive data at a place where at least 30 earlier answers of the operation, with the \
        same status, had none: a release that returns too much, or a caller who makes it return more. Passwords, keys, \
        payment cards and Social Security numbers are high, other tokens and bank accounts medium, addresses of e-mail \
        and telephone numbers low. What a login hands out is not told. A release is told once, and again when it was gone \
        for six hours and comes again; a few callers are told each.",
    remedy: "Return only the properties that the client needs, by an explicit list for each response, whatever \
        parameters ask for. If a release brought it, take it back; what was returned since then has to be counted as seen.",
};

impl Detector for ExcessProperty {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        _seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        let excess = past.signs.rights.excess.as_ref().map_err(|blind| *blind)?;
        let Some(excess) = excess else {
            return Ok(());
        };
        if excess.messages < ANSWERS {
            return Err(Blind::NotEnoughEvidence);
        }
        let severity = if excess.kinds & WORST != 0 {
            Severity::High
        } else if excess.kinds & !COMMON != 0 {
            Severity::Medium
        } else {
            Severity::Low
        };
        out.push(Verdict {
            severity,
            confidence: Confidence(if excess.messages >= SURE { 85 } else { 70 }),
            claim: Claim::Excess(excess),
        });
        Ok(())
    }
}
