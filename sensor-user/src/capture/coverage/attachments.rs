//! Which files have probes in place.
//!
//! Takes what the attaching thread did. Gives it to whoever reports. Bounded by the files that thread attaches to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StackCoverage;
use crate::capture::discover::FileIdentity;

/// Device and inode number.
type Place = (u64, u64);

/// Files that were attached to, or could not be. A clone shows the same.
#[derive(Clone, Default, Debug)]
pub struct Attachments(Arc<Mutex<HashMap<Place, Result<usize, String>>>>);

impl Attachments {
    /// Notes the probes in a file, or why there are none.
    pub fn note(&self, file: Place, outcome: Result<usize, String>) {
        self.files().insert(file, outcome);
    }

    /// The probes of a file were taken out.
    pub fn forget(&self, file: Place) {
        self.files().remove(&file);
    }

    /// Enters into a covered stack what was done about its file.
    pub(super) fn describe(&self, file: FileIdentity, stack: &mut StackCoverage) {
        match self.files().get(&(file.device, file.inode)) {
            Some(Ok(probes)) => stack.probes = Some(*probes),
            Some(Err(problem)) => {
                stack.probes = Some(0);
                stack.reason = Some(format!("the kernel refused the probes: {problem}").into());
                stack.remedy = Some("see `api-sensor doctor` for what the kernel and the privileges allow");
            }
            None => {
                stack.probes = Some(0);
                stack.reason = Some("no probe was placed in this file".into());
                stack.remedy =
                    Some("wait a moment where the process is new, else name the file with --library");
            }
        }
    }

    fn files(&self) -> MutexGuard<'_, HashMap<Place, Result<usize, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
