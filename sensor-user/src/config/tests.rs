use std::io::Write as _;
use std::path::Path;

use super::*;

fn inputs(file: File) -> Inputs {
    Inputs {
        file,
        environment: Vec::new(),
        flags: Vec::new(),
        rules: vec!["API3-001"],
    }
}

fn written(text: &str) -> (tempfile::NamedTempFile, File) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let given = File::Given(file.path().to_owned(), "--config");
    (file, given)
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Compares a generated file, or writes it when `BLESS` is set.
fn current(path: &str, wanted: &str) {
    let path = project(path);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "{} is not current: run the tests of `config` with BLESS=1",
        path.display()
    );
}

#[test]
fn the_example_is_current_and_equals_the_defaults() {
    current("deploy/api-sensor.toml", &annotated_example());
    let example = project("deploy/api-sensor.toml");
    assert_eq!(
        load(&inputs(File::Given(example.clone(), "--config"))),
        Ok(Config::default())
    );
    let text = std::fs::read_to_string(example).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
}

#[test]
fn the_reference_is_current() {
    current("docs/CONFIG.md", &reference());
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(load(&inputs(File::None)), Ok(Config::default()));
}

#[test]
fn flags_go_before_environment_before_file_before_defaults() {
    let (_kept, file) = written(
        "[capture]\nring_bytes = \"1MiB\"\nbody_limit = 1000\n[limits]\nshards = 3\n[watch]\ncomm = [\"a\"]\n",
    );
    let environment = [
        ("API_SENSOR_CAPTURE_RING_BYTES", "2MiB"),
        ("API_SENSOR_CAPTURE_BODY_LIMIT", "2KiB"),
        ("API_SENSOR_WATCH_PORT", "80, 443"),
        ("OTEL_SERVICE_NAME", "there"),
        ("API_SENSOR_OTLP_SERVICE_NAME", "here"),
        ("OTEL_RESOURCE_ATTRIBUTES", "site=one, rack=7"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("API_SENSOR_LIMITS_QUEUE", ""),
        ("HOME", "/root"),
    ];
    let environment = environment
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let flags = vec![Flag {
        key: "capture.ring_bytes",
        flag: "--ring-size",
        value: "4MiB".into(),
    }];
    let config = load(&Inputs {
        file,
        environment,
        flags,
        rules: Vec::new(),
    })
    .unwrap();
    assert_eq!(config.capture.ring_bytes, ByteSize(4 << 20), "flag");
    assert_eq!(config.capture.body_limit, ByteSize(2 << 10), "environment");
    assert_eq!(config.limits.shards, 3, "file");
    assert_eq!(
        config.limits.queue,
        Limits::default().queue,
        "an empty variable counts as unset"
    );
    assert_eq!(config.watch.comm, ["a"]);
    assert_eq!(config.watch.port, [80, 443]);
    assert_eq!(config.otlp.service_name, "here");
    assert_eq!(config.otlp.resource.get("rack").map(String::as_str), Some("7"));
    assert_eq!(config.otlp.protocol, Protocol::HttpProtobuf);
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let bad = project("tests/fixtures/config/bad/many.toml");
    let environment = [
        ("API_SENSOR_WATCH_PORT", "http"),
        ("API_SENSOR_COLOUR", "red"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "planted-secret"),
    ];
    let environment = environment
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let flags = vec![Flag {
        key: "capture.body_limit",
        flag: "--body-limit",
        value: "much".into(),
    }];
    let problems = load(&Inputs {
        file: File::Given(bad, "--config"),
        environment,
        flags,
        rules: Vec::new(),
    })
    .unwrap_err();
    let shown = problems
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    for expected in [
        "many.toml:2: capture.ring_bytes: 3MiB is not a power of two",
        "many.toml:3: unknown setting `ring_byte` in [capture]",
        "many.toml:4: capture.call_limit: `10 parsecs` is no size",
        "many.toml:6: unknown section `watched`",
        "many.toml:10: watch.comm: `a-name-that-is-too-long` is no command name",
        "many.toml:11: watch.exe: `nginx` is not an absolute path",
        "many.toml:14: otlp.endpoint: not an http:// or https:// address",
        "many.toml:15: otlp.headers: not a table of this shape",
        "many.toml:18: metrics.listen: `everywhere` is neither",
        "many.toml:21: output.log: not a log level",
        "variable API_SENSOR_WATCH_PORT: watch.port: ",
        "variable API_SENSOR_COLOUR: no such setting",
        "variable OTEL_EXPORTER_OTLP_PROTOCOL: otlp.protocol: ",
        "variable OTEL_EXPORTER_OTLP_HEADERS: not a list of headers",
        "--body-limit: capture.body_limit: `much` is no size",
    ] {
        assert!(shown.contains(expected), "missing: {expected}\n{shown}");
    }
    assert_eq!(problems.len(), 15, "{shown}");
    assert!(
        !shown.contains("planted"),
        "a value that may be a secret is repeated\n{shown}"
    );
    assert!(problems.iter().all(|problem| !problem.remedy.is_empty()));
}

#[test]
fn broken_toml_names_each_line() {
    let (_kept, file) = written("[capture]\nring_bytes = \n[limits\nshards = 1\n");
    let problems = load(&inputs(file)).unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.place.to_string()).collect();
    assert!(lines.iter().any(|line| line.ends_with(":2")), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with(":3")), "{lines:?}");
}

