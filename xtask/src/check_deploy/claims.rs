//! What manifests may claim: privileges that were measured, ports and directories that exist.
//!
//! Takes parsed documents. Gives every mistake with its place and remedy. Never reads a file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use sensor_tests::privileges;
use serde_json::{Value, json};

use super::judges::Document;

/// Names of capabilities as manifests write them, such as `BPF`.
pub(super) type Set = BTreeSet<String>;

/// The smallest sets of docs/PRIVILEGES.md.
#[derive(Debug)]
pub(super) struct Capabilities {
    /// Where no `SYS_ADMIN` is needed: one set, the same on all those kernels.
    pub(super) usual: Set,
    /// What all the others need together.
    pub(super) older: Set,
}

impl Capabilities {
    /// Reads the page.
    pub(super) fn measured(page: &str) -> Result<Self> {
        let mut tables: BTreeMap<String, Vec<privileges::Row>> = BTreeMap::new();
        for row in privileges::rows(page) {
            tables.entry(privileges::heading(&row)).or_default().push(row);
        }
        let (mut usual, mut older) = (BTreeSet::new(), Set::new());
        for (heading, rows) in &tables {
            let row = privileges::smallest(rows);
            let row = row.with_context(|| format!("docs/PRIVILEGES.md, {heading}: no set is enough"))?;
            let set: Set = row.set.split('+').map(str::to_uppercase).collect();
            if set.contains("SYS_ADMIN") {
                older.extend(set);
            } else {
                usual.insert(set);
            }
        }
        let mut usual = usual.into_iter();
        match (usual.next(), usual.next()) {
            (Some(usual), None) if !older.is_empty() => Ok(Self { usual, older }),
            _ => bail!(
                "docs/PRIVILEGES.md does not have one set without CAP_SYS_ADMIN and others with it; deploy/ and this \
                 check are made for that"
            ),
        }
    }
}

/// Mistakes in what documents ask of cluster and node.
pub(super) fn check(place: &str, documents: &[Document], expected: &Set) -> Vec<String> {
    let mut found = Vec::new();
    for document in documents {
        let title = format!("{place}: {}", document.title());
        if is_privileged(&document.value) {
            found.push(format!(
                "{title} is privileged: true; take that out, capabilities are enough"
            ));
        }
        match document.kind() {
            "DaemonSet" => found.extend(pod(&title, &document.value, expected)),
            "ClusterRole" | "Role" => found.extend(rules(&title, &document.value)),
            _ => {}
        }
    }
    if !documents.iter().any(|document| document.kind() == "DaemonSet") {
        found.push(format!("{place}: no DaemonSet"));
    }
    found
}

fn is_privileged(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.get("privileged") == Some(&Value::Bool(true)) || members.values().any(is_privileged)
        }
        Value::Array(items) => items.iter().any(is_privileged),
        _ => false,
    }
}

fn pod(title: &str, value: &Value, expected: &Set) -> Vec<String> {
    let mut found = Vec::new();
    let spec = &value["spec"]["template"]["spec"];
    for name in ["hostNetwork", "hostIPC"] {
        if !spec[name].is_null() {
            found.push(format!("{title} sets {name}; the sensor does without"));
        }
    }
    let profile = &spec["securityContext"]["seccompProfile"]["type"];
    if profile != "RuntimeDefault" && profile != "Localhost" {
        found.push(format!(
            "{title} has seccomp profile {profile}; set RuntimeDefault or Localhost"
        ));
    }
    let containers = [&spec["containers"], &spec["initContainers"]];
    for container in containers.into_iter().filter_map(Value::as_array).flatten() {
        let title = format!("{title}, container {}", container["name"]);
        found.extend(capabilities(&title, &container["securityContext"], expected));
        for (name, wanted) in [
            ("allowPrivilegeEscalation", false),
            ("readOnlyRootFilesystem", true),
        ] {
            if container["securityContext"][name] != wanted {
                found.push(format!("{title} lacks {name}: {wanted}"));
            }
        }
        for name in ["cpu", "memory"] {
            if !container["resources"]["limits"][name].is_string() {
                found.push(format!(
                    "{title} has no limit of {name}; set resources.limits.{name}"
                ));
            }
            let field = format!("limits.{name}");
            let mut variables = container["env"].as_array().into_iter().flatten();
            if !variables.any(|one| one["valueFrom"]["resourceFieldRef"]["resource"] == *field) {
                found.push(format!(
                    "{title} does not tell the sensor its limit of {name}; add a variable API_SENSOR_LIMITS_... from {field}"
                ));
            }
        }
    }
    found
}

