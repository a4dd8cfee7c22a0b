//! Far more items than usual: API3-004.

use crate::classify::Confidence;
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};

/// API3-004.
pub(in crate::detect) struct BulkRead;

static META: RuleMeta = RuleMeta {
    id: RuleId("API3-004"),
    title: "Bulk read",
    owasp_2019: "API3:2019",
    owasp_2023: "API3:2023",
    cwe: 799,
    severity: Severity::Medium,
    needs: &[
        Input::RequestHead,
        Input::ResponseBody,
        Input::CallerIdentity,
        Input::EndpointHistory,
    ],
    evidence: &[EvidenceKind::Bulk],
    description: "An answer holds a list of at least 50 items that is four times as long as all but one in a hundred of at \
        least 20 that callers of the same roles got from the operation. Where they never used it, a parameter of size must \
        have asked for as many, at least 100, and eight times what 200 of their answers at the host had. \
        Without such a parameter it is low: who has much gets much. Six callers of a role make it usual.",
    remedy: "Set the largest page on the server and refuse or cut what asks for more. Where whole sets are needed, make \
        an export of its own that is allowed to few, counted and logged.",
};

impl Detector for BulkRead {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        _seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        let Some(bulk) = past.signs.rights.bulk? else {
            return Ok(());
        };
        let asked = bulk.asked_by.is_some();
        out.push(Verdict {
            severity: if asked { Severity::Medium } else { Severity::Low },
            confidence: Confidence(match (asked, bulk.elsewhere) {
                (true, false) => 85,
                (true, true) => 65,
                (false, _) => 50,
            }),
            claim: Claim::Bulk(bulk),
        });
        Ok(())
    }
}
