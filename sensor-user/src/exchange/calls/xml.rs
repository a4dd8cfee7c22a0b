//! SOAP and XML-RPC: a document's front to a call, and what came of it.

use super::super::call::{Call, CallKind, CallOutcome, Detail, SoapDetail};
use super::super::{Head, Response, Secret};
use super::{Found, media, parameter};
use crate::protocol::Anomaly;
use crate::protocol::name::Name;
use crate::protocol::soap::{self, Message, Oddities};

/// The call in a request's XML; of other XML only what is odd.
pub(super) fn calls(head: &Head, body: &[u8], whole: bool) -> Found {
    let mut found = Found::default();
    let (message, odd) = soap::read(body, whole);
    match message {
        Message::Soap {
            version,
            name,
            namespace,
            ..
        } => {
            let detail = SoapDetail {
                version,
                namespace,
                action: action(head),
                fault: None,
            };
            let call = Call {
                detail: Some(Box::new(Detail::Soap(detail))),
                ..Call::new(CallKind::Soap, name)
            };
            found.add(call, None);
        }
        Message::Call { method, within } => {
            for name in std::iter::once(method).chain(within) {
                found.add(Call::new(CallKind::XmlRpc, name), None);
            }
        }
        // Pages have a document type of their own.
        Message::Response { .. } | Message::Other if is_page(head) => return found,
        Message::Response { .. } | Message::Other => {}
    }
    note(odd, &mut found);
    found
}

/// What came of the call.
pub(super) fn answer(response: &Response, body: &[u8], found: &mut Found) {
    let whole = response.body.is_content_whole();
    let (message, odd) = soap::read(body, whole);
    let Some(call) = found.calls.first_mut() else {
        return;
    };
    match (message, call.kind) {
        (Message::Soap { name, fault, .. }, CallKind::Soap) => {
            call.outcome = match fault {
                Some(_) => CallOutcome::Failure(0),
                None if name.is_empty() && !whole => CallOutcome::Unknown,
                None => CallOutcome::Success,
            };
            if let Some(Detail::Soap(detail)) = call.detail.as_deref_mut() {
                detail.fault = fault;
            }
        }
        (Message::Response { fault }, CallKind::XmlRpc) => {
            call.outcome = outcome(fault);
            answer_within(body, found);
        }
        // A page about an error, say.
        _ => return,
    }
    note(odd, found);
}

/// Of the calls in a `system.multicall`, which follow it.
fn answer_within(body: &[u8], found: &mut Found) {
    let Some((_, within @ [_, ..])) = found.calls.split_first_mut() else {
        return;
    };
    for (call, fault) in within.iter_mut().zip(soap::answers(body)) {
        call.outcome = outcome(fault);
    }
}

fn outcome(fault: Option<i64>) -> CallOutcome {
    fault.map_or(CallOutcome::Success, CallOutcome::Failure)
}

fn note(odd: Oddities, found: &mut Found) {
    let seen = [
        (odd.doctype, Anomaly::XmlDoctype),
        (odd.declared, Anomaly::XmlEntityDeclared),
        (odd.used, Anomaly::XmlEntityUsed),
        (odd.malformed, Anomaly::XmlCallMalformed),
    ];
    for (_, anomaly) in seen.into_iter().filter(|(seen, _)| *seen) {
        found.note(anomaly);
    }
}

/// `SOAPAction` (SOAP 1.1, 6.1.1), else the media type's `action` (SOAP 1.2 part 2, 6.5.3); quotes removed.
fn action(head: &Head) -> Name {
    let field = head.header("soapaction").map(Secret::expose);
    let action = field
        .or_else(|| parameter(media(head), b"action"))
        .unwrap_or_default();
    let action = action.trim_ascii();
    let inner = action
        .strip_prefix(b"\"")
        .and_then(|action| action.strip_suffix(b"\""));
    Name::new(inner.unwrap_or(action))
}

fn is_page(head: &Head) -> bool {
    let media = media(head);
    memchr::memmem::find(media, b"html").is_some() || memchr::memmem::find(media, b"svg").is_some()
}
