//! Builds the kernel object and hands its path to the library as `SENSOR_EBPF_OBJECT`.
//!
//! Runs again only when the kernel crate or the contract changes, never for the Rust side alone.
//! `SENSOR_EBPF_PREBUILT` names a prebuilt object instead.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "kernel")]
    if let Err(message) = kernel::object() {
        // Lines of their own: cargo shows only what stands on the line of the directive.
        for line in message.lines() {
            println!("cargo::error={line}");
        }
    }
}

#[cfg(feature = "kernel")]
mod kernel {
    use std::error::Error;
    use std::path::{Path, PathBuf};

    const PREBUILT: &str = "SENSOR_EBPF_PREBUILT";

    pub(crate) fn object() -> Result<(), String> {
        let object = build_or_take().map_err(|error| with_causes(error.as_ref()))?;
        println!("cargo::rustc-env=SENSOR_EBPF_OBJECT={}", object.display());
        Ok(())
    }

    fn build_or_take() -> Result<PathBuf, Box<dyn Error>> {
        println!("cargo::rerun-if-env-changed={PREBUILT}");
        if let Some(path) = std::env::var_os(PREBUILT).filter(|path| !path.is_empty()) {
            let path = PathBuf::from(path).canonicalize()?;
            println!("cargo::rerun-if-changed={}", path.display());
            ebpf_build::check(&path)?;
            return Ok(path);
        }
        let root = variable("CARGO_MANIFEST_DIR")?;
        let root = Path::new(&root)
            .parent()
            .ok_or("the crate has no parent directory")?;
        let ebpf = root.join("sensor-ebpf");
        for part in [
            "sensor-ebpf/src",
            "sensor-ebpf/Cargo.toml",
            "sensor-ebpf/Cargo.lock",
            "sensor-common/src",
        ] {
            println!("cargo::rerun-if-changed={}", root.join(part).display());
        }
        let toolchain = ebpf_build::find()?;
        let arch = variable("CARGO_CFG_TARGET_ARCH")?;
        let log = cfg!(feature = "kernel-log").then_some("log");
        Ok(ebpf_build::build(&toolchain, &ebpf, &target_dir()?, &arch, log)?)
    }

    /// One directory for all profiles, so that `cargo test` after `cargo build --release` compiles nothing anew.
    /// Cargo marks the root of its target directory with `CACHEDIR.TAG`.
    fn target_dir() -> Result<PathBuf, Box<dyn Error>> {
        let out = PathBuf::from(variable("OUT_DIR")?);
        let root = out.ancestors().find(|path| path.join("CACHEDIR.TAG").is_file());
        Ok(root.unwrap_or(&out).join("sensor-ebpf"))
    }

    fn variable(name: &str) -> Result<String, String> {
        std::env::var(name).map_err(|error| format!("{name}: {error}"))
    }

    fn with_causes(error: &dyn Error) -> String {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}\ncause: {error}");
            cause = error.source();
        }
        text
    }
}
