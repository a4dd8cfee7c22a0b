//! The reader: packets in, records out.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::block::{Fault, Packets};
use super::frame;
use super::note::Note;
use super::tcp::Tracker;
use crate::capture::Record;
use crate::capture::source::{CaptureError, Progress, RecordSource};

/// Packets looked at per batch: enough to spread the cost of a call, few enough to stay in cache.
const BATCH_PACKETS: usize = 64;

/// A recording being read.
pub struct Reader<R> {
    path: PathBuf,
    packets: Packets<R>,
    tracker: Tracker,
    time_ns: u64,
    ended: bool,
}

/// Opens a recording: pcapng of the sensor or of others, or classic pcap.
pub fn open(path: &Path) -> Result<Reader<BufReader<File>>, CaptureError> {
    let file = File::open(path).map_err(|source| CaptureError::Open {
        path: path.into(),
        source,
    })?;
    Reader::new(BufReader::new(file), path)
}

impl<R: Read> Reader<R> {
    /// Reads the recording behind `input`; `path` names it in errors.
    pub fn new(input: R, path: &Path) -> Result<Self, CaptureError> {
        match Packets::new(input) {
            Ok(packets) => Ok(Self {
                path: path.into(),
                packets,
                tracker: Tracker::default(),
                time_ns: 0,
                ended: false,
            }),
            Err(fault) => Err(error(path, fault, "block", 1)),
        }
    }

    /// What was found so far.
    pub const fn account(&self) -> &Account {
        self.tracker.account()
    }

    /// Takes one packet; false at the end of the file.
    fn packet(&mut self, out: &mut Vec<Record>) -> Result<bool, Fault> {
        let Some(packet) = self.packets.next()? else {
            return Ok(false);
        };
        self.time_ns = packet.time_ns;
        self.tracker.account_mut().packets += 1;
        let note = packet.comment.and_then(Note::parse);
        match frame::segment(packet.link, packet.bytes) {
            Ok(segment) => self.tracker.push(&segment, packet.time_ns, note.as_ref(), out),
            Err(reason) => self.tracker.account_mut().skip(reason),
        }
        Ok(true)
    }
}

impl<R: Read> RecordSource for Reader<R> {
    fn next_batch(&mut self, out: &mut Vec<Record>) -> Result<Progress, CaptureError> {
        if self.ended {
            return Ok(Progress::Ended);
        }
        for _ in 0..BATCH_PACKETS {
            let fault = match self.packet(out) {
                Ok(true) => continue,
                Ok(false) => None,
                Err(fault) => Some(fault),
            };
            self.ended = true;
            self.tracker.finish(self.time_ns, out);
            return match fault {
                None => Ok(Progress::Ended),
                Some(fault) => Err(error(
                    &self.path,
                    fault,
                    self.packets.unit(),
                    self.packets.number(),
                )),
            };
        }
        Ok(Progress::Ready)
    }
}

fn error(path: &Path, fault: Fault, unit: &'static str, number: u64) -> CaptureError {
    let path = path.to_path_buf();
    match fault {
        Fault::Io(source) => CaptureError::Read {
            path,
            unit,
            number,
            source,
        },
        Fault::NotACapture => CaptureError::NotACapture { path },
        Fault::CutShort => CaptureError::CutShort { path, unit, number },
        Fault::Malformed(what) => CaptureError::Malformed {
            path,
            unit,
            number,
            what,
        },
    }
}
