//! Arguments to a configuration and a command; errors to words and an exit code.
//!
//! The only module, beside the text and JSON outputs, that writes to the terminal.

mod args;
mod exit;
mod inventory;
mod rules;
mod stored;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Parser as _;
use toml::Value;

use crate::config::{self, Config, File, Flag, Inputs, Interval, Place, Problem};
use crate::telemetry::log;
use crate::{app, detect};
use args::{Capture, Cli, Command, Outputs, Settings, What, Whom};

pub use exit::Exit;

/// Does what the arguments say.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let shown = error.print().is_ok();
            return if error.use_stderr() || !shown {
                Exit::Usage
            } else {
                Exit::Success
            };
        }
    };
    match dispatch(cli.command) {
        Ok(()) => Exit::Success,
        Err(stop) => stop.tell(),
    }
}

/// Why a command ended without success.
enum Stop {
    Problems(Vec<Problem>),
    App(app::Error),
    NoRule(String),
    Output(std::io::Error),
    File(PathBuf, std::io::Error),
}

impl From<app::Error> for Stop {
    fn from(error: app::Error) -> Self {
        Self::App(error)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl Stop {
    fn tell(self) -> Exit {
        let (text, exit) = match self {
            Self::Problems(problems) => (problems_text(&problems), Exit::Usage),
            Self::App(error) => (error_text(&error), error.exit()),
            Self::NoRule(id) => {
                let id: String = id.chars().filter(|c| !c.is_control()).take(40).collect();
                (
                    format!("error: there is no rule {id}\n  to do: `api-sensor rules` lists them\n"),
                    Exit::Usage,
                )
            }
            // `api-sensor rules | head`: the reader has what it wants.
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Exit::Success,
            Self::File(path, error) => (
                format!(
                    "error: cannot write {}\n  because: {error}\n  to do: name a file in a directory that can be written\n",
                    path.display()
                ),
                Exit::Usage,
            ),
            Self::Output(error) => (
                format!("error: cannot write to standard output: {error}\n"),
                Exit::Failure,
            ),
        };
        // When standard error is gone too, the exit code still tells.
        let text = log::error_text(&text);
        let _told = std::io::stderr().write_all(text.as_bytes()).is_ok();
        exit
    }
}

fn problems_text(problems: &[Problem]) -> String {
    let count = problems.len();
    let mistakes = if count == 1 { "mistake" } else { "mistakes" };
    let mut text = format!("error: {count} {mistakes} in the configuration\n");
    for problem in problems {
        let line = format!(
            "  {}: {}\n    to do: {}\n",
            problem.place, problem.what, problem.remedy
        );
        text.push_str(&line);
    }
    text
}

fn error_text(error: &app::Error) -> String {
    let mut text = format!("error: {error}\n");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = text + "  because: " + &error.to_string() + "\n";
        cause = error.source();
    }
    text + "  to do: " + &error.remedy() + "\n"
}

fn dispatch(command: Command) -> Result<(), Stop> {
    match command {
        Command::Run(run) => {
            let flags = Flags::default()
                .whom(run.whom)
                .what(run.what)
                .outputs(run.outputs);
            let duration = interval("--duration", run.capture.duration.as_deref());
            let inputs = flags.capture(run.capture).settings(&run.settings).inputs();
            let config = start_log(load(&inputs, duration.as_ref().err())?)?;
            let reread = || config::load(&inputs);
            Ok(app::run(&config, duration.ok().flatten(), &reread)?)
        }
        Command::Doctor(doctor) => {
            let watch = interval("--watch", doctor.watch.as_deref());
            let config = Flags::default()
                .whom(doctor.whom)
                .settings(&doctor.settings)
                .load(watch.as_ref().err());
            Ok(app::doctor(
                &start_log(config?)?,
                doctor.json,
                watch.ok().flatten(),
            )?)
        }
        Command::Replay(replay) => {
            let flags = Flags::default().what(replay.what).outputs(replay.outputs);
            let config = flags.settings(&replay.settings).load(None)?;
            Ok(app::replay(
                &start_log(config)?,
                &replay.file,
                replay.store.as_deref(),
            )?)
        }
        Command::Record(record) => {
            let duration = interval("--duration", record.capture.duration.as_deref());
            let flags = Flags::default().whom(record.whom).capture(record.capture);
            let config = flags.settings(&record.settings).load(duration.as_ref().err());
            Ok(app::record(
                &start_log(config?)?,
                &record.file,
                duration.ok().flatten(),
            )?)
        }
        Command::Rules(wanted) => show_rules(&wanted),
        Command::Inventory(wanted) => stored::inventory(&wanted),
        Command::Openapi(wanted) => stored::openapi(&wanted),
        Command::CheckConfig(check) => check_config(check.file),
    }
}

fn interval(flag: &'static str, text: Option<&str>) -> Result<Option<Interval>, Problem> {
    let parsed = text.map(str::parse::<Interval>).transpose();
    parsed.map_err(|what| Problem {
        place: Place::Flag(flag),
        what,
        remedy: "write it like 500ms, 30s, 5m or 1h".to_owned(),
    })
}

fn start_log(config: Config) -> Result<Config, Stop> {
    log::start(&config.output.log).map_err(|error| {
        Stop::Problems(vec![Problem {
            place: Place::Flag("--log"),
            what: error.to_string(),
            remedy: "use error, warn, info, debug or trace".to_owned(),
        }])
    })?;
    Ok(config)
}

fn show_rules(wanted: &args::Rules) -> Result<(), Stop> {
    let all = app::rules();
    let chosen: Vec<&detect::RuleMeta> = match &wanted.id {
        None => all,
        Some(id) => all
            .into_iter()
            .filter(|rule| rule.id.0.eq_ignore_ascii_case(id))
            .collect(),
    };
    let text = match (&wanted.id, chosen.as_slice()) {
        (Some(id), []) => return Err(Stop::NoRule(id.clone())),
        (_, chosen) if wanted.json => rules::json(chosen),
        (Some(_), chosen) => chosen.iter().map(|rule| rules::explain(rule)).collect(),
        (None, chosen) => rules::list(chosen),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn check_config(file: Option<PathBuf>) -> Result<(), Stop> {
    let flags = Flags {
        file: file.map(|file| File::Given(file, "check-config")),
        list: Vec::new(),
    };
    let config = flags.load(None)?;
    let text = toml::to_string(&config).unwrap_or_default();
    Ok(write!(std::io::stdout(), "# No mistakes. In force:\n\n{text}")?)
}

/// Flags as the configuration takes them.
#[derive(Default)]
struct Flags {
    file: Option<File>,
    list: Vec<Flag>,
}

impl Flags {
    fn one(&mut self, key: &'static str, flag: &'static str, value: Option<String>) {
        self.list.extend(value.map(|value| Flag {
            key,
            flag,
            value: Value::String(value),
        }));
    }

    fn texts(&mut self, key: &'static str, flag: &'static str, values: Vec<String>) {
        if !values.is_empty() {
            let value = Value::Array(values.into_iter().map(Value::String).collect());
            self.list.push(Flag { key, flag, value });
        }
    }

    fn numbers(&mut self, key: &'static str, flag: &'static str, values: Vec<String>) {
        if !values.is_empty() {
            let number = |text: String| {
                text.parse()
                    .map_or_else(|_not_a_number| Value::String(text), Value::Integer)
            };
            let value = Value::Array(values.into_iter().map(number).collect());
            self.list.push(Flag { key, flag, value });
        }
    }

    fn whom(mut self, whom: Whom) -> Self {
        self.numbers("watch.pid", "--pid", whom.pid);
        self.texts("watch.comm", "--comm", whom.comm);
        self.texts("watch.exe", "--exe", whom.exe);
        self.texts("watch.cgroup", "--cgroup", whom.cgroup);
        self.texts("watch.container", "--container", whom.container);
        self.texts("watch.label", "--label", whom.label);
        self.texts("watch.exclude_label", "--exclude-label", whom.exclude_label);
        self.texts("watch.exclude_comm", "--exclude-comm", whom.exclude_comm);
        self.texts("watch.exclude_exe", "--exclude-exe", whom.exclude_exe);
        self.texts("watch.exclude_cgroup", "--exclude-cgroup", whom.exclude_cgroup);
        self.texts(
            "watch.exclude_container",
            "--exclude-container",
            whom.exclude_container,
        );
        self
    }

    fn what(mut self, what: What) -> Self {
        self.numbers("watch.port", "--port", what.port);
        self.texts("watch.path", "--path", what.path);
        self
    }

    fn outputs(mut self, outputs: Outputs) -> Self {
        self.one("output.format", "--output", outputs.output);
        self.one("otlp.endpoint", "--otlp-endpoint", outputs.otlp_endpoint);
        self.one("otlp.protocol", "--otlp-protocol", outputs.otlp_protocol);
        self.one("metrics.listen", "--metrics-listen", outputs.metrics_listen);
        self
    }

    fn capture(mut self, capture: Capture) -> Self {
        self.texts("capture.libraries", "--library", capture.library);
        self.one("capture.ring_bytes", "--ring-size", capture.ring_size);
        self.one("capture.body_limit", "--body-limit", capture.body_limit);
        self.one(
            "capture.attach_backend",
            "--attach-backend",
            capture.attach_backend,
        );
        self
    }

    fn settings(mut self, settings: &Settings) -> Self {
        self.file = settings.config.clone().map(|file| File::Given(file, "--config"));
        self.one("state.directory", "--state-dir", settings.state_dir.clone());
        self.one("output.log", "--log", settings.log.clone());
        self
    }

    /// Reads the other layers. A mistake found elsewhere is reported with the rest.
    fn load(self, further: Option<&Problem>) -> Result<Config, Stop> {
        load(&self.inputs(), further)
    }

    /// With the environment as it is.
    fn inputs(self) -> Inputs {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        Inputs {
            file: self.file.unwrap_or(File::Usual),
            environment: environment.collect(),
            flags: self.list,
            rules: app::rules().iter().map(|rule| rule.id.0).collect(),
        }
    }
}

fn load(inputs: &Inputs, further: Option<&Problem>) -> Result<Config, Stop> {
    match (config::load(inputs), further) {
        (Ok(config), None) => Ok(config),
        (Ok(_), Some(problem)) => Err(Stop::Problems(vec![problem.clone()])),
        (Err(mut problems), further) => {
            problems.extend(further.cloned());
            Err(Stop::Problems(problems))
        }
    }
}

#[cfg(test)]
mod tests;
