//! Programs of others that judge: kubernetes-validate, Helm, and a reader of YAML.
//!
//! Takes files. Gives documents as JSON, or what was found wrong. Fetches the programs once, pinned.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};
use sensor_tests::programs::Program;
use sensor_tests::testbed;
use serde_json::Value;

/// Release and namespace that the plain manifests are written for.
const RELEASE: [&str; 4] = ["template", "api-sensor", "--namespace", "api-sensor"];
/// Reads documents of YAML, writes one array of JSON.
const TO_JSON: &str =
    "import json, sys, yaml; json.dump([d for d in yaml.safe_load_all(sys.stdin) if d], sys.stdout)";

/// One object of Kubernetes.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) value: Value,
}

impl Document {
    fn text(&self, pointer: &str) -> &str {
        self.value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// `Kind name`.
    pub(super) fn title(&self) -> String {
        format!("{} {}", self.kind(), self.text("/metadata/name"))
    }
}

/// The fetched programs.
pub(super) struct Judges {
    python: PathBuf,
}

impl Judges {
    pub(super) fn fetch() -> Result<Self> {
        testbed::install_judges_of_deploy().context("npm and Debian's python3 with pip are needed")?;
        Ok(Self {
            python: Program::Python.find()?,
        })
    }

    fn python(&self) -> Command {
        let mut python = Command::new(&self.python);
        python.env("PYTHONPATH", testbed::kubernetes_validate());
        python
    }

    /// What the schemas of a release refuse.
    pub(super) fn validate(&self, files: &[PathBuf], release: &str) -> Result<Vec<String>> {
        let mut command = self.python();
        command.args([
            "-m",
            "kubernetes_validate",
            "--strict",
            "--kubernetes-version",
            release,
        ]);
        let output = command
            .args(files)
            .output()
            .context("cannot start kubernetes-validate")?;
        let said = lines(&output);
        // A kind without a schema is only warned of.
        let bad: Vec<String> = said
            .iter()
            .filter(|line| !line.starts_with("INFO "))
            .map(|line| format!("{line}; correct the field, or drop what Kubernetes {release} does not know"))
            .collect();
        let passed = said
            .iter()
            .filter(|line| line.contains(" passed for resource "))
            .count();
        if bad.is_empty() && (!output.status.success() || passed < files.len()) {
            bail!(
                "kubernetes-validate judged {passed} of {} files: {said:?}",
                files.len()
            );
        }
        Ok(bad)
    }

    /// The documents of a file.
    pub(super) fn documents(&self, file: &Path) -> Result<Vec<Document>> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        self.parsed(&text)
            .with_context(|| format!("{} is no YAML", file.display()))
    }

    fn parsed(&self, text: &str) -> Result<Vec<Document>> {
        let mut child = self
            .python()
            .args(["-c", TO_JSON])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the reader of YAML")?;
        // The reader takes everything before it writes, so neither side waits for the other.
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("the reader of YAML refused it");
        }
        let values: Vec<Value> = serde_json::from_slice(&output.stdout)?;
        Ok(values.into_iter().map(|value| Document { value }).collect())
    }

    /// What the chart renders.
    pub(super) fn render(&self, chart: &Path, flags: &[&str]) -> Result<Vec<Document>> {
        let output = helm()?.args(RELEASE).arg(chart).args(flags).output()?;
        if !output.status.success() {
            bail!(
                "{}: helm template failed: {}",
                chart.display(),
                lines(&output).join("; ")
            );
        }
        self.parsed(&String::from_utf8_lossy(&output.stdout))
            .with_context(|| format!("{} renders no YAML", chart.display()))
    }
}

/// What `helm lint --strict` refuses.
pub(super) fn lint(chart: &Path) -> Result<Vec<String>> {
    let output = helm()?.args(["lint", "--strict"]).arg(chart).output()?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    let said = lines(&output)
        .into_iter()
        .filter(|line| line.contains("[ERROR]") || line.contains("[WARNING]"));
    let mut found: Vec<String> = said.map(|line| format!("{}: {line}", chart.display())).collect();
    if found.is_empty() {
        found.push(format!("{}: helm lint failed; run it by hand", chart.display()));
    }
    Ok(found)
}

/// Helm with its own files below the testbed, not in the user's home.
fn helm() -> Result<Command> {
    let program = testbed::helm();
    if !program.is_file() {
        bail!(
            "no {}; remove the directory and run this again",
            program.display()
        );
    }
    let home = testbed::directory().join("helm-home");
    let mut helm = Command::new(program);
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(variable, &home);
    }
    Ok(helm)
}

fn lines(output: &Output) -> Vec<String> {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text)
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect()
}

/// Where the chart and the plain manifests say different things; their order does not matter.
pub(super) fn differences(plain: &[Document], rendered: &[Document]) -> Vec<String> {
    let by_title = |documents: &[Document]| -> BTreeMap<String, Value> {
        documents
            .iter()
            .map(|document| (document.title(), document.value.clone()))
            .collect()
    };
    let (plain, rendered) = (by_title(plain), by_title(rendered));
    let mut found = Vec::new();
    for (title, value) in &plain {
        match rendered.get(title) {
            Some(other) => compare(title, value, other, &mut found),
            None => found.push(format!("deploy/helm: does not render {title}; add a template")),
        }
    }
    let extra = rendered.keys().filter(|title| !plain.contains_key(*title));
    found
        .extend(extra.map(|title| format!("deploy/kubernetes: no {title}, which the chart renders; add it")));
    found
}

fn compare(place: &str, plain: &Value, rendered: &Value, found: &mut Vec<String>) {
    match (plain, rendered) {
        (Value::Object(plain), Value::Object(rendered)) => {
            let absent = Value::Null;
            let keys: std::collections::BTreeSet<&String> = plain.keys().chain(rendered.keys()).collect();
            for key in keys {
                let other = rendered.get(key).unwrap_or(&absent);
                compare(
                    &format!("{place}/{key}"),
                    plain.get(key).unwrap_or(&absent),
                    other,
                    found,
                );
            }
        }
        (Value::Array(plain), Value::Array(rendered)) if plain.len() == rendered.len() => {
            for (index, (plain, rendered)) in plain.iter().zip(rendered).enumerate() {
                compare(&format!("{place}/{index}"), plain, rendered, found);
            }
        }
        (plain, rendered) if plain == rendered => {}
        (plain, rendered) => found.push(format!(
            "{place}: deploy/kubernetes says {plain}, deploy/helm renders {rendered}; make them one"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(replicas: u32) -> Document {
        Document {
            value: json!({"kind": "Thing", "metadata": {"name": "a"}, "spec": [{"replicas": replicas}]}),
        }
    }

    #[test]
    fn what_differs_is_named_with_its_place() {
        assert_eq!(differences(&[object(1)], &[object(1)]), Vec::<String>::new());
        let found = differences(&[object(1)], &[object(2)]);
        assert_eq!(found.len(), 1);
        assert!(
            found.first().unwrap().starts_with("Thing a/spec/0/replicas: "),
            "{found:?}"
        );
        assert_eq!(differences(&[object(1)], &[]).len(), 1);
        assert_eq!(differences(&[], &[object(1)]).len(), 1);
    }
}
