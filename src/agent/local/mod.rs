//! The agent on a bus that has no transactions: a step is one durable batch of the local journal, then its inputs are
//! acknowledged, then what it decided is published under ids that stay the same (S5.4; architecture.md, "Commit on
//! RabbitMQ (and the embedded bus)").

#[cfg(test)]
mod crash;
pub mod embedded;
mod worker;

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Agent, AgentError, Post, Printer, Shared, desk::Share, host_now, pause::Pause};

use crate::{
    audit::Log,
    bus::{
        Outgoing, Record, TopicPartition,
        layout::{Layout, Topics},
    },
    journal::local::{Durability, JournalError},
    model::{HostTime, Span},
    policy::Policy,
    trust::Trust,
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
    /// Where its input is read on after it, if the bus does not know by itself.
    pub place: Option<u64>,
}

/// Where an input is read on, of a bus that does not know by itself.
pub type Place = (TopicPartition, u64);

/// What a worker needs of its bus. It answers for connections, and for publishing again what was not confirmed.
pub trait Bus {
    /// The journal is open, perhaps again: from now on there may be something to receive, from these places of inputs that
    /// have one. What was received before and not acknowledged comes again, and of what was to be published nothing is
    /// confirmed any more: it is published anew.
    ///
    /// # Errors
    /// Why that cannot be.
    fn begin(&mut self, places: &[Place]) -> io::Result<()>;

    /// Takes what came, at most some thousands; waits for the first, but not longer than `wait`.
    fn receive(&mut self, wait: Duration) -> Vec<Arrival>;

    /// All that was received so far is durable.
    fn acknowledge(&mut self);

    /// Publishes a record, now or as soon as it can. `number` names it in [`Bus::confirmed`].
    fn publish(&mut self, number: u64, record: &Outgoing, now: HostTime);

    /// The numbers of what the bus has taken since the last call.
    fn confirmed(&mut self) -> Vec<u64>;

    /// Whether nothing that the bus has of an input waits there or on its way (S0).
    fn is_at_end(&self, topic: &str, partition: i32) -> bool;

    /// As of when [`Bus::is_at_end`] speaks, at `now`: time goes no further than that (S2.5).
    fn as_of(&self, now: HostTime) -> HostTime {
        now
    }

    /// Takes nothing of an input until it is let go again (S2.10).
    fn hold(&mut self, topic: &str, partition: i32, held: bool);

    /// Whether commands can be published to `topic` (S5.15), as was known a moment ago or as it is found `anew`.
    fn leads(&mut self, topic: &str, anew: bool) -> bool;

    /// Whether a way that was said to lead somewhere turned out to lead nowhere, since this was last asked.
    fn has_lost_routes(&mut self) -> bool {
        false
    }

    /// Whether somebody hears on the bus what is published, and tells the newsroom of it.
    fn is_heard(&self) -> bool {
        false
    }

    /// What keeps the bus from being read and written, in words; `None`: nothing does.
    fn trouble(&self) -> Option<String> {
        None
    }
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
    /// Whose word is believed, and what the agent signs with (S8.1).
    pub trust: Arc<Trust>,
    /// The journal's folder.
    pub journal: PathBuf,
    /// How safe a commit is.
    pub durability: Durability,
    /// Largest record that is written, in bytes; of what is larger parts are left out and named (S5.15).
    pub largest: usize,
    /// Age from which an open chain is saved.
    pub snapshot_after: Span,
    /// How long merging waits for an input that lags (S2.6).
    pub align_wait: Span,
    /// How long outputs and inputs are gathered before they are committed together.
    pub commit_within: Span,
    /// Where operators' actions are kept (S7.1).
    pub audit: Arc<Log>,
    /// Other agents have other chains of this bus: what is for a chain that is not here is theirs.
    pub share: Option<Share>,
}

/// Longest wait for a message: how exactly command clocks run, and how soon a stop is seen.
const MAX_WAIT: Span = Span::millis(50);

/// Waits after the journal failed: they double up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Longest wait at the end for the bus to take what was decided. What it has not taken then is published by the next agent
/// on this journal.
const FAREWELL: Duration = Duration::from_secs(5);

/// Starts a worker on a thread of its own. One whose journal another process has stands by until that process is gone. A
/// journal that fails later is opened again until it can be: nothing that it did not keep was acknowledged. Failing edges
/// are printed, if there is a `printer`.
///
/// # Errors
/// If the journal cannot be opened for another reason, or no thread can be made.
pub fn start<B: Bus + Send + 'static>(
    config: Config,
    bus: B,
    shared: Arc<Shared>,
    printer: Option<Printer>,
) -> Result<Agent, AgentError> {
    let partitions = config.layout.partitions;
    let begun = match Worker::new(config.clone(), bus, shared.clone(), printer.clone(), host_now()) {
        Ok(worker) => Ok(worker),
        Err((error @ JournalError::Locked(_), bus)) => Err((error, bus)),
        Err((error, _)) => return Err(AgentError::Setup(error.to_string())),
    };
    let told = shared.clone();
    Post::new(shared.clone(), 0).beat();
    let work = Box::new(move || work(&config, begun, &told, printer.as_ref()));
    Agent::spawn(shared, partitions, vec![work])
}

fn work<B: Bus>(
    config: &Config,
    mut begun: Result<Worker<B>, (JournalError, B)>,
    shared: &Arc<Shared>,
    printer: Option<&Printer>,
) -> Result<(), AgentError> {
    loop {
        begun = match begun {
            Ok(mut worker) => match turns(&mut worker, shared) {
                Ok(()) => return Ok(()),
                Err(error) => Err((error, worker.into_bus())),
            },
            Err((error, bus)) => match open_again(config, bus, shared, printer, error) {
                Some(worker) => Ok(worker),
                None => return Ok(()),
            },
        };
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
    worker.settle_up(host_now())?;
    let until = Instant::now() + FAREWELL;
    while !worker.is_all_published()? && Instant::now() < until {
        thread::park_timeout(Duration::from_millis(5));
    }
    Ok(())
}

/// Opens the journal after it failed, or once another process lets go of it; `None`: the agent was told to stop before it
/// could be.
fn open_again<B: Bus>(
    config: &Config,
    mut bus: B,
    shared: &Arc<Shared>,
    printer: Option<&Printer>,
    mut error: JournalError,
) -> Option<Worker<B>> {
    let mut pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
    let post = Post::new(shared.clone(), 0);
    post.set_ready(false);
    let mut said = String::new();
    while !shared.is_stopping() {
        let is_standby = matches!(error, JournalError::Locked(_));
        let why = if is_standby { format!("standing by: {error}") } else { error.to_string() };
        match is_standby {
            true if said != why => tracing::info!("{why}"),
            true => {}
            false => {
                tracing::error!(%error, "a step is not committed and will be made again");
                shared.metrics.commits.add("failed");
            }
        }
        post.set_waiting(&why);
        said = why;
        if is_standby {
            // Not ever longer: whoever stands by is needed at once.
            pause = Pause::new(FIRST_PAUSE, FIRST_PAUSE);
        }
        pause.rest(&post);
        match Worker::new(config.clone(), bus, shared.clone(), printer.cloned(), host_now()) {
            Ok(worker) => return Some(worker),
            Err((why, given_back)) => (error, bus) = (why, given_back),
        }
    }
    None
}
