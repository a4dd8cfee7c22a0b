//! Events as named fields, with OpenTelemetry's names where it has them: what JSON and OTLP share.
//!
//! Takes events. Gives names and values, borrowed where they can be. Never a value that was observed: the events hold
//! none. Bounded by the event.

use std::borrow::Cow;

use super::wording::{self, Wording, clean, half_name};
use super::{Event, Snapshot, Summary};
use crate::capture::{Container, Role};
use crate::classify::{ShownCall, ShownOperation};
use crate::detect::objects::ObjectSign;
use crate::detect::{Evidence, Finding, LoginAttack, Outsider, TokenFlaw};
use crate::exchange::{Connection, PartKind};
use crate::incident::budget::Held;
use crate::kubernetes::Pod;

/// Value of a field.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    /// Text without control characters.
    Text(Cow<'a, str>),
    /// Whole number.
    Count(u64),
    /// Seconds.
    Seconds(f64),
    /// Yes or no.
    Flag(bool),
    /// Several texts.
    Texts(Vec<String>),
}

/// Fields in the order in which they are written.
pub type Fields<'a> = Vec<(&'a str, Value<'a>)>;

/// Name of the kind of event.
pub const fn kind(event: &Event) -> &'static str {
    match event {
        Event::Exchange(_) => "exchange",
        Event::Finding(_) => "finding",
        Event::Incident(_) => "incident",
        Event::Held(_) => "held",
        Event::Accounts(_) => "accounts",
    }
}

/// When, in nanoseconds since 1970.
pub fn time_ns(event: &Event) -> u64 {
    match event {
        Event::Exchange(call) => call.time_ns,
        Event::Finding(finding) => finding.time_ns,
        Event::Incident(incident) => incident.time_ns.1,
        Event::Held(held) => held.time_ns,
        Event::Accounts(snapshot) => snapshot.time_ns,
    }
}

/// Fields of an exchange.
pub fn of_exchange(call: &Summary) -> Fields<'_> {
    let connection = &*call.connection;
    let mut fields = endpoint(
        call.endpoint.method.name(),
        clean(&call.endpoint.host),
        clean(&call.endpoint.template),
    );
    if connection.role == Role::Server {
        fields.push(("http.route", Value::Text(clean(&call.endpoint.template))));
    }
    if call.status != 0 {
        fields.push(("http.response.status_code", Value::Count(call.status.into())));
    }
    if let Some(ns) = call.duration_ns {
        fields.push(("duration", Value::Seconds(seconds(ns))));
    }
    fields.push(("http.request.body.size", Value::Count(call.body_bytes.0)));
    fields.push(("http.response.body.size", Value::Count(call.body_bytes.1)));
    addresses(connection, &mut fields);
    if let Some(peer) = &call.pods.peer {
        fields.push(("api_sensor.peer.k8s.pod.name", Value::Text(clean(&peer.name))));
        fields.push((
            "api_sensor.peer.k8s.namespace.name",
            Value::Text(clean(&peer.namespace)),
        ));
    }
    fields.push(("process.pid", Value::Count(connection.process.pid.into())));
    fields.push((
        "api_sensor.process.comm",
        Value::Text(connection.comm.to_string().into()),
    ));
    of_container(connection.container.as_deref(), &mut fields);
    of_pod(call.pods.own.as_deref(), &mut fields);
    fields.push(("api_sensor.role", Value::Text(role_name(connection.role).into())));
    let evidence = connection
        .evidence
        .map_or("unknown", crate::capture::Evidence::name);
    fields.push(("api_sensor.socket.evidence", Value::Text(evidence.into())));
    if let Some((scheme, hash)) = call.caller {
        fields.push(("api_sensor.caller.scheme", Value::Text(scheme.name().into())));
        fields.push(("api_sensor.caller.hash", Value::Text(hash.to_string().into())));
    }
    if !call.data.is_empty() {
        let data = call
            .data
            .iter()
            .map(|(half, kind, count)| format!("{}.{}:{count}", half_name(*half), kind.name()));
        fields.push(("api_sensor.data", Value::Texts(data.collect())));
    }
    of_part(call.part, &mut fields);
    of_calls(&call.calls, &mut fields);
    if call.early_data {
        fields.push(("api_sensor.tls.early_data", Value::Flag(true)));
    }
    fields.push(("api_sensor.partial", Value::Flag(call.partial)));
    fields
}

