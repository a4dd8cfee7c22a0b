//! One request over HTTP/1.1 or gRPC, with TLS where the address says so.
//!
//! Takes a batch. Gives the receiver's [`Answer`]. Never shows a header's value, nor an address that could hold one.
//! Bounded by the timeout and by [`answer::LONGEST`].

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, TE, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::answer::{self, Answer};
use super::batch::{Batch, Signal};
use super::{OtlpError, headers, tls};
use crate::config::{self, Compression, Protocol};
use crate::telemetry::log::Repeat;

/// Idle connections are closed before a receiver or what is between is likely to.
const IDLE: Duration = Duration::from_secs(50);
/// The cheapest level: higher ones take ten times as long for a tenth of the bytes.
const LEVEL: flate2::Compression = flate2::Compression::fast();
/// Bytes before a message of gRPC: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Those that are open, and how new ones are made.
type Connections = Hyper<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Sends to the receivers that a configuration names.
#[derive(Debug)]
pub(super) struct Client {
    hyper: Connections,
    otlp: config::Otlp,
    files: tls::Files,
    /// Where each signal goes; `None`: it is not sent.
    to: [Option<Uri>; 3],
    protocol: Protocol,
    gzip: bool,
    timeout: Duration,
    headers: headers::Headers,
}

impl Client {
    /// Reads what the configuration names. Connects when there is something to send.
    pub(super) fn new(
        otlp: &config::Otlp,
        environment: &headers::Environment<'_>,
    ) -> Result<Self, OtlpError> {
        // Before they are read: what changes meanwhile is seen as changed.
        let files = tls::Files::of(otlp);
        let hyper = connections(otlp)?;
        let mut to = [None, None, None];
        for (to, signal) in to.iter_mut().zip(Signal::ALL) {
            *to = address(otlp, signal)?;
        }
        let headers = headers::Headers::of(otlp, environment);
        headers.read()?;
        Ok(Self {
            hyper,
            files,
            to,
            protocol: otlp.protocol,
            gzip: otlp.compression == Compression::Gzip,
            timeout: otlp.timeout.0,
            headers,
            otlp: otlp.clone(),
        })
    }

    /// Reads certificates and key again when their files are others than before, as headers are for each request. Goes on
    /// with those before while the new ones cannot be used.
    pub(super) fn refresh(&mut self) {
        if !self.files.have_changed() {
            return;
        }
        match connections(&self.otlp) {
            Ok(hyper) => {
                self.hyper = hyper;
                tracing::info!("the OTLP certificates were read again");
            }
            Err(error) => {
                static UNFIT: Repeat = Repeat::new();
                if let Some(repeats) = UNFIT.pass() {
                    tracing::warn!(%error, repeats, "the OTLP certificates that were replaced cannot be used; those before stay");
                }
            }
        }
    }

    /// Whether a signal has a receiver.
    pub(super) fn sends(&self, signal: Signal) -> bool {
        self.uri(signal).is_some()
    }

