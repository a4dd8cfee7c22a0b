//! `docs/ACCOUNTS.md`, and the counters in `docs/OPERATIONS.md`: units and meanings from the definitions themselves, and
//! what to do.

mod advice;

use std::fmt::Write as _;

use sensor_common::account::{Entry, Unit};
use sensor_common::counter::Counter;

use super::gauges::GAUGES;
use crate::capture::coverage::State;
use crate::telemetry::Metric;
use crate::telemetry::ledger::Post;
use advice::of as advice;

const FRONT: &str = "# Accounts

Generated from the sources; a test keeps it current (`SENSOR_BLESS=1 cargo test -p sensor-user --lib export::docs`).
Counters of the whole sensor are in `docs/OPERATIONS.md`.

Every byte that a watched process moves is counted where it is seen first, and again wherever it goes. For each process
and stage these equations hold, in the product as in every live test; one that does not is logged as an error, counted in
`ledger_unbalanced`, and is a fault of the sensor:

| equation | meaning |
| --- | --- |
| calls | `tls_calls + socket_calls = whole_calls + part_calls + cipher_calls + unknown_calls` |
| bytes | `tls_bytes + socket_bytes = submitted_bytes + cipher_bytes + unknown_bytes + ring_full_bytes + fault_bytes + limit_bytes + iovec_bytes + unseen_bytes + no_stream_bytes` |
| ring | `submitted_bytes = received_bytes` |
| order | `received_bytes = ordered_bytes + late_bytes + held_bytes + abandoned_bytes + left_out_bytes` |
| parsing | `ordered_bytes = head_bytes + body_bytes + unrecognised_bytes + opaque_bytes + tunnel_bytes + skipped_bytes + rejected_bytes + cut_bytes + waiting_bytes` |
| missing | the sum of `missing_...` is at most what the kernel object lost: a loss at the very end of a stream may never show |

While bytes are under way the figures are read one after the other, so a running sensor checks processes that were at
rest for ten seconds, and all of them when it stops. The kernel object keeps an account for each of 4,096 processes; those
of ended ones are taken out every second, and who finds no room shares the account of all others (`no_account_slot`).
";

const COVERAGE: &str = "
## States of the coverage report

`api-sensor doctor --watch 30s`, `/coverage` and the metric `api_sensor_coverage` (OTLP `api_sensor.coverage`) give each
process that moved bytes one of these, worst first. The report names its TLS stacks with their files, the probes in
place, calls and bytes that fired and when the last did, and what to do about what is not seen.

| state | meaning |
| --- | --- |
";

/// The page.
pub fn accounts_page() -> String {
    let mut page = FRONT.to_owned();
    page.push_str(COVERAGE);
    for state in State::ALL {
        let _infallible = writeln!(page, "| `{}` | {} |", state.name(), state.help());
    }
    table(
        &mut page,
        "Of each process, in the kernel object",
        Entry::ALL
            .iter()
            .map(|entry| (entry.name(), unit(entry.unit()), entry.help())),
    );
    table(
        &mut page,
        "Of each process, in user space",
        Post::ALL.iter().map(|post| {
            let unit = if *post == Post::ReceivedRecords {
                "records"
            } else {
                "bytes"
            };
            (post.name(), unit, post.help())
        }),
    );
    page
}

