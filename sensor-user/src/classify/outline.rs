//! What an exchange's parameters and bodies are made of, without their values.
//!
//! Takes what the one walk over query, header fields, cookies and bodies tells ([`record::Recorder`]). Gives an
//! [`Outline`]: the distinct places, each with what was seen there, and the keyed hashes of values that identify things.
//! Items of an array share one place, members whose name may be a value another; so an answer of a thousand records is
//! as small as one of a single record. Never holds a value; text only of names and words that may be shown.
//! Bounded by [`MAX_PLACES`], [`MAX_VALUES`] and [`MAX_TEXT`]; one allocation, and none without parameters.

mod index;
mod layout;
pub mod looks;
pub(super) mod record;

use crate::exchange::value::ValueHash;

use super::{Half, Part};
pub use looks::{Looks, Magnitude};

/// Places of one exchange. The largest answers of public APIs have about four hundred. Of these, of [`MAX_VALUES`] and of
/// [`MAX_TEXT`] a request gets one in [`OF_REQUEST`]: whoever sends it must not decide how much of the answer is seen.
pub const MAX_PLACES: usize = 512;
/// Values of one exchange that are hashed: a page of a hundred records with four identifiers each, and the parameters.
pub const MAX_VALUES: usize = 512;
/// Values of one place: the page of a hundred records, and some.
pub const MAX_VALUES_PER_PLACE: u16 = 128;
/// Distinct words of one place: more are no enumeration of one message.
pub const MAX_WORDS_PER_PLACE: u16 = 16;
/// Bytes of names and words of one exchange: its places with names of sixteen.
pub const MAX_TEXT: usize = 8 * 1024;

/// A request comes first, and gets half of the room.
pub const OF_REQUEST: usize = 2;

/// Bytes of a place and of a value in an outline.
const PLACE: usize = 40;
const VALUE: usize = 16;

/// Index of a place within its outline.
pub type PlaceId = u16;
/// No place.
pub const NOWHERE: PlaceId = PlaceId::MAX;

/// The structure of one exchange.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Places, values, text; see `layout.rs`.
    bytes: Box<[u8]>,
    places: u16,
    values: u16,
    lost: Lost,
}

/// What did not fit, a bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Lost(u8);

impl Lost {
    const fn places(half: Half) -> Self {
        match half {
            Half::Request => Self(1),
            Half::Response => Self(2),
        }
    }

    const fn values(half: Half) -> Self {
        Self(Self::places(half).0 << 2)
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl std::fmt::Debug for Outline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[outline, {} places, {} values]", self.places, self.values)
    }
}

/// Which message and which part of it a tree of places belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Root {
    /// Request or response.
    pub half: Half,
    /// Where in the message.
    pub part: Part,
    /// How a body is written.
    pub media: Media,
    /// Status code of a response; 0 for a request.
    pub status: u16,
}

/// How a body is written, as far as it makes another schema.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub enum Media {
    /// No body.
    None,
    /// JSON.
    Json,
    /// JSON texts one after the other.
    JsonLines,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Multipart.
    Multipart,
    /// XML.
    Xml,
    /// Server-sent events.
    EventStream,
    /// `MessagePack`.
    MessagePack,
    /// CBOR.
    Cbor,
    /// Protobuf, alone or in gRPC.
    Protobuf,
    /// Text.
    Text,
    /// Binary.
    Binary,
}

impl Media {
    /// Every one, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::Json,
        Self::JsonLines,
        Self::Form,
        Self::Multipart,
        Self::Xml,
        Self::EventStream,
        Self::MessagePack,
        Self::Cbor,
        Self::Protobuf,
        Self::Text,
        Self::Binary,
    ];
}

impl Root {
    /// As a number, which a schema's places are found by.
    pub const fn code(self) -> u32 {
        (self.status as u32) << 16 | (self.media as u32) << 8 | (self.part as u32) << 4 | self.half as u32
    }

    /// From its number.
    pub fn of_code(code: u32) -> Option<Self> {
        let half = match code & 0xf {
            0 => Half::Request,
            1 => Half::Response,
            _ => return None,
        };
        let part = match code >> 4 & 0xf {
            0 => Part::Path,
            1 => Part::Query,
            2 => Part::Header,
            3 => Part::Cookie,
            4 => Part::Body,
            _ => return None,
        };
        Some(Self {
            half,
            part,
            media: *Media::ALL.get((code >> 8 & 0xff) as usize)?,
            status: u16::try_from(code >> 16).ok()?,
        })
    }
}

/// How a place is reached from the one around it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Step {
    /// It is the top of a part.
    Root(Root),
    /// A member whose name may be shown.
    Member,
    /// Members whose names may be values: a map's values.
    Key,
    /// The items of an array.
    Item,
}

/// One place of an outline.
#[derive(Clone, Copy, Debug)]
pub struct PlaceSeen<'a> {
    /// Keyed hash of the way to it, from the part of the message on; the same in every exchange.
    pub path: u64,
    /// Index of the place around it; [`NOWHERE`] of a part's top.
    pub parent: PlaceId,
    /// How it is reached.
    pub step: Step,
    /// Its name when it is a member; else empty. ASCII.
    pub name: &'a [u8],
    /// What was seen there.
    pub facts: Facts,
}

/// What is known of the values of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Kinds and formats.
    pub looks: Looks,
    /// Kinds of sensitive data, a bit each ([`super::DataKind`] as a number).
    pub sensitive: u32,
    /// Values.
    pub count: u32,
    /// Of them, `null`.
    pub nulls: u32,
    /// Least and greatest length: bytes of text, or of `true` and `false`; items of an array. Greatest below least: none
    /// seen.
    pub length: (u16, u16),
    /// Least and greatest number.
    pub size: (Magnitude, Magnitude),
}

