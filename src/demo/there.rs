//! The shop over a real Kafka, beside an agent that runs by itself. Time is the clock's.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::{
    config::FromClientConfig,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::{Account, Counts, Drive, Plan};
use crate::{
    bus::{
        Outgoing,
        kafka::{
            connection::Connection,
            listener::Listener,
            send::send,
            topics::{self, Maker},
        },
    },
    model::{HostTime, Span},
};

/// Partitions of the shop's topics, if they are not there.
const PARTITIONS: i32 = 4;

/// Longest time after the shop closed. Whatever is not settled then never will be.
const PATIENCE: Span = Span::mins(2);

/// Longest wait for what was sent to be acknowledged at the end.
const FLUSH: Duration = Duration::from_secs(10);

/// What the agent must have made before the shop opens.
const OF_THE_AGENT: [&str; 3] = ["countermand.results", "countermand.events", "countermand.chains"];

/// Makes the shop's topics that are missing, so that an agent that is started finds them.
///
/// # Errors
/// What the cluster says.
pub fn prepare(connection: &Connection) -> Result<(), String> {
    let there = topics::list(connection).map_err(|error| error.to_string())?;
    let mine = Drive::topics();
    let found = there.iter().find(|(name, _)| mine.contains(name)).map_or(PARTITIONS, |(_, partitions)| *partitions);
    let mut maker = Maker::new(connection, found, &there).map_err(|error| error.to_string())?;
    mine.iter().try_for_each(|topic| maker.secure(topic, true, true).map_err(|error| error.to_string()))
}

/// The shop, and its way to the bus.
pub struct There {
    listener: Listener,
    producer: BaseProducer,
    drive: Drive,
}

impl There {
    /// A run that begins at `now`. The agent must have started: what it tells is listened to.
    ///
    /// # Errors
    /// What the cluster says.
    pub fn new(connection: &Connection, plan: Plan, now: HostTime) -> Result<Self, String> {
        let text = |error: KafkaError| error.to_string();
        let there = topics::list(connection).map_err(|error| error.to_string())?;
        if let Some(missing) = OF_THE_AGENT.iter().find(|topic| !there.iter().any(|(name, _)| name == *topic)) {
            return Err(format!("there is no topic {missing}: start the agent first"));
        }
        let mine = Drive::topics();
        let heard = mine.iter().map(String::as_str).chain(["countermand.events", "countermand.chains"]);
        let heard: Vec<&str> = heard.collect();
        let (listener, _) = Listener::new(connection, &heard, |_, _, end| end).map_err(text)?;
        let mut config = connection.admin();
        // As Java's clients do it, so that all of a chain meets in one partition number.
        config.set("partitioner", "murmur2_random").set("linger.ms", "0").set("enable.idempotence", "true");
        let producer = BaseProducer::from_config(&config).map_err(text)?;
        Ok(Self { listener, producer, drive: Drive::new(plan, "countermand.events", now) })
    }

    /// How the run begins, in words.
    #[must_use]
    pub fn opening(&self) -> String {
        self.drive.opening()
    }

    /// Takes what came, waiting for at most `wait`, lets the shop work, and says what there is to print.
    ///
    /// # Errors
    /// What the client cannot overcome.
    pub fn step(&mut self, now: HostTime, wait: Duration) -> Result<String, String> {
        let mut told = String::new();
        let until = Instant::now() + wait;
        while let Some(heard) =
            self.listener.next(until.saturating_duration_since(Instant::now())).map_err(|error| error.to_string())?
        {
            if let Some(payload) = heard.value {
                told.push_str(&self.drive.hear(&heard.topic, Bytes::from(payload), now));
            }
            if Instant::now() >= until {
                break;
            }
        }
        let (said, more) = self.drive.work(now);
        told.push_str(&more);
        for record in &said {
            self.send(record)?;
        }
        self.producer.poll(Duration::ZERO);
        Ok(told)
    }

    fn send(&self, record: &Outgoing) -> Result<(), String> {
        let key = record.key.as_deref().unwrap_or_default();
        let payload = record.payload.as_deref().unwrap_or_default();
        let letter = BaseRecord::to(&record.topic).key(key).payload(payload);
        send(&self.producer, letter).map_err(|error| format!("{}: {error}", record.topic))
    }

    /// No more orders from now on; what is under way goes on.
    pub fn close(&mut self, now: HostTime) -> String {
        self.drive.close(now)
    }

    /// Whether all is over.
    #[must_use]
    pub fn is_over(&self, now: HostTime) -> bool {
        self.drive.is_over(now, PATIENCE)
    }

    /// Counts everything.
    ///
    /// # Errors
    /// If what the shop said did not all reach the bus.
    pub fn account(&self) -> Result<Account, String> {
        self.producer.flush(FLUSH).map_err(|error| format!("not all that the shop said is on the bus: {error}"))?;
        Ok(self.drive.account())
    }

    /// What became of the chains that failed.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.drive.counts()
    }
}
