//! RabbitMQ: queues and streams that are read, and what is published with confirms. Both go on by themselves over broken
//! connections and restarted brokers; whoever uses it sees messages come and letters confirmed, and that is all.
//!
//! Two connections, each with a supervisor on one thread: one reads and acknowledges, one publishes.

pub mod address;
mod inbox;
pub mod message;
mod outbox;
mod publisher;
mod reader;
pub mod source;
mod status;
pub mod tap;
mod topology;

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lapin::Connection;
use tokio::{
    runtime,
    sync::{oneshot, watch},
};

pub use address::Address;
pub use inbox::Came;
use inbox::Inbox;
use message::Letter;
use outbox::Outbox;
use source::Source;
use status::Link;
pub use status::Status;
use topology::Trouble;

use crate::model::HostTime;

/// Waits before a broken connection is made again; they double up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Wait before one who stands by looks again.
const STANDBY: Duration = Duration::from_secs(1);

/// A connection that served for so long was a good one: the waits begin anew.
const GOOD: Duration = Duration::from_secs(5);

/// Longest wait for a connection to be closed in peace.
const FAREWELL: Duration = Duration::from_secs(1);

/// What is read and written, and how.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The broker.
    pub address: Address,
    /// The exchange that everything of the contract goes through.
    pub exchange: String,
    /// The queue with what was refused.
    pub dead_letters: String,
    /// The stream with what all agents tell.
    pub told: String,
    /// What is read.
    pub sources: Vec<Source>,
    /// Messages of each queue that may be under way.
    pub prefetch: u16,
    /// It is only looked at: nothing is made there but what goes again by itself, and nothing published.
    pub only_looks: bool,
    /// The clock that arrivals are stamped by.
    pub now: fn() -> HostTime,
    /// Where it is said how it goes.
    pub status: Arc<Status>,
}

/// A RabbitMQ, read and written. Begins with [`Rabbit::begin`]; ends when it is dropped.
#[derive(Debug)]
pub struct Rabbit {
    setup: Setup,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    order: watch::Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// What the supervisor is told.
#[derive(Debug, Clone, Copy, Default)]
struct Order {
    /// Counts how often reading was to begin anew.
    turn: u64,
    /// It is over.
    stop: bool,
}

/// A way for single letters to the broker, from any thread.
#[derive(Debug, Clone)]
pub struct Mailbox(Arc<Outbox>);

impl Mailbox {
    /// Whether what is posted is on its way to the broker, or will be once that answers.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// Publishes one letter; the answer says whether the broker has it.
    #[must_use]
    pub fn post(&self, letter: Letter) -> oneshot::Receiver<Result<(), String>> {
        self.0.ask(letter)
    }
}

impl Rabbit {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let inbox = Arc::new(Inbox::new(&setup.sources, setup.prefetch));
        let (order, _) = watch::channel(Order::default());
        Self { setup, inbox, outbox: Arc::default(), order, thread: None }
    }

    /// Begins to read and publish, or begins anew: what was received and not acknowledged comes again, streams are read on
    /// from these places by number of their source, and what was to be published is forgotten.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn begin(&mut self, places: &[(usize, Option<u64>)]) -> io::Result<()> {
        self.outbox.clear();
        self.inbox.begin_at(places.iter().copied());
        if self.thread.is_some() {
            self.order.send_modify(|order| order.turn += 1);
            return Ok(());
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (inbox, outbox) = (self.inbox.clone(), self.outbox.clone());
        let supervisor = Supervisor { setup: self.setup.clone(), inbox, outbox, order: self.order.subscribe() };
        let live = move || runtime.block_on(supervisor.live());
        self.thread = Some(thread::Builder::new().name("rabbitmq".into()).spawn(live)?);
        Ok(())
    }

    /// What came, waiting for at most `wait`.
    pub fn take(&self, wait: Duration) -> Vec<Came> {
        self.inbox.take(wait)
    }

    /// All that was taken is safe.
    pub fn acknowledge(&self) {
        self.inbox.acknowledge();
    }

    /// The number of the source that is this partition of a topic.
    fn number(&self, topic: &str, partition: i32) -> Option<usize> {
        self.setup.sources.iter().position(|source| &*source.topic == topic && source.partition == partition)
    }

