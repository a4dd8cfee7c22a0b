//! One file per item of the OWASP list of 2023.

pub(super) mod api1;
pub(super) mod api2;
pub(super) mod api3;
pub(super) mod api5;
pub(super) mod api8;

#[cfg(test)]
pub(super) mod tests;
