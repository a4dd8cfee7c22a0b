//! What messages carry: structured bodies, calls in them, compressed bodies, and one message through everything.

use std::ops::Range;
use std::sync::Arc;

use sensor_user::capture::Direction;
use sensor_user::exchange::Caller;
use sensor_user::export::json::Line;
use sensor_user::export::text::{Style, View};
use sensor_user::export::{ClockOffset, Event};
use sensor_user::pipeline::Pipeline;
use sensor_user::protocol::document::{Document, Documents, Format};
use sensor_user::protocol::envelope::{Envelope, Envelopes, MAX_ID, MAX_PATHS, Wrap};
use sensor_user::protocol::inflate::{self, Coding, Ended};
use sensor_user::protocol::json::Walker;
use sensor_user::protocol::multipart::{self, End};
use sensor_user::protocol::name::MAX_NAME;
use sensor_user::protocol::walk::{Container, Ending, MAX_DEPTH, Notes, Scalar, Text, Visitor};
use sensor_user::protocol::{graphql, soap, xml};
use sensor_user::telemetry::Counters;

use super::connection::{Piece, play, records, settings};
use super::cut;

/// Holds a walk to its laws: every container is closed, names stand in objects, and values of objects have one.
#[derive(Default)]
struct Checked {
    open: Vec<Container>,
    named: bool,
    scratch: Vec<u8>,
}

impl Checked {
    fn value(&mut self) {
        if self.open.last() == Some(&Container::Object) {
            assert!(std::mem::take(&mut self.named), "a value without a name");
        }
    }

    fn text(&mut self, text: Text<'_>) {
        let decoded = text.decode(&mut self.scratch).len();
        assert!(
            decoded <= text.raw.len(),
            "{} bytes became {decoded}",
            text.raw.len()
        );
    }

    /// What ends early leaves containers open.
    fn end(&self, ending: Ending) {
        assert!(
            ending != Ending::Complete || self.open.is_empty(),
            "not everything was closed"
        );
    }
}

impl Visitor for Checked {
    fn open(&mut self, container: Container) {
        self.value();
        self.open.push(container);
        // Lines, parts and XML's document stand around what is counted.
        assert!(self.open.len() <= MAX_DEPTH as usize + 4, "too deep");
    }

    fn close(&mut self) {
        assert!(self.open.pop().is_some(), "closed more than was opened");
        self.named = false;
    }

    fn key(&mut self, text: Text<'_>) {
        assert_eq!(
            self.open.last(),
            Some(&Container::Object),
            "a name outside of an object"
        );
        self.named = true;
        self.text(text);
    }

    fn scalar(&mut self, _kind: Scalar, text: Text<'_>) {
        self.value();
        self.text(text);
    }
}

/// Media types; the last says nothing, so that the first bytes do.
const MEDIA: [&[u8]; 14] = [
    b"application/json",
    b"application/x-ndjson",
    b"application/json-seq",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=b",
    b"multipart/mixed",
    b"text/xml",
    b"text/event-stream",
    b"application/msgpack",
    b"application/cbor",
    b"application/x-protobuf",
    b"text/plain",
    b"application/graphql",
    b"",
];

/// The first byte chooses the media type and whether the body was cut.
pub(crate) fn documents(input: &[u8]) {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let media = MEDIA
        .get(usize::from(choice >> 1) % MEDIA.len())
        .copied()
        .unwrap_or_default();
    let mut visitor = Checked::default();
    let walked = Documents::new(64).walk(
        Document {
            format: Format::of(media, bytes),
            media,
            bytes,
            cut: choice & 1 == 1,
        },
        &mut visitor,
    );
    visitor.end(walked.ending);
    assert!(walked.accepted <= bytes.len(), "more was read than there was");
    let _format = Format::of_media(bytes);
}

pub(crate) fn xml(input: &[u8]) {
    let mut scratch = String::new();
    let text = xml::readable(input, &mut scratch);
    let (mut visitor, mut notes) = (Checked::default(), Notes::default());
    let (ending, accepted) = xml::walk(text, &mut visitor, &mut notes);
    visitor.end(ending);
    assert!(accepted <= text.len(), "more was read than there was");
}

