//! The agent on a bus that has no transactions: a step is one durable batch of the local journal, then its inputs are
//! acknowledged, then what it decided is published under ids that stay the same (S5.4; architecture.md, "Commit on
//! RabbitMQ (and the embedded bus)").

#[cfg(test)]
mod crash;
pub mod embedded;
mod worker;

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    audit::Log,
    bus::{
        Outgoing, Record,
        layout::{Layout, Topics},
    },
    journal::local::Durability,
    model::{HostTime, Span},
    policy::Policy,
    wire::WireLimits,
};
pub use worker::Worker;

/// A message that came.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The message. Its offset means nothing: the journal numbers it.
    pub record: Record,
    /// What tells it from every other message of its bus, as far as the bus can say.
    pub identity: u128,
    /// It may have come before.
    pub again: bool,
}

/// What a worker needs of its bus. It answers for connections, and for publishing again what was not confirmed.
pub trait Bus {
    /// Takes what came, at most some thousands; waits for the first, but not longer than `wait`.
    fn receive(&mut self, wait: Duration) -> Vec<Arrival>;

    /// All that was received so far is durable.
    fn acknowledge(&mut self);

    /// What was received and not acknowledged is to come again: it was lost before it was durable.
    fn forget(&mut self);

    /// Publishes a record, now or as soon as it can. `number` names it in [`Bus::confirmed`].
    fn publish(&mut self, number: u64, record: &Outgoing, now: HostTime);

    /// The numbers of what the bus has taken since the last call.
    fn confirmed(&mut self) -> Vec<u64>;

    /// Whether nothing that the bus has of an input waits there or on its way (S0).
    fn is_at_end(&self, topic: &str, partition: i32) -> bool;

    /// Takes nothing of an input until it is let go again (S2.10).
    fn hold(&mut self, topic: &str, partition: i32, held: bool);

    /// Whether commands can be published to `topic` (S5.15), as was known a moment ago or as it is found `anew`.
    fn leads(&mut self, topic: &str, anew: bool) -> bool;
}

/// What a worker on a local journal needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// What topics are called.
    pub topics: Topics,
    /// What is read.
    pub layout: Layout,
    /// What chains are decided by.
    pub policy: Policy,
    /// What is accepted from the bus.
    pub limits: WireLimits,
    /// The journal's folder.
    pub journal: PathBuf,
    /// How safe a commit is.
    pub durability: Durability,
    /// Age from which an open chain is saved.
    pub snapshot_after: Span,
    /// How long merging waits for an input that lags (S2.6).
    pub align_wait: Span,
    /// How long outputs and inputs are gathered before they are committed together.
    pub commit_within: Span,
    /// Where operators' actions are kept (S7.1).
    pub audit: Arc<Log>,
}
