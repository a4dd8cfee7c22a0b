//! Does `docs/events.schema.json` describe what is written? Asked of somebody else's validator, with every recorded line.

use std::path::Path;

use sensor_tests::{judges, programs};

fn lines() -> String {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut lines = String::new();
    for entry in std::fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            lines.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    lines
}

#[test]
fn recorded_lines_are_what_the_schema_says() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.schema.json");
    let judge = || judges::json_schema(&schema);
    let lines = lines();
    assert!(lines.lines().count() > 40, "{lines}");
    match judge() {
        Err(reason) => programs::skipped("a validator of JSON Schema", &reason),
        Ok(judge) => {
            judge.reads(&lines).unwrap_or_else(|error| panic!("{error:#}"));
        }
    }
    if let Ok(judge) = judge() {
        let wrong = lines.replace(
            "\"api_sensor.severity\":\"high\"",
            "\"api_sensor.severity\":\"dire\"",
        );
        judge.reads(&wrong).expect_err("it takes anything");
    }
}
