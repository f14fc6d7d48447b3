//! Which topics there are, whose clock stamps them, and how missing ones of the agent's own are made.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::{Client, DefaultClientContext},
    config::FromClientConfig,
    consumer::Consumer,
    error::RDKafkaErrorCode,
};

use super::connection::{Connection, trouble};
use crate::bus::{
    layout::Topics,
    settings::{Kept, settings},
};

/// How long the cluster may take to answer a question about its topics.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the agent cannot start on these topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicError {
    /// The cluster did not answer.
    Unreachable(String),
    /// A topic or pattern that nothing bears.
    NoInput(String),
    /// A pattern that is none.
    BadPattern(String),
    /// Topics of different partition counts.
    Unequal {
        /// One topic and its partitions.
        one: (String, i32),
        /// Another.
        other: (String, i32),
    },
    /// A topic of the agent's own could not be made.
    NotMade(String),
    /// The topic with the agent's state is gone.
    StateGone(String),
}

impl std::fmt::Display for TopicError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "Kafka does not answer: {why}"),
            Self::NoInput(name) => {
                write!(f, "there is no topic {name:?}: create it, or name another one with --topics or kafka.topics")
            }
            Self::BadPattern(why) => write!(f, "{why}"),
            Self::Unequal { one, other } => write!(
                f,
                "topic {:?} has {} partitions and {:?} has {}: chains are followed by partition number, so inputs, \
                 results and operations need the same number",
                one.0, one.1, other.0, other.1
            ),
            Self::StateGone(topic) => write!(
                f,
                "the topic {topic:?} with the agent's state is gone, and with it what is known of open chains and of commands \
                 that are out; bring it back, or begin anew with another kafka.group"
            ),
            Self::NotMade(why) => write!(f, "a topic of the agent's own is missing and cannot be made: {why}"),
        }
    }
}

impl std::error::Error for TopicError {}

/// Asks the cluster for its topics, with a client of its own.
///
/// # Errors
/// [`TopicError::Unreachable`].
pub fn list(connection: &Connection) -> Result<Vec<(String, i32)>, TopicError> {
    let client = connection.watcher().map_err(|error| TopicError::Unreachable(error.to_string()))?;
    let told = |error| trouble(&client).map_or(error, TopicError::Unreachable);
    listed(client.client()).map_err(told)
}

/// Asks the cluster for its topics and how many partitions each has.
///
/// # Errors
/// [`TopicError::Unreachable`].
pub fn listed<C: ClientContext>(client: &Client<C>) -> Result<Vec<(String, i32)>, TopicError> {
    let all = client.fetch_metadata(None, PATIENCE).map_err(|error| TopicError::Unreachable(error.to_string()))?;
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    Ok(all.topics().iter().map(|topic| (topic.name().to_owned(), count(topic.partitions().len()))).collect())
}

/// Whose clock stamps the records of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamped {
    /// The broker's, when it takes a record in.
    ByBroker,
    /// The producer's.
    BySender,
}

/// Asks whose clock stamps the records of each of these topics. One that the cluster does not tell of is left out.
///
/// # Errors
/// What the cluster says: it may not let the agent look.
pub fn stamps(connection: &Connection, topics: &[&str]) -> Result<Vec<(String, Stamped)>, String> {
    let client: AdminClient<DefaultClientContext> =
        AdminClient::from_config(&connection.admin()).map_err(|error| error.to_string())?;
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let asked: Vec<ResourceSpecifier<'_>> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let told = block_on(client.describe_configs(&asked, &options)).map_err(|error| error.to_string())?;
    let mut stamps = Vec::new();
    for (topic, told) in topics.iter().zip(told) {
        let config = told.map_err(|code| format!("{topic}: {code}"))?;
        let value = config.entry_map().get("message.timestamp.type").and_then(|entry| entry.value.clone());
        match value.as_deref() {
            Some("LogAppendTime") => stamps.push(((*topic).to_owned(), Stamped::ByBroker)),
            Some(_) => stamps.push(((*topic).to_owned(), Stamped::BySender)),
            None => {}
        }
    }
    Ok(stamps)
}

/// Knows which topics there are, and makes those of the agent's own that are missing, with settings that suit what is in
/// them.
pub struct Maker {
    client: AdminClient<DefaultClientContext>,
    partitions: i32,
    there: BTreeSet<String>,
    /// When all topics were last asked for; `None`: that is true no more.
    listed: Option<Instant>,
    /// Topics that the cluster refused to make, and when.
    refused: HashMap<String, (Instant, TopicError)>,
}

