//! Descriptor sets from their files.
//!
//! Takes paths. Gives the types in them. Never goes on without one that was asked for. Bounded by [`MAX_BYTES`].

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::Error;
use crate::protocol::protobuf::Schema;

/// Bytes of all sets together: those of all of Google's published interfaces have some 30 MB.
const MAX_BYTES: u64 = 64 << 20;

/// Reads all sets as one: they may refer to each other.
pub(super) fn load(paths: &[PathBuf]) -> Result<Schema, Error> {
    let mut sets = Vec::new();
    let mut left = MAX_BYTES;
    for path in paths {
        let set = read(path, left).and_then(|set| {
            // Each by itself first, so that the message names the file that is wrong.
            Schema::parse(&set).map_err(io::Error::other)?;
            Ok(set)
        });
        let set = set.map_err(|source| Error::Descriptors {
            path: path.clone(),
            source,
        })?;
        left = left.saturating_sub(set.len() as u64);
        sets.push(set);
    }
    // Of sets that are right one by one, all may still be too many.
    Schema::parse_all(sets.iter().map(Vec::as_slice)).map_err(|error| Error::Descriptors {
        path: paths.last().cloned().unwrap_or_default(),
        source: io::Error::other(error),
    })
}

fn read(path: &Path, left: u64) -> io::Result<Vec<u8>> {
    let mut set = Vec::new();
    File::open(path)?.take(left + 1).read_to_end(&mut set)?;
    if set.len() as u64 > left {
        return Err(io::Error::other(format!(
            "more than {MAX_BYTES} bytes of descriptor sets"
        )));
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_set_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (good, bad) = (directory.path().join("good"), directory.path().join("bad"));
        // One file of package `p` with the message `M`.
        std::fs::write(&good, b"\x0a\x08\x12\x01p\x22\x03\x0a\x01M").unwrap();
        std::fs::write(&bad, b"syntax = \"proto3\";").unwrap();
        assert!(
            load(std::slice::from_ref(&good))
                .unwrap()
                .message(b"p.M")
                .is_some()
        );
        assert!(load(&[]).unwrap().is_empty());
        for wrong in [bad, directory.path().join("absent")] {
            let error = load(&[good.clone(), wrong.clone()]).unwrap_err();
            assert!(matches!(error, Error::Descriptors { path, .. } if path == wrong));
        }
    }
}
