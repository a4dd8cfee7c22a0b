//! SIGHUP: a changed configuration is taken over without a restart, a bad one changes nothing.

use std::fs;

use sensor_tests::PrivateTls;
use sensor_tests::clients::Call;
use sensor_tests::guard;
use sensor_tests::programs::Program;
use sensor_tests::servers::{PythonApi, Transport};
use sensor_tests::wait;

use crate::sensor::{Sensor, lines, root_command, soon};

#[test]
fn a_changed_configuration_is_taken_over_and_a_bad_one_is_not() {
    let what = "reload";
    let Some(mut command) = root_command(what, &[Program::Curl, Program::Python]) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let api = PythonApi::start(&tls, Transport::Plain).unwrap();
    command.args(["run", "--output", "json", "--metrics-listen", "off", "--pid"]);
    command.arg(api.pid().to_string());
    let Some(mut sensor) = Sensor::start(what, command, "") else {
        return;
    };
    let ask = |path: &str| {
        let call = Call::new("GET", &Transport::Plain.url(api.port(), path), b"").unwrap();
        guard::finish(&mut call.curl(&tls).unwrap(), soon()).unwrap();
    };
    let read_again = |sensor: &Sensor, config: &str, said: &str| {
        let file = sensor.state_directory().parent().unwrap().join("config.toml");
        fs::write(file, config).unwrap();
        sensor.signal(libc::SIGHUP);
        wait::until(said, soon(), || Ok(sensor.stderr().contains(said).then_some(()))).unwrap();
    };
    ask("/before/one");
    sensor.wait_for("/before/", 1);
    let narrowed = "[watch]\npath = [\"/after\"]\n[limits]\nshards = 2\n[output]\nlog = \"info\"\n";
    read_again(&sensor, narrowed, "these settings change with the next start");
    ask("/before/two");
    ask("/after/one");
    sensor.wait_for("/after/", 1);
    read_again(&sensor, "[watch]\npath = 7\n", "the one before stays in force");
    // Said at a level that was not logged at the start.
    read_again(&sensor, narrowed, "the configuration was read again");
    ask("/before/three");
    ask("/after/two");
    sensor.wait_for("/after/", 2);
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    let lines = lines(&sensor.stdout());
    let paths = lines.iter().filter(|line| line["type"] == "exchange");
    let paths: Vec<_> = paths
        .map(|line| line["url.template"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        paths.iter().filter(|path| path.starts_with("/before/")).count(),
        1,
        "{paths:?}"
    );
    let accounts = lines.iter().rfind(|line| line["type"] == "accounts").unwrap();
    let counted = |name: &str| accounts["sensor"][name].as_u64().unwrap();
    assert_eq!((counted("reloads"), counted("reloads_refused")), (2, 1));
}