impl Facts {
    /// Nothing seen.
    pub const NONE: Self = Self {
        looks: Looks::NONE,
        sensitive: 0,
        count: 0,
        nulls: 0,
        length: (u16::MAX, 0),
        size: (Magnitude(i16::MAX), Magnitude(i16::MIN)),
    };

    /// One value of that look.
    pub const fn of_look(looks: Looks) -> Self {
        Self {
            looks,
            count: 1,
            ..Self::NONE
        }
    }

    /// One string.
    pub fn of_text(text: &[u8]) -> Self {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        Self {
            length: (length, length),
            ..Self::of_look(Looks::STRING.and(Looks::of_text(text)))
        }
    }

    /// Takes what another saw.
    pub fn merge(&mut self, other: &Self) {
        self.looks = self.looks.and(other.looks);
        self.sensitive |= other.sensitive;
        self.count = self.count.saturating_add(other.count);
        self.nulls = self.nulls.saturating_add(other.nulls);
        self.length = (
            self.length.0.min(other.length.0),
            self.length.1.max(other.length.1),
        );
        self.size = (self.size.0.min(other.size.0), self.size.1.max(other.size.1));
    }
}

/// A value at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueSeen<'a> {
    /// Where.
    pub place: PlaceId,
    /// Its keyed hash: equal for equal values, wherever they are.
    pub hash: ValueHash,
    /// Its format.
    pub looks: Looks,
    /// How often it was there, up to 255.
    pub count: u8,
    /// Itself, when it is a word that may belong to an enumeration; else empty. Whether it may be shown depends on
    /// how many callers used it.
    pub word: &'a [u8],
    /// It is the name of a member, of a map.
    pub is_key: bool,
}

impl Outline {
    /// Whether nothing was recorded.
    pub const fn is_empty(&self) -> bool {
        self.places == 0
    }

    /// Whether there was more than an outline holds.
    pub const fn has_overflow(&self) -> bool {
        self.lost.0 != 0
    }

    /// Whether a half had more places than there was room for: what is not there may have been.
    pub const fn lacks_places(&self, half: Half) -> bool {
        self.lost.has(Lost::places(half))
    }

    /// Whether it had more values that identify something.
    pub const fn lacks_values(&self, half: Half) -> bool {
        self.lost.has(Lost::values(half))
    }

    /// Bytes it holds.
    pub const fn held_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Its places; a place stands behind the one around it.
    pub fn places(&self) -> impl ExactSizeIterator<Item = PlaceSeen<'_>> {
        let end = usize::from(self.places) * PLACE;
        let (places, _) = self.bytes.get(..end).unwrap_or_default().as_chunks::<PLACE>();
        places.iter().map(|place| layout::read_place(place, self.text()))
    }

    /// One of its places.
    pub fn place(&self, id: PlaceId) -> Option<PlaceSeen<'_>> {
        let (places, _) = self.bytes.as_chunks::<PLACE>();
        let place = places.get(..usize::from(self.places))?.get(usize::from(id))?;
        Some(layout::read_place(place, self.text()))
    }

    /// Values that identify things and words of enumerations, in the order in which they were met first.
    pub fn values(&self) -> impl ExactSizeIterator<Item = ValueSeen<'_>> {
        let start = usize::from(self.places) * PLACE;
        let end = start + usize::from(self.values) * VALUE;
        let (values, _) = self
            .bytes
            .get(start..end)
            .unwrap_or_default()
            .as_chunks::<VALUE>();
        values.iter().map(|value| layout::read_value(value, self.text()))
    }

    /// The part of the message that a place belongs to.
    pub fn root(&self, id: PlaceId) -> Option<Root> {
        let (places, _) = self.bytes.as_chunks::<PLACE>();
        let places = places.get(..usize::from(self.places))?;
        let mut at = id;
        // Each step goes to a place before.
        for _ in 0..=self.places {
            match layout::read_way(places.get(usize::from(at))?) {
                Ok(root) => return Some(root),
                Err(around) => at = around,
            }
        }
        None
    }

    /// Values that identify things, each with the part of the message that it was in: of a path, steps that look so,
    /// named by their position behind the first slash.
    pub fn identifiers(&self) -> impl Iterator<Item = (Root, ValueSeen<'_>)> {
        self.values()
            .filter(|value| value.word.is_empty())
            .filter_map(|value| Some((self.root(value.place)?, value)))
    }

    /// Writes the way to a place as labels name it: `data[].card`; `*` for names that are not shown.
    pub fn name(&self, id: PlaceId) -> String {
        let mut steps = Vec::new();
        let mut at = id;
        while let Some(place) = self.place(at)
            && !matches!(place.step, Step::Root(_))
            && steps.len() < MAX_PLACES
        {
            steps.push(place);
            at = place.parent;
        }
        let mut text = String::new();
        for place in steps.iter().rev() {
            let (separator, name) = match place.step {
                Step::Item => ("", "[]"),
                Step::Key => (".", "*"),
                Step::Member | Step::Root(_) => (".", std::str::from_utf8(place.name).unwrap_or("*")),
            };
            if !text.is_empty() {
                text.push_str(separator);
            }
            text.push_str(name);
        }
        text
    }

    fn text(&self) -> &[u8] {
        let start = usize::from(self.places) * PLACE + usize::from(self.values) * VALUE;
        self.bytes.get(start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
