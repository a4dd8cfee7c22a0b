//! A fault in a parsing thread or in the judge: counted, and what comes after it is seen.

use sensor_tests::PrivateTls;
use sensor_tests::clients::Call;
use sensor_tests::guard;
use sensor_tests::programs::{self, Program};
use sensor_tests::servers::{PythonApi, Transport};

use crate::sensor::{Sensor, lines, root_command, soon};

/// A request that development builds of the sensor take as the order to fail.
const FAULT: &str = "/api-sensor-fault/panic";
/// The same for the judge.
const JUDGED: &str = "/api-sensor-fault/judge";

#[test]
fn after_a_fault_in_a_shard_the_next_call_is_seen() {
    let what = "shard panic";
    if !cfg!(debug_assertions) {
        return programs::skipped(what, &"release builds have no fault on demand");
    }
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
    for path in ["/first", FAULT, "/second", JUDGED, FAULT, "/third"] {
        let call = Call::new("GET", &Transport::Plain.url(api.port(), path), b"").unwrap();
        // The API does not know these paths; what it answers does not matter.
        guard::finish(&mut call.curl(&tls).unwrap(), soon()).unwrap();
    }
    sensor.wait_for("/third", 1);
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    let lines = lines(&sensor.stdout());
    for path in ["/first", "/second", "/third"] {
        let seen = lines.iter().filter(|line| line["url.template"] == path).count();
        assert!(seen > 0, "{path} was not seen");
    }
    let accounts = lines.iter().rfind(|line| line["type"] == "accounts").unwrap();
    assert_eq!(accounts["sensor"]["shard_panics"], 2, "{accounts:#}");
    assert_eq!(accounts["sensor"]["judge_panics"], 1, "{accounts:#}");
    assert_eq!(accounts["sensor"]["ledger_unbalanced"], 0, "{}", sensor.stderr());
}
