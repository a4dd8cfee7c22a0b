//! Are the TLS stacks of real files told by their content, and are blind ones named as such?
#![expect(
    clippy::unwrap_used,
    reason = "tests panic with context, their parts included"
)]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sensor_tests::corpus;
use sensor_tests::programs::skipped;
use sensor_user::capture::discover::Cache;
use sensor_user::capture::discover::process::open_regular;

/// Names of the stacks in a file and whether each is covered; `None` when it cannot be had.
fn stacks(what: &str, file: Result<PathBuf>) -> Option<Vec<(&'static str, bool)>> {
    let file = match file {
        Ok(file) => file,
        Err(reason) => {
            skipped(&format!("recognition of {what}"), &reason);
            return None;
        }
    };
    // Under a name that says nothing.
    let directory = tempfile::tempdir().unwrap();
    let nameless = directory.path().join("x");
    std::os::unix::fs::symlink(&file, &nameless).unwrap();
    let (_, inspected) = Cache::default()
        .inspect(&open_regular(&nameless).unwrap())
        .unwrap();
    assert!(inspected.error.is_none(), "{what}: {:?}", inspected.error);
    assert!(
        inspected.build_id.is_some() || what == "a Go program",
        "{what} has no build id"
    );
    Some(
        inspected
            .stacks
            .iter()
            .map(|found| (found.stack.name, found.stack.is_covered()))
            .collect(),
    )
}

fn library(name: &str) -> Result<PathBuf> {
    let directories = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ];
    let found = directories
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists());
    found.with_context(|| format!("no {name} is installed"))
}

#[track_caller]
fn expect(what: &str, file: Result<PathBuf>, expected: &[(&str, bool)]) {
    if let Some(found) = stacks(what, file) {
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn openssl_is_covered() {
    expect("OpenSSL", library("libssl.so.3"), &[("openssl", true)]);
    expect("OpenSSL's cryptography", library("libcrypto.so.3"), &[]);
    expect("the C library", library("libc.so.6"), &[]);
}

#[test]
fn other_c_libraries_are_covered() {
    expect("GnuTLS", library("libgnutls.so.30"), &[("gnutls", true)]);
    expect("NSS", library("libssl3.so"), &[("nss", true)]);
    expect("NSPR", library("libnspr4.so"), &[("nspr", true)]);
    expect("NSS's cryptography", library("libnss3.so"), &[]);
    expect("wolfSSL", library("libwolfssl.so"), &[("wolfssl", true)]);
    expect("Mbed TLS", library("libmbedtls.so"), &[("mbedtls", true)]);
}

#[test]
fn libraries_inside_wheels_are_told_by_their_symbols() {
    for (package, file, stack) in [
        ("awscrt", "_awscrt", "s2n"),
        // Only its static symbol table has them.
        ("curl_cffi", "_wrapper", "openssl"),
    ] {
        let wheel = corpus::python_wheel(Path::new(env!("CARGO_TARGET_TMPDIR")), package);
        let module = wheel.and_then(|directory| {
            corpus::find(&directory, &|name| name.starts_with(file)).context("the wheel holds no such file")
        });
        expect(package, module, &[(stack, true)]);
    }
}

#[test]
fn stripped_boringssl_is_told_by_its_source_paths() {
    let wheel = corpus::python_wheel(Path::new(env!("CARGO_TARGET_TMPDIR")), "grpcio");
    let module = wheel.and_then(|directory| {
        corpus::find(&directory, &|name| name.starts_with("cygrpc")).context("the wheel holds no cygrpc")
    });
    expect("grpcio", module, &[("openssl-stripped", false)]);
}

#[test]
fn go_is_told_by_what_its_runtime_keeps() {
    let program = corpus::program("gofmt")
        .or_else(|| corpus::program("go"))
        .context("no Go is installed");
    if let Some(found) = stacks("a Go program", program) {
        // The tool chain's own command downloads modules over HTTPS; its formatter has no network code.
        assert!(found.is_empty() || found == [("go", false)], "{found:?}");
    }
}

#[test]
fn a_java_virtual_machine_is_told_by_its_entry_points() {
    let machine = corpus::program("java")
        .context("no Java is installed")
        .and_then(|java| {
            let home = java
                .parent()
                .and_then(Path::parent)
                .context("java stands nowhere")?;
            corpus::find(home, &|name| name == "libjvm.so").context("this Java has no libjvm")
        });
    expect("a Java virtual machine", machine, &[("jsse", false)]);
}
