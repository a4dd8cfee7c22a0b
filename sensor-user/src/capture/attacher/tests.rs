//! The worker against a backend that fails on demand, on copies of this machine's own program files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};

use super::worker::Worker;
use super::{Filter, Shared};
use crate::capture::attach::site::Returns;
use crate::capture::attach::{AttachBackend, AttachError, Attachment, Point};
use crate::capture::discover::{Cache, Target, target_of_file};

#[derive(Debug)]
struct Links(usize);

impl Attachment for Links {
    fn points(&self) -> usize {
        self.0
    }
}

/// Refuses the first `failures` files, and counts.
struct Stubborn {
    failures: u32,
    attempts: Arc<AtomicU32>,
}

impl AttachBackend for Stubborn {
    fn name(&self) -> &'static str {
        "stubborn"
    }

    fn attach(&mut self, file: &Path, points: &[Point]) -> Result<Box<dyn Attachment>, AttachError> {
        if self.attempts.fetch_add(1, Ordering::Relaxed) < self.failures {
            return Err(AttachError::Link {
                program: "test",
                file: file.display().to_string(),
                source: io::ErrorKind::ResourceBusy.into(),
            });
        }
        Ok(Box::new(Links(points.len())))
    }
}

fn worker(failures: u32) -> (Worker, Arc<Shared>, Arc<AtomicU32>) {
    let (shared, attempts) = (Arc::new(Shared::default()), Arc::new(AtomicU32::new(0)));
    let backend = Stubborn {
        failures,
        attempts: Arc::clone(&attempts),
    };
    let worker = Worker::new(
        Box::new(backend),
        Returns::Cheapest,
        Arc::clone(&shared),
        Filter::default(),
    );
    (worker, shared, attempts)
}

/// A copy of this machine's libssl; `None` where there is none.
fn library(directory: &Path, name: &str) -> Option<PathBuf> {
    let arch = format!("/usr/lib/{}-linux-gnu/libssl.so.3", std::env::consts::ARCH);
    let source = [arch.as_str(), "/usr/lib64/libssl.so.3", "/usr/lib/libssl.so.3"]
        .into_iter()
        .find(|path| Path::new(path).is_file())?;
    let copy = directory.join(name);
    fs::copy(source, &copy).unwrap();
    Some(copy)
}

fn target(path: &Path) -> Target {
    target_of_file(path, Returns::Cheapest, &mut Cache::default())
        .unwrap()
        .unwrap()
}

fn told(shared: &Shared) -> Vec<String> {
    std::mem::take(&mut *shared.blind.lock().unwrap_or_else(PoisonError::into_inner))
}

fn failing(shared: &Shared) -> usize {
    shared
        .failing
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .len()
}

const SECOND: u64 = 1_000_000_000;

/// LESSONS 10: a file that failed once is tried again, ever more rarely, told once, and cleared when it works.
#[test]
fn a_file_that_failed_is_tried_again_until_it_works() {
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = library(directory.path(), "libssl.so.3") else {
        return;
    };
    let (mut worker, shared, attempts) = worker(3);
    let target = target(&path);
    let start = 1000 * SECOND;
    assert_eq!(worker.attach(&target, start), Some(start + SECOND));
    // Met again before its time, by any number of processes: no attempt.
    for early in 1..500 {
        assert_eq!(worker.attach(&target, start + early), Some(start + SECOND));
    }
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
    assert_eq!(worker.attach(&target, start + SECOND), Some(start + 3 * SECOND));
    assert_eq!(
        worker.attach(&target, start + 3 * SECOND),
        Some(start + 7 * SECOND)
    );
    assert_eq!((told(&shared).len(), failing(&shared)), (1, 1));
    assert_eq!(worker.attach(&target, start + 7 * SECOND), None);
    assert_eq!((told(&shared).len(), failing(&shared)), (0, 0));
    worker.publish();
    assert!(shared.probes.load(Ordering::Relaxed) > 0);
    assert_eq!(worker.attach(&target, start + 8 * SECOND), None);
    assert_eq!(attempts.load(Ordering::Relaxed), 4);
}

#[test]
fn a_link_to_a_probed_file_is_not_probed_again_and_a_copy_is() {
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = library(directory.path(), "libssl.so.3") else {
        return;
    };
    let (mut worker, _, attempts) = worker(0);
    let link = directory.path().join("link.so");
    fs::hard_link(&path, &link).unwrap();
    let copy = library(directory.path(), "copy.so").unwrap();
    for file in [&path, &link, &copy, &path] {
        assert_eq!(worker.attach(&target(file), 1), None);
    }
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
}

#[test]
fn a_file_overwritten_in_place_loses_its_old_probes_before_it_gets_new_ones() {
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = library(directory.path(), "libssl.so.3") else {
        return;
    };
    let (mut worker, shared, attempts) = worker(0);
    let old = target(&path);
    worker.attach(&old, 1);
    worker.publish();
    let probes = shared.probes.load(Ordering::Relaxed);
    let content = fs::read(&path).unwrap();
    fs::write(&path, [content.as_slice(), b"more"].concat()).unwrap();
    worker.attach(&target(&path), 2);
    worker.publish();
    assert_eq!(attempts.load(Ordering::Relaxed), 2);
    assert_eq!(shared.probes.load(Ordering::Relaxed), probes);
    assert_eq!(shared.files.load(Ordering::Relaxed), 1);
    // The old content is in no file any more: its sites must not be used.
    assert!(!old.is_unchanged());
}

#[test]
fn a_process_that_is_gone_is_forgotten() {
    let (mut worker, shared, _) = worker(0);
    // Above the highest id that the kernel gives (2^22).
    worker.look_at(u32::MAX / 2, 1);
    assert_eq!((told(&shared).len(), failing(&shared)), (0, 0));
}
