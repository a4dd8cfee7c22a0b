//! API8:2023 Security Misconfiguration.

use std::net::IpAddr;

use crate::classify::{Confidence, Half, Label, Part};
use crate::detect::{
    Blind, Claim, Detector, EvidenceKind, Input, Observation, Past, RuleId, RuleMeta, Severity, Verdict,
    Verdicts,
};
use crate::exchange::{Caller, Connection};

/// API8-001.
pub(in crate::detect) struct CredentialsOverCleartext;

static META: RuleMeta = RuleMeta {
    id: RuleId("API8-001"),
    title: "Credentials over cleartext",
    owasp_2019: "API7:2019",
    owasp_2023: "API8:2023",
    cwe: 319,
    severity: Severity::High,
    needs: &[Input::RequestHead],
    evidence: &[EvidenceKind::Data, EvidenceKind::Credentials],
    description: "A request authenticated, or carried a password, key or token, on a connection without TLS; so did \
        a response that handed one out. Whoever is on the way reads it and can act as the caller. The finding is \
        high; between private addresses, and where the addresses are not known, medium; low where both ends are on \
        this host, as behind a proxy that ends TLS.",
    remedy: "Serve the API over TLS only, redirect nothing but the first page and answer API calls over plain HTTP \
        with 403, set Strict-Transport-Security, and revoke the credentials seen. Behind a proxy, keep the plain leg \
        on loopback or a UNIX socket, or use TLS to the backend too.",
};

impl Detector for CredentialsOverCleartext {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn inspect<'a>(
        &self,
        seen: &Observation<'a>,
        _past: &Past<'a>,
        out: &mut Verdicts<'a>,
    ) -> Result<(), Blind> {
        let connection = &seen.exchange.connection;
        if connection.tls {
            return Ok(());
        }
        let severity = severity(connection);
        let known = match seen.exchange.caller {
            Caller::Known { scheme, .. } => Some(scheme),
            Caller::Anonymous | Caller::Unseen => None,
        };
        if let (Some(scheme), None) = (known, seen.exchange.part) {
            out.push(Verdict {
                severity,
                confidence: Confidence(95),
                claim: Claim::Credentials(scheme.name()),
            });
        }
        for label in &seen.labels.found {
            // What made the caller known is told once, by its scheme.
            if label.kind.is_credential() && !(known.is_some() && is_caller(label)) {
                out.push(Verdict {
                    severity,
                    confidence: label.confidence,
                    claim: Claim::Data(label),
                });
            }
        }
        if seen.exchange.caller == Caller::Unseen {
            return Err(Blind::HeadCut);
        }
        Ok(())
    }
}

fn is_caller(label: &Label) -> bool {
    label.place.half == Half::Request && matches!(label.place.part, Part::Header | Part::Cookie)
}

/// By who could listen.
fn severity(connection: &Connection) -> Severity {
    let (Some((local, _)), Some((remote, _))) = (connection.local, connection.remote) else {
        return Severity::Medium;
    };
    let (local, remote) = (local.to_canonical(), remote.to_canonical());
    if (local.is_loopback() && remote.is_loopback()) || local == remote {
        Severity::Low
    } else if is_private(local) && is_private(remote) {
        Severity::Medium
    } else {
        Severity::High
    }
}

/// RFC 1918, RFC 4193 and link-local addresses.
const fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::test_support::Builder;

    fn severity_at(address: &str) -> Severity {
        let exchange = Builder::get("/").remote(address.parse().unwrap()).build();
        let mut connection = (*exchange.connection).clone();
        connection.local = Some(("10.0.0.1".parse().unwrap(), 80));
        severity(&connection)
    }

    #[test]
    fn distance_decides() {
        assert_eq!(severity_at("203.0.113.7"), Severity::High);
        assert_eq!(severity_at("10.9.9.9"), Severity::Medium);
        assert_eq!(severity_at("::ffff:10.9.9.9"), Severity::Medium);
        assert_eq!(severity_at("10.0.0.1"), Severity::Low);
        let exchange = Builder::get("/").remote("127.0.0.1".parse().unwrap()).build();
        assert_eq!(severity(&exchange.connection), Severity::Low);
    }
}
