//! Are the TLS stacks of real files told by their content, and are blind ones named as such?
#![expect(
    clippy::unwrap_used,
    reason = "tests panic with context, their parts included"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use sensor_tests::corpus::Archive;
use sensor_tests::programs::skipped;
use sensor_tests::wait::Deadline;
use sensor_tests::{corpus, testbed};
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
            .map(|found| (found.stack.name, found.is_covered()))
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
    // It makes the BIOs that name sockets.
    expect(
        "OpenSSL's cryptography",
        library("libcrypto.so.3"),
        &[("openssl-bio", true)],
    );
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
    for (package, file, stacks) in [
        ("awscrt", "_awscrt", ["s2n"].as_slice()),
        // Only its static symbol table has them.
        ("curl_cffi", "_wrapper", &["openssl", "openssl-bio"]),
    ] {
        let wheel = corpus::python_wheel(Path::new(env!("CARGO_TARGET_TMPDIR")), package);
        let module = wheel.and_then(|directory| {
            corpus::find(&directory, &|name| name.starts_with(file)).context("the wheel holds no such file")
        });
        expect(
            package,
            module,
            &stacks.iter().map(|stack| (*stack, true)).collect::<Vec<_>>(),
        );
    }
}

#[test]
fn stripped_boringssl_is_told_by_its_source_paths() {
    let package = testbed::python().join("grpc");
    let module = corpus::find(&package, &|name| name.starts_with("cygrpc.cpython"))
        .context("no grpcio from PyPI; cargo xtask test installs it");
    expect("grpcio", module, &[("openssl-stripped", false)]);
}

/// A stack as recognition found it.
#[derive(Debug)]
struct Stack {
    name: &'static str,
    version: Option<String>,
    functions: Vec<&'static str>,
    reason: Option<&'static str>,
}

/// The only stack in a file that may be large: looking must stay quick.
fn only_stack(what: &str, file: Result<PathBuf>) -> Option<Stack> {
    let file = match file {
        Ok(file) => file,
        Err(reason) => {
            skipped(&format!("recognition of {what}"), &reason);
            return None;
        }
    };
    let deadline = Deadline::after(LARGE_FILE);
    let (_, inspected) = Cache::default().inspect(&open_regular(&file).unwrap()).unwrap();
    assert!(
        !deadline.is_over(),
        "looking at {what} takes more than {LARGE_FILE:?}"
    );
    assert!(inspected.error.is_none(), "{what}: {:?}", inspected.error);
    assert_eq!(inspected.stacks.len(), 1, "{what}: {:#?}", inspected.stacks);
    let found = &inspected.stacks[0];
    Some(Stack {
        name: found.stack.name,
        version: found.version.clone(),
        functions: found.functions.iter().map(|symbol| symbol.name).collect(),
        reason: found.stack.reason(),
    })
}

/// For files of 100 to 160 MB; measured in a development build: 0.02 s when stripped, 0.3 s with 195,000 symbols.
const LARGE_FILE: Duration = Duration::from_secs(10);

#[test]
fn rustls_is_told_with_its_version_whether_stripped_or_not() {
    for (program, version) in [
        ("rustls-021", "0.21."),
        ("rustls-022", "0.22."),
        ("rustls-023", "0.23."),
    ] {
        let Some(found) = only_stack(program, testbed::rustls_peer(program)) else {
            return;
        };
        assert_eq!((found.name, found.reason), ("rustls", None), "{program}");
        let told = found.version.as_deref();
        assert!(
            told.is_some_and(|told| told.starts_with(version)),
            "{program}: {told:?}"
        );
        let directory = tempfile::tempdir().unwrap();
        let stripped = directory.path().join("x");
        let mut strip = Command::new("strip");
        strip
            .arg("-o")
            .arg(&stripped)
            .arg(testbed::rustls_peer(program).unwrap());
        assert!(strip.status().unwrap().success());
        let found = only_stack(program, Ok(stripped)).unwrap();
        assert!(
            found.reason.is_some_and(|reason| reason.contains("stripped")),
            "{found:?}"
        );
        let told = found.version.as_deref();
        assert!(
            told.is_some_and(|told| told.starts_with(version)),
            "{program}: {told:?}"
        );
    }
}

#[test]
fn deno_is_told_as_stripped_rustls() {
    if let Some(found) = only_stack("deno", testbed::binary("@deno/linux-x64-glibc", "deno")) {
        assert_eq!(
            (found.name, found.version.as_deref()),
            ("rustls", Some("0.23.40"))
        );
        assert!(
            found.reason.is_some_and(|reason| reason.contains("stripped")),
            "{found:?}"
        );
    }
}

/// It exports no function of `BoringSSL`; its rustls is of another compiler, with symbols of the newer mangling.
#[test]
fn workerd_is_told_by_the_functions_of_rustls() {
    let workerd = testbed::binary("@cloudflare/workerd-linux-64", "bin/workerd");
    if let Some(found) = only_stack("workerd", workerd) {
        assert_eq!(
            (found.name, found.version.as_deref()),
            ("rustls", Some("0.23.46"))
        );
        assert_eq!(found.reason, None);
        for end in [
            "buffer_plaintext",
            "take_received_plaintext",
            "write_to",
            "dropped",
        ] {
            let has = found.functions.iter().any(|function| function.ends_with(end));
            assert!(has, "{end} in {found:?}");
        }
    }
}

#[test]
fn bun_is_told_as_stripped_boringssl() {
    if let Some(found) = only_stack("bun", testbed::binary("@oven/bun-linux-x64", "bin/bun")) {
        assert_eq!(found.name, "openssl-stripped");
        assert!(
            found.reason.is_some_and(|reason| reason.contains("stripped")),
            "{found:?}"
        );
    }
}

#[test]
fn an_erlang_virtual_machine_is_told_by_what_it_offers_to_native_functions() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let package = corpus::debian_package(cache, Archive::Main, "bookworm", "erlang-base");
    let machine = package.and_then(|directory| {
        corpus::find(&directory, &|name| name == "beam.smp").context("the package holds no beam.smp")
    });
    expect("an Erlang virtual machine", machine, &[("erlang", false)]);
}

#[test]
fn go_is_told_by_what_its_runtime_keeps() {
    let program = corpus::program("gofmt")
        .or_else(|| corpus::program("go"))
        .context("no Go is installed");
    if let Some(found) = stacks("a Go program", program) {
        // The tool chain's own command downloads modules over HTTPS; its formatter has no network code.
        assert!(found.is_empty() || found == [("go", true)], "{found:?}");
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
