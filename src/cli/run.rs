//! `countermand run`: the agent on a bus. Failing edges go to stdout as they are found, everything else to stderr.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

#[cfg(feature = "rabbitmq")]
use super::rabbit as rabbit_settings;
use super::{config, door::Door, log};
#[cfg(feature = "kafka")]
use super::{config::fetch, door};
#[cfg(feature = "kafka")]
use crate::{
    agent::kafka,
    bus::{
        kafka::{connection::Connection, requests::Requests},
        layout::Topics,
    },
    policy::load::{KafkaConfig, Property},
};
use crate::{
    agent::{Agent, AgentError, Desk, Shared},
    audit::Log,
    http::{self, Api},
    model::Span,
    policy::{
        Word,
        load::{Flag, Loaded, Start, parse_span},
    },
};
#[cfg(feature = "rabbitmq")]
use crate::{
    agent::{local, rabbit},
    bus::rabbit::Setup,
};

/// How long a last commit may take once the agent is told to stop. Orchestrators commonly kill after 30 s.
const GRACE: Duration = Duration::from_secs(20);

/// Exit code when the agent ended by itself.
const EXIT_FAILED: u8 = 1;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration [default: countermand.toml in the working directory, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Kafka brokers to begin with
    #[arg(long, value_name = "HOST:PORT[,..]")]
    kafka: Option<String>,
    /// Topics with envelopes; one that begins with `^` is a pattern
    #[arg(long, value_name = "TOPIC[,..]")]
    topics: Option<String>,
    /// Where RabbitMQ is: amqp://USER@HOST:PORT/VHOST, or amqps:// for TLS
    #[arg(long, value_name = "URL", conflicts_with = "kafka")]
    amqp: Option<String>,
    /// Queues with envelopes on RabbitMQ, each bound so that it gets a copy of them
    #[arg(long, value_name = "NAME[,..]")]
    queue: Option<String>,
    /// Consumer group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Name of this instance in its group, the same after a restart
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Where HTTP listens
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<SocketAddr>,
    /// Where a new group begins
    #[arg(long, value_enum, value_name = "WHERE")]
    start: Option<Beginning>,
    /// End once nothing was read for this long, for scripts and first looks; e.g. 5s
    #[arg(long, value_name = "TIME", value_parser = until_idle)]
    until_idle: Option<Span>,
}

pub(super) fn until_idle(text: &str) -> Result<Span, String> {
    let span = parse_span(text).map_err(|error| error.to_string())?;
    if span < Span::secs(1) {
        Err("at least 1s: reading pauses for shorter times by itself".to_owned())
    } else {
        Ok(span)
    }
}

/// Where a new group begins.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Beginning {
    /// At the beginning of its topics.
    Earliest,
    /// At their end.
    Latest,
}

impl From<Beginning> for Start {
    fn from(beginning: Beginning) -> Self {
        match beginning {
            Beginning::Earliest => Self::Earliest,
            Beginning::Latest => Self::Latest,
        }
    }
}

