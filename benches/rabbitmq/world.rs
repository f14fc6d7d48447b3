//! The agent of one measurement.

use std::{fs, path::PathBuf};

use crate::{link::Link, process::Agent};

/// Names of one measurement.
pub struct World {
    /// Also the agent's exchange.
    pub name: String,
    /// What the agent reads.
    pub queue: String,
    folder: PathBuf,
}

impl World {
    /// Whoever publishes to the exchange `{name}.in` reaches its queue, and `others` beside it.
    pub fn new(link: &Link, name: &str, others: &[&str]) -> Self {
        let name = format!("bench-{name}-{}", std::process::id());
        // On the disk of the build: a temporary folder may be memory, where forcing to the disk costs nothing.
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder");
        let queue = format!("{name}.envelopes");
        let all = [&[queue.as_str()], others].concat();
        link.make_queues(&all);
        link.bind(&format!("{name}.in"), "in", &all);
        Self { name, queue, folder }
    }

    /// The exchange that fills the queue.
    pub fn input(&self) -> String {
        format!("{}.in", self.name)
    }

    /// A queue of its own for all commands.
    pub fn commands(&self, link: &Link) -> String {
        let queue = format!("{}.commands", self.name);
        link.make_queues(&[&queue]);
        link.bind(&self.name, "commands.#", &[&queue]);
        queue
    }

    /// Starts the agent. `engine` are further settings of `[engine]`.
    pub fn start(&self, url: &str, engine: &str) -> Agent {
        let Self { name, queue, folder } = self;
        let journal = folder.join("journal");
        let bus = format!(
            r#"
            [rabbitmq]
            url = "{url}"
            queues = ["{queue}"]
            exchange = "{name}"
            results = "{name}.results"
            operations = "{name}.operations"
            told = "{name}.told"
            dead_letters = "{name}.dead-letters"
            [journal]
            folder = "{}"
            "#,
            journal.display()
        );
        Agent::start(folder, engine, &bus)
    }
}
