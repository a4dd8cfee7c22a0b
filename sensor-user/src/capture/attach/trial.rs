//! The choice of backend, by attaching to a function of our own and seeing whether the kernel takes it.
//!
//! Versions say little: distributions backport, and stable kernels took perf uprobes away from `CAP_PERFMON`.

use std::path::PathBuf;

use super::copies::Copies;
use super::multi::Multi;
use super::perf::Perf;
use super::seccomp::{Verdict, test_returns};
use super::{AttachBackend, AttachError, Backend, Hook, Point};
use crate::capture::load::{Loaded, OBJECT};

/// What an entry probe is tried on. Never inlined, so that it has an address.
#[inline(never)]
extern "C" fn trial_target(value: u64) -> u64 {
    std::hint::black_box(value)
}

/// Loads the wanted backend; for [`Backend::Auto`] the first that takes a trial probe.
pub fn choose(wanted: Backend, loaded: &Loaded) -> Result<Box<dyn AttachBackend>, AttachError> {
    match wanted {
        Backend::Multi => multi(loaded),
        Backend::Perf => perf(loaded),
        Backend::Copies => copies(loaded),
        Backend::Auto => multi(loaded).or_else(|first| {
            tracing::debug!(error = %chain(&first), "uprobe_multi does not work here; trying perf events");
            perf(loaded)
        }),
    }
}

/// Each backend by name, what kept it from working, and what its return probes do to processes under seccomp.
pub fn survey(loaded: &Loaded) -> Vec<(&'static str, Result<Verdict, AttachError>)> {
    let tested = |backend: Result<Box<dyn AttachBackend>, AttachError>| test_returns(&mut *backend?);
    vec![
        ("uprobe_multi", tested(multi(loaded))),
        ("perf", tested(perf(loaded))),
    ]
}

fn multi(loaded: &Loaded) -> Result<Box<dyn AttachBackend>, AttachError> {
    if !loaded.has_cookie() {
        return Err(AttachError::NoCookie);
    }
    let object = loaded.shared();
    let object = object.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    tried(Box::new(Multi::load(OBJECT, &object, loaded.tls_programs())?))
}

fn perf(loaded: &Loaded) -> Result<Box<dyn AttachBackend>, AttachError> {
    if !loaded.has_cookie() {
        return copies(loaded);
    }
    tried(Box::new(Perf::load(loaded.shared(), loaded.tls_programs())?))
}

fn copies(loaded: &Loaded) -> Result<Box<dyn AttachBackend>, AttachError> {
    tried(Box::new(Copies::load(
        OBJECT,
        loaded.shared(),
        loaded.tls_programs(),
    )?))
}

fn tried(mut backend: Box<dyn AttachBackend>) -> Result<Box<dyn AttachBackend>, AttachError> {
    if let Some((file, offset)) = own_offset(trial_target as *const () as u64) {
        drop(backend.attach(
            &file,
            &[Point {
                hook: Hook::Enter,
                offset,
                cookie: 0,
            }],
        )?);
    }
    std::hint::black_box(trial_target(0));
    Ok(backend)
}

/// File and offset of an address of this process, from its map.
pub(super) fn own_offset(address: u64) -> Option<(PathBuf, u64)> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (start, end) = (
            u64::from_str_radix(start, 16).ok()?,
            u64::from_str_radix(end, 16).ok()?,
        );
        let offset = u64::from_str_radix(fields.nth(1)?, 16).ok()?;
        let inside = (start..end).contains(&address);
        inside.then(|| (PathBuf::from("/proc/self/exe"), address - start + offset))
    })
}

/// An error and its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
