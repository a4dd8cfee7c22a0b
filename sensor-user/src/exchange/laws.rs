//! Laws that hold for every protocol that is read, over fixtures of each.
//!
//! 1. However the bytes are cut, and in whatever order the two directions come that causality allows, the exchanges are
//!    the same. 2. Without any one chunk nothing panics, no answer goes to another's request, and later exchanges are
//!    found again; how many messages that takes is measured and printed.
//!
//! A protocol adds its fixtures in [`fixtures::all`].

mod distance;
mod fixtures;
mod pairing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::call::CallKind;
use super::secret::HashKey;
use super::{BodyState, Conversations, Exchange, Head, Limits, Outcome};
use crate::capture::{CloseReason, Direction, GapReason, ProcessKey, Source, StreamKey};
use crate::flow::{FlowEvent, Payload};
use fixtures::Fixture;

const STREAM: StreamKey = StreamKey {
    process: ProcessKey { pid: 9, start_ns: 3 },
    source: Source::Tls,
    id: 1,
    generation: 0,
};

/// Between two chunks: so that nothing looks like a pause.
const STEP_NS: u64 = 100_000;

/// Between bursts of requests, and before the end: a server closes a connection on which nothing was asked for a while.
const IDLE_NS: u64 = 5_000_000_000;

/// A part of a direction's bytes, as it is delivered.
#[derive(Clone, Debug)]
struct Piece {
    direction: Direction,
    from: usize,
    to: usize,
}

/// The bytes of one direction, and where each step of it begins.
#[derive(Default, Debug)]
struct Way {
    bytes: Vec<u8>,
    /// First byte of a step, and how many steps of the other way come before it.
    steps: Vec<(usize, usize)>,
    /// First bytes of steps before which nothing moves for a while.
    idle: Vec<usize>,
}

impl Way {
    /// Steps that are complete when so many bytes were delivered.
    fn complete(&self, delivered: usize) -> usize {
        let ends = self.steps.iter().skip(1).map(|(start, _)| *start);
        ends.chain([self.bytes.len()])
            .filter(|end| *end <= delivered)
            .count()
    }

    /// How far bytes may be delivered when so many steps of the other way are complete.
    fn allowed(&self, others: usize) -> usize {
        let held = self.steps.iter().find(|(_, after)| *after > others);
        held.map_or(self.bytes.len(), |(start, _)| *start)
    }
}

fn ways(fixture: &Fixture) -> [Way; 2] {
    let mut ways = [Way::default(), Way::default()];
    for step in &fixture.steps {
        let way = &mut ways[usize::from(step.direction == Direction::Write)];
        way.steps.push((way.bytes.len(), step.after));
        if step.idle {
            way.idle.push(way.bytes.len());
        }
        way.bytes.extend_from_slice(&step.bytes);
    }
    ways
}

/// The steps in their order, each whole.
fn steps(fixture: &Fixture) -> Vec<Piece> {
    let mut at = [0, 0];
    let pieces = fixture.steps.iter().map(|step| {
        let at = &mut at[usize::from(step.direction == Direction::Write)];
        let from = *at;
        *at += step.bytes.len();
        Piece {
            direction: step.direction,
            from,
            to: *at,
        }
    });
    pieces.collect()
}

/// An order of pieces that causality allows: `choices` say which way goes on and how far.
fn schedule(ways: &[Way; 2], choices: &[(bool, usize)]) -> Vec<Piece> {
    let (mut pieces, mut at) = (Vec::new(), [0, 0]);
    let mut choices = choices.iter().copied().cycle();
    while at[0] < ways[0].bytes.len() || at[1] < ways[1].bytes.len() {
        let (write, length) = choices.next().unwrap_or((false, usize::MAX));
        let open = |way: usize| {
            let others = ways[1 - way].complete(at[1 - way]);
            ways[way].allowed(others) - at[way]
        };
        let way = match (open(0), open(1)) {
            (0, 0) => panic!("the fixture waits for itself at {at:?}"),
            (0, _) => 1,
            (_, 0) => 0,
            _ => usize::from(write),
        };
        let to = at[way] + length.clamp(1, open(way));
        pieces.push(Piece {
            direction: if way == 0 {
                Direction::Read
            } else {
                Direction::Write
            },
            from: at[way],
            to,
        });
        at[way] = to;
    }
    pieces
}

