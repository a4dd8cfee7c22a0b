//! What rules about authentication look at, exchange by exchange.

use crate::exchange::credentials::{Algorithm, Claims, Placed, Sensitive, Weak};
use crate::exchange::secret::CallerHash;
use crate::exchange::{AuthScheme, Exchange};

use super::answer::Answer;
use super::windows::Counts;

/// Facts about the credentials of one exchange and what came of them.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct AuthFacts {
    /// What the server made of them.
    pub answer: Answer,
    /// A credential is in the URL.
    pub in_url: Option<AuthScheme>,
    /// Credentials travelled outside of TLS, as far as this connection goes: the strongest scheme.
    pub in_clear: Option<AuthScheme>,
    /// The caller came with a token or session that had been handed out or let in before.
    pub held: bool,
    /// The token that the caller presented, when it is a JSON Web Token.
    pub token: Option<TokenFacts>,
    /// Somebody logged in, or tried to.
    pub login: Option<LoginFacts>,
    /// One token was presented that belongs to two callers, or the answer hands out one that does.
    pub contradiction: bool,
    /// Client addresses that the caller came from within an hour or two; 621 stands for more. The caller's own is in it.
    pub addresses: u16,
    /// Refusals of the caller within ten minutes.
    pub refusals: u32,
    /// Failed logins and refused credentials from the client's address.
    pub address: Trouble,
}

/// A JSON Web Token as it was presented.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TokenFacts {
    /// Where it was.
    pub placed: Placed,
    /// `alg`.
    pub algorithm: Algorithm,
    /// Weaknesses that it shows itself. With [`Answer::Accepted`] the server did not mind.
    pub weak: Weak,
    /// Guessable secrets were tried on it.
    pub tried: bool,
    /// Kinds of sensitive data in its claims.
    pub sensitive: Sensitive,
    /// How long it is good for, in seconds, where it says so.
    pub lifetime_s: Option<u64>,
    /// Since when it is expired, in seconds; `None` when it is not, or the time is not known.
    pub expired_s: Option<u64>,
    /// In how many seconds it begins to be good.
    pub too_early_s: Option<u64>,
    /// It is for somebody: `aud`.
    pub has_audience: bool,
    /// Tokens of the same issuer were accepted before, all signed by another kind of algorithm: symmetric for
    /// asymmetric, or none at all (RFC 8725, 2.1).
    pub other_algorithm: bool,
}

impl TokenFacts {
    /// Of claims; `now_s` is the time of day, if known.
    pub(super) fn of(claims: &Claims, placed: Placed, now_s: Option<u64>) -> Self {
        let ago = |then: Option<u64>| now_s?.checked_sub(then?).filter(|seconds| *seconds > 0);
        let ahead = |then: Option<u64>| then?.checked_sub(now_s?).filter(|seconds| *seconds > 0);
        Self {
            placed,
            algorithm: claims.algorithm,
            weak: claims.weak,
            tried: claims.tried,
            sensitive: claims.sensitive,
            lifetime_s: claims.lifetime_s(),
            expired_s: ago(claims.expires_s),
            too_early_s: ahead(claims.not_before_s),
            has_audience: !claims.audience.is_empty(),
            other_algorithm: false,
        }
    }
}

/// A login.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LoginFacts {
    /// The name, hashed; of an application its client id.
    pub name: CallerHash,
    /// What came of it.
    pub result: LoginResult,
    /// A ticket was handed out: the password was right, and another step is to come.
    pub ticket: bool,
    /// Failed logins with this name, and from how many addresses.
    pub name_trouble: Trouble,
    /// Status of the answer, for telling users apart by it; 0 for none.
    pub status: u16,
    /// Bytes of the answer's body.
    pub answer_bytes: u64,
    /// Time from the request's end to the answer's beginning.
    pub answer_ns: u64,
}

impl LoginFacts {
    /// The name is somebody's, who gave the right password.
    pub fn is_right(&self) -> bool {
        self.result == LoginResult::Succeeded || self.ticket
    }

    /// It failed and nobody looked at the password: there were too many tries (429), or the name is locked (423).
    pub fn is_put_off(&self) -> bool {
        self.result == LoginResult::Failed && matches!(self.status, 423 | 429)
    }

