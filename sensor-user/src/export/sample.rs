//! Events for the tests of every output: hostile names included.

use std::sync::Arc;

use super::{Event, Snapshot, Summary};
use crate::capture::{Comm, Container, Evidence as Binding, ProcessKey, Role, Runtime, Source, StreamKey};
use crate::classify::{Confidence, DataKind, Half, Label, Masked, Part, Place, ShownCall, ShownOperation};
use crate::detect::baseline::{Asks, PlacesSign, SkippedStep, Telling, TellsBy};
use crate::detect::objects::{ObjectSign, Shows};
use crate::detect::{
    Assigned, AttackShape, Bulk, Evidence, EvidenceKind, Excess, Finding, Function, Input, LoginAttack,
    Outsider, Privilege, RuleId, RuleMeta, Severity, TokenFlaw,
};
use crate::exchange::call::{CallKind, CallOutcome, Count, Messages};
use crate::exchange::{AuthScheme, CallerHash, Connection, Method, PartKind};
use crate::incident::budget::Held;
use crate::incident::{Incident, Moment, Stage, Subject, Tally};
use crate::inventory::{Endpoint, EndpointRef};
use crate::kubernetes::pod::Served;
use crate::kubernetes::{Peers, Pod};
use crate::protocol::soap::FaultCode;
use crate::telemetry::{Accounts, Metric};

static RULE: RuleMeta = RuleMeta {
    id: RuleId("API3-001"),
    title: "Sensitive data in a response",
    owasp_2019: "API3:2019",
    owasp_2023: "API3:2023",
    cwe: 213,
    severity: Severity::High,
    needs: &[Input::ResponseBody],
    evidence: &[EvidenceKind::Data],
    description: "Looks at response bodies.",
    remedy: "Return only the fields the caller needs.",
};

fn comm(name: &[u8]) -> Comm {
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
    Comm(bytes)
}

fn container() -> Arc<Container> {
    Arc::new(Container {
        id: "5c2bf1f0a9d04e0c8f8c1d3f4f5c6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5".into(),
        pod: Some("1f0c9f6e-2a8b-4c5d-9e7f-0123456789ab".into()),
        runtime: Some(Runtime::Containerd),
    })
}

/// A pod whose maker chose a label that a terminal would obey.
fn pod(name: &str) -> Arc<Pod> {
    let object = serde_json::json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": "1f0c9f6e-2a8b-4c5d-9e7f-0123456789ab",
            "labels": {"pod-template-hash": "7c9", "app.kubernetes.io/name": "shop", "tier": "web\u{1b}[2J"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "shop-7c9", "uid": "r", "controller": true},
            ],
        },
        "spec": {"nodeName": "node-1"},
    });
    let served: Served = serde_json::from_value(object).unwrap();
    Arc::new(served.pod(&["tier".into()]))
}

pub(super) fn connection(role: Role) -> Connection {
    let process = ProcessKey {
        pid: 4242,
        start_ns: 1,
    };
    Connection {
        stream: StreamKey {
            process,
            source: Source::Tls,
            id: 0x7f00,
            generation: 0,
        },
        process,
        comm: comm(b"curl"),
        container: Some(container()),
        role,
        local: Some(([127, 0, 0, 1].into(), 50_000)),
        remote: Some(([203, 0, 113, 7].into(), 443)),
        evidence: Some(Binding::NestedSyscall),
        ambiguous: false,
        proxied_for: None,
        tls: true,
    }
}

pub(super) fn endpoint(host: &str, template: &str) -> EndpointRef {
    Arc::new(Endpoint::rest(Method::Get, host, template))
}

pub(super) fn summary(role: Role) -> Summary {
    Summary {
        time_ns: 1_795_000_000_123_000_000,
        endpoint: endpoint("api.example.com", "/users/{id}"),
        connection: Arc::new(connection(role)),
        pods: Peers {
            own: Some(pod("shop-7c9-x2v")),
            peer: (role == Role::Server).then(|| pod("gate-0")),
        },
        status: 200,
        duration_ns: Some(12_345_678),
        body_bytes: (0, 512),
        caller: Some((AuthScheme::Bearer, CallerHash([0xab; 16]))),
        data: vec![
            (Half::Response, DataKind::Email, 2),
            (Half::Response, DataKind::PaymentCard, 1),
        ],
        calls: Vec::new(),
        part: None,
        early_data: false,
        partial: false,
        trace: None,
    }
}