/// Pieces that are missing, and whether that is noticed when the next one of their direction comes, or at once.
#[derive(Clone, Debug, Default)]
struct Missing {
    pieces: Vec<usize>,
    late: bool,
}

/// Everything a connection gives.
fn play(ways: &[Way; 2], pieces: &[Piece], missing: &Missing) -> Vec<Exchange> {
    let mut conversations = Conversations::new(Limits::default(), HashKey::new([0; 32]), Arc::default());
    let mut out = Vec::new();
    let mut time_ns = 1;
    let mut holes = [0, 0];
    for (index, piece) in pieces.iter().enumerate() {
        time_ns += STEP_NS;
        let way = usize::from(piece.direction == Direction::Write);
        let bytes = &ways[way].bytes[piece.from..piece.to];
        if ways[way].idle.contains(&piece.from) {
            time_ns += IDLE_NS;
        }
        let is_missing = missing.pieces.contains(&index);
        if is_missing {
            holes[way] += bytes.len() as u64;
        }
        if holes[way] > 0 && !(is_missing && missing.late) {
            conversations.push(
                FlowEvent::Gap {
                    stream: STREAM,
                    direction: piece.direction,
                    time_ns,
                    missing: std::mem::take(&mut holes[way]),
                    reason: GapReason::Lost,
                },
                &mut out,
            );
        }
        if !is_missing {
            conversations.push(
                FlowEvent::Chunk {
                    stream: STREAM,
                    direction: piece.direction,
                    time_ns,
                    early: false,
                    bytes: Payload(Bytes::copy_from_slice(bytes)),
                },
                &mut out,
            );
        }
    }
    let closed = FlowEvent::Closed {
        stream: STREAM,
        time_ns: time_ns + IDLE_NS,
        reason: CloseReason::Socket,
    };
    conversations.push(closed, &mut out);
    out
}

/// Exchanges in a form that does not depend on time and cuts, in an order of their own.
fn shown(exchanges: &[Exchange]) -> Vec<String> {
    let mut shown: Vec<String> = exchanges.iter().map(show).collect();
    shown.sort_unstable();
    shown
}

fn show(exchange: &Exchange) -> String {
    let body = |body: &super::Body| {
        let bytes: Vec<u8> = body.pieces.iter().flat_map(|piece| piece.0.to_vec()).collect();
        format!("{} {:?} {:?}", bytes.escape_ascii(), body.total, body.state)
    };
    let fields = |head: &Head| {
        let fields = head
            .fields()
            .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.expose().escape_ascii()));
        fields.collect::<Vec<_>>().join("&")
    };
    let request = &exchange.request;
    let answer = match &exchange.outcome {
        Outcome::Answered(response) => format!(
            "{} {} {} {}",
            response.status,
            fields(&response.head),
            body(&response.body),
            fields(&response.trailers)
        ),
        other => format!("{other:?}"),
    };
    format!(
        "{} {} {} {} {} -> {answer} {:?} {:?} {:?}",
        request.method().escape_ascii(),
        request.target().expose().escape_ascii(),
        fields(&request.head),
        body(&request.body),
        fields(&request.trailers),
        exchange.caller,
        exchange.calls,
        exchange.anomalies
    )
}

/// Number of a message of a WebSocket that came whole. A part that is told as whole, or one told of the wrong side, has a
/// number of which there is none.
fn said(exchange: &Exchange) -> Option<usize> {
    let bodies = [&exchange.request.body, &exchange.outcome.response()?.body];
    let side = bodies.iter().position(|body| body.state == BodyState::Whole)?;
    let text: Vec<u8> = bodies[side]
        .pieces
        .iter()
        .flat_map(|piece| piece.0.to_vec())
        .collect();
    let text = String::from_utf8_lossy(&text);
    let number: Option<usize> = text.split(' ').next().and_then(|number| number.parse().ok());
    let is_right = |number: &usize| number % 2 == side && text == fixtures::websocket::text(*number);
    Some(number.filter(is_right).unwrap_or(usize::MAX))
}

