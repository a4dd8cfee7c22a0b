//! A stand-in for an API server: objects, their history, and faults on demand.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How requests are answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Serve,
    /// With this status.
    Fail(u16),
    /// Not at all.
    Hang,
    /// By closing the connection.
    Drop,
    /// With what is no JSON.
    Garbage,
}

#[derive(Debug)]
struct World {
    mode: Mode,
    forbidden: Option<&'static str>,
    version: u64,
    /// By kind and name.
    objects: BTreeMap<(&'static str, String), Value>,
    /// Version, kind of object and event.
    history: Vec<(u64, &'static str, Value)>,
    /// Versions up to it cannot be gone on from.
    compacted: u64,
    asked: Vec<String>,
}

#[derive(Clone)]
struct Shared {
    world: Arc<Mutex<World>>,
    changed: watch::Sender<u64>,
}

pub(super) struct Server {
    shared: Shared,
    address: SocketAddr,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let world = World {
            mode: Mode::Serve,
            forbidden: None,
            version: 1,
            objects: BTreeMap::new(),
            history: Vec::new(),
            compacted: 0,
            asked: Vec::new(),
        };
        let shared = Shared {
            world: Arc::new(Mutex::new(world)),
            changed: watch::Sender::new(1),
        };
        let server = Self {
            shared: shared.clone(),
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
        };
        let connections = Arc::clone(&server.connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection = tokio::spawn(serve(stream, shared.clone()));
                connections.lock().unwrap().push(connection);
            }
        });
        server
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn answer(&self, mode: Mode) {
        self.shared.world.lock().unwrap().mode = mode;
    }

    pub(super) fn forbid(&self, kind: &'static str) {
        self.shared.world.lock().unwrap().forbidden = Some(kind);
    }

    /// Ends every connection.
    pub(super) fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            connection.abort();
        }
    }

    pub(super) fn put(&self, kind: &'static str, name: &str, object: Value) {
        self.change(kind, name, Some(object));
    }

    pub(super) fn take_away(&self, kind: &'static str, name: &str) {
        self.change(kind, name, None);
    }

    fn change(&self, kind: &'static str, name: &str, object: Option<Value>) {
        let mut world = self.shared.world.lock().unwrap();
        world.version += 1;
        let version = world.version;
        let key = (kind, name.to_owned());
        let before = world.objects.remove(&key);
        let event = match (&before, &object) {
            (_, None) => "DELETED",
            (None, Some(_)) => "ADDED",
            (Some(_), Some(_)) => "MODIFIED",
        };
        let stays = object.is_some();
        let mut told = object.or(before).unwrap();
        told["metadata"]["resourceVersion"] = version.to_string().into();
        if stays {
            world.objects.insert(key, told.clone());
        }
        world
            .history
            .push((version, kind, json!({"type": event, "object": told})));
        drop(world);
        self.shared.changed.send_replace(version);
    }

    /// Forgets the history.
    pub(super) fn compact(&self) {
        let mut world = self.shared.world.lock().unwrap();
        world.compacted = world.version;
        world.history.clear();
    }

    /// Targets of requests, with what they accept.
    pub(super) fn asked(&self) -> Vec<String> {
        self.shared.world.lock().unwrap().asked.clone()
    }
}

async fn serve(stream: TcpStream, shared: Shared) {
    let service = hyper::service::service_fn(|request| answer(request, shared.clone()));
    // Cut off from either side.
    hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

type Body = BoxBody<Bytes, Infallible>;

fn full(status: u16, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).boxed();
    Response::builder().status(status).body(body).unwrap()
}

fn refusal(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("{reason}\u{1b}[2J"), "reason": reason, "code": code})
}

/// An error breaks the connection.
async fn answer(request: Request<Incoming>, shared: Shared) -> Result<Response<Body>, &'static str> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let accepts = request
        .headers()
        .get("accept")
        .map(|value| value.to_str().unwrap());
    let kind = if request.uri().path() == "/api/v1/pods" {
        "pods"
    } else {
        "namespaces"
    };
    let (mode, forbidden) = {
        let mut world = shared.world.lock().unwrap();
        let line = format!("{} {}", request.uri(), accepts.unwrap_or_default());
        world.asked.push(line);
        (world.mode, world.forbidden == Some(kind))
    };
    if forbidden {
        return Ok(full(403, refusal(403, "Forbidden").to_string()));
    }
    match mode {
        Mode::Serve => {}
        Mode::Fail(status) => return Ok(full(status, refusal(status, "Failed").to_string())),
        Mode::Hang => std::future::pending().await,
        Mode::Drop => return Err("asked for"),
        Mode::Garbage => {
            return Ok(full(
                200,
                "{\"type\":\"ADDED\",\"object\":7}\n<html>\u{0}".to_owned(),
            ));
        }
    }
    let version = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("resourceVersion="));
    let version = version.and_then(|version| version.parse().ok()).unwrap_or(0);
    if query.split('&').any(|pair| pair == "watch=true") {
        return Ok(changes(kind, version, shared));
    }
    let world = shared.world.lock().unwrap();
    let items = world.objects.iter().filter(|((of, _), _)| *of == kind);
    let items: Vec<Value> = items.map(|(_, object)| object.clone()).collect();
    let list = json!({"kind": "List", "apiVersion": "v1",
        "metadata": {"resourceVersion": world.version.to_string()}, "items": items});
    Ok(full(200, list.to_string()))
}

/// Events from a version on, for ever.
fn changes(kind: &'static str, from: u64, shared: Shared) -> Response<Body> {
    if from < shared.world.lock().unwrap().compacted {
        let gone = json!({"type": "ERROR", "object": refusal(410, "Expired")});
        return full(200, format!("{gone}\n"));
    }
    let receiver = shared.changed.subscribe();
    let lines = stream::unfold(
        (from, shared, receiver),
        move |(from, shared, mut receiver)| async move {
            loop {
                let next = {
                    let world = shared.world.lock().unwrap();
                    let mut of_kind = world.history.iter().filter(|(_, of, _)| *of == kind);
                    of_kind.find(|(version, ..)| *version > from).cloned()
                };
                if let Some((version, _, event)) = next {
                    let frame = Frame::data(Bytes::from(format!("{event}\n")));
                    return Some((Ok(frame), (version, shared, receiver)));
                }
                receiver.changed().await.ok()?;
            }
        },
    );
    Response::new(StreamBody::new(lines).boxed())
}