fn of_part(part: Option<PartKind>, fields: &mut Fields<'_>) {
    if let Some(part) = part {
        fields.push(("api_sensor.part", Value::Text(part.name().into())));
    }
}

/// Calls of an API inside of the exchange; sizes are those of the first that has some.
fn of_calls<'a>(calls: &'a [ShownCall], fields: &mut Fields<'a>) {
    let Some(first) = calls.first() else {
        return;
    };
    fields.push(("api_sensor.call.kind", Value::Text(first.kind.name().into())));
    let texts = calls.iter().map(wording::call).collect();
    fields.push(("api_sensor.calls", Value::Texts(texts)));
    if let Some(messages) = first.messages {
        for (name, least, count) in [
            (
                "api_sensor.grpc.messages.to_server",
                "api_sensor.grpc.messages.to_server.at_least",
                messages.to_server,
            ),
            (
                "api_sensor.grpc.messages.to_client",
                "api_sensor.grpc.messages.to_client.at_least",
                messages.to_client,
            ),
        ] {
            fields.push((name, Value::Count(count.seen.into())));
            if count.more {
                fields.push((least, Value::Flag(true)));
            }
        }
    }
    // On a WebSocket, the first is the message that it came in.
    if let Some(operation) = calls.iter().find_map(|call| call.graphql.as_ref()) {
        of_operation(operation, fields);
    }
}

fn of_operation(operation: &ShownOperation, fields: &mut Fields<'_>) {
    for (name, number) in [
        ("api_sensor.graphql.depth", operation.depth),
        ("api_sensor.graphql.fields", operation.fields),
        ("api_sensor.graphql.aliases", operation.aliases),
        ("api_sensor.graphql.batch", operation.batch),
    ] {
        fields.push((name, Value::Count(number.into())));
    }
    if operation.introspection {
        fields.push(("api_sensor.graphql.introspection", Value::Flag(true)));
    }
    for (name, paths) in [
        ("api_sensor.graphql.selected", &operation.selected),
        ("api_sensor.graphql.variables", &operation.variables),
    ] {
        if !paths.is_empty() {
            let paths = paths.iter().map(|path| clean(path).into_owned());
            fields.push((name, Value::Texts(paths.collect())));
        }
    }
}

/// The container and pod of the process, by OpenTelemetry's names.
pub(super) fn of_container<'a>(container: Option<&'a Container>, fields: &mut Fields<'a>) {
    let Some(container) = container else {
        return;
    };
    fields.push(("container.id", Value::Text((&*container.id).into())));
    if let Some(runtime) = container.runtime {
        fields.push(("container.runtime.name", Value::Text(runtime.name().into())));
    }
    if let Some(pod) = &container.pod {
        fields.push(("k8s.pod.uid", Value::Text((&**pod).into())));
    }
}

/// The pod, by OpenTelemetry's names. Its texts are chosen by whoever made it.
pub(super) fn of_pod<'a>(pod: Option<&'a Pod>, fields: &mut Fields<'a>) {
    let Some(pod) = pod else {
        return;
    };
    fields.push(("k8s.pod.name", Value::Text(clean(&pod.name))));
    fields.push(("k8s.namespace.name", Value::Text(clean(&pod.namespace))));
    if let Some(node) = &pod.node {
        fields.push(("k8s.node.name", Value::Text(clean(node))));
    }
    if let Some((workload, name)) = &pod.workload {
        fields.push((workload.attribute(), Value::Text(clean(name))));
    }
    for (name, value) in &pod.labels {
        fields.push((name, Value::Text(clean(value))));
    }
}