/// Numbers of an exchange's request and of its answer, as the fixtures write them: `/n/7` and `x-n: 7`.
fn numbers(exchange: &Exchange) -> (Option<usize>, Option<usize>) {
    if exchange
        .calls
        .first()
        .is_some_and(|call| call.kind == CallKind::WebSocket)
    {
        return match said(exchange) {
            Some(usize::MAX) => (Some(0), Some(usize::MAX)),
            number => (number, number),
        };
    }
    let parse = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let target = exchange.request.target();
    let request = target
        .expose()
        .rsplit(|byte| *byte == b'/')
        .next()
        .and_then(parse);
    let response = exchange.outcome.response();
    let answer = response.and_then(|response| parse(response.head.header("x-n")?.expose()));
    (request, answer)
}

#[test]
fn fixtures_give_the_exchanges_they_say() {
    for fixture in fixtures::all() {
        let exchanges = play(&ways(&fixture), &steps(&fixture), &Missing::default());
        assert_eq!(
            exchanges.len(),
            fixture.exchanges,
            "{}: {:#?}",
            fixture.name,
            shown(&exchanges)
        );
        for exchange in &exchanges {
            let (request, answer) = numbers(exchange);
            assert!(
                request.is_some() && request == answer,
                "{}: {}",
                fixture.name,
                show(exchange)
            );
            let whole = |body: &super::Body| matches!(body.state, BodyState::Empty | BodyState::Whole);
            let answered = exchange
                .outcome
                .response()
                .is_some_and(|response| whole(&response.body));
            assert!(
                answered && whole(&exchange.request.body),
                "{}: {}",
                fixture.name,
                show(exchange)
            );
        }
    }
}

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    for fixture in fixtures::all() {
        let (ways, steps) = (ways(&fixture), steps(&fixture));
        let whole = shown(&play(&ways, &steps, &Missing::default()));
        for (index, step) in steps.iter().enumerate() {
            for at in step.from + 1..step.to {
                let mut cut = steps.clone();
                cut[index].to = at;
                cut.insert(
                    index + 1,
                    Piece {
                        from: at,
                        ..step.clone()
                    },
                );
                assert_eq!(
                    shown(&play(&ways, &cut, &Missing::default())),
                    whole,
                    "{} step {index} at {at}",
                    fixture.name
                );
            }
        }
        let bytes: Vec<Piece> = steps
            .iter()
            .flat_map(|step| {
                (step.from..step.to).map(|at| Piece {
                    direction: step.direction,
                    from: at,
                    to: at + 1,
                })
            })
            .collect();
        assert_eq!(
            shown(&play(&ways, &bytes, &Missing::default())),
            whole,
            "{} byte by byte",
            fixture.name
        );
    }
}

/// What a hole cost: later exchanges of its direction that were not found again, until one was, and the bytes before
/// that one.
#[derive(Clone, Copy, Default, Debug)]
struct Distance {
    messages: usize,
    bytes: usize,
}

fn recovery(fixture: &Fixture, exchanges: &[Exchange], missing: &Piece) -> Distance {
    let touched = touched(fixture, missing);
    let found: BTreeSet<usize> = exchanges
        .iter()
        .map(numbers)
        .filter_map(|(request, answer)| answer.filter(|_| request == answer))
        .collect();
    // Where each exchange begins.
    let mut later = BTreeMap::new();
    let mut at = 0;
    for step in fixture
        .steps
        .iter()
        .filter(|step| step.direction == missing.direction)
    {
        if step.exchange > touched {
            later.entry(step.exchange).or_insert(at);
        }
        at += step.bytes.len();
    }
    let next = later
        .iter()
        .enumerate()
        .find(|(_, (number, _))| found.contains(number));
    if later.is_empty() {
        return Distance::default();
    }
    let (messages, begins) = match next {
        Some((index, (_, begins))) => (index, *begins),
        None => (later.len(), at),
    };
    Distance {
        messages,
        bytes: begins.saturating_sub(missing.to),
    }
}

/// The last exchange of which bytes are missing.
fn touched(fixture: &Fixture, missing: &Piece) -> usize {
    let mut at = [0, 0];
    let mut last = 0;
    for step in &fixture.steps {
        let at = &mut at[usize::from(step.direction == Direction::Write)];
        let (from, to) = (*at, *at + step.bytes.len());
        *at = to;
        if step.direction == missing.direction && from < missing.to && missing.from < to {
            last = last.max(step.exchange);
        }
    }
    last
}

