//! What the agent's topics are called, which inputs there are, and how missing topics of its own are made.

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

use super::connection::Connection;
use crate::{
    bus::{
        carried::UNDELIVERABLE,
        layout::{Layout, Role, Source, Topics},
        settings::{Kept, settings},
    },
    policy::load::topic_pattern,
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
    listed(client.client())
}

fn listed<C: ClientContext>(client: &Client<C>) -> Result<Vec<(String, i32)>, TopicError> {
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

/// Finds among the topics there are what is read, and what is carried first.
///
/// # Errors
/// If a name or pattern names nothing, or if partition counts differ where they must not.
pub fn resolve(topics: &Topics, there: &[(String, i32)]) -> Result<Layout, TopicError> {
    let undeliverable = undeliverable(topics, there)?;
    let inputs = inputs(topics, there)?;
    let Some(&first) = inputs.first() else { return Err(TopicError::NoInput(String::new())) };
    let source = |role| {
        move |(name, partitions): &(String, i32)| Source { topic: name.as_str().into(), role, partitions: *partitions }
    };
    let mut sources: Vec<Source> = undeliverable.into_iter().map(source(UNDELIVERABLE)).collect();
    let mut own: Vec<&String> = vec![&topics.results, &topics.operations, &topics.state];
    if topics.carries() {
        own.push(&topics.rekeyed);
    }
    let own: BTreeSet<&(String, i32)> = there.iter().filter(|(name, _)| own.contains(&name)).collect();
    let read = if topics.repartition { BTreeSet::new() } else { inputs.clone() };
    let equal: Vec<&(String, i32)> = read.iter().copied().chain(own).collect();
    // Where inputs are carried their own numbers mean nothing: what stands already says how many engines there are.
    let most = inputs.iter().map(|(_, partitions)| *partitions).max().unwrap_or(first.1);
    let partitions = equal.first().map_or(most, |one| one.1);
    for &other in &equal {
        if other.1 != partitions {
            return Err(TopicError::Unequal { one: equal[0].clone(), other: other.clone() });
        }
    }
    if topics.repartition {
        sources.extend(inputs.iter().copied().map(source(Role::Envelopes)));
    }
    let layout = Layout::new(read.iter().map(|(name, _)| name.as_str()), topics, partitions);
    Ok(layout.carrying(sources, topics))
}

/// The dead-letter topics of services (S1.9).
pub(super) fn undeliverable<'a>(
    topics: &Topics,
    there: &'a [(String, i32)],
) -> Result<BTreeSet<&'a (String, i32)>, TopicError> {
    let mut found = BTreeSet::new();
    for wanted in &topics.undeliverable {
        let matching = matching(wanted, topics, there)?;
        // There may be none yet: frameworks make them when the first message dies.
        if matching.is_empty() {
            tracing::warn!(topics = wanted, "there is no such dead-letter topic yet; it is looked for at each start");
        }
        found.extend(matching);
    }
    Ok(found)
}

/// The topics that the configured names and patterns of inputs stand for, by name.
///
/// # Errors
/// [`TopicError::NoInput`] if one names nothing, [`TopicError::BadPattern`].
pub(super) fn inputs<'a>(
    topics: &Topics,
    there: &'a [(String, i32)],
) -> Result<BTreeSet<&'a (String, i32)>, TopicError> {
    let mut inputs = BTreeSet::new();
    for wanted in &topics.inputs {
        let found = matching(wanted, topics, there)?;
        if found.is_empty() {
            return Err(TopicError::NoInput(wanted.clone()));
        }
        inputs.extend(found);
    }
    // A pattern of inputs may match dead-letter topics, too.
    for wanted in &topics.undeliverable {
        for found in matching(wanted, topics, there)? {
            inputs.remove(found);
        }
    }
    Ok(inputs)
}

/// The topics that a configured name or pattern stands for.
fn matching<'a>(
    wanted: &str,
    topics: &Topics,
    there: &'a [(String, i32)],
) -> Result<Vec<&'a (String, i32)>, TopicError> {
    if !wanted.starts_with('^') {
        return Ok(there.iter().filter(|(name, _)| name == wanted).collect());
    }
    let pattern = topic_pattern(wanted).map_err(TopicError::BadPattern)?;
    let is_input = |name: &str| pattern.is_match(name) && !name.starts_with("__") && !topics.is_own(name);
    Ok(there.iter().filter(|(name, _)| is_input(name)).collect())
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

#[cfg(test)]
mod tests {
    use super::{TopicError, Topics, resolve};
    use crate::bus::layout::Role;

    fn topics(inputs: &[&str]) -> Topics {
        Topics { inputs: inputs.iter().map(|&name| name.to_owned()).collect(), ..Topics::under("c.") }
    }

    fn there(names: &[(&str, i32)]) -> Vec<(String, i32)> {
        names.iter().map(|&(name, partitions)| (name.to_owned(), partitions)).collect()
    }

    #[test]
    fn patterns_take_in_inputs_and_nothing_of_the_agents_own() {
        let there = there(&[("orders", 4), ("stock", 4), ("c.commands.stock", 4), ("c.events", 2), ("__offsets", 50)]);
        let layout = resolve(&topics(&["^.*"]), &there).unwrap();
        let lanes: Vec<_> = layout.lanes.iter().map(|lane| (&*lane.topic, lane.role)).collect();
        assert_eq!(
            lanes,
            [
                ("orders", Role::Envelopes),
                ("stock", Role::Envelopes),
                ("c.results", Role::Results),
                ("c.operations", Role::Operations)
            ]
        );
        assert_eq!(layout.partitions, 4);
    }

    #[test]
    fn a_pattern_matches_whole_names_whichever_alternative_comes_first() {
        let there = there(&[("a", 4), ("ab", 4), ("abc", 4), ("xab", 4)]);
        for pattern in ["^a|^ab", "^ab|^a", "^(a|ab)", "^ab?$", "^a|ab"] {
            let layout = resolve(&topics(&[pattern]), &there).unwrap();
            let inputs: Vec<&str> = layout.lanes.iter().map(|lane| &*lane.topic).take(2).collect();
            assert_eq!((inputs, layout.lanes.len()), (vec!["a", "ab"], 4), "{pattern}");
        }
    }

    #[test]
    fn unequal_counts_and_missing_inputs_are_refused() {
        let unequal = resolve(&topics(&["orders"]), &there(&[("orders", 4), ("c.results", 3)]));
        assert!(matches!(unequal, Err(TopicError::Unequal { .. })), "{unequal:?}");
        let missing = resolve(&topics(&["orders", "^order"]), &there(&[("orders", 4)]));
        assert_eq!(missing, Err(TopicError::NoInput("^order".to_owned())));
    }
}
