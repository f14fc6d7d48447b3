//! Putting operators' requests on the bus, where the engine that they are about reads them.

use std::{sync::Arc, time::Duration};

use prost::Message as _;
use rdkafka::{
    config::FromClientConfig,
    error::KafkaResult,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};

use super::connection::Connection;
use crate::{
    bus::headers::SIGNATURE,
    trust::{Kind, Trust},
    wire::proto::Operation,
};

/// How long a request may wait for the brokers. Whoever asks is told before that it takes long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A producer for operations.
pub struct Requests {
    producer: FutureProducer,
    topic: String,
    partitions: i32,
    trust: Arc<Trust>,
}

impl Requests {
    /// Connects. `partitions` is the number of those of `topic`. What is sent is signed as `trust` says (S8.1).
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn new(connection: &Connection, topic: &str, partitions: i32, trust: Arc<Trust>) -> KafkaResult<Self> {
        let mut config = connection.admin();
        config
            .set("enable.idempotence", "true")
            // As Java's clients do it, so that a request comes to the engine of its chain.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "0")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string());
        Ok(Self { producer: FutureProducer::from_config(&config)?, topic: topic.to_owned(), partitions, trust })
    }

    /// Engines that a request to all is for: as many as there are partition numbers.
    #[must_use]
    pub fn engines(&self) -> i32 {
        self.partitions
    }

    /// Sends a request to the engine of its chain, or to one that is named by its partition number.
    ///
    /// # Errors
    /// What the cluster says. Whether the request arrived is then unknown: it bears its id, and acts once.
    pub async fn send(&self, operation: &Operation, engine: Option<i32>) -> Result<(), String> {
        let payload = operation.encode_to_vec();
        let record = FutureRecord::to(&self.topic).payload(&payload).key(&operation.chain_id);
        let signature = self.trust.sign(Kind::Operation, &payload);
        let record = match &signature {
            Some(value) => record.headers(OwnedHeaders::new().insert(Header { key: SIGNATURE, value: Some(value) })),
            None => record,
        };
        let record = match engine {
            Some(partition) => record.partition(partition),
            None => record,
        };
        self.producer.send(record, Timeout::After(PATIENCE)).await.map(|_| ()).map_err(|(error, _)| error.to_string())
    }
}
