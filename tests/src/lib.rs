//! What whole-sensor tests share.

pub mod receiver;
