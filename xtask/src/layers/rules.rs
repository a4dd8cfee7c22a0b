//! The dependency table of docs/ARCHITECTURE.md, "Who may use whom", as data.

use std::path::{Component, Path};

use super::source::{self, Path as CodePath};

/// Stages in the order of the data path: each may use those before it.
const STAGES: [&str; 11] = [
    "capture",
    "flow",
    "protocol",
    "exchange",
    "classify",
    "callers",
    "inventory",
    "detect",
    "incident",
    "export",
    "store",
];
/// Use nothing of the crate; every stage but `protocol` may use them.
const LEAVES: [&str; 2] = ["telemetry", "config"];
/// Uses the leaves only; every stage but `protocol` may use it.
const ASIDE: &str = "kubernetes";
/// Sees everything: the wiring. `pipeline` joins the stages for one thread and is used by the wiring only.
const WIRING: [&str; 4] = ["app", "cli", "main", "pipeline"];

/// What `protocol` must not touch, for the same bytes must always give the same messages.
const NOT_IN_PROTOCOL: [(&[&str], &str); 9] = [
    (&["std", "time", "Instant"], "no clock"),
    (&["std", "time", "SystemTime"], "no clock"),
    (&["std", "net"], "no socket"),
    (&["std", "os"], "no socket or file"),
    (&["std", "fs"], "no file"),
    (&["std", "thread"], "no thread"),
    (&["tokio"], "no thread or socket"),
    (&["tracing"], "no log"),
    (&["log"], "no log"),
];
/// Macros that speak to the outside.
const LOG_MACROS: [&str; 9] = [
    "print", "println", "eprint", "eprintln", "trace", "debug", "info", "warn", "error",
];

/// Stages that take time from the exchange.
const WITHOUT_CLOCK: [&str; 5] = ["callers", "inventory", "detect", "incident", "store"];
const CLOCKS: [&[&str]; 2] = [&["Instant", "now"], &["SystemTime", "now"]];

/// Lines of a file of `sensor-user/src` that break a rule. `file` is relative to it.
pub(super) fn check(file: &Path, text: &str) -> Vec<(usize, String)> {
    let module = module_of(file);
    let Some(top) = module.first().map(String::as_str) else {
        return Vec::new();
    };
    if is_test(&module) || WIRING.contains(&top) {
        return Vec::new();
    }
    if !STAGES.contains(&top) && !LEAVES.contains(&top) && top != ASIDE {
        return vec![(
            1,
            format!("{top} is in no row of the dependency table (xtask/src/layers/rules.rs)"),
        )];
    }
    let code = source::code(text);
    let paths = source::paths(&code);
    let mut broken = Vec::new();
    for path in &paths {
        if let Some(rule) = used_module(&module, path).and_then(|used| forbidden(top, &used)) {
            broken.push((path.line, rule));
        }
        if WITHOUT_CLOCK.contains(&top) && CLOCKS.iter().any(|clock| path.parts.ends_with(&words(clock))) {
            broken.push((
                path.line,
                format!("{top} reads a clock; time comes with the exchange"),
            ));
        }
    }
    if top == "protocol" {
        broken.extend(in_protocol(&code, &paths));
    }
    broken.sort();
    broken.dedup();
    broken
}

/// Names of the modules down to a file: `protocol/http1/mod.rs` is `[protocol, http1]`, `lib.rs` is empty.
fn module_of(file: &Path) -> Vec<String> {
    let names = file.with_extension("");
    let mut module: Vec<String> = names
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

/// Test code lives in files or directories named `tests`.
fn is_test(module: &[String]) -> bool {
    module.iter().any(|part| part == "tests")
}

/// First module below the crate that a path leads to, if it leads there at all.
fn used_module(module: &[String], path: &CodePath) -> Option<String> {
    match path.parts.first()?.as_str() {
        "crate" | "sensor_user" => path.parts.get(1).cloned(),
        "super" => {
            let up = path.parts.iter().take_while(|part| *part == "super").count();
            // From a file two modules deep, one `super` stays inside; leaving the top module needs one per module.
            (up >= module.len()).then(|| path.parts.get(up).cloned())?
        }
        _ => None,
    }
}

fn forbidden(top: &str, used: &str) -> Option<String> {
    let known = STAGES.contains(&used) || LEAVES.contains(&used) || WIRING.contains(&used) || used == ASIDE;
    if used == top || !known {
        return None;
    }
    let place = |name: &str| STAGES.iter().position(|stage| *stage == name);
    if WIRING.contains(&used) {
        return Some(format!("{top} uses {used}, which belongs to the wiring"));
    }
    if LEAVES.contains(&top) {
        return Some(format!("{top} uses {used}; a leaf uses nothing of the crate"));
    }
    if top == ASIDE {
        return (!LEAVES.contains(&used)).then(|| format!("{top} uses {used}; it uses the leaves only"));
    }
    if top == "protocol" {
        return Some(format!("protocol uses {used}; it uses nothing of the crate"));
    }
    (place(used) > place(top)).then(|| format!("{top} uses {used}, a later stage"))
}

fn in_protocol(code: &str, paths: &[CodePath]) -> Vec<(usize, String)> {
    let mut broken: Vec<(usize, String)> = source::lines_with_word(code, "unsafe")
        .into_iter()
        .map(|line| (line, "protocol has no unsafe code".to_owned()))
        .collect();
    for path in paths {
        for (prefix, rule) in NOT_IN_PROTOCOL {
            if path.parts.starts_with(&words(prefix)) {
                broken.push((path.line, format!("protocol uses {}: {rule}", prefix.join("::"))));
            }
        }
    }
    for name in LOG_MACROS {
        let lines = source::lines_with_macro(code, name).into_iter();
        broken.extend(lines.map(|line| (line, format!("protocol uses {name}!: no log"))));
    }
    broken
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