/// Fields of a finding.
pub fn of_finding(finding: &Finding) -> Fields<'_> {
    let words = Wording::of(finding);
    let mut fields = Vec::with_capacity(USUAL);
    fields.extend([
        ("api_sensor.rule.id", Value::Text(words.rule.into())),
        ("api_sensor.rule.title", Value::Text(words.title.into())),
        ("api_sensor.severity", Value::Text(words.severity.into())),
        ("api_sensor.confidence", Value::Count(words.confidence.into())),
        ("api_sensor.owasp.2023", Value::Text(words.owasp_2023.into())),
        ("api_sensor.owasp.2019", Value::Text(words.owasp_2019.into())),
        ("api_sensor.cwe", Value::Text(words.cwe.into())),
    ]);
    fields.extend(endpoint(words.method, words.host, words.template));
    if finding.status != 0 {
        fields.push(("http.response.status_code", Value::Count(finding.status.into())));
    }
    fields.push(("process.pid", Value::Count(finding.process.pid.into())));
    of_container(finding.container.as_deref(), &mut fields);
    of_pod(finding.pod.as_deref(), &mut fields);
    let optional = [
        ("api_sensor.caller.hash", words.caller.map(Cow::from)),
        ("api_sensor.data.kind", words.kind.map(Cow::from)),
        ("api_sensor.data.place", words.place.map(Cow::from)),
        ("api_sensor.data.sample", words.sample),
    ];
    fields.extend(
        optional
            .into_iter()
            .filter_map(|(name, text)| Some((name, Value::Text(text?)))),
    );
    fields.extend(
        words
            .count
            .map(|count| ("api_sensor.data.count", Value::Count(count.into()))),
    );
    of_evidence(&finding.evidence, &mut fields);
    fields.push(("api_sensor.evidence", Value::Text(words.evidence.into())));
    fields.push(("api_sensor.remedy", Value::Text(words.remedy.into())));
    of_part(finding.part, &mut fields);
    fields.push(("api_sensor.partial", Value::Flag(words.partial)));
    fields.push(("api_sensor.repeats", Value::Count(finding.repeats)));
    identify("finding", finding.time_ns, &mut fields);
    fields
}

/// `log.record.uid` (semantic conventions, General logs): the same in every output and each time that a record is sent,
/// so that whoever gets it twice can tell. Made of all that is told, and when.
pub(super) fn identify(kind: &str, time_ns: u64, fields: &mut Fields<'_>) {
    // Hashed in one go: the hasher would copy each small part into its block.
    let mut all = Vec::with_capacity(2048);
    let mut part = |bytes: &[u8]| {
        all.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        all.extend_from_slice(bytes);
    };
    part(kind.as_bytes());
    part(&time_ns.to_le_bytes());
    for (name, value) in &*fields {
        part(name.as_bytes());
        match value {
            Value::Text(text) => part(text.as_bytes()),
            Value::Count(count) => part(&count.to_le_bytes()),
            Value::Seconds(seconds) => part(&seconds.to_le_bytes()),
            Value::Flag(flag) => part(&[u8::from(*flag)]),
            Value::Texts(texts) => texts.iter().for_each(|text| part(text.as_bytes())),
        }
    }
    let mut uid = [0; 16];
    let front = blake3::hash(&all);
    uid.iter_mut()
        .zip(front.as_bytes())
        .for_each(|(to, from)| *to = *from);
    let uid = u128::from_be_bytes(uid);
    fields.push(("log.record.uid", Value::Text(format!("{uid:032x}").into())));
}

