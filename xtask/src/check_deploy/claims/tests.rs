use super::*;

const PAGE: &str = "\
# Privileges

## Linux 6.1, perf_event_paranoid 2

Measured on 6.1.0-56-cloud-amd64.

| capabilities | load | tracefs formats | system calls | multi uprobe | perf uprobe | others' processes | TLS seen | plain seen |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| CAP_BPF | yes | no | no | no | no | no | no | no |
| CAP_SYS_ADMIN, CAP_SYS_PTRACE | yes | yes | yes | no | yes | yes | yes | yes |

## Linux 6.18, perf_event_paranoid 2

Measured on 6.18.44.

| capabilities | load | tracefs formats | system calls | multi uprobe | perf uprobe | others' processes | TLS seen | plain seen |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
| CAP_BPF, CAP_PERFMON | yes | yes | yes | yes | no | yes | yes | yes |
| CAP_SYS_ADMIN, CAP_SYS_PTRACE | yes | yes | yes | no | yes | yes | yes | yes |
";

fn measured() -> Capabilities {
    Capabilities::measured(PAGE).unwrap()
}

fn daemon_set() -> Value {
    json!({
        "kind": "DaemonSet",
        "metadata": {"name": "s"},
        "spec": {
            "selector": {"matchLabels": {"app": "s"}},
            "template": {
                "metadata": {"labels": {"app": "s"}},
                "spec": {
                    "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [{
                        "name": "s",
                        "ports": [{"name": "metrics", "containerPort": 9464}],
                        "startupProbe": {"httpGet": {"port": "metrics"}},
                        "livenessProbe": {"httpGet": {"port": "metrics"}},
                        "readinessProbe": {"httpGet": {"port": "metrics"}},
                        "env": [
                            {"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                            {"name": "B", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}
                        ],
                        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"], "add": ["PERFMON", "BPF"]}
                        },
                        "volumeMounts": [{"mountPath": "/etc/s", "readOnly": true}, {"mountPath": "/var/lib/s"}]
                    }]
                }
            }
        }
    })
}

fn document(value: Value) -> Document {
    Document { value }
}

/// Mistakes found when one place of the pod's container is set.
fn with(pointer: &str, value: Value) -> Vec<String> {
    let mut changed = daemon_set();
    let container = changed.pointer_mut("/spec/template/spec/containers/0").unwrap();
    *container.pointer_mut(pointer).unwrap() = value;
    check("here", &[document(changed)], &measured().usual)
}

#[test]
fn the_page_gives_both_sets() {
    let names = |names: [&str; 2]| Set::from(names.map(str::to_owned));
    let measured = measured();
    assert_eq!(measured.usual, names(["BPF", "PERFMON"]));
    assert_eq!(measured.older, names(["SYS_ADMIN", "SYS_PTRACE"]));
    assert!(Capabilities::measured("# Privileges\n").is_err());
}

#[test]
fn a_pod_with_more_than_was_measured_is_refused() {
    assert_eq!(
        check("here", &[document(daemon_set())], &measured().usual),
        Vec::<String>::new()
    );
    assert_eq!(check("here", &[], &measured().usual).len(), 1);
    assert_eq!(with("/securityContext/capabilities/add", json!(["BPF"])).len(), 1);
    assert_eq!(
        with(
            "/securityContext/capabilities/add",
            json!(["BPF", "PERFMON", "NET_ADMIN"])
        )
        .len(),
        1
    );
    assert_eq!(with("/securityContext/capabilities/drop", json!([])).len(), 1);
    assert_eq!(
        with("/securityContext/allowPrivilegeEscalation", json!(true)).len(),
        1
    );
    assert_eq!(
        with("/securityContext/readOnlyRootFilesystem", json!(false)).len(),
        1
    );
    assert_eq!(with("/resources/limits/memory", Value::Null).len(), 1);
    assert_eq!(with("/env", Value::Null).len(), 2);
    // Wherever it stands.
    assert_eq!(with("/volumeMounts", json!([{"privileged": true}])).len(), 1);
}

#[test]
fn a_role_that_reads_more_than_pods_and_namespaces_is_refused() {
    let role = |resources: Value| {
        let rules = json!([{"apiGroups": [""], "resources": resources, "verbs": ["list", "watch"]}]);
        let role = json!({"kind": "ClusterRole", "metadata": {"name": "s"}, "rules": rules});
        check(
            "here",
            &[document(daemon_set()), document(role)],
            &measured().usual,
        )
        .len()
    };
    assert_eq!(role(json!(["namespaces", "pods"])), 0);
    assert_eq!(role(json!(["namespaces", "pods", "secrets"])), 1);
}

#[test]
fn the_monitor_must_reach_the_port() {
    let service = |target: &str| {
        json!({
            "kind": "Service",
            "metadata": {"name": "s", "labels": {"app": "s"}},
            "spec": {"selector": {"app": "s"}, "ports": [{"name": "metrics", "targetPort": target}]}
        })
    };
    let monitor = |label: &str| {
        json!({
            "kind": "ServiceMonitor",
            "metadata": {"name": "s"},
            "spec": {"selector": {"matchLabels": {"app": label}}, "endpoints": [{"port": "metrics"}]}
        })
    };
    let policy = json!({"kind": "NetworkPolicy", "spec": {"podSelector": {"matchLabels": {"app": "s"}}}});
    let found = |target: &str, label: &str| {
        let values = [daemon_set(), service(target), monitor(label), policy.clone()];
        monitored("here", &values.map(document)).len()
    };
    assert_eq!(found("metrics", "s"), 0);
    assert_eq!(found("web", "s"), 1);
    assert_eq!(found("metrics", "t"), 1);
}

#[test]
fn the_configuration_must_fit_port_and_mounts() {
    let found = |listen: &str, directory: &str| {
        let text = format!("[metrics]\nlisten = \"{listen}\"\n[state]\ndirectory = \"{directory}\"\n");
        fitting("here", &text, &[document(daemon_set())]).len()
    };
    assert_eq!(found("0.0.0.0:9464", "/var/lib/s/state"), 0);
    assert_eq!(found("127.0.0.1:9464", "/var/lib/s/state"), 1);
    assert_eq!(found("0.0.0.0:9465", "/var/lib/s/state"), 1);
    assert_eq!(found("0.0.0.0:9464", "/var/lib/s"), 1);
    assert_eq!(found("0.0.0.0:9464", "/etc/s/state"), 1);
    assert_eq!(fitting("here", "[", &[]).len(), 1);
}

#[test]
fn a_list_of_calls_that_leads_out_is_refused() {
    let found = |action: &str, names: Value| {
        let list =
            json!({"defaultAction": action, "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]});
        profile("here", &list).len()
    };
    assert_eq!(
        found(
            "SCMP_ACT_ERRNO",
            json!(["bpf", "perf_event_open", "open_by_handle_at"])
        ),
        0
    );
    assert_eq!(
        found(
            "SCMP_ACT_ALLOW",
            json!(["bpf", "perf_event_open", "open_by_handle_at"])
        ),
        1
    );
    assert_eq!(found("SCMP_ACT_ERRNO", json!(["bpf", "open_by_handle_at"])), 1);
    assert_eq!(
        found(
            "SCMP_ACT_ERRNO",
            json!(["bpf", "perf_event_open", "open_by_handle_at", "setns"])
        ),
        1
    );
}
