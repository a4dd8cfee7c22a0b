//! Attachment: which instruction of a function is probed, and how.

mod function;
pub mod site;
