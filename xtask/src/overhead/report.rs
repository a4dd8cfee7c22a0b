//! Medians, spreads and shares of the measurements.

use sensor_tests::servers::Transport;
use serde_json::{Value, json};

use super::condition::Kind;
use super::measure::{Sample, Samples};

/// Median and range of some figures.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Spread {
    median: f64,
    low: f64,
    high: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |index: usize| figures.get(index).copied().unwrap_or(0.0);
        let last = figures.len().saturating_sub(1);
        Self {
            median: f64::midpoint(at(last / 2), at(figures.len() / 2)),
            low: at(0),
            high: at(last),
        }
    }

    fn json(self) -> Value {
        json!({"median": round(self.median), "min": round(self.low), "max": round(self.high)})
    }
}

/// Four digits behind the point say more than the measurement does.
fn round(figure: f64) -> f64 {
    (figure * 1e4).round() / 1e4
}

/// Ratio of two conditions, round by round, so that what slows a whole round changes nothing.
fn ratio(one: &[Sample], other: &[Sample], figure: impl Fn(&Sample) -> f64) -> Spread {
    let pairs = one.iter().zip(other).filter(|(_, other)| figure(other) > 0.0);
    Spread::of(pairs.map(|(one, other)| figure(one) / figure(other)))
}

fn rate(sample: &Sample) -> f64 {
    sample.requests_per_second
}

const KINDS: [(&str, Kind); 3] = [
    ("bare", Kind::Bare),
    ("sensor", Kind::Sensor),
    ("counting_probe", Kind::CountingProbe),
];

/// A table for a person.
pub(super) fn table(samples: &Samples) -> String {
    let mut lines = vec![format!(
        "{:<7}{:<16}{:>10}{:>22}{:>10}{:>12}{:>10}",
        "", "condition", "requests/s", "min to max", "of bare", "us/request", "of bare"
    )];
    for transport in Transport::ALL {
        let bare = samples.of(transport, Kind::Bare);
        for (name, kind) in KINDS {
            let these = samples.of(transport, kind);
            let rates = Spread::of(these.iter().map(rate));
            let share = ratio(these, bare, rate).median * 100.0;
            let cost = Spread::of(these.iter().map(|sample| sample.cpu_us)).median;
            let times = ratio(these, bare, |sample| sample.cpu_us).median;
            let range = format!("{:.0} to {:.0}", rates.low, rates.high);
            let shown = match transport {
                Transport::Tls => "TLS",
                Transport::Plain => "plain",
            };
            lines.push(format!(
                "{shown:<7}{name:<16}{:>10.0}{range:>22}{share:>9.1}%{cost:>12.2}{times:>9.2}x",
                rates.median
            ));
        }
        lines.push(where_it_goes(samples, transport));
    }
    lines.join("\n")
}

/// Processor time is what a request costs; what it does not explain is waiting.
fn where_it_goes(samples: &Samples, transport: Transport) -> String {
    let median = |kind: Kind, figure: fn(&Sample) -> f64| {
        Spread::of(samples.of(transport, kind).iter().map(figure)).median
    };
    let per_request = |kind| 1e6 / median(kind, rate).max(1.0);
    let longer = per_request(Kind::Sensor) - per_request(Kind::Bare);
    let inside = median(Kind::Sensor, |sample| sample.cpu_us) - median(Kind::Bare, |sample| sample.cpu_us);
    let beside = median(Kind::Sensor, |sample| sample.sensor_cpu_us);
    format!(
        "       under the sensor a request takes {longer:.1} us longer: {inside:.1} us is time nginx spends in \
         probes,\n       the rest is waiting; the sensor itself uses {beside:.1} us per request on the other core"
    )
}

/// The same as one object.
pub(super) fn json(samples: &Samples, seconds: u64) -> Value {
    let of = |transport| {
        let (bare, sensor) = (
            samples.of(transport, Kind::Bare),
            samples.of(transport, Kind::Sensor),
        );
        let counting = samples.of(transport, Kind::CountingProbe);
        let mut object = json!({
            "share_of_bare": round(ratio(sensor, bare, rate).median),
            "share_of_counting_probe": round(ratio(sensor, counting, rate).median),
            "counting_probe_share_of_bare": round(ratio(counting, bare, rate).median),
            "share_of_bare_spread": ratio(sensor, bare, rate).json(),
            "cpu_per_request_ratio": round(ratio(sensor, bare, |sample| sample.cpu_us).median),
            "sensor_cpu_us_per_request":
                round(Spread::of(sensor.iter().map(|sample| sample.sensor_cpu_us)).median),
        });
        for (name, kind) in KINDS {
            let these = samples.of(transport, kind);
            object[name] = json!({
                "requests_per_second": Spread::of(these.iter().map(rate)).json(),
                "cpu_us_per_request": Spread::of(these.iter().map(|sample| sample.cpu_us)).json(),
            });
        }
        object
    };
    json!({
        "tls": of(Transport::Tls),
        "plain": of(Transport::Plain),
        "rounds": samples.of(Transport::Tls, Kind::Bare).len(),
        "seconds": seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Samples {
        let mut samples = Samples::default();
        for (bare, sensor, probe) in [(100.0, 50.0, 20.0), (200.0, 120.0, 60.0), (50.0, 20.0, 10.0)] {
            for transport in Transport::ALL {
                for (kind, rate) in [
                    (Kind::Bare, bare),
                    (Kind::Sensor, sensor),
                    (Kind::CountingProbe, probe),
                ] {
                    let sample = Sample {
                        requests_per_second: rate,
                        cpu_us: 1e6 / rate,
                        sensor_cpu_us: 1.0,
                    };
                    samples.push(transport, kind, sample);
                }
            }
        }
        samples
    }

    #[test]
    fn shares_are_medians_of_the_rounds_own_ratios() {
        let json = json(&samples(), 2);
        assert_eq!(json["tls"]["share_of_bare"], 0.5);
        assert_eq!(json["plain"]["share_of_counting_probe"], 2.0);
        assert_eq!(json["tls"]["bare"]["requests_per_second"]["max"], 200.0);
        assert_eq!(json["rounds"], 3);
    }

    #[test]
    fn the_table_has_every_condition() {
        let text = table(&samples());
        assert_eq!(text.matches("counting_probe").count(), 2);
        assert!(text.contains("50.0%"));
    }

    #[test]
    fn a_median_of_an_even_number_lies_between() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0].into_iter());
        assert_eq!(spread.json(), json!({"median": 2.5, "min": 1.0, "max": 4.0}));
        assert_eq!(Spread::of(std::iter::empty()).json()["median"], 0.0);
    }
}
