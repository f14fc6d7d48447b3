//! What `record` and `doctor` have in common: which bus, and what of it.

use std::{path::PathBuf, time::Duration};

use super::{
    config, log,
    run::{connection, properties},
};
use crate::{
    agent::host_now,
    bus::{
        TopicPartition,
        kafka::{
            connection::Connection,
            tap::{KafkaSource, bounds, look},
            topics,
        },
        layout::{Lane as Topic, Topics},
    },
    policy::load::{Flag, KafkaConfig, Loaded},
    tap::{Lane, Tap},
};

/// What is lost by ending a command that writes.
pub const UNFINISHED: &str = "what was written so far is not whole";

/// How long nothing may come of what is there before what came is taken for all there is.
pub const STALL: Duration = Duration::from_secs(15);

/// That nothing came of lanes for [`STALL`] or longer, though they are not read to their ends.
pub fn unread(lanes: usize) -> String {
    let seconds = STALL.as_secs();
    format!(
        "{lanes} of what is read are not read to their ends, and nothing came of them for {seconds} s or longer (a \
         transaction that stays open, or a broker that is away?)"
    )
}

/// Which bus, and what of it.
#[derive(Debug, clap::Args)]
pub struct BusArgs {
    /// Kafka brokers to begin with
    #[arg(long, value_name = "HOST:PORT[,..]")]
    kafka: Option<String>,
    /// Topics with envelopes; one that begins with `^` is a pattern
    #[arg(long, value_name = "PATTERN[,..]")]
    topics: Option<String>,
    /// Where RabbitMQ is: amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS
    #[cfg(feature = "rabbitmq")]
    #[arg(long, value_name = "URL", conflicts_with_all = ["kafka", "topics"])]
    amqp: Option<String>,
    /// RabbitMQ: exchanges of which a copy of what is published is read, from now on
    #[cfg(feature = "rabbitmq")]
    #[arg(long, value_name = "NAME[,..]", value_delimiter = ',')]
    pub exchange: Vec<String>,
    /// RabbitMQ: routing keys of these exchanges
    #[cfg(feature = "rabbitmq")]
    #[arg(long, value_name = "KEY[,..]", value_delimiter = ',', default_value = "#")]
    pub bind: Vec<String>,
    /// RabbitMQ: streams with envelopes, which are read beside others
    #[cfg(feature = "rabbitmq")]
    #[arg(long, value_name = "NAME[,..]")]
    stream: Option<String>,
    /// Topic with answers to commands
    #[arg(long, value_name = "TOPIC")]
    results: Option<String>,
    /// Topic with what operators ask for
    #[arg(long, value_name = "TOPIC")]
    operations: Option<String>,
    /// The configuration [default: countermand.toml in the working directory, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl BusArgs {
    /// Reads the configuration with these flags and `more` over it, and begins to log as it says.
    ///
    /// # Errors
    /// The exit code; what is wrong was said.
    pub fn load(&self, more: Vec<Flag>) -> Result<Said, std::process::ExitCode> {
        let (amqp, password) = self.amqp()?;
        let flag = |name: &str, key: &str, text: &Option<String>| {
            text.clone().map(|text| Flag { name: name.to_owned(), key: key.to_owned(), text })
        };
        let flags = [
            #[cfg(feature = "rabbitmq")]
            flag("--stream", "rabbitmq.streams", &self.stream),
            flag("--amqp", "rabbitmq.url", &amqp),
            flag("--kafka", "kafka.brokers", &self.kafka),
            flag("--topics", "kafka.topics", &self.topics),
            flag("--results", "kafka.results", &self.results),
            flag("--operations", "kafka.operations", &self.operations),
        ];
        let flags = flags.into_iter().flatten().chain(more).collect();
        let loaded = config::read_or_say(self.config.as_deref(), flags)?;
        log::begin(&loaded.config.log);
        let on_kafka = !loaded.config.kafka.brokers.is_empty() && amqp.is_none();
        let on_rabbitmq = amqp.is_some() || (!loaded.config.rabbitmq.url.is_empty() && !on_kafka);
        Ok(Said { loaded, password, on_rabbitmq })
    }