/// Every counter of the whole sensor: part of `docs/OPERATIONS.md`.
pub fn counter_tables() -> String {
    let mut page = String::new();
    let kernel = Counter::ALL
        .iter()
        .map(|counter| (counter.name(), counter.help()));
    let user = Metric::ALL.iter().map(|metric| (metric.name(), metric.help()));
    let parts: [(&str, Vec<(&str, &str)>); 2] = [
        (
            "User space: `api_sensor_NAME_total`, `api_sensor.NAME`",
            user.collect(),
        ),
        (
            "Kernel object: `api_sensor_kernel_NAME_total`, `api_sensor.kernel.NAME`",
            kernel.collect(),
        ),
    ];
    for (title, rows) in parts {
        let _infallible = write!(
            page,
            "\n### {title}\n\n| counter | unit | meaning | alert | when it grows |\n| --- | --- | --- | --- | --- |\n"
        );
        for (name, help) in rows {
            let advice = advice(name);
            let alert = advice.map_or("", |advice| advice.alert.name());
            let to_do = advice.map_or("", |advice| advice.to_do);
            let (unit, help) = (by_name(name), help.trim());
            let _infallible = writeln!(page, "| `{name}` | {unit} | {help} | {alert} | {to_do} |");
        }
    }
    page.push_str(
        "\n### How things stand: gauges `api_sensor_NAME`, OTLP as in brackets\n\n\
         | gauge | unit | meaning | alert | what then |\n| --- | --- | --- | --- | --- |\n",
    );
    for gauge in GAUGES {
        let name = gauge.in_prometheus();
        let name = name.trim_start_matches("api_sensor_");
        let by = gauge
            .label()
            .map_or(String::new(), |label| format!(", by `{label}`"));
        let (unit, help) = (gauge.unit.trim_matches(['{', '}']), gauge.help);
        let _infallible = writeln!(
            page,
            "| `{name}` (`{}`){by} | {unit} | {help} | {} | {} |",
            gauge.name, gauge.alert, gauge.to_do
        );
    }
    page
}

type Row = (&'static str, &'static str, &'static str);

fn table(page: &mut String, title: &str, rows: impl Iterator<Item = Row>) {
    let _infallible = write!(
        page,
        "\n## {title}\n\n| name | unit | meaning | when it grows |\n| --- | --- | --- | --- |\n"
    );
    for (name, unit, help) in rows {
        let to_do = advice(name).map_or("", |advice| advice.to_do);
        let _infallible = writeln!(page, "| `{name}` | {unit} | {} | {to_do} |", help.trim());
    }
}

const fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Calls => "calls",
        Unit::Bytes => "bytes",
        Unit::Records => "records",
        Unit::Time => "nanoseconds of the monotonic clock",
        Unit::Bits => "bits",
    }
}

fn by_name(name: &str) -> &'static str {
    for (part, unit) in [("bytes", "bytes"), ("records", "records"), ("calls", "calls")] {
        if name.starts_with(part) || name.ends_with(part) {
            return unit;
        }
    }
    "number"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const BEGIN: &str = "<!-- counters: generated -->\n";
    const END: &str = "\n<!-- end of the counters -->";

    fn is_current(page: &str, written: impl Fn(&str) -> String) {
        let path = format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"));
        let mut recorded = std::fs::read_to_string(&path).unwrap_or_default();
        let written = written(&recorded);
        if std::env::var_os("SENSOR_BLESS").is_some() {
            std::fs::write(&path, &written).unwrap();
            recorded.clone_from(&written);
        }
        assert!(
            written == recorded,
            "docs/{page} is not current: SENSOR_BLESS=1 cargo test -p sensor-user --lib export::docs"
        );
    }

    #[test]
    fn the_accounts_page_is_current() {
        is_current("ACCOUNTS.md", |_| accounts_page());
    }

    #[test]
    fn the_counters_of_the_operations_page_are_current() {
        is_current("OPERATIONS.md", |page| {
            let (front, rest) = page.split_once(BEGIN).unwrap();
            let (_, back) = rest.split_once(END).unwrap();
            format!("{front}{BEGIN}{}{END}{back}", counter_tables())
        });
    }

    #[test]
    fn every_counter_says_what_to_do_and_nothing_else_does() {
        let counters = Counter::ALL.iter().map(|counter| counter.name());
        let counters: BTreeSet<_> = counters
            .chain(Metric::ALL.iter().map(|metric| metric.name()))
            .collect();
        for name in &counters {
            let advice = advice(name);
            assert!(advice.is_some_and(|advice| !advice.to_do.is_empty()), "{name}");
        }
        let of_processes = Entry::ALL.iter().map(|entry| entry.name());
        let of_processes: BTreeSet<_> = of_processes
            .chain(Post::ALL.iter().map(|post| post.name()))
            .collect();
        let mut advised = BTreeSet::new();
        for name in advice::names() {
            assert!(counters.contains(name) || of_processes.contains(name), "{name}");
            assert!(advised.insert(name), "{name} has two rows");
        }
    }
}
