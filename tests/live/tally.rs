//! Bytes of each direction of each stream as the records account for them.

use std::collections::HashMap;

use sensor_user::capture::{Direction, Record, StreamKey};

/// One direction of one stream.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Account {
    /// Bytes in data records.
    pub(crate) captured: u64,
    /// Bytes in gap records.
    pub(crate) gaps: u64,
    /// Bytes that only a jump of the position shows.
    pub(crate) jumps: u64,
    /// Position after the last record.
    pub(crate) end: u64,
    /// Bytes that came twice.
    pub(crate) repeated: u64,
    /// Captured bytes that were TLS early data.
    pub(crate) early: u64,
}

/// All of them.
#[derive(Default, Debug)]
pub(crate) struct Tally(pub(crate) HashMap<(StreamKey, Direction), Account>);

impl Tally {
    /// Takes one record into account.
    pub(crate) fn add(&mut self, record: &Record) {
        match record {
            Record::Data(data) => {
                let len = data.bytes.len() as u64;
                let account = self.step((data.stream, data.direction), data.position, len);
                account.captured += len;
                account.early += if data.early { len } else { 0 };
            }
            Record::Gap(gap) => {
                self.step((gap.stream, gap.direction), gap.position, gap.missing)
                    .gaps += gap.missing;
            }
            _ => {}
        }
    }

    fn step(&mut self, key: (StreamKey, Direction), position: u64, len: u64) -> &mut Account {
        let account = self.0.entry(key).or_default();
        account.jumps += position.saturating_sub(account.end);
        account.repeated += account.end.saturating_sub(position);
        account.end = position + len;
        account
    }

    /// Sum over all directions of a process.
    pub(crate) fn of_process(&self, pid: u32) -> Account {
        let ours = self.0.iter().filter(|((stream, _), _)| stream.process.pid == pid);
        ours.fold(Account::default(), |mut sum, (_, account)| {
            sum.captured += account.captured;
            sum.gaps += account.gaps;
            sum.jumps += account.jumps;
            sum.end += account.end;
            sum.repeated += account.repeated;
            sum.early += account.early;
            sum
        })
    }

    /// Position after the last record of the only stream that has bytes in `direction`.
    pub(crate) fn end(&self, direction: Direction) -> u64 {
        self.0
            .iter()
            .filter(|((_, of), _)| *of == direction)
            .map(|(_, account)| account.end)
            .sum()
    }
}
