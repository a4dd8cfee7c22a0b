//! `cargo xtask bless`: writes the made-up recordings and what replay says about them anew, for review.

use anyhow::Result;

use crate::shell;

/// Runs the golden tests in the mode that writes. What changed is shown by `git diff`.
pub(crate) fn bless() -> Result<()> {
    let mut command = shell::cargo();
    command.args(["test", "--package", "sensor-tests", "--test", "replay", "golden"]);
    shell::run(command.env("API_SENSOR_BLESS", "1"))?;
    println!("review with: git diff tests/fixtures/pcap tests/golden");
    Ok(())
}