pub(crate) fn soap(input: &[u8]) {
    for whole in [true, false] {
        let (message, odd) = soap::read(input, whole);
        assert!(
            odd.doctype || !odd.declared,
            "an entity is declared in a document type declaration"
        );
        let names: Vec<_> = match &message {
            soap::Message::Soap { name, namespace, .. } => vec![name, namespace],
            soap::Message::Call { method, within } => {
                assert!(within.len() <= soap::MAX_WITHIN);
                std::iter::once(method).chain(within).collect()
            }
            _ => Vec::new(),
        };
        assert!(names.iter().all(|name| name.expose().len() <= MAX_NAME));
    }
}

pub(crate) fn graphql(input: &[u8]) {
    const MOST: usize = 4;
    let (bytes, at) = cut(input);
    let text = String::from_utf8_lossy(bytes);
    let document = graphql::read(&text, MOST);
    assert!(document.operations.len() <= MOST.min(document.count));
    for shape in document.operations.iter().map(|operation| &operation.shape) {
        for names in [
            &shape.top,
            &shape.selected,
            &shape.argument_paths,
            &shape.variable_names,
        ] {
            assert!(names.iter().count() <= graphql::MAX_NAMES);
        }
        assert!(shape.depth <= shape.fields, "a level without a field");
        let readable = document.faults.is_readable();
        assert!(!readable || shape.depth == 0 || !shape.top.is_empty());
    }
    if document.faults.is_readable() && !document.has_types && document.count > 0 {
        assert!(
            graphql::may_be_document(text.as_bytes()),
            "a document is not known for one"
        );
    }
    let front = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default());
    graphql::read(&front, MOST);
}

/// JSON around calls: the same however split.
pub(crate) fn envelope(input: &[u8]) {
    let (document, at) = cut(input);
    let (front, back) = document.split_at(at);
    for wrap in [Wrap::Bare, Wrap::Message] {
        assert_eq!(
            envelopes(&[document], wrap),
            envelopes(&[front, back], wrap),
            "split at {at}"
        );
    }
}

/// Everything of each envelope, whether they were a batch, and strays.
fn envelopes(pieces: &[&[u8]], wrap: Wrap) -> (Vec<String>, bool, u32) {
    let (mut envelope, mut told) = (Envelope::default(), Vec::new());
    let mut walker = Walker::new(64);
    let mut visitor = Envelopes::new(&mut envelope, wrap, |one: &mut Envelope| told.push(shown(one)));
    for piece in pieces {
        if walker.feed(piece, &mut visitor).is_err() {
            break;
        }
    }
    let _ending = walker.finish(&mut visitor);
    let (batch, strays) = visitor.finish();
    (told, batch, strays)
}

fn shown(one: &Envelope) -> String {
    let names = [&one.method, &one.kind, &one.id, &one.operation, &one.document_id];
    let names = names.map(|name| name.as_ref().map(|name| name.expose().escape_ascii().to_string()));
    let id = one.id.as_ref().map_or(0, |id| id.expose().len());
    // A quote stands before one that is text.
    assert!(id <= MAX_ID + 1);
    let paths: Vec<String> = one
        .variable_paths
        .iter()
        .map(|path| path.expose().escape_ascii().to_string())
        .collect();
    assert!(paths.len() <= MAX_PATHS);
    format!(
        "{names:?} {paths:?} {} {:?} {:?} {:?} {} {:?} {} {:?} {} {:?} {:?} {} {}",
        one.document.escape_ascii(),
        one.jsonrpc,
        one.result,
        one.error,
        one.code,
        one.query,
        one.document_cut,
        one.variables,
        one.persisted,
        one.data,
        one.errors,
        one.others,
        one.cut,
    )
}

/// Parts are slices of the body, in order and apart.
pub(crate) fn multipart(input: &[u8]) {
    let within = |part: &[u8]| -> Range<usize> {
        let start = (part.as_ptr() as usize).wrapping_sub(input.as_ptr() as usize);
        start..start.wrapping_add(part.len())
    };
    for media in [&b"multipart/form-data; boundary=b"[..], b"multipart/mixed"] {
        let mut notes = Notes::default();
        let Some(boundary) = multipart::boundary(media, input, &mut notes) else {
            continue;
        };
        let (mut count, mut end) = (0, 0);
        let ending = multipart::parts(boundary, input, &mut notes, |part, _| {
            count += 1;
            if !part.content.is_empty() {
                let content = within(part.content);
                assert!(end <= content.start && content.end <= input.len());
                end = content.end;
            }
            let named = [part.name, part.filename, part.media];
            assert!(
                named
                    .into_iter()
                    .flatten()
                    .all(|name| name.len() <= multipart::MAX_HEADER)
            );
        });
        assert!(count <= multipart::MAX_PARTS);
        assert!(ending != End::Closed || !input.is_empty());
    }
    let _parameter = multipart::parameter(input, b"name");
}

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

