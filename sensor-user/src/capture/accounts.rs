//! The kernel object's accounts, from their map into the ledger.
//!
//! Takes the map. Gives each process's figures to the [`Ledger`] and takes the accounts of ended processes out, so that
//! the map has room. Never blocks the kernel object. Bounded by the size of the map.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use aya::Pod;
use aya::maps::{HashMap, MapData};
use sensor_common::account::{AccountKey, ENTRIES, OTHERS};

use super::discover::process;
use super::load::LoadError;
use crate::telemetry::ledger::{Key, Ledger};

/// [`AccountKey`] as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct KeyPod(AccountKey);

#[expect(unsafe_code, reason = "aya's marker for plain data")]
// SAFETY: repr(C) of integers without padding (asserted in sensor-common).
unsafe impl Pod for KeyPod {}

pub(super) type Accounts = HashMap<MapData, KeyPod, [u64; ENTRIES]>;

/// Reads the accounts.
#[derive(Clone)]
pub struct AccountReader(Arc<Mutex<Accounts>>);

impl std::fmt::Debug for AccountReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccountReader")
    }
}

impl AccountReader {
    /// Takes the map and makes the account of all others in it.
    pub(super) fn new(mut accounts: Accounts) -> Result<Self, LoadError> {
        accounts
            .insert(KeyPod(OTHERS), [0; ENTRIES], 0)
            .map_err(|error| LoadError::Map("ACCOUNTS", Box::new(error)))?;
        Ok(Self(Arc::new(Mutex::new(accounts))))
    }

    /// Brings the ledger up to date. Accounts of processes that ended are read for the last time and taken out.
    pub fn refresh(&self, ledger: &Ledger) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever ends between this and the reading is found at the next time.
        let ended: Vec<AccountKey> = accounts
            .keys()
            .filter_map(Result::ok)
            .map(|KeyPod(key)| key)
            .filter(|key| *key != OTHERS && has_ended(*key))
            .collect();
        for (KeyPod(key), values) in accounts.iter().filter_map(Result::ok) {
            ledger.set_kernel(named(key), values);
        }
        for key in ledger.nameless() {
            if let Ok(found) = process::read(Path::new("/proc"), key.pid)
                && process::is_same(&found, key.start_ns)
            {
                ledger.name(key, found.comm.0);
            }
        }
        for key in ended {
            ledger.end(named(key));
            // Somebody else may have taken it out; either way it is gone.
            accounts.remove(&KeyPod(key)).ok();
        }
    }
}

const fn named(key: AccountKey) -> Key {
    Key {
        pid: key.tgid,
        start_ns: key.start_ns,
    }
}

/// Whether the process is gone, and with it every call that could still be counted.
fn has_ended(key: AccountKey) -> bool {
    let Ok(found) = process::read(Path::new("/proc"), key.tgid) else {
        return true;
    };
    key.start_ns != 0 && !process::is_same(&found, key.start_ns)
}
