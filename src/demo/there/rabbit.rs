//! The shop's way to a RabbitMQ: its queues in the agent's exchange, of which the agent has a copy in one of its own.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::Street;
use crate::{
    bus::{
        Outgoing,
        layout::Topics,
        rabbit::{
            Address, Rabbit, Setup, Status,
            message::{Letter, letter},
            source::{Kind, RESULTS, Source, Way, topics},
        },
    },
    demo::Drive,
    model::HostTime,
};

/// The exchange of the contract.
const EXCHANGE: &str = "countermand";

/// Where the agent publishes refused input.
const DEAD_LETTERS: &str = "countermand.dead-letters";

/// The queue that the agent is to read: all that services say to each other.
pub const QUEUE: &str = "shop.countermand";

/// The topics of what the agent tells.
const EVENTS: &str = "events";
const CHAINS: &str = "chains";

/// Messages of each queue that may be under way.
const PREFETCH: u16 = 1_000;

/// Longest wait for the broker: for the queues to be there, and for what an earlier shop left in them.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest wait at the end for what was said to be confirmed: what is not is published again after half a minute.
const FLUSH: Duration = Duration::from_secs(90);

/// A way over RabbitMQ.
pub struct RabbitStreet {
    rabbit: Rabbit,
    topics: Topics,
    came: VecDeque<(String, Bytes)>,
    next: u64,
    under_way: u64,
}

impl RabbitStreet {
    /// Makes the shop's queues and the agent's, unless they are there, and reads the shop's.
    ///
    /// # Errors
    /// What the broker says.
    pub fn new(address: &Address, now: fn() -> HostTime) -> Result<Self, String> {
        make_agents_queue(address, now)?;
        let mut rabbit = Rabbit::new(setup(address, sources(), now));
        rabbit.begin(&[]).map_err(|error| error.to_string())?;
        await_connections(&rabbit, 2)?;
        // What lies there is an earlier shop's.
        let begun = Instant::now();
        while !sources().iter().all(|source| rabbit.is_at_end(&source.topic, source.partition)) {
            if begun.elapsed() > PATIENCE {
                return Err("the queues of an earlier shop do not end".to_owned());
            }
            rabbit.take(Duration::from_millis(10));
            rabbit.acknowledge();
        }
        Ok(Self { rabbit, topics: topics(&[], RESULTS, ""), came: VecDeque::new(), next: 0, under_way: 0 })
    }

    fn settle(&mut self) {
        self.under_way -= self.rabbit.confirmed().len() as u64;
    }
}

impl Street for RabbitStreet {
    fn events(&self) -> &'static str {
        EVENTS
    }

    fn next(&mut self, wait: Duration) -> Result<Option<(String, Bytes)>, String> {
        self.settle();
        if self.came.is_empty() {
            // What was taken before has been worked on.
            self.rabbit.acknowledge();
            let taken = self.rabbit.take(wait).into_iter().map(|came| came.record);
            self.came.extend(taken.map(|record| (record.topic.to_string(), record.payload.unwrap_or_default())));
        }
        Ok(self.came.pop_front())
    }

    fn send(&mut self, record: &Outgoing, now: HostTime) -> Result<(), String> {
        let made = letter(record, &self.topics, EXCHANGE, now)?;
        // Services speak to each other by the agent's exchange, so that it can have a copy.
        let routing_key = if record.topic.starts_with("shop.") { record.topic.as_str() } else { RESULTS };
        let way = Way { exchange: EXCHANGE.to_owned(), routing_key: routing_key.to_owned(), mandatory: true };
        self.rabbit.publish(self.next, Letter { way, ..made });
        self.next += 1;
        self.under_way += 1;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while self.under_way > 0 {
            if begun.elapsed() > FLUSH {
                let status = self.rabbit.status();
                let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
                let (left, back, waiting) = (self.under_way, count(&status.given_back), count(&status.unroutable));
                let why = || {
                    format!("{left} are not confirmed; {waiting} wait for a queue, {back} were given back or refused")
                };
                return Err(status.trouble().unwrap_or_else(why));
            }
            thread::park_timeout(Duration::from_millis(5));
            self.settle();
        }
        self.rabbit.acknowledge();
        Ok(())
    }
}

/// Makes the queue that the agent is to read.
fn make_agents_queue(address: &Address, now: fn() -> HostTime) -> Result<(), String> {
    let kind = Kind::Own { routing_keys: vec!["shop.#".to_owned()] };
    let source = Source { topic: QUEUE.into(), partition: 0, queue: QUEUE.to_owned(), kind };
    let mut rabbit = Rabbit::new(setup(address, vec![source], now));
    rabbit.begin(&[]).map_err(|error| error.to_string())?;
    await_connections(&rabbit, 2).or_else(|why| {
        // An agent reads it already.
        if why.starts_with("standing by") { Ok(()) } else { Err(why) }
    })
}

fn await_connections(rabbit: &Rabbit, count: u64) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let status = rabbit.status();
        let (made, trouble) = (status.connections.load(Ordering::Relaxed), status.trouble());
        match trouble {
            None if made >= count => return Ok(()),
            Some(why) if why.starts_with("standing by") || begun.elapsed() > PATIENCE => return Err(why),
            None if begun.elapsed() > PATIENCE => return Err("the broker does not answer".to_owned()),
            _ => thread::park_timeout(Duration::from_millis(10)),
        }
    }
}

fn setup(address: &Address, sources: Vec<Source>, now: fn() -> HostTime) -> Setup {
    Setup {
        address: address.clone(),
        exchange: EXCHANGE.to_owned(),
        dead_letters: DEAD_LETTERS.to_owned(),
        told: String::new(),
        sources,
        prefetch: PREFETCH,
        only_looks: false,
        now,
        status: Arc::new(Status::default()),
    }
}

/// What the shop reads: what is said to its services, their commands, and what the agent tells.
fn sources() -> Vec<Source> {
    let source = |topic: &str, queue: String, key: String| Source {
        topic: topic.into(),
        partition: 0,
        queue,
        kind: Kind::Own { routing_keys: vec![key] },
    };
    let of_services = Drive::topics().into_iter().map(|topic| match topic.strip_prefix("countermand.") {
        // The contract's routing key for commands.
        Some(key) => source(&topic, format!("shop.{key}"), key.to_owned()),
        None => source(&topic, topic.clone(), topic.clone()),
    });
    let told = [
        source(EVENTS, "shop.told.events".to_owned(), "events.#".to_owned()),
        source(CHAINS, "shop.told.chains".to_owned(), CHAINS.to_owned()),
    ];
    of_services.chain(told).collect()
}