fn finding(evidence: Evidence, severity: Severity) -> Finding {
    Finding {
        rule: &RULE,
        severity,
        confidence: Confidence(95),
        endpoint: endpoint("api.example.com", "/users/{id}"),
        caller: Some(CallerHash([0xab; 16])),
        process: ProcessKey {
            pid: 4242,
            start_ns: 1,
        },
        container: Some(container()),
        pod: Some(pod("shop-7c9-x2v")),
        time_ns: 1_795_000_000_135_000_000,
        evidence,
        partial: false,
        repeats: 0,
        part: None,
        status: 200,
    }
}

pub(super) fn findings() -> [Finding; 3] {
    let label = Label {
        kind: DataKind::PaymentCard,
        place: Place {
            half: Half::Response,
            part: Part::Body,
            name: "data[].card.number".into(),
        },
        confidence: Confidence(95),
        count: 2,
        sample: Masked("4***********1111".into()),
    };
    let norm = Evidence::AuthenticationNorm { with: 19, of: 20 };
    let mut last = finding(norm, Severity::Critical);
    (last.caller, last.partial, last.status) = (None, true, 0);
    [
        finding(Evidence::Data(label), Severity::High),
        finding(Evidence::Credentials("basic"), Severity::Medium),
        last,
    ]
}

/// One finding of each kind of evidence about authentication.
pub(super) fn of_authentication() -> Vec<Finding> {
    let attack = LoginAttack {
        shape: AttackShape::Stuffing,
        subject: Some(CallerHash([0xcd; 16])),
        failures: 64,
        put_off: 12,
        successes: 3,
        names: 62,
        addresses: 16,
        minutes: 10,
        usual: 1,
        got_in: false,
        since_s: 0,
    };
    let telling = Telling {
        by: TellsBy::Status,
        known: 12,
        known_value: 401,
        unknown: 8,
        unknown_value: 404,
        asks: Asks::Login,
    };
    let places = PlacesSign {
        addresses: 12,
        returns: 20,
        usual: 1,
        hours: 8,
        as_many: 2,
        addresses_daily: 12,
        is_new_daily: true,
        usual_daily: 1,
        days: 2,
        at_home: false,
        all_hours: 300,
        behind_proxy: false,
    };
    let skipped = SkippedStep {
        after: "POST api.example.com/login".into(),
        step: "POST api.example.com/login/mfa".into(),
        took: 30,
        of: 30,
    };
    let lifetime_s = 365 * 86_400;
    let all = [
        Evidence::Token(TokenFlaw::LongLived { lifetime_s }),
        Evidence::Expired { seconds: 7200 },
        Evidence::NotYetGood { seconds: 600 },
        Evidence::LoginAttack(attack),
        Evidence::Telling(telling),
        Evidence::Places(places),
        Evidence::SkippedStep(skipped),
    ];
    all.map(|evidence| finding(evidence, Severity::High)).into()
}

/// One finding of each kind of evidence about rights.
pub(super) fn of_rights() -> Vec<Finding> {
    let outsider = Outsider {
        function: Function::Administrative,
        uses: 212,
        callers: 5,
        groups: 1,
        own_callers: 480,
        expected: 2040,
        hours: 120,
        refusals: 2,
    };
    let assigned = Assigned {
        property: "user.is_admin".into(),
        privilege: Privilege::Right,
        reflected: true,
        messages: 300,
        callers: 1,
        since_s: 1_795_000_000,
    };
    let excess = Excess {
        property: "data.internal.card_number".into(),
        kinds: 1 << DataKind::PaymentCard as u32,
        messages: 4000,
        callers: 1,
        since_s: 1_795_000_000,
    };
    let bulk = Bulk {
        items: 800,
        usual: 15,
        answers: 240,
        elsewhere: false,
        asked_by: Some("limit"),
        callers: 1,
    };
    let all = [
        Evidence::Outsider(outsider),
        Evidence::Assigned(assigned),
        Evidence::Excess(excess),
        Evidence::Bulk(bulk),
    ];
    all.map(|evidence| finding(evidence, Severity::High)).into()
}