fn capabilities(title: &str, context: &Value, expected: &Set) -> Vec<String> {
    let set = |name: &str| -> Set {
        let names = context["capabilities"][name].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    if set("drop") != Set::from(["ALL".to_owned()]) {
        found.push(format!(
            "{title} does not drop ALL capabilities; it must before it adds some"
        ));
    }
    if let Some(problem) = other_than(&set("add"), expected) {
        found.push(format!("{title} adds {problem}"));
    }
    found
}

/// How a set differs from the measured one.
pub(super) fn other_than(set: &Set, expected: &Set) -> Option<String> {
    let list = |set: &Set| set.iter().cloned().collect::<Vec<_>>().join(", ");
    (set != expected).then(|| {
        format!(
            "capabilities {}, and docs/PRIVILEGES.md measured {}; make it those, or measure anew with `cargo xtask privileges`",
            list(set),
            list(expected)
        )
    })
}

fn rules(title: &str, value: &Value) -> Vec<String> {
    let read = json!([{"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": ["list", "watch"]}]);
    if value["rules"] == read {
        return Vec::new();
    }
    vec![format!(
        "{title} grants {}; reading pods and namespaces is all that the sensor may do",
        value["rules"]
    )]
}

/// Whether probes, service and monitor lead to the container's port.
pub(super) fn monitored(place: &str, documents: &[Document]) -> Vec<String> {
    let container = &one(documents, "DaemonSet")["spec"]["template"]["spec"]["containers"][0];
    let service = &one(documents, "Service")["spec"]["ports"];
    let monitor = &one(documents, "ServiceMonitor")["spec"]["endpoints"];
    let probe = |name: &str| &container[name]["httpGet"]["port"];
    let mut found = Vec::new();
    for (what, port, ports) in [
        ("startupProbe", probe("startupProbe"), &container["ports"]),
        ("livenessProbe", probe("livenessProbe"), &container["ports"]),
        ("readinessProbe", probe("readinessProbe"), &container["ports"]),
        ("Service", &service[0]["targetPort"], &container["ports"]),
        ("ServiceMonitor", &monitor[0]["port"], service),
    ] {
        let ports = names(ports);
        if !port.as_str().is_some_and(|port| ports.contains(port)) {
            found.push(format!(
                "{place}: the {what} asks port {port}, and there is {ports:?}; name one of these"
            ));
        }
    }
    found.extend(selecting(place, documents));
    found
}

/// Whether selectors choose what they are made for.
fn selecting(place: &str, documents: &[Document]) -> Vec<String> {
    let (daemon_set, service) = (one(documents, "DaemonSet"), one(documents, "Service"));
    let (monitor, policy) = (one(documents, "ServiceMonitor"), one(documents, "NetworkPolicy"));
    let pod = &daemon_set["spec"]["template"]["metadata"]["labels"];
    let selectors = [
        ("DaemonSet", &daemon_set["spec"]["selector"]["matchLabels"], pod),
        ("Service", &service["spec"]["selector"], pod),
        (
            "NetworkPolicy",
            &policy["spec"]["podSelector"]["matchLabels"],
            pod,
        ),
        (
            "ServiceMonitor",
            &monitor["spec"]["selector"]["matchLabels"],
            &service["metadata"]["labels"],
        ),
    ];
    let mut found = Vec::new();
    for (what, selector, labels) in selectors {
        if !selects(selector, labels) {
            found.push(format!(
                "{place}: the {what} selects {selector}, and there is {labels}; make them match"
            ));
        }
    }
    found
}

/// The document of a kind, null without one.
fn one<'a>(documents: &'a [Document], kind: &str) -> &'a Value {
    let found = documents.iter().find(|document| document.kind() == kind);
    found.map_or(&Value::Null, |document| &document.value)
}

