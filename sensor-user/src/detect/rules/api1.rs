//! API1:2023 Broken Object Level Authorization.
//!
//! Takes what was learnt of objects. Gives claims with their figures. Never keeps anything: memory is in
//! `detect/objects/`.

use crate::classify::{Confidence, Half};
use crate::detect::objects::{Judged, ObjectSign, ObjectSigns, Shows};
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};

/// Foreign objects of one caller in four days from which it is no accident.
const SEVERAL: u32 = 3;
/// The same where they are changed.
const SEVERAL_CHANGED: u32 = 2;
/// Objects of nobody who is known, from which it is no accident.
const SEVERAL_UNKNOWN: u32 = 2;

/// A question about objects.
pub(in crate::detect) struct ObjectRule {
    meta: &'static RuleMeta,
    asks: fn(&ObjectSigns) -> &Judged,
}

/// API1-001.
pub(in crate::detect) static ANOTHERS_OBJECT: ObjectRule = ObjectRule {
    meta: &OWNER,
    asks: |signs| &signs.owner,
};
/// API1-002.
pub(in crate::detect) static HANDED_TO_OTHERS: ObjectRule = ObjectRule {
    meta: &HANDED,
    asks: |signs| &signs.handed,
};
/// API1-003.
pub(in crate::detect) static HANDED_TO_NOBODY: ObjectRule = ObjectRule {
    meta: &UNISSUED,
    asks: |signs| &signs.unissued,
};
/// API1-004.
pub(in crate::detect) static ENUMERATED_OBJECTS: ObjectRule = ObjectRule {
    meta: &MANY,
    asks: |signs| &signs.many,
};
/// API1-005.
pub(in crate::detect) static ANOTHER_TENANT: ObjectRule = ObjectRule {
    meta: &TENANT,
    asks: |signs| &signs.tenant,
};

const NEEDS: &[Input] = &[
    Input::RequestHead,
    Input::RequestBody,
    Input::Status,
    Input::ResponseBody,
    Input::CallerIdentity,
    Input::ObjectHistory,
];

const REMEDY: &str = "Check in each function, and for each object that a request names, that the caller may do this with \
    it: by the caller's identity from the session or token, in the query that loads the object, and never by what the \
    request says of itself. Random ids help against guessing and replace no check.";

static OWNER: RuleMeta = RuleMeta {
    id: RuleId("API1-001"),
    title: "Object of another caller",
    owasp_2019: "API1:2019",
    owasp_2023: "API1:2023",
    cwe: 639,
    severity: Severity::High,
    needs: NEEDS,
    evidence: &[EvidenceKind::Object],
    description: "A field of request or answer named the caller in 98 of 100 successes of its group (kind, roles and \
        scopes) at this operation, over 15 at least and of different callers, and names another caller now; the server \
        answered with success. What names a caller is in its token or in the answer to its login, or came in its \
        answers again and again and in nobody else's.",
    remedy: REMEDY,
};

static HANDED: RuleMeta = RuleMeta {
    id: RuleId("API1-002"),
    title: "Object id that was handed to others only",
    owasp_2019: "API1:2019",
    owasp_2023: "API1:2023",
    cwe: 639,
    severity: Severity::Medium,
    needs: NEEDS,
    evidence: &[EvidenceKind::Object],
    description: "The request names an object whose id the server gave to others and never to this caller, at a place \
        where callers of its group use what they were given (over 15 at least), and the server answered with \
        success. What very many were given, what several strangers use (a shared link), and what the caller's team was \
        given is not meant; nor what those were given with whom the caller shares other ids, unless 30 uses were of the \
        callers' own and next to none of such. Of 200 uses one may be of others' for this to be a norm. Where a team \
        uses what its members were given, it is what was given to three others or more of the caller's group, with none \
        of whom it ever shared any. The first two within four days are low, three are \
        medium, and two where objects are changed.",
    remedy: REMEDY,
};

static UNISSUED: RuleMeta = RuleMeta {
    id: RuleId("API1-003"),
    title: "Object id that was handed to nobody",
    owasp_2019: "API1:2019",
    owasp_2023: "API1:2023",
    cwe: 639,
    severity: Severity::Medium,
    needs: NEEDS,
    evidence: &[EvidenceKind::Object],
    description: "The request names an object whose id the server never gave to anybody, at a place where callers use \
        what they were given (98 of 100, over 30 at least), and the server answered with success; or the answer names \
        an owner whom nobody is known by, at a place where it names the caller. Two owners who are unknown, or three ids within four days, are medium; fewer \
        are low. Where an id may have been forgotten, or handed out in an answer \
        of the last four days that was not seen to its end, the rule is blind.",
    remedy: REMEDY,
};

