//! HPACK and HTTP/2 streams beside the floors: the decoders of `h2` and `httlib-hpack` on the same bytes.

#![expect(clippy::unwrap_used, reason = "a benchmark stops on a mistake")]

use std::hint::black_box;

use common::{
    STREAMS, blocks, connection, conversations, exchanges, floor, httlib, ours, parse, request, wire,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sensor_user::protocol::http2::hpack::Block;

#[path = "common/http2.rs"]
mod common;

fn bench(criterion: &mut Criterion) {
    let requests = blocks(request);
    let mut group = criterion.benchmark_group("hpack");
    group.throughput(Throughput::Elements(u64::from(STREAMS)));
    let mut block = Block::default();
    assert_eq!(ours(&requests, &mut block), httlib(&requests));
    group.bench_function("ours", |bencher| {
        bencher.iter(|| ours(black_box(&requests), &mut block));
    });
    group.bench_function("httlib-hpack", |bencher| {
        bencher.iter(|| httlib(black_box(&requests)));
    });
    group.finish();

    let wire = wire(&requests);
    assert_eq!((parse(&wire), floor(&wire)), (STREAMS as usize, STREAMS as usize));
    let mut group = criterion.benchmark_group("heads");
    group.throughput(Throughput::Elements(u64::from(STREAMS)));
    group.bench_function("ours", |bencher| bencher.iter(|| parse(black_box(&wire))));
    group.bench_function("h2", |bencher| bencher.iter(|| floor(black_box(&wire))));
    group.finish();

    let calls = connection();
    let mut group = criterion.benchmark_group("streams");
    group.throughput(Throughput::Elements(u64::from(STREAMS)));
    group.bench_function("exchanges", |bencher| {
        bencher.iter_batched_ref(
            conversations,
            |conversations| exchanges(conversations, &calls),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