/// No answer is given to another's request.
fn check_pairs(fixture: &Fixture, exchanges: &[Exchange], missing: &Missing, pieces: &[Piece]) {
    for exchange in exchanges {
        let (request, answer) = numbers(exchange);
        let mismatched = request.is_some() && answer.is_some() && request != answer;
        assert!(
            !mismatched,
            "{} without {missing:?} of {pieces:?}: {}",
            fixture.name,
            show(exchange)
        );
    }
}

fn check_hole(fixture: &Fixture, ways: &[Way; 2], pieces: &[Piece], missing: usize) -> Distance {
    let mut worst = Distance::default();
    for late in [false, true] {
        let holes = Missing {
            pieces: vec![missing],
            late,
        };
        let exchanges = play(ways, pieces, &holes);
        check_pairs(fixture, &exchanges, &holes, pieces);
        if fixture.opening >= Some(touched(fixture, &pieces[missing])) {
            continue;
        }
        let distance = recovery(fixture, &exchanges, &pieces[missing]);
        assert!(
            distance.messages <= fixture.recovery && distance.bytes <= fixture.recovery_bytes,
            "{} without {:?}, noticed late: {late}: found again after {distance:?}: {:#?}",
            fixture.name,
            pieces[missing],
            shown(&exchanges)
        );
        worst.messages = worst.messages.max(distance.messages);
        worst.bytes = worst.bytes.max(distance.bytes);
    }
    worst
}

#[test]
fn without_any_one_chunk_the_next_clean_message_is_found() {
    for fixture in fixtures::all() {
        let (ways, steps) = (ways(&fixture), steps(&fixture));
        let (mut worst, mut holes, mut at_once) = (Distance::default(), 0, 0);
        for size in [usize::MAX, 64, 16, 5] {
            let pieces: Vec<Piece> = steps
                .iter()
                .flat_map(|step| {
                    let starts = (step.from..step.to).step_by(size.min(step.to - step.from).max(1));
                    starts.map(|from| Piece {
                        direction: step.direction,
                        from,
                        to: from.saturating_add(size).min(step.to),
                    })
                })
                .collect();
            for missing in 0..pieces.len() {
                let distance = check_hole(&fixture, &ways, &pieces, missing);
                worst.messages = worst.messages.max(distance.messages);
                worst.bytes = worst.bytes.max(distance.bytes);
                holes += 1;
                at_once += usize::from(distance.messages == 0);
            }
        }
        assert!(
            at_once * 100 >= holes * fixture.at_once,
            "{}: {at_once} of {holes}",
            fixture.name
        );
        println!(
            "{}: {holes} holes; the next message is found behind {at_once}, else after {} at most; {} bytes at most",
            fixture.name, worst.messages, worst.bytes
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_that_causality_allows_changes_nothing(
        choices in proptest::collection::vec((any::<bool>(), prop_oneof![1..4_usize, 1..200_usize, Just(usize::MAX)]), 1..60),
    ) {
        for fixture in fixtures::all() {
            let ways = ways(&fixture);
            let whole = shown(&play(&ways, &steps(&fixture), &Missing::default()));
            let pieces = schedule(&ways, &choices);
            prop_assert_eq!(shown(&play(&ways, &pieces, &Missing::default())), whole, "{} {:?}", fixture.name, pieces);
        }
    }

    #[test]
    fn a_hole_in_any_order_never_gives_an_answer_to_another(
        choices in proptest::collection::vec((any::<bool>(), prop_oneof![1..40_usize, 1..400_usize]), 1..60),
        missing in any::<proptest::sample::Index>(),
    ) {
        for fixture in fixtures::all() {
            let ways = ways(&fixture);
            let pieces = schedule(&ways, &choices);
            check_hole(&fixture, &ways, &pieces, missing.index(pieces.len()));
        }
    }

    #[test]
    fn holes_in_any_order_never_give_an_answer_to_another(
        choices in proptest::collection::vec((any::<bool>(), prop_oneof![1..40_usize, 1..400_usize]), 1..60),
        missing in proptest::collection::vec(any::<proptest::sample::Index>(), 1..8),
        late in any::<bool>(),
    ) {
        for fixture in fixtures::all() {
            let ways = ways(&fixture);
            let pieces = schedule(&ways, &choices);
            let missing = Missing {
                pieces: missing.iter().map(|index| index.index(pieces.len())).collect(),
                late,
            };
            check_pairs(&fixture, &play(&ways, &pieces, &missing), &missing, &pieces);
        }
    }
}
