//! The agent on a bus that has no transactions: a step is one durable batch of the local journal, then its inputs are
//! acknowledged, then what it decided is published under ids that stay the same (S5.4; architecture.md, "Commit on
//! RabbitMQ (and the embedded bus)").

#[cfg(test)]
mod crash;
pub mod embedded;
mod worker;

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{Agent, AgentError, Place, Printer, Shared, host_now, pause::Pause};

use crate::{
    audit::Log,
    bus::{
        Outgoing, Record,
        layout::{Layout, Topics},
    },
    journal::local::{Durability, JournalError},
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

/// Longest wait for a message: how exactly command clocks run, and how soon a stop is seen.
const MAX_WAIT: Span = Span::millis(50);

/// Waits after the journal failed: they double up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Starts a worker on a thread of its own. A journal that fails later is opened again until it can be: nothing that it did
/// not keep was acknowledged. Failing edges are printed, if there is a `printer`.
///
/// # Errors
/// If the journal cannot be opened, or no thread can be made.
pub fn start<B: Bus + Send + 'static>(config: Config, bus: B, printer: Option<Printer>) -> Result<Agent, AgentError> {
    let shared = Arc::new(Shared::default());
    let partitions = config.layout.partitions;
    let worker = Worker::new(config.clone(), bus, shared.clone(), printer.clone(), host_now());
    let worker = worker.map_err(|(error, _)| AgentError::Setup(error.to_string()))?;
    let told = shared.clone();
    let work = Box::new(move || work(&config, worker, &told, printer.as_ref()));
    Agent::spawn(shared, partitions, vec![work])
}

fn work<B: Bus>(
    config: &Config,
    mut worker: Worker<B>,
    shared: &Arc<Shared>,
    printer: Option<&Printer>,
) -> Result<(), AgentError> {
    loop {
        let error = match turns(&mut worker, shared) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let Some(again) = open_again(config, worker.into_bus(), shared, printer, error) else { return Ok(()) };
        worker = again;
    }
}

/// Turns until the agent is told to stop, and commits what there is then.
fn turns<B: Bus>(worker: &mut Worker<B>, shared: &Shared) -> Result<(), JournalError> {
    while !shared.is_stopping() {
        let now = host_now();
        let due = worker.next_due(now).map_or(MAX_WAIT, |due| due.since(now).min(MAX_WAIT));
        // At least a millisecond: what is due may wait for an end that is not known yet.
        let wait = Duration::from_millis(due.0.max(1));
        worker.turn(now, wait)?;
    }
    worker.settle_up(host_now())
}

/// Opens the journal again after it failed; `None`: the agent was told to stop before it could be.
fn open_again<B: Bus>(
    config: &Config,
    mut bus: B,
    shared: &Arc<Shared>,
    printer: Option<&Printer>,
    mut error: JournalError,
) -> Option<Worker<B>> {
    let mut pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
    let place = Place::new(shared.clone(), 0);
    place.set_ready(false);
    while !shared.is_stopping() {
        tracing::error!(%error, "a step is not committed and will be made again");
        shared.metrics.commits.add("failed");
        place.set_waiting(&error.to_string());
        pause.rest(&place);
        bus.forget();
        match Worker::new(config.clone(), bus, shared.clone(), printer.cloned(), host_now()) {
            Ok(worker) => return Some(worker),
            Err((why, given_back)) => (error, bus) = (why, given_back),
        }
    }
    None
}
