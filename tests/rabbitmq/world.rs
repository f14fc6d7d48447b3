//! A world of its own for each test on the common broker: an exchange, queues, configuration.
#![allow(dead_code, reason = "the modules are shared by several test programs")]

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use countermand::wire::proto::Envelope;

use crate::{
    agent::Agent,
    broker::{free_port, url},
    bus::{Made, bind, make_queue},
};

/// Names and files of one test.
pub struct World {
    /// Also the exchange's.
    pub name: String,
    pub requests: String,
    pub responses: String,
    pub folder: PathBuf,
    /// More of `[rabbitmq]`.
    pub more: String,
    /// Where the agent finds the broker, if not where everybody does.
    pub url: Option<String>,
}

/// It acts by itself, however many plans there are.
pub const ENGINE: &str = r#"
            [engine]
            mode = "auto"
            [engine.brake]
            per_edge = 0
            overall = 0
"#;

/// Held by whoever uses the usual names of exchange and queues.
pub static USUAL_NAMES: Mutex<()> = Mutex::new(());

/// Services that get commands.
pub const SERVICES: [&str; 2] = ["inventory", "payment"];

/// Kills where nothing else is said.
pub const KILLS: usize = 12;

/// Publications of one command that are allowed. An agent that dies after the broker took a command, and before that is
/// written down, publishes it again under its id; it does so once for each death.
pub fn sends(kills: usize) -> usize {
    1 + kills
}

impl World {
    /// The key under which a service sends an envelope: here it decides nothing.
    pub fn key_of(&self, envelope: &Envelope) -> String {
        envelope.chain_id.clone()
    }

    /// Makes the queues that services use, with inputs of the quorum kind.
    pub fn new(name: &str) -> Self {
        Self::with(name, Made::Quorum)
    }

    /// Makes the queues that services use.
    pub fn with(name: &str, inputs: Made) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rabbitmq-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let world = Self {
            requests: format!("{name}.requests"),
            responses: format!("{name}.responses"),
            folder,
            more: String::new(),
            url: None,
            name,
        };
        make_queue(&world.requests, inputs);
        make_queue(&world.responses, inputs);
        for service in SERVICES {
            world.listen(&format!("commands.{service}"), &format!("commands.{service}"));
        }
        world.listen("events", "events.#");
        world.listen("chains", "chains");
        world
    }

    /// Makes a queue for what the agent publishes under a routing key.
    pub fn listen(&self, topic: &str, key: &str) {
        make_queue(&self.topic(topic), Made::Quorum);
        bind(&self.topic(topic), &self.name, key);
    }

    /// The name of one of the queues.
    pub fn topic(&self, topic: &str) -> String {
        format!("{}.{topic}", self.name)
    }

    /// Queues with commands.
    pub fn command_topics(&self) -> [String; 2] {
        SERVICES.map(|service| self.topic(&format!("commands.{service}")))
    }

    fn configuration(&self, inputs: &str, journal: &str) -> String {
        let Self { name, more, .. } = self;
        format!(
            r#"
            {ENGINE}
            [routes]
            allow = ["inventory", "payment", "nowhere"]
            topics = ["{name}.legacy"]
            [rabbitmq]
            url = "{}"
            {inputs}
            exchange = "{name}"
            results = "{name}.results"
            operations = "{name}.operations"
            told = "{name}.told"
            dead_letters = "{name}.dead-letters"
            {more}
            [journal]
            folder = "{}"
            [audit]
            file = "{journal}.audit.jsonl"
            "#,
            self.url.as_deref().unwrap_or_else(|| url()),
            self.folder.join(journal).display()
        )
    }

    /// Starts an agent of this world under the name `instance`, on the world's one journal.
    pub fn start(&self, instance: &str) -> Agent {
        let (requests, responses) = (&self.requests, &self.responses);
        self.start_on(instance, &format!("queues = [\"{requests}\", \"{responses}\"]"))
    }

    /// Starts an agent that reads what is said.
    pub fn start_on(&self, instance: &str, inputs: &str) -> Agent {
        self.start_with(instance, inputs, "journal")
    }

    /// Starts an agent that reads what is said, with a journal of its own.
    pub fn start_with(&self, instance: &str, inputs: &str, journal: &str) -> Agent {
        let file = self.folder.join(format!("{instance}.toml"));
        std::fs::write(&file, self.configuration(inputs, journal)).expect("a configuration file");
        let file = file.display().to_string();
        Agent::spawn(&self.folder, instance, &["--config", &file], free_port())
    }

    /// Starts an agent without a configuration, with these queues, in a folder of its own. It has the usual names, as all
    /// such agents: one after the other.
    pub fn start_plain(&self, queues: &[&str]) -> Agent {
        let folder = self.folder.join("plain");
        std::fs::create_dir_all(&folder).expect("a folder");
        let queues = queues.join(",");
        plain(&folder, &["--amqp", url(), "--queue", &queues])
    }
}

fn plain(folder: &Path, args: &[&str]) -> Agent {
    Agent::spawn(folder, "plain", args, free_port())
}
