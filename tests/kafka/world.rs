//! A world of its own for each test on the common broker: topics, group, configuration.

use std::path::PathBuf;

use countermand::wire::proto::Envelope;

use crate::{
    agent::Agent,
    broker::{bootstrap, free_port},
    bus::make_topics,
};

/// Names and files of one test.
pub struct World {
    pub name: String,
    pub requests: String,
    pub responses: String,
    pub group: String,
    /// How services key their envelopes.
    pub key: fn(&Envelope) -> String,
    /// How long the agent waits for an answer.
    pub answer_timeout: &'static str,
    /// Further topics or patterns that are read.
    pub inputs: Vec<String>,
    /// Further settings of `[kafka]`.
    pub more: String,
    /// Where the agent finds the broker, if not where everybody does.
    pub brokers: Option<String>,
    engine: &'static str,
    folder: PathBuf,
}

/// It acts by itself, however many plans there are.
pub const ENGINE: &str = r#"
            [engine]
            mode = "auto"
            brake = { per_edge = 0, overall = 0 }
"#;

/// Each plan waits for an operator.
const APPROVING: &str = r#"
            [engine]
            mode = "approve"
"#;

/// Kills where nothing else is said.
pub const KILLS: usize = 20;

/// Publications of one command that are allowed: participants answer at once, no command clock runs while an agent is
/// down, and they read only what is committed, so there is no reason for a second one.
pub fn sends(_kills: usize) -> usize {
    1
}

/// Services that get commands.
pub const SERVICES: [&str; 2] = ["inventory", "payment"];

impl World {
    /// Makes the topics that services use, for agents that act by themselves.
    pub fn new(name: &str) -> Self {
        Self::of(name, ENGINE)
    }

    /// The same, for agents whose plans wait for approval.
    pub fn approving(name: &str) -> Self {
        Self::of(name, APPROVING)
    }

    fn of(name: &str, engine: &'static str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let world = Self {
            requests: format!("{name}.requests"),
            responses: format!("{name}.responses"),
            group: format!("{name}.group"),
            key: |envelope| envelope.chain_id.clone(),
            answer_timeout: "30s",
            inputs: Vec::new(),
            more: String::new(),
            brokers: None,
            engine,
            folder,
            name,
        };
        let commands = SERVICES.map(|service| world.topic(&format!("commands.{service}")));
        let own = ["results", "events", "chains", "dead-letters"].map(|topic| world.topic(topic));
        let mut all: Vec<&str> = vec![&world.requests, &world.responses];
        all.extend(commands.iter().chain(&own).map(String::as_str));
        make_topics(&all);
        world
    }

    /// The name of one of the agent's topics.
    pub fn topic(&self, topic: &str) -> String {
        format!("{}.{topic}", self.name)
    }

    /// The key under which a service sends an envelope.
    pub fn key_of(&self, envelope: &Envelope) -> String {
        (self.key)(envelope)
    }

    /// Topics with commands.
    pub fn command_topics(&self) -> [String; 2] {
        SERVICES.map(|service| self.topic(&format!("commands.{service}")))
    }

    /// The audit file of the agent with the files `files`.
    pub fn audit(&self, files: &str) -> PathBuf {
        self.folder.join(format!("{files}.audit.jsonl"))
    }

    fn configuration(&self, files: &str) -> String {
        let Self { name, group, engine, more, answer_timeout, .. } = self;
        let inputs: Vec<&String> = [&self.requests, &self.responses].into_iter().chain(&self.inputs).collect();
        let audit = self.audit(files).display().to_string();
        format!(
            r#"
            {engine}
            answer_timeout = "{answer_timeout}"
            [audit]
            file = "{audit}"
            [routes]
            allow = ["inventory", "payment"]
            topics = ["{name}.legacy.*", "{name}.events", "{name}.commands.*"]
            [kafka]
            brokers = ["{}"]
            topics = {inputs:?}
            group = "{group}"
            workers = 2
            results = "{name}.results"
            operations = "{name}.operations"
            commands = "{name}.commands.{{service}}"
            events = "{name}.events"
            chains = "{name}.chains"
            dead_letters = "{name}.dead-letters"
            session_timeout = "10s"
            transaction_timeout = "5s"
            {more}
            "#,
            self.brokers.as_deref().unwrap_or_else(|| bootstrap())
        )
    }

    /// Starts an agent without a configuration, in a group of its own.
    pub fn start_plain(&self) -> Agent {
        let topics = format!("{},{}", self.requests, self.responses);
        let group = format!("{}.plain", self.name);
        let args = ["--kafka", bootstrap(), "--topics", &topics, "--group", &group];
        Agent::spawn(&self.folder, "plain", &args, free_port())
    }

    /// Starts an agent that reads what is there already.
    pub fn start_at_the_beginning(&self, instance: &str) -> Agent {
        self.start_with(instance, &["--start", "earliest"])
    }

    /// Starts an agent of this world under the name `instance`.
    pub fn start(&self, instance: &str) -> Agent {
        self.start_with(instance, &[])
    }

    /// Starts an agent under the name `instance`, with its own files under `files`.
    pub fn start_as(&self, instance: &str, files: &str) -> Agent {
        self.spawn(instance, files, &[])
    }

    fn start_with(&self, instance: &str, more: &[&str]) -> Agent {
        self.spawn(instance, instance, more)
    }

    fn spawn(&self, instance: &str, files: &str, more: &[&str]) -> Agent {
        let file = self.folder.join(format!("{files}.toml"));
        std::fs::write(&file, self.configuration(files)).expect("a configuration file");
        let file = file.display().to_string();
        let args = [&["--config", &file, "--instance", instance], more].concat();
        Agent::spawn(&self.folder, files, &args, free_port())
    }
}