    /// Where RabbitMQ is without its password, and that.
    #[cfg(feature = "rabbitmq")]
    fn amqp(&self) -> Result<(Option<String>, Option<String>), std::process::ExitCode> {
        super::rabbit::parted(self.amqp.as_ref()).map_err(|why| {
            eprintln!("error: {why}");
            std::process::ExitCode::from(super::EXIT_USAGE)
        })
    }

    #[cfg(not(feature = "rabbitmq"))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the other one may refuse")]
    fn amqp(&self) -> Result<(Option<String>, Option<String>), std::process::ExitCode> {
        Ok((None, None))
    }
}

/// What was said of the bus.
pub struct Said {
    /// The configuration, with the flags over it.
    pub loaded: Loaded,
    /// A password that stood in a URL on the command line.
    #[cfg_attr(not(feature = "rabbitmq"), expect(dead_code, reason = "Kafka's is in its own settings"))]
    pub password: Option<String>,
    /// It is RabbitMQ that is meant.
    #[cfg_attr(not(feature = "rabbitmq"), expect(dead_code, reason = "there is but one bus"))]
    pub on_rabbitmq: bool,
}

/// A cluster that answered, and what is to be read of it.
pub struct Bus {
    /// How to connect.
    pub connection: Connection,
    /// What topics are called.
    pub topics: Topics,
    /// All topics there are, with their numbers of partitions.
    pub there: Vec<(String, i32)>,
}

/// Why there is nothing to read.
#[derive(Debug)]
pub enum NoBus {
    /// It is not said which bus, or not rightly.
    Usage(String),
    /// It does not answer.
    Unreachable(String),
}

impl Bus {
    /// Asks the cluster for its topics.
    ///
    /// # Errors
    /// [`NoBus`].
    pub fn reach(kafka: &KafkaConfig) -> Result<Self, NoBus> {
        if kafka.brokers.is_empty() {
            return Err(NoBus::Usage("there is no bus to read: give --kafka HOST:PORT, or write kafka.brokers".into()));
        }
        let connection = connection(kafka, properties(&kafka.properties).map_err(NoBus::Usage)?);
        connection.check(true).map_err(|why| NoBus::Usage(format!("kafka.properties: {why}")))?;
        let there = topics::list(&connection).map_err(|error| NoBus::Unreachable(error.to_string()))?;
        Ok(Self { connection, topics: Topics::from(kafka), there })
    }

    /// The topics to read: inputs, and of results and operations those that are there.
    ///
    /// # Errors
    /// A sentence, if there is no input.
    pub fn look(&self) -> Result<Vec<(Topic, i32)>, String> {
        look(&self.topics, &self.there).map_err(|error| error.to_string())
    }

    /// Where each partition of these topics begins and ends, by partition number, and within one in the order of topics.
    ///
    /// # Errors
    /// A sentence, if the cluster does not say.
    pub fn spans(&self, topics: &[(Topic, i32)]) -> Result<Vec<(Lane, u64, u64)>, String> {
        let most = topics.iter().map(|(_, partitions)| *partitions).max().unwrap_or(0);
        let mut lanes = Vec::new();
        for partition in 0..most {
            let has_it = topics.iter().filter(|(_, partitions)| partition < *partitions);
            lanes.extend(has_it.map(|(lane, _)| Lane { topic: lane.topic.clone(), role: lane.role, partition }));
        }
        let at: Vec<TopicPartition> = lanes.iter().map(place).collect();
        let bounds = bounds(&self.connection, &at)?;
        Ok(lanes.into_iter().zip(bounds).map(|(lane, (first, next))| (lane, first, next)).collect())
    }

    /// Begins to read each lane at an offset.
    ///
    /// # Errors
    /// What the client says.
    pub fn tap(&self, lanes: &[(Lane, u64)], loaded: &Loaded) -> Result<Tap<KafkaSource>, String> {
        let at: Vec<(TopicPartition, u64)> = lanes.iter().map(|(lane, offset)| (place(lane), *offset)).collect();
        let source = KafkaSource::open(&self.connection, &at, host_now).map_err(|error| error.to_string())?;
        let (max_ahead, align_wait) = (loaded.config.engine.max_ahead, loaded.config.kafka.align_wait);
        Ok(Tap::new(source, &vec![None; lanes.len()], max_ahead, align_wait, host_now))
    }
}

fn place(lane: &Lane) -> TopicPartition {
    TopicPartition { topic: lane.topic.clone(), partition: lane.partition }
}
