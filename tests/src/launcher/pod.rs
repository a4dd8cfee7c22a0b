//! A `DaemonSet`, as a configuration of the OCI runtime specification.
//!
//! Takes the manifest and a list of system calls. Gives what the kubelet and its runtime would have a container do and
//! see: a pod's own network, host names and control groups, but the host's processes. Never asks a cluster.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{INSTALLED, bind};

/// What containerd hides in a container that is not privileged.
const HIDDEN: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/sys/firmware",
];
/// A pod's own. Processes are the host's.
const NAMESPACES: [&str; 5] = ["mount", "ipc", "uts", "network", "cgroup"];
/// What it makes read-only.
const FIXED: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// This machine, as Go and as libseccomp name it.
const MACHINE: (&str, &str) = if cfg!(target_arch = "aarch64") {
    ("arm64", "SCMP_ARCH_AARCH64")
} else {
    ("amd64", "SCMP_ARCH_X86_64")
};

/// The manifest, and the profile that its nodes have.
#[derive(Clone, Debug)]
pub struct Pod {
    spec: Value,
    capabilities: Vec<String>,
    profile: Value,
}

impl Pod {
    /// Reads the manifest of a `DaemonSet` with one container, and a profile of system calls.
    pub fn read(manifest: &str, profile: &str) -> Result<Self> {
        let document: Value = serde_saphyr::from_str(manifest).context("the manifest is no YAML")?;
        let spec = document["spec"]["template"]["spec"].clone();
        let capabilities = full(&spec["containers"][0]["securityContext"]["capabilities"]["add"])?;
        Ok(Self {
            spec,
            capabilities,
            profile: serde_json::from_str(profile).context("the profile is no JSON")?,
        })
    }

    /// With the capabilities that a file of Helm values names.
    pub fn with_values(mut self, values: &str) -> Result<Self> {
        let values: Value = serde_saphyr::from_str(values).context("the values are no YAML")?;
        self.capabilities = full(&values["capabilities"])?;
        Ok(self)
    }

    /// With another profile, such as the one that a runtime has by default.
    pub fn with_profile(mut self, profile: &str) -> Result<Self> {
        self.profile = serde_json::from_str(profile).context("the profile is no JSON")?;
        Ok(self)
    }

    /// The same without a capability.
    #[must_use]
    pub fn without(mut self, capability: &str) -> Self {
        self.capabilities.retain(|name| name != capability);
        self
    }

    /// The same with one capability more.
    #[must_use]
    pub fn with(mut self, capability: &str) -> Self {
        self.capabilities.push(capability.to_owned());
        self
    }

    /// The configuration. `state` and `settings` are what its host path and its `ConfigMap` hold.
    pub(super) fn config(&self, state: &Path, settings: &Path) -> Result<Value> {
        let container = &self.spec["containers"][0];
        let context = &container["securityContext"];
        ensure!(
            self.spec["hostPID"] == true,
            "the pod does not see the host's processes"
        );
        ensure!(
            self.spec["hostNetwork"].is_null(),
            "the pod is in the host's network"
        );
        ensure!(
            context["capabilities"]["drop"] == json!(["ALL"]),
            "not every capability is dropped"
        );
        let user = &self.spec["securityContext"];
        let mut arguments = vec![INSTALLED.to_owned()];
        arguments.extend(names(&container["args"])?);
        let namespaces: Vec<Value> = NAMESPACES.map(|kind| json!({ "type": kind })).into();
        Ok(json!({
            "process": {
                "user": { "uid": user["runAsUser"], "gid": user["runAsGroup"] },
                "args": arguments,
                "env": environment(container)?,
                "noNewPrivileges": context["allowPrivilegeEscalation"] == false,
                "capabilities": {
                    "bounding": self.capabilities,
                    "permitted": self.capabilities,
                    "effective": self.capabilities,
                },
            },
            "root": { "readonly": context["readOnlyRootFilesystem"] == true },
            "mounts": self.mounts(state, settings)?,
            "linux": {
                "namespaces": namespaces,
                "seccomp": resolved(&self.profile, &self.capabilities),
                "maskedPaths": HIDDEN,
                "readonlyPaths": FIXED,
            },
        }))
    }

