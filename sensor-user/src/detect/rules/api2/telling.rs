//! Logins that tell which names exist: API2-007.

use crate::callers::PrincipalKind;
use crate::classify::Confidence;
use crate::detect::baseline::{Asks, TellsBy};
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};

/// API2-007.
pub(in crate::detect) struct TellingAnswers;

/// Percent by what tells: a status is sent on purpose, sizes have other reasons, and time is noise first.
const BY_STATUS: u32 = 75;
const BY_SIZE: u32 = 65;
const BY_TIME: u32 = 60;

static META: RuleMeta = RuleMeta {
    id: RuleId("API2-007"),
    title: "Login tells which users exist",
    owasp_2019: "API2:2019",
    owasp_2023: "API2:2023",
    cwe: 204,
    severity: Severity::Medium,
    needs: &[
        Input::RequestHead,
        Input::RequestBody,
        Input::Status,
        Input::LoginHistory,
    ],
    evidence: &[EvidenceKind::Telling],
    description: "Failed logins are answered in one way when the name had logged in before, and in another when it had \
        not: with another status (8 known names at least, none of which ever got it, and 6 others), with the same \
        status and another size (10 others, and no more than 3 sizes of each), or in another time (40 of each, their \
        middle halves a factor of two and their medians ten milliseconds apart). Each name counts once a day; 400, 403, \
        422, 423 and 429 to unknown names are about the input or the client, not about the name. A registration that \
        refuses names which are taken is low. A reset of passwords tells by status only: by 404 for 6 names, where 8 were \
        accepted and answers took turns, as they do not when a service is away.",
    remedy: "Answer a failed login with the same status, body and headers whatever failed, hash a password also when \
        the name is unknown so that time says nothing, and let registration and reset always answer that a message was \
        sent. Limit attempts by address.",
};

impl Detector for TellingAnswers {
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
        let Some(telling) = past.signs.telling? else {
            return Ok(());
        };
        let base = match telling.by {
            TellsBy::Status => BY_STATUS,
            TellsBy::Size => BY_SIZE,
            TellsBy::Time => BY_TIME,
        };
        // A percent more for each five names, up to twenty.
        let sure = base + (telling.known.min(telling.unknown) / 5).min(20);
        out.push(Verdict {
            severity: match telling.asks {
                Asks::Registration => Severity::Low,
                Asks::Login | Asks::Reset => Severity::Medium,
            },
            confidence: Confidence(u8::try_from(sure).unwrap_or(95)),
            claim: Claim::Telling(telling),
        });
        Ok(())
    }
}
