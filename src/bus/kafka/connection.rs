//! How the agent's clients are set up. Each setting that is not the client's default says why.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientContext,
    config::{ClientConfig, FromClientConfig, FromClientConfigAndContext, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    producer::{BaseProducer, DefaultProducerContext},
};

use super::consumer::{Committed, committed};
pub use crate::bus::settings::MAX_RECORD_BYTES;
use crate::{bus::TopicPartition, model::Span};

/// What is needed to connect.
#[derive(Debug, Clone)]
pub struct Connection {
    /// `host:port[,host:port..]` to begin with.
    pub brokers: String,
    /// The consumer group, and the first part of the transactional id.
    pub group: String,
    /// Name of this instance in its group: stable over restarts, and no other's.
    pub instance: String,
    /// What brokers call this client in their logs.
    pub client_id: String,
    /// When the broker gives up an open transaction. Above the restart of a broker: what outlives it ends fatal.
    pub transaction_timeout: Span,
    /// When the broker takes a silent instance for dead and gives its partitions to others. Above the restart of a
    /// broker.
    pub session_timeout: Span,
    /// How long a broker gathers records for one answer.
    pub fetch_wait: Span,
    /// How long reading pauses once a partition's queue is full.
    pub fetch_backoff: Span,
    /// Further client settings, as librdkafka names them.
    pub properties: Vec<(String, String)>,
}

/// What the names of the carrier end with.
const CARRIER: &str = "-carrier";

/// How often the client tells its fetch positions. They bridge the gaps that transaction markers leave in the offsets
/// (see [`super::consumer`]): idle partitions behind such a gap are known to be at their end this much later.
const STATISTICS_MS: u32 = 200;

impl Connection {
    /// `{group}-{instance}-{worker}`, as member and as producer: stable over restarts, so that a restart ends what its
    /// predecessor left open. A random id would block readers for a whole transaction timeout after each crash.
    #[must_use]
    pub fn name_of(&self, worker: usize) -> String {
        format!("{}-{}-{worker}", self.group, self.instance)
    }

    /// The same for the carrier of the group (`bus::carried`): a group of its own for its offsets, and a transactional
    /// id of that name for all instances, so that a new carrier fences the one before.
    #[must_use]
    pub fn carrier(&self) -> Self {
        Self { group: format!("{}{CARRIER}", self.group), ..self.clone() }
    }

    /// What the group has committed for `partitions`, asked by a client of its own.
    ///
    /// # Errors
    /// What the coordinator says.
    pub fn committed(&self, partitions: &[TopicPartition]) -> KafkaResult<HashMap<TopicPartition, Committed>> {
        committed(&self.state_reader()?, partitions)
    }

    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            // A restarted broker is found within 0.2 s instead of up to 10.
            .set("reconnect.backoff.ms", "20")
            .set("reconnect.backoff.max.ms", "200")
            .set_log_level(RDKafkaLogLevel::Warning);
        config
    }

    fn with_properties(&self, mut config: ClientConfig) -> ClientConfig {
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// What the client says of the further settings, asked without any broker: of each alone, and if they are `whole`, of
    /// what becomes of them together.
    ///
    /// # Errors
    /// A sentence that names the setting, if it is one, and never its value.
    pub fn check(&self, whole: bool) -> Result<(), String> {
        for (name, value) in &self.properties {
            let mut alone = ClientConfig::new();
            if let Err(KafkaError::ClientConfig(_, why, ..)) = alone.set(name, value).create_native_config().map(|_| ())
            {
                let why = if value.is_empty() { why } else { why.replace(value.as_str(), "...") };
                return Err(format!("`{name}`: {why}"));
            }
        }
        if !whole {
            return Ok(());
        }
        // Nobody is there to be connected to.
        let nowhere = Self { brokers: String::new(), ..self.clone() };
        let together = |error: KafkaError| format!("the Kafka client does not take them together: {error}");
        Client::from_config_and_context(&nowhere.input(0), Quiet::default()).map_err(together)?;
        BaseProducer::<DefaultProducerContext>::from_config(&nowhere.output("")).map(|_| ()).map_err(together)
    }

    /// The consumer of one worker.
    #[must_use]
    pub fn input(&self, worker: usize) -> ClientConfig {
        let mut config = self.base();
        config
            .set("group.id", &self.group)
            // A member that comes back under its name keeps its partitions without a rebalance, also after a crash.
            .set("group.instance.id", self.name_of(worker))
            .set("session.timeout.ms", self.session_timeout.0.to_string())
            // Equal partition numbers of all inputs meet on one instance.
            .set("partition.assignment.strategy", "range")
            // Offsets are committed with the state and the commands, in one transaction.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            // Where to begin is always said. This is for offsets that retention has deleted: go on after the gap.
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", self.fetch_wait.0.to_string())
            .set("fetch.queue.backoff.ms", self.fetch_backoff.0.to_string())
            .set("statistics.interval.ms", STATISTICS_MS.to_string());
        self.with_properties(config)
    }

    /// The transactional producer of this name.
    #[must_use]
    pub fn output(&self, name: &str) -> ClientConfig {
        let mut config = self.base();
        config
            .set("transactional.id", name)
            .set("transaction.timeout.ms", self.transaction_timeout.0.to_string())
            .set("message.timeout.ms", self.transaction_timeout.0.to_string())
            .set("message.max.bytes", MAX_RECORD_BYTES.to_string())
            // Outputs go out in one burst: waiting for more gains nothing and delays the commit.
            .set("linger.ms", "0")
            // The broker refuses what comes right after a commit, until its markers are written: ask again at once.
            .set("retry.backoff.ms", "1")
            .set("retry.backoff.max.ms", "1")
            // As Java's clients do it; librdkafka's own default would split chains between the two.
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4");
        self.with_properties(config)
    }

    /// What readers have in common that are given their partitions and commit nothing.
    fn reader(&self) -> ClientConfig {
        let mut config = self.base();
        config
            // The client wants the name of a group also where none is joined.
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed");
        config
    }

    /// A reader of the state topic. It joins no group: partitions are given to it.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn state_reader(&self) -> KafkaResult<Client> {
        let mut config = self.reader();
        config
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            // A partition's end shows by an answer without records: wait no longer than this for each.
            .set("fetch.wait.max.ms", "10")
            .set("fetch.queue.backoff.ms", "1");
        Client::from_config_and_context(&self.with_properties(config), Quiet::default())
    }

    /// A reader of what agents publish. It joins no group, and reads what is committed.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn listener(&self) -> KafkaResult<Client> {
        let mut config = self.reader();
        config
            .set("auto.offset.reset", "latest")
            // Somebody may be waiting for what it hears.
            .set("fetch.wait.max.ms", "50");
        Client::from_config_and_context(&self.with_properties(config), Quiet::default())
    }

    /// A reader of whole inputs beside the agent's own. It joins no group, commits nothing, and reads what is committed.
    #[must_use]
    pub fn tap(&self) -> ClientConfig {
        let mut config = self.reader();
        config
            // Where to begin is always said. This is for offsets that retention has deleted meanwhile.
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", self.fetch_wait.0.to_string())
            .set("fetch.queue.backoff.ms", self.fetch_backoff.0.to_string())
            .set("statistics.interval.ms", STATISTICS_MS.to_string());
        self.with_properties(config)
    }

    /// A client that asks for offsets and metadata only. It sees the high watermark, open transactions included.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn watcher(&self) -> KafkaResult<Client> {
        let mut config = self.base();
        config.set("isolation.level", "read_uncommitted");
        Client::from_config_and_context(&self.with_properties(config), Quiet::default())
    }

    /// Settings of a client that makes topics.
    #[must_use]
    pub fn admin(&self) -> ClientConfig {
        self.with_properties(self.base())
    }
}

