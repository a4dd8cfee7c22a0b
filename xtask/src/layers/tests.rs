//! Each rule with a snippet that breaks it and one that nearly does.

use std::path::Path;

use super::manifest::member_rules;
use super::rules::check;
use super::source;

fn broken(file: &str, text: &str) -> Vec<(usize, String)> {
    check(Path::new(file), text)
}

#[track_caller]
fn breaks(file: &str, text: &str, line: usize, rule: &str) {
    let found = broken(file, text);
    let hit = found.iter().any(|(at, text)| *at == line && text.contains(rule));
    assert!(hit, "expected `{rule}` in line {line}, found {found:?}");
}

#[track_caller]
fn keeps(file: &str, text: &str) {
    assert_eq!(broken(file, text), []);
}

#[test]
fn a_stage_uses_earlier_stages_and_leaves_only() {
    breaks(
        "flow/mod.rs",
        "//! Doc.\nuse crate::exchange::Exchange;\n",
        2,
        "flow uses exchange, a later stage",
    );
    breaks(
        "capture/ring.rs",
        "use crate::{\n    flow,\n    telemetry,\n};\n",
        2,
        "capture uses flow",
    );
    keeps(
        "exchange/mod.rs",
        "use crate::{capture::Role, flow::{FlowEvent, Limits}, protocol, telemetry};\n",
    );
    keeps(
        "detect/rules/one.rs",
        "use crate::inventory::History;\nuse super::super::RuleId;\n",
    );
}

#[test]
fn a_path_in_the_code_counts_as_a_use() {
    breaks(
        "flow/bind.rs",
        "fn f() {\n    crate::export::text::print();\n}\n",
        2,
        "flow uses export",
    );
    breaks(
        "classify/mod.rs",
        "use super::detect::Finding;\n",
        1,
        "classify uses detect",
    );
    breaks(
        "protocol/http1/parse.rs",
        "use super::super::super::flow;\n",
        1,
        "protocol uses flow",
    );
    keeps(
        "protocol/http1/parse.rs",
        "use super::super::Anomaly;\nuse super::Head;\n",
    );
}

#[test]
fn leaves_and_protocol_use_nothing_of_the_crate() {
    breaks("telemetry/mod.rs", "use crate::capture::Record;\n", 1, "a leaf");
    breaks("config/check.rs", "use crate::telemetry::Metric;\n", 1, "a leaf");
    breaks(
        "protocol/json.rs",
        "use crate::telemetry::Metric;\n",
        1,
        "uses nothing of the crate",
    );
    keeps("protocol/http1/mod.rs", "use crate::protocol::{Anomaly, Step};\n");
}

#[test]
fn kubernetes_uses_the_leaves_only_and_every_stage_may_use_it() {
    breaks(
        "kubernetes/watch.rs",
        "use crate::capture::Record;\n",
        1,
        "the leaves only",
    );
    keeps("kubernetes/watch.rs", "use crate::telemetry::Metric;\n");
    keeps("capture/kernel.rs", "use crate::kubernetes::Pods;\n");
    breaks("config/mod.rs", "use crate::kubernetes::Pods;\n", 1, "a leaf");
    breaks(
        "protocol/xml.rs",
        "use crate::kubernetes::Pods;\n",
        1,
        "uses nothing",
    );
}

#[test]
fn nobody_uses_the_wiring_and_the_wiring_uses_all() {
    breaks("export/mod.rs", "use crate::pipeline::Observed;\n", 1, "wiring");
    keeps("app.rs", "use crate::export::Event;\nuse std::time::Instant;\n");
    keeps("main.rs", "use sensor_user::cli;\n");
}

#[test]
fn a_new_module_needs_a_row_in_the_table() {
    breaks("helper.rs", "", 1, "no row");
}

#[test]
fn protocol_has_no_clock_socket_file_thread_log_or_unsafe_code() {
    for (text, rule) in [
        ("use std::time::{Duration, Instant};", "no clock"),
        ("use std::net::TcpStream;", "no socket"),
        ("fn f() { std::fs::read(x); }", "no file"),
        ("use std::{mem, thread};", "no thread"),
        ("use tracing::info;", "no log"),
        ("fn f() { tracing::warn!(x); }", "no log"),
        ("fn f() { println!(); }", "no log"),
        ("fn f() { unsafe { g() } }", "no unsafe"),
    ] {
        breaks("protocol/x.rs", text, 1, rule);
    }
    keeps(
        "protocol/x.rs",
        "use std::time::Duration;\nfn f() { let info = 1; debug_assert!(info != 2); }\n",
    );
}

#[test]
fn inventory_and_detect_take_time_from_the_exchange() {
    breaks(
        "detect/engine.rs",
        "fn f() { std::time::Instant::now(); }",
        1,
        "reads a clock",
    );
    breaks(
        "inventory/mod.rs",
        "fn f() { SystemTime::now(); }",
        1,
        "reads a clock",
    );
    keeps("capture/ring.rs", "fn f() { Instant::now(); }");
}

#[test]
fn comments_strings_and_tests_do_not_count() {
    keeps(
        "protocol/x.rs",
        "// crate::flow\n/* unsafe /* crate::flow */ */\nconst X: &str = \"crate::flow\";\n",
    );
    keeps(
        "protocol/x.rs",
        "const X: &str = r#\"unsafe \" crate::flow\"#;\nconst C: char = '\"';\n",
    );
    keeps(
        "protocol/x.rs",
        "#[cfg(test)]\nmod tests {\n    use crate::flow;\n    fn f() { println!(); }\n}\n",
    );
    keeps("protocol/http1/tests.rs", "use crate::flow;\n");
    breaks(
        "protocol/x.rs",
        "#[cfg(test)]\nmod tests;\n\nuse crate::flow;\n",
        4,
        "uses flow",
    );
    breaks(
        "protocol/x.rs",
        "fn f<'a>(x: &'a str) { let y = '\\''; }\nuse crate::flow;\n",
        2,
        "uses flow",
    );
}

#[test]
fn trees_of_uses_are_taken_apart() {
    let paths = source::paths("use a::{b::{c, d}, e};\n");
    let parts: Vec<_> = paths.iter().map(|path| path.parts.join("::")).collect();
    assert_eq!(parts, ["a::b::c", "a::b::d", "a::e"]);
}

#[test]
fn members_inherit_lints_and_the_contract_depends_on_nothing() {
    assert_eq!(
        member_rules(
            "xtask",
            "[dependencies]\nanyhow = \"1\"\n[lints]\nworkspace = true\n"
        ),
        []
    );
    assert_eq!(member_rules("xtask", "[package]\n").len(), 1);
    let contract = "[dependencies]\n# none\nserde.workspace = true\n[lints]\nworkspace = true\n";
    let breaches = member_rules("sensor-common", contract);
    assert_eq!(
        breaches[0].to_string(),
        "sensor-common/Cargo.toml:3: sensor-common depends on serde"
    );
}

#[test]
fn this_project_keeps_its_rules() {
    super::layers().unwrap();
}
