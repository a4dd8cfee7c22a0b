//! What the whole pipeline is told.

use std::sync::Arc;

use crate::classify::Types;
use crate::config::Network;
use crate::exchange::secret::HashKey;
use crate::export::ClockOffset;
use crate::kubernetes::Directory;
use crate::telemetry::Counters;
use crate::{callers, classify, exchange, flow, incident, inventory};

/// Bounds and key of the whole pipeline.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of the flow table.
    pub flow: flow::Limits,
    /// Of pairing.
    pub exchange: exchange::Limits,
    /// Of classification.
    pub classify: classify::Limits,
    /// Of what is remembered of callers.
    pub callers: callers::Limits,
    /// Of the inventory.
    pub inventory: inventory::Limits,
    /// Types of gRPC messages.
    pub schema: Arc<Types>,
    /// What is told, and what is not.
    pub alerts: incident::Settings,
    /// From the clock of the records to the calendar, by which everything from the judge on goes: what is learnt outlives
    /// a boot, at which the clock of live records begins anew.
    pub clock: ClockOffset,
    /// Proxies that are believed when they say who sent a request.
    pub trusted_proxies: Vec<Network>,
    /// Key of caller hashes.
    pub key: HashKey,
    /// What is known of pods.
    pub pods: Option<Arc<Directory>>,
    /// Where losses are counted.
    pub counters: Arc<Counters>,
}

impl Settings {
    /// Bounds as they are by default, records of a recording, no types of gRPC messages and no proxies that are believed.
    pub fn new(key: HashKey, counters: Arc<Counters>) -> Self {
        Self {
            flow: flow::Limits::default(),
            exchange: exchange::Limits::default(),
            classify: classify::Limits::default(),
            callers: callers::Limits::default(),
            inventory: inventory::Limits::default(),
            alerts: incident::Settings::default(),
            schema: Arc::default(),
            clock: ClockOffset::RECORDED,
            trusted_proxies: Vec::new(),
            key,
            pods: None,
            counters,
        }
    }
}
