//! A world of its own for each test on the common broker: topics, group, configuration.

use std::path::PathBuf;

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
    folder: PathBuf,
}

/// It acts by itself, however many plans there are.
pub const ENGINE: &str = r#"
            [engine]
            mode = "auto"
            [engine.brake]
            per_edge = 0
            overall = 0
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
    /// Makes the topics that services use.
    pub fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let world = Self {
            requests: format!("{name}.requests"),
            responses: format!("{name}.responses"),
            group: format!("{name}.group"),
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

    /// Topics with commands.
    pub fn command_topics(&self) -> [String; 2] {
        SERVICES.map(|service| self.topic(&format!("commands.{service}")))
    }

    fn configuration(&self) -> String {
        let Self { name, requests, responses, group, .. } = self;
        format!(
            r#"
            {ENGINE}
            [routes]
            allow = ["inventory", "payment"]
            topics = ["{name}.legacy.*", "{name}.events", "{name}.commands.*"]
            [kafka]
            brokers = ["{}"]
            topics = ["{requests}", "{responses}"]
            group = "{group}"
            results = "{name}.results"
            operations = "{name}.operations"
            commands = "{name}.commands.{{service}}"
            events = "{name}.events"
            chains = "{name}.chains"
            dead_letters = "{name}.dead-letters"
            session_timeout = "10s"
            transaction_timeout = "5s"
            "#,
            bootstrap()
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
        let file = self.folder.join("countermand.toml");
        std::fs::write(&file, self.configuration()).expect("a configuration file");
        let file = file.display().to_string();
        let args = [&["--config", &file, "--instance", instance], more].concat();
        Agent::spawn(&self.folder, files, &args, free_port())
    }
}
