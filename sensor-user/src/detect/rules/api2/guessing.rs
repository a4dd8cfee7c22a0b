//! Passwords that are guessed: API2-006.

use crate::callers::{LoginFacts, LoginResult, PrincipalKind, Trouble};
use crate::classify::Confidence;
use crate::detect::baseline::{AddressLogins, HostLogins, LoginSigns, Strays};
use crate::detect::{
    AttackShape, Blind, Claim, Detector, EvidenceKind, Input, LoginAttack, Observation, Past, RuleId,
    RuleMeta, Severity, Verdict, Verdicts,
};

/// API2-006.
pub(in crate::detect) struct GuessedPasswords;

/// Failures of one name within ten minutes. Whoever forgot a password tries five times; a password manager that retries
/// does as often.
const FORCE: u32 = 10;
/// The same within a day, or within a week: who does not remember by then asks for another.
const FORCE_LONG: u32 = 30;
/// The same where the client is the name's own, or logs in with each request: an application that was not told the new
/// password asks again and again.
const FORCE_AT_HOME: u32 = 100;
/// Names that failed from one address within ten minutes: an office's worth of Monday mornings is below.
const SPRAY: u16 = 10;
/// The same within a day, or within a week.
const SPRAY_LONG: u16 = 30;
/// Failures for each success: behind the address of an office or a proxy most logins succeed.
const PER_SUCCESS: u32 = 4;
/// Failures of one name before it is odd that nothing stopped them.
const UNLIMITED: u32 = 50;
/// The same within a day.
const UNLIMITED_DAY: u32 = 200;

static META: RuleMeta = RuleMeta {
    id: RuleId("API2-006"),
    title: "Passwords are guessed",
    owasp_2019: "API2:2019",
    owasp_2023: "API2:2023",
    cwe: 307,
    severity: Severity::High,
    needs: &[
        Input::RequestHead,
        Input::RequestBody,
        Input::Status,
        Input::LoginHistory,
    ],
    evidence: &[EvidenceKind::LoginAttack],
    description: "Logins fail in one of these shapes. Brute force: one name fails 10 times in ten minutes or 30 times \
        in a day or a week (100 times in ten minutes where the name succeeded from that address before, or where each \
        request logs in, as with Basic; behind a proxy that identity.trusted_proxies does not name, no address is a \
        name's own). Spraying: 10 names fail from one address in ten minutes, or 30 in a day or a week. Both only with \
        four failures or more for each success (one for a name in a week, whose own user gets in, too), so that an \
        office behind one address is left alone. Stuffing: 40 \
        failures of 30 names from 10 addresses in ten minutes at one host, five times its usual, seven of ten of names \
        that never succeeded; or 40 names from 10 addresses in an hour, each tried once and from where it never \
        succeeded, seven of ten of all that failed and did not get in, five times the usual; or, medium, names that are \
        tried once a day at most, each from an address where nobody gets in, and that nobody comes back for within six \
        hours: from 15 on beyond twice the usual and two a day, after three days. What goes on is told again after a day. \
        No lockout: 50 failures of \
        one name in ten minutes, or 200 in a day, and the host answered neither 423 nor 429 within a day (medium). A try \
        that was answered with 423 or 429 is no guess: nobody looked at its password. A shape of one name or address \
        that only such tries complete was withstood: information. When \
        the login that completes such a shape succeeds, somebody got in: critical, those tries included. Passwords are \
        never looked at.",
    remedy: "Slow logins down by name and by address (429 with Retry-After), ask for a second factor, refuse \
        passwords from leaked lists (NIST SP 800-63B), and tell users of failed logins. Where somebody got in, end the \
        sessions of the account and reset its password.",
};

