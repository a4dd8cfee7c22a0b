//! Sensitive data in answers: API3-001.

use crate::classify::outline::Root;
use crate::classify::{DataKind, Half, Label, Part};
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};
use crate::exchange::{AuthScheme, Caller, Method};

/// API3-001.
pub(in crate::detect) struct SensitiveDataInResponse;

/// Values of one kind at one place from which an answer is a bulk read: more than a page that a person looks at.
const BULK: u32 = 50;

static META: RuleMeta = RuleMeta {
    id: RuleId("API3-001"),
    title: "Sensitive data in a response",
    owasp_2019: "API3:2019",
    owasp_2023: "API3:2023",
    cwe: 213,
    severity: Severity::High,
    needs: &[Input::ResponseBody],
    evidence: &[EvidenceKind::Data],
    description: "A response carries sensitive data, told per kind and place. Private keys, passwords and providers' \
        keys are critical; payment cards, Social Security numbers and tokens high; bank accounts medium; e-mail \
        addresses and telephone numbers low. 50 or more values of a kind at a place raise personal data by one step. A \
        single value in the answer to a caller who is known and named nothing (no value in path, query or body) is that \
        person's own: e-mail addresses and telephone numbers are information then, bank accounts low, cards medium. \
        Tokens and secrets that a POST with credentials (a password, a client secret, a refresh token or Basic) gets \
        back, or a POST of a known caller to a path that names a login or token, are what a login is for and are not told, and neither are those in messages of a WebSocket within a minute \
        of such a message; where the credentials were not recognised but the path names \
        a login or token, they are told as information. Session cookies that a response sets are not told either.",
    remedy: "Return only the properties that the client needs, by an explicit list for each response; never \
        serialise a stored object as it is. Mask what must be shown (the last four digits of a card), keep secrets \
        write-only, and check that the caller may read each property.",
};

impl Detector for SensitiveDataInResponse {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        if seen.exchange.outcome.response().is_none() {
            return Err(Blind::NoResponse);
        }
        for label in &seen.labels.found {
            if label.place.half != Half::Response || sets_session(label) {
                continue;
            }
            if let Some(severity) = severity(label, seen, past) {
                out.push(Verdict {
                    severity,
                    confidence: label.confidence,
                    claim: Claim::Data(label),
                });
            }
        }
        if seen.labels.lacks_answer() {
            return Err(Blind::BodyCut);
        }
        Ok(())
    }
}

/// `Set-Cookie` is how a session token gets to its owner.
fn sets_session(label: &Label) -> bool {
    label.place.part == Part::Cookie && is_token(label.kind)
}

/// What a login hands out. A password, a private key or a provider's key is never handed out by one.
const fn is_token(kind: DataKind) -> bool {
    matches!(kind, DataKind::Jwt | DataKind::SecretField)
}

/// `None` when the data is expected.
fn severity(label: &Label, seen: &Observation<'_>, past: &Past<'_>) -> Option<Severity> {
    if is_token(label.kind) {
        return match grant(label, seen, past) {
            Grant::Seen => None,
            Grant::Likely => Some(Severity::Info),
            Grant::No => Some(Severity::High),
        };
    }
    let bulk = label.count >= BULK;
    let own = is_own(label, seen);
    Some(match label.kind {
        DataKind::PrivateKey | DataKind::Password | DataKind::CloudToken | DataKind::CodeHostToken => {
            Severity::Critical
        }
        DataKind::PaymentCard | DataKind::UsSsn if bulk => Severity::Critical,
        DataKind::PaymentCard | DataKind::UsSsn if own => Severity::Medium,
        DataKind::Iban if own => Severity::Low,
        DataKind::Iban if !bulk => Severity::Medium,
        DataKind::Email | DataKind::Phone if own => Severity::Info,
        DataKind::Email | DataKind::Phone if bulk => Severity::Medium,
        DataKind::Email | DataKind::Phone => Severity::Low,
        _ => Severity::High,
    })
}

/// One value, in the answer to somebody who is known and named nothing: what a person is told of themselves.
fn is_own(label: &Label, seen: &Observation<'_>) -> bool {
    let single = label.count == 1 && !label.place.name.contains("[]");
    if !single
        || !is_caller_known(seen)
        || seen.endpoint.template.contains('{')
        || seen.exchange.part.is_some()
    {
        return false;
    }
    let outline = &seen.labels.outline;
    let mut asked = outline.identifiers().map(|(root, _)| root);
    let names = |root: Root| root.half == Half::Request && matches!(root.part, Part::Query | Part::Body);
    !asked.any(names)
}

fn is_caller_known(seen: &Observation<'_>) -> bool {
    seen.caller.is_known() || matches!(seen.exchange.caller, Caller::Known { .. })
}

/// Whether the exchange is a login.
enum Grant {
    /// Credentials went in.
    Seen,
    /// The path names one.
    Likely,
    /// No.
    No,
}

fn grant(label: &Label, seen: &Observation<'_>, past: &Past<'_>) -> Grant {
    if seen.exchange.part.is_some() {
        return if past.signs.logs_in {
            Grant::Seen
        } else {
            Grant::No
        };
    }
    let mut steps = seen.endpoint.template.rsplit('/').take(2);
    let likely = if steps.any(names_login) {
        Grant::Likely
    } else {
        Grant::No
    };
    if !matches!(
        Method::of(seen.exchange.request.method()),
        Method::Post | Method::Put
    ) {
        // One token is asked for; several are a list of what others were given.
        let single = label.count == 1 && !label.place.name.contains("[]");
        return if single { likely } else { Grant::No };
    }
    let basic = matches!(
        seen.exchange.caller,
        Caller::Known {
            scheme: AuthScheme::Basic,
            ..
        }
    );
    let given = |label: &Label| {
        label.place.half == Half::Request
            && label.place.part == Part::Body
            && matches!(
                label.kind,
                DataKind::Password | DataKind::SecretField | DataKind::Jwt
            )
    };
    // A ticket of the first step, or a token that is exchanged for one of another use (RFC 8693).
    let exchanged = matches!(likely, Grant::Likely) && is_caller_known(seen);
    if basic || exchanged || seen.labels.found.iter().any(given) {
        return Grant::Seen;
    }
    likely
}

/// Last or last but one step of a path where tokens are handed out.
fn names_login(step: &str) -> bool {
    const WORDS: [&str; 12] = [
        "login",
        "signin",
        "sign-in",
        "sign_in",
        "token",
        "tokens",
        "oauth",
        "auth",
        "authenticate",
        "session",
        "sessions",
        "refresh",
    ];
    WORDS.iter().any(|word| step.eq_ignore_ascii_case(word))
}
