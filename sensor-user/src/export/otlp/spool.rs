//! Batches on disk: what the receiver did not take yet, bounded, kept over a restart.
//!
//! Takes encoded batches. Gives them back oldest first, each until it is taken. Holds nothing that an output would not
//! show. Bounded by bytes: the oldest file makes room, and what was in it is counted. Damaged bytes end their file, and
//! what was behind them is counted as far as its head said. A kill loses nothing that was written, since it is the
//! kernel's by then, and has the batches of one file sent again; a power cut may cost the last seconds.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::FlockOperation;

use super::batch::{Batch, Signal};

/// Bytes before a batch: its length, its records, when the first came, its signal and a checksum.
const HEAD: usize = 36;
/// Of these, the checksum: the front of BLAKE3 over the rest of the head and the batch.
const SUM: usize = 16;
/// Longest batch that is read back: what is longer is a damaged length.
const LONGEST: u32 = 64 << 20;
/// One file of so many makes room at a time.
const FILES: u64 = 16;
/// But none is smaller than this.
const SMALLEST: u64 = 64 << 10;
/// How files of batches end.
const ENDING: &str = "batches";
/// Held by the sensor that uses the directory.
const LOCK: &str = "lock";

/// Records that are gone, and why is known to who asked.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Lost {
    /// Records in batches that made room.
    pub(super) crowded: u64,
    /// In batches whose bytes are damaged, as far as their heads say; at least one for each damaged file.
    pub(super) damaged: u64,
}

impl Lost {
    fn add(&mut self, other: Self) {
        self.crowded += other.crowded;
        self.damaged += other.damaged;
    }
}

/// A directory of batches that this process alone uses.
#[derive(Debug)]
pub(super) struct Spool {
    directory: PathBuf,
    most: u64,
    /// Oldest first.
    files: VecDeque<Kept>,
    /// The newest, while it is written to.
    writer: Option<File>,
    reader: Option<File>,
    /// Bytes on disk, and records, of the batch that was shown last.
    shown: Option<(u64, u32)>,
    /// What was lost since it was last asked.
    lost: Lost,
    _lock: File,
}

/// One file of batches.
#[derive(Debug)]
struct Kept {
    number: u64,
    /// Where the next batch to be taken begins.
    at: u64,
    /// Where the last one ends.
    end: u64,
    /// Records between them.
    records: u64,
    /// When the first of them came, in seconds since 1970; once some were taken, of the last that was looked at.
    since_s: u64,
}

/// What is before a batch.
#[derive(Clone, Copy)]
struct Head {
    length: u32,
    records: u32,
    since_s: u64,
    signal: Signal,
    sum: [u8; SUM],
}

impl Head {
    fn of(batch: &Batch) -> Option<Self> {
        let length = u32::try_from(batch.bytes.len())
            .ok()
            .filter(|length| *length <= LONGEST)?;
        let mut head = Self {
            length,
            records: batch.records,
            since_s: batch.since_s,
            signal: batch.signal,
            sum: [0; SUM],
        };
        head.sum = head.checksum(&batch.bytes);
        Some(head)
    }

    fn checksum(&self, bytes: &[u8]) -> [u8; SUM] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.front());
        hasher.update(bytes);
        let mut sum = [0; SUM];
        hasher.finalize_xof().fill(&mut sum);
        sum
    }

    fn front(&self) -> [u8; HEAD - SUM] {
        let mut front = [0; HEAD - SUM];
        let numbers = self
            .length
            .to_le_bytes()
            .into_iter()
            .chain(self.records.to_le_bytes())
            .chain(self.since_s.to_le_bytes());
        let all = numbers.chain([self.signal.number()]);
        front.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        front
    }

    fn bytes(&self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        let parts = self.front().into_iter().chain(self.sum);
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    fn parse(bytes: &[u8; HEAD]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (records, rest) = rest.split_first_chunk()?;
        let (since_s, rest) = rest.split_first_chunk()?;
        let ([signal, _, _, _], sum) = rest.split_first_chunk()?;
        Some(Self {
            length: u32::from_le_bytes(*length),
            records: u32::from_le_bytes(*records),
            since_s: u64::from_le_bytes(*since_s),
            signal: Signal::of_number(*signal)?,
            sum: sum.try_into().ok()?,
        })
        .filter(|head| head.length <= LONGEST)
    }

    /// Bytes on disk.
    fn all(&self) -> u64 {
        u64::from(self.length) + HEAD as u64
    }
}