impl Detector for GuessedPasswords {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        let (Some(login), Some(signs)) = (&seen.caller.facts.login, &past.signs.login) else {
            return match seen.caller.kind {
                PrincipalKind::Unseen => Err(Blind::CallerUnseen),
                _ => Ok(()),
            };
        };
        if login.result == LoginResult::Unknown {
            return if seen.exchange.outcome.response().is_none() {
                Err(Blind::NoResponse)
            } else {
                Ok(())
            };
        }
        let got_in = login.result == LoginResult::Succeeded;
        let each_request = seen
            .exchange
            .handover
            .as_ref()
            .is_none_or(|told| told.asker.login.is_none());
        let mut tell = |attack: LoginAttack, withstood, confidence| {
            let severity = match attack.shape {
                _ if got_in => Severity::Critical,
                _ if withstood => Severity::Info,
                AttackShape::Stuffing if attack.minutes > HOUR => Severity::Medium,
                AttackShape::NoLockout => Severity::Medium,
                _ => Severity::High,
            };
            out.push(Verdict {
                severity,
                confidence: Confidence(confidence),
                claim: Claim::LoginAttack(attack),
            });
        };
        let trouble = login.name_trouble;
        let of_name = |tries| brute_force(login, tries, signs, each_request, got_in);
        let guessed = of_name(trouble.judged());
        if let Some(attack) = guessed.or_else(|| of_name(trouble)) {
            tell(attack, guessed.is_none(), 85);
            if !got_in && is_unlimited(login, signs) {
                let shape = AttackShape::NoLockout;
                tell(LoginAttack { shape, ..attack }, false, 70);
            }
        }
        let Some(address) = signs.address else {
            return Err(Blind::ClientUnknown);
        };
        // An address that a campaign uses is told by itself when it does enough.
        let of_address = |tries: &AddressLogins| spraying(seen, tries, signs, got_in);
        let guessed = of_address(&address.judged());
        if let Some(attack) = guessed.or_else(|| of_address(&address)) {
            tell(attack, guessed.is_none(), 85);
        }
        let host = signs.host.ok_or(Blind::NoRoom)?;
        if let Some((attack, confidence)) = of_host(&host, !got_in && !signs.familiar)? {
            tell(attack, false, confidence);
        }
        Ok(())
    }
}

/// Minutes of the windows.
const SHORT: u32 = 10;
const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;
const WEEK: u32 = 7 * DAY;

/// Whether nearly all fail: behind the address of an office most logins succeed.
const fn few_succeed(successes: u32, failures: u32) -> bool {
    successes.saturating_mul(PER_SUCCESS) <= failures
}

/// One name, many passwords.
fn brute_force(
    login: &LoginFacts,
    trouble: Trouble,
    signs: &LoginSigns,
    each_request: bool,
    got_in: bool,
) -> Option<LoginAttack> {
    let lenient = signs.at_home || each_request;
    // Who gets in at home remembered the password.
    if lenient && got_in {
        return None;
    }
    let most = if lenient { FORCE_AT_HOME } else { FORCE };
    let by_day = few_succeed(trouble.successes_day, trouble.failures_day);
    // The name's own user gets in as well, from wherever that is.
    let by_week = trouble.successes_week <= trouble.failures_week;
    let (failures, put_off, successes, addresses, minutes) = if by_day && trouble.failures >= most {
        let Trouble {
            failures, put_off, ..
        } = trouble;
        (failures, put_off, trouble.successes_day, trouble.others, SHORT)
    } else if lenient {
        return None;
    } else if by_day && trouble.failures_day >= FORCE_LONG {
        (
            trouble.failures_day,
            trouble.put_off_day,
            trouble.successes_day,
            trouble.others_week,
            DAY,
        )
    } else if by_week && trouble.failures_week >= FORCE_LONG && !got_in {
        (
            trouble.failures_week,
            trouble.put_off_week,
            trouble.successes_week,
            trouble.others_week,
            WEEK,
        )
    } else {
        return None;
    };
    Some(LoginAttack {
        shape: AttackShape::BruteForce,
        subject: Some(login.name),
        failures,
        put_off,
        successes,
        names: 1,
        addresses,
        minutes,
        usual: 0,
        got_in,
        since_s: 0,
    })
}

