//! The store of a run or replay, and what is asked of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use crate::config::Config;
#[cfg(feature = "kernel")]
use crate::config::{StateDirectory, StoreMode};
use crate::exchange::secret::KeyedHash;
use crate::export::ClockOffset;
use crate::store::{Bounds, FILE, Filter, Found, Learnt, Pace, Reader, Settings, Store, Whose};
use crate::telemetry::Counters;
#[cfg(feature = "kernel")]
use crate::telemetry::Metric;

const DAY_NS: u64 = 86_400 * 1_000_000_000;

/// Where the store is, unless somebody names it.
pub fn store_path(config: &Config) -> PathBuf {
    config.state.directory.join(FILE)
}

/// What of the store a filter lets through.
pub fn found(path: &Path, filter: &Filter) -> Result<Found, Error> {
    Ok(Reader::open(path)?.endpoints(filter)?)
}

/// The same with what was learnt of each.
pub fn learnt(path: &Path, filter: &Filter) -> Result<Vec<Learnt>, Error> {
    Ok(Reader::open(path)?.learnt(filter)?)
}

/// The store of a live sensor. One that cannot be used is told and counted: the sensor sees as much without. One of a
/// newer sensor or of another program stops it, for somebody must decide.
#[cfg(feature = "kernel")]
pub(super) fn live(
    config: &Config,
    key: KeyedHash,
    counters: &Arc<Counters>,
) -> Result<Option<Store>, Error> {
    if config.store.mode == StoreMode::Off {
        return Ok(None);
    }
    let state = StateDirectory::open(&config.state.directory)?;
    let path = state.path().join(FILE);
    match Store::open(&path, settings(config, (Pace::Live, Whose::Own), key), counters) {
        Ok(store) => Ok(Some(store)),
        Err(error) if error.is_bearable() => {
            counters.add(Metric::StoreFailed, 1);
            let remedy = error.remedy();
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, remedy, "nothing is kept: the sensor goes on without a store");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The store that a replay was asked to write to.
pub(super) fn of_replay(
    config: &Config,
    path: Option<&Path>,
    key: KeyedHash,
    counters: &Arc<Counters>,
) -> Result<Option<Store>, Error> {
    let settings = settings(config, (Pace::Replay, Whose::Named), key);
    Ok(path
        .map(|path| Store::open(path, settings, counters))
        .transpose()?)
}

fn settings(config: &Config, (pace, whose): (Pace, Whose), key: KeyedHash) -> Settings {
    let store = &config.store;
    Settings {
        interval_ns: u64::try_from(store.interval.0.as_nanos()).unwrap_or(u64::MAX),
        bounds: Bounds {
            retention_ns: u64::from(store.retention_days).saturating_mul(DAY_NS),
            max_bytes: store.max_bytes.0,
        },
        pace,
        whose,
        clock: ClockOffset::RECORDED,
        key,
    }
}
