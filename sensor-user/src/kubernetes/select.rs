//! Pods as a condition of a filter.

use std::sync::Arc;

use super::directory::{Choice, Directory};

/// The pods of which something is said.
#[derive(Clone, Debug)]
pub struct Pods {
    directory: Arc<Directory>,
    said: Choice,
    or_unknown: bool,
}

impl Pods {
    /// Those of which this is said.
    pub const fn of(directory: Arc<Directory>, said: Choice) -> Self {
        Self {
            directory,
            said,
            or_unknown: false,
        }
    }

    /// Those, and those of which nothing can be said yet.
    #[must_use]
    pub fn or_unknown(&self) -> Self {
        Self {
            or_unknown: true,
            ..self.clone()
        }
    }

    /// Whether it is one of them.
    pub fn has(&self, uid: &str) -> bool {
        match self.directory.choice(uid) {
            Some(said) => said == self.said,
            None => self.or_unknown,
        }
    }
}

/// The same condition of the same directory.
impl PartialEq for Pods {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.directory, &other.directory)
            && (self.said, self.or_unknown) == (other.said, other.or_unknown)
    }
}

impl Eq for Pods {}