    /// Whether a source is read to its end (S0).
    #[must_use]
    pub fn is_at_end(&self, topic: &str, partition: i32) -> bool {
        self.number(topic, partition).is_some_and(|n| self.inbox.is_at_end(n))
    }

    /// How long ago it was that what is read to its end was so.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.inbox.age()
    }

    /// Takes nothing of a source until it is let go.
    pub fn hold(&self, topic: &str, partition: i32, held: bool) {
        if let Some(n) = self.number(topic, partition) {
            self.inbox.hold(n, held);
        }
    }

    /// The numbers of the sources among these, and their places.
    #[must_use]
    pub fn numbered(&self, places: &[(Arc<str>, i32, u64)]) -> Vec<(usize, Option<u64>)> {
        let found =
            places.iter().filter_map(|(topic, partition, next)| Some((self.number(topic, *partition)?, Some(*next))));
        found.collect()
    }

    /// A letter is to be published, under a number that [`Rabbit::confirmed`] tells.
    pub fn publish(&self, number: u64, letter: Letter) {
        self.outbox.put(number, letter);
    }

    /// What the broker has taken since this was last asked.
    #[must_use]
    pub fn confirmed(&self) -> Vec<u64> {
        self.outbox.confirmed()
    }

    /// Whether letters of a topic wait for a queue that takes them.
    #[must_use]
    pub fn is_unroutable(&self, topic: &str) -> bool {
        self.outbox.is_unroutable(topic)
    }

    /// Whether letters of another topic began to wait for such a queue since this was last asked.
    #[must_use]
    pub fn has_unroutable_news(&self) -> bool {
        self.outbox.has_news()
    }

    /// A way for single letters.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        Mailbox(self.outbox.clone())
    }

    /// How it goes.
    #[must_use]
    pub fn status(&self) -> &Arc<Status> {
        &self.setup.status
    }
}

impl Drop for Rabbit {
    fn drop(&mut self) {
        self.order.send_modify(|order| order.stop = true);
        if let Some(thread) = self.thread.take() {
            // It ends within some farewells; if it panicked, that was said.
            let _ = thread.join();
        }
    }
}

struct Supervisor {
    setup: Setup,
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    order: watch::Receiver<Order>,
}

impl Supervisor {
    async fn live(self) {
        if self.setup.only_looks {
            return self.reads().await;
        }
        tokio::join!(self.reads(), self.publishes());
    }

    /// Reads, and connects again, until it is over.
    async fn reads(&self) {
        let (status, mut order) = (&self.setup.status, self.order.clone());
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            if order.borrow_and_update().stop {
                return;
            }
            let changed = async { drop(order.changed().await) };
            let ended = reader::read(&self.setup, &self.inbox, || status.up(Link::Reads), changed).await;
            let Some(trouble) = ended else { continue };
            status.down(Link::Reads, trouble.text(), matches!(trouble, Trouble::Taken(_)));
            let wait = if matches!(trouble, Trouble::Taken(_)) { STANDBY } else { next(&mut pause, begun) };
            let _ = tokio::time::timeout(wait, order.changed()).await;
        }
    }

    /// Publishes, and connects again, until it is over.
    async fn publishes(&self) {
        let (status, mut order) = (&self.setup.status, self.order.clone());
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let over = async { drop(order.wait_for(|order| order.stop).await) };
            let ended = publisher::publish(&self.setup, &self.outbox, || status.up(Link::Publishes), over).await;
            let Some(trouble) = ended else { return };
            status.down(Link::Publishes, trouble.text(), false);
            let wait = next(&mut pause, begun);
            let _ = tokio::time::timeout(wait, order.wait_for(|order| order.stop)).await;
        }
    }
}

/// The next wait.
fn next(pause: &mut Duration, begun: Instant) -> Duration {
    if begun.elapsed() > GOOD {
        *pause = FIRST_PAUSE;
    }
    std::mem::replace(pause, (*pause * 2).min(LONGEST_PAUSE))
}

/// Closes a connection in peace, if that is possible.
async fn close(connection: &Connection) {
    // One that is broken is closed already.
    let _ = tokio::time::timeout(FAREWELL, connection.close(200, "bye".into())).await;
}
