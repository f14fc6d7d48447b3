//! What the resources stand on: what is known of the agent, and the way for requests to its engines.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use crate::{
    agent::{Desk, Shared},
    audit::Log,
    wire::WireLimits,
};

/// Listeners to events at once. Each takes a connection and a place in memory.
pub(super) const MAX_LISTENERS: usize = 32;

/// What handlers share.
#[derive(Clone)]
pub struct Api {
    /// What is known of the agent.
    pub shared: Arc<Shared>,
    /// Where requests are handed in; `None`: here nobody can act.
    pub desk: Option<Arc<dyn Desk>>,
    /// Where it is kept who asked for what (S7.1).
    pub audit: Arc<Log>,
    /// What is accepted.
    pub limits: Arc<WireLimits>,
    /// Changes when the agent ends: listeners end with it.
    pub ends: watch::Receiver<()>,
    pub(super) listeners: Arc<Semaphore>,
}

impl Api {
    /// An API over an agent, which ends when the sender of `ends` is dropped.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        desk: Option<Arc<dyn Desk>>,
        audit: Arc<Log>,
        limits: WireLimits,
        ends: watch::Receiver<()>,
    ) -> Self {
        let listeners = Arc::new(Semaphore::new(MAX_LISTENERS));
        Self { shared, desk, audit, limits: Arc::new(limits), ends, listeners }
    }
}
