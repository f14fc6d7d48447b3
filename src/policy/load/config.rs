//! The whole configuration, as it is after file, environment and flags. What a setting means and why its default is
//! what it is stands in the schema, which the documentation is made from.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use super::{
    secret::Secret,
    trust::{TokenConfig, TrustConfig},
};
use crate::{
    model::Span,
    policy::{
        Catalogue, Policy,
        catalogue::OperationRule,
        pattern::Pattern,
        settings::{Mode, Settings},
        wire::WireLimits,
        words::{Word, words},
    },
};

/// Everything that a configuration file says, with defaults for what it does not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// `[engine]`: what chains are decided by.
    pub engine: Settings,
    /// `[[operations]]`: what is known of operations (S4.6), in the order of the file; at most [`MAX_RULES`].
    ///
    /// [`MAX_RULES`]: super::MAX_RULES
    pub operations: Vec<OperationRule>,
    /// `[routes]`: where commands may go.
    pub routes: RoutesConfig,
    /// `[payloads]`: what is known of what messages carry.
    pub payloads: PayloadsConfig,
    /// `[limits]`: what is accepted from the bus (S8.2).
    pub limits: WireLimits,
    /// `[kafka]`: the bus.
    pub kafka: KafkaConfig,
    /// `[rabbitmq]`: the other bus.
    pub rabbitmq: RabbitmqConfig,
    /// `[journal]`: what is kept on this machine.
    pub journal: JournalConfig,
    /// `[trust]`: whose word is believed (S8.1).
    pub trust: TrustConfig,
    /// `[http]`: where the agent answers.
    pub http: HttpConfig,
    /// `[audit]`: where operators' actions are kept (S7.1).
    pub audit: AuditConfig,
    /// `[log]`: what goes to stderr.
    pub log: LogConfig,
}

/// `[routes]` (S5.15).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoutesConfig {
    /// Services that commands may go to beside those that a rule names.
    pub allow: Vec<Pattern>,
    /// Topics that a message may ask for beside those that a rule names.
    pub topics: Vec<Pattern>,
}

/// `[payloads]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PayloadsConfig {
    /// Files with the types of payloads.
    pub descriptors: Vec<String>,
}

/// `[kafka]`. Topic names may hold `{service}` where it is said.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaConfig {
    /// Brokers to begin with, `host:port` each; empty: there is no bus yet.
    pub brokers: Vec<String>,
    /// Topics with envelopes; one that begins with `^` is a pattern.
    pub topics: Vec<String>,
    /// Consumer group, and the first part of the transactional id.
    pub group: String,
    /// Name of this instance in its group: the same after a restart, and no other's.
    pub instance: String,
    /// Threads that work on the partitions of this instance.
    pub workers: usize,
    /// What brokers call this client in their logs.
    pub client_id: String,
    /// Where a new group begins (S5.14).
    pub start: Start,
    /// Topic with answers to commands.
    pub results: String,
    /// Topic with what operators ask for.
    pub operations: String,
    /// Topics for commands; `{service}` is replaced.
    pub commands: String,
    /// Topic for changes in chains' lives.
    pub events: String,
    /// Topic for finished pictures of chains.
    pub chains: String,
    /// Topic for refused input (S8.2).
    pub dead_letters: String,
    /// Compacted topic for what a restart needs (S5.4).
    pub state: String,
    /// Dead-letter topics of services (S1.9); one that begins with `^` is a pattern.
    pub undeliverable: Vec<String>,
    /// Topics in which services that do not know commands reply; one that begins with `^` is a pattern.
    pub replies: Vec<String>,
    /// Inputs are not keyed by chain: each message is carried to its chain's partition first.
    pub repartition: bool,
    /// Topic for what is carried to its chain's partition.
    pub rekeyed: String,
    /// Age from which an open chain is saved.
    pub snapshot_after: Span,
    /// How long merging waits for a partition that lags (S2.6).
    pub align_wait: Span,
    /// How long outputs are gathered before they are committed together.
    pub commit_within: Span,
    /// How long a step without outputs may last before its progress is committed.
    pub commit_quiet: Span,
    /// When the broker gives up an open transaction.
    pub transaction_timeout: Span,
    /// When the broker takes a silent instance for dead.
    pub session_timeout: Span,
    /// How long a broker gathers records for one answer.
    pub fetch_wait: Span,
    /// How long reading pauses once a partition's queue is full.
    pub fetch_backoff: Span,
    /// Time between two looks at which topics there are.
    pub look_every: Span,
    /// Further settings of the Kafka client, as its own documentation names them.
    pub properties: BTreeMap<String, Property>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            topics: vec!["countermand.envelopes".into()],
            group: "countermand".into(),
            instance: "0".into(),
            workers: 1,
            client_id: "countermand".into(),
            start: Start::Latest,
            results: "countermand.results".into(),
            operations: "countermand.operations".into(),
            commands: "countermand.commands.{service}".into(),
            events: "countermand.events".into(),
            chains: "countermand.chains".into(),
            dead_letters: "countermand.dead-letters".into(),
            state: "countermand.state".into(),
            undeliverable: Vec::new(),
            replies: Vec::new(),
            repartition: false,
            rekeyed: "countermand.rekeyed".into(),
            snapshot_after: Span::secs(5),
            align_wait: Span::millis(200),
            commit_within: Span::millis(10),
            commit_quiet: Span::millis(100),
            transaction_timeout: Span::secs(30),
            session_timeout: Span::secs(30),
            fetch_wait: Span::millis(100),
            fetch_backoff: Span::millis(10),
            look_every: Span::secs(10),
            properties: BTreeMap::new(),
        }
    }
}

