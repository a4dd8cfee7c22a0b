use clap::CommandFactory as _;

use super::*;

/// What `--help` prints on a terminal of 100 columns.
fn page(name: Option<&str>) -> String {
    let arguments = ["api-sensor"].into_iter().chain(name).chain(["--help"]);
    Cli::command()
        .term_width(100)
        .try_get_matches_from(arguments)
        .unwrap_err()
        .to_string()
}

fn parsed(line: &str) -> Command {
    Cli::try_parse_from(line.split(' ')).unwrap().command
}

#[test]
fn arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_fits_a_screen() {
    let names: Vec<_> = Cli::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "run",
            "doctor",
            "replay",
            "record",
            "rules",
            "inventory",
            "openapi",
            "check-config"
        ]
    );
    for name in names.iter().map(|name| Some(name.as_str())).chain([None]) {
        let page = page(name);
        let widest = page.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(
            page.lines().count() <= 40,
            "{} lines\n{page}",
            page.lines().count()
        );
        assert!(widest <= 100, "{widest} columns\n{page}");
        assert!(page.contains(Exit::HELP), "{page}");
    }
}

#[test]
fn run_flags_become_settings() {
    let line = "api-sensor run --pid 4 --pid 5 --comm nginx --port 443 --path /users --output json \
                --otlp-endpoint http://127.0.0.1:4317 --ring-size 1MiB --state-dir /tmp/x --attach-backend perf";
    let Command::Run(run) = parsed(&line.split_whitespace().collect::<Vec<_>>().join(" ")) else {
        panic!("not run")
    };
    let flags = Flags::default()
        .whom(run.whom)
        .what(run.what)
        .outputs(run.outputs)
        .capture(run.capture);
    let flags = flags.settings(&run.settings).list;
    let config = config::load(&Inputs {
        file: File::None,
        environment: Vec::new(),
        flags,
        rules: Vec::new(),
    })
    .unwrap();
    assert_eq!(config.watch.pid, [4, 5]);
    assert_eq!(
        (config.watch.port.as_slice(), config.watch.path.len()),
        ([443].as_slice(), 1)
    );
    assert_eq!(config.output.format, config::Format::Json);
    assert_eq!(config.capture.ring_bytes, config::ByteSize(1 << 20));
    assert_eq!(config.capture.attach_backend, config::AttachBackend::Perf);
}

#[test]
fn every_flag_of_a_setting_exists() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let known: Vec<_> = run
        .get_arguments()
        .filter_map(|one| one.get_long())
        .map(|long| format!("--{long}"))
        .collect();
    for section in config::SECTIONS {
        for setting in section.settings.iter().filter(|setting| !setting.flag.is_empty()) {
            assert!(
                known.contains(&setting.flag.to_owned()),
                "{} is not a flag of run",
                setting.flag
            );
        }
    }
}

#[test]
fn bad_flags_are_all_reported() {
    let Command::Run(run) = parsed("api-sensor run --pid x --ring-size 3 --duration soon") else {
        panic!("not run")
    };
    let duration = interval("--duration", run.capture.duration.as_deref());
    let flags = Flags {
        file: Some(File::None),
        ..Flags::default()
    }
    .whom(run.whom)
    .capture(run.capture);
    let Err(Stop::Problems(problems)) = flags.load(duration.as_ref().err()) else {
        panic!("accepted")
    };
    let text = problems_text(&problems);
    for expected in [
        "--pid: watch.pid",
        "--ring-size: capture.ring_bytes: 3",
        "--duration: `soon` is no duration",
    ] {
        assert!(text.contains(expected), "missing {expected}\n{text}");
    }
}

#[test]
fn recording_needs_both_switches() {
    for line in [
        "api-sensor record x.pcapng",
        "api-sensor record x.pcapng --plaintext",
        "api-sensor record x.pcapng --i-understand-this-file-holds-secrets",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
    let line = "api-sensor record x.pcapng --plaintext --i-understand-this-file-holds-secrets --pid 1";
    assert!(matches!(parsed(line), Command::Record(_)));
}

#[test]
fn wrong_arguments_exit_with_2_and_help_with_0() {
    let exit = |line: &str| main(line.split(' ').map(OsString::from));
    assert_eq!(exit("api-sensor run --colour"), Exit::Usage);
    assert_eq!(exit("api-sensor check-config /nonexistent"), Exit::Usage);
    assert_eq!(exit("api-sensor rules NONE-001"), Exit::Usage);
    assert_eq!(exit("api-sensor --version"), Exit::Success);
}
