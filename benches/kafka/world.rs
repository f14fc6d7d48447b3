//! The agent of one measurement.

use std::{fs, path::PathBuf};

use crate::process::Agent;

/// Names of one measurement: its topics and its group.
pub struct World {
    pub name: String,
    pub input: String,
    folder: PathBuf,
}

impl World {
    /// A world whose messages are stamped by the broker, or as they were sent, as a backlog must be.
    pub fn new(broker: &str, name: &str, stamps: bool) -> Self {
        let name = format!("bench-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder).expect("a folder");
        let input = format!("{name}.envelopes");
        super::load::make_topic(broker, &input, stamps);
        Self { input, name, folder }
    }

    /// Topics of commands to the services of profile `standard`.
    pub fn commands(&self) -> Vec<String> {
        (0..8).map(|n| format!("{}.commands.service-{n}", self.name)).collect()
    }

    /// Lets the group begin, so that what is sent from now on is a backlog of its own and no first catching up, which acts on
    /// nothing (S5.14).
    pub fn begin(&self, broker: &str) {
        let mut agent = self.start(broker, "");
        agent.ready();
        agent.kill();
    }

    /// Starts the agent. `engine` are further settings of `[engine]`.
    pub fn start(&self, broker: &str, engine: &str) -> Agent {
        let Self { name, input, folder } = self;
        let bus = format!(
            r#"
            [kafka]
            brokers = ["{broker}"]
            topics = ["{input}"]
            group = "{name}"
            results = "{name}.results"
            operations = "{name}.operations"
            commands = "{name}.commands.{{service}}"
            events = "{name}.events"
            chains = "{name}.chains"
            dead_letters = "{name}.dead-letters"
            state = "{name}.state"
            "#
        );
        Agent::start(folder, engine, &bus)
    }
}
