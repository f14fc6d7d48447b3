//! Queues, publishers and readers of the tests. They hold out through restarts of the broker.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ExchangeKind, PublisherConfirm,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::{runtime::Runtime, time::timeout};
use tokio_stream::StreamExt as _;

pub use crate::waiting::{PATIENCE, pass, until};

use crate::broker::url;

/// The clients' runtime: its threads keep connections alive while a test does something else.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
    })
}

/// A connection and a channel, as soon as the broker serves.
fn connect() -> (Connection, Channel) {
    until("a connection", || {
        runtime().block_on(async {
            let connecting = Connection::connect(url(), ConnectionProperties::default());
            let connection = timeout(Duration::from_secs(5), connecting).await.ok()?.ok()?;
            let channel = timeout(Duration::from_secs(5), connection.create_channel()).await.ok()?.ok()?;
            Some((connection, channel))
        })
    })
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn table(name: &str, value: AMQPValue) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(name.into(), value);
    table
}

/// What kind of queue is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    Classic,
    Quorum,
    SingleActive,
    Stream,
}

/// Makes a queue.
pub fn make_queue(name: &str, made: Made) {
    let mut arguments = FieldTable::default();
    match made {
        Made::Classic => {}
        Made::Quorum => arguments = table("x-queue-type", text("quorum")),
        Made::SingleActive => arguments = table("x-single-active-consumer", AMQPValue::Boolean(true)),
        Made::Stream => arguments = table("x-queue-type", text("stream")),
    }
    make_queue_with(name, arguments);
}

/// Makes a quorum queue that dead-letters to another.
pub fn make_dying_queue(name: &str, dead: &str) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(200));
    arguments.insert("x-dead-letter-exchange".into(), text(""));
    arguments.insert("x-dead-letter-routing-key".into(), text(dead));
    make_queue_with(name, arguments);
}

fn make_queue_with(name: &str, arguments: FieldTable) {
    let (connection, channel) = connect();
    let declared = channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments);
    runtime().block_on(declared).expect("a queue");
    runtime().block_on(connection.close(200, "bye".into())).expect("an end");
}

/// Makes quorum queues that an exchange shares messages out to by their routing keys.
pub fn make_shards(exchange: &str, queues: &[String]) {
    queues.iter().for_each(|queue| make_queue(queue, Made::Quorum));
    let (connection, channel) = connect();
    runtime().block_on(async {
        let kind = ExchangeKind::Custom("x-consistent-hash".into());
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let made = channel.exchange_declare(exchange.into(), kind, options, FieldTable::default());
        made.await.expect("an exchange: the plugin rabbitmq_consistent_hash_exchange has to be enabled");
        for queue in queues {
            let (queue, options) = (queue.as_str().into(), QueueBindOptions::default());
            let bound = channel.queue_bind(queue, exchange.into(), "1".into(), options, FieldTable::default());
            bound.await.expect("a binding");
        }
        connection.close(200, "bye".into()).await.expect("an end");
    });
}

/// Binds a queue to a topic exchange, which is made if it is not there.
pub fn bind(queue: &str, exchange: &str, key: &str) {
    let (connection, channel) = connect();
    runtime().block_on(async {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let made = channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default());
        made.await.expect("an exchange");
        let options = QueueBindOptions::default();
        let bound = channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default());
        bound.await.expect("a binding");
        connection.close(200, "bye".into()).await.expect("an end");
    });
}

/// Messages ready in a queue, and its consumers.
pub fn look(queue: &str) -> Option<(u32, u32)> {
    let (connection, channel) = connect();
    runtime().block_on(async {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let found = channel.queue_declare(queue.into(), options, FieldTable::default()).await.ok()?;
        let _ = connection.close(200, "bye".into()).await;
        Some((found.message_count(), found.consumer_count()))
    })
}

/// Whatever is wrong with a publication: it is made again.
struct Letter {
    topic: String,
    key: String,
    payload: Vec<u8>,
    headers: Vec<(String, String)>,
    number: usize,
}

struct Sending {
    link: (Connection, Channel),
    under_way: VecDeque<(Letter, PublisherConfirm)>,
    waiting: VecDeque<Letter>,
}

