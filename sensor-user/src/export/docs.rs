//! `docs/ACCOUNTS.md`: every counter with its unit and what to do, from the definitions themselves.

use std::fmt::Write as _;

use sensor_common::account::{Entry, Unit};
use sensor_common::counter::Counter;

use crate::capture::coverage::State;
use crate::telemetry::Metric;
use crate::telemetry::ledger::Post;

const FRONT: &str = "# Accounts

Generated from the sources; a test keeps it current (`SENSOR_BLESS=1 cargo test -p sensor-user --lib accounts_page`).

Every byte that a watched process moves is counted where it is seen first, and again wherever it goes. For each process
and stage these equations hold, in the product as in every live test; one that does not is logged as an error, counted in
`ledger_unbalanced`, and is a fault of the sensor:

| equation | meaning |
| --- | --- |
| calls | `tls_calls + socket_calls = whole_calls + part_calls + cipher_calls + unknown_calls` |
| bytes | `tls_bytes + socket_bytes = submitted_bytes + cipher_bytes + unknown_bytes + ring_full_bytes + fault_bytes + limit_bytes + iovec_bytes + unseen_bytes + no_stream_bytes` |
| ring | `submitted_bytes = received_bytes` |
| order | `received_bytes = ordered_bytes + late_bytes + held_bytes` |
| parsing | `ordered_bytes = head_bytes + body_bytes + unrecognised_bytes + opaque_bytes + tunnel_bytes + skipped_bytes + rejected_bytes + cut_bytes + waiting_bytes` |
| missing | the sum of `missing_...` is at most what the kernel object lost: a loss at the very end of a stream may never show |

While bytes are under way the figures are read one after the other, so a running sensor checks processes that were at
rest for a second, and all of them when it stops. The kernel object keeps an account for each of 4,096 processes; those
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
    table(
        &mut page,
        "Of the whole kernel object: `api_sensor_kernel_NAME_total`",
        Counter::ALL
            .iter()
            .map(|counter| (counter.name(), by_name(counter.name()), counter.help())),
    );
    table(
        &mut page,
        "Of the whole of user space: `api_sensor_NAME_total`",
        Metric::ALL
            .iter()
            .map(|metric| (metric.name(), by_name(metric.name()), metric.help())),
    );
    page
}

type Row = (&'static str, &'static str, &'static str);

fn table(page: &mut String, title: &str, rows: impl Iterator<Item = Row>) {
    let _infallible = write!(
        page,
        "\n## {title}\n\n| name | unit | meaning | when it grows |\n| --- | --- | --- | --- |\n"
    );
    for (name, unit, help) in rows {
        let _infallible = writeln!(page, "| `{name}` | {unit} | {} | {} |", help.trim(), advice(name));
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

/// What an operator does about a counter that grows. Most only say what happens.
fn advice(name: &str) -> &'static str {
    match name {
        "ring_full_bytes" | "ring_full_records" | "missing_lost" | "control_ring_full" => {
            "raise `capture.ring_bytes` (or `capture.control_ring_bytes`), or watch fewer processes"
        }
        "limit_bytes" | "missing_limit" => {
            "raise `capture.body_limit` or `capture.call_limit` if bodies matter"
        }
        "fault_bytes" | "missing_fault" => {
            "nothing, where it is rare: the process moved bytes it had not touched"
        }
        "iovec_bytes" | "missing_iovecs" => "nothing; a kernel with `bpf_loop` (5.17) walks more elements",
        "unseen_bytes" | "missing_unseen" => {
            "nothing for `sendfile` and `splice`, which serve files; for `io_uring` see `bypass_unseen_bytes`"
        }
        "bypass_unseen_bytes" => {
            "a kernel with kprobes or BPF trampolines lets them be seen; else switch `io_uring` off in the program"
        }
        "no_stream_slot" | "no_stream_bytes" => "raise `capture.stream_entries`",
        "no_account_slot" => "nothing is lost: only whose bytes they were is not known",
        "no_policy_slot" | "no_call_slot" | "no_bio_slot" | "no_import_slot" => "watch fewer processes",
        "streams_evicted" => "raise `limits.streams`",
        "cipher_bytes" | "cipher_calls" | "socket_tls_bytes" => {
            "see the coverage report: right where the TLS library is probed or TLS is passed on"
        }
        "opaque_bytes" | "unrecognised_bytes" | "bytes_unrecognised" => {
            "nothing, unless an API's calls are missing: its protocol is not read"
        }
        "export_dropped" => "look at the receiver; raise `limits.queue`",
        "pods_unjudged" => {
            "see why the API server is away; with `kubernetes.watch = \"annotated\"` such pods are not watched"
        }
        "pods_overflow" => "see who makes so many pods on one node",
        "kubernetes_failures" => "see the log, and `api_sensor_kubernetes_up`",
        "store_skipped" | "store_failed" | "store_lost" => {
            "see the log: free the disk of the state directory, or raise `store.interval`"
        }
        "store_clock" => "check the clock, then start the sensor again",
        "store_states" => "see the log: raise `store.max_bytes`, or nothing: what was learnt begins anew",
        "store_damaged" => "look at the disk; what was in it is beside it, with `.damaged` at its end",
        "probes" => "see who asks for what is not there",
        "endpoints_overflow" | "schemas_left_out" => {
            "see which host has so many endpoints, or such large bodies"
        }
        "callers_forgotten" => {
            "nothing, unless it keeps growing: then somebody makes up tokens, or gets new ones all the time"
        }
        "ledger_unbalanced" | "records_malformed" | "shard_panics" | "judge_panics" => {
            "report it: a fault of the sensor"
        }
        "missed_returns" => "nothing, where it is rare: threads that are killed inside a call",
        "ambiguous_sockets" => "nothing: the exchanges say that their addresses are not to be trusted",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accounts_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ACCOUNTS.md");
        let written = accounts_page();
        if std::env::var_os("SENSOR_BLESS").is_some() {
            std::fs::write(path, &written).unwrap();
        }
        let recorded = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == recorded,
            "docs/ACCOUNTS.md is not current: SENSOR_BLESS=1 cargo test -p sensor-user --lib accounts_page"
        );
    }

    #[test]
    fn every_loss_says_what_to_do() {
        for counter in Counter::ALL {
            let name = counter.name();
            let loss = name.contains("full") || name.starts_with("no_") || name.starts_with("limit");
            assert!(!loss || !advice(name).is_empty(), "{name}");
        }
    }
}
