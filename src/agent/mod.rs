//! The agent, whatever bus it is on: shards (one engine for each partition number), the step that ends in a commit, and
//! what others may know of it.
//!
//! A worker has a thread of its own, since everything about a bus blocks. It reads, lets its shards decide, and commits
//! inputs, state and outputs in one step: on Kafka in one transaction (`kafka`). What others may know of it is in
//! [`Shared`], and only what is committed gets there.

#[cfg(test)]
mod crash;
pub mod dead_letters;
mod desk;
mod edges;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod live;
pub mod local;
pub mod news;
mod outgoing;
mod pause;
#[cfg(feature = "rabbitmq")]
pub mod rabbit;
mod seal;
mod shard;
mod step;
mod tell;

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    model::{HostTime, Span},
    telemetry::metrics::Metrics,
};
pub use desk::{Desk, Sent};
pub use edges::{Printer, describe, printer};
use live::Live;
use news::Newsroom;

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
    /// The bus is not set up as it must be: what is wrong, and what to do.
    Setup(String),
    /// The bus cannot be used.
    Bus(String),
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
            Self::Setup(why) => f.write_str(why),
            Self::Bus(why) => write!(f, "the bus cannot be used: {why}"),
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
    /// Runs a worker on a thread of its own.
    fn spawn(
        shared: Arc<Shared>,
        partitions: i32,
        work: impl FnOnce() -> Result<(), AgentError> + Send + 'static,
    ) -> Result<Self, AgentError> {
        let (tell, ended) = mpsc::channel();
        thread::Builder::new()
            .name("worker-0".into())
            .spawn(move || {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                // Nobody listens any more if the process is ending anyway.
                let _ = tell.send(result.unwrap_or(Err(AgentError::Panic)));
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

/// The host clock: the one place that reads it for the engines.
pub(crate) fn host_now() -> HostTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    HostTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