    /// Sends a batch and waits for what becomes of it.
    pub(super) async fn send(&self, batch: &Batch) -> Answer {
        let Some(uri) = self.uri(batch.signal) else {
            return Answer::Refused {
                why: "no receiver for this signal".to_owned(),
            };
        };
        let request = match self.request(uri, batch) {
            Ok(request) => request,
            Err(why) => return Answer::Later { after: None, why },
        };
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Answer::Later {
                after: None,
                why: format!("no answer within {:?}", self.timeout),
            },
        }
    }

    fn uri(&self, signal: Signal) -> Option<&Uri> {
        let mut known = self.to.iter().zip(Signal::ALL);
        known.find_map(|(to, known)| to.as_ref().filter(|_| known == signal))
    }

    fn request(&self, uri: &Uri, batch: &Batch) -> Result<Request<Full<Bytes>>, String> {
        let headers = self.headers.read().map_err(|error| error.to_string())?;
        let mut request = Request::new(Full::new(self.body(&batch.bytes)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        let fields = request.headers_mut();
        fields.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("api-sensor/", env!("CARGO_PKG_VERSION"))),
        );
        let gzip = HeaderValue::from_static("gzip");
        match self.protocol {
            Protocol::Grpc => {
                fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                fields.insert(TE, HeaderValue::from_static("trailers"));
                if self.gzip {
                    fields.insert(HeaderName::from_static("grpc-encoding"), gzip);
                }
            }
            Protocol::HttpProtobuf => {
                fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
                if self.gzip {
                    fields.insert(CONTENT_ENCODING, gzip);
                }
            }
        }
        fields.extend(headers);
        Ok(request)
    }

    fn body(&self, message: &Bytes) -> Bytes {
        let grpc = self.protocol == Protocol::Grpc;
        if !grpc && !self.gzip {
            return message.clone();
        }
        let mut body = vec![0; if grpc { PREFIX } else { 0 }];
        if self.gzip {
            // Writing to memory does not fail.
            let mut encoder = GzEncoder::new(&mut body, LEVEL);
            encoder.write_all(message).ok();
            encoder.finish().ok();
        } else {
            body.extend_from_slice(message);
        }
        if grpc {
            let length = u32::try_from(body.len() - PREFIX).unwrap_or(u32::MAX);
            let prefix = std::iter::once(u8::from(self.gzip)).chain(length.to_be_bytes());
            body.iter_mut().zip(prefix).for_each(|(to, from)| *to = from);
        }
        body.into()
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Answer {
        let unreachable = |error: &dyn std::error::Error| Answer::Later {
            after: None,
            why: causes(error),
        };
        let response = match self.hyper.request(request).await {
            Ok(response) => response,
            Err(error) => return unreachable(&error),
        };
        let (head, body) = response.into_parts();
        let collected = match Limited::new(body, answer::LONGEST).collect().await {
            Ok(collected) => collected,
            Err(error) => return unreachable(&*error),
        };
        let trailers = collected.trailers().cloned();
        let body = collected.to_bytes();
        let status = head.status.as_u16();
        match self.protocol {
            Protocol::Grpc => answer::of_grpc(status, &trailers.unwrap_or(head.headers), &body),
            Protocol::HttpProtobuf => answer::of_http(status, &head.headers, &body),
        }
    }
}

/// None yet.
fn connections(otlp: &config::Otlp) -> Result<Connections, OtlpError> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // A request is several writes of HTTP/2, the last of which would wait for the receiver's delayed acknowledgement.
    tcp.set_nodelay(true);
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(tls::config(otlp)?)
        .https_or_http();
    let connector = match otlp.protocol {
        Protocol::Grpc => builder.enable_http2().wrap_connector(tcp),
        Protocol::HttpProtobuf => builder.enable_http1().wrap_connector(tcp),
    };
    let mut client = Hyper::builder(TokioExecutor::new());
    client
        .pool_timer(hyper_util::rt::TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http2_only(otlp.protocol == Protocol::Grpc);
    Ok(client.build(connector))
}

/// An error and what it comes from: that of a client says little by itself.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Where a signal goes.
fn address(otlp: &config::Otlp, signal: Signal) -> Result<Option<Uri>, OtlpError> {
    let own = match signal {
        Signal::Logs => &otlp.logs_endpoint,
        Signal::Traces => &otlp.traces_endpoint,
        Signal::Metrics => &otlp.metrics_endpoint,
    };
    let Some(endpoint) = own
        .as_ref()
        .or(otlp.endpoint.as_ref())
        .filter(|_| otlp.signals.contains(&signal))
    else {
        return Ok(None);
    };
    let base = endpoint.trim_end_matches('/');
    let text = match otlp.protocol {
        Protocol::Grpc => format!("{base}/{}", service(signal)),
        Protocol::HttpProtobuf if own.is_some() => endpoint.clone(),
        Protocol::HttpProtobuf => format!("{base}/v1/{}", signal.name()),
    };
    text.parse()
        .map(Some)
        .map_err(|_not_an_address| OtlpError::Address {
            signal: signal.name(),
        })
}

const fn service(signal: Signal) -> &'static str {
    match signal {
        Signal::Logs => "opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Traces => "opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}
