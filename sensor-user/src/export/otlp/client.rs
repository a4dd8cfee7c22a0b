//! The two transports.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, WithExportConfig as _, WithHttpConfig as _,
    WithTonicConfig as _,
};
use tokio::runtime::Handle;

use super::{Headers, OtlpError, TIMEOUT};
use crate::config::{self, HeaderSource, Protocol};

/// Reads the values of the configured headers. Those in `OTEL_EXPORTER_OTLP_HEADERS` the SDK adds by itself.
pub(super) fn headers(otlp: &config::Otlp) -> Result<Headers, OtlpError> {
    let read = |source: &HeaderSource| match source {
        HeaderSource::Env(name) => std::env::var(name).ok(),
        HeaderSource::File(path) => std::fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned()),
    };
    let valid = |value: &String| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let header = |(name, source): (&String, &HeaderSource)| match read(source).filter(valid) {
        Some(value) => Ok((name.to_ascii_lowercase(), value)),
        None => Err(OtlpError::Header {
            name: name.clone(),
            source_name: shown(source),
        }),
    };
    otlp.headers.iter().map(header).collect()
}

fn shown(source: &HeaderSource) -> String {
    match source {
        HeaderSource::Env(name) => format!("variable {name}"),
        HeaderSource::File(path) => path.display().to_string(),
    }
}

/// One exporter per signal.
pub(super) fn exporters(
    endpoint: &str,
    protocol: Protocol,
    headers: &Headers,
    runtime: &Handle,
) -> Result<(LogExporter, MetricExporter), ExporterBuildError> {
    match protocol {
        Protocol::Grpc => grpc(endpoint, headers, runtime),
        Protocol::HttpProtobuf => http(endpoint, headers, runtime),
    }
}

fn grpc(
    endpoint: &str,
    headers: &Headers,
    runtime: &Handle,
) -> Result<(LogExporter, MetricExporter), ExporterBuildError> {
    let mut metadata = HeaderMap::new();
    for (name, value) in headers {
        // Both were checked when they were read.
        if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            value.set_sensitive(true);
            metadata.insert(name, value);
        }
    }
    let metadata = MetadataMap::from_headers(metadata);
    // The channel's task is spawned when the exporter is built.
    let _context = runtime.enter();
    let logs = LogExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(TIMEOUT)
        .with_metadata(metadata.clone())
        .build()?;
    let metrics = MetricExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(TIMEOUT)
        .with_metadata(metadata)
        .build()?;
    Ok((logs, metrics))
}

fn http(
    endpoint: &str,
    headers: &Headers,
    runtime: &Handle,
) -> Result<(LogExporter, MetricExporter), ExporterBuildError> {
    let base = endpoint.trim_end_matches('/');
    let client = OnRuntime {
        client: HyperClient::with_default_connector(TIMEOUT, None),
        runtime: runtime.clone(),
    };
    let logs = LogExporter::builder()
        .with_http()
        .with_endpoint(format!("{base}/v1/logs"))
        .with_timeout(TIMEOUT)
        .with_headers(headers.clone())
        .with_http_client(client.clone())
        .build()?;
    let metrics = MetricExporter::builder()
        .with_http()
        .with_endpoint(format!("{base}/v1/metrics"))
        .with_timeout(TIMEOUT)
        .with_headers(headers.clone())
        .with_http_client(client)
        .build()?;
    Ok((logs, metrics))
}

/// The SDK exports from threads of its own, outside of any runtime; hyper needs one.
#[derive(Clone)]
struct OnRuntime {
    client: HyperClient,
    runtime: Handle,
}

impl fmt::Debug for OnRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRuntime")
    }
}

impl HttpClient for OnRuntime {
    fn send_bytes<'this, 'future>(
        &'this self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'this: 'future,
        Self: 'future,
    {
        let client = self.client.clone();
        let sent = self
            .runtime
            .spawn(async move { client.send_bytes(request).await });
        Box::pin(async move { sent.await? })
    }
}
