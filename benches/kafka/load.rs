//! Messages of profile `standard` on topics of their own.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use countermand::{
    bench::{Profile, Settings, Traffic},
    model::BusTime,
    wire::proto::Kind,
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
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};

pub const PARTITIONS: i32 = 4;

pub fn config(broker: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker);
    config
}

pub fn make_topic(broker: &str, name: &str) {
    let client: AdminClient<DefaultClientContext> = config(broker).create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let new = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
    for made in runtime.block_on(client.create_topics([&new], &AdminOptions::new())).expect("an answer") {
        made.expect("a topic");
    }
}

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("a time")
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

pub struct Sender(BaseProducer<Acks>);

impl Sender {
    pub fn new(broker: &str, linger: &str) -> Self {
        let mut config = config(broker);
        config.set("partitioner", "murmur2_random").set("linger.ms", linger);
        Self(BaseProducer::from_config_and_context(&config, Acks::default()).expect("a producer"))
    }

    pub fn send(&self, topic: &str, key: &str, payload: &[u8], at: Option<i64>, number: usize) {
        let mut record = BaseRecord::with_opaque_to(topic, number).key(key).payload(payload);
        record.timestamp = at;
        while let Err((error, again)) = self.0.send(record) {
            assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
            self.0.poll(Duration::from_millis(1));
            record = again;
        }
        self.0.poll(Duration::ZERO);
    }

    /// Serves acknowledgements until then.
    pub fn wait_until(&self, then: Instant) {
        while let Some(left) = then.checked_duration_since(Instant::now()) {
            self.0.poll(Duration::ZERO);
            std::thread::park_timeout(left.min(Duration::from_millis(1)));
        }
    }

    /// When the numbered messages were acknowledged, once all are.
    pub fn finish(self) -> HashMap<usize, Instant> {
        while self.0.in_flight_count() > 0 {
            self.0.poll(Duration::from_millis(1));
        }
        std::mem::take(&mut *self.0.context().0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A generator of `chains` chains, of which so many begin in a second, from now on.
pub fn traffic(chains: u64, per_second: u64, begins: i64) -> Traffic {
    let settings = Settings::of(Profile::Standard, chains, 1);
    Traffic::new(Settings { per_second, begins: BusTime(begins), ..settings })
}

/// Fills `topic` with `chains` chains that end about now; says how many messages they are.
pub fn fill(broker: &str, topic: &str, chains: u64) -> u64 {
    let per_second = 2_000;
    let begins = now() - i64::try_from(chains * 1_000 / per_second).expect("a time") - 30_000;
    let sender = Sender::new(broker, "20");
    let mut messages = 0;
    for timed in traffic(chains, per_second, begins) {
        let bytes = timed.envelope.encode_to_vec();
        sender.send(topic, &timed.envelope.chain_id, &bytes, Some(timed.at.0), NOBODY);
        messages += 1;
    }
    sender.finish();
    messages
}

/// The chain whose last piece of evidence this message is: the answer of its root, which failed.
pub fn fails(envelope: &countermand::wire::proto::Envelope) -> bool {
    let failed =
        envelope.status.as_ref().is_some_and(|status| status.code() != countermand::wire::proto::StatusCode::Ok);
    envelope.kind() == Kind::Response
        && failed
        && envelope.source.as_ref().is_some_and(|source| source.service == "service-7")
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
