//! The bodies of one exchange in one pass over its outline.
//!
//! Takes an outline. Gives, for the body of each half, a number that is equal for bodies of equal places and kinds of
//! sensitive data, and how many items its outermost lists hold. Never allocates. Bounded by the outline.

use crate::classify::outline::{MAX_PLACES, Media, NOWHERE, Outline, PlaceId, PlaceSeen, Root, Step};
use crate::classify::{Half, Part};

/// Which body a place is in, and whether a list is around it.
const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
const BODIES: u8 = REQUEST | RESPONSE;
const IN_LIST: u8 = 4;

/// One body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body {
    /// Keyed hash of half, format and status.
    pub(crate) path: u64,
    /// What it is made of.
    pub(crate) print: u32,
    /// Items of its largest outermost list.
    pub(crate) items: u32,
}

/// Both bodies.
#[derive(Debug)]
pub(crate) struct Sketch {
    marks: [u8; MAX_PLACES],
    pub(crate) request: Option<Body>,
    pub(crate) response: Option<Body>,
}

impl Sketch {
    /// Walks over an outline.
    pub(crate) fn of(outline: &Outline) -> Self {
        let mut sketch = Self {
            marks: [0; MAX_PLACES],
            request: None,
            response: None,
        };
        for (id, place) in outline.places().enumerate() {
            let mark = sketch.mark(&place);
            if let Some(slot) = sketch.marks.get_mut(id) {
                *slot = mark;
            }
        }
        sketch
    }

    fn mark(&mut self, place: &PlaceSeen<'_>) -> u8 {
        if let Step::Root(root) = place.step {
            return self.begin(place.path, root);
        }
        let mut mark = self.at(place.parent);
        let body = match mark & BODIES {
            REQUEST => &mut self.request,
            RESPONSE => &mut self.response,
            _ => return 0,
        };
        let Some(body) = body else { return 0 };
        let looks = place.path ^ u64::from(place.facts.sensitive).rotate_left(40);
        body.print = body.print.wrapping_add(fold(looks));
        if matches!(place.step, Step::Item | Step::Key) && mark & IN_LIST == 0 {
            mark |= IN_LIST;
            if place.step == Step::Item {
                body.items = body.items.max(place.facts.count);
            }
        }
        mark
    }

    /// Only the first body of a half is looked at: what is inside of others has its own.
    fn begin(&mut self, path: u64, root: Root) -> u8 {
        if root.part != Part::Body || root.media == Media::None {
            return 0;
        }
        let (body, mark) = match root.half {
            Half::Request => (&mut self.request, REQUEST),
            Half::Response => (&mut self.response, RESPONSE),
        };
        if body.is_some() {
            return 0;
        }
        *body = Some(Body {
            path,
            print: fold(path),
            items: 0,
        });
        mark
    }

    fn at(&self, id: PlaceId) -> u8 {
        if id == NOWHERE {
            return 0;
        }
        self.marks.get(usize::from(id)).copied().unwrap_or(0)
    }

    /// Places of a body, without its top.
    pub(crate) fn inside<'a>(
        &'a self,
        outline: &'a Outline,
        half: Half,
    ) -> impl Iterator<Item = (PlaceId, PlaceSeen<'a>)> {
        let wanted = match half {
            Half::Request => REQUEST,
            Half::Response => RESPONSE,
        };
        (0..)
            .zip(outline.places())
            .filter(move |(id, place)| self.at(*id) & wanted != 0 && !matches!(place.step, Step::Root(_)))
    }
}

/// 32 bits of a keyed hash: the upper half of a product depends on all of its bits.
pub(crate) fn fold(hash: u64) -> u32 {
    u32::try_from(hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).unwrap_or(0)
}
