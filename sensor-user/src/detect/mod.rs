//! Exchanges, labels and endpoints to [`Finding`]s.
//!
//! A rule is data ([`RuleMeta`]) and a small judgement ([`Detector`]). A rule that could not judge says why
//! ([`Blind`]) and is counted; that is not the same as clean. Never reads the clock; time comes with the exchange.
//! Bounded by [`Limits`]: what was told before is counted, and told again only when its count reaches a power of ten.

pub mod baseline;
pub mod docs;
mod engine;
mod evidence;
mod functions;
pub mod objects;
mod operation;
mod operations;
mod properties;
pub mod registry;
mod repeats;
mod rules;

use std::sync::Arc;

use smallvec::SmallVec;

use crate::callers::Resolved;
use crate::capture::{Container, ProcessKey};
use crate::classify::{Confidence, DataKind, Label, Labels, Masked, Place};
use crate::exchange::{CallerHash, Exchange, PartKind};
use crate::inventory::{EndpointId, EndpointRef, History};
use crate::kubernetes::Pod;
use baseline::{PlacesSign, Signs, SkippedStep, Telling};
use objects::ObjectSign;

pub use engine::{BlindCount, Engine, Limits};
pub use evidence::{About, AttackShape, LoginAttack, TokenFlaw};
pub use functions::{Function, Outsider};
pub use operations::Rights;
pub use properties::{Assigned, Bulk, Excess, Privilege};

/// Permanent id of a rule, such as `API3-001`. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RuleId(pub &'static str);

/// How bad it is if true.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// For information.
    Info,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Severity {
    /// Every severity, from the least.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// By its name in outputs.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.name() == name)
    }

    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a rule must see to judge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Input {
    /// The whole request head.
    RequestHead,
    /// The response's status.
    Status,
    /// The whole response body.
    ResponseBody,
    /// What was learnt of the endpoint.
    EndpointHistory,
    /// The request's body, or its query: who asks for a token.
    RequestBody,
    /// Who called.
    CallerIdentity,
    /// What was learnt of the caller.
    CallerHistory,
    /// The client's address.
    ClientAddress,
    /// What was learnt of logins.
    LoginHistory,
    /// What was learnt of objects.
    ObjectHistory,
    /// The time of day.
    Clock,
}

impl Input {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestHead => "request head",
            Self::Status => "status",
            Self::ResponseBody => "response body",
            Self::EndpointHistory => "endpoint history",
            Self::RequestBody => "request body",
            Self::CallerIdentity => "caller identity",
            Self::CallerHistory => "caller history",
            Self::ClientAddress => "client address",
            Self::LoginHistory => "login history",
            Self::ObjectHistory => "object history",
            Self::Clock => "time of day",
        }
    }
}

/// What a finding shows, as a kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EvidenceKind {
    /// Sensitive data at a place.
    Data,
    /// Credentials in the request head.
    Credentials,
    /// Successes with credentials against all.
    AuthenticationNorm,
    /// A weakness of a token.
    Token,
    /// A token's time, and the time it was used.
    TokenTime,
    /// Failed logins, names and addresses.
    LoginAttack,
    /// Answers to known and unknown names.
    Telling,
    /// Addresses that a token was used from.
    Places,
    /// A step that others took.
    SkippedStep,
    /// Who uses a function, and who does not.
    Outsider,
    /// A property of a request.
    Assigned,
    /// Sensitive data of an answer, against earlier ones.
    Excess,
    /// Items of an answer, against earlier ones.
    Bulk,
    /// Whose an object is, and what is usual.
    Object,
}

impl EvidenceKind {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Credentials => "credentials",
            Self::AuthenticationNorm => "authentication_norm",
            Self::Token => "token",
            Self::TokenTime => "token_time",
            Self::LoginAttack => "login_attack",
            Self::Telling => "telling",
            Self::Places => "places",
            Self::SkippedStep => "skipped_step",
            Self::Outsider => "outsider",
            Self::Assigned => "assigned",
            Self::Excess => "excess",
            Self::Bulk => "bulk",
            Self::Object => "object",
        }
    }
}

