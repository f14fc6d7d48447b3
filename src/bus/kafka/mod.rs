//! Kafka: how the agent connects ([`connection`]), what its topics are called and how they must look ([`topics`]),
//! reading ([`consumer`], [`ends`]), who reads what ([`assignment`]) and the one transaction that a step ends in
//! ([`producer`]); and reading beside all that ([`tap`]).
//!
//! Everything here blocks and belongs on a thread of its own, never on an async one.

pub mod assignment;
mod callbacks;
pub mod connection;
pub mod consumer;
pub mod ends;
pub mod listener;
pub mod partitioner;
pub mod producer;
pub mod requests;
pub mod state_reader;
pub mod tap;
pub mod topics;

use std::sync::Arc;

/// A topic and one of its partitions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}
