//! `api-sensor`.
fn main() {}