/// Of two bits each, the first byte chooses the outer coding, the number of codings over each other less one, and the
/// inner ones. No more comes out than the limits allow; what a cut body gives, the whole one begins with.
/// What comes of pieces, and how it ended.
fn flow_run(coding: Coding, limits: inflate::Limits, pieces: &[&[u8]]) -> (Vec<u8>, Option<Ended>) {
    const HELD: usize = 512;
    let mut flow = inflate::Flow::new(coding, HELD, limits);
    let (mut out, mut ended) = (Vec::new(), None);
    for piece in pieces {
        let told = flow.feed(piece, &mut |content| out.extend_from_slice(content));
        assert!(told.is_none() || ended.is_none(), "it ended twice");
        ended = ended.or(told);
        // A vector may be twice as large as what it holds.
        assert!(flow.held_bytes() <= inflate::STATE_BYTES.max(2 * HELD));
    }
    let told = flow.finish(&mut |content| out.extend_from_slice(content));
    assert!(told.is_none() != ended.is_none(), "it ended twice, or never");
    assert_eq!(flow.held_bytes(), 0);
    (out, ended.or(told))
}

/// The first byte chooses the coding and the limits, two more where the rest is cut. However a body comes, the same
/// comes out of it: in one piece, in two, in many.
pub(crate) fn inflate_flow(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let coding = CODINGS.get(usize::from(choice & 3)).copied();
    let coding = coding.unwrap_or(Coding::Gzip);
    let limits = if choice & 4 == 0 {
        inflate::Limits::default()
    } else {
        inflate::Limits {
            output_bytes: 4096,
            ratio: 20,
            free_bytes: 512,
        }
    };
    let (body, at) = cut(rest);
    let (front, back) = body.split_at(at);
    let many: Vec<&[u8]> = body.chunks(1 + at % 7).collect();
    let whole = flow_run(coding, limits, &[body]);
    for pieces in [&[front, back][..], &many] {
        let split = flow_run(coding, limits, pieces);
        // A limit is looked at between steps of decoding, and at a mistake the decoders of brotli and zstd keep back some
        // of what they had, which may look like a cut: how much is told then depends on the pieces. What it says never
        // does.
        let keeps_back = matches!(coding, Coding::Brotli | Coding::Zstd);
        let is_short = |ended| match ended {
            Some(Ended::Whole) => false,
            Some(Ended::Cut) => keeps_back,
            _ => true,
        };
        if is_short(whole.1) || is_short(split.1) {
            let alike = whole.0.starts_with(&split.0) || split.0.starts_with(&whole.0);
            assert!(alike, "{coding:?} in {} pieces", pieces.len());
        } else {
            assert_eq!(split, whole, "{coding:?} in {} pieces", pieces.len());
        }
    }
}

pub(crate) fn decompress(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let _codings = inflate::codings([rest]);
    let coding = |shift: u8| {
        CODINGS
            .get(usize::from(choice >> shift) & 3)
            .copied()
            .unwrap_or(Coding::Gzip)
    };
    let layers = [coding(4), coding(6), coding(2), coding(0)];
    let codings = layers
        .get((3 - usize::from(choice >> 2 & 3))..)
        .unwrap_or_default();
    let (body, at) = cut(rest);
    let small = inflate::Limits {
        output_bytes: 4096,
        ratio: 20,
        free_bytes: 512,
    };
    for limits in [small, inflate::Limits::default()] {
        let mut out = b"before".to_vec();
        let ended = inflate::decode(codings, body, limits, &mut out);
        assert!(out.len() <= limits.output_bytes, "{} bytes came out", out.len());
        if ended != Ended::Bomb && codings.len() == 1 {
            assert!(
                out.len() <= limits.free_bytes.max(body.len() * limits.ratio),
                "out of proportion"
            );
        }
    }
    let any = inflate::Limits {
        output_bytes: 1 << 20,
        ratio: usize::MAX,
        free_bytes: 1 << 20,
    };
    // Which of its two meanings `deflate` has is told by the first two bytes.
    if !codings.contains(&Coding::Deflate) {
        let (mut whole, mut front) = (Vec::new(), Vec::new());
        let _ended = inflate::decode(codings, body, any, &mut whole);
        let _ended = inflate::decode(codings, body.get(..at).unwrap_or_default(), any, &mut front);
        // At a mistake the decoders of brotli and zstd keep back some of what they had.
        let keeps_back = codings.contains(&Coding::Brotli) || codings.contains(&Coding::Zstd);
        let kept_back = keeps_back && front.starts_with(&whole);
        assert!(
            kept_back || whole.starts_with(&front),
            "what came out of {at} bytes changed with more"
        );
    }
}

