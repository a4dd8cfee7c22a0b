//! The words of a finding, in one place: text, JSON, OTLP and later outputs all read them here.
//!
//! Takes typed evidence. Gives text without control characters. Never sees an observed value: evidence holds places,
//! kinds and masked samples only.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::classify::{DataKind, Half, Part, Place, ShownCall};
use crate::detect::baseline::{Asks, PlacesSign, Telling, TellsBy};
use crate::detect::objects::{ObjectSign, Shows};
use crate::detect::{
    Assigned, AttackShape, Bulk, Evidence, Excess, Finding, Function, LoginAttack, Outsider, TokenFlaw,
};
use crate::exchange::PartKind;
use crate::exchange::call::CallOutcome;

/// A finding in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wording<'a> {
    /// Permanent id of the rule.
    pub rule: &'static str,
    /// The rule in one line.
    pub title: &'static str,
    /// OWASP API Security Top 10, 2019 edition.
    pub owasp_2019: &'static str,
    /// OWASP API Security Top 10, 2023 edition.
    pub owasp_2023: &'static str,
    /// `CWE-` and its number.
    pub cwe: String,
    /// Severity after evidence.
    pub severity: &'static str,
    /// Percent.
    pub confidence: u8,
    /// Method of the endpoint.
    pub method: &'static str,
    /// Host of the endpoint.
    pub host: Cow<'a, str>,
    /// Template of the endpoint.
    pub template: Cow<'a, str>,
    /// Keyed hash of the caller.
    pub caller: Option<String>,
    /// Where the data was, such as `response body data[].card`.
    pub place: Option<String>,
    /// Kind of data.
    pub kind: Option<&'static str>,
    /// Values of that kind at that place.
    pub count: Option<u32>,
    /// The first of them, masked.
    pub sample: Option<Cow<'a, str>>,
    /// What was seen, as a sentence.
    pub evidence: String,
    /// What to do.
    pub remedy: &'static str,
    /// Not everything was seen.
    pub partial: bool,
}

impl<'a> Wording<'a> {
    /// Words for a finding.
    pub fn of(finding: &'a Finding) -> Self {
        let rule = finding.rule;
        let data = finding.data();
        let count = match &finding.evidence {
            Evidence::Data(label) => Some(label.count),
            _ => None,
        };
        Self {
            rule: rule.id.0,
            title: rule.title,
            owasp_2019: rule.owasp_2019,
            owasp_2023: rule.owasp_2023,
            cwe: format!("CWE-{}", rule.cwe),
            severity: finding.severity.name(),
            confidence: finding.confidence.0,
            method: finding.endpoint.method.name(),
            host: clean(&finding.endpoint.host),
            template: clean(&finding.endpoint.template),
            caller: finding.caller.map(|caller| caller.to_string()),
            place: data.map(|(_, place, _)| place_name(place)),
            kind: data.map(|(kind, _, _)| kind.name()),
            count,
            sample: data.map(|(_, _, sample)| clean(&sample.0)),
            evidence: evidence(&finding.evidence, finding.part),
            remedy: rule.remedy,
            partial: finding.partial,
        }
    }
}

fn evidence(evidence: &Evidence, part: Option<PartKind>) -> String {
    match evidence {
        Evidence::Data(label) => {
            let times = if label.count == 1 {
                String::new()
            } else {
                format!(" ({} values)", label.count)
            };
            let of = match part {
                Some(PartKind::MessageToServer | PartKind::MessageToClient) => " of a WebSocket message",
                Some(PartKind::Event) => " of a server-sent event",
                None => "",
            };
            format!(
                "{} in {}{of}{times}: {}",
                label.kind.name(),
                place_name(&label.place),
                clean(&label.sample.0)
            )
        }
        Evidence::Credentials(scheme) => format!("{scheme} credentials in the request head"),
        Evidence::AuthenticationNorm { with, of } => {
            format!("{with} of {of} earlier successes carried credentials, this one did not")
        }
        Evidence::Token(flaw) => token(*flaw),
        Evidence::Expired { seconds } => format!("the token had expired {} before", span(*seconds)),
        Evidence::NotYetGood { seconds } => format!("the token is good only in {}", span(*seconds)),
        Evidence::LoginAttack(attack) => login_attack(attack),
        Evidence::Telling(told) => telling(told),
        Evidence::Places(places) => self::places(places),
        Evidence::SkippedStep(skipped) => format!(
            "after {}, {} of {} logins went on with {}, this one did not",
            clean(&skipped.after),
            skipped.took,
            skipped.of,
            clean(&skipped.step)
        ),
        Evidence::Outsider(found) => outsider(found),
        Evidence::Assigned(found) => assigned(found),
        Evidence::Excess(found) => excess(found),
        Evidence::Bulk(found) => bulk(found),
        Evidence::Object(sign) => object(sign),
    }
}

