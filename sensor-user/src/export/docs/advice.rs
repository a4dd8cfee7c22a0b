//! What an operator does about a counter that grows, and whether somebody should be woken.

/// When to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Alert {
    /// Never: it grows with traffic, or by design.
    Never,
    /// When it grows for ten minutes: something is too small, or gone.
    Steady,
    /// When it grows at all: results are lost, or the sensor is at fault.
    Any,
}

impl Alert {
    /// As the page has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Never => "-",
            Self::Steady => "10 min",
            Self::Any => "any",
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Advice {
    /// When to be told.
    pub(super) alert: Alert,
    /// What then.
    pub(super) to_do: &'static str,
}

/// Advice on a counter of the sensor or of a process.
pub(super) fn of(name: &str) -> Option<Advice> {
    let (_, alert, to_do) = ROWS.iter().find(|(names, ..)| names.contains(&name))?;
    Some(Advice { alert: *alert, to_do })
}

/// Every name with advice.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    ROWS.iter().flat_map(|(names, ..)| names.iter().copied())
}

#[rustfmt::skip]
const ROWS: &[(&[&str], Alert, &str)] = &[
    (&["records", "bytes_parsed", "exchanges", "findings", "incidents", "tls_calls", "tls_bytes", "socket_calls", "socket_bytes", "data_records", "data_bytes"], Alert::Never,
        "nothing: how much there is. One that stands still while there is traffic: `api-sensor doctor --watch 30s`"),
    (&["records_malformed", "shard_panics", "judge_panics", "ledger_unbalanced"], Alert::Any,
        "report it: a fault of the sensor. What was under way in that part is lost, the rest goes on"),
    (&["bytes_unrecognised", "socket_unknown_bytes", "opaque_bytes", "unrecognised_bytes"], Alert::Never,
        "nothing, unless an API's calls are missing: its protocol is not read"),
    (&["bytes_missing"], Alert::Never,
        "nothing for what limits and `sendfile` leave out; see `ring_full_bytes`, `limit_bytes`, `fault_bytes`, `iovec_bytes` and `unseen_bytes`, of which this is what parsers noticed"),
    (&["bytes_late"], Alert::Never,
        "nothing, where it is rare; else as `ring_full_bytes`: records come long after those that they belong before"),
    (&["sockets_inferred"], Alert::Never,
        "nothing: evidence `inferred` in outputs"),
    (&["sockets_contradicted", "ambiguous_sockets"], Alert::Never,
        "nothing: the exchanges say that their addresses are not to be trusted"),
    (&["streams_evicted"], Alert::Steady,
        "raise `limits.streams`"),
    (&["streams_left_out", "bytes_left_out", "left_out_bytes"], Alert::Steady,
        "see `api_sensor_strain_active` for the cause: give more CPU or memory and raise `limits.cpu_percent` and `limits.memory_bytes`, or watch fewer processes"),
    (&["connections_shed"], Alert::Steady,
        "give more memory and more `limits.shards`, or watch fewer processes: somebody keeps many long messages unfinished"),
    (&["exchanges_twice"], Alert::Never,
        "nothing: both ends are watched, and each call is told once"),
    (&["exchanges_partial"], Alert::Never,
        "compare with `exchanges`: rules see less of these. Nothing for long bodies and `sendfile`; else as `ring_full_bytes`"),
    (&["responses_unpaired"], Alert::Never,
        "nothing at a start, which joins connections in their middle; else as `bytes_missing`"),
    (&["anomalies"], Alert::Never,
        "see API8 findings: broken clients, or somebody who tries request smuggling"),
    (&["findings_repeated", "findings_suppressed"], Alert::Never,
        "nothing: told before, or not wanted; `api_sensor_findings_suppressed_by_rule_total` says which"),
    (&["incidents_crowded"], Alert::Steady,
        "see what opens so many: an attack from many callers, or a rule that `[[suppress]]` should narrow"),
    (&["alerts_held"], Alert::Steady,
        "read the `held` records: raise `[alerts]`, or suppress what is known"),
    (&["rules_blind"], Alert::Never,
        "nothing, unless findings are missing: `docs/RULES.md` says what each rule needs to see"),
    (&["endpoints_overflow", "schemas_left_out"], Alert::Steady,
        "see which host has so many endpoints, or such large bodies"),
    (&["probes"], Alert::Never,
        "see who asks for what is not there"),
    (&["callers_forgotten"], Alert::Never,
        "nothing, unless it keeps growing: then somebody makes up tokens, or gets new ones all the time"),
    (&["hook_runs_skipped"], Alert::Steady,
        "bytes of these calls are lost and in no account. Watch fewer processes, or run the sensor on a kernel that does not preempt programs at its hooks (`docs/decisions/preempted-hooks.md`)"),
    (&["export_dropped"], Alert::Any,
        "look at the receiver, or at whoever reads standard output; raise `limits.queue`"),
    (&["otlp_sent", "otlp_recovered"], Alert::Never,
        "nothing: how much there is"),
    (&["otlp_refused"], Alert::Any,
        "see the log for the answer: a header, an address or a signal that the receiver does not take"),
    (&["otlp_retries"], Alert::Steady,
        "look at the receiver; nothing is lost yet"),
    (&["otlp_spooled"], Alert::Steady,
        "look at the receiver: the spool is being filled, and holds `otlp.spool_bytes`"),
    (&["otlp_lost_memory", "otlp_lost_spool"], Alert::Any,
        "look at the receiver; raise `otlp.spool_bytes`, or send less (`otlp.signals`, `otlp.sampler_ratio`)"),
    (&["otlp_lost_damaged"], Alert::Any,
        "look at the disk of the state directory"),
    (&["otlp_spool_failed"], Alert::Any,
        "free the disk of the state directory, or make it writable"),
    (&["otlp_lost_stop"], Alert::Any,
        "set `otlp.spool_bytes`, so that a stop keeps what the receiver does not take"),
    (&["otlp_metrics_skipped"], Alert::Never,
        "look at the receiver, if it goes on; sums are right again with the next batch"),
    (&["spans_left_out"], Alert::Never,
        "nothing: `otlp.sampler` says so"),
    (&["spans_held_back"], Alert::Steady,
        "raise `otlp.spans_per_second`, or see who sends a `traceparent` with everything"),
    (&["pods_listed", "pods_held"], Alert::Never,
        "nothing"),
    (&["kubernetes_failures"], Alert::Steady,
        "see the log, and `api_sensor_kubernetes_up`: pods keep the names that are known, new ones have none"),
    (&["pods_overflow"], Alert::Steady,
        "see who makes so many pods on one node"),
    (&["pods_unjudged"], Alert::Any,
        "see why the API server is away; with `kubernetes.watch = \"annotated\"` such pods are not watched"),
    (&["reloads"], Alert::Never,
        "nothing"),
    (&["reloads_refused"], Alert::Any,
        "see the log for each mistake; `api-sensor check-config` before the next SIGHUP"),
    (&["store_skipped"], Alert::Steady,
        "a disk that is slow: raise `store.interval`"),
    (&["store_failed", "store_lost"], Alert::Any,
        "see the log: free the disk of the state directory, or make it writable"),
    (&["store_overflow"], Alert::Steady,
        "see which endpoint has so many details: values in names"),
    (&["store_damaged"], Alert::Any,
        "look at the disk; what was in it is beside it, with `.damaged` at its end"),
    (&["store_states"], Alert::Any,
        "see the log: raise `store.max_bytes`, or nothing: what was learnt begins anew"),
    (&["store_clock"], Alert::Any,
        "check the clock, then start the sensor again"),
    (&["socket_tls_bytes", "cipher_bytes", "cipher_calls"], Alert::Never,
        "see the coverage report: right where the TLS library is probed or TLS is passed on"),
    (&["ring_full_records", "ring_full_bytes", "missing_lost"], Alert::Steady,
        "raise `capture.ring_bytes`, give the sensor more CPU, or watch fewer processes"),
    (&["control_ring_full"], Alert::Any,
        "raise `capture.control_ring_bytes`: processes or sockets may be unknown until the next scan"),
    (&["limit_bytes", "missing_limit"], Alert::Never,
        "raise `capture.body_limit` or `capture.call_limit` if bodies matter"),
    (&["fault_bytes", "missing_fault"], Alert::Never,
        "nothing, where it is rare: the process moved bytes it had not touched"),
    (&["iovec_bytes", "missing_iovecs"], Alert::Never,
        "nothing; a kernel with `bpf_loop` (5.17) walks more elements"),
    (&["unseen_bytes", "missing_unseen"], Alert::Never,
        "nothing for `sendfile` and `splice`, which serve files; for `io_uring` see `bypass_unseen_bytes`"),
    (&["bypass_seen_bytes"], Alert::Never,
        "nothing: these are read"),
    (&["bypass_unseen_bytes"], Alert::Steady,
        "a kernel with kprobes or BPF trampolines lets them be seen; else switch `io_uring` off in the program"),
    (&["no_stream_slot", "no_stream_bytes"], Alert::Steady,
        "raise `capture.stream_entries`"),
    (&["no_account_slot"], Alert::Never,
        "nothing is lost: only whose bytes they were is not known"),
    (&["no_policy_slot", "no_call_slot", "no_bio_slot", "no_import_slot"], Alert::Steady,
        "watch fewer processes"),
    (&["nested_calls"], Alert::Never,
        "nothing: a library that calls itself"),
    (&["missed_returns"], Alert::Never,
        "nothing, where it is rare: threads that are killed inside a call"),
    (&["unmatched_returns"], Alert::Never,
        "nothing after a start; else as `no_call_slot`"),
    (&["unsent_bytes"], Alert::Never,
        "nothing: the peer was gone"),
    (&["unhooked_processes"], Alert::Never,
        "see the coverage report: which TLS stack is not read, and what to do"),
    (&["excluded_execs"], Alert::Never,
        "nothing: `watch.exclude_...` says so"),
    (&["undecided_execs"], Alert::Never,
        "nothing: each is decided within moments, and unwatched until then"),
    (&["adjacent_calls"], Alert::Never,
        "nothing: programs that run TLS through memory, whose sockets are being found"),
    (&["adjacent_lost"], Alert::Never,
        "as `ring_full_bytes`; some sockets stay unknown for longer"),
];
