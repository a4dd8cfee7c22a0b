//! Metrics of the SDK on their way into the queue.
//!
//! Takes what the SDK collects. Gives one batch each time. Never waits.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use prost::Message as _;

use super::batch::{Batch, Signal};
use super::queue::Queue;
use crate::telemetry::receiver::now_s;

/// Puts batches of metrics into the queue.
#[derive(Debug)]
pub(super) struct ToQueue(pub(super) Arc<Queue>);

impl PushMetricExporter for ToQueue {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let request = ExportMetricsServiceRequest::from(metrics);
        self.0.metrics(Batch {
            signal: Signal::Metrics,
            records: 1,
            since_s: now_s(),
            bytes: request.encode_to_vec().into(),
        });
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
