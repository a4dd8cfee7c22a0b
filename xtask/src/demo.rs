//! `cargo xtask demo`: a small HTTPS API, its clients, and the sensor that watches only those.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use sensor_tests::servers::{PythonApi, Transport, fixture};
use sensor_tests::wait::Deadline;
use sensor_tests::{Guard, PrivateTls, clients, wait};

use crate::sensor::Sensor;
use crate::setup;

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long the API is used and watched.
    #[arg(long, default_value_t = 12, value_name = "S")]
    seconds: u64,
    /// Use this api-sensor instead of building one.
    #[arg(long, value_name = "PATH")]
    sensor: Option<PathBuf>,
}

/// Ends by itself; everything it started ends with it.
pub(crate) fn demo(arguments: &Arguments) -> Result<()> {
    let sensor = setup::sensor(arguments.sensor.as_deref())?;
    for (what, reason) in setup::test_programs() {
        println!("not here: {what}: {reason}");
    }
    let tls = PrivateTls::new()?;
    let script = fixture("demo_api.py");
    let secure = PythonApi::start_script(&tls, Transport::Tls, &script)?;
    let plain = PythonApi::start_script(&tls, Transport::Plain, &script)?;
    let state = tempfile::tempdir()?;
    let mut command = Sensor::command(&[], &sensor, state.path());
    // The servers only: the clients' end of each connection would show every call a second time.
    for pid in [secure.pid(), plain.pid()] {
        command.args(["--pid", &pid.to_string()]);
    }
    command.arg("--library").arg(tls.libssl());
    println!(
        "demo: an API on https port {} and http port {}",
        secure.port(),
        plain.port()
    );
    let sensor = Sensor::start(&mut command)?;
    let mut callers = clients::python("demo_clients.py", &tls)?;
    callers.args([secure.port().to_string(), plain.port().to_string()]);
    callers.stdin(Stdio::null()).stdout(Stdio::null());
    let mut callers = Guard::start(&mut callers)?;
    let end = Deadline::after(Duration::from_secs(arguments.seconds));
    wait::until(
        "the end of the demo",
        Deadline::after(Duration::from_secs(arguments.seconds + 5)),
        || {
            anyhow::ensure!(
                callers.ended()?.is_none(),
                "the clients ended early; what they said is above"
            );
            Ok(end.is_over().then_some(()))
        },
    )?;
    drop(callers);
    sensor.stop()?;
    println!("demo: over; everything that was started has ended");
    Ok(())
}