/// Figures of the evidence; those of data have fields of their own.
fn of_evidence<'a>(evidence: &'a Evidence, fields: &mut Fields<'a>) {
    match evidence {
        Evidence::Data(_) | Evidence::Credentials(_) | Evidence::AuthenticationNorm { .. } => {}
        Evidence::Token(flaw) => {
            fields.push(("api_sensor.token.flaw", Value::Text(flaw.name().into())));
            if let TokenFlaw::LongLived { lifetime_s } = flaw {
                fields.push(("api_sensor.token.lifetime", Value::Count(*lifetime_s)));
            }
        }
        Evidence::Expired { seconds } => fields.push(("api_sensor.token.expired", Value::Count(*seconds))),
        Evidence::NotYetGood { seconds } => fields.push(("api_sensor.token.early", Value::Count(*seconds))),
        Evidence::LoginAttack(attack) => of_attack(attack, fields),
        Evidence::Telling(told) => {
            fields.push(("api_sensor.telling.by", Value::Text(told.by.name().into())));
            let figures = [
                ("api_sensor.telling.known", told.known.into()),
                ("api_sensor.telling.known_value", told.known_value),
                ("api_sensor.telling.unknown", told.unknown.into()),
                ("api_sensor.telling.unknown_value", told.unknown_value),
            ];
            fields.extend(figures.map(|(name, count)| (name, Value::Count(count))));
        }
        Evidence::Places(places) => {
            let figures = [
                ("api_sensor.places.addresses", places.addresses.into()),
                ("api_sensor.places.returns", places.returns.into()),
                ("api_sensor.places.usual", places.usual.into()),
                ("api_sensor.places.hours", places.hours.into()),
                ("api_sensor.places.all_hours", places.all_hours.into()),
                ("api_sensor.places.as_many", places.as_many.into()),
                ("api_sensor.places.addresses_daily", places.addresses_daily.into()),
                ("api_sensor.places.usual_daily", places.usual_daily.into()),
                ("api_sensor.places.days", places.days.into()),
            ];
            fields.extend(figures.map(|(name, count)| (name, Value::Count(count))));
        }
        Evidence::SkippedStep(skipped) => {
            fields.push(("api_sensor.step.after", Value::Text(clean(&skipped.after))));
            fields.push(("api_sensor.step.skipped", Value::Text(clean(&skipped.step))));
            fields.push(("api_sensor.step.took", Value::Count(skipped.took.into())));
            fields.push(("api_sensor.step.of", Value::Count(skipped.of.into())));
        }
        Evidence::Object(sign) => of_object(sign, fields),
        Evidence::Outsider(_) | Evidence::Assigned(_) | Evidence::Excess(_) | Evidence::Bulk(_) => {
            of_rights(evidence, fields);
        }
    }
}

/// Figures of findings about functions and properties.
fn of_rights<'a>(evidence: &'a Evidence, fields: &mut Fields<'a>) {
    match evidence {
        Evidence::Outsider(outsider) => of_outsider(outsider, fields),
        Evidence::Assigned(assigned) => {
            fields.push(("api_sensor.property", Value::Text(clean(&assigned.property))));
            let privilege = assigned.privilege.name();
            fields.push(("api_sensor.property.privilege", Value::Text(privilege.into())));
            fields.push(("api_sensor.property.reflected", Value::Flag(assigned.reflected)));
            of_property(assigned.messages, assigned.callers, fields);
        }
        Evidence::Excess(excess) => {
            fields.push(("api_sensor.property", Value::Text(clean(&excess.property))));
            let kinds = excess.kinds().map(|kind| kind.name().to_owned());
            fields.push(("api_sensor.property.kinds", Value::Texts(kinds.collect())));
            of_property(excess.messages, excess.callers, fields);
        }
        Evidence::Bulk(bulk) => {
            let figures = [
                ("api_sensor.bulk.items", bulk.items.into()),
                ("api_sensor.bulk.usual", bulk.usual.into()),
                ("api_sensor.bulk.answers", bulk.answers.into()),
                ("api_sensor.bulk.callers", bulk.callers.into()),
            ];
            fields.extend(figures.map(|(name, count)| (name, Value::Count(count))));
            fields.push(("api_sensor.bulk.elsewhere", Value::Flag(bulk.elsewhere)));
            if let Some(name) = bulk.asked_by {
                fields.push(("api_sensor.bulk.asked_by", Value::Text(name.into())));
            }
        }
        _ => {}
    }
}

fn of_property(messages: u32, callers: u16, fields: &mut Fields<'_>) {
    fields.push(("api_sensor.property.messages", Value::Count(messages.into())));
    fields.push(("api_sensor.property.callers", Value::Count(callers.into())));
}

fn of_outsider(outsider: &Outsider, fields: &mut Fields<'_>) {
    let function = outsider.function.name();
    fields.push(("api_sensor.function.kind", Value::Text(function.into())));
    let figures = [
        ("api_sensor.function.uses", outsider.uses.into()),
        ("api_sensor.function.callers", outsider.callers.into()),
        ("api_sensor.function.groups", outsider.groups.into()),
        ("api_sensor.function.own_callers", outsider.own_callers.into()),
        ("api_sensor.function.expected", outsider.expected.into()),
        ("api_sensor.function.hours", outsider.hours.into()),
        ("api_sensor.function.refusals", outsider.refusals.into()),
    ];
    fields.extend(figures.map(|(name, count)| (name, Value::Count(count))));
}

