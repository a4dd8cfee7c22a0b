//! A sensor that does not run for a while, under load: nothing of the server's is lost, and what the sensor lost is
//! accounted for.

use std::time::Duration;

use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_tests::wait::{DEADLINE, Deadline};
use sensor_tests::{PrivateTls, clients};

use crate::sensor::{Sensor, lines, root_command};

/// How long the load goes on after the sensor runs again.
const AFTER: Duration = Duration::from_secs(1);
/// A ring that a fraction of the load fills.
const CONFIG: &str = "[capture]\nring_bytes = \"64KiB\"\n";
const LOAD: [&str; 2] = ["4", "1000"];

#[test]
fn a_stopped_sensor_harms_no_response_and_its_accounts_close() {
    stopped_for(Duration::from_secs(2));
}

#[test]
#[ignore = "ten seconds of standing still"]
fn a_sensor_stopped_for_ten_seconds_harms_no_response_and_its_accounts_close() {
    stopped_for(Duration::from_secs(10));
}

fn stopped_for(pause: Duration) {
    let what = "stopped sensor";
    let needed = [Program::Nginx, Program::Python, Program::Openssl];
    let Some(mut command) = root_command(what, &needed) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let worker = nginx.workers().unwrap()[0];
    command.args(["run", "--output", "json", "--metrics-listen", "off", "--pid"]);
    command
        .arg(nginx.pid().to_string())
        .arg("--library")
        .arg(tls.libssl());
    let Some(mut sensor) = Sensor::start(what, command, CONFIG) else {
        return;
    };
    // The client checks each answer and fails at the first that is not as it must be.
    let mut client = clients::python("many.py", &tls).unwrap();
    client.args(["https", &nginx.port(Transport::Tls).to_string()]);
    client.args(LOAD).arg((pause + AFTER).as_secs().to_string());
    let running = Held::new(&client).unwrap().release().unwrap();
    sensor.signal(libc::SIGSTOP);
    std::thread::sleep(pause);
    sensor.signal(libc::SIGCONT);
    let output = running.finish(Deadline::after(pause + DEADLINE)).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the load was harmed: {errors}");
    assert_eq!(
        nginx.workers().unwrap(),
        [worker],
        "the server's worker was replaced"
    );
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());

    let lines = lines(&sensor.stdout());
    let accounts = lines.iter().rfind(|line| line["type"] == "accounts").unwrap();
    let kernel = |name: &str| {
        accounts["kernel"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no {name}"))
    };
    let moved = kernel("tls_bytes") + kernel("socket_bytes");
    let told = kernel("data_bytes")
        + kernel("ring_full_bytes")
        + kernel("limit_bytes")
        + kernel("fault_bytes")
        + kernel("iovec_bytes");
    assert_eq!(moved, told, "{accounts:#}");
    assert!(
        kernel("ring_full_bytes") > 0,
        "the ring was never full: {accounts:#}"
    );
    println!(
        "of {moved} bytes {} were captured and {} found the ring full",
        kernel("data_bytes"),
        kernel("ring_full_bytes")
    );
}
