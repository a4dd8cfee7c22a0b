//! The table that HPACK's indices point into (RFC 7541, 2.3): a fixed part, and what one direction of a connection
//! added.
//!
//! Takes entries, changes of size and losses. Gives fields by index, or that nobody can know which field that is. Never
//! gives a wrong one: after a loss every older entry is unknown. Bounded by [`MAX_TABLE`]: its bytes, half of that again
//! for dead ones and for growing, and an entry for each 32 of them.

use std::collections::VecDeque;

/// Largest table that is followed. Clients that browse announce 65,536 (Chromium, Firefox), servers 4,096; an encoder
/// that was allowed more and uses it refers to entries that are then unknown.
pub const MAX_TABLE: u32 = 65_536;

/// Size of a table before anybody changed it (RFC 9113, 6.5.2).
pub const DEFAULT_TABLE: u32 = 4096;

/// What an entry counts beside its bytes (RFC 7541, 4.1).
const OVERHEAD: usize = 32;

/// What an index points at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Found<'a> {
    /// An entry. The name may have come from an unknown one.
    Entry { name: Option<&'a [u8]>, value: &'a [u8] },
    /// An entry that was made before the connection was watched, or in a hole.
    Unknown,
    /// There is no such entry (2.3.3).
    Nothing,
}

#[derive(Debug)]
pub(super) struct Table {
    /// Names and values of the entries, in order, with dead bytes in front. Never printed: see `Debug` of the decoder.
    bytes: Vec<u8>,
    /// Bytes that were in front of `bytes`; places count from the first ever, around the end of numbers.
    base: u32,
    /// The newest is the last.
    entries: VecDeque<Entry>,
    size: usize,
    /// What it cannot exceed, when `certain`; else the best guess.
    max: usize,
    certain: bool,
    /// Largest size that the peer may choose, when it said so.
    limit: u32,
    limit_certain: bool,
    /// Behind the entries there may be others.
    unknown_behind: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    /// `None`: not known.
    name: Option<u32>,
    value: u32,
}

impl Entry {
    const fn text(self) -> usize {
        self.name_len() + self.value as usize
    }

    const fn name_len(self) -> usize {
        match self.name {
            Some(length) => length as usize,
            None => 0,
        }
    }

    /// At least; more when the name is not known.
    const fn size(self) -> usize {
        self.text() + OVERHEAD
    }
}

impl Table {
    /// The table of a connection seen from its beginning, or of one joined later.
    pub(super) fn new(from_start: bool) -> Self {
        Self {
            bytes: Vec::new(),
            base: 0,
            entries: VecDeque::new(),
            size: 0,
            max: DEFAULT_TABLE as usize,
            certain: from_start,
            limit: DEFAULT_TABLE,
            limit_certain: false,
            unknown_behind: !from_start,
        }
    }

    pub(super) fn find(&self, index: u32) -> Found<'_> {
        let Some(index) = (index as usize).checked_sub(1) else {
            return Found::Nothing;
        };
        if let Some((name, value)) = STATIC.get(index) {
            return Found::Entry {
                name: Some(name.as_bytes()),
                value: value.as_bytes(),
            };
        }
        let age = index - STATIC.len();
        let entry = self
            .entries
            .len()
            .checked_sub(age + 1)
            .and_then(|at| self.entries.get(at));
        match entry {
            Some(entry) => self.text(*entry),
            None if self.unknown_behind => Found::Unknown,
            None => Found::Nothing,
        }
    }

    fn text(&self, entry: Entry) -> Found<'_> {
        let start = entry.start.wrapping_sub(self.base) as usize;
        let text = self.bytes.get(start..start + entry.text()).unwrap_or_default();
        let (name, value) = text.split_at_checked(entry.name_len()).unwrap_or_default();
        Found::Entry {
            name: entry.name.map(|_known| name),
            value,
        }
    }

    /// Adds an entry (4.4).
    pub(super) fn insert(&mut self, name: Option<&[u8]>, value: &[u8]) {
        let (Ok(name_len), Ok(value_len), Ok(_)) = (
            u32::try_from(name.unwrap_or_default().len()),
            u32::try_from(value.len()),
            u32::try_from(self.bytes.len() + name.unwrap_or_default().len() + value.len()),
        ) else {
            return self.lose();
        };
        let mut entry = Entry {
            start: 0,
            name: name.map(|_known| name_len),
            value: value_len,
        };
        self.shrink_to(self.max.saturating_sub(entry.size()));
        if entry.size() > self.max {
            // 4.4: such an entry empties the table. A true size that is larger than ours may have kept it.
            if !self.certain {
                self.lose();
            }
            return;
        }
        self.make_room(entry.text());
        entry.start = u32::try_from(self.bytes.len())
            .unwrap_or(0)
            .wrapping_add(self.base);
        self.bytes.extend_from_slice(name.unwrap_or_default());
        self.bytes.extend_from_slice(value);
        self.size += entry.size();
        self.entries.push_back(entry);
        self.look_behind();
    }

    /// Changes the size (4.2, 6.3). Returns whether it may be that large.
    pub(super) fn resize(&mut self, size: u32) -> bool {
        self.certain = size <= MAX_TABLE;
        self.max = size.min(MAX_TABLE) as usize;
        self.shrink_to(self.max);
        self.look_behind();
        self.unknown_behind |= !self.certain;
        size <= MAX_TABLE && (size <= self.limit || !self.limit_certain)
    }

    /// The peer that reads the table said how large it may become (RFC 9113, 6.5.2).
    pub(super) fn allow(&mut self, limit: u32) {
        // What it said before may still be in use.
        self.limit = if self.limit_certain {
            self.limit.max(limit)
        } else {
            limit.max(DEFAULT_TABLE)
        };
        self.limit_certain = true;
    }

    /// Entries were added that were not seen.
    pub(super) fn lose(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.size = 0;
        self.unknown_behind = true;
        // A change of size may have been missed as well.
        self.max = self.limit.min(MAX_TABLE) as usize;
        self.certain = self.limit_certain && self.limit <= MAX_TABLE;
    }

    /// Bytes of memory that it holds.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn shrink_to(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size = self.size.saturating_sub(oldest.size());
            // Older ones went before it; of a larger table than ours it would still be there.
            self.unknown_behind = !self.certain;
        }
    }

    /// Without room for one more entry there is none behind those that are known.
    fn look_behind(&mut self) {
        if self.certain && self.size + OVERHEAD > self.max {
            self.unknown_behind = false;
        }
    }

    /// Room for so many bytes: that of dead ones when they are a quarter of the live ones, so that each byte pays for
    /// four moves at most, else new room with a quarter in reserve.
    fn make_room(&mut self, more: usize) {
        let end = u32::try_from(self.bytes.len())
            .unwrap_or(0)
            .wrapping_add(self.base);
        let oldest = self.entries.front().map_or(end, |oldest| oldest.start);
        let dead = oldest.wrapping_sub(self.base) as usize;
        if dead == self.bytes.len() {
            self.bytes.clear();
            self.base = oldest;
        }
        if self.bytes.len() + more <= self.bytes.capacity() {
            return;
        }
        let live = self.bytes.len().saturating_sub(dead);
        if dead > 0 && dead >= live / 4 && !self.bytes.is_empty() {
            self.bytes.drain(..dead);
            self.base = oldest;
        }
        let wanted = self.bytes.len() + more;
        if wanted > self.bytes.capacity() {
            self.bytes.reserve_exact(more + wanted / 4);
        }
    }
}