    fn mounts(&self, state: &Path, settings: &Path) -> Result<Vec<Value>> {
        let volumes = items(&self.spec["volumes"]);
        let mut mounts = Vec::new();
        for mount in items(&self.spec["containers"][0]["volumeMounts"]) {
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
            let volume = volume.with_context(|| format!("no volume of {mount}"))?;
            let place = mount["mountPath"].as_str().context("no mountPath")?;
            let options = [if mount["readOnly"] == true { "ro" } else { "rw" }];
            let host = volume["hostPath"]["path"].as_str();
            match (host, volume["hostPath"]["type"].as_str()) {
                (Some(host), Some("Directory")) => mounts.push(bind(Path::new(host), place, &options)),
                // The kubelet would make it on the node.
                (Some(_), Some("DirectoryOrCreate")) => mounts.push(bind(state, place, &options)),
                (None, _) if volume["configMap"].is_object() => mounts.push(bind(settings, place, &options)),
                // Optional, and absent: an empty directory.
                (None, _) if volume["secret"]["optional"] == true => {}
                _ => bail!("what is to be at {place} is not known here: {volume}"),
            }
        }
        Ok(mounts)
    }
}

/// A profile as Docker's and the containers project's files have it, for a container with these capabilities: a runtime is
/// given what is left of its conditions. A profile without conditions is as it is.
fn resolved(profile: &Value, capabilities: &[String]) -> Value {
    let Some(map) = profile["archMap"].as_array() else {
        return profile.clone();
    };
    let names = |list: &Value| -> Vec<String> { names(list).unwrap_or_default() };
    let of_machine = map.iter().find(|one| one["architecture"] == MACHINE.1);
    let mut architectures = vec![MACHINE.1.to_owned()];
    architectures.extend(of_machine.map_or_else(Vec::new, |one| names(&one["subArchitectures"])));
    let holds = |condition: &Value, all: bool| {
        let (caps, arches) = (names(&condition["caps"]), names(&condition["arches"]));
        let held = |name: &String| capabilities.contains(name);
        let here = arches.iter().any(|name| name == MACHINE.0);
        // Each kernel that the sensor runs on is newer than any that these files name.
        if all {
            caps.iter().all(held) && (arches.is_empty() || here)
        } else {
            caps.iter().any(held) || here || condition["minKernel"].is_string()
        }
    };
    let rules = items(&profile["syscalls"]).iter();
    let rules = rules.filter(|rule| holds(&rule["includes"], true) && !holds(&rule["excludes"], false));
    let rules: Vec<Value> = rules
        .map(|rule| {
            let mut left = rule.clone();
            if let Some(fields) = left.as_object_mut() {
                fields.retain(|name, value| {
                    matches!(name.as_str(), "names" | "action" | "args" | "errnoRet") && !value.is_null()
                });
            }
            left
        })
        .collect();
    let mut profile = json!({
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile["defaultErrnoRet"],
        "architectures": architectures,
        "syscalls": rules,
    });
    if let Some(fields) = profile.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    profile
}

/// Variables with a value; those of the container's limits have what these say, and those of the pod's own fields one
/// made up. They are put in where a later one names them.
fn environment(container: &Value) -> Result<Vec<String>> {
    let limits = &container["resources"]["limits"];
    let mut values: Vec<(&str, String)> = Vec::new();
    for variable in items(&container["env"]) {
        let name = variable["name"].as_str().unwrap_or_default();
        let resource = &variable["valueFrom"]["resourceFieldRef"];
        let mut value = if resource.is_object() {
            limit(resource, limits).with_context(|| format!("{name} of {resource}"))?
        } else {
            variable["value"].as_str().unwrap_or("made-up").to_owned()
        };
        for (earlier, its) in &values {
            value = value.replace(&format!("$({earlier})"), its);
        }
        values.push((name, value));
    }
    let search = "PATH=/usr/bin".to_owned();
    let variables = values.iter().map(|(name, value)| format!("{name}={value}"));
    Ok(variables.chain([search]).collect())
}

/// A limit in units of its divisor, rounded up, as the kubelet gives it.
fn limit(resource: &Value, limits: &Value) -> Result<String> {
    let name = resource["resource"].as_str().unwrap_or_default();
    let name = name.strip_prefix("limits.").context("no limit")?;
    let whole = thousandths(limits[name].as_str().context("the container has none")?)?;
    let divisor = thousandths(resource["divisor"].as_str().unwrap_or("1"))?;
    Ok(whole.div_ceil(divisor).to_string())
}

/// A quantity of Kubernetes, in thousandths.
fn thousandths(quantity: &str) -> Result<u64> {
    let digits = quantity.trim_end_matches(char::is_alphabetic);
    let factor = match quantity.strip_prefix(digits).unwrap_or_default() {
        "m" => 1,
        "" => 1000,
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        other => bail!("{other} is not known here"),
    };
    let number: u64 = digits
        .parse()
        .with_context(|| format!("{quantity} is no quantity"))?;
    number.checked_mul(factor).context("too much")
}

