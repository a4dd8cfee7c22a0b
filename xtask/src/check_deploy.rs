//! `cargo xtask check-deploy`: what `deploy/` holds is valid, says the same everywhere, asks for no more than
//! docs/PRIVILEGES.md measured, and can be packaged.
//!
//! Takes the files. Gives a line per check, and every mistake with its file and remedy. Never talks to a cluster.

mod claims;
mod judges;
pub(crate) mod unit;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{package, setup, shell};
use claims::Capabilities;
use judges::{Document, Judges};
use package::Compression;

/// Releases of Kubernetes whose schemas the manifests must satisfy: the oldest that the chart admits, and the newest
/// that the judge knows.
const RELEASES: [&str; 2] = ["1.30", "1.37"];
/// In the chart only: the plain manifests are applied again by whoever changes the configuration.
const CHECKSUM: &str = "/spec/template/metadata/annotations";

/// Arguments of `cargo xtask check-deploy`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A built api-sensor that reads the configuration, instead of one built now.
    #[arg(long, value_name = "PATH")]
    sensor: Option<PathBuf>,
}

/// Everything below `deploy/`, and what became of it.
struct Checks {
    deploy: PathBuf,
    judges: Judges,
    measured: Capabilities,
    problems: Vec<String>,
}

/// Runs every check; fails when one found a mistake.
pub(crate) fn check_deploy(arguments: &Arguments) -> Result<()> {
    let page = shell::root().join("docs/PRIVILEGES.md");
    let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let mut checks = Checks {
        deploy: shell::root().join("deploy"),
        judges: Judges::fetch()?,
        measured: Capabilities::measured(&text)?,
        problems: Vec::new(),
    };
    let plain = checks.plain()?;
    checks.chart(&plain)?;
    checks.host()?;
    let sensor = built(arguments.sensor.as_deref())?;
    checks.configuration("deploy/kubernetes/configmap.yaml", &plain, &sensor)?;
    let to_collector = checks.demo()?;
    checks.configuration("deploy/helm/api-sensor/to-collector.yaml", &to_collector, &sensor)?;
    checks.package(&sensor)?;
    if checks.problems.is_empty() {
        println!("check-deploy: everything holds");
        return Ok(());
    }
    bail!("deploy/ has {} mistakes", checks.problems.len())
}

impl Checks {
    fn told(&mut self, what: &str, problems: Vec<String>) {
        self.problems.extend(package::tell(what, &Ok(problems)));
    }

    /// The plain manifests, by themselves.
    fn plain(&mut self) -> Result<Vec<Document>> {
        let files = manifests(&self.deploy.join("kubernetes"))?;
        for release in RELEASES {
            let problems = self.judges.validate(&files, release)?;
            self.told(
                &format!(
                    "deploy/kubernetes: {} files by the schemas of Kubernetes {release}",
                    files.len()
                ),
                problems,
            );
        }
        let mut documents = Vec::new();
        for file in &files {
            documents.extend(self.judges.documents(file)?);
        }
        let problems = claims::check("deploy/kubernetes", &documents, &self.measured.usual);
        self.told("deploy/kubernetes: no more privileges than measured", problems);
        documents.extend(
            self.judges
                .documents(&self.deploy.join("kubernetes/prometheus/servicemonitor.yaml"))?,
        );
        let problems = claims::monitored("deploy/kubernetes", &documents);
        self.told("deploy/kubernetes: probes and monitor find the metrics", problems);
        Ok(documents)
    }

    /// The chart, and that it renders what the plain manifests say.
    fn chart(&mut self, plain: &[Document]) -> Result<()> {
        let chart = self.deploy.join("helm/api-sensor");
        let problems = judges::lint(&chart)?;
        self.told("deploy/helm: helm lint --strict", problems);
        let monitor = ["--set", "serviceMonitor.enabled=true"];
        for (what, flags) in [("default", &[] as &[&str]), ("with monitor", &monitor[..])] {
            let rendered = self.judges.render(&chart, flags)?;
            let expected = plain
                .iter()
                // Helm puts its own state into the namespace before it renders, so that one must be there already.
                .filter(|document| document.kind() != "Namespace")
                .filter(|document| !flags.is_empty() || document.kind() != "ServiceMonitor");
            let expected: Vec<Document> = expected.cloned().collect();
            let problems = judges::differences(&expected, &without_checksum(rendered));
            self.told(
                &format!("deploy/helm: renders what deploy/kubernetes says ({what})"),
                problems,
            );
        }
        let older = chart.join("older-kernels.yaml");
        let rendered = self
            .judges
            .render(&chart, &["--values", &older.display().to_string()])?;
        let problems = claims::check(
            "deploy/helm/api-sensor/older-kernels.yaml",
            &rendered,
            &self.measured.older,
        );
        self.told(
            "deploy/helm: older kernels have what was measured there",
            problems,
        );
        let problems = match self.judges.render(&chart, &["--set", "capabilities={NET_ADMIN}"]) {
            Err(refused) if format!("{refused:#}").contains("capabilities") => Vec::new(),
            _ => vec![
                "deploy/helm/api-sensor/values.schema.json admits NET_ADMIN; list under capabilities only what is measured"
                    .to_owned(),
            ],
        };
        self.told("deploy/helm: the schema refuses other capabilities", problems);
        Ok(())
    }