/// Whose an object is, and what is usual.
fn object(sign: &ObjectSign) -> String {
    let at = place_name(&sign.place);
    let ObjectSign {
        usual,
        of,
        objects,
        given,
        others,
        most,
        ..
    } = sign;
    let within = span(u64::from(sign.minutes.max(1)) * 60);
    let did = if sign.writes { "changed" } else { "read" };
    match sign.shows {
        Shows::Owner => format!(
            "{at} names another caller; in {usual} of {of} successes it named the caller itself. Within {within} the \
             caller {did} {objects} objects of {others} others"
        ),
        Shows::Tenant => format!(
            "{at} names another tenant; in {usual} of {of} successes it named the caller's own. Within {within} the caller \
             {did} {objects} objects of others"
        ),
        Shows::HandedToOthers => format!(
            "the id in {at} was handed to others only; in {usual} of {of} uses it had been handed to the caller. Within \
             {within} the caller {did} {objects} objects of {others} others"
        ),
        Shows::HandedToNobody => format!(
            "the id in {at} was handed to nobody; in {usual} of {of} uses it had been handed to the caller. Within \
             {within} the caller {did} {objects} such objects"
        ),
        Shows::UnknownOwner => format!(
            "{at} names nobody who was ever seen; in {usual} of {of} successes it named the caller itself. Within \
             {within} the caller {did} {objects} such objects"
        ),
        Shows::Many => format!(
            "the caller tried {objects} objects at {at} within {within} that were not handed to it, of {others} others \
             as far as it is known, and was given {given}; in {usual} of {of} windows of its group it was {most} at most"
        ),
    }
}

/// What is wrong with a token.
fn token(flaw: TokenFlaw) -> String {
    let text = match flaw {
        TokenFlaw::LongLived { lifetime_s } => return format!("the token is good for {}", span(lifetime_s)),
        TokenFlaw::Unsigned => "the token is not signed (alg none)",
        TokenFlaw::EmptySignature => "the token's signature is empty",
        TokenFlaw::OtherAlgorithm => {
            "the token is signed by another kind of algorithm than its issuer's tokens were before"
        }
        TokenFlaw::OddKeyId => "the token's key id holds characters of paths or queries",
        TokenFlaw::OwnKey => "the token brings the key to check it with",
        TokenFlaw::RemoteKey => "the token says where to fetch the key to check it with",
        TokenFlaw::Twice => "alg, iss, sub or exp is in the token twice",
        TokenFlaw::NoExpiry => "the token never expires",
        TokenFlaw::GuessableSecret => "a well-known secret signed the token",
        TokenFlaw::PasswordInside => "a password is among the token's claims",
        TokenFlaw::SsnInside => "a Social Security number is among the token's claims",
        TokenFlaw::PhoneInside => "a telephone number is among the token's claims",
        TokenFlaw::EmailInside => "an e-mail address is among the token's claims",
    };
    text.to_owned()
}

fn login_attack(attack: &LoginAttack) -> String {
    let within = span(u64::from(attack.minutes) * 60);
    let LoginAttack {
        failures,
        successes,
        names,
        addresses,
        usual,
        ..
    } = attack;
    let mut text = match attack.shape {
        AttackShape::BruteForce => {
            format!("{failures} failed logins of one name from {addresses} addresses in {within}")
        }
        AttackShape::Spraying => format!(
            "{failures} failed logins of {names} names from one address in {within}, {successes} succeeded"
        ),
        AttackShape::Stuffing => format!(
            "{failures} failed logins of {names} names from {addresses} addresses in {within}, {successes} \
             succeeded; usually {usual} fail"
        ),
        AttackShape::NoLockout => {
            format!("{failures} failed logins of one name in {within}, and none was answered with 423 or 429")
        }
    };
    if attack.put_off > 0 {
        let _infallible = write!(text, "; {} were put off with 423 or 429", attack.put_off);
    }
    if attack.got_in {
        text.push_str("; this one succeeded");
    }
    text
}

