//! Layers to one [`Config`]: flags over environment over file over defaults.
//!
//! Every layer is read to its end, whatever it contains, so that all mistakes are reported together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

use super::check::{self, Place, Problem};
use super::setting::{self, Kind, Section, Setting};
use super::suppress::{MOST, Suppress};
use super::{Config, SECTIONS};

/// Read when no other file is named; may be absent.
pub const DEFAULT_FILE: &str = "/etc/api-sensor/api-sensor.toml";

/// Variable that names the file.
pub(super) const FILE_VARIABLE: &str = "API_SENSOR_CONFIG";

/// OpenTelemetry's own variables. Those that begin with `API_SENSOR_` go before them.
pub(super) const STANDARD_VARIABLES: &[(&str, &str)] = &[
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp.endpoint"),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "otlp.logs_endpoint"),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "otlp.traces_endpoint"),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "otlp.metrics_endpoint"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "otlp.protocol"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "otlp.compression"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp.timeout"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "otlp.ca_file"),
    (
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "otlp.client_certificate_file",
    ),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "otlp.client_key_file"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "otlp.interval"),
    ("OTEL_TRACES_SAMPLER", "otlp.sampler"),
    ("OTEL_TRACES_SAMPLER_ARG", "otlp.sampler_ratio"),
    ("OTEL_SERVICE_NAME", "otlp.service_name"),
    ("OTEL_RESOURCE_ATTRIBUTES", "otlp.resource"),
];