    /// The server did not refuse: somebody is let in, or perhaps asked for another step.
    pub fn passes(&self) -> bool {
        let goes_on = self.result == LoginResult::Unknown && (200..300).contains(&self.status);
        self.result == LoginResult::Succeeded || goes_on
    }
}

/// What came of a login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoginResult {
    /// A token or session was handed out, or the credentials sent along were accepted.
    Succeeded,
    /// The server refused.
    Failed,
    /// It cannot be told.
    Unknown,
}

/// Failures of one name or address.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Trouble {
    /// Within ten minutes.
    pub failures: u32,
    /// Within a day.
    pub failures_day: u32,
    /// Logins that were not refused since the first failure, within a day.
    pub successes_day: u32,
    /// Within a week.
    pub failures_week: u32,
    /// The same within a week.
    pub successes_week: u32,
    /// Of the failures within ten minutes, those where nobody looked at the password.
    pub put_off: u32,
    /// Within a day.
    pub put_off_day: u32,
    /// Within a week.
    pub put_off_week: u32,
    /// Of an address: how many names failed within ten minutes; of a name: from how many addresses.
    pub others: u16,
    /// The same within a week or two.
    pub others_week: u16,
}

impl Trouble {
    /// Without the tries that were put off: what the service let somebody guess.
    #[must_use]
    pub const fn judged(self) -> Self {
        Self {
            failures: self.failures.saturating_sub(self.put_off),
            failures_day: self.failures_day.saturating_sub(self.put_off_day),
            failures_week: self.failures_week.saturating_sub(self.put_off_week),
            put_off: 0,
            put_off_day: 0,
            put_off_week: 0,
            ..self
        }
    }
}

impl From<Counts> for Trouble {
    fn from(counts: Counts) -> Self {
        Self {
            failures: counts.failures,
            failures_day: counts.failures_day,
            successes_day: counts.successes_day,
            failures_week: counts.failures_week,
            successes_week: counts.successes_week,
            put_off: counts.put_off,
            put_off_day: counts.put_off_day,
            put_off_week: counts.put_off_week,
            others: counts.others,
            others_week: counts.others_week,
        }
    }
}

/// The time of day at which an exchange happened: the server's own (`Date`, RFC 9110, 6.6.1), else that of the recording
/// when its clock is one of days. `None` when only the time since the host started is known.
pub fn time_of_day_s(exchange: &Exchange) -> Option<u64> {
    let response = exchange.outcome.response();
    let date = response.and_then(|response| response.head.header("date"));
    if let Some(seconds) = date.and_then(|date| imf_date(date.expose())) {
        return Some(seconds);
    }
    // 2001 in nanoseconds since 1970; no host runs for thirty years.
    let time_ns = exchange.request.time_ns.0;
    (time_ns >= 1_000_000_000_000_000_000).then_some(time_ns / 1_000_000_000)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7), in seconds since 1970.
fn imf_date(text: &[u8]) -> Option<u64> {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    if text.len() != 29 {
        return None;
    }
    let number = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        digits.iter().try_fold(0, |sum: u64, digit| {
            digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
        })
    };
    let name = text.get(8..11)?;
    let month = MONTHS.chunks(3).position(|month| month == name)? as u64 + 1;
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    if year < 1970 || !(1..=31).contains(&day) {
        return None;
    }
    // Days of years that begin in March, so that the day of a leap year is the last (Fliegel and Van Flandern's way).
    let (shifted, months) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + (months * 153 + 2) / 5 + day - 1;
    // 1970 began 719,468 days after 1 March of the year 0.
    Some(days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        for (text, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 12:00:00 GMT", Some(1_709_208_000)),
            ("Wed, 31 Dec 2025 23:59:59 GMT", Some(1_767_225_599)),
            ("Sun, 06 Nov 0000 08:49:37 GMT", None),
            ("Sun, 06 Xyz 1994 08:49:37 GMT", None),
            ("yesterday", None),
            ("Sun, 0x Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(imf_date(text.as_bytes()), seconds, "{text}");
        }
    }
}
