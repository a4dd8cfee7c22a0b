//! A sensor that may take less than its load costs: it leaves connections out, says so, and reads everything again when
//! the load is over. The observed server notices nothing.

use std::ops::RangeInclusive;
use std::time::Duration;

use sensor_tests::PrivateTls;
use sensor_tests::clients::{self, Call};
use sensor_tests::guard;
use sensor_tests::held::Held;
use sensor_tests::programs::Program;
use sensor_tests::servers::{Nginx, Site, Transport};
use sensor_tests::wait::{self, Deadline};

use crate::sensor::{Sensor, fetch, lines, root_command, soon};

/// Connections, and requests on each before the end of the load is looked for.
const LOAD: [&str; 2] = ["32", "100"];
/// Three steps up take twenty seconds; three steps down take ten seconds of calm each, unless there was a relapse.
const STEPS: Duration = Duration::from_secs(150);

/// A gauge of the metrics page.
fn gauge(page: &str, name: &str) -> u64 {
    let page = fetch(&format!("http://{page}/metrics"));
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name}"))
        .trim()
        .parse()
        .unwrap()
}

/// Processor time of a process, in clock ticks.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // utime and stime are the 14th and 15th of proc_pid_stat(5), of which two are before the bracket.
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_sensor_beyond_its_ceiling_leaves_connections_out_and_reads_them_again() {
    let what = "a ceiling on processor time";
    let needed = [Program::Nginx, Program::Python, Program::Curl, Program::Openssl];
    let Some(mut command) = root_command(what, &needed) else {
        return;
    };
    let tls = PrivateTls::new().unwrap();
    let nginx = Nginx::start(&tls, &Site::default()).unwrap();
    let page = format!("127.0.0.1:{}", wait::free_port().unwrap());
    command.args(["run", "--output", "json", "--metrics-listen", &page, "--pid"]);
    command
        .arg(nginx.pid().to_string())
        .arg("--library")
        .arg(tls.libssl());
    // More than a sensor without optimisation takes when there is nothing to do, and far less than the load.
    let Some(mut sensor) = Sensor::start(what, command, "[limits]\ncpu_percent = 10\n") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let over = directory.path().join("over");
    let mut client = clients::python("many.py", &tls).unwrap();
    client.args(["https", &nginx.port(Transport::Tls).to_string()]);
    client.args(LOAD).arg(&over);
    let running = Held::new(&client).unwrap().release().unwrap();
    let before = ticks(sensor.pid());
    std::thread::sleep(Duration::from_secs(3));
    let full = ticks(sensor.pid()) - before;

    let reaches = |grades: RangeInclusive<u64>| {
        wait::until(&format!("grade {grades:?}"), Deadline::after(STEPS), || {
            Ok(grades
                .contains(&gauge(&page, "api_sensor_strain_grade "))
                .then_some(()))
        })
        .unwrap();
    };
    // A process that was never judged before has news: its connections are left out from the second grade on.
    reaches(2..=3);
    assert_eq!(gauge(&page, "api_sensor_strain_active{cause=\"cpu\"} "), 1);
    assert!(gauge(&page, "api_sensor_streams_left_out_total ") > 0);
    let before = ticks(sensor.pid());
    std::thread::sleep(Duration::from_secs(3));
    let least = ticks(sensor.pid()) - before;

    std::fs::write(&over, "").unwrap();
    let output = running.finish(soon()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the load was harmed: {errors}");
    reaches(0..=0);
    let url = Transport::Tls.url(nginx.port(Transport::Tls), "/who/afterwards");
    let call = Call::new("GET", &url, b"").unwrap();
    guard::run(&mut call.curl(&tls).unwrap(), soon()).unwrap();
    sensor.wait_for("/who/", 2);
    assert_eq!(sensor.stop().code(), Some(0), "{}", sensor.stderr());
    let (left_out, of) = account(&sensor);
    println!(
        "{full} ticks in 3 s of load when all was read, {least} under strain; {left_out} bytes of {of} left out"
    );
}

/// What it said at its end: bytes that were left out, and those that there were.
fn account(sensor: &Sensor) -> (u64, u64) {
    let errors = sensor.stderr();
    for said in [
        "under strain: connections are left out",
        "every connection is read",
    ] {
        assert!(errors.contains(said), "{said}: {errors}");
    }
    let lines = lines(&sensor.stdout());
    let accounts = lines.iter().rfind(|line| line["type"] == "accounts").unwrap();
    let counted = |name: &str| accounts["sensor"][name].as_u64().unwrap();
    let left_out = counted("bytes_left_out");
    assert!(left_out > 0, "{accounts:#}");
    assert_eq!(counted("ledger_unbalanced"), 0, "{errors}");
    let last = lines.iter().rfind(|line| line["type"] == "exchange").unwrap();
    assert_eq!(
        (&last["http.response.status_code"], &last["api_sensor.partial"]),
        (&200.into(), &false.into())
    );
    (left_out, accounts["kernel"]["data_bytes"].as_u64().unwrap())
}
