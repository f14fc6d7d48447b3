//! Topics, producers and readers of the tests.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::{ClientConfig, FromClientConfigAndContext},
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::{DeliveryResult, Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};

#[allow(unused_imports, reason = "the module is shared by several test programs")]
pub use crate::waiting::{PATIENCE, pass, until};

use crate::broker::bootstrap;

/// Partitions of every topic.
pub const PARTITIONS: i32 = 4;

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap());
    config
}

/// Makes topics.
pub fn make_topics(names: &[&str]) {
    let new = names.iter().map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
    make(&new.collect::<Vec<_>>());
}

fn make(new: &[NewTopic<'_>]) {
    let client: AdminClient<DefaultClientContext> = config().create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let made = runtime.block_on(client.create_topics(new, &AdminOptions::new())).expect("topics");
    for result in made {
        result.expect("a topic");
    }
}

/// Makes a topic with a number of partitions of its own.
pub fn make_topic_of(name: &str, partitions: i32) {
    make(&[NewTopic::new(name, partitions, TopicReplication::Fixed(1))]);
}

/// Deletes a topic.
pub fn delete_topic(name: &str) {
    let client: AdminClient<DefaultClientContext> = config().create().expect("an admin client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let gone = runtime.block_on(client.delete_topics(&[name], &AdminOptions::new())).expect("an answer");
    gone.into_iter().for_each(|gone| assert!(gone.is_ok(), "{gone:?}"));
}

/// Whether a topic is there.
pub fn is_there(topic: &str) -> bool {
    let client: AdminClient<DefaultClientContext> = config().create().expect("an admin client");
    let known = client.inner().fetch_metadata(None, Duration::from_secs(5)).expect("metadata");
    known.topics().iter().any(|known| known.name() == topic)
}

/// What was sent under which number, and is on the bus.
#[derive(Default)]
struct Acks(Mutex<Vec<usize>>);

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = usize;

    fn delivery(&self, sent: &DeliveryResult<'_>, number: usize) {
        // What is not delivered is never acknowledged, and whoever waits for it says so.
        if sent.is_ok() && number != UNNUMBERED {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        }
    }
}

/// For whose delivery nobody waits.
const UNNUMBERED: usize = usize::MAX;

/// A producer that keys as Java's clients do.
pub struct Sender(BaseProducer<Acks>);

impl Sender {
    pub fn new() -> Self {
        let mut config = config();
        config
            .set("partitioner", "murmur2_random")
            .set("enable.idempotence", "true")
            .set("linger.ms", "1")
            .set("message.max.bytes", "2000000");
        Self::of(&config)
    }

    /// A producer that sends within a transaction, which is open until [`Sender::commit`].
    pub fn transactional(id: &str) -> Self {
        let mut config = config();
        config.set("partitioner", "murmur2_random").set("transactional.id", id);
        let sender = Self::of(&config);
        sender.0.init_transactions(PATIENCE).expect("a transactional producer");
        sender.0.begin_transaction().expect("a transaction");
        sender
    }

    fn of(config: &ClientConfig) -> Self {
        Self(BaseProducer::from_config_and_context(config, Acks::default()).expect("a producer"))
    }

    /// Commits the transaction.
    pub fn commit(&self) {
        self.flush();
        self.0.commit_transaction(PATIENCE).expect("a commit");
    }

    pub fn send(&self, topic: &str, key: &str, payload: &[u8], headers: &[(&str, &str)]) {
        let owned = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        let record = BaseRecord::with_opaque_to(topic, UNNUMBERED).key(key).payload(payload).headers(owned);
        self.put(topic, record);
    }

    /// Sends under a number, which [`Sender::delivered`] tells once it is on the bus.
    pub fn send_numbered(&self, topic: &str, key: &str, payload: &[u8], number: usize) {
        self.put(topic, BaseRecord::with_opaque_to(topic, number).key(key).payload(payload));
    }

    /// Numbers of what came onto the bus since this was last asked, after at most `wait` if there is nothing yet.
    pub fn delivered(&self, wait: Duration) -> Vec<usize> {
        let begun = Instant::now();
        loop {
            self.0.poll(Duration::ZERO);
            let delivered = std::mem::take(&mut *self.0.context().0.lock().unwrap_or_else(PoisonError::into_inner));
            let left = wait.saturating_sub(begun.elapsed());
            if !delivered.is_empty() || left.is_zero() {
                return delivered;
            }
            // The client's own `poll` would not return early.
            std::thread::park_timeout(left.min(Duration::from_millis(1)));
        }
    }

    /// Sends what the bus had at another time.
    pub fn send_at(&self, topic: &str, key: &str, payload: &[u8], at: Option<i64>) {
        let mut record = BaseRecord::with_opaque_to(topic, UNNUMBERED).key(key).payload(payload);
        record.timestamp = at;
        self.put(topic, record);
    }

    fn put(&self, topic: &str, mut record: BaseRecord<'_, str, [u8], usize>) {
        loop {
            match self.0.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(rdkafka::error::RDKafkaErrorCode::QueueFull), again)) => {
                    self.0.poll(Duration::from_millis(1));
                    record = again;
                }
                Err((error, _)) => panic!("{topic}: {error}"),
            }
        }
        self.0.poll(Duration::ZERO);
    }

    /// Waits until all is on the bus.
    pub fn flush(&self) {
        until("the producer's queue to drain", || {
            self.0.poll(Duration::ZERO);
            (self.0.in_flight_count() == 0).then_some(())
        });
    }
}

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Got {
    pub key: String,
    pub payload: Vec<u8>,
    pub headers: BTreeMap<String, String>,
}