/// How long it is taken for true that a topic is not there, or cannot be made. Each plan without a route would ask anew
/// otherwise, and in a storm of them the worker would do nothing else.
const ABSENT: Duration = Duration::from_secs(1);

impl Maker {
    /// A maker of topics with `partitions` partitions, where the topics `there` exist already.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn new(connection: &Connection, partitions: i32, there: &[(String, i32)]) -> Result<Self, TopicError> {
        let client = AdminClient::from_config(&connection.admin())
            .map_err(|error| TopicError::Unreachable(error.to_string()))?;
        let there = there.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self { client, partitions, there, listed: Some(Instant::now()), refused: HashMap::new() })
    }

    /// Looks for every topic anew from now on.
    pub fn forget(&mut self) {
        self.there.clear();
        self.listed = None;
        self.refused.clear();
    }

    /// Sees to it that `topic` is there: looks for it, and makes it if it is one that the agent may `make`. What was found
    /// missing, or refused, a moment ago is so still, unless the question is asked `anew`.
    ///
    /// # Errors
    /// [`TopicError::Unreachable`], [`TopicError::NoInput`] if it is not there, [`TopicError::NotMade`] if it cannot be
    /// made.
    pub fn secure(&mut self, topic: &str, make: bool, anew: bool) -> Result<(), TopicError> {
        if self.there.contains(topic) {
            return Ok(());
        }
        if anew || self.listed.is_none_or(|listed| listed.elapsed() >= ABSENT) {
            self.there.extend(listed(self.client.inner())?.into_iter().map(|(name, _)| name));
            self.listed = Some(Instant::now());
        }
        match self.there.contains(topic) {
            true => Ok(()),
            false if make => self.make_unless_refused(topic, anew),
            false => Err(TopicError::NoInput(topic.to_owned())),
        }
    }

    fn make_unless_refused(&mut self, topic: &str, anew: bool) -> Result<(), TopicError> {
        self.refused.retain(|_, (at, _)| at.elapsed() < ABSENT);
        if let Some((_, refusal)) = self.refused.get(topic).filter(|_| !anew) {
            return Err(refusal.clone());
        }
        let made = self.make(topic, Kept::All);
        if let Err(refusal @ TopicError::NotMade(_)) = &made {
            self.refused.insert(topic.to_owned(), (Instant::now(), refusal.clone()));
        }
        made
    }

    /// Makes what the agent reads and writes, but for commands, which are made when a service first gets one.
    ///
    /// # Errors
    /// [`TopicError::NotMade`].
    pub fn make_own(&mut self, topics: &Topics) -> Result<(), TopicError> {
        self.make(&topics.state, Kept::Newest)?;
        let carried = topics.carries().then_some(&topics.rekeyed);
        for name in [&topics.results, &topics.operations].into_iter().chain(carried) {
            self.make(name, Kept::Stamped)?;
        }
        for name in [&topics.events, &topics.chains, &topics.dead_letters] {
            self.make(name, Kept::All)?;
        }
        Ok(())
    }

    /// Makes `topic` unless it is there.
    ///
    /// # Errors
    /// [`TopicError::NotMade`] if the cluster will not have it, [`TopicError::Unreachable`] if it does not answer.
    fn make(&mut self, topic: &str, kept: Kept) -> Result<(), TopicError> {
        if self.there.contains(topic) {
            return Ok(());
        }
        let settings = settings(kept);
        // -1 leaves the number of replicas to the cluster.
        let new = NewTopic::new(topic, self.partitions, TopicReplication::Fixed(-1));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let failed = |why: &dyn std::fmt::Display| TopicError::NotMade(format!("{topic}: {why}"));
        let unanswered = |why: &dyn std::fmt::Display| TopicError::Unreachable(format!("{topic} is not made: {why}"));
        let made = block_on(self.client.create_topics([&new], &options)).map_err(|error| unanswered(&error))?;
        match made.first() {
            Some(Err((_, code @ (RDKafkaErrorCode::RequestTimedOut | RDKafkaErrorCode::NotController)))) => {
                Err(unanswered(code))
            }
            Some(Err((_, code))) if *code != RDKafkaErrorCode::TopicAlreadyExists => Err(failed(code)),
            made => {
                if made.is_some_and(Result::is_ok) {
                    tracing::info!(topic, partitions = self.partitions, "topic made");
                }
                self.there.insert(topic.to_owned());
                Ok(())
            }
        }
    }
}

/// The admin client answers by futures that its own thread completes; here a thread waits for them.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

struct Unpark(std::thread::Thread);

impl std::task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
