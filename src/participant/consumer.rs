//! Settings of a participant's Kafka clients (S5.4). Each that is not the client's default says why.

use rdkafka::config::ClientConfig;

/// A consumer of requests or commands: **`read_committed`**, since an aborted command is no command. Nothing is committed
/// by itself: commit the offset of a message after what it led to is committed in the store and published.
#[must_use]
pub fn consumer(brokers: &str, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        // A message that was read and not handled is delivered again after a crash.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A new group carries out what is asked of it already.
        .set("auto.offset.reset", "earliest");
    config
}

/// A producer of envelopes and results: what is sent is written once and in order, and waits for all replicas. Its keys,
/// the chains' ids, go to the partitions where Java's clients put them.
#[must_use]
pub fn producer(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // librdkafka's own default would split chains between its clients and Java's.
        .set("partitioner", "murmur2_random");
    config
}

#[cfg(test)]
mod tests {
    use rdkafka::config::FromClientConfig;

    #[test]
    fn the_client_takes_the_settings_and_reads_committed_commands_only() {
        let config = super::consumer("localhost:9", "payment");
        assert_eq!(config.get("isolation.level"), Some("read_committed"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        rdkafka::consumer::BaseConsumer::<rdkafka::consumer::DefaultConsumerContext>::from_config(&config).unwrap();
        rdkafka::producer::BaseProducer::<rdkafka::producer::DefaultProducerContext>::from_config(&super::producer(
            "localhost:9",
        ))
        .unwrap();
    }
}
