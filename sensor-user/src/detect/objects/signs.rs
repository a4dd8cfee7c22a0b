//! What earlier exchanges say about the objects of this one.
//!
//! Holds kinds, counts and places; never a value. Bounded by its fields.

use crate::classify::Place;
use crate::detect::Blind;

/// What is odd about an object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shows {
    /// What names the caller at this place in all other exchanges names another here.
    Owner,
    /// The same with a tenant.
    Tenant,
    /// Its id was handed out to others only.
    HandedToOthers,
    /// Its id was handed out to nobody.
    HandedToNobody,
    /// What names its owner names nobody who was ever seen.
    UnknownOwner,
    /// There are many of them.
    Many,
}

impl Shows {
    /// Name in outputs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Tenant => "tenant",
            Self::HandedToOthers => "handed_to_others",
            Self::HandedToNobody => "handed_to_nobody",
            Self::UnknownOwner => "unknown_owner",
            Self::Many => "many",
        }
    }
}

/// An object that is not the caller's, and what is usual.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectSign {
    /// What is odd.
    pub shows: Shows,
    /// Where it was seen.
    pub place: Place,
    /// Uses by the caller's group that were as usual: the caller's own, or handed out before; of [`Shows::Many`], its windows
    /// of time with no more than `most`.
    pub usual: u32,
    /// Of so many.
    pub of: u32,
    /// Such objects of this caller in four days, about; of [`Shows::Many`] those it tried in this window.
    pub objects: u32,
    /// Of them, those that the server gave.
    pub given: u32,
    /// Whose they are: so many others, about, as far as it is known.
    pub others: u32,
    /// Since the first of them.
    pub minutes: u32,
    /// Most that are usual for the caller or its group; of [`Shows::Many`] only.
    pub most: u32,
    /// It changed something.
    pub writes: bool,
}

/// A judgement, or why there is none.
pub type Judged = Result<Option<Box<ObjectSign>>, Blind>;

/// A judgement for each question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectSigns {
    /// Whose is it?
    pub owner: Judged,
    /// To whom was its id handed out?
    pub handed: Judged,
    /// Was its id handed out at all?
    pub unissued: Judged,
    /// How many are there?
    pub many: Judged,
    /// Whose tenant's is it?
    pub tenant: Judged,
}

impl ObjectSigns {
    /// Nothing is odd.
    pub const NONE: Self = Self {
        owner: Ok(None),
        handed: Ok(None),
        unissued: Ok(None),
        many: Ok(None),
        tenant: Ok(None),
    };

    /// More was in the messages than was looked at: what is not told may be there.
    pub(super) fn lack_room(&mut self) {
        for judged in [
            &mut self.owner,
            &mut self.handed,
            &mut self.unissued,
            &mut self.many,
            &mut self.tenant,
        ] {
            if *judged == Ok(None) {
                *judged = Err(Blind::NoRoom);
            }
        }
    }

    /// Nothing can be said.
    pub(super) const fn blind(reason: Blind) -> Self {
        Self {
            owner: Err(reason),
            handed: Err(reason),
            unissued: Err(reason),
            many: Err(reason),
            tenant: Err(reason),
        }
    }

    /// Whether something is told of the object itself: then the exchange teaches nothing of whose it is.
    pub(super) const fn is_odd(&self) -> bool {
        matches!(self.owner, Ok(Some(_)))
            || matches!(self.handed, Ok(Some(_)))
            || matches!(self.unissued, Ok(Some(_)))
            || matches!(self.tenant, Ok(Some(_)))
    }
}

impl Default for ObjectSigns {
    fn default() -> Self {
        Self::NONE
    }
}
