//! Bodies of every format: each name and value under its path.
//!
//! Takes what a walk over a body tells. Gives hits to the sink. Never keeps a value beyond its turn. Bounded by
//! `Limits`; its buffers live from exchange to exchange.

use super::hint::Hint;
use super::names::{NameId, Names};
use super::outline::record::Recorder;
use super::place::Trail;
use super::scan::{Scanner, Value, is_worth_a_look};
use super::sink::Sink;
use super::validate::Hit;
use super::{BlindSpot, Half, Limits, Part};
use crate::exchange::credentials::{Collector, Placed, Role};
use crate::protocol::chars::Classes;
use crate::protocol::document::Format;
use crate::protocol::walk::{Coding, Container, Scalar, Text, Visitor};

/// Buffers that live from exchange to exchange.
#[derive(Default)]
pub(super) struct Scratch {
    /// Decoded values.
    pub(super) decoded: Vec<u8>,
    /// Decoded names.
    pub(super) name: Vec<u8>,
    /// Hits of one value.
    pub(super) hits: Vec<Hit>,
    /// The place of a hit.
    pub(super) place: Vec<u8>,
    /// Containers around a value.
    pub(super) trail: Trail,
}

/// Its buffers hold observed values.
impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[scratch]")
    }
}

/// Looks at the names and values of one body.
pub(super) struct BodyVisitor<'a> {
    pub(super) scanner: &'a Scanner,
    pub(super) names: &'a mut Names,
    pub(super) scratch: &'a mut Scratch,
    pub(super) sink: &'a mut Sink,
    pub(super) outline: &'a mut Recorder,
    pub(super) limits: Limits,
    pub(super) half: Half,
    pub(super) collector: Option<&'a mut Collector>,
}

impl Visitor for BodyVisitor<'_> {
    #[inline]
    fn open(&mut self, container: Container) {
        self.scratch.trail.open(container, self.names, self.limits.depth);
        self.outline.open(container);
    }

    #[inline]
    fn close(&mut self) {
        self.scratch.trail.close();
        self.outline.close();
    }

    #[inline]
    fn key(&mut self, text: Text<'_>) {
        let name = if text.coding == Coding::FieldNumber {
            self.names.look_up_number(text.raw)
        } else if text.coding == Coding::Form || text.classes.has(Classes::ESCAPE) {
            return self.coded_name(text);
        } else {
            self.names.look_up(text.raw)
        };
        if text.cut {
            self.outline.torn_key();
        } else {
            self.outline.key(text.raw, self.names.shown(name));
        }
        self.named(name, text);
    }

    #[inline]
    fn scalar(&mut self, kind: Scalar, text: Text<'_>) {
        let hint = self.scratch.trail.hint();
        self.outline.scalar(kind, text, hint, &mut self.scratch.decoded);
        let is_number = match kind {
            Scalar::String => false,
            // A number that the cut tore may be the front of a longer one.
            Scalar::Number if text.cut => return,
            Scalar::Number => true,
            Scalar::Bool | Scalar::Null => return,
            Scalar::Bytes if Format::sniff(text.raw) != Format::Binary => false,
            Scalar::Bytes => return self.sink.blind(BlindSpot::UnreadEncoding),
        };
        let identifies = match self.half {
            Half::Request => Hint::ASKS,
            Half::Response => Hint::GRANTS,
        };
        if hint.has(identifies) && !text.cut {
            self.identify(text);
        }
        // A number holds digits only: shorter ones than nine matter by name, and fractions never.
        let worth = if is_number {
            text.raw.len() >= 9 && !text.classes.has(Classes::FRACTION)
        } else {
            is_worth_a_look(text.classes, text.raw.len())
        };
        if worth || hint.has(Hint::ALWAYS) {
            self.look(text, hint, is_number);
        }
        if text.cut {
            self.sink.blind(BlindSpot::ValueCut);
        }
    }
}

impl BodyVisitor<'_> {
    /// A field of a login.
    #[inline(never)]
    fn identify(&mut self, text: Text<'_>) {
        let Some(collector) = self.collector.as_deref_mut() else {
            return;
        };
        let value = text.decode(&mut self.scratch.decoded);
        let role = self.scratch.trail.name_of_one(self.names).map(Role::of);
        match (role, self.half) {
            (Some(Some(role)), Half::Request) => collector.asked(role, value),
            (Some(Some(role)), Half::Response) => collector.answered(role, Placed::Body, value),
            (None, Half::Response) => collector.listed(value),
            (Some(None), _) | (None, Half::Request) => {}
        }
    }

    #[cold]
    fn coded_name(&mut self, text: Text<'_>) {
        let decoded = text.decode(&mut self.scratch.name);
        let name = self.names.look_up(decoded);
        self.outline.key(decoded, self.names.shown(name));
        self.named(name, text);
    }

    #[inline]
    fn named(&mut self, name: NameId, text: Text<'_>) {
        self.scratch.trail.name(name);
        if name.hint.has(Hint::VALUE_LIKE) {
            self.name_as_value(text);
        }
    }

    #[cold]
    fn name_as_value(&mut self, text: Text<'_>) {
        let classes = text.classes.and(Classes::of(text.raw));
        if is_worth_a_look(classes, text.raw.len()) {
            // The name is a value here, so it says nothing about itself.
            self.look(Text { classes, ..text }, Hint::NONE, false);
        }
    }

    #[inline(never)]
    fn look(&mut self, text: Text<'_>, hint: Hint, is_number: bool) {
        let mut value = Value {
            bytes: text.raw,
            classes: text.classes,
            hint,
            is_number,
        };
        let decoded = text.decode(&mut self.scratch.decoded);
        if !std::ptr::eq(decoded, text.raw) {
            value.bytes = decoded;
            value.classes = Classes::of(decoded);
        }
        self.scratch.hits.clear();
        self.scanner.scan(value, &mut self.scratch.hits);
        if self.scratch.hits.is_empty() {
            return;
        }
        self.scratch.trail.render(self.names, &mut self.scratch.place);
        for hit in &self.scratch.hits {
            self.outline.sensitive(hit.kind);
            self.sink
                .add(self.half, Part::Body, &self.scratch.place, *hit, value.bytes);
        }
    }
}
