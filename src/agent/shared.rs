//! What is known of a running agent outside of its workers, and each worker's place in that.

use std::{
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::{host_now, live::Live, news::Newsroom};
use crate::{
    model::{ChainView, HostTime, Span},
    telemetry::metrics::Metrics,
};

/// A worker that has not turned for this long is stuck. Above the longest thing that it waits for by itself: a commit
/// through a broker's restart.
const STUCK: Span = Span::secs(90);

/// What is known of a running agent outside of its workers.
#[derive(Debug)]
pub struct Shared {
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// Committed views of the chains that matter.
    pub live: Live,
    /// What is heard of changes in chains' lives.
    pub news: Newsroom,
    stop: AtomicBool,
    /// What should be read and is not, each in a sentence.
    unread: Mutex<Vec<String>>,
    workers: Box<[Status]>,
}

/// What is known of one worker.
#[derive(Debug, Default)]
struct Status {
    ready: AtomicBool,
    /// The bus does not answer its questions.
    silent: AtomicBool,
    waiting: Mutex<String>,
    beat: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Shared {
    /// Of an agent with so many workers, none of which is ready.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            metrics: Arc::default(),
            live: Live::default(),
            news: Newsroom::default(),
            stop: AtomicBool::new(false),
            unread: Mutex::default(),
            workers: (0..workers.max(1)).map(|_| Status::default()).collect(),
        }
    }

    /// Asks the workers to commit what they have and end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether they were asked to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Whether every worker has its partitions and their state, and the bus answers it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let is_ready = |worker: &Status| worker.ready.load(Ordering::Acquire) && !worker.silent.load(Ordering::Acquire);
        self.workers.iter().all(is_ready) && !self.is_stopping()
    }

    /// Whether every worker that has begun turns. Before, whoever opens the way for all turns in the first one's place.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let now = host_now();
        let beat = |worker: &Status| i64::try_from(worker.beat.load(Ordering::Acquire)).unwrap_or(0);
        let mut begun = self.workers.iter().map(beat).filter(|beat| *beat > 0).peekable();
        begun.peek().is_some() && begun.all(|beat| now.since(HostTime(beat)) < STUCK)
    }

    /// Whether input pauses since the memory is full (S2.10). Results and operations are read on.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.metrics.is_full()
    }

    /// What should be read and is not, each in a sentence.
    #[must_use]
    pub fn unread(&self) -> Vec<String> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells what should be read and is not.
    #[cfg(any(feature = "kafka", feature = "rabbitmq"))]
    pub(super) fn set_unread(&self, unread: Vec<String>) {
        self.metrics.unread.store(unread.len() as u64, Ordering::Relaxed);
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = unread;
    }

    /// What keeps the agent from being ready, as far as it knows; empty: nothing but its start.
    #[must_use]
    pub fn waiting(&self) -> String {
        let waiting = |worker: &Status| match worker.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            why if why.is_empty() && worker.silent.load(Ordering::Acquire) => "the bus does not answer".to_owned(),
            why => why,
        };
        let of_workers = self.workers.iter().map(waiting).find(|why| !why.is_empty());
        of_workers.unwrap_or_else(|| self.unread().join("; "))
    }
}

/// A worker's place in what is known of its agent: of itself it tells here, and nobody else does.
#[derive(Debug, Clone)]
pub(super) struct Post {
    shared: Arc<Shared>,
    worker: usize,
}

impl Post {
    /// The place of the worker of this number, from zero.
    pub fn new(shared: Arc<Shared>, worker: usize) -> Self {
        Self { shared, worker }
    }

    /// The worker's number.
    pub fn worker(&self) -> usize {
        self.worker
    }

    fn status(&self) -> &Status {
        &self.shared.workers[self.worker]
    }

    /// The worker has its partitions and their state, or has not.
    pub fn set_ready(&self, ready: bool) {
        if ready {
            self.set_waiting("");
        }
        self.status().ready.store(ready, Ordering::Release);
    }

    /// The bus does not answer the worker any more, or does again. It may have nothing to do, and still nobody hears it.
    #[cfg(feature = "kafka")]
    pub fn set_silent(&self, silent: bool) {
        self.status().silent.store(silent, Ordering::Release);
    }

    /// What keeps it from being ready.
    pub fn set_waiting(&self, why: &str) {
        let mut waiting = self.status().waiting.lock().unwrap_or_else(PoisonError::into_inner);
        why.clone_into(&mut waiting);
    }

    /// The worker turns.
    pub fn beat(&self) {
        self.status().beat.store(u64::try_from(host_now().0).unwrap_or(0), Ordering::Release);
    }

    /// Shows a chain as it was committed, and says which revision of its verdict was shown before; zero for none.
    pub fn show(&self, view: ChainView) -> u32 {
        self.live.put(view, self.worker)
    }

    /// Chains of which views are about to be committed.
    #[cfg(feature = "kafka")]
    pub fn claim<'a>(&self, chain_ids: impl Iterator<Item = &'a String>) {
        chain_ids.for_each(|id| self.live.claim(id, self.worker));
    }

    /// The worker has none of its partitions any more: the bus tells of their chains.
    #[cfg(feature = "kafka")]
    pub fn disown(&self) {
        self.live.disown(self.worker);
    }
}

impl Deref for Post {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}