/// `[rabbitmq]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RabbitmqConfig {
    /// Where it is, without a password; empty: it is not this bus.
    pub url: String,
    /// The user's password.
    pub password: Option<Secret>,
    /// Queues with envelopes.
    pub queues: Vec<String>,
    /// All queues that an exchange shares envelopes out to by their chains.
    pub shards: Vec<String>,
    /// Those of them that this agent reads.
    pub own: Vec<String>,
    /// The exchange that shares out.
    pub shard_exchange: String,
    /// Streams with envelopes.
    pub streams: Vec<String>,
    /// Queues with messages that a consumer may have had (S1.9).
    pub dead_letter_queues: Vec<String>,
    /// Queues with messages that no queue took (S1.9).
    pub unroutable_queues: Vec<String>,
    /// Where streams begin that were never read (S5.14).
    pub start: Start,
    /// The exchange of the contract.
    pub exchange: String,
    /// Queue with answers to commands.
    pub results: String,
    /// Queue with what operators ask for.
    pub operations: String,
    /// Stream that keeps what all agents tell.
    pub told: String,
    /// Queue for refused input (S8.2).
    pub dead_letters: String,
    /// Messages of each queue that may be under way.
    pub prefetch: u16,
    /// Time between two signs of life.
    pub heartbeat: Span,
    /// What the broker calls the connections.
    pub client_name: String,
    /// How long merging waits for a queue that lags.
    pub align_wait: Span,
    /// File with certificates that are trusted.
    pub ca_file: Option<String>,
    /// File with the agent's own certificate.
    pub certificate_file: Option<String>,
    /// Its key.
    pub key: Option<Secret>,
}

impl RabbitmqConfig {
    /// The queues with envelopes that this agent reads.
    #[must_use]
    pub fn inputs(&self) -> Vec<String> {
        self.queues.iter().chain(&self.own).cloned().collect()
    }

    /// The queue with answers to commands: each agent that shares the chains with others has its own, and hears all.
    #[must_use]
    pub fn results_queue(&self) -> String {
        self.of_this_agent(&self.results)
    }

    /// The queue with what operators ask for, likewise.
    #[must_use]
    pub fn operations_queue(&self) -> String {
        self.of_this_agent(&self.operations)
    }

    fn of_this_agent(&self, name: &str) -> String {
        self.own.first().map_or_else(|| name.to_owned(), |own| format!("{name}.{own}"))
    }
}

impl Default for RabbitmqConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            password: None,
            queues: Vec::new(),
            shards: Vec::new(),
            own: Vec::new(),
            shard_exchange: "countermand.shards".into(),
            streams: Vec::new(),
            dead_letter_queues: Vec::new(),
            unroutable_queues: Vec::new(),
            start: Start::Latest,
            exchange: "countermand".into(),
            results: "countermand.results".into(),
            operations: "countermand.operations".into(),
            told: "countermand.told".into(),
            dead_letters: "countermand.dead-letters".into(),
            prefetch: 2_000,
            heartbeat: Span::secs(10),
            client_name: "countermand".into(),
            align_wait: Span::millis(200),
            ca_file: None,
            certificate_file: None,
            key: None,
        }
    }
}

/// `[journal]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalConfig {
    /// Its folder.
    pub folder: String,
    /// Age from which an open chain is saved.
    pub snapshot_after: Span,
    /// How long a step is gathered.
    pub commit_within: Span,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { folder: "countermand.journal".into(), snapshot_after: Span::secs(5), commit_within: Span::millis(10) }
    }
}

/// A setting of the Kafka client that is passed through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// As written.
    Plain(String),
    /// To be fetched when the client is made (S8.4).
    Secret(Secret),
}

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What callers must show; needed where others than this machine can call.
    pub token: Option<Secret>,
    /// Further tokens, each of somebody with a name.
    pub tokens: Vec<TokenConfig>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9470)), token: None, tokens: Vec::new() }
    }
}

/// `[audit]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditConfig {
    /// The file, made at the start.
    pub file: String,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { file: "countermand.audit.jsonl".to_owned() }
    }
}

/// `[log]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogConfig {
    /// The least important lines that are still written.
    pub level: LogLevel,
    /// How lines look.
    pub format: LogFormat,
}