/// RFC 7541, Appendix A.
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn known<'a>(name: &'a str, value: &'a str) -> Found<'a> {
        Found::Entry {
            name: Some(name.as_bytes()),
            value: value.as_bytes(),
        }
    }

    fn insert(table: &mut Table, name: &str, value: &str) {
        table.insert(Some(name.as_bytes()), value.as_bytes());
    }

    #[test]
    fn the_newest_entry_comes_first_and_the_oldest_goes() {
        let mut table = Table::new(true);
        assert_eq!(table.find(0), Found::Nothing);
        assert_eq!(table.find(1), known(":authority", ""));
        assert_eq!(table.find(61), known("www-authenticate", ""));
        assert_eq!(table.find(62), Found::Nothing);
        assert!(table.resize(2 * 34));
        for value in ["1", "2", "3"] {
            insert(&mut table, "a", value);
        }
        assert_eq!(table.find(62), known("a", "3"));
        assert_eq!(table.find(63), known("a", "2"));
        assert_eq!(table.find(64), Found::Nothing);
        insert(&mut table, "a", &"x".repeat(100));
        assert_eq!(table.find(62), Found::Nothing);
    }

    #[test]
    fn what_was_there_before_is_unknown_until_it_is_forced_out() {
        let mut table = Table::new(false);
        assert_eq!(table.find(62), Found::Unknown);
        insert(&mut table, "a", "1");
        assert_eq!(table.find(62), known("a", "1"));
        assert_eq!(table.find(63), Found::Unknown);
        // The size is not known, so nothing is forced out.
        for _ in 0..200 {
            insert(&mut table, "a", "1");
        }
        assert_eq!(table.find(62 + 200), Found::Unknown);
        assert!(table.resize(4 * 34));
        assert_eq!(table.find(62 + 3), known("a", "1"));
        assert_eq!(table.find(62 + 4), Found::Nothing);
    }

    #[test]
    fn an_emptied_table_is_known() {
        let mut table = Table::new(false);
        assert!(table.resize(0));
        assert_eq!(table.find(62), Found::Nothing);
        table.resize(4096);
        insert(&mut table, "a", "1");
        table.lose();
        assert_eq!(table.find(62), Found::Unknown);
    }

    #[test]
    fn a_hole_is_over_once_the_largest_table_is_full_again() {
        let mut table = Table::new(true);
        table.allow(4096);
        table.lose();
        for _ in 0..4096 / 34 {
            assert_eq!(table.find(62 + 4096 / 34), Found::Unknown);
            insert(&mut table, "a", "1");
        }
        assert_eq!(table.find(62 + 4096 / 34), Found::Nothing);
    }

    #[test]
    fn a_table_beyond_the_bound_keeps_its_newest_part() {
        let mut table = Table::new(true);
        assert!(!table.resize(10 * MAX_TABLE));
        for _ in 0..100 {
            insert(&mut table, "a", &"x".repeat(8000));
        }
        assert!(matches!(table.find(62 + 7), Found::Entry { .. }));
        assert_eq!(table.find(62 + 8), Found::Unknown);
        assert!(
            table.held_bytes() <= 3 * MAX_TABLE as usize / 2,
            "{}",
            table.held_bytes()
        );
    }
}
