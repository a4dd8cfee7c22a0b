//! The outputs that a configuration asks for, and the runtime that carries their connections.

use std::io::{self, BufWriter};
use std::path::Path;

use tokio::runtime::Runtime;

use super::Error;
use crate::config::{Config, Format, Listen};
use crate::export::ClockOffset;
use crate::export::json::JsonLines;
use crate::export::otlp::Otlp;
use crate::export::prometheus::Prometheus;
use crate::export::sink::{Filter, Sink};
use crate::export::text::{Style, Text, View};
use crate::telemetry::Accounts;

/// Worker threads of the runtime: it carries exports and a metrics page, never data.
const RUNTIME_THREADS: usize = 1;

/// Outputs and their runtime. The runtime must outlive the sink's end.
pub(super) struct Outputs {
    pub(super) sink: Sink,
    #[cfg_attr(
        not(feature = "kernel"),
        expect(
            dead_code,
            reason = "a replay holds it for its drop only; the live sensor asks it for signals"
        )
    )]
    pub(super) runtime: Runtime,
}

/// Which events are shown.
pub(super) fn filter(config: &Config) -> Filter {
    Filter {
        ports: config.watch.port.clone(),
        paths: config.watch.path.clone(),
    }
}

/// What carries connections and waits for signals.
pub(super) fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(RUNTIME_THREADS)
        .enable_all()
        .build()
        .map_err(|source| Error::Start {
            what: "the runtime for connections",
            source,
        })
}

/// Starts every output. What waits for a receiver may be kept in `state`.
pub(super) fn start(
    config: &Config,
    accounts: &Accounts,
    clock: ClockOffset,
    state: Option<&Path>,
) -> Result<Outputs, Error> {
    let runtime = runtime()?;
    let mut sink = Sink::new(filter(config), std::sync::Arc::clone(&accounts.sensor));
    let queue = config.limits.queue as usize;
    let thread = |source| Error::Start {
        what: "an output's thread",
        source,
    };
    let stdout = || BufWriter::new(io::stdout());
    match config.output.format {
        Format::Text => sink.add(Text::new(stdout(), View::new(Style::of_stdout(), clock)), queue),
        Format::Json => sink.add(JsonLines::new(stdout(), clock), queue),
        Format::None => Ok(()),
    }
    .map_err(thread)?;
    if config.otlp.has_receiver() {
        let environment = |name: &str| std::env::var(name).ok();
        let otlp = Otlp::start(&config.otlp, state, accounts, clock, &environment)?;
        sink.add(otlp, queue).map_err(thread)?;
    }
    if let Listen::At(address) = config.metrics.listen {
        let prometheus = Prometheus::new(accounts.clone());
        prometheus
            .serve(address, runtime.handle())
            .map_err(|source| Error::Listen {
                address: address.to_string(),
                source,
            })?;
        sink.add(prometheus, queue).map_err(thread)?;
    }
    Ok(Outputs { sink, runtime })
}
