//! What a configuration needs on the bus before the agent runs there: topics with their settings, and who must be allowed
//! what. It is worked out without asking a broker.

mod grants;
mod json;
pub mod rabbitmq;
mod text;
mod topics;

pub use json::lines;
pub use text::script;

use crate::{
    bus::layout::Topics,
    policy::load::{Config, KafkaConfig},
};

/// Everything that a configuration needs on Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Brokers to begin with; empty: the configuration names none.
    pub brokers: Vec<String>,
    /// The topics, those that are read first.
    pub topics: Vec<Topic>,
    /// Who must be allowed what.
    pub grants: Vec<Grant>,
}

/// One topic, or those that a pattern or a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name; a pattern of inputs as it is configured; with `{service}` where a service's name goes.
    pub name: String,
    /// What it is for, in a word.
    pub role: &'static str,
    /// Its number of partitions must be that of the inputs; else that is what the agent would make.
    pub equal: bool,
    /// The name stands for topics that only the bus knows: no line can make them.
    pub is_pattern: bool,
    /// The agent makes it, if it may, where it is missing.
    pub made: bool,
    /// Settings by Kafka's names, each with its reason. Those that the agent itself makes the topic with come first.
    pub settings: Vec<Setting>,
}

/// One setting of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Kafka's name.
    pub name: &'static str,
    /// What to set.
    pub value: String,
    /// Why.
    pub why: &'static str,
}

/// For whom a grant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    /// The agent.
    Agent,
    /// A service that sends envelopes, or answers commands.
    Service,
}

/// What a grant is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// A transactional id.
    TransactionalId,
    /// The cluster.
    Cluster,
}

/// What somebody must be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub principal: Principal,
    /// On what.
    pub resource: Resource,
    /// Its name; empty for the cluster.
    pub name: String,
    /// The name is what such names begin with.
    pub prefixed: bool,
    /// Kafka's operations.
    pub operations: Vec<&'static str>,
    /// It is needed only then; empty: always.
    pub only: &'static str,
    /// Why.
    pub why: &'static str,
}

impl Setup {
    /// What `config` needs; `kafka` is its part about Kafka as `run` takes it.
    #[must_use]
    pub fn of(config: &Config, kafka: &KafkaConfig) -> Self {
        let names = Topics::from(kafka);
        Self {
            brokers: kafka.brokers.clone(),
            topics: topics::of(config, &names),
            grants: grants::of(config, kafka, &names),
        }
    }
}

/// What stands where a service's name goes. No name on Kafka has a brace.
const SERVICE: &str = "{service}";

/// The beginning of a name up to its first sign with a meaning: `*` in our patterns, `{service}` in a topic's name.
fn plain_beginning(text: &str) -> &str {
    text.split(['*', '{']).next().unwrap_or_default()
}

/// What every name begins with that a regular expression of inputs matches, as far as that can be said; and whether it is
/// the whole name.
fn beginning_of_pattern(pattern: &str) -> &str {
    let text = pattern.trim_start_matches('^');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let end = text.find(|c: char| !plain(c)).unwrap_or(text.len());
    // A sign that may repeat or drop what stands before it takes that one away; an alternative takes all.
    match text[end..].chars().next() {
        _ if text.contains('|') => "",
        Some('?' | '*' | '+' | '{') => &text[..end.saturating_sub(1)],
        _ => &text[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::beginning_of_pattern;

    #[test]
    fn a_pattern_is_granted_by_what_all_its_names_begin_with() {
        for (pattern, beginning) in [
            ("^shop[.].*", "shop"),
            ("^a.*", "a"),
            ("^ab?c", "a"),
            ("^(a|b)", ""),
            ("^a|^b", ""),
            ("^.*", ""),
            ("^x_1-y$", "x_1-y"),
        ] {
            assert_eq!(beginning_of_pattern(pattern), beginning, "{pattern}");
        }
    }
}
