//! The account of the running process: one look at a map per call, then additions.
//!
//! Every hook that moves bytes ends in exactly one of these functions, so that what was fired and what became of it
//! are counted together.

use core::arch::asm;

use sensor_common::account::{AccountKey, ENTRIES, Entry, OTHERS};
use sensor_common::counter::Counter;
use sensor_common::record::{gap, source};

use crate::emit::{self, Subject};
use crate::maps::{ACCOUNTS, BLANK_ACCOUNT};
use crate::stream::StreamKey;

/// An account in its map.
#[derive(Clone, Copy)]
pub struct Account(*mut u64);

impl Account {
    /// Adds to an entry. Atomic: threads of a process share its account.
    #[inline(always)]
    pub fn add(self, entry: Entry, amount: u64) {
        let slot = unsafe { self.0.add(entry as usize) };
        unsafe { asm!("lock *(u64 *)({slot} + 0) += {amount}", slot = in(reg) slot, amount = in(reg) amount) };
    }

    /// Replaces an entry. The last writer wins, which is right for a time and harmless for a bit that is set twice.
    #[inline(always)]
    pub fn set(self, entry: Entry, value: u64) {
        unsafe { self.0.add(entry as usize).write_volatile(value) };
    }

    #[inline(always)]
    pub fn value(self, entry: Entry) -> u64 {
        unsafe { self.0.add(entry as usize).read_volatile() }
    }
}

/// The account of a process, made on first sight; that of all others where there is no room.
#[inline(always)]
pub fn of(start_ns: u64, tgid: u32) -> Option<Account> {
    let key = AccountKey { start_ns, tgid, reserved: 0 };
    if let Some(account) = ACCOUNTS.get_ptr_mut(key) {
        return Some(Account(account.cast()));
    }
    let blank: &[u64; ENTRIES] = unsafe { &*BLANK_ACCOUNT.get_ptr(0)? };
    // BPF_NOEXIST: another thread may have been first.
    let _ = ACCOUNTS.insert(key, blank, 1);
    let mut account = ACCOUNTS.get_ptr_mut(key);
    if account.is_none() {
        emit::count(Counter::NoAccountSlot, 1);
        account = ACCOUNTS.get_ptr_mut(OTHERS);
    }
    account.map(|account| Account(account.cast()))
}

/// What became of the bytes of a call that were to be captured.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Outcome {
    pub submitted: u64,
    pub ring_full: u64,
    pub fault: u64,
    pub ring_full_records: u64,
}

/// What became of one record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Submitted,
    RingFull,
    Fault,
}

impl Outcome {
    /// Takes one record of `length` bytes into account.
    #[inline(always)]
    pub fn add(&mut self, fate: Fate, length: u64) {
        match fate {
            Fate::Submitted => self.submitted += length,
            Fate::RingFull => {
                self.ring_full += length;
                self.ring_full_records += 1;
            }
            Fate::Fault => self.fault += length,
        }
    }
}

/// A call was captured as far as it could be; `absent` bytes became a gap for `reason`.
#[inline(always)]
pub fn captured(subject: &Subject, moved: u64, outcome: &Outcome, absent: u64, reason: u16) {
    let Some(account) = of(subject.process_start, (subject.pid_tgid >> 32) as u32) else { return };
    fired(account, subject.stream.source, subject.time_ns, moved);
    account.add(Entry::SubmittedBytes, outcome.submitted);
    if outcome.submitted == moved {
        account.add(Entry::WholeCalls, 1);
        return;
    }
    account.add(Entry::PartCalls, 1);
    if outcome.ring_full_records != 0 {
        account.add(Entry::RingFullBytes, outcome.ring_full);
        account.add(Entry::RingFullRecords, outcome.ring_full_records);
    }
    if outcome.fault != 0 {
        account.add(Entry::FaultBytes, outcome.fault);
    }
    if absent != 0 {
        let entry = match reason {
            gap::IOVECS => Entry::IovecBytes,
            gap::UNSEEN | gap::BYPASS => Entry::UnseenBytes,
            gap::FAULT => Entry::FaultBytes,
            _ => Entry::LimitBytes,
        };
        account.add(entry, absent);
    }
}

#[inline(always)]
fn fired(account: Account, from: u32, time_ns: u64, moved: u64) {
    if from == source::TLS {
        account.add(Entry::TlsCalls, 1);
        account.add(Entry::TlsBytes, moved);
        account.set(Entry::LastTlsNs, time_ns);
    } else {
        account.add(Entry::SocketCalls, 1);
        account.add(Entry::SocketBytes, moved);
        account.set(Entry::LastSocketNs, time_ns);
    }
}

/// A socket call was left alone. `counter` says why, and is counted, too.
#[inline(always)]
pub fn left_alone(key: &StreamKey, counter: Counter, moved: u64) {
    emit::count(counter, moved);
    let Some(account) = of(key.process_start, key.tgid) else { return };
    fired(account, key.source, emit::now_ns(), moved);
    match counter {
        Counter::SocketTlsBytes => {
            account.add(Entry::CipherCalls, 1);
            account.add(Entry::CipherBytes, moved);
        }
        Counter::SocketUnknownBytes => {
            account.add(Entry::UnknownCalls, 1);
            account.add(Entry::UnknownBytes, moved);
        }
        // Its buffers could not be looked at.
        _ => {
            account.add(Entry::PartCalls, 1);
            account.add(Entry::FaultBytes, moved);
        }
    }
}

/// A call whose stream found no room.
#[inline(always)]
pub fn unplaced(key: &StreamKey, moved: u64) {
    let Some(account) = of(key.process_start, key.tgid) else { return };
    fired(account, key.source, emit::now_ns(), moved);
    account.add(Entry::PartCalls, 1);
    account.add(Entry::NoStreamBytes, moved);
}
