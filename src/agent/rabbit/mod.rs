//! The agent on RabbitMQ: a worker on the local journal (architecture.md, "Commit on RabbitMQ"). Its failover needs the
//! journal's folder: an agent that takes over with another one knows nothing of the chains that are open.

mod desk;
mod tail;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Agent, AgentError, Desk, Shared, edges, host_now,
    local::{self, Arrival, Bus, Place},
};
use crate::{
    bus::{
        Outgoing, Stamp,
        layout::{Layout, Topics},
        rabbit::{
            Came, Rabbit, Setup,
            message::letter,
            source::{Kind, OPERATIONS, RESULTS, Source, topics},
        },
    },
    model::{Handled, HostTime, Span},
};
use desk::RabbitDesk;

/// Queues that an agent reads.
#[derive(Debug, Clone)]
pub struct Queues {
    /// With envelopes.
    pub inputs: Vec<String>,
    /// Streams with envelopes.
    pub streams: Vec<String>,
    /// With messages that died, which a consumer may have had: evidence (S1.9).
    pub dead: Vec<String>,
    /// With messages that no queue took, as an alternate exchange gathers them: nobody ever had them.
    pub unroutable: Vec<String>,
    /// With answers to commands. The agent's own.
    pub results: String,
    /// With what operators ask for. The agent's own.
    pub operations: String,
    /// Whether streams that were never read are read from their beginning.
    pub from_beginning: bool,
}

impl Queues {
    /// The names of everything that is read and written, and what is read.
    #[must_use]
    pub fn layout(&self) -> (Topics, Layout) {
        let inputs: Vec<String> = self.inputs.iter().chain(&self.streams).cloned().collect();
        let topics = topics(&inputs, &self.results, &self.operations);
        let mut layout = Layout::new(inputs.iter().map(String::as_str), &topics, 1);
        layout.add_dead_letters(self.dead.iter().map(String::as_str), Handled::Maybe);
        layout.add_dead_letters(self.unroutable.iter().map(String::as_str), Handled::No);
        (topics, layout)
    }

    /// The queues behind the layout's lanes.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        let source =
            |queue: &String, kind| Source { topic: queue.as_str().into(), partition: 0, queue: queue.clone(), kind };
        let stream = Kind::Stream { from_beginning: self.from_beginning };
        let own = |key: &str| Kind::Own { routing_keys: vec![key.to_owned()] };
        let mut sources: Vec<Source> = self.inputs.iter().map(|queue| source(queue, Kind::Queue)).collect();
        sources.extend(self.streams.iter().map(|queue| source(queue, stream.clone())));
        sources.push(source(&self.results, own(RESULTS)));
        sources.push(source(&self.operations, own(OPERATIONS)));
        sources.extend(self.dead.iter().chain(&self.unroutable).map(|queue| source(queue, Kind::Queue)));
        sources
    }
}

/// Starts the agent. Failing edges are printed as they are committed, if `print` says so. A broker that is not there is
/// waited for: readiness says so.
///
/// # Errors
/// If the journal cannot be used, or no thread can be made.
pub fn start(
    config: local::Config,
    setup: Setup,
    shared: Arc<Shared>,
    print: bool,
) -> Result<(Agent, Arc<dyn Desk>), AgentError> {
    let printer = if print { Some(edges::printer(shared.metrics.clone()).map_err(AgentError::Thread)?) } else { None };
    let (topics, exchange) = (config.topics.clone(), setup.exchange.clone());
    let is_heard = tail::start(&setup, config.policy.clone(), shared.clone()).map_err(AgentError::Thread)?;
    let rabbit = Rabbit::new(setup);
    let desk =
        RabbitDesk::new(rabbit.mailbox(), topics.clone(), exchange.clone(), config.trust.clone(), config.share.clone());
    let bus = RabbitBus { rabbit, topics, exchange, shared: shared.clone(), is_heard, has_warned: false };
    Ok((local::start(config, bus, shared, printer)?, Arc::new(desk)))
}

/// RabbitMQ, as the worker sees it.
struct RabbitBus {
    rabbit: Rabbit,
    topics: Topics,
    exchange: String,
    shared: Arc<Shared>,
    /// What agents tell is heard, or may be soon.
    is_heard: Arc<AtomicBool>,
    /// It was said that messages bear no time.
    has_warned: bool,
}

impl RabbitBus {
    fn measure(&self) {
        let (status, metrics) = (self.rabbit.status(), &self.shared.metrics);
        let copy = |from: &AtomicU64, to: &AtomicU64| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        copy(&status.unroutable, &metrics.unroutable);
        copy(&status.given_back, &metrics.given_back);
        copy(&status.is_blocked, &metrics.blocked);
        copy(&status.connections, &metrics.connections);
    }
}

impl Bus for RabbitBus {
    fn begin(&mut self, places: &[Place]) -> io::Result<()> {
        let places: Vec<_> = places.iter().map(|(at, next)| (at.topic.clone(), at.partition, *next)).collect();
        self.rabbit.begin(&self.rabbit.numbered(&places))
    }

    fn receive(&mut self, wait: Duration) -> Vec<Arrival> {
        let came = self.rabbit.take(wait);
        let is_late = |came: &Came| came.again && matches!(came.record.stamp, Stamp::Bus(_));
        if !self.has_warned && came.iter().any(is_late) {
            self.has_warned = true;
            tracing::warn!(
                "messages that waited for this agent say by no header timestamp_in_ms when they were sent: they count as of \
                 now, so that an answer may look late that was in time; have RabbitMQ or the services set it"
            );
        }
        let came = came.into_iter();
        came.map(|came| Arrival { record: came.record, identity: came.identity, again: came.again, place: came.next })
            .collect()
    }

    fn acknowledge(&mut self) {
        self.rabbit.acknowledge();
    }

    fn publish(&mut self, number: u64, record: &Outgoing, now: HostTime) {
        match letter(record, &self.topics, &self.exchange, now) {
            Ok(letter) => self.rabbit.publish(number, letter),
            // Its route is none that a queue can have, which no plan leads to: it stays in the journal.
            Err(why) => tracing::error!(number, why, "a record cannot be published"),
        }
    }

    fn confirmed(&mut self) -> Vec<u64> {
        self.rabbit.confirmed()
    }

    fn is_at_end(&self, topic: &str, partition: i32) -> bool {
        self.rabbit.is_at_end(topic, partition)
    }

    fn as_of(&self, now: HostTime) -> HostTime {
        now.minus(Span::millis(u64::try_from(self.rabbit.age().as_millis()).unwrap_or(u64::MAX).saturating_add(1)))
    }

    fn hold(&mut self, topic: &str, partition: i32, held: bool) {
        self.rabbit.hold(topic, partition, held);
    }

    /// What a binding leads to AMQP does not tell before something is published: a route is there until something came back
    /// from it, and as long as that waits for a queue.
    fn leads(&mut self, topic: &str, _anew: bool) -> bool {
        topic.len() <= crate::bus::rabbit::source::MAX_NAME_BYTES && !self.rabbit.is_unroutable(topic)
    }

    fn has_lost_routes(&mut self) -> bool {
        self.rabbit.has_unroutable_news()
    }

    fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Relaxed)
    }

    fn trouble(&self) -> Option<String> {
        self.measure();
        self.rabbit.status().trouble()
    }
}

/// The clock that arrivals are stamped by.
#[must_use]
pub fn clock() -> HostTime {
    host_now()
}