/// Who calls: the same bytes are the same caller, and other connections do not matter.
pub(crate) fn caller(input: &[u8]) {
    let (bytes, at) = cut(input);
    let line = |bytes: &[u8]| -> Vec<u8> {
        bytes
            .iter()
            .map(|byte| {
                if matches!(byte, b'\r' | b'\n' | 0) {
                    b' '
                } else {
                    *byte
                }
            })
            .collect()
    };
    let (authorization, cookie) = bytes.split_at(at);
    let request = [
        b"GET /a HTTP/1.1\r\nAuthorization: ",
        &line(authorization)[..],
        b"\r\nCookie: ",
        &line(cookie)[..],
        b"\r\n\r\n",
    ]
    .concat();
    let answer = b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    let turn = [
        (Direction::Read, Piece::Bytes(request)),
        (Direction::Write, Piece::Bytes(answer)),
    ];
    let callers: Vec<Caller> = play(&[turn.clone(), turn].concat())
        .into_iter()
        .map(|exchange| exchange.caller)
        .collect();
    if let [first, second, ..] = callers.as_slice() {
        assert_eq!(first, second, "a caller is another the second time");
    }
}

/// What must not come out of the sensor.
const PLANTED: &str = "kZ8PLANTEDq4TOKENw7";

/// One request and its answer, both with the input for a body and part of it for the target, through classification,
/// inventory, detection and export: lines are lines, and hold no credential.
pub(crate) fn message(input: &[u8]) {
    let [choice, coding, rest @ ..] = input else {
        return;
    };
    let (bytes, at) = cut(rest);
    let (target, body) = bytes.split_at(at.min(200));
    let media = MEDIA
        .get(usize::from(*choice) % MEDIA.len())
        .copied()
        .unwrap_or_default();
    let coding = match coding % 8 {
        0 => "gzip",
        1 => "deflate",
        2 => "br",
        3 => "zstd",
        _ => "identity",
    };
    let target: Vec<u8> = target.iter().copied().filter(u8::is_ascii_graphic).collect();
    let head = |start: &[u8]| {
        let media = media.escape_ascii();
        let length = body.len();
        let fields = format!(
            "Host: api.example\r\nContent-Type: {media}\r\nContent-Encoding: {coding}\r\nContent-Length: {length}\r\n\
             Authorization: Bearer {PLANTED}\r\n\r\n"
        );
        Piece::Bytes([start, fields.as_bytes(), body].concat())
    };
    let turn = [
        (
            Direction::Read,
            head(&[b"POST /", &target[..], b" HTTP/1.1\r\n"].concat()),
        ),
        (Direction::Write, head(b"HTTP/1.1 200 OK\r\n")),
    ];
    let counters = Arc::new(Counters::default());
    let mut pipeline = Pipeline::new(&settings(&counters));
    let style = Style {
        colour: false,
        width: Some(100),
    };
    let mut view = View::new(style, ClockOffset::RECORDED);
    let mut told = |event: Event| {
        let line = serde_json::to_string(&Line::of(&event, ClockOffset::RECORDED)).expect("it is JSON");
        let lines = view.lines(&event);
        for text in [&line, &lines] {
            assert!(!text.contains(PLANTED), "a credential came out");
            assert!(
                !text.chars().any(|letter| letter.is_control() && letter != '\n'),
                "{text:?}"
            );
        }
        assert!(!line.contains('\n'));
    };
    for record in records(&turn) {
        pipeline.push(record, &mut told);
    }
    pipeline.finish(&mut told);
    assert_eq!(counters.ledger().unbalanced(), None);
}
