//! `cargo xtask lint-kernel`: clippy over the crate that is no member of the workspace.

use anyhow::Result;

use crate::{setup, shell};

/// Skips, aloud, when the compiler of the kernel object has no clippy.
pub(crate) fn lint_kernel() -> Result<()> {
    let toolchain = setup::toolchain()?;
    if !ebpf_build::has_clippy(&toolchain) {
        println!(
            "SKIPPED clippy of sensor-ebpf: {} has no clippy (Debian: rust-web-clippy)",
            toolchain.route
        );
        return Ok(());
    }
    let target = shell::target_dir().join("sensor-ebpf-clippy");
    ebpf_build::clippy(
        &toolchain,
        &shell::root().join("sensor-ebpf"),
        &target,
        std::env::consts::ARCH,
    )?;
    Ok(())
}
