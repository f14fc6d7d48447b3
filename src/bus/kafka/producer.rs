//! The one transaction that a step ends in: everything that was decided, and how far the inputs were read, become
//! visible together or not at all.
//!
//! Begin, send all, offsets, drain, commit in one burst. Two habits of the client decide its shape: `commit` with records
//! in flight takes at least 100 ms, so they are drained first; and what is added right after a commit waits for the
//! broker's markers, so nothing is sent before the step's end.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message, TopicPartitionList,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{DeliveryResult, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};

use super::connection::{self, Connection};
use crate::bus::{Outgoing, Progress};

/// Time for one call to the coordinator; asked again while it says that it may be.
const CALL: Duration = Duration::from_secs(3);

/// Largest record once a topic refused one: Kafka's default limit of 1 MiB, less the batch's own bytes.
pub const CAREFUL_RECORD_BYTES: usize = 1_000_000;

/// Sleep of the drain loop when nothing came: shorter ones burn a core, longer ones show in the commit's latency.
const DRAIN_SLEEP: Duration = Duration::from_micros(100);

/// Why a step is not visible. Whatever it was, the producer is finished: make a new one, which ends what this one left
/// open, and restore. (A producer that was aborted with records in flight goes on with a gap in its sequence numbers,
/// and the broker refuses its next transaction; to abort also takes as long as the brokers are away.) If the commit
/// itself failed its outcome may be unknown; the committed offsets tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitError {
    /// Another live producer bears the same transactional id, or the transaction outlived its timeout.
    pub fenced: bool,
    /// A record was too large for its topic.
    pub too_large: bool,
    /// What the client says.
    pub why: String,
}

impl CommitError {
    /// A step that was not even tried: neither another producer nor the size of a record is behind it.
    #[must_use]
    pub fn before(why: impl Into<String>) -> Self {
        Self { fenced: false, too_large: false, why: why.into() }
    }
}

impl std::fmt::Display for CommitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for CommitError {}

/// Asked whenever the brokers were waited for in vain whether to go on waiting.
type Waits = Box<dyn Fn() -> bool + Send>;

/// A transactional producer. Drop it before another of the same id is made: its client goes on in the background with
/// what it has not got through, and would do so against its own successor once the brokers are back.
pub struct Output {
    producer: BaseProducer<Context>,
    waits: Waits,
}

