//! What is read and written under which names, whatever bus it is (contract.md, "Where they travel").

use std::{collections::BTreeSet, sync::Arc};

use sha2::{Digest, Sha256};

use super::TopicPartition;
use crate::{
    model::{Handled, hex},
    policy::{Pattern, load::KafkaConfig},
};

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
    /// Dead-letter topics of services (S1.9); one that begins with `^` is a pattern.
    pub undeliverable: Vec<String>,
    /// Topics with replies of services that do not know commands, likewise.
    pub replies: Vec<String>,
    /// Inputs are carried to their chains' partitions, too.
    pub repartition: bool,
    /// What is carried to its chain's partition.
    pub rekeyed: String,
}

impl From<&KafkaConfig> for Topics {
    fn from(kafka: &KafkaConfig) -> Self {
        Self {
            inputs: kafka.topics.clone(),
            results: kafka.results.clone(),
            operations: kafka.operations.clone(),
            commands: kafka.commands.clone(),
            events: kafka.events.clone(),
            chains: kafka.chains.clone(),
            dead_letters: kafka.dead_letters.clone(),
            state: kafka.state.clone(),
            undeliverable: kafka.undeliverable.clone(),
            replies: kafka.replies.clone(),
            repartition: kafka.repartition,
            rekeyed: kafka.rekeyed.clone(),
        }
    }
}

impl Topics {
    /// The usual names, all behind `prefix`, and no inputs.
    #[must_use]
    pub fn under(prefix: &str) -> Self {
        let own = |name: &str| format!("{prefix}{name}");
        Self {
            inputs: Vec::new(),
            results: own("results"),
            operations: own("operations"),
            commands: own("commands.{service}"),
            events: own("events"),
            chains: own("chains"),
            dead_letters: own("dead-letters"),
            state: own("state"),
            undeliverable: Vec::new(),
            replies: Vec::new(),
            repartition: false,
            rekeyed: own("rekeyed"),
        }
    }

    /// The topic for commands to `service`, which no other service shares: a name that is no topic's is escaped (see
    /// `escaped`), and one that would make the topic's name too long stands there as its SHA-256.
    #[must_use]
    pub fn commands_of(&self, service: &str) -> String {
        let name = self.commands.replace(SERVICE, &escaped(service));
        if name.len() <= MAX_TOPIC_BYTES {
            return name;
        }
        let hash = hex(&Sha256::digest(service.as_bytes()));
        // No escaped name holds `..` before anything but two hexadecimal digits.
        self.commands.replace(SERVICE, &format!("..sha256-{hash}"))
    }

    /// Whether `topic` is one that the agent makes again should it be gone: what it writes and does not read. Of the state
    /// the loss must not be passed over in silence, and of an input the offsets would begin again.
    #[must_use]
    pub fn may_be_made(&self, topic: &str) -> bool {
        let read = [&self.state, &self.results, &self.operations, &self.rekeyed];
        let written = [&self.events, &self.chains, &self.dead_letters];
        !read.iter().any(|name| *name == topic)
            && (written.iter().any(|name| *name == topic) || self.is_for_commands(topic))
    }

    /// Whether `topic` is where commands to some service go.
    #[must_use]
    pub fn is_for_commands(&self, topic: &str) -> bool {
        let (before, after) = self.commands.split_once(SERVICE).unwrap_or((self.commands.as_str(), ""));
        topic.starts_with(before) && topic.ends_with(after)
    }

    /// All that the agent writes, and all that it reads but [`Topics::inputs`], topics for commands included: no route leads
    /// there (S5.15).
    #[must_use]
    pub fn own(&self, layout: &Layout) -> Vec<Pattern> {
        let commands = self.commands.replace(SERVICE, "*");
        let written = [&self.events, &self.chains, &self.dead_letters, &self.state, &commands];
        let read = read(layout).filter(|(_, role)| *role != Role::Envelopes).map(|(topic, _)| topic);
        read.chain(written.map(String::as_str)).filter_map(|topic| Pattern::new(topic).ok()).collect()
    }

    /// Where it reads what services tell each other: of commands only one that goes out as such a message may go there.
    #[must_use]
    pub fn inputs(layout: &Layout) -> Vec<Pattern> {
        let envelopes = read(layout).filter(|(_, role)| *role == Role::Envelopes);
        envelopes.filter_map(|(topic, _)| Pattern::new(topic).ok()).collect()
    }

    /// Whether anything is carried to its chain's partition.
    #[must_use]
    pub fn carries(&self) -> bool {
        self.repartition || !self.undeliverable.is_empty() || !self.replies.is_empty()
    }

    /// Whether the agent itself writes or reads `topic`: a pattern of inputs never takes it in.
    #[must_use]
    pub fn is_own(&self, topic: &str) -> bool {
        let read = [&self.results, &self.operations, &self.state, &self.rekeyed];
        let own = read.into_iter().chain([&self.events, &self.chains, &self.dead_letters]);
        own.into_iter().any(|name| *name == topic) || self.is_for_commands(topic)
    }
}

/// All topics that are read, by this agent or by what carries for it, with what is in them.
fn read(layout: &Layout) -> impl Iterator<Item = (&str, Role)> {
    let lanes = layout.lanes.iter().map(|lane| (&*lane.topic, lane.role));
    lanes.chain(layout.sources.iter().map(|source| (&*source.topic, source.role)))
}