/// A rule's description, the source of `docs/RULES.md` and of `api-sensor rules`.
#[derive(Debug)]
pub struct RuleMeta {
    /// Permanent id.
    pub id: RuleId,
    /// One line.
    pub title: &'static str,
    /// OWASP API Security Top 10, 2019 edition, such as `API3:2019`.
    pub owasp_2019: &'static str,
    /// OWASP API Security Top 10, 2023 edition.
    pub owasp_2023: &'static str,
    /// CWE number.
    pub cwe: u16,
    /// Severity before evidence adjusts it.
    pub severity: Severity,
    /// Required inputs.
    pub needs: &'static [Input],
    /// What a finding of the rule shows.
    pub evidence: &'static [EvidenceKind],
    /// What the rule looks at and when it fires.
    pub description: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Why a rule could not judge. A closed set: a metric label.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Blind {
    /// The head was cut.
    HeadCut,
    /// No response was seen.
    NoResponse,
    /// The body was cut or in an encoding that is not read.
    BodyCut,
    /// What it would be compared with has not been seen often enough.
    NotEnoughEvidence,
    /// Nobody knows who called.
    CallerUnseen,
    /// What is known of the caller contradicts itself.
    CallerAmbiguous,
    /// The client's address is not known.
    ClientUnknown,
    /// The time of day is not known.
    NoClock,
    /// Guessable secrets were not tried on the token.
    NotTried,
    /// There was no room to remember what it would be compared with.
    NoRoom,
}

impl Blind {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::HeadCut,
        Self::NoResponse,
        Self::BodyCut,
        Self::NotEnoughEvidence,
        Self::CallerUnseen,
        Self::CallerAmbiguous,
        Self::ClientUnknown,
        Self::NoClock,
        Self::NotTried,
        Self::NoRoom,
    ];

    /// Name in outputs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HeadCut => "head_cut",
            Self::NoResponse => "no_response",
            Self::BodyCut => "body_cut",
            Self::NotEnoughEvidence => "not_enough_evidence",
            Self::CallerUnseen => "caller_unseen",
            Self::CallerAmbiguous => "caller_ambiguous",
            Self::ClientUnknown => "client_unknown",
            Self::NoClock => "no_clock",
            Self::NotTried => "not_tried",
            Self::NoRoom => "no_room",
        }
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The exchange.
    pub exchange: &'a Exchange,
    /// What is in it.
    pub labels: &'a Labels,
    /// Which endpoint it called.
    pub endpoint: &'a EndpointRef,
    /// What that was called first; `None` for what is in no inventory.
    pub known: Option<EndpointId>,
    /// Who called.
    pub caller: &'a Resolved,
}

impl Observation<'_> {
    /// What the endpoint is known by, whatever its template is corrected to.
    pub fn identity(&self) -> EndpointId {
        self.known.unwrap_or(self.endpoint.id)
    }
}

/// What was learnt before an exchange.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// Of the endpoint.
    pub endpoint: &'a History,
    /// Of logins and credentials.
    pub signs: &'a Signs,
}

/// What a rule saw. Typed, so that export decides the wording and nothing unmasked can be in it.
#[derive(Clone, PartialEq, Debug)]
pub enum Evidence {
    /// Sensitive data at a place.
    Data(Label),
    /// Credentials in the request head, by scheme name.
    Credentials(&'static str),
    /// Successes with credentials against all successes of the endpoint.
    AuthenticationNorm {
        /// With credentials.
        with: u64,
        /// All.
        of: u64,
    },
    /// A weakness of the token that was accepted.
    Token(TokenFlaw),
    /// The token that was accepted had expired.
    Expired {
        /// For so many seconds.
        seconds: u64,
    },
    /// The token that was accepted was not good yet.
    NotYetGood {
        /// For so many seconds.
        seconds: u64,
    },
    /// Passwords are guessed.
    LoginAttack(LoginAttack),
    /// Answers tell which names exist.
    Telling(Telling),
    /// Where a token was used from.
    Places(PlacesSign),
    /// A step of a login was left out.
    SkippedStep(SkippedStep),
    /// A function that the caller's group never used.
    Outsider(Outsider),
    /// A property that no request had.
    Assigned(Assigned),
    /// Sensitive data that no answer had.
    Excess(Excess),
    /// A list that is far too long.
    Bulk(Bulk),
    /// An object that is not the caller's.
    Object(Box<ObjectSign>),
}

/// A rule's verdict about one exchange.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static RuleMeta,
    /// Severity after evidence.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// The caller, when known.
    pub caller: Option<CallerHash>,
    /// The process it was seen in.
    pub process: ProcessKey,
    /// Its container, if any.
    pub container: Option<Arc<Container>>,
    /// Its pod, where an API server told of it.
    pub pod: Option<Arc<Pod>>,
    /// When: the clock of the exchange.
    pub time_ns: u64,
    /// What was seen.
    pub evidence: Evidence,
    /// The exchange had holes or was cut: what is not reported may still be there.
    pub partial: bool,
    /// It was in this part of a longer exchange, whose endpoint and status it is told with.
    pub part: Option<PartKind>,
    /// Status code of the response, 0 when none was seen.
    pub status: u16,
    /// How often this run saw the same before (rule, severity, endpoint, kind and place, and whose doing it is where it is
    /// somebody's): 0 for the first. A finding is told the first time, the tenth, the hundredth and so on.
    pub repeats: u64,
}