fn names(ports: &Value) -> Set {
    let ports = ports.as_array().into_iter().flatten();
    ports
        .filter_map(|port| port["name"].as_str())
        .map(str::to_owned)
        .collect()
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().filter(|wanted| !wanted.is_empty());
    wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| &labels[key] == value))
}

/// Whether port and state directory of the configuration are those of the container.
pub(super) fn fitting(place: &str, configuration: &str, documents: &[Document]) -> Vec<String> {
    let table: toml::Table = match configuration.parse() {
        Ok(table) => table,
        Err(error) => return vec![format!("{place}: no TOML: {error}")],
    };
    let text = |section: &str, name: &str| -> &str {
        let value = table.get(section).and_then(|section| section.get(name)?.as_str());
        value.unwrap_or_default()
    };
    let container = &one(documents, "DaemonSet")["spec"]["template"]["spec"]["containers"][0];
    let mut found = Vec::new();
    let listen = text("metrics", "listen");
    let port = &container["ports"][0]["containerPort"];
    let reached = |address: SocketAddr| address.ip().is_unspecified() && *port == address.port();
    if !listen.parse().is_ok_and(reached) {
        found.push(format!(
            "{place}: metrics.listen is `{listen}`, and probes ask port {port} of the pod; set 0.0.0.0:{port}"
        ));
    }
    let directory = text("state", "directory");
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let mut writable = mounts.filter(|mount| mount["readOnly"] != true);
    let below = |mount: &Value| {
        let rest = mount["mountPath"]
            .as_str()
            .and_then(|mount| directory.strip_prefix(mount));
        // The mount itself belongs to the kubelet, with a mode that the sensor refuses.
        rest.is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
    };
    if !writable.any(below) {
        found.push(format!(
            "{place}: state.directory is `{directory}`, which is not below a writable mount of the container"
        ));
    }
    found
}

/// Calls that the kernel object and names of control groups take.
const NEEDED: [&str; 3] = ["bpf", "perf_event_open", "open_by_handle_at"];
/// Calls with which a container is left or the kernel changed.
const FORBIDDEN: [&str; 14] = [
    "add_key",
    "clone3",
    "delete_module",
    "finit_module",
    "init_module",
    "kexec_load",
    "keyctl",
    "mount",
    "pivot_root",
    "process_vm_writev",
    "ptrace",
    "reboot",
    "setns",
    "unshare",
];

/// Mistakes in a list of system calls.
pub(super) fn profile(place: &str, profile: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if profile["defaultAction"] != "SCMP_ACT_ERRNO" {
        found.push(format!("{place}: defaultAction must be SCMP_ACT_ERRNO"));
    }
    let entries = profile["syscalls"].as_array().into_iter().flatten();
    let allowed = entries.filter(|entry| entry["action"] == "SCMP_ACT_ALLOW");
    let names = allowed.filter_map(|entry| entry["names"].as_array()).flatten();
    let names: BTreeSet<&str> = names.filter_map(Value::as_str).collect();
    let lacking = NEEDED.iter().filter(|name| !names.contains(*name));
    found.extend(lacking.map(|name| format!("{place}: {name} is missing; the sensor cannot start without")));
    let excess = FORBIDDEN.iter().filter(|name| names.contains(*name));
    found.extend(excess.map(|name| format!("{place}: {name} is allowed; take it out")));
    found
}

#[cfg(test)]
mod tests;