fn telling(told: &Telling) -> String {
    let (what, unit) = match told.by {
        TellsBy::Status => ("status", ""),
        TellsBy::Size => ("size", " bytes"),
        TellsBy::Time => ("time", " us"),
    };
    let known = match told.asks {
        Asks::Login | Asks::Registration => "that logged in before",
        Asks::Reset => "whose password may be reset",
    };
    format!(
        "the {what} tells which names exist: {}{unit} for {} {known}, {}{unit} for {} others",
        told.known_value, told.known, told.unknown_value, told.unknown
    )
}

fn places(places: &PlacesSign) -> String {
    let mut text = format!(
        "one credential from {} addresses within two hours, {} times back to an earlier one; before, usually at most \
         {} in {} hours of this caller, and two thirds as many in {} of {} hours of all",
        places.addresses, places.returns, places.usual, places.hours, places.as_many, places.all_hours
    );
    if places.addresses_daily > places.addresses {
        let _infallible = write!(
            text,
            "; {} within two days, usually at most {} on {} days",
            places.addresses_daily, places.usual_daily, places.days
        );
    }
    text
}

fn outsider(found: &Outsider) -> String {
    let what = match found.function {
        Function::OfRole => "function of another role",
        Function::Administrative => "administrative function",
        Function::Method => "method at a path that the group only reads",
    };
    let mut text = format!(
        "{what}: {} callers of {} other role groups used it {} times in {}; the {} callers of the own group at the host \
         never did, where {} uses were to be expected",
        found.callers,
        found.groups,
        found.uses,
        span(u64::from(found.hours) * 3600),
        found.own_callers,
        found.expected
    );
    if found.refusals > 0 {
        let _infallible = write!(text, "; the group was refused {} times", found.refusals);
    }
    text
}

fn assigned(found: &Assigned) -> String {
    format!(
        "{} was set, which none of {} earlier requests did; the answer {}; {} callers so far",
        clean(&found.property),
        found.messages,
        if found.reflected {
            "has it as it was sent"
        } else {
            "does not tell"
        },
        found.callers
    )
}

fn excess(found: &Excess) -> String {
    let kinds: Vec<_> = found.kinds().map(DataKind::name).collect();
    format!(
        "{} in response body {}, where {} earlier answers had none; {} callers so far",
        kinds.join(", "),
        clean(&found.property),
        found.messages,
        found.callers
    )
}

fn bulk(found: &Bulk) -> String {
    let of = if found.elsewhere {
        "of the group at this host, which never used the operation"
    } else {
        "of the group at this operation"
    };
    let by = found
        .asked_by
        .map_or(String::new(), |name| format!(", asked for by {name}"));
    format!(
        "{} items{by}; of {} answers {of}, all but one in a hundred had at most {}",
        found.items, found.answers, found.usual
    )
}

/// A time in its largest whole unit.
pub(super) fn span(seconds: u64) -> String {
    for (unit, name) in [(86_400, "days"), (3_600, "hours"), (60, "minutes")] {
        if seconds >= unit * 2 {
            return format!("{} {name}", seconds / unit);
        }
    }
    format!("{seconds} seconds")
}

/// Request or response, in outputs.
pub const fn half_name(half: Half) -> &'static str {
    match half {
        Half::Request => "request",
        Half::Response => "response",
    }
}

/// A call in words: kind, name where it has one, and what came of it where it says so.
pub fn call(call: &ShownCall) -> String {
    let mut text = call.kind.name().to_owned();
    if !call.name.is_empty() {
        text.push(' ');
        text.push_str(&clean(&call.name));
    }
    match (call.outcome, call.fault) {
        (CallOutcome::Unknown, _) => {}
        (CallOutcome::Success, _) => text.push_str(" success"),
        (CallOutcome::Failure(_), Some(fault)) => {
            let _infallible = write!(text, " failure:{}", fault.name());
        }
        (CallOutcome::Failure(0), None) => text.push_str(" failure"),
        (CallOutcome::Failure(code), None) => {
            let _infallible = write!(text, " failure:{code}");
        }
    }
    text
}

/// A place in words.
pub(crate) fn place_name(place: &Place) -> String {
    let (half, part) = (half_name(place.half), part_name(place.part));
    format!("{half} {part} {}", clean(&place.name))
        .trim_end()
        .to_owned()
}

/// Name of a part of a message in outputs.
pub(crate) const fn part_name(part: Part) -> &'static str {
    match part {
        Part::Path => "path",
        Part::Query => "query",
        Part::Header => "header",
        Part::Cookie => "cookie",
        Part::Body => "body",
    }
}

