//! Which files have probes in place.
//!
//! Takes what the attaching thread did. Gives it to whoever reports. Bounded by the files that thread attaches to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StackCoverage;
use crate::capture::discover::FileIdentity;
use crate::capture::discover::stacks::Stack;

/// Of functions that are left out.
pub(in crate::capture) const NO_RETURN: &str =
    "not seen: no safe return site, and return probes are ruled out by this kernel or the configuration";

/// Device and inode number.
type Place = (u64, u64);

/// What was done about a file.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Placed {
    /// Probes in place.
    pub probes: usize,
    /// Functions that carry plaintext and are not probed, because their returns cannot be seen in a safe way.
    pub unseen: Vec<&'static str>,
}

/// Files that were attached to, or could not be. A clone shows the same.
#[derive(Clone, Default, Debug)]
pub struct Attachments(Arc<Mutex<HashMap<Place, Result<Placed, String>>>>);

impl Attachments {
    /// Notes the probes in a file, or why there are none.
    pub fn note(&self, file: Place, outcome: Result<Placed, String>) {
        self.files().insert(file, outcome);
    }

    /// The probes of a file were taken out.
    pub fn forget(&self, file: Place) {
        self.files().remove(&file);
    }

    /// What was done about a file; `None` when it was not met.
    pub fn outcome(&self, file: FileIdentity) -> Option<Result<Placed, String>> {
        self.files().get(&(file.device, file.inode)).cloned()
    }

    /// Enters into a covered stack what was done about its file.
    pub(super) fn describe(&self, file: FileIdentity, of: &Stack, stack: &mut StackCoverage) {
        match self.outcome(file) {
            Some(Ok(placed)) => {
                stack.probes = Some(placed.probes);
                let is_of = |symbol: &&&str| of.functions().iter().any(|row| row.symbol == **symbol);
                let unseen: Vec<&str> = placed.unseen.iter().filter(is_of).copied().collect();
                if !unseen.is_empty() {
                    stack.reason = Some(format!("{}: {NO_RETURN}", unseen.join(", ")).into());
                    stack.remedy = Some(
                        "run on a kernel whose return probes do no harm under seccomp, with capture.return_probes = \"auto\"",
                    );
                }
            }
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

    fn files(&self) -> MutexGuard<'_, HashMap<Place, Result<Placed, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::discover::stacks::STACKS;

    #[test]
    fn functions_that_are_left_out_are_named_for_their_stack_and_no_other() {
        let attachments = Attachments::default();
        let file = FileIdentity {
            device: 1,
            inode: 2,
            modified_ns: 0,
            size: 0,
        };
        let unseen = vec!["PR_Read", "PR_Write"];
        attachments.note((1, 2), Ok(Placed { probes: 3, unseen }));
        let described = |name: &str| {
            let of = STACKS.iter().find(|stack| stack.name == name).unwrap();
            let mut stack = StackCoverage {
                stack: of.name,
                version: None,
                file: String::new(),
                functions: 1,
                probes: None,
                reason: None,
                remedy: None,
            };
            attachments.describe(file, of, &mut stack);
            assert_eq!(stack.probes, Some(3));
            assert_eq!(stack.reason.is_some(), stack.remedy.is_some());
            stack.reason
        };
        let expected = format!("PR_Read, PR_Write: {NO_RETURN}");
        assert_eq!(described("nspr").as_deref(), Some(expected.as_str()));
        assert_eq!(described("nss"), None);
    }
}
