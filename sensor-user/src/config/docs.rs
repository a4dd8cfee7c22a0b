//! The reference and the annotated example, made from the table of settings.

use std::fmt::Write as _;

use toml::Value;

use super::load::{DEFAULT_FILE, FILE_VARIABLE, HEADERS_VARIABLE, STANDARD_VARIABLES};
use super::setting::{Kind, Section, Setting};
use super::{Config, SECTIONS};

/// A decision not to be told of findings.
const SUPPRESS: &str = r#"[[suppress]]
rule = "API3-001"
endpoint = "shop.example/api/contacts*"
caller = "29a858b5060a4417"
reason = "the newsletter's export; ticket 4711"
until = "2027-03-31"
"#;

/// `docs/CONFIG.md`.
pub fn reference() -> String {
    let mut page = format!(
        "# Configuration\n\nGenerated from the doc comments of `sensor-user/src/config/mod.rs`; a test keeps it \
         current.\n\nFlags go before environment variables, these before the file, the file before defaults. A list \
         replaces the list of a lower layer. The file is `{DEFAULT_FILE}` (may be absent), or the one that `--config` \
         or `{FILE_VARIABLE}` names (must exist). `api-sensor check-config` reports every mistake at once. In an \
         environment variable, items of a list are separated by commas; an empty variable counts as unset. Sizes are \
         written `64KiB`, `16MiB`, `1GiB` or as a number of bytes, durations `500ms`, `5s`, `2m`, `1h`.\n"
    );
    for section in SECTIONS {
        let _infallible = write!(page, "\n## [{}]\n\n{}\n\n", section.name, section.about.trim());
        page.push_str("| setting | default | flag | variable | meaning |\n| --- | --- | --- | --- | --- |\n");
        for setting in section.settings {
            page.push_str(&row(section, setting));
        }
    }
    page.push_str(
        "\n## [[suppress]]\n\nFindings that somebody decided not to be told of, in the file only, one table for each decision. \
         They make no incidents either, and are counted (`findings_suppressed`). An expired one is said at start and does \
         nothing.\n\n| setting | | meaning |\n| --- | --- | --- |\n\
         | `rule` | required | id of the rule |\n\
         | `endpoint` | | host and path template; `*` stands for any text. Every endpoint without it |\n\
         | `caller` | | the caller's hash as findings show it, or that of the client's address as incidents show it for what \
         nobody known does, or at least its first eight digits. Everybody without it |\n\
         | `reason` | required | why, for whoever reads it later |\n\
         | `until` | required | the last day it holds (UTC), by the traffic's clock |\n\n```toml\n",
    );
    page.push_str(SUPPRESS);
    page.push_str("```\n");
    page.push_str("\n## OpenTelemetry's own variables\n\n`API_SENSOR_` variables go before them.\n\n");
    page.push_str("| variable | setting |\n| --- | --- |\n");
    for (variable, key) in STANDARD_VARIABLES {
        let _infallible = writeln!(page, "| `{variable}` | `{key}` |");
    }
    let _infallible = writeln!(
        page,
        "| `{HEADERS_VARIABLE}` | added to `otlp.headers` by the exporter; never stored |"
    );
    page
}

fn row(section: &Section, setting: &Setting) -> String {
    let default =
        default_of(section, setting).map_or_else(|| "unset".to_owned(), |value| format!("`{value}`"));
    let code = |text: &str| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            format!("`{text}`")
        }
    };
    let variable = if setting.kind == Kind::FileOnly {
        String::new()
    } else {
        section.variable(setting)
    };
    format!(
        "| `{}` | {default} | {} | {} | {} |\n",
        setting.name,
        code(setting.flag),
        code(&variable),
        setting.about.trim()
    )
}

fn default_of(section: &Section, setting: &Setting) -> Option<Value> {
    let defaults = Value::try_from(Config::default()).ok()?;
    defaults.get(section.name)?.get(setting.name).cloned()
}

/// `deploy/api-sensor.toml`: every setting with its default.
pub fn annotated_example() -> String {
    let mut text = format!("# Configuration of api-sensor: {DEFAULT_FILE}\n#\n");
    text.push_str("# Every setting is shown with its default; remove what you do not change. docs/CONFIG.md lists the\n");
    text.push_str("# flag and the environment variable of each. `api-sensor check-config FILE` reports every mistake.\n");
    for section in SECTIONS {
        let _infallible = write!(text, "\n{}[{}]\n", comment(section.about), section.name);
        for setting in section.settings {
            text.push_str(&comment(setting.about));
            let _infallible = match default_of(section, setting) {
                Some(value) => writeln!(text, "{} = {value}", setting.name),
                None => writeln!(text, "# {} = (unset)", setting.name),
            };
        }
    }
    text.push_str(
        "\n# Findings that somebody decided not to be told of, with reason and end; as many as needed.\n",
    );
    for line in SUPPRESS.lines() {
        let _infallible = writeln!(text, "# {line}");
    }
    text
}

/// Lines of at most 100 columns.
fn comment(text: &str) -> String {
    let mut out = String::new();
    let mut line = "#".to_owned();
    for word in text.split_whitespace() {
        if line.len() + 1 + word.len() > 100 {
            out.push_str(&line);
            out.push('\n');
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    out + &line + "\n"
}