static MANY: RuleMeta = RuleMeta {
    id: RuleId("API1-004"),
    title: "Objects are enumerated",
    owasp_2019: "API1:2019",
    owasp_2023: "API1:2023",
    cwe: 639,
    severity: Severity::High,
    needs: NEEDS,
    evidence: &[EvidenceKind::Object],
    description: "One caller asked one operation for 8 objects or more within ten minutes or a day whose ids were not \
        handed to it, refused tries (403, 404, 5 and 7 of gRPC) included, and was given three at least. It is three times \
        what one in 200 such windows of its group was given, and three times what the caller itself was given before: what \
        was refused makes nothing usual. The order does not matter.",
    remedy: "Check for each object that the caller may have it, limit how many different objects one caller may ask \
        for in a minute and in a day, answer alike for what is not there and what is not the caller's, and use ids \
        that cannot be counted through.",
};

static TENANT: RuleMeta = RuleMeta {
    id: RuleId("API1-005"),
    title: "Object of another tenant",
    owasp_2019: "API1:2019",
    owasp_2023: "API1:2023",
    cwe: 639,
    severity: Severity::Critical,
    needs: NEEDS,
    evidence: &[EvidenceKind::Object],
    description: "A field of request or answer held the caller's tenant in 98 of 100 successes of its group at this \
        operation, over 15 at least and of different callers, and holds another tenant now; the server answered with \
        success. The tenant is what the token says, or what several callers have as theirs. A token for another tenant \
        is good for that one.",
    remedy: "Take the tenant from the session or token, never from path, header or body, and let every query and every \
        cache key contain it; row level security in the database keeps what the application forgets.",
};

impl Detector for ObjectRule {
    fn meta(&self) -> &'static RuleMeta {
        self.meta
    }

    fn inspect<'a>(
        &self,
        seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        match (self.asks)(&past.signs.objects) {
            Ok(None) if lacks_objects(seen) => Err(Blind::NoRoom),
            Ok(None) => Ok(()),
            Err(reason) => Err(*reason),
            Ok(Some(sign)) => {
                let (severity, confidence) = weigh(sign);
                out.push(Verdict {
                    severity,
                    confidence: Confidence(confidence),
                    claim: Claim::Object(sign),
                });
                Ok(())
            }
        }
    }
}

/// Whether there was more in a message than is kept of it.
fn lacks_objects(seen: &Observation<'_>) -> bool {
    let outline = &seen.labels.outline;
    let lacks = |half| outline.lacks_places(half) || outline.lacks_values(half);
    seen.exchange.part.is_none() && [Half::Request, Half::Response].into_iter().any(lacks)
}

/// How bad, and how sure in percent.
fn weigh(sign: &ObjectSign) -> (Severity, u8) {
    // A norm of hundreds is surer than one of fifteen.
    let norm = u8::try_from(sign.usual.max(1).ilog2().min(10)).unwrap_or_default();
    match sign.shows {
        Shows::Tenant => (Severity::Critical, 85 + norm),
        Shows::Owner => (Severity::High, 80 + norm),
        Shows::UnknownOwner if sign.objects >= SEVERAL_UNKNOWN => (Severity::Medium, 65 + norm),
        Shows::Many => (Severity::High, 75 + norm),
        Shows::HandedToOthers if sign.objects > SEVERAL => (Severity::High, 75 + norm),
        Shows::HandedToOthers if sign.objects == SEVERAL => (Severity::Medium, 65 + norm),
        Shows::HandedToOthers if sign.writes && sign.objects >= SEVERAL_CHANGED => {
            (Severity::Medium, 65 + norm)
        }
        // Bookmarks and letters hold some.
        Shows::HandedToNobody if sign.objects >= SEVERAL => (Severity::Medium, 60 + norm),
        Shows::HandedToOthers | Shows::HandedToNobody | Shows::UnknownOwner => (Severity::Low, 40 + norm),
    }
}
