//! Topics, and what is sent to them and read from them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use prost::Message as _;
use rdkafka::{
    ClientContext, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::{ClientConfig, FromClientConfigAndContext as _},
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer},
};

use crate::standard::backlog;

pub const PARTITIONS: i32 = 4;

pub fn config(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    config
}

/// Makes a topic; the broker stamps what is written to it, as it should, or the senders do.
pub fn make_topic(broker: &str, name: &str, stamps: bool) {
    let client: AdminClient<DefaultClientContext> = config(broker).create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let kind = if stamps { "LogAppendTime" } else { "CreateTime" };
    let new = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)).set("message.timestamp.type", kind);
    for made in runtime.block_on(client.create_topics([&new], &AdminOptions::new())).expect("an answer") {
        made.expect("a topic");
    }
}

/// When messages that somebody asks for were acknowledged.
#[derive(Default)]
pub struct Acks(Mutex<HashMap<usize, Instant>>);

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = usize;

    fn delivery(&self, sent: &DeliveryResult<'_>, number: usize) {
        if number != NOBODY && sent.is_ok() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Instant::now());
        }
    }
}

/// The number of messages that nobody asks for.
pub const NOBODY: usize = usize::MAX;

/// It serves acknowledgements on a thread of its own: served between messages they would be told late, since one call serves
/// one of them, and whatever came of a message would seem to have come sooner.
pub struct Sender(ThreadedProducer<Acks>);

impl Sender {
    pub fn new(broker: &str, linger: &str) -> Self {
        let mut config = config(broker);
        config.set("partitioner", "murmur2_random").set("linger.ms", linger);
        Self(ThreadedProducer::from_config_and_context(&config, Acks::default()).expect("a producer"))
    }

    pub fn send(&self, topic: &str, key: &str, payload: &[u8], at: Option<i64>, number: usize) {
        let mut record = BaseRecord::with_opaque_to(topic, number).key(key).payload(payload);
        record.timestamp = at;
        while let Err((error, again)) = self.0.send(record) {
            assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
            std::thread::park_timeout(Duration::from_millis(1));
            record = again;
        }
    }

    /// When the numbered messages were acknowledged, once all are.
    pub fn finish(self) -> HashMap<usize, Instant> {
        self.0.flush(Duration::from_secs(60)).expect("all messages on the bus");
        std::mem::take(&mut *self.0.context().0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Fills `topic` with `chains` chains that end about now; says how many messages they are.
pub fn fill(broker: &str, topic: &str, chains: u64) -> u64 {
    let sender = Sender::new(broker, "20");
    let mut messages = 0;
    for timed in backlog(chains) {
        let bytes = timed.envelope.encode_to_vec();
        sender.send(topic, &timed.envelope.chain_id, &bytes, Some(timed.at.0), NOBODY);
        messages += 1;
    }
    sender.finish();
    messages
}

/// A `read_committed` reader of whole topics, from their ends as they are now.
pub fn reader(broker: &str, topics: &[String]) -> BaseConsumer {
    let mut config = config(broker);
    config.set("group.id", "bench-reader").set("enable.auto.commit", "false").set("isolation.level", "read_committed");
    config.set("fetch.wait.max.ms", "5").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..PARTITIONS {
            list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
        }
    }
    consumer.assign(&list).expect("an assignment");
    consumer
}

/// Keys of what is read, with the time at which each was first read, until `enough` are there or `until` is over.
pub fn read_keys(consumer: &BaseConsumer, enough: impl Fn(usize) -> bool, until: Instant) -> HashMap<String, Instant> {
    let mut read = HashMap::new();
    while Instant::now() < until && !enough(read.len()) {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(20)) {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
            read.entry(key).or_insert_with(Instant::now);
        }
    }
    read
}
