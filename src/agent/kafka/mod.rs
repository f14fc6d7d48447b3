//! The agent on Kafka: a worker that reads, lets its shards decide, and commits inputs, state and outputs in one
//! transaction (architecture.md, "Commit on Kafka").

mod commit;
mod desk;
mod hanging;
mod reading;
mod tail;
mod takeover;
mod worker;

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Agent, AgentError, Shared, edges};
use crate::{
    audit::Log,
    bus::{
        TopicPartition,
        kafka::{
            connection::Connection,
            ends,
            topics::{self, Maker, TopicError},
        },
        layout::{Layout, Role, Topics},
    },
    model::Span,
    policy::Policy,
    wire::WireLimits,
};
use worker::Worker;

/// Everything that an agent on Kafka needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to connect.
    pub connection: Connection,
    /// What topics are called.
    pub topics: Topics,
    /// What chains are decided by.
    pub policy: Policy,
    /// What is accepted from the bus.
    pub limits: WireLimits,
    /// A new group begins at the beginning of its topics, not at their end (S5.14).
    pub from_beginning: bool,
    /// Age from which an open chain is saved.
    pub snapshot_after: Span,
    /// How long merging waits for a partition that lags (S2.6).
    pub align_wait: Span,
    /// How long outputs are gathered before they are committed together.
    pub commit_within: Span,
    /// How long a step without outputs may last before its progress is committed.
    pub commit_quiet: Span,
    /// Where operators' actions are kept (S7.1).
    pub audit: Arc<Log>,
}

impl From<TopicError> for AgentError {
    fn from(error: TopicError) -> Self {
        Self::Setup(error.to_string())
    }
}

/// Looks at the topics, makes those of its own that are missing, and starts the worker. Failing edges are printed as
/// they are committed, if `print` says so.
///
/// # Errors
/// If the configuration does not fit the cluster.
pub fn start(mut config: Config, print: bool) -> Result<Agent, AgentError> {
    let (there, layout) = look(&config)?;
    // No command goes to what the agent reads and writes (S5.15), which only now is known in full.
    config.policy.catalogue.own = config.topics.own(&layout);
    if !there.iter().any(|(name, _)| *name == config.topics.state) && has_worked_before(&config, &layout)? {
        return Err(AgentError::from(TopicError::StateGone(config.topics.state)));
    }
    let mut maker = Maker::new(&config.connection, layout.partitions, &there)?;
    maker.make_own(&config.topics)?;
    await_topics(&config, &layout)?;
    let shared = Arc::new(Shared::default());
    shared.beat();
    tail::start(config.connection.clone(), &config.topics, shared.clone()).map_err(AgentError::Thread)?;
    let edges = if print { Some(edges::printer(shared.metrics.clone()).map_err(AgentError::Thread)?) } else { None };
    let partitions = layout.partitions;
    let told = shared.clone();
    Agent::spawn(shared, partitions, move || Worker::build(config, layout, maker, told, edges).and_then(Worker::run))
}

/// How long a missing input is looked for again: a topic that was just made is not known to every broker at once.
const TOPIC_PATIENCE: Duration = Duration::from_secs(3);

/// The topics there are, and what is read of them.
fn look(config: &Config) -> Result<(Vec<(String, i32)>, Layout), AgentError> {
    let begun = Instant::now();
    loop {
        let there = topics::list(&config.connection)?;
        match topics::resolve(&config.topics, &there) {
            Ok(layout) => return Ok((there, layout)),
            Err(TopicError::NoInput(_)) if begun.elapsed() < TOPIC_PATIENCE => {
                thread::park_timeout(Duration::from_millis(100));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the group has committed anything: then there was a state, too.
fn has_worked_before(config: &Config, layout: &Layout) -> Result<bool, AgentError> {
    let inputs = layout.lanes.iter().filter(|lane| lane.role == Role::Envelopes);
    let partitions = inputs.flat_map(|lane| {
        (0..layout.partitions).map(|partition| TopicPartition { topic: lane.topic.clone(), partition })
    });
    let committed = ends::has_committed(&config.connection, &partitions.collect::<Vec<_>>());
    committed.map_err(|error| TopicError::Unreachable(error.to_string()).into())
}

/// Waits until every topic that is read shows: a group that is joined before is given part of them only.
fn await_topics(config: &Config, layout: &Layout) -> Result<(), AgentError> {
    let begun = Instant::now();
    loop {
        let there = topics::list(&config.connection)?;
        let shows = |topic: &str| there.iter().any(|(name, partitions)| name == topic && *partitions > 0);
        match layout.lanes.iter().find(|lane| !shows(&lane.topic)) {
            None => return Ok(()),
            Some(_) if begun.elapsed() < TOPIC_PATIENCE => thread::park_timeout(Duration::from_millis(50)),
            Some(lane) => return Err(TopicError::NotMade(format!("{} does not show", lane.topic)).into()),
        }
    }
}