/// A publisher that waits for confirms, and publishes again what was not confirmed.
pub struct Sender(RefCell<Sending>);

/// For whose delivery nobody waits.
const UNNUMBERED: usize = usize::MAX;

impl Sender {
    pub fn new() -> Self {
        let sending = Sending { link: Self::link(), under_way: VecDeque::new(), waiting: VecDeque::new() };
        Self(RefCell::new(sending))
    }

    fn link() -> (Connection, Channel) {
        let link = connect();
        let _ = runtime().block_on(link.1.confirm_select(ConfirmSelectOptions::default()));
        link
    }

    pub fn send(&self, topic: &str, key: &str, payload: &[u8], headers: &[(&str, &str)]) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (topic, key) = (topic.to_owned(), key.to_owned());
        self.put(Letter { topic, key, payload: payload.to_vec(), headers, number: UNNUMBERED });
    }

    /// Sends under a number, which [`Sender::delivered`] tells once it is on the bus.
    pub fn send_numbered(&self, topic: &str, key: &str, payload: &[u8], number: usize) {
        let (topic, key) = (topic.to_owned(), key.to_owned());
        self.put(Letter { topic, key, payload: payload.to_vec(), headers: Vec::new(), number });
    }

    fn put(&self, letter: Letter) {
        self.0.borrow_mut().waiting.push_back(letter);
        self.push();
    }

    /// Publishes what waits.
    fn push(&self) {
        let mut sending = self.0.borrow_mut();
        while let Some(letter) = sending.waiting.pop_front() {
            // Answers to commands take the way that the contract names; everything else goes to its queue.
            let (exchange, key) = match letter.topic.strip_suffix(".results") {
                Some(exchange) => (exchange, "results"),
                None if letter.topic.ends_with(".shards") => (letter.topic.as_str(), letter.key.as_str()),
                None => ("", letter.topic.as_str()),
            };
            let mut table = FieldTable::default();
            let mut properties = BasicProperties::default().with_delivery_mode(2);
            for (name, value) in &letter.headers {
                match name.as_str() {
                    "correlation_id" => properties = properties.with_correlation_id(value.as_str().into()),
                    name => {
                        table.insert(name.into(), text(value));
                    }
                }
            }
            // As services do whose broker stamps nothing.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            table.insert("timestamp_in_ms".into(), AMQPValue::LongLongInt(i64::try_from(now).unwrap_or(0)));
            let properties = properties.with_headers(table);
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let sent = sending.link.1.basic_publish(exchange.into(), key.into(), options, &letter.payload, properties);
            match runtime().block_on(async { timeout(Duration::from_secs(5), sent).await }) {
                Ok(Ok(confirm)) => sending.under_way.push_back((letter, confirm)),
                _ => {
                    sending.waiting.push_front(letter);
                    let lost: Vec<Letter> = sending.under_way.drain(..).map(|(letter, _)| letter).collect();
                    lost.into_iter().rev().for_each(|letter| sending.waiting.push_front(letter));
                    sending.link = Self::link();
                }
            }
        }
    }

    /// Numbers of what came onto the bus since this was last asked, after at most `wait` if there is nothing yet.
    pub fn delivered(&self, wait: Duration) -> Vec<usize> {
        let begun = Instant::now();
        let mut delivered = Vec::new();
        loop {
            self.push();
            let mut sending = self.0.borrow_mut();
            let Some((_, confirm)) = sending.under_way.front_mut() else { break };
            let left = if delivered.is_empty() { wait.saturating_sub(begun.elapsed()) } else { Duration::ZERO };
            match runtime().block_on(async { timeout(left, confirm).await }) {
                Err(_) => break,
                Ok(Ok(Confirmation::Ack(None))) => {
                    let (letter, _) = sending.under_way.pop_front().expect("the first");
                    if letter.number != UNNUMBERED {
                        delivered.push(letter.number);
                    }
                }
                Ok(Ok(_)) => {
                    let (letter, _) = sending.under_way.pop_front().expect("the first");
                    sending.waiting.push_back(letter);
                    drop(sending);
                    std::thread::park_timeout(Duration::from_millis(100));
                }
                Ok(Err(_)) => {
                    let lost: Vec<Letter> = sending.under_way.drain(..).map(|(letter, _)| letter).collect();
                    lost.into_iter().rev().for_each(|letter| sending.waiting.push_front(letter));
                    sending.link = Self::link();
                }
            }
        }
        if delivered.is_empty() {
            std::thread::park_timeout(wait.saturating_sub(begun.elapsed()));
        }
        delivered
    }

    /// Waits until all is on the bus.
    pub fn flush(&self) {
        until("the publisher's queue to drain", || {
            self.delivered(Duration::from_millis(100));
            let sending = self.0.borrow();
            (sending.under_way.is_empty() && sending.waiting.is_empty()).then_some(())
        });
    }
}

