//! The watch on pods against a real API server with its store: what the role grants is enough, changes arrive, and a
//! server that is killed takes nothing away. `cargo xtask kube-apiserver` builds the server and runs this.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests panic with context, their parts included"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, Client, Config};
use sensor_tests::guard::Guard;
use sensor_tests::testbed;
use sensor_tests::wait::{self, Deadline, STARTING};
use sensor_user::config::WatchedPods;
use sensor_user::kubernetes::directory::Limits;
use sensor_user::kubernetes::{Access, Choice, Directory, Workload, run};
use sensor_user::telemetry::contact::Contact;
use serde_json::{Value, json};
use tempfile::TempDir;

const ETCD: &str = "/usr/bin/etcd";
/// Tokens of the server's list, for this run on loopback.
const ADMIN: &str = "admin-token";
const SENSOR: &str = "sensor-token";

/// etcd and an API server, which can be killed and started again.
struct Cluster {
    directory: TempDir,
    _etcd: Guard,
    etcd_port: u16,
    port: u16,
    server: Option<Guard>,
}

fn quiet(command: &mut Command, log: &Path) -> Guard {
    let log = fs::File::options().create(true).append(true).open(log).unwrap();
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Guard::start(command).unwrap()
}

impl Cluster {
    fn start(program: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let tokens = format!("{ADMIN},admin,admin,system:masters\n{SENSOR},sensor,sensor\n");
        fs::write(at("tokens"), tokens).unwrap();
        let key = at("key.pem");
        let made = Command::new("openssl")
            .args(["genrsa", "-out"])
            .arg(&key)
            .arg("2048")
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "no key");
        let (etcd_port, peer_port) = (wait::free_port().unwrap(), wait::free_port().unwrap());
        let [client, peer] = [etcd_port, peer_port].map(|port| format!("http://127.0.0.1:{port}"));
        let mut etcd = Command::new(ETCD);
        etcd.arg("--data-dir").arg(at("etcd"));
        for (option, value) in [
            ("--listen-client-urls", &client),
            ("--advertise-client-urls", &client),
            ("--listen-peer-urls", &peer),
            ("--initial-advertise-peer-urls", &peer),
        ] {
            etcd.arg(option).arg(value);
        }
        etcd.arg(format!("--initial-cluster=default={peer}"));
        let etcd = quiet(&mut etcd, &at("etcd.log"));
        let mut cluster = Self {
            _etcd: etcd,
            etcd_port,
            port: wait::free_port().unwrap(),
            server: None,
            directory,
        };
        cluster.start_server(program);
        cluster
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn start_server(&mut self, program: &Path) {
        let key = self.at("key.pem");
        let mut server = Command::new(program);
        server
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port))
            .arg(format!("--secure-port={}", self.port))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .args([
                "--authorization-mode=RBAC",
                "--disable-admission-plugins=ServiceAccount",
            ])
            .args([
                "--service-account-issuer=https://kubernetes.default.svc",
                "--insecure-port=0",
            ])
            .arg(format!("--cert-dir={}", self.at("certificates").display()))
            .arg(format!("--token-auth-file={}", self.at("tokens").display()))
            .arg(format!("--service-account-key-file={}", key.display()))
            .arg(format!("--service-account-signing-key-file={}", key.display()));
        self.server = Some(quiet(&mut server, &self.at("server.log")));
        wait::listening(self.port, Deadline::after(STARTING)).unwrap();
    }

    fn kill_server(&mut self) {
        self.server = None;
    }

    fn config(&self, token: &str) -> Config {
        let mut config = Config::new(format!("https://127.0.0.1:{}", self.port).parse().unwrap());
        // What the server made for itself is its own authority.
        config.root_cert_file = Some(self.at("certificates/apiserver.crt"));
        config.auth_info.token = Some(token.to_owned().into());
        config
    }
}

fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    let version = "v1".to_owned();
    let api_version = if group.is_empty() {
        version.clone()
    } else {
        format!("{group}/{version}")
    };
    ApiResource {
        group: group.to_owned(),
        version,
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Makes an object, until the server takes it: it serves before its own roles and namespaces are made.
async fn make(api: &Api<DynamicObject>, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    for _ in 0..600 {
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => return,
            Err(_not_yet) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    panic!("not made: {object:?}");
}

async fn change(api: &Api<DynamicObject>, name: &str, patch: Value) {
    let how = PatchParams::default();
    api.patch(name, &how, &Patch::Merge(patch)).await.unwrap();
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Deadline::after(STARTING);
    while !holds() {
        assert!(!deadline.is_over(), "in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn pod(name: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": {"app.kubernetes.io/name": "cart", "pod-template-hash": "5d4f8c7b9"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-5d4f8c7b9",
                "uid": "0aa5ba4c-9d10-4ba7-91ab-4dc9cdbd4c6b", "controller": true}],
        },
        "spec": {"nodeName": node, "containers": [{"name": "cart", "image": "cart:1"}]},
    })
}

async fn uid(api: &Api<DynamicObject>, name: &str) -> String {
    api.get(name).await.unwrap().metadata.uid.unwrap()
}

