//! Every field of every event: what `docs/events.schema.json` and `docs/semconv/api-sensor.yaml` are made from.

use super::Kind::{self, Count, Flag, Seconds, Text, Texts, Time};

/// Last part of an id that stands for any text.
const ANY: &str = ".KEY";

/// A field, or an attribute of a metric.
pub(super) struct Attribute {
    /// Name; one that ends in `.KEY` stands for all that begin as it does.
    pub(super) id: &'static str,
    /// Type.
    pub(super) kind: Kind,
    /// Events that may have it: bits.
    pub(super) events: u8,
    /// Events that always have it.
    pub(super) always: u8,
    /// What it means, for whoever looks it up.
    pub(super) brief: &'static str,
}

impl Attribute {
    /// What the names begin with that it stands for; `None` where it stands for one.
    pub(super) fn prefix(&self) -> Option<&'static str> {
        let end = self.id.len() - (ANY.len() - 1);
        self.id.ends_with(ANY).then(|| self.id.get(..end)).flatten()
    }

    /// Whether a field of an event is of it.
    pub(super) fn names(&self, field: &str) -> bool {
        self.prefix()
            .map_or(self.id == field, |prefix| field.starts_with(prefix))
    }
}

/// `exchange`.
pub(super) const EXCHANGE: u8 = 1;
/// `finding`.
pub(super) const FINDING: u8 = 2;
/// `incident`.
pub(super) const INCIDENT: u8 = 4;
/// `held`.
pub(super) const HELD: u8 = 8;
/// Metrics only.
const NONE: u8 = 0;

const fn row(id: &'static str, kind: Kind, events: u8, always: u8, brief: &'static str) -> Attribute {
    Attribute {
        id,
        kind,
        events,
        always,
        brief,
    }
}

