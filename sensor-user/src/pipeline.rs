//! The stages joined for one thread: what the live sensor, replay, tests and benchmarks all run.
