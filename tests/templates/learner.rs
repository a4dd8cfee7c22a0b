//! The sensor's inventory as it is evaluated: calls become exchanges.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use sensor_user::capture::{Comm, ProcessKey, Role, Source, StreamKey};
use sensor_user::exchange::{
    Body, Caller, Client, Connection, Credentials, Exchange, Head, Outcome, Request, Response,
};
use sensor_user::inventory::{Inventory, Limits, Standing};
use sensor_user::protocol::Span;
use sensor_user::telemetry::Counters;

use super::evaluate::Learner;
use super::traffic::Call;

pub(crate) struct Sensor {
    inventory: Inventory,
    connection: Arc<Connection>,
}

impl Sensor {
    pub(crate) fn new() -> Self {
        // The largest description has 17,000 operations.
        let limits = Limits {
            endpoints: 30_000,
            template_bytes: 4_096,
            ..Limits::default()
        };
        let process = ProcessKey { pid: 1, start_ns: 1 };
        let address = IpAddr::from([10, 0, 0, 1]);
        Self {
            inventory: Inventory::new(limits, Arc::new(Counters::default())),
            connection: Arc::new(Connection {
                stream: StreamKey {
                    process,
                    source: Source::Tls,
                    id: 1,
                    generation: 0,
                },
                process,
                comm: Comm::default(),
                container: None,
                role: Role::Server,
                local: Some((address, 443)),
                remote: Some((address, 50_000)),
                evidence: None,
                ambiguous: false,
                proxied_for: None,
                tls: true,
            }),
        }
    }

    fn exchange(&self, call: &Call, status: u16) -> Exchange {
        let raw = format!("{} {} HTTP/1.1\r\n\r\n", call.method, call.path);
        let span = |start: usize, len: usize| Span {
            start: u32::try_from(start).unwrap(),
            len: u32::try_from(len).unwrap(),
        };
        let head = if status == 301 { "Location: /login\r\n" } else { "" };
        let headers = if head.is_empty() {
            Vec::new()
        } else {
            vec![(span(0, 8), span(10, 6))]
        };
        Exchange {
            connection: Arc::clone(&self.connection),
            request: Request {
                method: span(0, call.method.len()),
                target: span(call.method.len() + 1, call.path.len()),
                head: Head {
                    raw: Bytes::from(raw),
                    ..Head::default()
                },
                trailers: Head::default(),
                version: 11,
                body: Body::default(),
                time_ns: (0, 0),
                early_data: false,
            },
            outcome: Outcome::Answered(Box::new(Response {
                head: Head {
                    raw: Bytes::from_static(head.as_bytes()),
                    headers,
                },
                status,
                trailers: Head::default(),
                body: Body {
                    total: call.length,
                    ..Body::default()
                },
                time_ns: (0, 0),
            })),
            caller: Caller::Anonymous,
            credentials: Credentials::default(),
            client: Client::default(),
            handover: None,
            calls: sensor_user::exchange::call::Calls::new(),
            anomalies: smallvec::SmallVec::new(),
            part: None,
        }
    }
}

impl Learner for Sensor {
    fn see(&mut self, call: &Call) {
        let exchange = self.exchange(call, call.status);
        self.inventory.observe(&exchange, &[]);
        self.inventory.take_changes().for_each(drop);
    }

    fn known(&self) -> Vec<(String, String)> {
        self.inventory
            .endpoints()
            .filter(|entry| entry.standing == Standing::Known)
            .map(|entry| {
                (
                    entry.endpoint.method.name().to_owned(),
                    entry.endpoint.template.to_string(),
                )
            })
            .collect()
    }

    /// By an answer that teaches nothing: 404 counts where the endpoint is known, and nowhere else.
    fn resolve(&mut self, call: &Call) -> Option<String> {
        let exchange = self.exchange(call, 404);
        let seen = self.inventory.observe(&exchange, &[]);
        (seen.standing != Standing::Probe).then(|| seen.endpoint.template.to_string())
    }
}
