//! The agent's life: configure, build, run the worker, drain.
//!
//! A worker has a thread of its own, since everything about Kafka blocks. It reads, lets its shards (one engine for each
//! partition number) decide, and commits inputs, state and outputs in one transaction. What others may know of it is in
//! [`Shared`], and only what is committed gets there.

mod commit;
#[cfg(test)]
mod crash;
pub mod dead_letters;
mod edges;
mod hanging;
pub mod live;
pub mod news;
mod outgoing;
mod reading;
mod seal;
mod shard;
mod step;
mod tail;
mod takeover;
mod worker;

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    audit::Log,
    bus::kafka::{
        TopicPartition,
        connection::Connection,
        ends,
        topics::{self, Layout, Maker, TopicError, Topics},
    },
    model::{HostTime, Span},
    policy::Policy,
    telemetry::metrics::Metrics,
    wire::WireLimits,
};
pub use edges::describe;
use live::Live;
use news::Newsroom;
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

/// What is known of a running agent outside of its worker.
#[derive(Debug, Default)]
pub struct Shared {
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Committed views of the chains that matter.
    pub live: Live,
    /// What is heard of changes in chains' lives.
    pub news: Newsroom,
    stop: AtomicBool,
    ready: AtomicBool,
    waiting: Mutex<String>,
    beat: AtomicU64,
}

/// What is said while input pauses since the memory is full (S2.10).
pub const MEMORY_FULL: &str = "input is paused: the memory limit is reached by chains that are never given up (a command \
    out, or waiting for an operator); decide those that wait, resume the agent if it is paused, or raise \
    engine.limits.memory";

/// A worker that has not turned for this long is stuck. Above the longest thing that it waits for by itself: a commit
/// through a broker's restart.
const STUCK: Span = Span::secs(90);

impl Shared {
    /// Asks the worker to commit what it has and end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether it was asked to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Whether the worker has its partitions and their state.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.is_stopping()
    }

    /// Whether the worker turns.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let beat = i64::try_from(self.beat.load(Ordering::Acquire)).unwrap_or(0);
        host_now().since(HostTime(beat)) < STUCK
    }

    /// Whether input pauses since the memory is full (S2.10). Results and operations are read on.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.metrics.memory_full.load(Ordering::Relaxed) > 0
    }

    /// What keeps the worker from being ready, as far as it knows; empty: nothing but its start.
    #[must_use]
    pub fn waiting(&self) -> String {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_ready(&self, ready: bool) {
        if ready {
            self.set_waiting("");
        }
        self.ready.store(ready, Ordering::Release);
    }

    fn set_waiting(&self, why: &str) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        why.clone_into(&mut waiting);
    }

    fn beat(&self) {
        self.beat.store(u64::try_from(host_now().0).unwrap_or(0), Ordering::Release);
    }
}

/// Why an agent ended although nobody asked it to.
#[derive(Debug)]
pub enum AgentError {
    /// Its topics are not as they must be.
    Topics(TopicError),
    /// Kafka cannot be used.
    Kafka(String),
    /// Another live instance bears the same name.
    SameName(String),
    /// No thread could be made.
    Thread(io::Error),
    /// The worker panicked.
    Panic,
}

impl std::fmt::Display for AgentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topics(error) => error.fmt(f),
            Self::Kafka(why) => write!(f, "Kafka cannot be used: {why}"),
            Self::SameName(name) => write!(
                f,
                "another live instance is called {name:?} and fences this one: give each instance of a group its own \
                 name with --instance or kafka.instance"
            ),
            Self::Thread(error) => write!(f, "no thread for the worker: {error}"),
            Self::Panic => f.write_str("the worker panicked; this is a bug"),
        }
    }
}

impl std::error::Error for AgentError {}

impl From<TopicError> for AgentError {
    fn from(error: TopicError) -> Self {
        Self::Topics(error)
    }
}

/// A running agent.
pub struct Agent {
    /// What is known of it.
    pub shared: Arc<Shared>,
    /// The number of partitions of its inputs: so many engines are there, here or elsewhere.
    pub partitions: i32,
    /// Tells once the worker has ended.
    ended: mpsc::Receiver<Result<(), AgentError>>,
}

impl Agent {
    /// Looks at the topics, makes those of its own that are missing, and starts the worker. Failing edges are printed as
    /// they are committed, if `print` says so.
    ///
    /// # Errors
    /// If the configuration does not fit the cluster.
    pub fn start(mut config: Config, print: bool) -> Result<Self, AgentError> {
        let (there, layout) = look(&config)?;
        // No command goes to what the agent reads and writes (S5.15), which only now is known in full.
        config.policy.catalogue.own = config.topics.own(&layout);
        if !there.iter().any(|(name, _)| *name == config.topics.state) && has_worked_before(&config, &layout)? {
            return Err(TopicError::StateGone(config.topics.state).into());
        }
        let mut maker = Maker::new(&config.connection, layout.partitions, &there)?;
        maker.make_own(&config.topics)?;
        await_topics(&config, &layout)?;
        let shared = Arc::new(Shared::default());
        shared.beat();
        tail::start(config.connection.clone(), &config.topics, shared.clone()).map_err(AgentError::Thread)?;
        let edges =
            if print { Some(edges::printer(shared.metrics.clone()).map_err(AgentError::Thread)?) } else { None };
        let (tell, ended) = mpsc::channel();
        let partitions = layout.partitions;
        let told = shared.clone();
        thread::Builder::new()
            .name("worker-0".into())
            .spawn(move || {
                let run = std::panic::AssertUnwindSafe(|| {
                    Worker::build(config, layout, maker, told, edges).and_then(Worker::run)
                });
                let result = std::panic::catch_unwind(run).unwrap_or(Err(AgentError::Panic));
                // Nobody listens any more if the process is ending anyway.
                let _ = tell.send(result);
            })
            .map_err(AgentError::Thread)?;
        Ok(Self { shared, partitions, ended })
    }

    /// Waits for the worker's end, for at most `wait`; `None`: it goes on.
    #[must_use]
    pub fn ended(&self, wait: Duration) -> Option<Result<(), AgentError>> {
        match self.ended.recv_timeout(wait) {
            Ok(result) => Some(result),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => Some(Err(AgentError::Panic)),
        }
    }
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
    let inputs = layout.lanes.iter().filter(|lane| lane.role == topics::Role::Envelopes);
    let partitions = inputs.flat_map(|lane| {
        (0..layout.partitions).map(|partition| TopicPartition { topic: lane.topic.clone(), partition })
    });
    let committed = ends::has_committed(&config.connection, &partitions.collect::<Vec<_>>());
    committed.map_err(|error| AgentError::Topics(TopicError::Unreachable(error.to_string())))
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

/// The host clock: the one place that reads it for the engines.
pub(crate) fn host_now() -> HostTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    HostTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