/// The same text with control and direction-changing characters replaced: hosts, templates and names come from the
/// network, and a terminal obeys what it is sent.
pub fn clean(text: &str) -> Cow<'_, str> {
    // Almost all of it is ASCII, which is looked at many bytes at a time.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    if text.chars().any(is_hostile) {
        Cow::Owned(
            text.chars()
                .map(|c| if is_hostile(c) { '?' } else { c })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// C0, C1 and DEL, line separators, and the format characters by which text is reordered or hidden (Unicode 16, Cf).
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::sample;

    #[test]
    fn each_kind_of_evidence_has_words() {
        let [data, credentials, norm] = sample::findings();
        assert_eq!(
            Wording::of(&data).evidence,
            "payment_card in response body data[].card.number (2 values): 4***********1111"
        );
        assert_eq!(
            Wording::of(&credentials).evidence,
            "basic credentials in the request head"
        );
        let wording = Wording::of(&norm);
        assert_eq!(
            wording.evidence,
            "19 of 20 earlier successes carried credentials, this one did not"
        );
        assert_eq!((wording.kind, wording.place, wording.sample), (None, None, None));
    }

    #[test]
    fn findings_of_authentication_have_their_figures() {
        let said: Vec<_> = sample::of_authentication()
            .iter()
            .map(|finding| Wording::of(finding).evidence)
            .collect();
        assert_eq!(
            said,
            [
                "the token is good for 365 days",
                "the token had expired 2 hours before",
                "the token is good only in 10 minutes",
                "64 failed logins of 62 names from 16 addresses in 10 minutes, 3 succeeded; usually 1 fail; 12 were put off \
                 with 423 or 429",
                "the status tells which names exist: 401 for 12 that logged in before, 404 for 8 others",
                "one credential from 12 addresses within two hours, 20 times back to an earlier one; before, usually \
                 at most 1 in 8 hours of this caller, and two thirds as many in 2 of 300 hours of all",
                "after POST api.example.com/login, 30 of 30 logins went on with POST api.example.com/login/mfa, this \
                 one did not",
            ]
        );
    }

    #[test]
    fn findings_of_rights_have_their_figures() {
        let said: Vec<_> = sample::of_rights()
            .iter()
            .map(|finding| Wording::of(finding).evidence)
            .collect();
        assert_eq!(
            said,
            [
                "administrative function: 5 callers of 1 other role groups used it 212 times in 5 days; the 480 callers \
                 of the own group at the host never did, where 2040 uses were to be expected; the group was refused 2 \
                 times",
                "user.is_admin was set, which none of 300 earlier requests did; the answer has it as it was sent; 1 \
                 callers so far",
                "payment_card in response body data.internal.card_number, where 4000 earlier answers had none; 1 \
                 callers so far",
                "800 items, asked for by limit; of 240 answers of the group at this operation, all but one in a hundred \
                 had at most 15",
            ]
        );
    }

    #[test]
    fn findings_about_objects_say_how_many_and_what_is_usual() {
        let all = sample::of_objects();
        let said: Vec<_> = all.iter().map(|finding| Wording::of(finding).evidence).collect();
        let at = "response body order.customer";
        let lately = "Within 6 minutes the caller read 214";
        assert_eq!(
            said,
            [
                format!(
                    "{at} names another caller; in 2300 of 2301 successes it named the caller itself. {lately} objects \
                     of 98 others"
                ),
                format!(
                    "{at} names another tenant; in 2300 of 2301 successes it named the caller's own. Within 6 minutes the \
                     caller changed 214 objects of others"
                ),
                format!(
                    "the id in {at} was handed to others only; in 2300 of 2301 uses it had been handed to the caller. \
                     {lately} objects of 98 others"
                ),
                format!(
                    "the id in {at} was handed to nobody; in 2300 of 2301 uses it had been handed to the caller. \
                     {lately} such objects"
                ),
                format!(
                    "{at} names nobody who was ever seen; in 2300 of 2301 successes it named the caller itself. \
                     {lately} such objects"
                ),
                format!(
                    "the caller tried 214 objects at {at} within 6 minutes that were not handed to it, of 98 others as \
                     far as it is known, and was given 180; in 2300 of 2301 windows of its group it was 3 at most"
                ),
            ]
        );
    }

    #[test]
    fn hostile_characters_are_replaced() {
        assert_eq!(clean("a\u{1b}[31mb\u{202e}c\u{9b}d\n"), "a?[31mb?c?d?");
        assert!(matches!(clean("größe {id}"), Cow::Borrowed(_)));
    }
}