impl Finding {
    /// Kind, place and masked sample, where the evidence is data.
    pub const fn data(&self) -> Option<(DataKind, &Place, &Masked)> {
        match &self.evidence {
            Evidence::Data(label) => Some((label.kind, &label.place, &label.sample)),
            _ => None,
        }
    }
}

/// A verdict in short, whether it is told or not: for whoever counts them.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The rule.
    pub rule: &'static RuleMeta,
    /// Severity after evidence.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// The endpoint.
    pub endpoint: EndpointRef,
    /// Whose doing it is, and how far it goes.
    pub about: About,
    /// The caller, when known.
    pub caller: Option<CallerHash>,
    /// The client's address, hashed, when known.
    pub client: Option<CallerHash>,
    /// When: the clock of the exchange.
    pub time_ns: u64,
    /// The request changed something.
    pub writes: bool,
    /// It is told: the next of the findings is this one.
    pub is_told: bool,
}

/// Judges one exchange. Deterministic: time and past traffic arrive with the arguments.
pub trait Detector: Sync {
    /// The rule's description.
    fn meta(&self) -> &'static RuleMeta;
    /// `Err(Blind)` says why no judgement was possible; it is counted, never folded into "clean". What was found
    /// before the rule went blind counts.
    fn inspect<'a>(
        &self,
        seen: &Observation<'a>,
        past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind>;
}

/// What the rules say about one exchange.
pub type Verdicts<'a> = SmallVec<[Verdict<'a>; 4]>;

/// What a rule says about an exchange; the engine makes a [`Finding`] of it, unless it is a repeat.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict<'a> {
    /// Severity after evidence.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// What was seen.
    pub claim: Claim<'a>,
}

/// [`Evidence`] that is not copied yet: most of it is a repeat.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Claim<'a> {
    /// Sensitive data at a place.
    Data(&'a Label),
    /// Credentials in the request head, by scheme name.
    Credentials(&'static str),
    /// Successes with credentials against all successes of the endpoint.
    AuthenticationNorm {
        /// With credentials.
        with: u64,
        /// All.
        of: u64,
    },
    /// A weakness of the token that was accepted.
    Token(TokenFlaw),
    /// The token that was accepted had expired.
    Expired {
        /// For so many seconds.
        seconds: u64,
    },
    /// The token that was accepted was not good yet.
    NotYetGood {
        /// For so many seconds.
        seconds: u64,
    },
    /// Passwords are guessed.
    LoginAttack(LoginAttack),
    /// Answers tell which names exist.
    Telling(Telling),
    /// Where a token was used from.
    Places(PlacesSign),
    /// A step of a login was left out.
    SkippedStep(&'a SkippedStep),
    /// A function that the caller's group never used.
    Outsider(Outsider),
    /// A property that no request had.
    Assigned(&'a Assigned),
    /// Sensitive data that no answer had.
    Excess(&'a Excess),
    /// A list that is far too long.
    Bulk(Bulk),
    /// An object that is not the caller's.
    Object(&'a ObjectSign),
}

impl Claim<'_> {
    fn to_evidence(self) -> Evidence {
        match self {
            Self::Data(label) => Evidence::Data(label.clone()),
            Self::Credentials(scheme) => Evidence::Credentials(scheme),
            Self::AuthenticationNorm { with, of } => Evidence::AuthenticationNorm { with, of },
            Self::Token(flaw) => Evidence::Token(flaw),
            Self::Expired { seconds } => Evidence::Expired { seconds },
            Self::NotYetGood { seconds } => Evidence::NotYetGood { seconds },
            Self::LoginAttack(attack) => Evidence::LoginAttack(attack),
            Self::Telling(telling) => Evidence::Telling(telling),
            Self::Places(places) => Evidence::Places(places),
            Self::SkippedStep(skipped) => Evidence::SkippedStep(skipped.clone()),
            Self::Outsider(outsider) => Evidence::Outsider(outsider),
            Self::Assigned(assigned) => Evidence::Assigned(assigned.clone()),
            Self::Excess(excess) => Evidence::Excess(excess.clone()),
            Self::Bulk(bulk) => Evidence::Bulk(bulk),
            Self::Object(sign) => Evidence::Object(Box::new(sign.clone())),
        }
    }
}