/// In the order of the documents made from it: OpenTelemetry's own names, then the sensor's.
#[rustfmt::skip]
pub(super) const ATTRIBUTES: &[Attribute] = &[
    row("http.request.method", Text, EXCHANGE | FINDING | INCIDENT, EXCHANGE | FINDING, "Method; `_OTHER` when unusual"),
    row("server.address", Text, EXCHANGE | FINDING | INCIDENT, EXCHANGE | FINDING, "Host of the `Host` header without port; `-` when absent or no host name"),
    row("url.template", Text, EXCHANGE | FINDING | INCIDENT, EXCHANGE | FINDING, "Path template"),
    row("http.route", Text, EXCHANGE, NONE, "Path template, where the process is the server"),
    row("http.response.status_code", Count, EXCHANGE | FINDING, NONE, "Status code; absent when no response was seen"),
    row("duration", Seconds, EXCHANGE, NONE, "From the first byte of the request to the last of the response"),
    row("http.request.body.size", Count, EXCHANGE, EXCHANGE, "Bytes of the request's body on the wire, without transfer coding"),
    row("http.response.body.size", Count, EXCHANGE, EXCHANGE, "Bytes of the response's body on the wire, without transfer coding"),
    row("url.scheme", Text, EXCHANGE, EXCHANGE, "`https` when the bytes travelled inside TLS"),
    row("server.port", Count, EXCHANGE, NONE, "Port of the server, where the process's role is known"),
    row("client.address", Text, EXCHANGE, NONE, "Address of the client, where the process's role is known"),
    row("client.port", Count, EXCHANGE, NONE, "Port of the client"),
    row("network.local.address", Text, EXCHANGE, NONE, "Address of the process's end"),
    row("network.local.port", Count, EXCHANGE, NONE, "Port of the process's end"),
    row("network.peer.address", Text, EXCHANGE, NONE, "Address of the other end"),
    row("network.peer.port", Count, EXCHANGE, NONE, "Port of the other end"),
    row("process.pid", Count, EXCHANGE | FINDING, EXCHANGE | FINDING, "Process id"),
    row("container.id", Text, EXCHANGE | FINDING, NONE, "Container of the process"),
    row("container.runtime.name", Text, EXCHANGE | FINDING, NONE, "Runtime of the container"),
    row("k8s.pod.uid", Text, EXCHANGE | FINDING, NONE, "Pod of the process"),
    row("k8s.pod.name", Text, EXCHANGE | FINDING, NONE, "The pod, where the API server told of it"),
    row("k8s.namespace.name", Text, EXCHANGE | FINDING, NONE, "The pod's namespace"),
    row("k8s.node.name", Text, EXCHANGE | FINDING, NONE, "The pod's node"),
    row("k8s.deployment.name", Text, EXCHANGE | FINDING, NONE, "What controls the pod, where it is a Deployment"),
    row("k8s.replicaset.name", Text, EXCHANGE | FINDING, NONE, "What controls the pod, where it is a ReplicaSet of no Deployment"),
    row("k8s.statefulset.name", Text, EXCHANGE | FINDING, NONE, "What controls the pod, where it is a StatefulSet"),
    row("k8s.daemonset.name", Text, EXCHANGE | FINDING, NONE, "What controls the pod, where it is a DaemonSet"),
    row("k8s.job.name", Text, EXCHANGE | FINDING, NONE, "What controls the pod, where it is a Job"),
    row("k8s.pod.label.KEY", Text, EXCHANGE | FINDING, NONE, "A label of the pod that `kubernetes.labels` names"),
    row("log.record.uid", Text, FINDING | INCIDENT | HELD, FINDING | INCIDENT | HELD, "Of what is told and when; the same each time that it is sent"),
    row("api_sensor.process.comm", Text, EXCHANGE, EXCHANGE, "Command name of the process"),
    row("api_sensor.peer.k8s.pod.name", Text, EXCHANGE, NONE, "Pod at the other end, by its address"),
    row("api_sensor.peer.k8s.namespace.name", Text, EXCHANGE, NONE, "Namespace of the pod at the other end"),
    row("api_sensor.role", Text, EXCHANGE, EXCHANGE, "Which end of the connection the process is"),
    row("api_sensor.socket.evidence", Text, EXCHANGE, EXCHANGE, "How the socket of the stream was found"),
    row("api_sensor.socket.ambiguous", Flag, EXCHANGE, NONE, "Present when the evidence contradicts itself: addresses are not to be trusted"),
    row("api_sensor.caller.scheme", Text, EXCHANGE, NONE, "Kind of credentials"),
    row("api_sensor.caller.hash", Text, EXCHANGE | FINDING | INCIDENT, NONE, "Keyed hash of the caller: one for one person or program, whatever tokens it comes with"),
    row("api_sensor.client.hash", Text, INCIDENT, NONE, "Keyed hash of the client's address, where there are no credentials"),
    row("api_sensor.tls.early_data", Flag, EXCHANGE, NONE, "Present when the request came as TLS early data and may be a replay"),
    row("api_sensor.data", Texts, EXCHANGE, NONE, "Sensitive data as `half.kind:count`"),
    row("api_sensor.call.kind", Text, EXCHANGE, NONE, "Kind of the first call of an API inside; absent for plain REST"),
    row("api_sensor.calls", Texts, EXCHANGE, NONE, "Each call inside as `kind name outcome`, at most 64"),
    row("api_sensor.part", Text, EXCHANGE | FINDING, NONE, "Part of a longer exchange: a message of a WebSocket or an event"),
    row("api_sensor.grpc.messages.to_server", Count, EXCHANGE, NONE, "Messages of a gRPC call from the client to the server"),
    row("api_sensor.grpc.messages.to_server.at_least", Flag, EXCHANGE, NONE, "Present when there may have been more messages from the client to the server"),
    row("api_sensor.grpc.messages.to_client", Count, EXCHANGE, NONE, "Messages of a gRPC call from the server to the client"),
    row("api_sensor.grpc.messages.to_client.at_least", Flag, EXCHANGE, NONE, "Present when there may have been more messages from the server to the client"),
    row("api_sensor.graphql.depth", Count, EXCHANGE, NONE, "Depth of the first operation"),
    row("api_sensor.graphql.fields", Count, EXCHANGE, NONE, "Fields of the first operation, fragments counted wherever they are spread"),
    row("api_sensor.graphql.aliases", Count, EXCHANGE, NONE, "Aliases of the first operation"),
    row("api_sensor.graphql.batch", Count, EXCHANGE, NONE, "Requests sent together; 0 outside of a batch"),
    row("api_sensor.graphql.introspection", Flag, EXCHANGE, NONE, "Present when the operation asks for the schema"),
    row("api_sensor.graphql.selected", Texts, EXCHANGE, NONE, "Paths of what the operation selects, at most 32"),
    row("api_sensor.graphql.variables", Texts, EXCHANGE, NONE, "Paths of the operation's variables, at most 32"),
    row("api_sensor.partial", Flag, EXCHANGE | FINDING, EXCHANGE | FINDING, "Holes, limits or a missing response: what is not reported may still be there"),
    row("api_sensor.rule.id", Text, FINDING, FINDING, "Rule; permanent"),
    row("api_sensor.rule.title", Text, FINDING, FINDING, "Title of the rule"),
    row("api_sensor.severity", Text, FINDING | INCIDENT, FINDING | INCIDENT, "Severity, after evidence; of an incident, that of its worst finding or a step higher"),
    row("api_sensor.confidence", Count, FINDING | INCIDENT, FINDING | INCIDENT, "Percent"),
    row("api_sensor.owasp.2023", Text, FINDING, FINDING, "Category of OWASP API Security Top 10 2023"),
    row("api_sensor.owasp.2019", Text, FINDING, FINDING, "Category of OWASP API Security Top 10 2019"),
    row("api_sensor.cwe", Text, FINDING, FINDING, "Common Weakness Enumeration"),
    row("api_sensor.data.kind", Text, FINDING, NONE, "Kind of sensitive data"),
    row("api_sensor.data.place", Text, FINDING, NONE, "Half, part and name of the place where the data was"),
    row("api_sensor.data.count", Count, FINDING, NONE, "Values of it"),
    row("api_sensor.data.sample", Text, FINDING, NONE, "One value, masked"),
    row("api_sensor.token.flaw", Text, FINDING, NONE, "What is wrong with a token"),
    row("api_sensor.token.lifetime", Count, FINDING, NONE, "Seconds that a token is good for"),
    row("api_sensor.token.expired", Count, FINDING, NONE, "Seconds since a token had expired when it was accepted"),
    row("api_sensor.token.early", Count, FINDING, NONE, "Seconds until a token is good that was accepted"),
    row("api_sensor.login.shape", Text, FINDING, NONE, "Shape of failed logins"),
    row("api_sensor.login.subject", Text, FINDING, NONE, "Keyed hash of the name that was tried, or of the address"),
    row("api_sensor.login.failures", Count, FINDING, NONE, "Failures in the window"),
    row("api_sensor.login.put_off", Count, FINDING, NONE, "Tries in the window that were answered with 423 or 429"),
    row("api_sensor.login.successes", Count, FINDING, NONE, "Successes in the window"),
    row("api_sensor.login.names", Count, FINDING, NONE, "Names that were tried"),
    row("api_sensor.login.addresses", Count, FINDING, NONE, "Addresses that the failures came from"),
    row("api_sensor.login.window", Count, FINDING, NONE, "Seconds of the window"),
    row("api_sensor.login.usual", Count, FINDING, NONE, "Failures that are usual in such a window"),
    row("api_sensor.login.succeeded", Flag, FINDING, NONE, "This login succeeded: somebody got in"),
    row("api_sensor.telling.by", Text, FINDING, NONE, "What tells which names exist"),
    row("api_sensor.telling.known", Count, FINDING, NONE, "Failures of names that had logged in before"),
    row("api_sensor.telling.known_value", Count, FINDING, NONE, "Their status, bytes, or median in microseconds"),
    row("api_sensor.telling.unknown", Count, FINDING, NONE, "Failures of other names"),
    row("api_sensor.telling.unknown_value", Count, FINDING, NONE, "Status, bytes, or median in microseconds of other names"),
    row("api_sensor.places.addresses", Count, FINDING, NONE, "Client addresses of one credential within two hours"),
    row("api_sensor.places.returns", Count, FINDING, NONE, "Times it came back to an address that it had left"),
    row("api_sensor.places.usual", Count, FINDING, NONE, "Most addresses in an hour of the caller before"),
    row("api_sensor.places.hours", Count, FINDING, NONE, "Hours in which the caller was seen"),
    row("api_sensor.places.all_hours", Count, FINDING, NONE, "Hours of all callers"),
    row("api_sensor.places.as_many", Count, FINDING, NONE, "Of these, hours with two thirds as many addresses"),
    row("api_sensor.places.addresses_daily", Count, FINDING, NONE, "Client addresses within two days"),
    row("api_sensor.places.usual_daily", Count, FINDING, NONE, "Most addresses in a day of the caller before"),
    row("api_sensor.places.days", Count, FINDING, NONE, "Days on which the caller was seen"),
    row("api_sensor.step.after", Text, FINDING, NONE, "First step of a login: method, host and template"),
    row("api_sensor.step.skipped", Text, FINDING, NONE, "Step that was left out: method, host and template"),
    row("api_sensor.step.took", Count, FINDING, NONE, "Logins that took the step"),
    row("api_sensor.step.of", Count, FINDING, NONE, "Logins"),
    row("api_sensor.object.shows", Text, FINDING, NONE, "What is odd about an object"),
    row("api_sensor.object.usual", Count, FINDING, NONE, "Uses by the caller's group that were as usual; of `many`, windows of time"),
    row("api_sensor.object.of", Count, FINDING, NONE, "Uses by the caller's group; of `many`, windows of time"),
    row("api_sensor.object.objects", Count, FINDING, NONE, "Such objects of this caller within four days; of `many`, in the window"),
    row("api_sensor.object.given", Count, FINDING, NONE, "Of them, those that the server gave"),
    row("api_sensor.object.others", Count, FINDING, NONE, "Whose they are: so many others, about"),
    row("api_sensor.object.minutes", Count, FINDING, NONE, "Minutes since the first of them"),
    row("api_sensor.object.most", Count, FINDING, NONE, "Most that are usual in a window"),
    row("api_sensor.object.writes", Flag, FINDING, NONE, "It was no mere reading"),
    row("api_sensor.function.kind", Text, FINDING, NONE, "Kind of a function that the caller's role group never used"),
    row("api_sensor.function.uses", Count, FINDING, NONE, "Successes of those who use it"),
    row("api_sensor.function.callers", Count, FINDING, NONE, "How many they are"),
    row("api_sensor.function.groups", Count, FINDING, NONE, "In how many role groups"),
    row("api_sensor.function.own_callers", Count, FINDING, NONE, "Callers of the own group at the host"),
    row("api_sensor.function.expected", Count, FINDING, NONE, "Uses to be expected if the own group were like the others"),
    row("api_sensor.function.hours", Count, FINDING, NONE, "Hours for which the function is known"),
    row("api_sensor.function.refusals", Count, FINDING, NONE, "Refusals of the caller there"),
    row("api_sensor.property", Text, FINDING, NONE, "Way to a property of a request or an answer"),
    row("api_sensor.property.privilege", Text, FINDING, NONE, "What the property's name says"),
    row("api_sensor.property.reflected", Flag, FINDING, NONE, "The answer has the property as it was sent"),
    row("api_sensor.property.kinds", Texts, FINDING, NONE, "Kinds of sensitive data there that are new"),
    row("api_sensor.property.messages", Count, FINDING, NONE, "Messages that were without it before"),
    row("api_sensor.property.callers", Count, FINDING, NONE, "Callers who had it so far, at least"),
    row("api_sensor.bulk.items", Count, FINDING, NONE, "Items of the answer's list"),
    row("api_sensor.bulk.usual", Count, FINDING, NONE, "Items of all but one in a hundred answers"),
    row("api_sensor.bulk.answers", Count, FINDING, NONE, "Of so many answers"),
    row("api_sensor.bulk.callers", Count, FINDING, NONE, "Callers of the group who got as many, at least"),
    row("api_sensor.bulk.elsewhere", Flag, FINDING, NONE, "These answers are of other operations"),
    row("api_sensor.bulk.asked_by", Text, FINDING, NONE, "Parameter that asked for as many"),
    row("api_sensor.repeats", Count, FINDING, FINDING, "Times that the same was found before"),
    row("api_sensor.evidence", Text, FINDING, FINDING, "What was seen, in words"),
    row("api_sensor.remedy", Text, FINDING, FINDING, "What to do"),
    row("api_sensor.incident.number", Count, INCIDENT, INCIDENT, "Number of the incident, from 1"),
    row("api_sensor.incident.stage", Text, INCIDENT, INCIDENT, "Why it is told"),
    row("api_sensor.incident.first", Time, INCIDENT, INCIDENT, "Time of the first finding"),
    row("api_sensor.incident.last", Time, INCIDENT, INCIDENT, "Time of the last finding"),
    row("api_sensor.incident.findings", Count, INCIDENT, INCIDENT, "Findings, told or not"),
    row("api_sensor.incident.writes", Count, INCIDENT, INCIDENT, "Findings about requests that changed something"),
    row("api_sensor.incident.rules", Texts, INCIDENT, INCIDENT, "`rule severity:count`, by rule"),
    row("api_sensor.incident.endpoints", Texts, INCIDENT, INCIDENT, "Endpoints, at most 32"),
    row("api_sensor.incident.timeline", Texts, INCIDENT, INCIDENT, "What came after what, at most 16 rows: `time rule endpoint xcount`"),
    row("api_sensor.incident.between", Count, INCIDENT, INCIDENT, "Findings that are in no row"),
    row("api_sensor.explanation", Text, INCIDENT, INCIDENT, "All of it in a sentence"),
    row("api_sensor.held", Texts, HELD, HELD, "Findings and incidents that were not told, as `severity:count`"),
    row("api_sensor.told", Count, HELD, HELD, "Findings and incidents that were told"),
    row("api_sensor.half", Text, NONE, NONE, "Half of an exchange that sensitive data was in (metrics)"),
    row("api_sensor.stage", Text, NONE, NONE, "What became of a process's bytes (metrics)"),
    row("api_sensor.signal", Text, NONE, NONE, "What waits for the receiver, or is taken (metrics)"),
    row("api_sensor.strain.cause", Text, NONE, NONE, "Why connections are left out (metrics)"),
    row("api_sensor.coverage.state", Text, NONE, NONE, "What is seen of a process (metrics)"),
];
