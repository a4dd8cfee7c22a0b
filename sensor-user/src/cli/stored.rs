//! `inventory` and `openapi`: what is asked of the store.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;

use super::args::{Choice, Inventory, Openapi, Settings};
use super::{Flags, Stop, inventory};
use crate::app;
use crate::classify::DataKind;
use crate::config::{Interval, Place, Problem};
use crate::export::openapi::{Described, document};
use crate::export::text::Style;
use crate::inventory::schema::Schema;
use crate::store::{Filter, Learnt};

/// Name of a document about more than one host.
const TITLE: &str = "Observed APIs";

/// Shows endpoints.
pub(super) fn inventory(wanted: &Inventory) -> Result<(), Stop> {
    let (path, filter) = question(&wanted.choice, wanted.limit, &wanted.settings)?;
    let found = app::found(&path, &filter)?;
    let text = if wanted.json {
        inventory::json(&found)
    } else {
        inventory::table(&found, Style::of_stdout().width)
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Writes a document.
pub(super) fn openapi(wanted: &Openapi) -> Result<(), Stop> {
    let (path, filter) = question(&wanted.choice, None, &wanted.settings)?;
    let document = described(&app::learnt(&path, &filter)?);
    let text = serde_json::to_string_pretty(&document).unwrap_or_default() + "\n";
    match &wanted.out {
        None => Ok(std::io::stdout().write_all(text.as_bytes())?),
        Some(path) => std::fs::write(path, text).map_err(|error| Stop::File(path.clone(), error)),
    }
}

/// `OpenAPI` 3.1 of what was learnt.
fn described(learnt: &[Learnt]) -> serde_json::Value {
    let nothing = Schema::default();
    let endpoints: Vec<Described<'_>> = learnt
        .iter()
        .map(|one| Described {
            endpoint: &one.endpoint,
            schema: one.schema.as_ref().unwrap_or(&nothing),
            auth: &one.auth,
            anonymous: one.anonymous,
            transports: one.transports.clone(),
        })
        .collect();
    let hosts: BTreeSet<&str> = learnt.iter().map(|one| &*one.endpoint.host).collect();
    let title = match hosts.first() {
        Some(host) if hosts.len() == 1 && *host != "-" => host,
        _ => TITLE,
    };
    document(title, &endpoints)
}

/// Where the store is, and which of its endpoints are wanted.
fn question(choice: &Choice, limit: Option<u64>, settings: &Settings) -> Result<(PathBuf, Filter), Stop> {
    let since = choice
        .since
        .as_deref()
        .map(|text| since(text, now_ns()))
        .transpose();
    let kind = choice.data.as_deref().map(kind).transpose();
    let mistake = since.as_ref().err().or(kind.as_ref().err());
    let config = Flags::default().settings(settings).load(mistake)?;
    let path = match &choice.store {
        Some(path) => path.clone(),
        None => app::store_path(&config),
    };
    let filter = Filter {
        host: choice.host.clone(),
        method: choice.method.clone(),
        path: choice.path.clone(),
        data: kind.ok().flatten().map(str::to_owned),
        since_ns: since.ok().flatten(),
        limit,
    };
    Ok((path, filter))
}

/// A mistyped kind would find nothing, and nobody would know.
fn kind(text: &str) -> Result<&'static str, Problem> {
    let mut names = DataKind::ALL.into_iter().map(DataKind::name);
    let known = names.find(|name| text.eq_ignore_ascii_case(name));
    known.ok_or_else(|| Problem {
        place: Place::Flag("--data"),
        what: "there is no such kind of data".to_owned(),
        remedy: format!("use one of {}", DataKind::ALL.map(DataKind::name).join(", ")),
    })
}

/// A duration back from now, a day or a moment; nanoseconds since 1970.
fn since(text: &str, now_ns: u64) -> Result<u64, Problem> {
    if let Ok(Interval(back)) = text.parse() {
        let back = u64::try_from(back.as_nanos()).unwrap_or(u64::MAX);
        return Ok(now_ns.saturating_sub(back));
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    if let Some(days) = days {
        return Ok(now_ns.saturating_sub(days.saturating_mul(86_400_000_000_000)));
    }
    let midnight = || format!("{text}T00:00:00Z").parse::<jiff::Timestamp>().ok();
    let moment = text.parse::<jiff::Timestamp>().ok().or_else(midnight);
    let moment = moment.ok_or_else(|| Problem {
        place: Place::Flag("--since"),
        what: "it is neither a duration nor a time".to_owned(),
        remedy: "write it like 24h, 7d, 2026-05-31 or 2026-05-31T14:00:00Z".to_owned(),
    })?;
    Ok(u64::try_from(moment.as_nanosecond()).unwrap_or(0))
}

#[expect(
    clippy::disallowed_methods,
    reason = "calendar time enters here, for `--since 24h`"
)]
fn now_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_data_are_known_by_name() {
        assert_eq!(kind("IBAN").unwrap(), "iban");
        assert!(
            kind("ibann")
                .unwrap_err()
                .remedy
                .contains("payment_card, iban, email")
        );
    }

    #[test]
    fn times_are_durations_days_or_moments() {
        let now = 1_800_000_000_000_000_000;
        for (text, wanted) in [
            ("1h", now - 3_600_000_000_000),
            ("2d", now - 172_800_000_000_000),
            ("2026-11-18", 1_794_960_000_000_000_000),
            ("2026-11-18T11:06:40Z", 1_795_000_000_000_000_000),
            ("2026-11-18T13:06:40+02:00", 1_795_000_000_000_000_000),
            ("99999999999d", 0),
        ] {
            assert_eq!(since(text, now).unwrap(), wanted, "{text}");
        }
        for text in ["", "yesterday", "h", "-1h", "2026-13-01"] {
            assert!(since(text, now).is_err(), "{text}");
        }
    }
}
