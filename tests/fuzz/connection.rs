//! One connection through flow and pairing, and exchanges as text that can be compared.

use std::sync::Arc;

use bytes::Bytes;
use sensor_user::capture::{Data, Direction, Gap, GapReason, Origin, ProcessKey, Record, Source, StreamKey};
use sensor_user::exchange;
use sensor_user::exchange::secret::HashKey;
use sensor_user::exchange::{Body, Conversations, Exchange, Head, Outcome};
use sensor_user::flow::FlowTable;
use sensor_user::pipeline::Settings;
use sensor_user::telemetry::Counters;

/// What happens next in a direction.
#[derive(Clone)]
pub(crate) enum Piece {
    /// Bytes come.
    Bytes(Vec<u8>),
    /// They come at the time of the piece before.
    Same(Vec<u8>),
    /// So many are missing.
    Hole(u64),
}

/// Settings whose limits small inputs reach.
pub(crate) fn settings(counters: &Arc<Counters>) -> Settings {
    Settings {
        exchange: exchange::Limits {
            body_bytes: 512,
            head_bytes: 4096,
            pending: 16,
            ..exchange::Limits::default()
        },
        ..Settings::new(HashKey::new([7; 32]), Arc::clone(counters))
    }
}

/// The exchanges of one connection; its accounts close.
pub(crate) fn play(pieces: &[(Direction, Piece)]) -> Vec<Exchange> {
    let counters = Arc::new(Counters::default());
    let settings = settings(&counters);
    let mut flow = FlowTable::new(settings.flow, Arc::clone(&counters));
    let mut talk = Conversations::new(settings.exchange, settings.key, Arc::clone(&counters));
    let mut exchanges = Vec::new();
    for record in records(pieces) {
        flow.push(record, &mut |event| talk.push(event, &mut exchanges));
    }
    flow.finish(&mut |event| talk.push(event, &mut exchanges));
    assert_eq!(counters.ledger().unbalanced(), None);
    exchanges
}

/// The records of one connection.
pub(crate) fn records(pieces: &[(Direction, Piece)]) -> impl Iterator<Item = Record> {
    let process = ProcessKey { pid: 7, start_ns: 1 };
    let stream = StreamKey {
        process,
        source: Source::Tls,
        id: 1,
        generation: 0,
    };
    let (mut positions, mut time_ns) = ([0_u64; 2], 1_000_000_000);
    pieces.iter().map(move |(direction, piece)| {
        let direction = *direction;
        let [read, write] = &mut positions;
        let position = if direction == Direction::Read { read } else { write };
        if !matches!(piece, Piece::Same(_)) {
            time_ns += 1_000;
        }
        let origin = Origin {
            time_ns,
            process,
            tid: 7,
            cgroup: 0,
        };
        let at = *position;
        match piece {
            Piece::Bytes(bytes) | Piece::Same(bytes) => {
                *position += bytes.len() as u64;
                Record::Data(Data {
                    origin,
                    stream,
                    direction,
                    position: at,
                    socket: 0,
                    early: false,
                    bytes: Bytes::copy_from_slice(bytes),
                })
            }
            Piece::Hole(missing) => {
                *position += missing;
                Record::Gap(Gap {
                    origin,
                    stream,
                    direction,
                    position: at,
                    missing: *missing,
                    reason: GapReason::Fault,
                })
            }
        }
    })
}

/// Everything of an exchange but its times.
pub(crate) fn show(exchange: &Exchange) -> String {
    let request = &exchange.request;
    let answer = match &exchange.outcome {
        Outcome::Answered(answer) => format!(
            "{} {} {} {}",
            answer.status,
            head(&answer.head),
            body(&answer.body),
            head(&answer.trailers)
        ),
        other => format!("{other:?}"),
    };
    format!(
        "{} {} {} -> {answer} {:?} {:?} {:?}",
        head(&request.head),
        body(&request.body),
        head(&request.trailers),
        exchange.caller,
        exchange.calls,
        exchange.anomalies
    )
}

fn head(head: &Head) -> String {
    head.raw.escape_ascii().to_string()
}

fn body(body: &Body) -> String {
    let bytes: Vec<u8> = body.pieces.iter().flat_map(|piece| piece.0.to_vec()).collect();
    format!("{} {} {:?}", bytes.escape_ascii(), body.total, body.state)
}
