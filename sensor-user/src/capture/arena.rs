//! Memory for the payload of records: the one copy between a ring and the parsers.
//!
//! Takes bytes that will be overwritten. Gives [`Bytes`] that stay. Never holds on to a full block: it is freed with
//! the last slice of it. Bounded by what the slices' holders keep.

use bytes::{Bytes, BytesMut};
use sensor_common::CHUNK_BYTES;

/// Bytes of a block: four records of the largest size, yet below the 128 KiB from which glibc's `malloc` asks the
/// kernel for each block anew.
const BLOCK: usize = 4 * CHUNK_BYTES;

/// Copies payload into blocks, so that a record costs no allocation of its own.
#[derive(Default)]
pub struct Arena(BytesMut);

impl Arena {
    /// An arena without a block.
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies `payload`.
    pub fn copy(&mut self, payload: &[u8]) -> Bytes {
        if self.0.capacity() < payload.len() {
            self.0 = BytesMut::with_capacity(BLOCK.max(payload.len()));
        }
        self.0.extend_from_slice(payload);
        self.0.split().freeze()
    }
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes free]", self.0.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_stay_whatever_comes_after() {
        let mut arena = Arena::new();
        let payloads: Vec<Vec<u8>> = (0..200_u8)
            .map(|byte| vec![byte; usize::from(byte) * 97])
            .collect();
        let copies: Vec<Bytes> = payloads.iter().map(|payload| arena.copy(payload)).collect();
        assert!(
            copies
                .iter()
                .zip(&payloads)
                .all(|(copy, payload)| copy == payload)
        );
        assert_eq!(arena.copy(&vec![1; 3 * BLOCK]).len(), 3 * BLOCK);
    }
}
