//! The watch on the API server: pods of this node, and annotations of namespaces.
//!
//! Takes the service account's access. Fills a [`Directory`]. Never fails the start, and never gives up: what breaks is
//! counted, said once, and tried again with growing pauses. Bounded by pages of the list and by what the directory
//! keeps.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::client::ClientBuilder;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, DefaultBackoff, Event};
use kube::{Api, Client, Config};
use tokio::runtime::Handle;

use super::directory::{Directory, Limits, Step};
use super::pod::{Served, cut, marked};
use crate::config::{Kubernetes, KubernetesMode, WatchedPods};
use crate::telemetry::contact::Contact;
use crate::telemetry::{Accounts, Metric};

/// Where kubelet puts the token.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// The variable that every pod gets.
const SERVICE_HOST: &str = "KUBERNETES_SERVICE_HOST";
/// The variable that the manifests set to the node's name.
const NODE_NAME: &str = "NODE_NAME";

/// A connection to an API server that lives takes milliseconds.
const CONNECT: Duration = Duration::from_secs(5);
/// Seconds after which the API server ends a watch, to be asked anew; one that is dead is noticed then, too. Bookmarks come
/// each minute.
const WATCH_S: u32 = 150;
/// What may pass without a byte: more than a watch takes, beyond which the watcher waits for 5 s.
const SILENCE: Duration = Duration::from_secs(WATCH_S as u64 + 15);
/// Between two tries to read the service account.
const NO_ACCESS: Duration = Duration::from_secs(30);
/// Refusals in a row of a watch that goes on from where it was, after which the list is read anew: an API server whose
/// store was put back does not know the place (`ResourceVersionTooLarge`).
const REFUSALS: u32 = 5;
/// Bytes of an error that are logged.
const MAX_ERROR: usize = 300;