fn of_object(sign: &ObjectSign, fields: &mut Fields<'_>) {
    fields.push(("api_sensor.object.shows", Value::Text(sign.shows.name().into())));
    let figures = [
        ("api_sensor.object.usual", sign.usual),
        ("api_sensor.object.of", sign.of),
        ("api_sensor.object.objects", sign.objects),
        ("api_sensor.object.given", sign.given),
        ("api_sensor.object.others", sign.others),
        ("api_sensor.object.minutes", sign.minutes),
        ("api_sensor.object.most", sign.most),
    ];
    fields.extend(figures.map(|(name, count)| (name, Value::Count(count.into()))));
    fields.push(("api_sensor.object.writes", Value::Flag(sign.writes)));
}

fn of_attack(attack: &LoginAttack, fields: &mut Fields<'_>) {
    fields.push(("api_sensor.login.shape", Value::Text(attack.shape.name().into())));
    if let Some(subject) = attack.subject {
        fields.push((
            "api_sensor.login.subject",
            Value::Text(subject.to_string().into()),
        ));
    }
    let figures = [
        ("api_sensor.login.failures", attack.failures.into()),
        ("api_sensor.login.put_off", attack.put_off.into()),
        ("api_sensor.login.successes", attack.successes.into()),
        ("api_sensor.login.names", attack.names.into()),
        ("api_sensor.login.addresses", attack.addresses.into()),
        ("api_sensor.login.window", u64::from(attack.minutes) * 60),
        ("api_sensor.login.usual", attack.usual.into()),
    ];
    fields.extend(figures.map(|(name, count)| (name, Value::Count(count))));
    fields.push(("api_sensor.login.succeeded", Value::Flag(attack.got_in)));
}

/// Fields of what was held back.
pub fn of_held(held: &Held) -> Fields<'static> {
    let counts = held.by_severity();
    let counts = counts.map(|(severity, count)| format!("{}:{count}", severity.name()));
    let mut fields = vec![
        ("api_sensor.held", Value::Texts(counts.collect())),
        ("api_sensor.told", Value::Count(held.told)),
    ];
    identify("held", held.time_ns, &mut fields);
    fields
}

/// Counters of a snapshot by the side they belong to.
pub fn of_accounts(snapshot: &Snapshot) -> [(&'static str, &[(&'static str, u64)]); 2] {
    [("sensor", &snapshot.sensor), ("kernel", &snapshot.kernel)]
}

/// Room for the fields of an event of a pod: a vector that grows is copied.
const USUAL: usize = 40;

fn endpoint<'a>(method: &'static str, host: Cow<'a, str>, template: Cow<'a, str>) -> Fields<'a> {
    let mut fields = Vec::with_capacity(USUAL);
    fields.extend([
        ("http.request.method", Value::Text(method.into())),
        ("server.address", Value::Text(host)),
        ("url.template", Value::Text(template)),
    ]);
    fields
}

/// Which end is client and which is server follows from the role; without it only the ends themselves are told.
fn addresses(connection: &Connection, fields: &mut Fields<'_>) {
    let (server, client) = match connection.role {
        // Behind intermediaries the client is the one they name (OpenTelemetry, `client.address`).
        Role::Server => (connection.local, connection.proxied_for.or(connection.remote)),
        Role::Client => (connection.remote, connection.local),
        Role::Unknown => (None, None),
    };
    let scheme = if connection.tls { "https" } else { "http" };
    fields.push(("url.scheme", Value::Text(scheme.into())));
    if let Some((_, port)) = server {
        fields.push(("server.port", Value::Count(port.into())));
    }
    let ends = [
        ("client.address", "client.port", client),
        ("network.local.address", "network.local.port", connection.local),
        ("network.peer.address", "network.peer.port", connection.remote),
    ];
    for (address, port, end) in ends {
        if let Some((ip, number)) = end {
            fields.push((address, Value::Text(ip.to_string().into())));
            fields.push((port, Value::Count(number.into())));
        }
    }
    if connection.ambiguous {
        fields.push(("api_sensor.socket.ambiguous", Value::Flag(true)));
    }
}

/// Role in outputs.
pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Server => "server",
        Role::Client => "client",
        Role::Unknown => "unknown",
    }
}

/// Nanoseconds to seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "2^53 ns are 104 days; a duration is shorter"
)]
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