/// What stands for the service in the name of the topics for commands.
const SERVICE: &str = "{service}";

/// Longest name of a topic that Kafka takes.
const MAX_TOPIC_BYTES: usize = 249;

/// A service's name as a part of a topic's. Letters, digits, `.`, `_` and `-` stand for themselves; every other byte is
/// `..` and two hexadecimal digits, and so is a dot right before another dot or before such a byte. So `..` always begins
/// an escape, what was escaped can be read back, and no two names become one.
fn escaped(service: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let bytes = service.as_bytes();
    let mut name = String::with_capacity(bytes.len());
    for (n, &byte) in bytes.iter().enumerate() {
        let dots = |next: &u8| *next == b'.' || !plain(*next);
        if plain(byte) && !(byte == b'.' && bytes.get(n + 1).is_some_and(dots)) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("..{byte:02x}"));
        }
    }
    name
}

/// What is read from a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Envelopes.
    Envelopes,
    /// Envelopes or dead letters, carried to the partition of their chain (`bus::carried`).
    Carried,
    /// Answers to commands.
    Results,
    /// What operators ask for.
    Operations,
    /// Envelopes that were not delivered, or not handled (S1.9).
    DeadLetters(Handled),
}

impl Role {
    /// One record of it, in a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Envelopes => "envelope",
            Self::Carried => "carried",
            Self::DeadLetters(_) => "dead_letter",
            Self::Results => "result",
            Self::Operations => "operation",
        }
    }

    /// Whether chains are made of it: of results and operations none is.
    #[must_use]
    pub fn is_input(self) -> bool {
        matches!(self, Self::Envelopes | Self::Carried | Self::DeadLetters(_))
    }
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
    /// Topics of which the messages are carried to the partitions of their chains.
    pub sources: Vec<Source>,
    /// Topics that were made since this process began to look: none of their messages is older than that, so all are read.
    pub newborn: BTreeSet<Arc<str>>,
}

/// A topic of which the messages are carried to the partitions of their chains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The topic.
    pub topic: Arc<str>,
    /// What is in it.
    pub role: Role,
    /// Its own partitions.
    pub partitions: i32,
}

impl Layout {
    /// These inputs in their order, and the agent's own topics that are read.
    #[must_use]
    pub fn new<'a>(inputs: impl IntoIterator<Item = &'a str>, topics: &Topics, partitions: i32) -> Self {
        let lane = |topic: &str, role| Lane { topic: topic.into(), role };
        let mut lanes: Vec<Lane> = inputs.into_iter().map(|topic| lane(topic, Role::Envelopes)).collect();
        lanes.push(lane(&topics.results, Role::Results));
        lanes.push(lane(&topics.operations, Role::Operations));
        Self { lanes, partitions, sources: Vec::new(), newborn: BTreeSet::new() }
    }

    /// The same, and what is carried of these topics, as one more input: also where there are none now, since something that
    /// was carried may not be read yet.
    #[must_use]
    pub fn carrying(mut self, sources: Vec<Source>, topics: &Topics) -> Self {
        if topics.carries() {
            let inputs = self.lanes.iter().filter(|lane| lane.role.is_input()).count();
            self.lanes.insert(inputs, Lane { topic: topics.rekeyed.as_str().into(), role: Role::Carried });
        }
        self.sources = sources;
        self
    }

    /// The topics that are read, in the order of the lanes.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<str>> {
        self.lanes.iter().map(|lane| lane.topic.clone()).collect()
    }

    /// Every partition of the topics that are carried.
    #[must_use]
    pub fn carried_partitions(&self) -> Vec<TopicPartition> {
        let of = |source: &Source| {
            let topic = source.topic.clone();
            (0..source.partitions).map(move |partition| TopicPartition { topic: topic.clone(), partition })
        };
        self.sources.iter().flat_map(of).collect()
    }

    /// Topics with messages that died are read, too: such as a consumer may have had, or such as none ever had.
    pub fn add_dead_letters<'a>(&mut self, topics: impl IntoIterator<Item = &'a str>, handled: Handled) {
        let role = Role::DeadLetters(handled);
        self.lanes.extend(topics.into_iter().map(|topic| Lane { topic: topic.into(), role }));
    }
}

#[cfg(test)]
mod tests {
    use super::Topics;

    #[test]
    fn no_two_services_share_a_topic_for_commands() {
        let topics = Topics::under("c.");
        assert_eq!(topics.commands_of("order_service-2.eu"), "c.commands.order_service-2.eu");
        assert_eq!(topics.commands_of("a/b"), "c.commands.a..2fb");
        let long = "x".repeat(250);
        let mut names: Vec<String> = ["", &long, &format!("{long}y"), "..sha256-"].map(str::to_owned).to_vec();
        // Every name of up to four of these characters.
        let mut grown = vec![String::new()];
        for _ in 0..4 {
            grown =
                grown.iter().flat_map(|name| ['.', '2', 'f', '/', '_', 'ü'].map(|c| format!("{name}{c}"))).collect();
            names.extend(grown.iter().cloned());
        }
        let made: std::collections::BTreeSet<String> = names.iter().map(|name| topics.commands_of(name)).collect();
        assert_eq!(made.len(), names.len());
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        for name in made {
            assert!(name.len() <= 249 && name.chars().all(legal) && topics.is_for_commands(&name), "{name}");
        }
    }
}