/// How to reach the API server.
pub struct Access {
    /// Read again after a failure: a token may come later.
    pub config: Box<dyn Fn() -> Result<Config, AccessError> + Send + Sync>,
    /// The node.
    pub node: String,
    /// Seconds of one watch.
    pub watch_s: u32,
    /// What may pass without a byte.
    pub silence: Duration,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Why the API server cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// No service account.
    #[error("cannot read the pod's service account")]
    Account(#[from] kube::config::InClusterError),
    /// No client of it.
    #[error("cannot use the pod's service account")]
    Client(#[from] kube::Error),
}

/// Whether a configuration asks for the API server, here.
fn is_wanted(settings: &Kubernetes) -> bool {
    match settings.mode {
        KubernetesMode::Off => false,
        KubernetesMode::On => true,
        KubernetesMode::Auto => {
            std::env::var_os(SERVICE_HOST).is_some() && std::path::Path::new(TOKEN).exists()
        }
    }
}

/// Begins to ask, where that is wanted. Gives the directory at once; it fills as answers come.
pub fn start(settings: &Kubernetes, runtime: &Handle, accounts: &Accounts) -> Option<Arc<Directory>> {
    if !is_wanted(settings) {
        return None;
    }
    let node = settings.node.clone().or_else(|| std::env::var(NODE_NAME).ok());
    let Some(node) = node.filter(|node| crate::config::is_node_name(node)) else {
        tracing::warn!(
            "the API server is not asked for pods: name this node with kubernetes.node or the variable NODE_NAME"
        );
        return None;
    };
    let access = Access {
        config: Box::new(|| Ok(Config::incluster()?)),
        node,
        watch_s: WATCH_S,
        silence: SILENCE,
    };
    let directory = Arc::new(Directory::new(
        &settings.labels,
        settings.watch,
        Limits::default(),
        Arc::clone(&accounts.apiserver),
        Arc::clone(&accounts.sensor),
    ));
    directory.contact().line.set(Contact::Starting);
    runtime.spawn(run(access, Arc::clone(&directory)));
    Some(directory)
}

/// Fills the directory for ever.
pub async fn run(access: Access, directory: Arc<Directory>) {
    let (pods, namespaces) = loop {
        match clients(&access, &directory) {
            Ok(clients) => break clients,
            Err(error) => lost(&directory, &error),
        }
        tokio::time::sleep(NO_ACCESS).await;
    };
    let namespaces = async {
        if directory.watched() != WatchedPods::Regardless {
            watch_namespaces(namespaces, access.watch_s, &directory).await;
        }
    };
    tokio::join!(watch_pods(pods, &access, &directory), namespaces);
}

/// One client for pods, whose good answers are noted: a watch that goes on after a failure is silent until something
/// happens. One for namespaces.
fn clients(access: &Access, directory: &Arc<Directory>) -> Result<(Client, Client), AccessError> {
    let mut config = (access.config)()?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(access.silence);
    // The pauses are ours.
    config.default_retry = false;
    let noting = tower::util::MapResponseLayer::new(noting(Arc::clone(directory)));
    let pods = ClientBuilder::try_from(config.clone())?.with_layer(&noting);
    let namespaces = ClientBuilder::try_from(config)?;
    Ok((pods.build(), namespaces.build()))
}

fn noting<B>(
    directory: Arc<Directory>,
) -> impl Fn(hyper::Response<B>) -> hyper::Response<B> + Clone + Send + 'static {
    move |response| {
        if response.status().is_success() {
            in_touch(&directory);
        }
        response
    }
}

async fn watch_pods(client: Client, access: &Access, directory: &Directory) {
    let api: Api<Served> = Api::all(client);
    let wanted = watcher::Config::default()
        .fields(&format!("spec.nodeName={}", access.node))
        .timeout(access.watch_s)
        // From the API server's memory: every node asks, and a watch follows.
        .any_semantic();
    let mut backoff = DefaultBackoff::default();
    loop {
        let stream = watcher::watcher(api.clone(), wanted.clone());
        let failed = |error: &watcher::Error| lost(directory, error);
        follow(stream, &mut backoff, failed, |event| directory.pod(step(event))).await;
    }
}

async fn watch_namespaces(client: Client, watch_s: u32, directory: &Directory) {
    let api: Api<PartialObjectMeta<NamespaceObject>> = Api::all(client);
    let wanted = watcher::Config::default().timeout(watch_s).any_semantic();
    let mut backoff = DefaultBackoff::default();
    let mut said = false;
    loop {
        let stream = watcher::watcher(api.clone(), wanted.clone());
        let failed = |error: &watcher::Error| {
            directory.counters().add(Metric::KubernetesFailures, 1);
            directory.without_namespaces();
            if is_refused(error) && !std::mem::replace(&mut said, true) {
                tracing::warn!(
                    annotation = super::pod::WATCH,
                    "namespaces may not be read: what they say of their pods is not known; allow list and watch"
                );
            }
        };
        follow(stream, &mut backoff, failed, |event| {
            directory.namespace(match step(event) {
                Step::Begin => Step::Begin,
                Step::Complete => Step::Complete,
                Step::Apply(object) => Step::Apply(namespace(&object)),
                Step::Delete(object) => Step::Delete(namespace(&object)),
            });
        })
        .await;
    }
}

fn namespace(object: &PartialObjectMeta<NamespaceObject>) -> super::directory::Namespace {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    (cut(name), marked(&object.metadata))
}

fn step<T>(event: Event<T>) -> Step<T> {
    match event {
        Event::Init => Step::Begin,
        Event::InitApply(object) | Event::Apply(object) => Step::Apply(object),
        Event::Delete(object) => Step::Delete(object),
        Event::InitDone => Step::Complete,
    }
}

/// Takes what a watch tells, until it has to begin anew.
async fn follow<T>(
    stream: impl Stream<Item = watcher::Result<Event<T>>>,
    backoff: &mut DefaultBackoff,
    mut failed: impl FnMut(&watcher::Error),
    mut take: impl FnMut(Event<T>),
) {
    let mut stream = std::pin::pin!(stream);
    let mut refusals = 0_u32;
    while let Some(event) = stream.next().await {
        let error = match event {
            Ok(event) => {
                refusals = 0;
                take(event);
                continue;
            }
            Err(error) => error,
        };
        // A place that is too old to go on from is no failure: a list follows.
        if !matches!(&error, watcher::Error::WatchError(status) if status.code == GONE) {
            failed(&error);
        }
        tokio::time::sleep(backoff.next().unwrap_or(NO_ACCESS)).await;
        refusals += u32::from(matches!(
            error,
            watcher::Error::WatchStartFailed(kube::Error::Api(_))
        ));
        if refusals >= REFUSALS {
            return;
        }
    }
}

/// `410 Gone`.
const GONE: u16 = 410;

fn is_refused(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))) = error
    else {
        return false;
    };
    matches!(status.code, 401 | 403)
}

fn in_touch(directory: &Directory) {
    if directory.contact().line.set(Contact::InTouch) {
        tracing::info!("the API server answers");
    }
}

fn lost(directory: &Directory, error: &dyn std::error::Error) {
    directory.counters().add(Metric::KubernetesFailures, 1);
    if directory.contact().line.set(Contact::Lost) {
        // It may hold text of the server's.
        let error: String = error.to_string().chars().take(MAX_ERROR).collect();
        let error = error.escape_debug().to_string();
        tracing::warn!(error, "the API server is lost; what is known of pods stays");
    }
}

#[cfg(test)]
mod tests;
