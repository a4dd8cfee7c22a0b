//! Walking and classifying JSON beside the floors: `serde_json` building nothing, and `simd-json`.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use common::{JSON, Nothing, document, ignored, tape};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sensor_user::capture::{Comm, Evidence, ProcessKey, Role, Source, StreamKey};
use sensor_user::classify::{self, Classifier};
use sensor_user::detect::{self, Engine, Observation};
use sensor_user::exchange::{
    Body, BodyPiece, BodyState, Caller, Connection, Exchange, Head, Outcome, Request, Response,
};
use sensor_user::inventory::{self, Inventory};
use sensor_user::protocol::Span;
use sensor_user::protocol::json::Walker;
use sensor_user::protocol::walk::Ending;
use sensor_user::telemetry::Counters;

#[path = "common/documents.rs"]
mod common;

fn head(text: &str) -> Head {
    let mut headers = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive("\r\n") {
        if let Some((name, value)) = line.split_once(": ") {
            let span = |start: usize, len: usize| Span {
                start: u32::try_from(start).unwrap_or(0),
                len: u32::try_from(len).unwrap_or(0),
            };
            let value_at = at + name.len() + 2;
            headers.push((span(at, name.len()), span(value_at, value.trim_end().len())));
        }
        at += line.len();
    }
    Head {
        raw: Bytes::copy_from_slice(text.as_bytes()),
        headers,
    }
}

const REQUEST: &str = "GET /api/v1/shops/42/orders?page=2&limit=100 HTTP/1.1\r\nHost: api.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: application/json\r\n\
    Accept-Encoding: gzip, deflate, br\r\nAuthorization: Bearer 8f14e45fceea167a5a36dedd4bea2543\r\n\
    X-Client: web-frontend\r\nConnection: keep-alive\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 01 May 2024 10:00:00 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\nX-Frame-Options: DENY\r\nCache-Control: no-store\r\n\
    Connection: keep-alive\r\n\r\n";

fn exchange(document: &str) -> Exchange {
    let process = ProcessKey { pid: 1, start_ns: 1 };
    let address = Some((IpAddr::V4(Ipv4Addr::LOCALHOST), 443));
    let connection = Connection {
        stream: StreamKey {
            process,
            source: Source::Tls,
            id: 1,
            generation: 0,
        },
        process,
        comm: Comm::default(),
        container: None,
        role: Role::Server,
        local: address,
        remote: address,
        evidence: Some(Evidence::Recorded),
        ambiguous: false,
        proxied_for: None,
        tls: true,
    };
    let body = Body {
        pieces: smallvec::smallvec![BodyPiece(Bytes::copy_from_slice(document.as_bytes()))],
        total: document.len() as u64,
        state: BodyState::Whole,
        ..Body::default()
    };
    Exchange {
        connection: Arc::new(connection),
        request: Request {
            head: head(REQUEST),
            method: Span { start: 0, len: 3 },
            target: Span { start: 4, len: 40 },
            version: 11,
            trailers: Head::default(),
            body: Body::default(),
            time_ns: (0, 1),
            early_data: false,
        },
        outcome: Outcome::Answered(Box::new(Response {
            trailers: Head::default(),
            head: head(RESPONSE),
            status: 200,
            body,
            time_ns: (2, 3),
        })),
        caller: Caller::Anonymous,
        calls: sensor_user::exchange::call::Calls::new(),
        anomalies: smallvec::SmallVec::new(),
        part: None,
    }
}

fn bench(criterion: &mut Criterion) {
    for (name, size) in [("1k", 1024), ("64k", 64 * 1024)] {
        let text = document(&JSON, size - 300);
        let exchange = exchange(&text);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("serde_ignored", |bencher| {
            bencher.iter(|| ignored(black_box(&text)));
        });
        let mut buffers = Default::default();
        group.bench_function("simd_json_tape", |bencher| {
            bencher.iter(|| tape(black_box(&text), &mut buffers));
        });
        let mut walker = Walker::new(16 * 1024);
        group.bench_function("walk", |bencher| {
            bencher.iter(|| {
                walker.restart();
                let mut seen = Nothing(0);
                let fed = walker.feed(black_box(text.as_bytes()), &mut seen);
                assert!(fed.is_ok() && walker.finish(&mut seen) == Ending::Complete);
                seen.0
            });
        });
        let mut classifier = Classifier::new(classify::Limits::default());
        group.bench_function("classify", |bencher| {
            bencher.iter(|| classifier.classify(black_box(&exchange)).found.len());
        });
        let labels = classifier.classify(&exchange);
        let counters = Arc::new(Counters::default());
        let mut inventory = Inventory::new(inventory::Limits::default(), Arc::clone(&counters));
        let mut engine = Engine::new(detect::Limits::default(), counters);
        let mut findings = Vec::new();
        group.bench_function("judge", |bencher| {
            bencher.iter(|| {
                let (endpoint, history) = inventory.observe(black_box(&exchange));
                let seen = Observation {
                    exchange: &exchange,
                    labels: &labels,
                    endpoint: &endpoint,
                };
                findings.clear();
                engine.judge(&seen, &history, &mut findings);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
