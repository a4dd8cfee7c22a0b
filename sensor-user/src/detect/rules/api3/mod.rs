//! API3:2023 Broken Object Property Level Authorization: one file for each question.
//!
//! Takes an exchange and what was learnt before. Gives claims with their figures. Never keeps anything.

mod assigned;
mod bulk;
mod excess;
mod sensitive;

pub(in crate::detect) use assigned::AssignedProperty;
pub(in crate::detect) use bulk::BulkRead;
pub(in crate::detect) use excess::ExcessProperty;
pub(in crate::detect) use sensitive::SensitiveDataInResponse;
