//! Names of fields for machines: a JSON Schema of the lines, and a registry in the form of OpenTelemetry's semantic
//! conventions. Both are written from one table; tests hold it against every event and every name in the sources.
//!
//! In tests only: the sensor itself needs neither.

mod schema;
mod semconv;
mod table;
mod tests;

use crate::capture::coverage::State;
use crate::capture::{Evidence as Binding, Role, Runtime};
use crate::classify::{DataKind, Half};
use crate::config::Signal;
use crate::detect::baseline::TellsBy;
use crate::detect::objects::Shows;
use crate::detect::{AttackShape, Function, Privilege, Severity, TokenFlaw};
use crate::exchange::call::CallKind;
use crate::exchange::{AuthScheme, Method, PartKind};
use crate::export::{field, processes, wording};
use crate::incident::Stage;
use crate::telemetry::strain::Cause;

/// Type of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Text.
    Text,
    /// RFC 3339, UTC.
    Time,
    /// Whole number.
    Count,
    /// Seconds with a fraction.
    Seconds,
    /// Yes or no.
    Flag,
    /// Several texts.
    Texts,
}

/// The only values that a field has; none where there are too many to list.
fn values(id: &str) -> Vec<&'static str> {
    match id {
        "http.request.method" => METHODS.map(Method::name).into(),
        "url.scheme" => vec!["http", "https"],
        "container.runtime.name" => [
            Runtime::Docker,
            Runtime::Containerd,
            Runtime::Crio,
            Runtime::Podman,
        ]
        .map(Runtime::name)
        .into(),
        "api_sensor.role" => [Role::Server, Role::Client, Role::Unknown]
            .map(field::role_name)
            .into(),
        "api_sensor.socket.evidence" => bindings(),
        "api_sensor.caller.scheme" => AuthScheme::ALL.map(AuthScheme::name).into(),
        "api_sensor.call.kind" => CallKind::ALL.map(CallKind::name).into(),
        "api_sensor.part" => [
            PartKind::MessageToServer,
            PartKind::MessageToClient,
            PartKind::Event,
        ]
        .map(PartKind::name)
        .into(),
        "api_sensor.severity" => Severity::ALL.map(Severity::name).into(),
        "api_sensor.data.kind" => DataKind::ALL.map(DataKind::name).into(),
        "api_sensor.token.flaw" => flaws(),
        "api_sensor.login.shape" => [
            AttackShape::BruteForce,
            AttackShape::Spraying,
            AttackShape::Stuffing,
            AttackShape::NoLockout,
        ]
        .map(AttackShape::name)
        .into(),
        "api_sensor.telling.by" => [TellsBy::Status, TellsBy::Size, TellsBy::Time]
            .map(TellsBy::name)
            .into(),
        "api_sensor.object.shows" => SHOWS.map(Shows::name).into(),
        "api_sensor.function.kind" => [Function::OfRole, Function::Administrative, Function::Method]
            .map(Function::name)
            .into(),
        "api_sensor.property.privilege" => [Privilege::Right, Privilege::Value].map(Privilege::name).into(),
        "api_sensor.incident.stage" => [Stage::Opened, Stage::Grown, Stage::Closed, Stage::Standing]
            .map(Stage::name)
            .into(),
        "api_sensor.half" => [Half::Request, Half::Response].map(wording::half_name).into(),
        "api_sensor.stage" => processes::STAGES.into(),
        "api_sensor.signal" => Signal::ALL.map(Signal::name).into(),
        "api_sensor.strain.cause" => Cause::ALL.map(Cause::name).into(),
        "api_sensor.coverage.state" => State::ALL.map(State::name).into(),
        _ => Vec::new(),
    }
}

const METHODS: [Method; 10] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
    Method::Connect,
    Method::Trace,
    Method::Other,
];

const SHOWS: [Shows; 6] = [
    Shows::Owner,
    Shows::Tenant,
    Shows::HandedToOthers,
    Shows::HandedToNobody,
    Shows::UnknownOwner,
    Shows::Many,
];

fn bindings() -> Vec<&'static str> {
    let named = [
        Binding::Direct,
        Binding::SetFd,
        Binding::SetBio,
        Binding::RuntimeConn,
        Binding::NestedSyscall,
        Binding::Adjacent,
        Binding::Recorded,
    ];
    named.into_iter().map(Binding::name).chain(["unknown"]).collect()
}

fn flaws() -> Vec<&'static str> {
    let all = [
        TokenFlaw::Unsigned,
        TokenFlaw::EmptySignature,
        TokenFlaw::OtherAlgorithm,
        TokenFlaw::OddKeyId,
        TokenFlaw::OwnKey,
        TokenFlaw::RemoteKey,
        TokenFlaw::Twice,
        TokenFlaw::NoExpiry,
        TokenFlaw::LongLived { lifetime_s: 0 },
        TokenFlaw::GuessableSecret,
        TokenFlaw::PasswordInside,
        TokenFlaw::SsnInside,
        TokenFlaw::PhoneInside,
        TokenFlaw::EmailInside,
    ];
    all.map(TokenFlaw::name).into()
}
