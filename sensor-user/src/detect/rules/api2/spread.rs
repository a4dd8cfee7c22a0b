//! One token used from many places: API2-008.

use crate::callers::PrincipalKind;
use crate::classify::Confidence;
use crate::detect::baseline::PlacesSign;
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};

/// API2-008.
pub(in crate::detect) struct ManyPlaces;

/// Addresses within an hour or two when the token goes back and forth between them: a telephone changes from one network
/// to another and back, which are two or three.
const BACK_AND_FORTH: u16 = 5;
/// Uses from an address that it had left, which make it back and forth.
const RETURNS: u16 = 3;
/// Addresses when each is new: on a journey, a telephone has one after the other.
const ONE_BY_ONE: u16 = 10;
/// Times the most that the caller had before.
const BEYOND_USUAL: u16 = 3;
/// Hours in which a caller was seen before it has a norm.
const OWN_HOURS: u16 = 6;
/// Addresses of a program's key within a day or two: machines stay where they are, but for a few that are added.
const ON_THE_MOVE: u16 = 5;
/// Days on which a program was seen before it has a norm.
const OWN_DAYS: u16 = 3;
/// Hours of callers before all have a norm.
const ALL_HOURS: u32 = 100;
/// One in so many hours of callers may have two thirds as many addresses: else that is usual here.
const RARE: u32 = 100;

static META: RuleMeta = RuleMeta {
    id: RuleId("API2-008"),
    title: "One token used from many places",
    owasp_2019: "API2:2019",
    owasp_2023: "API2:2023",
    cwe: 294,
    severity: Severity::Medium,
    needs: &[
        Input::RequestHead,
        Input::Status,
        Input::CallerIdentity,
        Input::ClientAddress,
        Input::CallerHistory,
    ],
    evidence: &[EvidenceKind::Places],
    description: "One token, session or key was accepted from 5 client addresses within an hour or two, going back \
        and forth between them, or from 10 one after the other. It is three times as many as any of the caller's had in \
        an hour before, where the caller was seen in 6 hours; for a new user, fewer than one in a hundred hours of all \
        callers have two thirds as many. A program's key is told of as well at the fifth address and each further one within a day or two, three \
        times as many as any day before, where the program was seen on 3 days. Nothing is told where the caller is as a rule. Of IPv6 the /64 is the address. A client is who is connected, or whom a proxy of \
        identity.trusted_proxies names; behind other proxies the rule is blind, unless the caller came without one today or \
        yesterday: then it is the client that says so.",
    remedy: "Revoke the token and ask its owner to log in again. Bind tokens to their client (DPoP, RFC 9449, or mutual \
        TLS, RFC 8705), keep them short, and give each program of a group a key of its own.",
};

impl Detector for ManyPlaces {
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
        let Some(places) = past.signs.places? else {
            return Ok(());
        };
        let back_and_forth = places.addresses >= BACK_AND_FORTH && places.returns >= RETURNS;
        // In the hours after a theft its owner is told of no more.
        if places.at_home {
            return Ok(());
        }
        let moves = seen.caller.kind == PrincipalKind::Service && is_on_the_move(&places);
        if !back_and_forth && places.addresses < ONE_BY_ONE && !moves {
            return Ok(());
        }
        if places.behind_proxy {
            return Err(Blind::ClientUnknown);
        }
        if seen.caller.ambiguous {
            return Err(Blind::CallerAmbiguous);
        }
        if moves {
            out.push(Verdict {
                severity: Severity::Medium,
                confidence: Confidence(65),
                claim: Claim::Places(places),
            });
            return Ok(());
        }
        let all_known = places.all_hours >= ALL_HOURS;
        if all_known && places.as_many * RARE > places.all_hours {
            return Ok(());
        }
        let own_known = places.hours >= OWN_HOURS;
        // Programs run in as many places as they are told to.
        if !own_known && (!all_known || seen.caller.kind == PrincipalKind::Service) {
            return Err(Blind::NotEnoughEvidence);
        }
        if own_known && places.addresses < places.usual.saturating_mul(BEYOND_USUAL) {
            return Ok(());
        }
        out.push(Verdict {
            severity: Severity::Medium,
            confidence: Confidence(if own_known && back_and_forth { 80 } else { 65 }),
            claim: Claim::Places(places),
        });
        Ok(())
    }
}

/// A key that somebody else has as well, and uses now and then. Told of who comes from another address, not of the owner
/// in the days after.
const fn is_on_the_move(places: &PlacesSign) -> bool {
    places.is_new_daily
        && places.days >= OWN_DAYS
        && places.addresses_daily >= ON_THE_MOVE
        && places.addresses_daily >= places.usual_daily.saturating_mul(BEYOND_USUAL)
}
