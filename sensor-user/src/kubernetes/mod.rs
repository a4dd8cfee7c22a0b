//! What the API server says of the pods on this node: who they are, and whether they are to be watched.
//!
//! Takes a watch on pods and namespaces. Gives a [`Directory`] that is asked by a pod's uid, as control groups name it,
//! or by an address. Never on the data path, and nothing waits for it: without an API server the directory stays as it
//! was. Bounded by [`directory::Limits`]; whoever can make pods chooses their texts, which are cut to size here and
//! cleaned where they are written. Uses `telemetry` and `config` only, and every stage may use it.

pub mod directory;
pub mod pod;
mod select;
mod watch;

pub use directory::{Choice, Directory};
pub use pod::{Peers, Pod, Workload};
pub use select::Pods;
pub use watch::{Access, AccessError, run, start};
