//! What the resources stand on: what is known of the agent, and the way for requests to its engines.

use std::sync::{Arc, OnceLock};

use tokio::sync::{Semaphore, watch};

use super::problem::Problem;
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
    /// Where requests are handed in; empty until the agent has found its bus.
    pub desk: Arc<OnceLock<Arc<dyn Desk>>>,
    /// Where it is kept who asked for what (S7.1).
    pub audit: Arc<Log>,
    /// What is accepted.
    pub limits: Arc<WireLimits>,
    /// Changes when the agent ends: listeners end with it.
    pub ends: watch::Receiver<()>,
    pub(super) listeners: Arc<Semaphore>,
}

impl Api {
    /// The way for requests to the agent's engines.
    pub(super) fn desk(&self) -> Result<Arc<dyn Desk>, Problem> {
        let waiting = "the agent has not found its bus yet, so it takes no requests";
        self.desk.get().cloned().ok_or_else(|| Problem::unavailable(waiting, "/readyz says what it waits for"))
    }

    /// An API over an agent, which ends when the sender of `ends` is dropped.
    #[must_use]
    pub fn new(
        shared: Arc<Shared>,
        desk: Arc<OnceLock<Arc<dyn Desk>>>,
        audit: Arc<Log>,
        limits: WireLimits,
        ends: watch::Receiver<()>,
    ) -> Self {
        let listeners = Arc::new(Semaphore::new(MAX_LISTENERS));
        Self { shared, desk, audit, limits: Arc::new(limits), ends, listeners }
    }
}
