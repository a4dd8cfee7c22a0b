//! Where labels are collected: one per kind and place, counted.

use smallvec::SmallVec;

use super::mask::mask;
use super::validate::Hit;
use super::{BlindSpot, Half, Label, Labels, Part, Place};
use crate::protocol::Anomaly;

/// Labels of the exchange under way.
pub(super) struct Sink {
    found: SmallVec<[Label; 0]>,
    blind: SmallVec<[BlindSpot; 2]>,
    anomalies: SmallVec<[Anomaly; 0]>,
    limit: usize,
}

impl Sink {
    /// An empty one that takes `limit` labels.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            found: SmallVec::new(),
            blind: SmallVec::new(),
            anomalies: SmallVec::new(),
            limit,
        }
    }

    /// Notes that something could not be looked at.
    pub(super) fn blind(&mut self, spot: BlindSpot) {
        if !self.blind.contains(&spot) {
            self.blind.push(spot);
        }
    }

    /// Notes that a body departs from its format.
    pub(super) fn odd(&mut self, anomaly: Anomaly) {
        if !self.anomalies.contains(&anomaly) {
            self.anomalies.push(anomaly);
        }
    }

    /// Notes a value. `name` is safe to show, and ASCII.
    pub(super) fn add(&mut self, half: Half, part: Part, name: &[u8], hit: Hit, value: &[u8]) {
        let same = |label: &&mut Label| {
            label.kind == hit.kind
                && label.place.part == part
                && label.place.half == half
                && label.place.name.as_bytes() == name
        };
        if let Some(label) = self.found.iter_mut().find(same) {
            label.count = label.count.saturating_add(1);
            label.confidence = label.confidence.max(hit.confidence);
            return;
        }
        if self.found.len() >= self.limit {
            self.blind(BlindSpot::TooManyLabels);
            return;
        }
        let sample = value
            .get(hit.start..hit.start.saturating_add(hit.len))
            .unwrap_or_default();
        self.found.push(Label {
            kind: hit.kind,
            place: Place {
                half,
                part,
                name: std::str::from_utf8(name).unwrap_or("*").into(),
            },
            confidence: hit.confidence,
            count: 1,
            sample: mask(hit.kind, sample),
        });
    }

    /// Everything noted.
    pub(super) fn into_labels(self) -> Labels {
        Labels {
            found: self.found,
            blind: self.blind,
            anomalies: self.anomalies,
            calls: Vec::new(),
            outline: super::outline::Outline::default(),
        }
    }
}
