//! The agent, whatever bus it is on: shards (one engine for each partition number), the step that ends in a commit, and
//! what others may know of it.
//!
//! Each worker has a thread of its own, since everything about a bus blocks. It reads, lets its shards decide, and commits
//! inputs, state and outputs in one step: on Kafka in one transaction (`kafka`). What others may know of it is in
//! [`Shared`], and only what is committed gets there.

mod change;
#[cfg(test)]
mod crash;
pub mod dead_letters;
pub mod desk;
mod edges;
mod feed;
#[cfg(any(feature = "kafka", feature = "rabbitmq"))]
mod hearing;
#[cfg(feature = "kafka")]
pub mod kafka;
mod keys;
pub mod live;
pub mod local;
pub mod news;
mod outgoing;
mod pause;
#[cfg(feature = "rabbitmq")]
pub mod rabbit;
mod reply;
mod seal;
mod shard;
mod shared;
mod step;
mod tell;
mod vouch;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::model::HostTime;
pub use desk::{Desk, Sent};
pub use edges::{Printer, describe, printer};
use shared::Post;
pub use shared::Shared;

/// What is said while input pauses since the memory is full (S2.10).
pub const MEMORY_FULL: &str = "input is paused: the memory limit is reached by chains that are never given up (a command \
    out, or waiting for an operator); decide those that wait, resume the agent if it is paused, or raise \
    engine.limits.memory";

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
    ended: Mutex<Endings>,
}

/// How the workers end.
struct Endings {
    /// Each worker tells once.
    told: mpsc::Receiver<Result<(), AgentError>>,
    /// Workers that go on.
    left: usize,
    /// Why the first of them ended that should not have.
    error: Option<AgentError>,
}

/// What a worker does with its life.
type Work = Box<dyn FnOnce() -> Result<(), AgentError> + Send>;

impl Agent {
    /// Runs each worker on a thread of its own. Where one fails the others end, too: a supervisor starts all again.
    fn spawn(shared: Arc<Shared>, partitions: i32, works: Vec<Work>) -> Result<Self, AgentError> {
        let (tell, told) = mpsc::channel();
        let left = works.len();
        for (n, work) in works.into_iter().enumerate() {
            let tell = tell.clone();
            let spawned = thread::Builder::new().name(format!("worker-{n}")).spawn(move || {
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                // Nobody listens any more if the process is ending anyway.
                let _ = tell.send(result.unwrap_or(Err(AgentError::Panic)));
            });
            if let Err(error) = spawned {
                shared.stop();
                return Err(AgentError::Thread(error));
            }
        }
        Ok(Self { shared, partitions, ended: Mutex::new(Endings { told, left, error: None }) })
    }

    /// Waits for the end of all workers, for at most `wait`; `None`: some go on.
    ///
    /// # Errors
    /// Why the first of them ended although nobody asked it to.
    #[must_use]
    pub fn ended(&self, wait: Duration) -> Option<Result<(), AgentError>> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        while ended.left > 0 {
            let result = match ended.told.recv_timeout(wait) {
                Err(mpsc::RecvTimeoutError::Timeout) => return None,
                Err(mpsc::RecvTimeoutError::Disconnected) => Err(AgentError::Panic),
                Ok(result) => result,
            };
            ended.left -= 1;
            if let Err(error) = result {
                self.shared.stop();
                ended.error.get_or_insert(error);
            }
        }
        Some(ended.error.take().map_or(Ok(()), Err))
    }
}

/// The host clock: the one place that reads it for the engines.
pub(crate) fn host_now() -> HostTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    HostTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
