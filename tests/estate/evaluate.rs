//! `cargo xtask evaluate-authorization` runs this with what it was asked for in the environment.

use std::time::Duration;

use sensor_user::detect::Severity;
use serde_json::json;

use super::ruler::{Ruler, report};
use super::run::{Estate, Size, pipeline};

/// The seed to tune with. Below [`EVALUATION`], seeds are for tuning; from there on for evaluation alone.
const TUNING: u64 = 1;
const EVALUATION: u64 = 1000;

#[test]
#[ignore = "a million exchanges; cargo xtask evaluate-authorization runs it in a release build"]
fn evaluate() {
    let asked = |name: &str| std::env::var(name).ok();
    let seed =
        asked("API_SENSOR_ESTATE_SEED").map_or(TUNING, |text| text.parse().expect("a seed is a number"));
    let size = if asked("API_SENSOR_ESTATE_SMALL").is_some() {
        Size::Small
    } else {
        Size::Whole
    };
    let floor = asked("API_SENSOR_ESTATE_FLOOR").map_or(Severity::Medium, |text| severity(&text));
    let mut estate = Estate::new(seed, size);
    let mut ruler = Ruler::new(&estate.world, floor);
    let (generating, judging) = pass(&mut estate, &mut ruler);
    let mut measured = report::measure(&estate.world, &ruler);
    let made = estate.world.truth.benign + estate.world.truth.attacking;
    assert!(made >= size.least(), "only {made} exchanges");
    println!("{}", report::table(&measured));
    let purpose = if seed < EVALUATION { "tuning" } else { "evaluation" };
    let speed = |time: Duration| (made as f64 / time.as_secs_f64()).round();
    println!(
        "{purpose} seed; generated in {:.1} s ({} exchanges/s, {} MB), judged in {:.1} s ({} exchanges/s)",
        generating.as_secs_f64(),
        speed(generating),
        estate.world.carried / 1_000_000,
        judging.as_secs_f64(),
        speed(judging)
    );
    measured["purpose"] = json!(purpose);
    measured["speed"] =
        json!({"generated_per_second": speed(generating), "judged_per_second": speed(judging)});
    println!("ESTATE {measured}");
}

/// Records that are made before they are judged.
const BATCH: usize = 1000;

/// Runs it, and tells how long the estate and how long the sensor took: the processor's time, for others use it, too.
fn pass(estate: &mut Estate, ruler: &mut Ruler) -> (Duration, Duration) {
    let mut pipeline = pipeline();
    let (start, mut judging) = (spent(), Duration::ZERO);
    let mut records = Vec::new();
    loop {
        let goes_on = estate.step(&mut |record| records.push(record));
        if records.len() >= BATCH || !goes_on {
            let start = spent();
            for record in records.drain(..) {
                pipeline.push(record, &mut |event| ruler.take(&estate.world, &event));
            }
            judging += spent().saturating_sub(start);
        }
        if !goes_on {
            break;
        }
    }
    pipeline.finish(&mut |event| ruler.take(&estate.world, &event));
    (spent().saturating_sub(start).saturating_sub(judging), judging)
}

/// What this thread has used of a processor.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn severity(name: &str) -> Severity {
    let all = [
        Severity::Info,
        Severity::Low,
        Severity::Medium,
        Severity::High,
        Severity::Critical,
    ];
    let known = all.into_iter().find(|severity| severity.name() == name);
    known.unwrap_or_else(|| panic!("no severity is called {name}"))
}