/// A message that was read.
#[derive(Debug, Clone)]
pub struct Got {
    pub payload: Vec<u8>,
    pub headers: BTreeMap<String, String>,
    pub properties: BasicProperties,
    pub routing_key: String,
}

/// Reads whole queues.
pub struct Reader {
    queues: Vec<String>,
    open: RefCell<Vec<Consumer>>,
    link: RefCell<Option<(Connection, Channel)>>,
}

impl Reader {
    pub fn new(queues: &[&str]) -> Self {
        let queues = queues.iter().map(|&queue| queue.to_owned()).collect();
        Self { queues, open: RefCell::default(), link: RefCell::default() }
    }

    fn open(&self) {
        if self.link.borrow().is_some() {
            return;
        }
        let (connection, channel) = connect();
        let consumers = runtime().block_on(async {
            channel.basic_qos(500, BasicQosOptions::default()).await.ok()?;
            let mut consumers = Vec::new();
            for queue in &self.queues {
                let options = BasicConsumeOptions::default();
                let consumer = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
                consumers.push(timeout(Duration::from_secs(5), consumer).await.ok()?.ok()?);
            }
            Some(consumers)
        });
        if let Some(consumers) = consumers {
            self.open.replace(consumers);
            self.link.replace(Some((connection, channel)));
        }
    }

    /// The next message within `wait`.
    pub fn next(&self, wait: Duration) -> Option<Got> {
        let until = Instant::now() + wait;
        self.open();
        loop {
            let mut open = self.open.borrow_mut();
            let slice = Duration::from_millis(5).min(until.saturating_duration_since(Instant::now()));
            for consumer in open.iter_mut() {
                match runtime().block_on(async { timeout(slice, consumer.next()).await }) {
                    Err(_) => {}
                    Ok(Some(Ok(delivery))) => {
                        let _ = runtime().block_on(delivery.acker.ack(BasicAckOptions::default()));
                        let text = |value: &AMQPValue| match value {
                            AMQPValue::LongString(text) => text.to_string(),
                            other => format!("{other:?}"),
                        };
                        let headers = delivery.properties.headers().as_ref().into_iter().flatten();
                        return Some(Got {
                            headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
                            payload: delivery.data,
                            routing_key: delivery.routing_key.as_str().to_owned(),
                            properties: delivery.properties,
                        });
                    }
                    Ok(_) => {
                        self.link.replace(None);
                    }
                }
            }
            if self.link.borrow().is_none() {
                open.clear();
                return None;
            }
            if Instant::now() >= until {
                return None;
            }
        }
    }

    /// Waits for the first message that `wanted` takes.
    pub fn find<T>(&self, what: &str, mut wanted: impl FnMut(Got) -> Option<T>) -> T {
        until(what, || self.next(Duration::from_millis(100)).and_then(&mut wanted))
    }

    /// Everything up to the end as it is now.
    pub fn rest(&self) -> Vec<Got> {
        let mut got = Vec::new();
        loop {
            while let Some(message) = self.next(Duration::from_millis(200)) {
                got.push(message);
            }
            let empty = |queue: &String| look(queue).is_some_and(|(ready, _)| ready == 0);
            if self.queues.iter().all(empty) && self.link.borrow().is_some() {
                return got;
            }
        }
    }
}
