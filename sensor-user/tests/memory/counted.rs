//! An allocator that counts what the calling thread holds.
//!
//! Takes every allocation of the test. Gives the bytes held and the most that were. A block counts as the C library
//! rounds it, so that many small ones are not taken for little. Never counts across threads: each test has its own, and
//! frees what it allocated.

#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counted;

#[global_allocator]
static COUNTED: Counted = Counted;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// glibc's blocks have a header of 8 bytes, come in steps of 16, and have at least 32.
fn block(size: usize) -> isize {
    isize::try_from((size + 8).next_multiple_of(16).max(32)).unwrap_or(isize::MAX)
}

fn count(change: isize) {
    // A thread that ends frees what its locals held when they are gone.
    let held = HELD.try_with(|held| {
        held.set(held.get() + change);
        held.get()
    });
    if let Ok(held) = held {
        MOST.try_with(|most| most.set(most.get().max(held))).ok();
    }
}

// SAFETY: every call goes to the system's allocator as it is; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(block(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block_of: *mut u8, layout: Layout) {
        count(-block(layout.size()));
        // SAFETY: the block came from `alloc` above, which is the system's.
        unsafe { System.dealloc(block_of, layout) }
    }
}

/// Bytes that this thread holds.
pub(crate) fn held() -> usize {
    usize::try_from(HELD.get()).unwrap_or(0)
}

/// The most that were held since the last call.
pub(crate) fn take_most() -> usize {
    let most = MOST.replace(HELD.get());
    usize::try_from(most).unwrap_or(0)
}
