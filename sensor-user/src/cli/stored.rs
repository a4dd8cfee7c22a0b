//! `inventory` and `openapi`: what is asked of the store.

use std::io::Write as _;
use std::path::PathBuf;

use super::args::{Choice, Inventory, Openapi, Settings};
use super::{Flags, Stop, inventory, openapi};
use crate::app;
use crate::config::{Interval, Place, Problem};
use crate::export::text::Style;
use crate::store::{Filter, Found};

/// Shows endpoints.
pub(super) fn inventory(wanted: &Inventory) -> Result<(), Stop> {
    let found = found(&wanted.choice, wanted.limit, &wanted.settings)?;
    let text = if wanted.json {
        inventory::json(&found)
    } else {
        inventory::table(&found, Style::of_stdout().width)
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Writes a document.
pub(super) fn openapi(wanted: &Openapi) -> Result<(), Stop> {
    let found = found(&wanted.choice, None, &wanted.settings)?;
    let document = openapi::document(&found.rows);
    let text = serde_json::to_string_pretty(&document).unwrap_or_default() + "\n";
    match &wanted.out {
        None => Ok(std::io::stdout().write_all(text.as_bytes())?),
        Some(path) => std::fs::write(path, text).map_err(|error| Stop::File(path.clone(), error)),
    }
}

fn found(choice: &Choice, limit: Option<u64>, settings: &Settings) -> Result<Found, Stop> {
    let since = choice
        .since
        .as_deref()
        .map(|text| since(text, now_ns()))
        .transpose();
    let config = Flags::default().settings(settings).load(since.as_ref().err())?;
    let path: PathBuf = match &choice.store {
        Some(path) => path.clone(),
        None => app::store_path(&config),
    };
    let filter = Filter {
        host: choice.host.clone(),
        method: choice.method.clone(),
        path: choice.path.clone(),
        data: choice.data.clone(),
        since_ns: since.ok().flatten(),
        limit,
    };
    Ok(app::found(&path, &filter)?)
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
