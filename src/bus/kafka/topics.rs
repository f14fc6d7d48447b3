//! What the agent's topics are called, which inputs there are, and how missing topics of its own are made.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::FromClientConfig,
    consumer::Consumer,
    error::RDKafkaErrorCode,
    metadata::Metadata,
};

use regex::Regex;

use super::connection::{Connection, MAX_RECORD_BYTES};

/// How long the cluster may take to answer a question about its topics.
const PATIENCE: Duration = Duration::from_secs(10);

/// Names of topics, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    /// Topics with envelopes; one that begins with `^` is a pattern.
    pub inputs: Vec<String>,
    /// Answers to commands.
    pub results: String,
    /// What operators ask for.
    pub operations: String,
    /// Commands; `{service}` is replaced.
    pub commands: String,
    /// Changes in chains' lives.
    pub events: String,
    /// Finished pictures of chains.
    pub chains: String,
    /// Refused input.
    pub dead_letters: String,
    /// What a restart needs.
    pub state: String,
}

impl Topics {
    /// The topic for commands to `service`. Characters that topic names cannot have become `_`.
    #[must_use]
    pub fn commands_of(&self, service: &str) -> String {
        let allowed = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
        let service: String = service.chars().map(allowed).collect();
        let mut name = self.commands.replace("{service}", &service);
        name.truncate(MAX_TOPIC_BYTES);
        name
    }

    /// Whether `topic` is where commands to some service go.
    #[must_use]
    pub fn is_for_commands(&self, topic: &str) -> bool {
        let (before, after) = self.commands.split_once("{service}").unwrap_or((self.commands.as_str(), ""));
        topic.starts_with(before) && topic.ends_with(after)
    }

    /// Whether the agent itself writes or reads `topic`: a pattern of inputs never takes it in.
    fn is_own(&self, topic: &str) -> bool {
        let own = [&self.results, &self.operations, &self.events, &self.chains, &self.dead_letters, &self.state];
        own.iter().any(|name| *name == topic) || self.is_for_commands(topic)
    }
}

/// Longest name of a topic that Kafka takes.
const MAX_TOPIC_BYTES: usize = 249;

/// What is read from a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Envelopes.
    Envelopes,
    /// Answers to commands.
    Results,
    /// What operators ask for.
    Operations,
}

/// One topic that is read. Its index in the layout is the index of its lane in every engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// The topic.
    pub topic: Arc<str>,
    /// What is in it.
    pub role: Role,
}

/// The topics that are read, and their common number of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Inputs by name, then results, then operations.
    pub lanes: Vec<Lane>,
    /// Partitions of each.
    pub partitions: i32,
}

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
            Self::NotMade(why) => write!(f, "a topic of the agent's own is missing and cannot be made: {why}"),
        }
    }
}

impl std::error::Error for TopicError {}

/// Asks the cluster for its topics.
///
/// # Errors
/// [`TopicError::Unreachable`].
pub fn list(connection: &Connection) -> Result<Vec<(String, i32)>, TopicError> {
    let unreachable = |error: rdkafka::error::KafkaError| TopicError::Unreachable(error.to_string());
    let client = connection.watcher().map_err(unreachable)?;
    let all: Metadata = client.fetch_metadata(None, PATIENCE).map_err(unreachable)?;
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    Ok(all.topics().iter().map(|topic| (topic.name().to_owned(), count(topic.partitions().len()))).collect())
}

/// Finds the inputs among the topics there are.
///
/// # Errors
/// If one names nothing, or if partition counts differ.
pub fn resolve(topics: &Topics, there: &[(String, i32)]) -> Result<Layout, TopicError> {
    let mut inputs: BTreeSet<&(String, i32)> = BTreeSet::new();
    for wanted in &topics.inputs {
        let found = matching(wanted, topics, there)?;
        if found.is_empty() {
            return Err(TopicError::NoInput(wanted.clone()));
        }
        inputs.extend(found);
    }
    let Some(&first) = inputs.first() else { return Err(TopicError::NoInput(String::new())) };
    let own = there.iter().filter(|(name, _)| [&topics.results, &topics.operations, &topics.state].contains(&name));
    for other in inputs.iter().copied().chain(own) {
        if other.1 != first.1 {
            return Err(TopicError::Unequal { one: first.clone(), other: other.clone() });
        }
    }
    let lane = |topic: &str, role| Lane { topic: topic.into(), role };
    let mut lanes: Vec<Lane> = inputs.iter().map(|(name, _)| lane(name, Role::Envelopes)).collect();
    lanes.push(lane(&topics.results, Role::Results));
    lanes.push(lane(&topics.operations, Role::Operations));
    Ok(Layout { lanes, partitions: first.1 })
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
    let pattern = Regex::new(wanted).map_err(|error| TopicError::BadPattern(error.to_string()))?;
    let whole = |name: &str| pattern.find(name).is_some_and(|found| found.len() == name.len());
    let is_input = |name: &str| whole(name) && !name.starts_with("__") && !topics.is_own(name);
    Ok(there.iter().filter(|(name, _)| is_input(name)).collect())
}

