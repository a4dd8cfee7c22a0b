//! `cargo xtask kube-apiserver`: builds a real API server of Kubernetes, once, and runs the test of the watch against it.
//!
//! Takes Debian's sources of Kubernetes, its Go and its etcd. Gives the server below `target/testbed`. Some minutes and
//! 2 GB the first time.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sensor_tests::{sources, testbed};

use crate::{setup, shell};

/// What its build needs, and its store: a program of each package, and the package. The sources are of 2020; Debian's Go
/// builds them.
const NEEDED: [(&str, &str); 4] = [
    (GO, "golang-1.19-go"),
    ("/usr/bin/etcd", "etcd-server"),
    ("/usr/bin/rsync", "rsync"),
    ("/usr/bin/dpkg-source", "dpkg-dev"),
];
const GO: &str = "/usr/lib/go-1.19/bin/go";
/// Where the build leaves it.
const BUILT: &str = "_output/bin/kube-apiserver";

/// Builds what is missing, and runs the test.
pub(crate) fn kube_apiserver() -> Result<()> {
    let program = testbed::directory().join("kube-apiserver");
    setup::packages(&NEEDED, "there is no API server to test with")?;
    if !program.exists() {
        build(&program)?;
    }
    let mut cargo = shell::cargo();
    cargo.args(["test", "--package", "sensor-tests", "--test", "kubernetes"]);
    cargo.args(["--", "--nocapture"]);
    shell::run(&mut cargo)
}

fn build(program: &Path) -> Result<()> {
    let source = sources::debian_source("kubernetes")?;
    println!("building the API server in {}: some minutes", source.display());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let go = Path::new(GO).parent().map(PathBuf::from).into_iter();
    let path = std::env::join_paths(go.chain(std::env::split_paths(&path)))?;
    let mut make = std::process::Command::new("make");
    make.current_dir(&source)
        .arg("WHAT=cmd/kube-apiserver")
        .env("PATH", path)
        .env("GO111MODULE", "off")
        .env("GOCACHE", source.join("_output/cache"));
    shell::run(&mut make)?;
    let built = fs::canonicalize(source.join(BUILT));
    let Ok(built) = built else {
        bail!("the build left no {BUILT}");
    };
    fs::copy(&built, program).with_context(|| format!("cannot keep {}", program.display()))?;
    Ok(())
}
