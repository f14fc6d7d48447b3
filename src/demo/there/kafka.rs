//! The shop's way to a Kafka.

use std::time::Duration;

use bytes::Bytes;
use rdkafka::{
    config::FromClientConfig,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::Street;
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
    demo::Drive,
    model::HostTime,
};

/// Partitions of the shop's topics, if they are not there.
const PARTITIONS: i32 = 4;

/// Longest wait for what was sent to be acknowledged at the end.
const FLUSH: Duration = Duration::from_secs(60);

/// The agent's topic of events.
const EVENTS: &str = "countermand.events";

/// What the agent must have made before the shop opens.
const OF_THE_AGENT: [&str; 3] = ["countermand.results", EVENTS, "countermand.chains"];

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

/// A way over Kafka.
pub struct KafkaStreet {
    listener: Listener,
    producer: BaseProducer,
}

impl KafkaStreet {
    /// Listens to the shop's topics and the agent's.
    ///
    /// # Errors
    /// What the cluster says.
    pub fn new(connection: &Connection) -> Result<Self, String> {
        let text = |error: KafkaError| error.to_string();
        let there = topics::list(connection).map_err(|error| error.to_string())?;
        if let Some(missing) = OF_THE_AGENT.iter().find(|topic| !there.iter().any(|(name, _)| name == *topic)) {
            return Err(format!("there is no topic {missing}: start the agent first"));
        }
        let mine = Drive::topics();
        let heard = mine.iter().map(String::as_str).chain([EVENTS, "countermand.chains"]);
        let heard: Vec<&str> = heard.collect();
        let (listener, _) = Listener::new(connection, &heard, |_, _, end| end).map_err(text)?;
        let mut config = connection.admin();
        // As Java's clients do it, so that all of a chain meets in one partition number.
        config.set("partitioner", "murmur2_random").set("linger.ms", "0").set("enable.idempotence", "true");
        let producer = BaseProducer::from_config(&config).map_err(text)?;
        Ok(Self { listener, producer })
    }
}

impl Street for KafkaStreet {
    fn events(&self) -> &'static str {
        EVENTS
    }

    fn next(&mut self, wait: Duration) -> Result<Option<(String, Bytes)>, String> {
        self.producer.poll(Duration::ZERO);
        let next = self.listener.next(wait).map_err(|error| error.to_string())?;
        Ok(next.and_then(|heard| Some((heard.topic, Bytes::from(heard.value?)))))
    }

    fn send(&mut self, record: &Outgoing, _now: HostTime) -> Result<(), String> {
        let key = record.key.as_deref().unwrap_or_default();
        let payload = record.payload.as_deref().unwrap_or_default();
        let letter = BaseRecord::to(&record.topic).key(key).payload(payload);
        send(&self.producer, letter).map_err(|error| format!("{}: {error}", record.topic))
    }

    fn finish(&mut self) -> Result<(), String> {
        self.producer.flush(FLUSH).map_err(|error| error.to_string())
    }
}
