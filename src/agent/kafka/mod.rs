//! The agent on Kafka: a worker that reads, lets its shards decide, and commits inputs, state and outputs in one
//! transaction (architecture.md, "Commit on Kafka").

mod carrier;
mod commit;
mod course;
mod desk;
mod hanging;
mod opening;
mod reading;
mod tail;
mod takeover;
mod worker;

use std::sync::Arc;

use super::{Agent, AgentError, Post, Shared, Work, edges, keys::Keys};
use crate::{
    audit::Log,
    bus::{
        kafka::{connection::Connection, topics::TopicError},
        layout::Topics,
    },
    model::Span,
    policy::Policy,
    trust::Trust,
    wire::WireLimits,
};
use course::{Course, look_out};
use worker::Worker;

/// Everything that an agent on Kafka needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to connect.
    pub connection: Connection,
    /// Threads that work on this instance's partitions, at least one.
    pub workers: usize,
    /// What topics are called.
    pub topics: Topics,
    /// What chains are decided by.
    pub policy: Policy,
    /// What is accepted from the bus.
    pub limits: WireLimits,
    /// Whose word is believed, and what the agent signs with (S8.1).
    pub trust: Arc<Trust>,
    /// A new group begins at the beginning of its topics, not at their end (S5.14).
    pub from_beginning: bool,
    /// Time between two looks at which topics there are.
    pub look_every: Span,
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

/// Looks at the topics, makes those of its own that are missing, says what it is about to do, and starts the workers. While
/// the brokers do not answer they are asked again. Failing edges are printed as they are committed, if `print` says so.
/// `None`: the agent was told to stop before it could start.
///
/// # Errors
/// If the configuration does not fit the cluster.
pub fn start(mut config: Config, shared: Arc<Shared>, print: bool) -> Result<Option<Agent>, AgentError> {
    let Some(opening) = opening::open(&config, &Post::new(shared.clone(), 0))? else { return Ok(None) };
    // No command goes to what the agent reads and writes (S5.15), which only now is known in full.
    config.policy.catalogue.own = config.topics.own(&opening.layout);
    config.policy.catalogue.inputs = Topics::inputs(&opening.layout);
    let course = Arc::new(Course::new(opening.layout.clone()));
    look_out(&config, &opening, course.clone(), shared.clone()).map_err(AgentError::Thread)?;
    let policy = config.policy.clone();
    tail::start(config.connection.clone(), &config.topics, policy, shared.clone()).map_err(AgentError::Thread)?;
    let edges = if print { Some(edges::printer(shared.metrics.clone()).map_err(AgentError::Thread)?) } else { None };
    let partitions = opening.layout.partitions;
    let keys = Arc::new(Keys::default());
    let works = (0..config.workers).map(|worker| {
        let (config, opening, course) = (config.clone(), opening.clone(), course.clone());
        let (post, keys, edges) = (Post::new(shared.clone(), worker), keys.clone(), edges.clone());
        Box::new(move || Worker::build(config, opening, course, post, keys, edges).and_then(Worker::run)) as Work
    });
    Agent::spawn(shared.clone(), partitions, works.collect()).map(Some)
}