    /// Unit, drop-in and list of system calls.
    fn host(&mut self) -> Result<()> {
        let directory = self.deploy.join("systemd");
        let problems = unit::capabilities(&directory, &self.measured)?;
        self.told("deploy/systemd: no more privileges than measured", problems);
        let problems = unit::ceilings(&directory)?;
        self.told("deploy/systemd: the sensor is told its limits", problems);
        // Nothing of the sensor is built yet.
        let stand_in = Path::new("/bin/true");
        let (unit, drop_in) = (directory.join(unit::UNIT), directory.join(unit::DROP_IN));
        let found = unit::verify(&unit, &drop_in, stand_in)?;
        self.problems
            .extend(package::tell("deploy/systemd: systemd-analyze verify", &found));
        let file = self.deploy.join("seccomp.json");
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let profile: Value = text
            .parse()
            .with_context(|| format!("{} is no JSON", file.display()))?;
        let problems = claims::profile("deploy/seccomp.json", &profile);
        self.told(
            "deploy/seccomp.json: what the kernel object takes, and nothing that leaves the container",
            problems,
        );
        Ok(())
    }

    /// What docs/KUBERNETES.md applies beside the chart. Gives what the chart renders with the values it names.
    fn demo(&mut self) -> Result<Vec<Document>> {
        let files = manifests(&self.deploy.join("kubernetes/demo"))?;
        for release in RELEASES {
            let problems = self.judges.validate(&files, release)?;
            self.told(
                &format!(
                    "deploy/kubernetes/demo: {} files by the schemas of Kubernetes {release}",
                    files.len()
                ),
                problems,
            );
        }
        let chart = self.deploy.join("helm/api-sensor");
        let values = chart.join("to-collector.yaml").display().to_string();
        self.judges.render(&chart, &["--values", &values])
    }

    /// The configuration in the `ConfigMap`, as the sensor reads it.
    fn configuration(&mut self, place: &str, documents: &[Document], sensor: &Path) -> Result<()> {
        let found = documents.iter().find(|document| document.kind() == "ConfigMap");
        let text = found.and_then(|document| document.value.pointer("/data/api-sensor.toml")?.as_str());
        let text = text
            .with_context(|| format!("{place}: no api-sensor.toml; put the configuration under that key"))?;
        let problems = claims::fitting(place, text, documents);
        self.told(&format!("{place}: fits ports and mounts"), problems);
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("api-sensor.toml");
        std::fs::write(&file, text)?;
        let output = Command::new(sensor)
            .arg("check-config")
            .arg(&file)
            .output()
            .context("cannot start api-sensor check-config")?;
        let problems = if output.status.success() {
            Vec::new()
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            vec![format!(
                "{place}: {}; docs/CONFIG.md has the settings",
                said.trim()
            )]
        };
        self.told(&format!("{place}: api-sensor check-config"), problems);
        Ok(())
    }

    /// Debian's package of the same build.
    fn package(&mut self, sensor: &Path) -> Result<()> {
        let (_, checks) = package::packaged(sensor, Compression::Fast)?;
        for (what, found) in checks {
            self.problems
                .extend(package::tell(&format!("deploy/debian: {what}"), &found));
        }
        Ok(())
    }
}

/// The debug build that the tests use, too.
fn built(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    setup::toolchain()?;
    shell::run(shell::cargo().args(["build", "--package", "sensor-user", "--bin", "api-sensor"]))?;
    Ok(shell::target_dir().join("debug/api-sensor"))
}

fn manifests(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Takes the chart's hash of the configuration away.
fn without_checksum(mut documents: Vec<Document>) -> Vec<Document> {
    for document in &mut documents {
        let Some(annotations) = document
            .value
            .pointer_mut(CHECKSUM)
            .and_then(Value::as_object_mut)
        else {
            continue;
        };
        annotations.remove("checksum/config");
        if annotations.is_empty()
            && let Some(metadata) = document
                .value
                .pointer_mut("/spec/template/metadata")
                .and_then(Value::as_object_mut)
        {
            metadata.remove("annotations");
        }
    }
    documents
}