#[test]
fn a_named_file_must_exist_and_the_usual_one_need_not() {
    let absent = File::Given("/nonexistent/api-sensor.toml".into(), "--config");
    let problems = load(&inputs(absent)).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems.first().unwrap().place, Place::Flag("--config"));
    let mut usual = inputs(File::Usual);
    usual.environment = vec![("API_SENSOR_CONFIG".to_owned(), "/nonexistent".to_owned())];
    assert!(load(&usual).is_err());
}

#[test]
fn a_section_that_is_no_table_is_refused() {
    let (_kept, file) = written("capture = 3\n");
    assert_eq!(load(&inputs(file)).unwrap_err().len(), 1);
}

#[test]
fn every_setting_is_reached_by_its_variable() {
    for section in SECTIONS {
        for setting in section
            .settings
            .iter()
            .filter(|setting| setting.kind != Kind::FileOnly)
        {
            let mut inputs = inputs(File::None);
            inputs.environment = vec![(section.variable(setting), "\u{1}".to_owned())];
            let place = Place::Variable(section.variable(setting));
            match load(&inputs) {
                Ok(config) => assert_ne!(config, Config::default(), "{} does nothing", section.key(setting)),
                Err(problems) => {
                    assert!(
                        problems.iter().all(|problem| problem.place == place),
                        "{problems:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_secret_written_in_the_wrong_place_is_not_repeated() {
    for text in [
        "[otlp]\nheaders = \"planted\"\n",
        "[otlp]\nheaders = { a = { value = \"planted\" } }\n",
        "[otlp]\nendpoint = \"http://user:planted@host\"\n",
    ] {
        let (_kept, file) = written(text);
        let problems = load(&inputs(file)).unwrap_err();
        assert!(!format!("{problems:?}").contains("planted"), "{problems:?}");
    }
    let mut inputs = inputs(File::None);
    inputs.environment = vec![("API_SENSOR_OTLP_HEADERS".to_owned(), "planted".to_owned())];
    assert!(!format!("{:?}", load(&inputs).unwrap_err()).contains("planted"));
}

#[test]
fn decisions_not_to_be_told_are_read_with_their_places() {
    let good = "[[suppress]]\nrule = \"API3-001\"\nreason = \"known\"\nuntil = 2026-12-31\n";
    let (_kept, file) = written(good);
    let config = load(&inputs(file)).unwrap();
    assert_eq!(config.suppress.len(), 1);
    // `check-config` prints what it read, and that can be read again.
    let shown = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<Config>(&shown).unwrap(), config);
    let (_kept, file) = written(&format!("{good}[[suppress]]\nrule = \"API3-777\"\n"));
    let problems = load(&inputs(file)).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
    for problem in &problems {
        assert!(problem.place.to_string().ends_with(":5"), "{problem}");
    }
    let (_kept, file) = written("[suppress]\nrule = \"API3-001\"\n");
    assert_eq!(load(&inputs(file)).unwrap_err().len(), 1);
}

#[test]
fn the_example_of_a_decision_is_one() {
    for text in [annotated_example(), reference()] {
        let (_, example) = text.rsplit_once("[[suppress]]\n").unwrap();
        let lines = example.lines().map(|line| line.trim_start_matches("# "));
        let table: Vec<_> = lines.take_while(|line| line.contains(" = ")).collect();
        let (_kept, file) = written(&format!("[[suppress]]\n{}\n", table.join("\n")));
        assert_eq!(load(&inputs(file)).unwrap().suppress.len(), 1, "{table:?}");
    }
}
