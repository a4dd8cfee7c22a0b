//! What identity, templates, schemas and rules cost beside parsing the same exchanges, on one core.
//!
//! `cargo bench -p sensor-user --no-default-features --bench judge` sends rounds of calls through each stage by turns and
//! prints medians: exchanges a second, and the ratio to parsing in the same run. Then it counts instructions of one round
//! in callgrind, which do not depend on what else the machine does; without valgrind it says that this is skipped. Both
//! begin when everything that is called was called often. It fails when the four stages together cost more instructions than
//! [`WORST`] of parsing.
//!
//! `-- --rounds WARM MEASURED` does rounds alone, for callgrind.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops on a mistake and prints its result"
)]
#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are small")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "common/estate.rs"]
mod estate;
#[path = "common/stages.rs"]
mod stages;

use std::process::Command;
use std::time::{Duration, Instant};

use stages::{CALLS, Round, STAGES, Stages};

/// Rounds before anything is measured: each endpoint was called by dozens of callers then, most callers a hundred times.
const WARM: usize = 40;
/// Rounds that are measured, each stage by turns.
const ROUNDS: usize = 41;
/// The same under callgrind, where a round takes seconds.
const WARM_COUNTED: usize = 16;
/// What the four stages together may cost beside parsing, heads and bodies; the aim is 1.
const WORST: f64 = 2.0;

fn main() {
    let mut arguments = std::env::args()
        .skip_while(|argument| argument != "--rounds")
        .skip(1);
    if let (Some(warm), Some(measured)) = (arguments.next(), arguments.next()) {
        rounds(warm.parse().unwrap(), measured.parse().unwrap());
        return;
    }
    let times = rounds(WARM, ROUNDS);
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap().as_secs_f64()
    });
    println!(
        "{:<12} {:>14} {:>12} {:>9}",
        "stage", "exchanges/s", "ns each", "of parse"
    );
    let of_parse = told(&medians, |seconds| {
        format!(
            "{:>14.0} {:>12.0}",
            CALLS as f64 / seconds,
            seconds * 1e9 / CALLS as f64
        )
    });
    println!("in time: {of_parse:.2} of parsing");
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED instructions: no valgrind");
        return;
    }
    let counted = instructions().map(|count| count as f64);
    println!("{:<12} {:>14} {:>9}", "stage", "instructions", "of parse");
    let of_parse = told(&counted, |count| format!("{:>14.0}", count / CALLS as f64));
    println!("in instructions: {of_parse:.2} of parsing");
    assert!(of_parse <= WORST, "{of_parse:.2} of parsing");
}

/// Prints each stage; gives what identity, templates, schemas and rules cost of parsing.
fn told(costs: &[f64; STAGES.len()], show: impl Fn(f64) -> String) -> f64 {
    let [heads, bodies, shard, identity, templates, schemas, rules, judge] = *costs;
    let parse = heads + bodies;
    let four = identity + templates + schemas + rules;
    let rows = [
        ("assembly, heads", heads),
        ("bodies walked", bodies),
        ("parse", parse),
        ("classify", (shard - heads).max(f64::MIN_POSITIVE)),
        ("identity", identity),
        ("templates", templates),
        ("schemas", schemas),
        ("rules", rules),
        ("the four", four),
        ("judge, whole", judge),
        ("all", shard + judge),
    ];
    for (name, cost) in rows {
        println!("{name:<16} {} {:>9.2}", show(cost), cost / parse);
    }
    four / parse
}

/// Does rounds; how long each stage took for each that is measured.
fn rounds(warm: usize, measured: usize) -> [Vec<Duration>; STAGES.len()] {
    let (mut stages, mut times) = (Stages::new(), [const { Vec::new() }; STAGES.len()]);
    for number in 0..warm + measured {
        let mut round = Round::new(&mut stages, number);
        for (stage, times) in STAGES.iter().zip(&mut times) {
            let start = Instant::now();
            (stage.work)(&mut stages, &mut round);
            let took = start.elapsed();
            if number >= warm {
                times.push(took);
            }
        }
        round.check();
    }
    stages.check();
    times
}

/// Instructions of each stage in the last of some rounds: callgrind counts anew whenever a stage begins, and writes what it
/// counted when it ends.
fn instructions() -> [u64; STAGES.len()] {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--collect-jumps=no"])
        .arg(format!(
            "--callgrind-out-file={}",
            directory.path().join("out").display()
        ));
    for stage in &STAGES {
        let name = format!("judge::stages::{}", stage.name);
        command.arg(format!("--zero-before={name}"));
        command.arg(format!("--dump-after={name}"));
    }
    let run = command
        .arg(std::env::current_exe().unwrap())
        .args(["--rounds", &WARM_COUNTED.to_string(), "1"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let first = WARM_COUNTED * STAGES.len() + 1;
    std::array::from_fn(|stage| {
        let path = directory.path().join(format!("out.{}", first + stage));
        let text = std::fs::read_to_string(path).unwrap();
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        total.unwrap().trim().parse().unwrap()
    })
}
