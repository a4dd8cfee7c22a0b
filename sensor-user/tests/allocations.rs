//! How much memory is asked for to read one exchange in which nothing is found.
//!
//! The law: no allocation for each header field, name or value, and none for a call that is not there. What is left is
//! what an exchange is made of, and it must not grow unnoticed.

#![expect(unsafe_code, reason = "a counting allocator implements an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;