/// Headers in the environment are read by the OTLP exporter itself, so that they are nowhere in a [`Config`]; only
/// their form is checked here.
pub(super) const HEADERS_VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Which file to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum File {
    /// The one `API_SENSOR_CONFIG` names, else [`DEFAULT_FILE`] if it exists.
    Usual,
    /// This one, which must exist; the flag or argument that named it.
    Given(PathBuf, &'static str),
    /// None: defaults, environment and flags only.
    None,
}

/// A setting given on the command line.
#[derive(Clone, PartialEq, Debug)]
pub struct Flag {
    /// `section.name`.
    pub key: &'static str,
    /// The flag, for messages.
    pub flag: &'static str,
    /// Its value, as the file would hold it.
    pub value: Value,
}

/// What a configuration is made of.
#[derive(Clone, PartialEq, Debug)]
pub struct Inputs {
    /// Which file.
    pub file: File,
    /// Environment of the process.
    pub environment: Vec<(String, String)>,
    /// Flags of the command line.
    pub flags: Vec<Flag>,
    /// Ids of the rules there are; without any, every rule may be named.
    pub rules: Vec<&'static str>,
}

/// Reads every layer, and checks the result.
pub fn load(inputs: &Inputs) -> Result<Config, Vec<Problem>> {
    let mut loader = Loader::default();
    if let Some((path, text)) = loader.read(inputs) {
        loader.file(&path, &text, &inputs.rules);
    }
    loader.environment(&inputs.environment);
    for flag in &inputs.flags {
        loader.set(flag.key, flag.value.clone(), Place::Flag(flag.flag));
    }
    loader
        .problems
        .extend(check::check(&loader.config, &loader.origins));
    if loader.problems.is_empty() {
        Ok(loader.config)
    } else {
        // As they stand in the file, then those of the other layers.
        loader.problems.sort_by_key(|problem| match problem.place {
            Place::File(_, line) => line,
            Place::Variable(_) | Place::Flag(_) | Place::Default => usize::MAX,
        });
        Err(loader.problems)
    }
}

#[derive(Default)]
struct Loader {
    config: Config,
    origins: BTreeMap<String, Place>,
    problems: Vec<Problem>,
}

impl Loader {
    fn problem(&mut self, place: Place, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem::new(place, what, remedy));
    }

    fn read(&mut self, inputs: &Inputs) -> Option<(PathBuf, String)> {
        let named = inputs
            .environment
            .iter()
            .find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
        let (path, place) = match (&inputs.file, named) {
            (File::None, _) => return None,
            (File::Given(path, flag), _) => (path.clone(), Place::Flag(flag)),
            (File::Usual, Some((_, path))) => {
                (PathBuf::from(path), Place::Variable(FILE_VARIABLE.to_owned()))
            }
            (File::Usual, None) => (PathBuf::from(DEFAULT_FILE), Place::Default),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Some((path, text)),
            Err(error) if place == Place::Default && error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                let what = format!("cannot read configuration file {}: {error}", path.display());
                self.problem(
                    place,
                    what,
                    "name a readable TOML file, such as deploy/api-sensor.toml",
                );
                None
            }
        }
    }

    fn file(&mut self, path: &std::path::Path, text: &str, rules: &[&str]) {
        let line = |span: &Range<usize>| {
            let before = text.get(..span.start).unwrap_or(text);
            Place::File(
                path.to_owned(),
                before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            )
        };
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let place = line(&error.span().unwrap_or_default());
            self.problem(
                place,
                format!("not TOML: {}", error.message()),
                "write `name = value` below a `[section]`",
            );
        }
        if !errors.is_empty() {
            return;
        }
        let values: toml::Table = toml::from_str(text).unwrap_or_default();
        for (name, content) in document.get_ref() {
            let place = line(&name.span());
            if name.get_ref() == "suppress" {
                self.suppress(content, values.get("suppress"), rules, &line);
                continue;
            }
            let known = SECTIONS
                .iter()
                .find(|known| known.name == name.get_ref().as_ref());
            if let Some(section) = known {
                self.section(section, content, &values, place, &line);
            } else {
                let mut known: Vec<_> = SECTIONS.iter().map(|known| known.name).collect();
                known.push("[suppress]");
                let what = format!("unknown section `{}`", name.get_ref().escape_debug());
                self.problem(place, what, format!("sections are {}", known.join(", ")));
            }
        }
    }

    fn section(
        &mut self,
        section: &Section,
        content: &Spanned<DeValue<'_>>,
        values: &toml::Table,
        place: Place,
        line: &impl Fn(&Range<usize>) -> Place,
    ) {
        let DeValue::Table(table) = content.get_ref() else {
            self.problem(
                place,
                format!("`{}` is a section", section.name),
                format!("write [{}]", section.name),
            );
            return;
        };
        let values = values.get(section.name).and_then(Value::as_table);
        for name in table.keys() {
            let place = line(&name.span());
            let setting = section
                .settings
                .iter()
                .find(|known| known.name == name.get_ref().as_ref());
            let value = values.and_then(|values| values.get(name.get_ref().as_ref()));
            if let (Some(setting), Some(value)) = (setting, value) {
                self.put(section.key(setting), setting, value.clone(), place);
            } else {
                let known: Vec<_> = section.settings.iter().map(|known| known.name).collect();
                let name = name.get_ref().escape_debug();
                let what = format!("unknown setting `{name}` in [{}]", section.name);
                self.problem(place, what, format!("settings there are {}", known.join(", ")));
            }
        }
    }

    /// `[[suppress]]`: one table for each decision.
    fn suppress(
        &mut self,
        content: &Spanned<DeValue<'_>>,
        values: Option<&Value>,
        rules: &[&str],
        line: &impl Fn(&Range<usize>) -> Place,
    ) {
        let (DeValue::Array(tables), Some(Value::Array(values))) = (content.get_ref(), values) else {
            let place = line(&content.span());
            self.problem(place, "`suppress` is a list of tables", "write [[suppress]]");
            return;
        };
        for (at, value) in tables.iter().zip(values) {
            let place = line(&at.span());
            if self.config.suppress.len() >= MOST {
                let what = format!("more than {MOST} [[suppress]]");
                self.problem(place, what, "remove those that have expired");
                return;
            }
            match value.as_table().map(|table| Suppress::read(table, rules)) {
                Some(Ok(one)) => self.config.suppress.push(one),
                Some(Err(wrong)) => {
                    for (what, remedy) in wrong {
                        self.problem(place.clone(), what, remedy);
                    }
                }
                None => self.problem(place, "`suppress` is a list of tables", "write [[suppress]]"),
            }
        }
    }

    fn environment(&mut self, environment: &[(String, String)]) {
        let given = |name: &str| {
            environment
                .iter()
                .find(|(known, value)| known == name && !value.is_empty())
        };
        for (variable, key) in STANDARD_VARIABLES {
            if let (Some((_, text)), Some(setting)) = (given(variable), setting::find(key)) {
                let place = Place::Variable((*variable).to_owned());
                // OpenTelemetry's durations are milliseconds without a unit.
                let millis = matches!(*key, "otlp.timeout" | "otlp.interval")
                    && text.bytes().all(|byte| byte.is_ascii_digit());
                let value = if millis {
                    setting.kind.value(&format!("{text}ms"))
                } else {
                    setting.kind.value(text)
                };
                self.put((*key).to_owned(), setting, value, place);
            }
        }
        self.signals(&given);
        if let Some((_, text)) = given(HEADERS_VARIABLE)
            && text.split(',').any(|pair| !pair.contains('='))
        {
            let place = Place::Variable(HEADERS_VARIABLE.to_owned());
            self.problem(
                place,
                "not a list of headers",
                "write name=value, separated by commas",
            );
        }
        for (name, text) in environment
            .iter()
            .filter(|(name, text)| !text.is_empty() && name != FILE_VARIABLE)
        {
            if name.starts_with("API_SENSOR_") {
                self.variable(name, text);
            }
        }
    }

    /// `OTEL_SDK_DISABLED` and `OTEL_*_EXPORTER` say which signals are not sent.
    fn signals<'e>(&mut self, given: &impl Fn(&str) -> Option<&'e (String, String)>) {
        let off = given("OTEL_SDK_DISABLED").is_some_and(|(_, text)| text.eq_ignore_ascii_case("true"));
        self.config.otlp.signals.retain(|signal| {
            let variable = format!("OTEL_{}_EXPORTER", signal.name().to_uppercase());
            !off && given(&variable).is_none_or(|(_, text)| !text.eq_ignore_ascii_case("none"))
        });
    }

    fn variable(&mut self, name: &str, text: &str) {
        let place = Place::Variable(name.to_owned());
        let settings = SECTIONS
            .iter()
            .flat_map(|section| section.settings.iter().map(move |one| (section, one)));
        match settings
            .into_iter()
            .find(|(section, setting)| section.variable(setting) == name)
        {
            Some((section, setting)) => {
                self.put(section.key(setting), setting, setting.kind.value(text), place);
            }
            None => self.problem(
                place,
                "no such setting",
                "docs/CONFIG.md lists the variables; unset this one",
            ),
        }
    }

    fn set(&mut self, key: &str, value: Value, place: Place) {
        match setting::find(key) {
            Some(setting) => self.put(key.to_owned(), setting, value, place),
            None => self.problem(
                place,
                format!("no setting `{key}`"),
                "report this: the flag has no setting",
            ),
        }
    }

    fn put(&mut self, key: String, setting: &Setting, value: Value, place: Place) {
        match (setting.set)(&mut self.config, value) {
            Ok(()) => {
                self.origins.insert(key, place);
            }
            // Not repeated: somebody may have written a secret where its source belongs.
            Err(_) if setting.kind == Kind::FileOnly => {
                self.problem(
                    place,
                    format!("{key}: not a table of this shape"),
                    setting.about.trim(),
                );
            }
            Err(what) => self.problem(place, format!("{key}: {what}"), setting.about.trim()),
        }
    }
}
