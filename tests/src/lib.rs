//! What whole-sensor tests share.
