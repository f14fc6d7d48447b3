//! What must be there: the exchange, the agent's own queues with their bindings, and a lease on each queue that is read. Made
//! again with each connection; what the user may not make must be there already (`check --print-setup` says what).

use lapin::{
    Channel, Connection, Error, ErrorKind, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};

use super::{
    address::PATIENCE,
    source::{Kind, Source, told},
};

/// Deliveries after which a queue of the agent gives up a message, to the dead letters: one that is requeued by each crash
/// of an agent must outlive many.
const DELIVERY_LIMIT: i64 = 1_000;

/// Bytes that the stream of what agents tell keeps, and of its segments, of which whole ones go.
const TOLD_BYTES: i64 = 64 << 20;
const TOLD_SEGMENT_BYTES: i64 = 8 << 20;

/// Why a queue is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Somebody else reads it: this agent stands by.
    Taken(String),
    /// Anything else.
    Failed(String),
}

impl Trouble {
    pub fn text(&self) -> &str {
        match self {
            Self::Taken(why) | Self::Failed(why) => why,
        }
    }
}

impl From<String> for Trouble {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// Waits for what the broker answers, but not for ever. `what` says what was asked.
pub(super) async fn answer<T>(what: &str, asked: impl Future<Output = lapin::Result<T>>) -> Result<T, Refused> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Refused { soft: soft(&error), silence: false, text: format!("{what}: {error}") }),
        Err(_) => {
            let text = format!("{what}: no answer within {} s", PATIENCE.as_secs());
            Err(Refused { soft: None, silence: true, text })
        }
    }
}

/// What the broker did not do.
#[derive(Debug)]
pub(super) struct Refused {
    /// Why, if it said so. The channel is gone then.
    soft: Option<AMQPSoftError>,
    /// It did not answer in time.
    silence: bool,
    text: String,
}

impl Refused {
    pub fn is_silence(&self) -> bool {
        self.silence
    }

    pub fn is(&self, soft: &AMQPSoftError) -> bool {
        self.soft.as_ref() == Some(soft)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Refused> for Trouble {
    fn from(refused: Refused) -> Self {
        Self::Failed(refused.text)
    }
}

fn soft(error: &Error) -> Option<AMQPSoftError> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => match error.kind() {
            AMQPErrorKind::Soft(soft) => Some(soft.clone()),
            AMQPErrorKind::Hard(_) => None,
        },
        _ => None,
    }
}

/// A channel. One that was refused something is gone, so each attempt has its own.
pub(super) async fn channel(connection: &Connection) -> Result<Channel, Refused> {
    answer("a channel", connection.create_channel()).await
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// A queue as it is: messages ready, and consumers.
pub(super) async fn look(channel: &Channel, queue: &str) -> Result<(u32, u32), Refused> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asked = channel.queue_declare(queue.into(), options, FieldTable::default());
    let found = answer(&format!("queue {queue}"), asked).await?;
    Ok((found.message_count(), found.consumer_count()))
}

/// Makes the exchange and the queue of the dead letters, unless they are there.
pub(super) async fn make_exchange(connection: &Connection, exchange: &str, dead_letters: &str) -> Result<(), Refused> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let what = format!("exchange {exchange}");
    let channel_of = channel(connection).await?;
    let made = channel_of.exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default());
    match answer(&what, made).await {
        // Who may not make it may find it.
        Err(refused) if refused.is(&AMQPSoftError::ACCESSREFUSED) => {
            let options = ExchangeDeclareOptions { passive: true, ..options };
            let channel = channel(connection).await?;
            let found = channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default());
            answer(&what, found).await?;
        }
        made => made?,
    }
    make_queue(connection, exchange, dead_letters, &["dead-letters".to_owned()], quorum()).await
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments
}

/// What one that is read gives up goes to the dead letters.
fn quorum_that_is_read(exchange: &str) -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    arguments.insert("x-dead-letter-exchange".into(), text(exchange));
    arguments.insert("x-dead-letter-routing-key".into(), text("dead-letters"));
    arguments
}

fn stream() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("stream"));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(TOLD_BYTES));
    arguments.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongLongInt(TOLD_SEGMENT_BYTES));
    arguments
}

/// Makes a queue of the agent's own and its bindings, unless they are there.
async fn make_queue(
    connection: &Connection,
    exchange: &str,
    queue: &str,
    routing_keys: &[String],
    arguments: FieldTable,
) -> Result<(), Refused> {
    let found = look(&channel(connection).await?, queue).await;
    let is_there = found.is_ok();
    match found {
        Ok(_) => {}
        Err(refused) if refused.is(&AMQPSoftError::NOTFOUND) => {
            let channel = channel(connection).await?;
            let made = channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments);
            answer(&format!("queue {queue}"), made).await?;
        }
        Err(refused) => return Err(refused),
    }
    for key in routing_keys {
        let options = QueueBindOptions::default();
        let channel = channel(connection).await?;
        let bound =
            channel.queue_bind(queue.into(), exchange.into(), key.as_str().into(), options, FieldTable::default());
        match answer(&format!("binding {key} of queue {queue}"), bound).await {
            // Who made the queue for us bound it, too.
            Err(refused) if is_there && refused.is(&AMQPSoftError::ACCESSREFUSED) => {}
            bound => bound?,
        }
    }
    Ok(())
}

/// Makes a queue that gets a copy of what is published to an exchange, and that ends with the connection.
async fn make_copy(
    connection: &Connection,
    exchange: &str,
    queue: &str,
    routing_keys: &[String],
) -> Result<(), Refused> {
    let channel = channel(connection).await?;
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let made = channel.queue_declare(queue.into(), options, FieldTable::default());
    answer(&format!("queue {queue}"), made).await?;
    for key in routing_keys {
        let (queue, from) = (queue.into(), exchange.into());
        let bound =
            channel.queue_bind(queue, from, key.as_str().into(), QueueBindOptions::default(), FieldTable::default());
        answer(&format!("a copy of exchange {exchange}"), bound).await?;
    }
    Ok(())
}

/// Makes a queue that is read if it is the agent's own, and takes the lease on it. Says how many messages are ready there.
/// `beside`: others may read it, too, where that takes nothing from them.
pub(super) async fn take(
    connection: &Connection,
    exchange: &str,
    source: &Source,
    beside: bool,
) -> Result<u32, Trouble> {
    let queue = &source.queue;
    match &source.kind {
        Kind::Own { routing_keys } => {
            make_queue(connection, exchange, queue, routing_keys, quorum_that_is_read(exchange)).await?;
        }
        Kind::Told => {
            make_queue(connection, exchange, queue, &told(), stream()).await?;
            return Ok(0);
        }
        Kind::Copy { exchange, routing_keys } => {
            make_copy(connection, exchange, queue, routing_keys).await?;
            return Ok(0);
        }
        Kind::Stream { .. } if beside => return Ok(0),
        Kind::Queue | Kind::Stream { .. } => {}
    }
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let channel_of = channel(connection).await?;
    let leased = channel_of.queue_declare(source.lease().into(), options, FieldTable::default());
    match answer(&format!("lease on queue {queue}"), leased).await {
        Err(refused) if refused.is(&AMQPSoftError::RESOURCELOCKED) => {
            return Err(Trouble::Taken(format!("standing by: another agent reads queue {queue}")));
        }
        leased => leased?,
    };
    let (ready, consumers) = look(&channel(connection).await?, queue).await?;
    if consumers > 0 {
        return Err(Trouble::Taken(format!(
            "standing by: something else consumes queue {queue}, and would take half of each chain"
        )));
    }
    Ok(ready)
}
