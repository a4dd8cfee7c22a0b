//! Bytes of what stages laid down.
//!
//! Takes states as they were laid down, on the writer's thread. Gives those that are new, packed when they are large.
//! Never gives more than all states may have together; what is refused is told once and counted. Bounded by
//! [`MAX_STATE`] and the file's share.

use std::collections::HashSet;
use std::hash::{Hash as _, Hasher as _};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use rusqlite::Connection;
use rustc_hash::{FxHashMap, FxHasher};

use super::batch::{Laid, Saved};
use super::remembered::{MAX_STATE, Prepared, Unusable};
use crate::protocol::inflate::{self, Coding, Ended};
use crate::telemetry::{Counters, Metric};

/// Part of the file's bound that all states together may have: the rest is for rows.
pub(super) const SHARE: u64 = 2;
/// Bytes of a state that is packed: smaller ones stay readable.
const PACKED: usize = 64 << 10;
/// First byte of what is packed (RFC 1950, 2.2, with a window of 32 KiB). JSON never begins with it.
const MARK: u8 = 0x78;
/// Bytes collected before they are packed: serde writes a few at a time.
const PORTION: usize = 64 << 10;

/// What was laid down so far.
#[derive(Debug)]
pub(super) struct Laying {
    /// Bytes of all states.
    most: u64,
    /// Of what was given last.
    prints: FxHashMap<&'static str, u64>,
    /// It was told of them that they are too large.
    told: HashSet<&'static str>,
    counters: Arc<Counters>,
}

impl Laying {
    /// For a file of at most so many bytes.
    pub(super) fn new(max_bytes: u64, counters: Arc<Counters>) -> Self {
        Self {
            most: max_bytes / SHARE,
            prints: FxHashMap::default(),
            told: HashSet::new(),
            counters,
        }
    }

    /// Nothing of what was given is in the file.
    pub(super) fn forget(&mut self) {
        self.prints.clear();
    }

    /// Makes bytes of what is new and has room.
    pub(super) fn take(&mut self, laid: Vec<Laid>, file: &Connection) -> Vec<Saved> {
        if laid.is_empty() {
            return Vec::new();
        }
        // A file that gives no answer refuses the flush, too.
        let mut sizes = sizes(file).unwrap_or_default();
        laid.into_iter()
            .filter_map(|laid| self.one(laid, &mut sizes))
            .collect()
    }

    fn one(&mut self, laid: Laid, sizes: &mut FxHashMap<String, u64>) -> Option<Saved> {
        let Laid { label, write, bytes } = laid;
        let content = match pack(write) {
            Ok(content) => content,
            Err(error) => {
                self.refuse(label.name, 0, Some(&error));
                return None;
            }
        };
        bytes.store(content.len(), Ordering::Relaxed);
        let print = print(&content);
        if self.prints.get(label.name) == Some(&print) {
            return None;
        }
        let size = content.len() as u64;
        let others: u64 = sizes
            .iter()
            .filter(|(name, _)| *name != label.name)
            .map(|(_, size)| size)
            .sum();
        if others.saturating_add(size) > self.most {
            self.refuse(label.name, size, None);
            return None;
        }
        sizes.insert(label.name.to_owned(), size);
        self.prints.insert(label.name, print);
        Some(Saved { label, content })
    }

    fn refuse(&mut self, stage: &'static str, bytes: u64, error: Option<&Unusable>) {
        self.counters.add(Metric::StoreStates, 1);
        if self.told.insert(stage) {
            let error = error.map(ToString::to_string);
            tracing::warn!(
                stage,
                bytes,
                error,
                "what was learnt is too large to be kept, or cannot be written: raise store.max_bytes"
            );
        }
    }
}

/// Bytes of each state in the file that a stage may take back.
fn sizes(file: &Connection) -> Result<FxHashMap<String, u64>, rusqlite::Error> {
    let mut sizes = file.prepare_cached(
        "SELECT CAST(name AS TEXT), length(content) FROM state WHERE name NOT LIKE '%.unusable'",
    )?;
    let sizes = sizes.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    sizes
        .map(|size| size.map(|(name, size)| (name, u64::try_from(size).unwrap_or(0))))
        .collect()
}

/// Bytes of a state, as they go to the file.
pub(super) fn pack(write: Prepared) -> Result<Vec<u8>, Unusable> {
    let mut out = BufWriter::with_capacity(PORTION, Packer::Plain(Vec::new()));
    write(&mut out)?;
    let whole = out.into_inner().map_err(io::IntoInnerError::into_error);
    whole
        .and_then(Packer::finish)
        .map_err(|_too_large| Unusable::Packed)
}

/// As the stage wrote it, from what [`pack`] gave.
pub(super) fn unpack(content: Vec<u8>) -> Result<Vec<u8>, Unusable> {
    if content.first() != Some(&MARK) {
        return Ok(content);
    }
    let limits = inflate::Limits {
        output_bytes: MAX_STATE,
        // It is the sensor's own.
        ratio: usize::MAX,
        free_bytes: MAX_STATE,
    };
    let mut out = Vec::new();
    match inflate::decode(&[Coding::Deflate], &content, limits, &mut out) {
        Ended::Whole => Ok(out),
        _ => Err(Unusable::Packed),
    }
}

enum Packer {
    Plain(Vec<u8>),
    Packed(ZlibEncoder<Vec<u8>>),
}

impl Packer {
    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(content) => Ok(content),
            Self::Packed(packed) => packed.finish(),
        }
    }
}

impl Write for Packer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Self::Plain(content) = self {
            if content.len() + bytes.len() <= PACKED {
                return content.write(bytes);
            }
            // Hashes do not shrink, and the rest does at the first attempt.
            let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(content)?;
            *self = Self::Packed(packed);
        }
        match self {
            Self::Packed(packed) if packed.total_in() + bytes.len() as u64 <= MAX_STATE as u64 => {
                packed.write(bytes)
            }
            _ => Err(io::ErrorKind::FileTooLarge.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells equal states; one that is taken for the one before goes with the next change.
fn print(content: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    content.hash(&mut hasher);
    hasher.finish()
}