fn is_unlimited(login: &LoginFacts, signs: &LoginSigns) -> bool {
    let trouble = login.name_trouble;
    let many = trouble.failures >= UNLIMITED || trouble.failures_day >= UNLIMITED_DAY;
    many && signs.host.is_some() && !signs.limits
}

/// One address, many names.
fn spraying(
    seen: &Observation<'_>,
    address: &AddressLogins,
    signs: &LoginSigns,
    got_in: bool,
) -> Option<LoginAttack> {
    // Who gets in where they always do is no attacker.
    if got_in && signs.at_home {
        return None;
    }
    let by_day = few_succeed(address.successes_day, address.failures_day);
    let by_week = few_succeed(address.successes_week, address.failures_week);
    let (failures, put_off, successes, names, minutes) = if by_day && address.names >= SPRAY {
        (
            address.failures,
            address.put_off,
            address.successes_day,
            address.names,
            SHORT,
        )
    } else if by_day && address.names_day >= SPRAY_LONG {
        (
            address.failures_day,
            address.put_off_day,
            address.successes_day,
            address.names_day,
            DAY,
        )
    } else if by_week && address.names_week >= SPRAY_LONG {
        (
            address.failures_week,
            address.put_off_week,
            address.successes_week,
            address.names_week,
            WEEK,
        )
    } else {
        return None;
    };
    Some(LoginAttack {
        shape: AttackShape::Spraying,
        subject: seen.exchange.client.hash,
        failures,
        put_off,
        successes,
        names,
        addresses: 1,
        minutes,
        usual: 0,
        got_in,
        since_s: 0,
    })
}

/// Many names from many addresses, fast or slowly, and how sure that is in percent. `of_stranger`: this login fails, of a
/// name that never succeeded.
fn of_host(host: &HostLogins, of_stranger: bool) -> Result<Option<(LoginAttack, u8)>, Blind> {
    let attack = match campaign(host)?.filter(|_| of_stranger) {
        None => tried_once(host)?,
        known => known,
    };
    let one_by_one = || host.strays.map(|strays| (one_by_one(strays), 60));
    Ok(attack.map(|attack| (attack, 75)).or_else(one_by_one))
}

/// Many names, many addresses.
fn campaign(host: &HostLogins) -> Result<Option<LoginAttack>, Blind> {
    Ok(host.is_flooded()?.then_some(LoginAttack {
        shape: AttackShape::Stuffing,
        subject: None,
        failures: host.failures,
        put_off: 0,
        successes: host.successes,
        names: host.names,
        addresses: host.addresses,
        minutes: SHORT,
        usual: host.usual,
        got_in: false,
        since_s: host.since_s,
    }))
}

/// The same at leisure.
fn tried_once(host: &HostLogins) -> Result<Option<LoginAttack>, Blind> {
    let tried = &host.tried;
    Ok(tried.is_listed()?.then_some(LoginAttack {
        shape: AttackShape::Stuffing,
        subject: None,
        failures: tried.left,
        put_off: 0,
        successes: 0,
        names: u16::try_from(tried.left).unwrap_or(u16::MAX),
        addresses: tried.addresses,
        minutes: HOUR,
        usual: tried.usual,
        got_in: false,
        since_s: host.since_s,
    }))
}

/// The same over days: as many names as nobody comes back for otherwise.
fn one_by_one(strays: Strays) -> LoginAttack {
    LoginAttack {
        shape: AttackShape::Stuffing,
        subject: None,
        failures: strays.names,
        put_off: 0,
        successes: 0,
        names: u16::try_from(strays.names).unwrap_or(u16::MAX),
        addresses: strays.addresses,
        minutes: strays.lasts_s / 60,
        usual: strays.usual,
        got_in: false,
        since_s: strays.since_s,
    }
}
