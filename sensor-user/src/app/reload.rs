//! A changed configuration, taken over while the sensor runs.
//!
//! Takes what is in force and what was read anew. Gives what changes now, and names what does not. Never loses what was
//! learnt: only decisions on what is told change. Bounded by the number of settings.

use std::error::Error as _;

use super::{Reread, descriptors};
use crate::config::Config;
use crate::protocol::protobuf::Schema;
use crate::telemetry::{Counters, Metric};

/// Settings that a running sensor takes over. All others are of threads, maps and connections that are made at the start.
const TAKEN: [&str; 9] = [
    "alerts.critical_per_hour",
    "alerts.per_hour",
    "limits.cpu_percent",
    "limits.memory_bytes",
    "output.log",
    "protocol.grpc_descriptors",
    "suppress",
    "watch.path",
    "watch.port",
];

/// Reads the configuration again, and the descriptor sets that it names, whether or not it changed. Gives what is in force
/// from now on.
pub(super) fn reload(in_force: &Config, reread: Reread<'_>, counters: &Counters) -> Option<(Config, Schema)> {
    let read = match reread() {
        Ok(read) => read,
        Err(problems) => {
            counters.add(Metric::ReloadsRefused, 1);
            for problem in &problems {
                tracing::error!(place = %problem.place, what = problem.what, to_do = problem.remedy, "mistake in the configuration");
            }
            let mistakes = problems.len();
            tracing::error!(
                mistakes,
                "the configuration was not taken over; the one before stays in force"
            );
            return None;
        }
    };
    let schema = match descriptors::load(&read.protocol.grpc_descriptors) {
        Ok(schema) => schema,
        Err(error) => {
            counters.add(Metric::ReloadsRefused, 1);
            tracing::error!(
                what = %error,
                why = error.source().map(ToString::to_string),
                to_do = error.remedy(),
                "the configuration was not taken over; the one before stays in force"
            );
            return None;
        }
    };
    counters.add(Metric::Reloads, 1);
    let changed = in_force.differences(&read);
    let (taken, waiting): (Vec<&str>, Vec<&str>) = changed
        .iter()
        .map(String::as_str)
        .partition(|key| TAKEN.contains(key));
    tracing::info!(changed = taken.join(", "), "the configuration was read again");
    if !waiting.is_empty() {
        let waiting = waiting.join(", ");
        tracing::warn!(waiting, "these settings change with the next start");
    }
    let mut next = in_force.clone();
    next.alerts = read.alerts;
    next.limits.cpu_percent = read.limits.cpu_percent;
    next.limits.memory_bytes = read.limits.memory_bytes;
    next.output.log = read.output.log;
    next.protocol = read.protocol;
    next.suppress = read.suppress;
    next.watch.path = read.watch.path;
    next.watch.port = read.watch.port;
    Some((next, schema))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Place, Problem};

    #[test]
    fn decisions_are_taken_over_and_the_rest_waits() {
        let counters = Counters::default();
        let in_force = Config::default();
        let mut read = in_force.clone();
        read.alerts.per_hour = 7;
        read.watch.port = vec![443];
        read.limits.cpu_percent = 50;
        read.output.log = "info".to_owned();
        read.limits.shards = 3;
        let (next, _) = reload(&in_force, &|| Ok(read.clone()), &counters).unwrap();
        assert_eq!(
            next.differences(&in_force),
            [
                "alerts.per_hour",
                "limits.cpu_percent",
                "output.log",
                "watch.port"
            ]
        );
        assert_eq!(next.differences(&read), ["limits.shards"], "said again next time");
        assert_eq!(counters.value(Metric::Reloads), 1);
    }

    #[test]
    fn a_bad_one_changes_nothing() {
        let counters = Counters::default();
        let problem = Problem {
            place: Place::Default,
            what: "wrong".to_owned(),
            remedy: "correct it".to_owned(),
        };
        let read = || Err(vec![problem.clone()]);
        assert!(reload(&Config::default(), &read, &counters).is_none());
        let mut absent = Config::default();
        absent.protocol.grpc_descriptors = vec!["/nowhere/shop.binpb".into()];
        assert!(reload(&Config::default(), &|| Ok(absent.clone()), &counters).is_none());
        assert_eq!(counters.value(Metric::ReloadsRefused), 2);
    }

    /// The list above is what the code does.
    #[test]
    fn each_setting_that_is_taken_over_exists() {
        let default = toml::Value::try_from(Config::default()).unwrap();
        for key in TAKEN.iter().filter_map(|key| key.split_once('.')) {
            assert!(default[key.0].get(key.1).is_some(), "{key:?}");
        }
    }
}