/// Makes the agent's own topics that are missing, with settings that suit what is in them.
pub struct Maker {
    connection: Connection,
    client: AdminClient<DefaultClientContext>,
    partitions: i32,
    there: BTreeSet<String>,
}

impl Maker {
    /// A maker of topics with `partitions` partitions, where the topics `there` exist already.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn new(connection: &Connection, partitions: i32, there: &[(String, i32)]) -> Result<Self, TopicError> {
        let client = AdminClient::from_config(&connection.admin())
            .map_err(|error| TopicError::Unreachable(error.to_string()))?;
        let there = there.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self { connection: connection.clone(), client, partitions, there })
    }

    /// Whether `topic` was there when it was last looked for.
    #[must_use]
    pub fn knows(&self, topic: &str) -> bool {
        self.there.contains(topic)
    }

    /// Asks the cluster whether `topic` is there.
    ///
    /// # Errors
    /// [`TopicError::Unreachable`] and [`TopicError::NoInput`].
    pub fn look_for(&mut self, topic: &str) -> Result<(), TopicError> {
        self.there.extend(list(&self.connection)?.into_iter().map(|(name, _)| name));
        if self.knows(topic) { Ok(()) } else { Err(TopicError::NoInput(topic.to_owned())) }
    }

    /// Makes what the agent reads and writes, but for commands, which are made when a service first gets one.
    ///
    /// # Errors
    /// [`TopicError::NotMade`].
    pub fn make_own(&mut self, topics: &Topics) -> Result<(), TopicError> {
        self.make(&topics.state, STATE_SETTINGS)?;
        for name in [&topics.results, &topics.operations, &topics.events, &topics.chains, &topics.dead_letters] {
            self.make(name, &[])?;
        }
        Ok(())
    }

    /// Makes `topic` unless it is there.
    ///
    /// # Errors
    /// [`TopicError::NotMade`].
    pub fn make(&mut self, topic: &str, settings: &[(&str, &str)]) -> Result<(), TopicError> {
        if self.there.contains(topic) {
            return Ok(());
        }
        let largest = MAX_RECORD_BYTES.to_string();
        // -1 leaves the number of replicas to the cluster.
        let new = NewTopic::new(topic, self.partitions, TopicReplication::Fixed(-1)).set("max.message.bytes", &largest);
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        let failed = |why: &dyn std::fmt::Display| TopicError::NotMade(format!("{topic}: {why}"));
        let made = block_on(self.client.create_topics([&new], &options)).map_err(|error| failed(&error))?;
        match made.first() {
            Some(Err((_, code))) if *code != RDKafkaErrorCode::TopicAlreadyExists => Err(failed(code)),
            _ => {
                self.there.insert(topic.to_owned());
                Ok(())
            }
        }
    }
}

/// Compacted, in small segments: what was overwritten goes soon, and a restart reads little that is no longer true.
const STATE_SETTINGS: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.bytes", "67108864"),
    ("segment.ms", "600000"),
    ("min.cleanable.dirty.ratio", "0.3"),
];

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
    use super::{Role, TopicError, Topics, resolve};

    fn topics(inputs: &[&str]) -> Topics {
        Topics {
            inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
            results: "c.results".into(),
            operations: "c.operations".into(),
            commands: "c.commands.{service}".into(),
            events: "c.events".into(),
            chains: "c.chains".into(),
            dead_letters: "c.dead-letters".into(),
            state: "c.state".into(),
        }
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
    fn unequal_counts_and_missing_inputs_are_refused() {
        let unequal = resolve(&topics(&["orders"]), &there(&[("orders", 4), ("c.results", 3)]));
        assert!(matches!(unequal, Err(TopicError::Unequal { .. })), "{unequal:?}");
        let missing = resolve(&topics(&["orders", "^order"]), &there(&[("orders", 4)]));
        assert_eq!(missing, Err(TopicError::NoInput("^order".to_owned())));
    }

    #[test]
    fn a_services_command_topic_is_a_valid_name() {
        assert_eq!(topics(&[]).commands_of("pay ment/ü"), "c.commands.pay_ment__");
    }
}
