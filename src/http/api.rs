//! What the resources stand on: what is known of the agent, and the way for requests to its engines.

use std::{future::Future, pin::Pin, sync::Arc};

use tokio::sync::{Semaphore, watch};

use crate::{agent::Shared, audit::Log, wire::WireLimits, wire::proto::Operation};

/// Listeners to events at once. Each takes a connection and a place in memory.
const MAX_LISTENERS: usize = 32;

/// An answer that is waited for.
type Sent<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Where operators' requests are handed in. They reach their engine as inputs on the bus, since it may be another
/// instance's.
pub trait Desk: Send + Sync {
    /// Engines that a request to all is for.
    fn engines(&self) -> i32;

    /// Sends a request to the engine of its chain, or to that of a number. An error: whether it arrived is not known.
    fn send<'a>(&'a self, operation: &'a Operation, engine: Option<i32>) -> Sent<'a>;
}

impl Desk for crate::bus::kafka::requests::Requests {
    fn engines(&self) -> i32 {
        Self::engines(self)
    }

    fn send<'a>(&'a self, operation: &'a Operation, engine: Option<i32>) -> Sent<'a> {
        Box::pin(Self::send(self, operation, engine))
    }
}

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
