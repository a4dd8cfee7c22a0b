//! What whole-sensor tests share: real servers and clients on private copies of their TLS library.
//!
//! Takes nothing but programs of this machine. Gives processes that end with the value that started them.
//! Never waits without a deadline, kills what it did not start, or leaves loopback. Bounded by [`wait::DEADLINE`].

pub mod apps;
pub mod clients;
pub mod copies;
pub mod corpus;
pub mod crates;
pub mod debian;
pub mod golang;
pub mod guard;
pub mod held;
pub mod judges;
pub mod launcher;
pub mod payload;
pub mod peer;
pub mod private;
pub mod privileges;
pub mod programs;
pub mod receiver;
pub mod servers;
pub mod sources;
pub mod testbed;
pub mod tools;
pub mod wait;

pub use guard::Guard;
pub use private::PrivateTls;