/// One finding of each kind of evidence about objects.
pub(super) fn of_objects() -> Vec<Finding> {
    let all = [
        Shows::Owner,
        Shows::Tenant,
        Shows::HandedToOthers,
        Shows::HandedToNobody,
        Shows::UnknownOwner,
        Shows::Many,
    ];
    let sign = |shows| ObjectSign {
        shows,
        place: Place {
            half: Half::Response,
            part: Part::Body,
            name: "order.customer".into(),
        },
        usual: 2300,
        of: 2301,
        objects: 214,
        given: 180,
        others: 98,
        minutes: 6,
        most: 3,
        writes: shows == Shows::Tenant,
    };
    let evidence = all.map(|shows| Evidence::Object(Box::new(sign(shows))));
    evidence.map(|evidence| finding(evidence, Severity::High)).into()
}

fn calls() -> Vec<ShownCall> {
    let call = |kind, name: &str, outcome| ShownCall {
        kind,
        name: name.into(),
        outcome,
        fault: None,
        messages: None,
        graphql: None,
    };
    let mut operation = call(CallKind::GraphqlQuery, "Hero", CallOutcome::Success);
    operation.graphql = Some(ShownOperation {
        depth: 3,
        fields: 7,
        aliases: 1,
        batch: 3,
        introspection: true,
        selected: vec!["hero.name".into(), "hero.friends.name".into()],
        variables: vec!["id".into()],
    });
    let mut soap = call(
        CallKind::Soap,
        "{http://example.com/orders}Get",
        CallOutcome::Failure(0),
    );
    soap.fault = Some(FaultCode::Sender);
    let rpc = call(CallKind::JsonRpc, "orders.list", CallOutcome::Failure(-32_601));
    vec![operation, soap, rpc]
}

/// A message on a WebSocket with an answer of GraphQL, and a stream of gRPC.
fn streams() -> [Summary; 2] {
    let [operation, soap, _] = <[ShownCall; 3]>::try_from(calls()).unwrap();
    let plain = |kind, name: &str| ShownCall {
        kind,
        name: name.into(),
        outcome: CallOutcome::Unknown,
        fault: None,
        ..soap.clone()
    };
    let mut message = summary(Role::Server);
    (message.status, message.duration_ns, message.part) = (101, Some(1_000), Some(PartKind::MessageToClient));
    message.calls = vec![plain(CallKind::WebSocket, "next"), operation];
    message.data.clear();
    let mut stream = summary(Role::Server);
    (stream.status, stream.partial) = (500, true);
    stream.data.clear();
    let mut call = plain(CallKind::Grpc, "shop.Orders/Watch");
    call.messages = Some(Messages {
        to_server: Count { seen: 1, more: false },
        to_client: Count {
            seen: 20_000,
            more: true,
        },
    });
    stream.calls = vec![call];
    [message, stream]
}