/// What deploy/kubernetes/rbac.yaml grants.
async fn grant(admin: &Client) {
    let yaml = include_str!("../deploy/kubernetes/rbac.yaml");
    for line in ["resources: [namespaces, pods]", "verbs: [list, watch]"] {
        assert!(yaml.contains(line), "another role by now: {line}");
    }
    let group = "rbac.authorization.k8s.io";
    let roles = Api::all_with(admin.clone(), &resource(group, "ClusterRole", "clusterroles"));
    make(
        &roles,
        json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": {"name": "api-sensor"},
            "rules": [{"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": ["list", "watch"]}]}),
    )
    .await;
    let bindings = resource(group, "ClusterRoleBinding", "clusterrolebindings");
    make(
        &Api::all_with(admin.clone(), &bindings),
        json!({"apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "api-sensor"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "api-sensor"},
            "subjects": [{"kind": "User", "apiGroup": group, "name": "sensor"}]}),
    )
    .await;
}

#[test]
fn a_real_api_server_tells_of_pods_and_takes_nothing_away_when_it_is_killed() {
    let program = testbed::directory().join("kube-apiserver");
    for needed in [program.as_path(), Path::new(ETCD)] {
        if !needed.exists() {
            println!(
                "SKIPPED kubernetes: no {}; `cargo xtask kube-apiserver` makes it",
                needed.display()
            );
            return;
        }
    }
    let mut cluster = Cluster::start(&program);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(tell(&mut cluster, &program));
}

/// What is asked of, and what is told of it.
struct Scene {
    namespaces: Api<DynamicObject>,
    pods: Api<DynamicObject>,
    directory: Arc<Directory>,
    /// The uid of the pod on this node.
    here: String,
}

async fn tell(cluster: &mut Cluster, program: &Path) {
    let scene = watched(cluster).await;
    scene.changes_arrive().await;
    scene.a_loss_takes_nothing_away(cluster, program).await;
}

/// Two pods, one of them on the node that is watched, and a directory that knows it.
async fn watched(cluster: &Cluster) -> Scene {
    let admin = Client::try_from(cluster.config(ADMIN)).unwrap();
    grant(&admin).await;
    let namespaces = Api::all_with(admin.clone(), &resource("", "Namespace", "namespaces"));
    let meta = json!({"name": "shop"});
    make(
        &namespaces,
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}),
    )
    .await;
    let pods: Api<DynamicObject> = Api::namespaced_with(admin, "shop", &resource("", "Pod", "pods"));
    for (name, node) in [("here", "node-1"), ("there", "node-2")] {
        make(&pods, pod(name, node)).await;
    }
    let (here, there) = (uid(&pods, "here").await, uid(&pods, "there").await);
    let directory = Arc::new(Directory::new(
        &["app.kubernetes.io/name".to_owned()],
        WatchedPods::All,
        Limits::default(),
        Arc::default(),
        Arc::default(),
    ));
    let config = cluster.config(SENSOR);
    let access = Access {
        config: Box::new(move || Ok(config.clone())),
        node: "node-1".to_owned(),
        watch_s: 60,
        silence: Duration::from_secs(90),
    };
    tokio::spawn(run(access, Arc::clone(&directory)));
    until("the list", || directory.choice(&here) == Some(Choice::Unmarked)).await;
    let found = directory.by_uid(&here).unwrap();
    assert_eq!(
        (&*found.name, &*found.namespace, &*found.service),
        ("here", "shop", "cart")
    );
    assert_eq!(found.workload, Some((Workload::Deployment, "cart".into())));
    assert_eq!(directory.by_uid(&there), None, "of another node");
    Scene {
        namespaces,
        pods,
        directory,
        here,
    }
}

impl Scene {
    async fn changes_arrive(&self) {
        let Self {
            namespaces,
            pods,
            directory,
            here,
        } = self;
        let status =
            json!({"status": {"phase": "Running", "podIP": "10.1.0.7", "podIPs": [{"ip": "10.1.0.7"}]}});
        let how = PatchParams::default();
        pods.patch_status("here", &how, &Patch::Merge(status))
            .await
            .unwrap();
        until("an address", || {
            directory.by_address([10, 1, 0, 7].into()).is_some()
        })
        .await;
        let marked = |mark: Value| json!({"metadata": {"annotations": {"api-sensor/watch": mark}}});
        change(namespaces, "shop", marked("false".into())).await;
        until("the namespace's word", || {
            directory.choice(here) == Some(Choice::LeftAlone)
        })
        .await;
        change(pods, "here", marked("true".into())).await;
        until("the pod's word", || {
            directory.choice(here) == Some(Choice::Chosen)
        })
        .await;
    }

    async fn a_loss_takes_nothing_away(&self, cluster: &mut Cluster, program: &Path) {
        let Self {
            pods,
            directory,
            here,
            ..
        } = self;
        cluster.kill_server();
        until("the loss", || directory.contact().line.contact() == Contact::Lost).await;
        assert_eq!(
            directory.choice(here),
            Some(Choice::Chosen),
            "what was known stays"
        );
        cluster.start_server(program);
        until("the server again", || {
            directory.contact().line.contact() == Contact::InTouch
        })
        .await;
        make(pods, pod("late", "node-1")).await;
        let late = uid(pods, "late").await;
        until("a pod after that", || directory.by_uid(&late).is_some()).await;
        let at_once = DeleteParams::default().grace_period(0);
        pods.delete("here", &at_once).await.unwrap();
        until("a deleted pod", || directory.by_uid(here).is_none()).await;
        assert!(directory.by_address([10, 1, 0, 7].into()).is_none());
    }
}
