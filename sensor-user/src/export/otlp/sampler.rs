//! Which exchanges become spans, and their identifiers.
//!
//! Takes the context that a request came with. Gives identifiers, and whether the span is kept. Randomness is drawn at
//! the start.

use std::hash::{BuildHasher as _, RandomState};

use crate::config::{self, Sampler as Kind};
use crate::exchange::trace::TraceContext;

const SECOND_NS: u64 = 1_000_000_000;

/// Identifiers of a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SpanIds {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
}

/// What becomes of an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Choice {
    /// It is a span.
    Kept,
    /// The sampler leaves it out.
    LeftOut,
    /// It is beyond the bound of a second.
    HeldBack,
}

/// Chooses.
#[derive(Debug)]
pub(super) struct Sampler {
    kind: Kind,
    /// Traces whose last eight bytes, halved, are below this are kept: as OpenTelemetry's SDKs choose, so that all who
    /// sample a trace by a share keep the same ones.
    below: u64,
    per_second: u32,
    second: u64,
    kept: u32,
    random: RandomState,
    drawn: u64,
}

impl Sampler {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of 2^63, checked to be between 0 and 1"
    )]
    pub(super) fn new(otlp: &config::Otlp) -> Self {
        Self {
            kind: otlp.sampler,
            below: (otlp.sampler_ratio * (1_u64 << 63) as f64) as u64,
            per_second: otlp.spans_per_second,
            second: 0,
            kept: 0,
            random: RandomState::new(),
            drawn: 0,
        }
    }

    /// Identifiers of the next span.
    pub(super) fn ids(&mut self, context: Option<TraceContext>) -> SpanIds {
        let trace = context.map_or_else(
            || (u128::from(self.draw()) << 64 | u128::from(self.draw())).to_be_bytes(),
            |context| context.trace,
        );
        SpanIds {
            trace,
            span: self.draw().to_be_bytes(),
        }
    }

    /// Chooses by the sampler, and by how many there were in this second of the traffic's clock.
    pub(super) fn choose(&mut self, context: Option<TraceContext>, ids: SpanIds, time_ns: u64) -> Choice {
        if !self.is_sampled(context, ids) {
            return Choice::LeftOut;
        }
        let second = time_ns / SECOND_NS;
        if second != self.second {
            (self.second, self.kept) = (second, 0);
        }
        if self.kept >= self.per_second {
            return Choice::HeldBack;
        }
        self.kept += 1;
        Choice::Kept
    }

    fn is_sampled(&self, context: Option<TraceContext>, ids: SpanIds) -> bool {
        let share = || {
            let last = ids.trace.last_chunk().map_or(0, |last| u64::from_be_bytes(*last));
            last >> 1 < self.below
        };
        let parent = context.map(|context| context.sampled);
        match self.kind {
            Kind::AlwaysOn => true,
            Kind::AlwaysOff => false,
            Kind::Traceidratio => share(),
            Kind::ParentbasedAlwaysOn => parent.unwrap_or(true),
            Kind::ParentbasedAlwaysOff => parent.unwrap_or(false),
            Kind::ParentbasedTraceidratio => parent.unwrap_or_else(share),
        }
    }

    /// Never zero, which is no identifier.
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.random.hash_one(self.drawn).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(kind: Kind, ratio: f64) -> Sampler {
        Sampler::new(&config::Otlp {
            sampler: kind,
            sampler_ratio: ratio,
            ..config::Otlp::default()
        })
    }

    fn kept(sampler: &mut Sampler, context: Option<TraceContext>) -> usize {
        let kept = (0..1_000_u64).filter(|second| {
            let ids = sampler.ids(context);
            sampler.choose(context, ids, second * SECOND_NS) == Choice::Kept
        });
        kept.count()
    }

    #[test]
    fn each_sampler_keeps_its_share() {
        let parent = |sampled| {
            Some(TraceContext {
                trace: [7; 16],
                parent: [1; 8],
                sampled,
            })
        };
        for (kind, ratio, context, expected) in [
            (Kind::AlwaysOn, 0.0, None, 1_000..=1_000),
            (Kind::AlwaysOff, 1.0, parent(true), 0..=0),
            (Kind::Traceidratio, 1.0, None, 1_000..=1_000),
            (Kind::Traceidratio, 0.0, None, 0..=0),
            (Kind::Traceidratio, 0.1, None, 40..=200),
            (Kind::ParentbasedTraceidratio, 0.1, None, 40..=200),
            (Kind::ParentbasedTraceidratio, 0.0, parent(true), 1_000..=1_000),
            (Kind::ParentbasedTraceidratio, 1.0, parent(false), 0..=0),
            (Kind::ParentbasedAlwaysOn, 0.0, None, 1_000..=1_000),
            (Kind::ParentbasedAlwaysOff, 0.0, parent(true), 1_000..=1_000),
        ] {
            let kept = kept(&mut sampler(kind, ratio), context);
            assert!(expected.contains(&kept), "{kind:?} {ratio} {context:?}: {kept}");
        }
    }

    #[test]
    fn a_second_has_a_bound() {
        let mut sampler = sampler(Kind::AlwaysOn, 1.0);
        let choices: Vec<_> = (0..150)
            .map(|_| {
                let ids = sampler.ids(None);
                sampler.choose(None, ids, 5 * SECOND_NS)
            })
            .collect();
        assert_eq!(
            choices.iter().filter(|choice| **choice == Choice::Kept).count(),
            100
        );
        assert_eq!(choices.last(), Some(&Choice::HeldBack));
    }

    #[test]
    fn a_span_of_a_trace_is_in_it() {
        let context = TraceContext {
            trace: [7; 16],
            parent: [1; 8],
            sampled: true,
        };
        let mut sampler = sampler(Kind::AlwaysOn, 1.0);
        let (one, two) = (sampler.ids(Some(context)), sampler.ids(Some(context)));
        assert_eq!((one.trace, two.trace), ([7; 16], [7; 16]));
        assert_ne!(one.span, two.span);
        assert_ne!(sampler.ids(None).trace, sampler.ids(None).trace);
    }
}