impl Output {
    /// Connects under this transactional id, fences a predecessor of the same, and ends what it left open.
    ///
    /// # Errors
    /// What the client says, once it is not worth asking again or `patience` is over.
    pub fn new(connection: &Connection, name: &str, patience: Duration, waits: Waits) -> KafkaResult<Self> {
        let producer: BaseProducer<Context> =
            BaseProducer::from_config_and_context(&connection.output(name), Context::default())?;
        let begun = Instant::now();
        loop {
            match producer.init_transactions(CALL) {
                Ok(()) => return Ok(Self { producer, waits }),
                Err(error) if is_retriable(&error) && begun.elapsed() < patience && waits() => {
                    tracing::warn!(%error, "waiting for the transaction coordinator");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes a step visible. Returns, by partition of `topic`, one more than the offset of the step's last record there.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn commit(
        &self,
        records: &[Outgoing],
        progress: &[Progress],
        group: &ConsumerGroupMetadata,
        topic: &str,
    ) -> Result<HashMap<i32, u64>, CommitError> {
        self.producer.context().reset(topic);
        self.burst(records, progress, Some(group)).map_err(|error| self.failed(&error))?;
        Ok(self.producer.context().taken())
    }

    /// Commits what a committed transaction of this id left open in partitions, with a `filler` for each: the marker of a
    /// transaction ends whatever its producer has open there, of whichever epoch. (The agent's `hanging` says how that
    /// comes about.) Whoever calls this knows that it was committed.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn finish(&self, filler: &[Outgoing]) -> Result<(), CommitError> {
        self.producer.context().reset("");
        self.burst(filler, &[], None).map_err(|error| self.failed(&error))
    }

    fn burst(
        &self,
        records: &[Outgoing],
        progress: &[Progress],
        group: Option<&ConsumerGroupMetadata>,
    ) -> KafkaResult<()> {
        let mut offsets = TopicPartitionList::with_capacity(progress.len());
        for Progress { at, offset, metadata } in progress {
            let offset = rdkafka::Offset::Offset(i64::try_from(*offset).unwrap_or(i64::MAX));
            let mut element = offsets.add_partition(&at.topic, at.partition);
            element.set_offset(offset)?;
            element.set_metadata(metadata);
        }
        self.persist(|| self.producer.begin_transaction())?;
        for record in records {
            self.send(record)?;
        }
        if let (false, Some(group)) = (progress.is_empty(), group) {
            self.persist(|| self.producer.send_offsets_to_transaction(&offsets, group, CALL))?;
        }
        self.drain();
        self.persist(|| self.producer.commit_transaction(CALL))
    }

    fn send(&self, record: &Outgoing) -> KafkaResult<()> {
        loop {
            let mut outgoing: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&record.topic);
            outgoing.partition = record.partition;
            outgoing.key = record.key.as_deref();
            outgoing.payload = record.payload.as_deref();
            outgoing.headers = headers(record);
            match self.producer.send(outgoing) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => self.drain(),
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Serves delivery reports until nothing is in flight.
    fn drain(&self) {
        loop {
            let in_flight = self.producer.in_flight_count();
            if in_flight == 0 {
                return;
            }
            self.producer.poll(Duration::ZERO);
            if self.producer.in_flight_count() == in_flight {
                #[expect(clippy::disallowed_methods, reason = "the client's own waiting never returns early")]
                thread::sleep(DRAIN_SLEEP);
            }
        }
    }

    /// Calls again while the client says that the very same call may succeed.
    fn persist(&self, mut call: impl FnMut() -> KafkaResult<()>) -> KafkaResult<()> {
        loop {
            match call() {
                Err(error) if is_retriable(&error) && (self.waits)() => {
                    tracing::warn!(%error, "the commit waits for the brokers");
                }
                done => return done,
            }
        }
    }

    /// Says what a failed commit leaves.
    fn failed(&self, error: &KafkaError) -> CommitError {
        let context = self.producer.context();
        let delivery = context.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let too_large = context.too_large.load(Ordering::Acquire)
            || matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
        let fatal = self.producer.client().fatal_error();
        let fenced = fatal
            .as_ref()
            .is_some_and(|(code, _)| matches!(code, RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced));
        let known = delivery.or(fatal.map(|(_, why)| why));
        let why = known.map_or_else(|| error.to_string(), |known| format!("{error} ({known})"));
        CommitError { fenced, too_large, why }
    }
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.is_retriable() && !error.is_fatal() && !error.txn_requires_abort(),
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}

fn headers(record: &Outgoing) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let headers = OwnedHeaders::new_with_capacity(record.headers.len());
    Some(record.headers.iter().fold(headers, |headers, (key, value)| {
        headers.insert(rdkafka::message::Header { key, value: value.as_deref() })
    }))
}

/// Keeps the first delivery that failed, since the transaction's own error does not say which record it was, and where
/// those to one topic went.
#[derive(Default)]
struct Context {
    failure: Mutex<Option<String>>,
    too_large: AtomicBool,
    /// The topic, and one more than the last offset by partition.
    written: Mutex<(String, HashMap<i32, u64>)>,
}

impl Context {
    fn taken(&self) -> HashMap<i32, u64> {
        std::mem::take(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    fn reset(&self, topic: &str) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = (topic.to_owned(), HashMap::new());
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.too_large.store(false, Ordering::Release);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        connection::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "producer");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Ok(message) = result {
            let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
            if let (true, Ok(offset)) = (written.0 == message.topic(), u64::try_from(message.offset())) {
                let next = written.1.entry(message.partition()).or_default();
                *next = offset.saturating_add(1).max(*next);
            }
        }
        if let Err((error, message)) = result {
            if matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::MessageSizeTooLarge)) {
                self.too_large.store(true, Ordering::Release);
            }
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert_with(|| format!("a record for {}: {error}", message.topic()));
        }
    }
}