/// Runs `run`.
pub fn run(args: &Args) -> ExitCode {
    let (flags, password) = match flags(args) {
        Ok(flags) => flags,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::from(super::EXIT_USAGE);
        }
    };
    let loaded = match config::read_or_say(args.config.as_deref(), flags) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    log::begin(&loaded.config.log);
    let bus = match bus(args, &loaded, password) {
        Ok(bus) => bus,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(super::EXIT_USAGE);
        }
    };
    let door = match Door::new(&loaded, bus.audit()) {
        Ok(door) => door,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(super::EXIT_USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(live(bus, door, args.until_idle)),
        Err(error) => Err(Failure::Failed(format!("no runtime: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(super::EXIT_USAGE)
        }
        Err(Failure::Failed(message)) => {
            eprintln!("error: {message}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// A running agent, and the way for operators' requests to it.
type Started = (Agent, Arc<dyn Desk>);

/// The bus, and everything that an agent on it needs to know.
enum Bus {
    #[cfg(feature = "kafka")]
    Kafka(Box<kafka::Config>),
    #[cfg(feature = "rabbitmq")]
    Rabbit(Box<(local::Config, Setup)>),
}

impl Bus {
    fn audit(&self) -> Arc<Log> {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(config) => config.audit.clone(),
            #[cfg(feature = "rabbitmq")]
            Self::Rabbit(both) => both.0.audit.clone(),
        }
    }

    /// Whether no other agent may have its audit file. On RabbitMQ a standby takes it over with the journal.
    fn is_audited_from_the_start(&self) -> bool {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(_) => true,
            #[cfg(feature = "rabbitmq")]
            Self::Rabbit(_) => false,
        }
    }

    /// Threads that work on it.
    fn workers(&self) -> usize {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(config) => config.workers,
            #[cfg(feature = "rabbitmq")]
            Self::Rabbit(_) => 1,
        }
    }

    /// Starts the agent once its bus can be reached, and opens the way for operators' requests. Blocks. `None`: it was told to
    /// stop before.
    fn start(self, shared: Arc<Shared>) -> Result<Option<Started>, AgentError> {
        match self {
            #[cfg(feature = "kafka")]
            Self::Kafka(config) => {
                let (connection, operations) = (config.connection.clone(), config.topics.operations.clone());
                let trust = config.trust.clone();
                let Some(agent) = kafka::start(*config, shared.clone(), true)? else { return Ok(None) };
                match Requests::new(&connection, &operations, agent.partitions, trust) {
                    Ok(requests) => Ok(Some((agent, Arc::new(requests)))),
                    Err(error) => {
                        shared.stop();
                        Err(AgentError::Bus(format!("no way for operators' requests: {error}")))
                    }
                }
            }
            #[cfg(feature = "rabbitmq")]
            Self::Rabbit(both) => {
                let (config, setup) = *both;
                tracing::info!(broker = %setup.address, journal = %config.journal.display(), "on RabbitMQ");
                rabbit::start(config, setup, shared, true).map(Some)
            }
        }
    }
}

enum Failure {
    Usage(String),
    Failed(String),
}

/// What the flags set, and a password that stood in one of them.
fn flags(args: &Args) -> Result<(Vec<Flag>, Option<String>), String> {
    #[cfg(feature = "rabbitmq")]
    let (amqp, password) = rabbit_settings::parted(args.amqp.as_ref())?;
    #[cfg(not(feature = "rabbitmq"))]
    let (amqp, password) = (args.amqp.clone(), None);
    let flag = |name: &str, key: &str, text: Option<String>| {
        text.map(|text| Flag { name: name.to_owned(), key: key.to_owned(), text })
    };
    let start = args.start.map(|start| Start::from(start).word().to_owned());
    let key = if amqp.is_some() { "rabbitmq.start" } else { "kafka.start" };
    let all = [
        flag("--amqp", "rabbitmq.url", amqp),
        flag("--queue", "rabbitmq.queues", args.queue.clone()),
        flag("--kafka", "kafka.brokers", args.kafka.clone()),
        flag("--topics", "kafka.topics", args.topics.clone()),
        flag("--group", "kafka.group", args.group.clone()),
        flag("--instance", "kafka.instance", args.instance.clone()),
        flag("--http", "http.listen", args.http.map(|http| http.to_string())),
        flag("--start", key, start),
    ];
    Ok((all.into_iter().flatten().collect(), password))
}

const NO_BUS: &str =
    "there is no bus to read: give --kafka HOST:PORT or --amqp URL, or write kafka.brokers or rabbitmq.url";

/// The bus that is meant: the one that a flag names, else the one that the configuration does.
fn bus(args: &Args, loaded: &Loaded, password: Option<String>) -> Result<Bus, String> {
    let (kafka, rabbitmq) = (&loaded.config.kafka, &loaded.config.rabbitmq);
    let on_kafka = args.kafka.is_some() || (!kafka.brokers.is_empty() && args.amqp.is_none());
    let on_rabbit = args.amqp.is_some() || (!rabbitmq.url.is_empty() && args.kafka.is_none());
    match (on_kafka, on_rabbit) {
        (true, true) => Err("kafka.brokers and rabbitmq.url are both there: an agent works on one bus".to_owned()),
        (false, false) => Err(NO_BUS.to_owned()),
        #[cfg(feature = "kafka")]
        (true, false) => agent_config(args, loaded).map(|config| Bus::Kafka(Box::new(config))),
        #[cfg(not(feature = "kafka"))]
        (true, false) => Err("this build knows no Kafka; build with the feature `kafka`".to_owned()),
        #[cfg(feature = "rabbitmq")]
        (false, true) => rabbit_settings::agent_config(loaded, password).map(|both| Bus::Rabbit(Box::new(both))),
        #[cfg(not(feature = "rabbitmq"))]
        (false, true) => {
            drop(password);
            Err("this build knows no RabbitMQ; build with the feature `rabbitmq`".to_owned())
        }
    }
}

/// The agent's configuration out of everything that can be set.
#[cfg(feature = "kafka")]
fn agent_config(args: &Args, loaded: &Loaded) -> Result<kafka::Config, String> {
    let kafka = config::kafka_in_force(args.config.as_deref(), loaded);
    let connection = connection(&kafka, properties(&kafka.properties)?);
    connection.check(true).map_err(|why| format!("kafka.properties: {why}"))?;
    Ok(kafka::Config {
        workers: kafka.workers,
        topics: Topics::from(&kafka),
        policy: loaded.policy(),
        limits: loaded.config.limits.clone(),
        trust: Arc::new(door::trust(&loaded.config)?.keyed()),
        from_beginning: kafka.start == Start::Earliest,
        look_every: kafka.look_every,
        snapshot_after: kafka.snapshot_after,
        align_wait: kafka.align_wait,
        commit_within: kafka.commit_within,
        commit_quiet: kafka.commit_quiet,
        audit: Arc::new(Log::new(loaded.config.audit.file.clone().into())),
        connection,
    })
}

/// How to connect, with these further settings of the client.
#[cfg(feature = "kafka")]
pub(super) fn connection(kafka: &KafkaConfig, properties: Vec<(String, String)>) -> Connection {
    Connection {
        properties,
        brokers: kafka.brokers.join(","),
        group: kafka.group.clone(),
        instance: kafka.instance.clone(),
        client_id: kafka.client_id.clone(),
        transaction_timeout: kafka.transaction_timeout,
        session_timeout: kafka.session_timeout,
        fetch_wait: kafka.fetch_wait,
        fetch_backoff: kafka.fetch_backoff,
    }
}

#[cfg(feature = "kafka")]
pub(super) fn properties(
    properties: &std::collections::BTreeMap<String, Property>,
) -> Result<Vec<(String, String)>, String> {
    let text = |property: &Property| match property {
        Property::Plain(text) => Ok(text.clone()),
        Property::Secret(secret) => fetch(secret).map(|text| text.reveal().to_owned()),
    };
    properties
        .iter()
        .map(|(name, property)| match text(property) {
            Ok(text) => Ok((name.clone(), text)),
            Err(why) => Err(format!("kafka.properties.{name}: {why}")),
        })
        .collect()
}

/// The life of the process: listen for HTTP, so that probes and operators learn what it waits for, start, wait for the
/// end, drain.
async fn live(bus: Bus, door: Door, until_idle: Option<Span>) -> Result<(), Failure> {
    let Door { listen, tokens, audit, limits } = door;
    let mut signals = Signals::new().map_err(|error| Failure::Failed(format!("no signals: {error}")))?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| Failure::Usage(format!("HTTP cannot listen on {listen}: {error}; choose another --http")))?;
    if bus.is_audited_from_the_start() {
        open(&audit)?;
    }
    tracing::info!(http = ?listener.local_addr().ok(), "starting");
    let shared = Arc::new(Shared::new(bus.workers()));
    let desk = Arc::new(OnceLock::new());
    let (stop, stopped) = watch::channel(());
    let api = Api::new(shared.clone(), desk.clone(), audit, limits, stopped.clone());
    let server = tokio::spawn(http::serve(listener, api, tokens, http::dropped(stopped)));
    let told = shared.clone();
    // Everything about Kafka blocks, and so does opening a journal.
    let mut end = tokio::task::spawn_blocking(move || work(bus, told, &desk, until_idle));
    let result = tokio::select! {
        result = &mut end => result,
        () = signals.next() => {
            tracing::info!("stopping");
            shared.stop();
            tokio::select! {
                result = end => result,
                () = signals.next() => return Err(Failure::Failed("stopped at once".to_owned())),
            }
        }
    };
    drop(stop);
    let _ = server.await;
    result.map_err(|error| Failure::Failed(error.to_string()))?.map_err(failure)
}

/// Two instances that share an audit file would stop each other's commits. One that cannot be written refuses actions, and
/// nothing else, until it can be.
fn open(audit: &Log) -> Result<(), Failure> {
    match audit.open() {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Err(Failure::Usage(format!("audit.file: {error}; give each instance a file of its own")))
        }
        Err(error) => {
            let file = audit.path().display();
            tracing::warn!(%file, %error, "the audit file cannot be written: what operators ask for will be refused");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Starts the agent, and waits for its end.
fn work(
    bus: Bus,
    shared: Arc<Shared>,
    desk: &OnceLock<Arc<dyn Desk>>,
    until_idle: Option<Span>,
) -> Result<(), AgentError> {
    let Some((agent, way)) = bus.start(shared)? else { return Ok(()) };
    let _ = desk.set(way);
    await_end(&agent, until_idle)
}

/// Waits for the workers; once they were told to stop, for no longer than [`GRACE`]. Tells them to stop when they were idle for
/// `until_idle`.
fn await_end(agent: &Agent, until_idle: Option<Span>) -> Result<(), AgentError> {
    let shared: &Arc<Shared> = &agent.shared;
    let mut stopping_since = None;
    let mut read = (shared.metrics.records.total(), Instant::now());
    loop {
        let now = shared.metrics.records.total();
        if now != read.0 || !shared.is_ready() {
            read = (now, Instant::now());
        }
        if until_idle.is_some_and(|idle| read.1.elapsed() >= Duration::from_millis(idle.0)) {
            shared.stop();
        }
        if let Some(result) = agent.ended(Duration::from_millis(100)) {
            return result;
        }
        if shared.is_stopping() && stopping_since.get_or_insert_with(Instant::now).elapsed() > GRACE {
            let seconds = GRACE.as_secs();
            return Err(AgentError::Bus(format!("the last commit did not end within {seconds} s")));
        }
    }
}

fn failure(error: AgentError) -> Failure {
    match error {
        AgentError::Setup(why) => Failure::Usage(why),
        error => Failure::Failed(error.to_string()),
    }
}

/// What tells the process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