/// Capabilities by their full names.
fn full(list: &Value) -> Result<Vec<String>> {
    Ok(names(list)?.iter().map(|name| format!("CAP_{name}")).collect())
}

/// Texts of a list.
fn names(list: &Value) -> Result<Vec<String>> {
    let texts = items(list).iter().map(Value::as_str);
    let texts: Option<Vec<&str>> = texts.collect();
    let texts = texts.context("a list holds something else than texts")?;
    Ok(texts.into_iter().map(str::to_owned).collect())
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "
spec:
  template:
    spec:
      hostPID: true
      securityContext: { runAsUser: 0, runAsGroup: 0 }
      containers:
        - args: [run]
          env:
            - { name: NODE, valueFrom: {} }
            - { name: SAYS, value: on $(NODE) }
            - { name: CPU, valueFrom: { resourceFieldRef: { resource: limits.cpu, divisor: 10m } } }
            - { name: MEMORY, valueFrom: { resourceFieldRef: { resource: limits.memory } } }
          resources: { limits: { cpu: 1500m, memory: 1Gi } }
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: { drop: [ALL], add: [BPF, PERFMON] }
          volumeMounts:
            - { name: config, mountPath: /etc/x, readOnly: true }
            - { name: state, mountPath: /var/lib/x }
      volumes:
        - { name: config, configMap: { name: x } }
        - { name: state, hostPath: { path: /var/lib/x, type: DirectoryOrCreate } }
";

    fn config(manifest: &str) -> Result<Value> {
        let pod = Pod::read(manifest, "{\"defaultAction\": \"SCMP_ACT_ERRNO\"}")?;
        pod.config(Path::new("/state"), Path::new("/settings"))
    }

    #[test]
    fn a_manifest_becomes_what_a_runtime_applies() {
        let config = config(MANIFEST).unwrap();
        let process = &config["process"];
        assert_eq!(process["args"], json!([INSTALLED, "run"]));
        assert_eq!(process["env"][1], "SAYS=on made-up");
        assert_eq!(process["env"][2], "CPU=150");
        assert_eq!(process["env"][3], "MEMORY=1073741824");
        assert_eq!(process["noNewPrivileges"], true);
        assert_eq!(
            process["capabilities"]["bounding"],
            json!(["CAP_BPF", "CAP_PERFMON"])
        );
        assert_eq!(config["root"]["readonly"], true);
        assert_eq!(config["mounts"][0]["source"], "/settings");
        assert_eq!(config["mounts"][1]["options"], json!(["rw", "bind"]));
        assert_eq!(config["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
    }

    #[test]
    fn conditions_of_a_profile_are_resolved_for_the_container() {
        let profile = json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "archMap": [
                { "architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"] },
                { "architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_X86"] },
            ],
            "syscalls": [
                { "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "x" },
                { "names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": { "caps": ["CAP_BPF", "CAP_PERFMON"] } },
                { "names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": { "caps": ["CAP_BPF", "CAP_X"] } },
                { "names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": { "arches": ["s390x"] } },
            ],
        });
        let names = |capabilities: &[&str]| {
            let capabilities: Vec<String> = capabilities.iter().map(|&name| name.to_owned()).collect();
            let resolved = resolved(&profile, &capabilities);
            assert_eq!(resolved["architectures"].as_array().unwrap().len(), 2);
            assert!(resolved.get("defaultErrnoRet").is_none());
            resolved["syscalls"].clone()
        };
        let read = json!({ "names": ["read"], "action": "SCMP_ACT_ALLOW" });
        let allowed = json!({ "names": ["bpf"], "action": "SCMP_ACT_ALLOW" });
        let refused = json!({ "names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1 });
        assert_eq!(names(&[]), json!([read, refused]));
        assert_eq!(names(&["CAP_BPF"]), json!([read]));
        assert_eq!(names(&["CAP_BPF", "CAP_PERFMON"]), json!([read, allowed]));
    }

    #[test]
    fn other_capabilities_are_those_of_the_values() {
        let pod = Pod::read(MANIFEST, "{}").unwrap();
        let pod = pod.with_values("capabilities: [SYS_ADMIN, SYS_PTRACE]").unwrap();
        assert_eq!(pod.without("CAP_SYS_PTRACE").capabilities, ["CAP_SYS_ADMIN"]);
    }

    #[test]
    fn what_is_not_known_here_is_refused() {
        for (from, to) in [
            ("hostPID: true", "hostPID: false"),
            ("drop: [ALL]", "drop: []"),
            ("DirectoryOrCreate", "Socket"),
            ("memory: 1Gi", "memory: 1Q"),
        ] {
            assert!(config(&MANIFEST.replace(from, to)).is_err(), "{to}");
        }
    }
}