/// Where a new consumer group begins (S5.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Start {
    /// At the end of its topics.
    #[default]
    Latest,
    /// At their beginning: whatever is decided before it has caught up waits for approval.
    Earliest,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum LogLevel {
    /// What stops or loses something.
    Error,
    /// What somebody should look at.
    Warn,
    /// What an operator wants to read afterwards.
    #[default]
    Info,
    /// What a developer of a participant wants to read.
    Debug,
    /// Every message.
    Trace,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

words! {
    Start { Latest = "latest", Earliest = "earliest" }
    LogLevel { Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace" }
    LogFormat { Text = "text", Json = "json" }
}

impl Config {
    /// The loosest mode that any operation can have (S5.7).
    #[must_use]
    pub fn loosest_mode(&self) -> Mode {
        let rules = self.operations.iter().filter_map(|rule| rule.mode);
        rules.fold(self.engine.mode, Mode::min)
    }

    /// Where replies are read, on the bus that is configured.
    fn replies(&self) -> String {
        if self.rabbitmq.url.is_empty() { self.kafka.results.clone() } else { self.rabbitmq.results_queue() }
    }

    /// Services that commands may go to (S5.15): the allowed patterns, and each service that a rule with an undo names
    /// without a star.
    #[must_use]
    pub fn allowed_services(&self) -> Vec<Pattern> {
        let named = self.operations.iter().filter(|rule| rule.compensation.is_some()).filter_map(|rule| {
            let (service, _) = rule.pattern.text().split_once('/')?;
            (!service.contains('*')).then(|| Pattern::new(service).ok()).flatten()
        });
        let mut allowed: Vec<Pattern> = self.routes.allow.iter().cloned().chain(named).collect();
        allowed.sort();
        allowed.dedup();
        allowed
    }

    /// What the engine decides by, with no types of payloads.
    ///
    /// Where everything is only observed and no service is allowed, nothing could be sent anyway: the policy then has
    /// no list of routes, and plans read `observed` instead of `needs_operator` for a route that nobody needs. With
    /// `approve` or `auto` anywhere the list holds, even if it is empty (S5.15).
    #[must_use]
    pub fn policy(&self) -> Policy {
        let allowed = self.allowed_services();
        let unrouted = allowed.is_empty() && self.loosest_mode() == Mode::Observe;
        Policy {
            settings: self.engine.clone(),
            catalogue: Catalogue {
                rules: self.operations.clone(),
                routes: (!unrouted).then_some(allowed),
                topics: (!unrouted || !self.routes.topics.is_empty()).then(|| self.routes.topics.clone()),
                own: self.kafka.own_topics(),
                inputs: self.kafka.input_topics(),
                replies: self.replies(),
                ..Catalogue::default()
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::{
        Policy,
        load::{Source, load},
        settings::{InDoubt, Mode},
    };

    fn policy(text: &str) -> Policy {
        load(Some(Source { name: "x".into(), text: text.into() }), [], Vec::new()).expect("it is good").config.policy()
    }

    fn routed(policy: &Policy, service: &str) -> bool {
        policy.catalogue.resolve(&policy.settings, service, "Any").routed
    }

    #[test]
    fn commands_go_only_where_a_rule_or_a_route_says() {
        assert!(routed(&policy(""), "stock"), "nothing is sent anyway");
        assert!(!routed(&policy("engine.mode = \"approve\""), "stock"));
        assert!(!routed(&policy("[[operations]]\nmatch = \"stock/*\"\nmode = \"auto\""), "stock"), "no undo");
        let rules = "[[operations]]\nmatch = \"payment/Charge\"\nundo = \"Refund\"\n\
                     [[operations]]\nmatch = \"*/Reserve\"\nundo = \"Release\"\n";
        let named = policy(&format!("engine.mode = \"auto\"\nroutes.allow = [\"mail-*\"]\n{rules}"));
        let services = ["payment", "mail-eu", "stock", "mail"].map(|service| routed(&named, service));
        assert_eq!(services, [true, true, false, false]);
        assert!(!routed(&policy(rules), "stock"), "a list holds in observe too");
    }

    #[test]
    fn what_a_rule_says_holds_for_its_operation_only() {
        let policy = policy(
            "[[operations]]\nmatch = \"pay/Charge\"\nundo = { operation = \"Refund\", inquire = \"Find\" }\nmode = \"auto\"",
        );
        let charge = policy.catalogue.resolve(&policy.settings, "pay", "Charge");
        assert_eq!((charge.mode, charge.in_doubt), (Mode::Auto, InDoubt::Inquire), "who can be asked, is");
        assert_eq!(charge.compensation.map(|it| it.operation).as_deref(), Some("Refund"));
        let other = policy.catalogue.resolve(&policy.settings, "pay", "Search");
        assert_eq!((other.mode, other.in_doubt, other.compensation), (Mode::Observe, InDoubt::Hold, None));
    }
}
