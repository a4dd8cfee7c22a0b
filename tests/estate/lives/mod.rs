//! What goes on by itself: everybody and everything that makes exchanges, in the order of simulated time.

pub(crate) mod customers;
pub(crate) mod machines;
pub(crate) mod members;
pub(crate) mod office;
pub(crate) mod person;
pub(crate) mod staff;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::clock::END;
use super::world::World;

/// Somebody who does one thing after the other.
pub(crate) trait Life {
    /// Does the next thing at `w.now` and says when the one after it comes; `None` when there is none.
    fn step(&mut self, w: &mut World) -> Option<u64>;
}

/// Everybody, by when the next thing happens.
#[derive(Default)]
pub(crate) struct Lives {
    all: Vec<Box<dyn Life>>,
    next: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Lives {
    pub(crate) fn add(&mut self, first: u64, life: impl Life + 'static) {
        self.next.push(Reverse((first, self.all.len() as u32)));
        self.all.push(Box::new(life));
    }

    /// Lets the next thing happen. Gives its time, until which everything is now known; `None` at the end.
    pub(crate) fn step(&mut self, w: &mut World) -> Option<u64> {
        let Reverse((at, number)) = self.next.pop()?;
        if at >= END {
            return None;
        }
        w.now = at;
        if let Some(again) = self.all[number as usize].step(w) {
            self.next.push(Reverse((again.max(at + 1), number)));
        }
        Some(at)
    }
}
