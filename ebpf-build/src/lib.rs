//! Finds a compiler for the kernel object and runs it.