/// A `read_committed` reader of whole topics, from their beginning.
pub struct Reader {
    consumer: RefCell<BaseConsumer>,
    topics: Vec<String>,
}

impl Reader {
    pub fn new(topics: &[&str]) -> Self {
        let topics: Vec<String> = topics.iter().map(|&topic| topic.to_owned()).collect();
        let consumer = Self::at(&topics, &TopicPartitionList::new());
        Self { consumer: RefCell::new(consumer), topics }
    }

    /// A client that goes on where these positions are, and at the beginning where none is.
    fn at(topics: &[String], positions: &TopicPartitionList) -> BaseConsumer {
        let mut config = config();
        config
            .set("group.id", format!("reader-{}", std::process::id()))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..PARTITIONS {
                let known = positions.find_partition(topic, partition).map(|at| at.offset());
                let known = known.filter(|at| at.to_raw().is_some_and(|raw| raw >= 0)).unwrap_or(Offset::Beginning);
                list.add_partition_offset(topic, partition, known).expect("an offset");
            }
        }
        consumer.assign(&list).expect("an assignment");
        consumer
    }

    /// The next record within `wait`.
    pub fn next(&self, wait: Duration) -> Option<Got> {
        self.poll(wait).and_then(Result::ok)
    }

    /// The next record, or what else the client says.
    fn poll(&self, wait: Duration) -> Option<Result<Got, KafkaError>> {
        let consumer = self.consumer.borrow();
        let message = match consumer.poll(wait)? {
            Ok(message) => message,
            Err(error) => return Some(Err(error)),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = message.headers().map(|headers| {
            headers.iter().map(|header| (header.key.to_owned(), text(header.value.unwrap_or_default()))).collect()
        });
        Some(Ok(Got {
            key: text(message.key().unwrap_or_default()),
            payload: message.payload().unwrap_or_default().to_vec(),
            headers: headers.unwrap_or_default(),
        }))
    }

    /// Waits for the first record that `wanted` takes.
    pub fn find<T>(&self, what: &str, mut wanted: impl FnMut(Got) -> Option<T>) -> T {
        until(what, || self.next(Duration::from_millis(100)).and_then(&mut wanted))
    }

    /// Everything up to the end as it is now. A new client says of each partition when it is there, and it alone does so
    /// surely: behind the last record stand markers of transactions, which take offsets but are not handed out.
    pub fn rest(&self) -> Vec<Got> {
        let positions = self.consumer.borrow().position().expect("positions");
        let before = self.consumer.replace(Self::at(&self.topics, &positions));
        // Destroying a client that has fetched what nobody polled may wait for ever.
        std::mem::forget(before);
        let mut got = Vec::new();
        let mut left = self.topics.len() * usize::try_from(PARTITIONS).expect("a number");
        until("the ends of topics", || {
            while let Some(polled) = self.poll(Duration::from_millis(100)) {
                match polled {
                    Ok(record) => got.push(record),
                    Err(KafkaError::PartitionEOF(_)) => left -= 1,
                    Err(error) => println!("reading to the end: {error}"),
                }
                if left == 0 {
                    break;
                }
            }
            (left == 0).then_some(())
        });
        got
    }
}

/// What a group has committed for a topic, by partition; `None`: nothing.
pub fn committed(group: &str, topic: &str) -> Vec<Option<i64>> {
    let mut config = config();
    config.set("group.id", group);
    let consumer: BaseConsumer = config.create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition(topic, partition);
    }
    let list = consumer.committed_offsets(list, PATIENCE).expect("committed offsets");
    (0..PARTITIONS)
        .map(|partition| list.find_partition(topic, partition).and_then(|at| at.offset().to_raw()))
        .map(|raw| raw.filter(|&raw| raw >= 0))
        .collect()
}
