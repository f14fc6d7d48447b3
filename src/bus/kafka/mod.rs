//! Kafka: how the agent connects ([`connection`]), which topics there are and which of them are read ([`topics`], [`inputs`]),
//! reading ([`consumer`], [`ends`]), who reads what ([`assignment`]) and the one transaction that a step ends in
//! ([`producer`]); and reading beside all that ([`tap`]).
//!
//! Everything here blocks and belongs on a thread of its own, never on an async one.

pub mod assignment;
mod callbacks;
pub mod connection;
pub mod consumer;
pub mod ends;
pub mod inputs;
pub mod listener;
pub mod producer;
pub mod requests;
pub mod send;
pub mod state_reader;
pub mod tap;
pub mod topics;