impl Spool {
    /// Opens the directory, made with mode 0700 if there is none, and counts what an earlier run left there. `most` bounds
    /// its bytes.
    pub(super) fn open(directory: &Path, most: u64) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let lock = options().create(true).open(directory.join(LOCK))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let mut spool = Self {
            directory: directory.to_owned(),
            most,
            files: VecDeque::new(),
            writer: None,
            reader: None,
            shown: None,
            lost: Lost::default(),
            _lock: lock,
        };
        for number in numbers(directory)? {
            match spool.scan(number) {
                Ok(file) if file.at < file.end => spool.files.push_back(file),
                Ok(_) => fs::remove_file(spool.path(number))?,
                Err(error) => return Err(error),
            }
        }
        spool.make_room(0);
        Ok(spool)
    }

    /// Bytes of batches that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.end).sum()
    }

    /// Records that wait.
    pub(super) fn records(&self) -> u64 {
        self.files.iter().map(|file| file.records).sum()
    }

    /// When the oldest of them came, in seconds since 1970.
    pub(super) fn since_s(&self) -> Option<u64> {
        self.files.front().map(|file| file.since_s)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What was lost since the last time.
    pub(super) fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    /// Keeps a batch; the oldest make room. An error leaves what was there as it was.
    pub(super) fn push(&mut self, batch: &Batch) -> io::Result<()> {
        let head = Head::of(batch).filter(|head| head.all() <= self.most);
        let head =
            head.ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "a batch beyond the bound"))?;
        self.make_room(head.all());
        let limit = (self.most / FILES).max(SMALLEST);
        if self.files.back().is_none_or(|file| file.end + head.all() > limit) {
            self.writer = None;
        }
        if self.writer.is_none() {
            self.begin()?;
        }
        let (Some(writer), Some(file)) = (&mut self.writer, self.files.back_mut()) else {
            return Ok(());
        };
        let written = writer
            .write_all(&head.bytes())
            .and_then(|()| writer.write_all(&batch.bytes));
        if let Err(error) = written {
            // Half a batch would end the file for its reader: the next one goes to another file if it cannot be undone.
            let undone = writer
                .set_len(file.end)
                .and_then(|()| writer.seek(SeekFrom::Start(file.end)));
            if undone.is_err() {
                self.writer = None;
            }
            return Err(error);
        }
        if file.at == file.end {
            file.since_s = batch.since_s;
        }
        file.end += head.all();
        file.records += u64::from(batch.records);
        Ok(())
    }

    /// The oldest batch that was not taken yet.
    pub(super) fn front(&mut self) -> Option<Batch> {
        while let Some(file) = self.files.front() {
            if file.at < file.end {
                if let Some((head, batch)) = self.read() {
                    self.looked_at(head.since_s);
                    self.shown = Some((head.all(), head.records));
                    return Some(batch);
                }
                self.give_up();
            } else {
                self.remove();
            }
        }
        None
    }

    /// The batch that [`Self::front`] gave was taken; nothing if it made room meanwhile.
    pub(super) fn pop(&mut self) {
        let (Some((bytes, records)), Some(file)) = (self.shown.take(), self.files.front_mut()) else {
            return;
        };
        file.at += bytes;
        file.records = file.records.saturating_sub(records.into());
        if file.at >= file.end {
            self.remove();
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:016x}.{ENDING}"))
    }

    /// Begins the newest file.
    fn begin(&mut self) -> io::Result<()> {
        let number = self.files.back().map_or(0, |file| file.number + 1);
        self.writer = Some(options().create_new(true).open(self.path(number))?);
        self.files.push_back(Kept {
            number,
            at: 0,
            end: 0,
            records: 0,
            since_s: 0,
        });
        Ok(())
    }

    /// Reads the heads of a file that was left behind.
    fn scan(&mut self, number: u64) -> io::Result<Kept> {
        let mut source = File::open(self.path(number))?;
        let whole = source.metadata()?.len();
        let mut file = Kept {
            number,
            at: 0,
            end: 0,
            records: 0,
            since_s: 0,
        };
        while file.end < whole {
            let Some(head) = head(&mut source)?.filter(|head| file.end + head.all() <= whole) else {
                self.lost.damaged += 1;
                break;
            };
            if file.end == 0 {
                file.since_s = head.since_s;
            }
            file.end += head.all();
            file.records += u64::from(head.records);
            source.seek(SeekFrom::Start(file.end))?;
        }
        Ok(file)
    }

    fn read(&mut self) -> Option<(Head, Batch)> {
        let file = self.files.front()?;
        if self.reader.is_none() {
            self.reader = File::open(self.path(file.number)).ok();
        }
        let reader = self.reader.as_mut()?;
        reader.seek(SeekFrom::Start(file.at)).ok()?;
        let head = head(reader).ok()??;
        let room = file.end.saturating_sub(file.at);
        let mut bytes = vec![0; usize::try_from(head.length).ok().filter(|_| head.all() <= room)?];
        reader.read_exact(&mut bytes).ok()?;
        let batch = Batch {
            signal: head.signal,
            records: head.records,
            since_s: head.since_s,
            bytes: Bytes::from(bytes),
        };
        (head.checksum(&batch.bytes) == head.sum).then_some((head, batch))
    }

    fn looked_at(&mut self, since_s: u64) {
        if let Some(file) = self.files.front_mut() {
            file.since_s = since_s;
        }
    }

    /// The rest of the oldest file cannot be read.
    fn give_up(&mut self) {
        if let Some(file) = self.files.front() {
            self.lost.damaged += file.records.max(1);
        }
        self.remove();
    }

    /// Removes the oldest file.
    fn remove(&mut self) {
        let Some(file) = self.files.pop_front() else {
            return;
        };
        self.reader = None;
        self.shown = None;
        if self.files.is_empty() {
            self.writer = None;
        }
        let path = self.path(file.number);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(%error, path = %path.display(), "cannot remove a file of the spool");
        }
    }

    fn make_room(&mut self, need: u64) {
        while !self.is_empty() && self.bytes() + need > self.most {
            let crowded = self.files.front().map_or(0, |file| file.records);
            self.lost.add(Lost { crowded, damaged: 0 });
            self.remove();
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

/// Numbers of the files of batches, in order.
fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_suffix(ENDING)?.strip_suffix('.'));
        let number = number.filter(|digits| digits.len() == 16);
        numbers.extend(number.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The next head; `None` where there is none or none that can be.
fn head(source: &mut File) -> io::Result<Option<Head>> {
    let mut bytes = [0; HEAD];
    match source.read_exact(&mut bytes) {
        Ok(()) => Ok(Head::parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
