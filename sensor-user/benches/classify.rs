//! Walking and classifying JSON beside the floors: `serde_json` building nothing, and `simd-json`.

use std::hint::black_box;
use std::sync::Arc;

use common::{JSON, Nothing, document, ignored, tape};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sensor_user::callers::{self, Callers};
use sensor_user::classify::{self, Classifier};
use sensor_user::detect::{self, Engine, Observation};
use sensor_user::inventory::{self, Inventory, Seen};
use sensor_user::protocol::json::Walker;
use sensor_user::protocol::walk::Ending;
use sensor_user::telemetry::Counters;

#[path = "common/documents.rs"]
mod common;
#[path = "common/exchange.rs"]
mod exchange;

fn bench(criterion: &mut Criterion) {
    for (name, size) in [("1k", 1024), ("64k", 64 * 1024)] {
        let text = document(&JSON, size - 300);
        let exchange = exchange::exchange(&text);
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
        let caller = Callers::new(callers::Limits::default()).observe(&exchange);
        group.bench_function("judge", |bencher| {
            bencher.iter(|| {
                let Seen {
                    endpoint,
                    identity,
                    history,
                    ..
                } = inventory.observe(black_box(&exchange), &labels.calls);
                let seen = Observation {
                    caller: &caller,
                    exchange: &exchange,
                    labels: &labels,
                    endpoint: &endpoint,
                    known: identity,
                };
                findings.clear();
                engine.judge(&seen, &history, &|_| false, &mut findings);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
