//! Countermand reads the envelopes that services exchange over a bus, correlates them into call chains, finds the
//! failing edge of each, and publishes the commands that undo what was half done.
//!
//! `ARCHITECTURE.md` says where what lives; the numbered rules (`S3.3`) are those of `docs/semantics.md`.

#[cfg(feature = "agent")]
pub mod agent;
pub mod audit;
pub mod bench;
pub mod bus;
pub mod cli;
#[cfg(feature = "agent")]
pub mod demo;
pub mod doctor;
pub mod engine;
#[cfg(feature = "agent")]
pub mod http;
pub mod journal;
pub mod model;
pub mod participant;
pub mod policy;
pub mod recording;
pub mod render;
pub mod replay;
pub mod scenario;
pub mod setup;
pub mod tap;
pub mod telemetry;
pub mod trust;
pub mod wire;
