//! The sensor about itself: counters with a closed set of names. A leaf: uses nothing else of this crate.
