//! How well does the sensor tell who may do what from who does something else? A simulated estate of which the truth is
//! known, as bytes on connections, through the real pipeline: docs/decisions/estate.md.
#![cfg_attr(
    test,
    expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "numbers of a simulation are small, and made here"
    )
)]

// `cfg(test)` tells clippy that helpers may panic here, as tests may.
#[cfg(test)]
mod estate {
    pub(crate) mod attacks;
    pub(crate) mod clock;
    pub(crate) mod evaluate;
    pub(crate) mod ids;
    pub(crate) mod jwt;
    pub(crate) mod lives;
    pub(crate) mod people;
    pub(crate) mod rng;
    pub(crate) mod ruler;
    pub(crate) mod run;
    pub(crate) mod services;
    pub(crate) mod sha256;
    pub(crate) mod small;
    pub(crate) mod truth;
    pub(crate) mod wire;
    pub(crate) mod world;
}
