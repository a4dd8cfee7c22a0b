//! The cost of the user-space pipeline on one core, beside the floor on the same bytes.
//!
//! `cargo bench -p sensor-user --bench pipeline` runs criterion. With `-- --summary` it runs pipeline and floor by
//! turns, prints a table of medians and, as its last line, one JSON object.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops on a mistake and prints its result"
)]
#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are small")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

mod workload;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput};
use workload::Workload;

/// Names, calls per round, bytes of each JSON body. A round takes some milliseconds.
const SIZES: [(&str, usize, usize); 2] = [("small", 4096, 1024), ("large", 128, 64 * 1024)];

/// Rounds of each, by turns, so that a slow moment of the machine meets both.
const ROUNDS: usize = 61;

fn main() {
    if std::env::args().any(|argument| argument == "--summary") {
        summarise();
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    for (name, exchanges, body_bytes) in SIZES {
        let workload = Workload::new(exchanges, body_bytes);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(workload.bytes as u64));
        group.bench_function("pipeline", |bencher| {
            bencher.iter_batched_ref(
                Workload::pipeline,
                |pipeline| workload.run_pipeline(pipeline),
                BatchSize::PerIteration,
            );
        });
        group.bench_function("floor", |bencher| bencher.iter(|| workload.run_floor()));
        group.finish();
    }
    criterion.final_summary();
}

fn summarise() {
    println!(
        "{:<6} {:>14} {:>12} {:>12} {:>9}",
        "size", "exchanges/s", "MB/s", "floor MB/s", "share"
    );
    let mut parts = Vec::new();
    for (name, exchanges, body_bytes) in SIZES {
        let workload = Workload::new(exchanges, body_bytes);
        let (pipeline, floor) = medians(&workload);
        let megabytes = workload.bytes as f64 / 1e6;
        let per_second = workload.exchanges as f64 / pipeline.as_secs_f64();
        let (speed, floor_speed) = (
            megabytes / pipeline.as_secs_f64(),
            megabytes / floor.as_secs_f64(),
        );
        let share = speed / floor_speed;
        println!("{name:<6} {per_second:>14.0} {speed:>12.1} {floor_speed:>12.1} {share:>9.3}");
        parts.push(format!(
            "\"{name}\":{{\"share_of_floor\":{share:.4},\"exchanges_per_second\":{per_second:.0},\
             \"megabytes_per_second\":{speed:.1},\"floor_megabytes_per_second\":{floor_speed:.1}}}"
        ));
    }
    println!("{{{}}}", parts.join(","));
}

/// Median times of one round through the pipeline and of one over the floor.
fn medians(workload: &Workload) -> (Duration, Duration) {
    let (mut pipelines, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut pipeline = Workload::pipeline();
        let start = Instant::now();
        let told = black_box(workload.run_pipeline(&mut pipeline));
        pipelines.push(start.elapsed());
        assert_eq!(told, workload.exchanges, "every call is told");
        let start = Instant::now();
        black_box(workload.run_floor());
        floors.push(start.elapsed());
    }
    (median(pipelines), median(floors))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap()
}
