//! The user-space half of api-sensor.
//!
//! ```text
//! kernel hook --Record--> capture --Chunk/Gap/Bind--> flow --bytes--> protocol --Message/Anomaly--> exchange
//!    --Exchange--> classify --Labels--> callers --Resolved--> inventory --Endpoint--> detect --Finding--> export,
//!    store
//! ```
//!
//! Modules stand in the order of that picture. A stage uses the types of the stages before it and never of those
//! after it; `cargo xtask layers` checks the `use` lines. `telemetry` and `config` are leaves that every stage may
//! use, as is `kubernetes`, which uses these two; `pipeline` joins the stages for one thread, `app` wires threads and channels.

pub mod callers;
pub mod capture;
pub mod classify;
pub mod detect;
pub mod exchange;
pub mod export;
pub mod flow;
pub mod incident;
pub mod inventory;
pub mod protocol;
pub mod store;

pub mod pipeline;

pub mod app;
pub mod cli;

pub mod config;
pub mod kubernetes;
pub mod telemetry;