/// A client beside the inputs.
pub type Client = BaseConsumer<Quiet>;

/// Callbacks of a client beside the inputs: what troubles it shows in its answers. But for why it has no connection.
#[derive(Debug, Default)]
pub struct Quiet {
    /// What it last said of that, and whether that is why it was turned away.
    trouble: Mutex<Option<(bool, String)>>,
}

/// Why a client has no connection, in its own words, if it said so: that a certificate is not trusted, or a password is wrong. The
/// error of a question only says that there was no answer.
pub fn trouble(client: &Client) -> Option<String> {
    // The client says it where it is polled; each poll hands out one of the things that it has to say.
    for _ in 0..TROUBLES {
        let _ = client.poll(Duration::from_millis(1));
    }
    let trouble = client.context().trouble.lock().unwrap_or_else(PoisonError::into_inner);
    trouble.as_ref().map(|(_, why)| why.clone())
}

/// Things that a client has to say of which one is the trouble.
const TROUBLES: usize = 20;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "client");
        use RDKafkaErrorCode::{AllBrokersDown, Authentication, SSL, SaslAuthenticationFailed};
        let code = error.rdkafka_error_code();
        let turned_away = matches!(code, Some(Authentication | SaslAuthenticationFailed | SSL));
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // One broker that is away explains nothing where another one turned it away.
        let explains_more = turned_away || trouble.as_ref().is_none_or(|(turned_away, _)| !turned_away);
        if code != Some(AllBrokersDown) && explains_more {
            // How long it took differs each time, and is no news.
            let reason = reason.split(" (after ").next().unwrap_or(reason);
            *trouble = Some((turned_away, reason.to_owned()));
        }
    }
}

impl ConsumerContext for Quiet {}

/// A line of the client's own log.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        // The client calls a broker that restarts an error; it finds it again by itself.
        RDKafkaLogLevel::Error => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{config::ClientConfig, error::KafkaError, types::RDKafkaConfRes};

    use crate::policy::load::CLIENT_SETTINGS;

    #[test]
    fn the_client_knows_every_setting_that_is_let_through() {
        assert!(CLIENT_SETTINGS.is_sorted());
        let unknown = |name: &&&str| {
            let asked = ClientConfig::new().set(**name, "?").create_native_config();
            matches!(asked, Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)))
        };
        assert_eq!(CLIENT_SETTINGS.iter().filter(unknown).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert!(unknown(&&"no.such.setting"));
    }
}