pub(super) fn events() -> Vec<Event> {
    let mut unanswered = summary(Role::Unknown);
    (
        unanswered.status,
        unanswered.duration_ns,
        unanswered.caller,
        unanswered.partial,
    ) = (0, None, None, true);
    unanswered.calls = calls();
    unanswered.early_data = true;
    unanswered.data.clear();
    let accounts = Accounts::default();
    accounts.sensor.add(Metric::Exchanges, 3);
    let exchanges = [summary(Role::Client), summary(Role::Server), unanswered].map(Event::Exchange);
    let streams = streams().map(Event::Exchange);
    let mut in_message = findings()[0].clone();
    (in_message.part, in_message.status) = (Some(PartKind::MessageToClient), 101);
    let findings = findings().map(|finding| Event::Finding(Box::new(finding)));
    let snapshot = Event::Accounts(Box::new(Snapshot::take(&accounts, 1_795_000_001_000_000_000)));
    let in_message = Event::Finding(Box::new(in_message));
    let events = exchanges.into_iter().chain(findings).chain(streams);
    let of_authentication = of_authentication().into_iter().chain(of_objects());
    let of_authentication = of_authentication.map(|finding| Event::Finding(Box::new(finding)));
    let of_rights = of_rights()
        .into_iter()
        .map(|finding| Event::Finding(Box::new(finding)));
    let incidents = incidents().map(|incident| Event::Incident(Box::new(incident)));
    let held = Held {
        time_ns: 1_795_003_200_000_000_000,
        counts: [4, 300, 0, 12, 0],
        told: 200,
    };
    let events = events
        .chain([in_message])
        .chain(of_authentication)
        .chain(of_rights)
        .chain(incidents)
        .chain([Event::Held(held)]);
    events.chain([snapshot]).collect()
}

/// Of a caller, growing; of a client without credentials, closed.
fn incidents() -> [Incident; 2] {
    let [worst, second, _] = findings();
    let first_ns = worst.time_ns;
    let row = |at_s: u64, finding: &Finding, count| Moment {
        time_ns: (
            first_ns + at_s * 1_000_000_000,
            first_ns + (at_s + 30) * 1_000_000_000,
        ),
        rule: finding.rule,
        endpoint: EndpointRef::clone(&finding.endpoint),
        count,
    };
    let grown = Incident {
        number: 7,
        stage: Stage::Grown,
        subject: Subject::Caller(CallerHash([0xab; 16])),
        severity: Severity::Critical,
        confidence: Confidence(95),
        time_ns: (first_ns, first_ns + 360_000_000_000),
        findings: 214,
        writes: 12,
        rules: vec![Tally {
            rule: &RULE,
            severity: Severity::High,
            count: 214,
        }],
        endpoints: vec![
            EndpointRef::clone(&worst.endpoint),
            endpoint("api.example.com", "/orders/{id}"),
        ],
        timeline: vec![row(0, &worst, 200), row(330, &second, 14)],
        between: 0,
        worst: Some(Box::new(worst)),
    };
    let closed = Incident {
        number: 8,
        stage: Stage::Closed,
        subject: Subject::Client(CallerHash([0xef; 16])),
        severity: Severity::Medium,
        findings: 1,
        writes: 0,
        time_ns: (first_ns, first_ns),
        endpoints: vec![EndpointRef::clone(&second.endpoint)],
        timeline: vec![row(0, &second, 1)],
        worst: None,
        ..grown.clone()
    };
    [grown, closed]
}

/// The same with terminal control sequences in every text that comes from outside.
pub(super) fn hostile() -> Vec<Event> {
    let bad = "a\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\r\n\u{7f}";
    let mut call = summary(Role::Client);
    let mut connection = connection(Role::Client);
    connection.comm = comm(b"\x1b[2J\x07\xff");
    call.calls = calls();
    if let Some(shown) = call.calls.first_mut() {
        shown.name = bad.into();
        if let Some(operation) = &mut shown.graphql {
            operation.selected = vec![bad.into()];
        }
    }
    (call.endpoint, call.connection) = (endpoint(bad, bad), Arc::new(connection));
    let [mut finding, ..] = findings();
    finding.endpoint = endpoint(bad, bad);
    if let Evidence::Data(label) = &mut finding.evidence {
        label.place.name = bad.into();
        label.sample = Masked(bad.into());
    }
    let [mut incident, _] = incidents();
    incident.subject = Subject::Endpoint(endpoint(bad, bad));
    incident.endpoints = vec![endpoint(bad, bad)];
    for row in &mut incident.timeline {
        row.endpoint = endpoint(bad, bad);
    }
    incident.worst = Some(Box::new(finding.clone()));
    let incident = Event::Incident(Box::new(incident));
    vec![Event::Exchange(call), Event::Finding(Box::new(finding)), incident]
}
