//! Hosts, what was asked of each in vain, and the page with which one answers whatever was asked.
//!
//! Takes names and answers. Gives numbers. Bounded by [`MAX_HOSTS`] and [`PAGES`].

use std::collections::HashMap;

use super::answer::{Answer, Withheld};
use super::template::NodeId;

/// Hosts told apart. The name comes from the client: beyond that, hosts share one place.
pub(super) const MAX_HOSTS: usize = 1_024;
/// What hosts beyond the bound are called.
pub(super) const OTHER_HOSTS: &str = "*";
/// Answers of one host that are compared.
const PAGES: usize = 8;
/// Bytes of a page: shorter answers are those of real endpoints, too.
const SHORTEST_PAGE: u64 = 64;
/// Unknown paths with the same answer before it is taken for an error with status 200.
const SOFT: u32 = 8;

/// Probes of one host: answers to paths that are no endpoints.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, serde::Serialize, serde::Deserialize)]
pub struct Probes {
    /// 404.
    pub missing: u64,
    /// 401, 403, 407, 429.
    pub refused: u64,
    /// To a login, or home.
    pub redirected: u64,
    /// Other answers that say nothing about existence, or none.
    pub other: u64,
    /// The page that the host gives whatever was asked, with status 200.
    pub soft: u64,
}

#[derive(Clone, Copy, Default, Debug, serde::Serialize, serde::Deserialize)]
struct Page {
    length: u64,
    /// Given for unknown paths, and for known ones.
    unknown: u32,
    known: u32,
}

/// One host.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) name: Box<str>,
    pub(super) root: NodeId,
    pub(super) probes: Probes,
    pages: [Page; PAGES],
}

impl Host {
    pub(super) fn new(name: Box<str>, root: NodeId, probes: Probes) -> Self {
        Self {
            name,
            root,
            probes,
            pages: [Page::default(); PAGES],
        }
    }

    /// Counts a path that is no endpoint.
    pub(super) fn probed(&mut self, answer: Answer) {
        let count = match answer {
            Answer::Exists => &mut self.probes.soft,
            Answer::Missing => &mut self.probes.missing,
            Answer::Withheld(Withheld::Refused) => &mut self.probes.refused,
            Answer::Withheld(Withheld::Redirected) => &mut self.probes.redirected,
            Answer::Withheld(Withheld::Other) | Answer::Unseen => &mut self.probes.other,
        };
        *count = count.saturating_add(1);
    }

    /// Whether an answer to an unknown path is the page that comes whatever is asked.
    pub(super) fn is_soft(&mut self, length: u64) -> bool {
        if length < SHORTEST_PAGE {
            return false;
        }
        if let Some(page) = self.pages.iter_mut().find(|page| page.length == length) {
            page.unknown = page.unknown.saturating_add(1);
            return page.unknown > SOFT && page.known < page.unknown / 2;
        }
        if let Some(rarest) = self.pages.iter_mut().min_by_key(|page| page.unknown) {
            *rarest = Page {
                length,
                unknown: 1,
                known: 0,
            };
        }
        false
    }

    /// An endpoint that is known to exist gave an answer of this length.
    pub(super) fn answered(&mut self, length: u64) {
        if let Some(page) = self.pages.iter_mut().find(|page| page.length == length) {
            page.known = page.known.saturating_add(1);
        }
    }
}

/// Hosts by name.
#[derive(Default, Debug)]
pub(super) struct Hosts {
    by_name: HashMap<Box<str>, u32>,
    pub(super) all: Vec<Host>,
}

impl Hosts {
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        let known = self.by_name.get(name);
        let full = self.all.len() >= MAX_HOSTS;
        known
            .or_else(|| self.by_name.get(OTHER_HOSTS).filter(|_| full))
            .copied()
    }

    /// Adds a host with its first node; the last place is for all others.
    pub(super) fn add(&mut self, name: &str, root: NodeId) -> Option<u32> {
        let last = self.all.len() + 1 >= MAX_HOSTS;
        let name = if last { OTHER_HOSTS } else { name };
        let number = u32::try_from(self.all.len()).ok()?;
        self.all.push(Host::new(name.into(), root, Probes::default()));
        self.by_name.insert(name.into(), number);
        Some(number)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Host> {
        self.all.get(number as usize)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Host> {
        self.all.get_mut(number as usize)
    }
}
