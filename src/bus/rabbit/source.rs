//! What is read of a RabbitMQ, and under which names what is written goes out (contract.md, "Where they travel").

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{bus::layout::Topics, model::hex};

/// What kind of queue is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One of the services, which made it.
    Queue,
    /// A stream of the services.
    Stream {
        /// Whether a reader that never read it begins at its beginning, not at its end.
        from_beginning: bool,
    },
    /// A copy of what is published to an exchange from now on: a queue that is made for whoever looks, and goes with him.
    Copy {
        /// The exchange.
        exchange: String,
        /// What of it.
        routing_keys: Vec<String>,
    },
    /// The stream that keeps the newest of what all agents tell. Whichever of them is first makes it, and each reads all of it.
    Told,
    /// One of the agent's own, which makes it, with the routing keys that lead there.
    Own {
        /// In the agent's exchange.
        routing_keys: Vec<String>,
    },
}

/// A queue that is read: a partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The queue's name.
    pub queue: String,
    /// What it is.
    pub kind: Kind,
}

impl Source {
    /// Whether it is a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.from_beginning().is_some()
    }

    /// Whether a reader that never read it begins at its beginning; `None`: it is no stream.
    #[must_use]
    pub fn from_beginning(&self) -> Option<bool> {
        match self.kind {
            Kind::Stream { from_beginning } => Some(from_beginning),
            Kind::Told => Some(true),
            Kind::Queue | Kind::Copy { .. } | Kind::Own { .. } => None,
        }
    }

    /// The name of the queue that says who reads this one: it belongs to one connection, so no two agents have it.
    #[must_use]
    pub fn lease(&self) -> String {
        let name = format!("countermand.reader.{}", self.queue);
        if name.len() <= MAX_NAME_BYTES {
            return name;
        }
        format!("countermand.reader.sha256-{}", hex(&Sha256::digest(self.queue.as_bytes())))
    }
}

/// Longest name of a queue, an exchange or a routing key.
pub const MAX_NAME_BYTES: usize = 255;

/// Words of the routing keys, and of the topics in the agent's layout that they stand for.
const COMMANDS: &str = "commands.{service}";
const EVENTS: &str = "events";
/// Of pictures of chains.
pub const CHAINS: &str = "chains";
const DEAD_LETTERS: &str = "dead-letters";
/// Of the queue with answers to commands.
pub const RESULTS: &str = "results";
/// Of the queue with what operators ask for.
pub const OPERATIONS: &str = "operations";

/// The routing keys of what agents tell.
#[must_use]
pub fn told() -> [String; 2] {
    [CHAINS.to_owned(), format!("{EVENTS}.#")]
}

/// The agent's topics: what it writes has the name of its routing key, what it reads that of its queue.
#[must_use]
pub fn topics(inputs: &[String], results: &str, operations: &str) -> Topics {
    Topics {
        inputs: inputs.to_vec(),
        results: results.to_owned(),
        operations: operations.to_owned(),
        commands: COMMANDS.to_owned(),
        events: EVENTS.to_owned(),
        chains: CHAINS.to_owned(),
        dead_letters: DEAD_LETTERS.to_owned(),
        // Never on the bus.
        state: "state".to_owned(),
        // There is one partition: nothing is carried to another.
        undeliverable: Vec::new(),
        replies: Vec::new(),
        repartition: false,
        rekeyed: "rekeyed".to_owned(),
    }
}

/// Where a record goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The exchange; empty: the default one, whose routing keys are names of queues.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// It must get into a queue: what cannot is given back, and published again later.
    pub mandatory: bool,
}

/// Where records of `topic` go; `kind` is that of an event. Nobody need listen to events and pictures of chains; commands
/// and dead letters must arrive.
#[must_use]
pub fn way(topic: &str, exchange: &str, kind: &str) -> Way {
    let here = |routing_key: String, mandatory| Way { exchange: exchange.to_owned(), routing_key, mandatory };
    match topic {
        EVENTS => here(format!("{EVENTS}.{kind}"), false),
        CHAINS => here(CHAINS.to_owned(), false),
        DEAD_LETTERS => here(DEAD_LETTERS.to_owned(), true),
        _ if topic.starts_with("commands.") => here(topic.to_owned(), true),
        // The route that a compensation asked for, or a queue of the agent's.
        queue => Way { exchange: String::new(), routing_key: queue.to_owned(), mandatory: true },
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Source, Way, topics, way};

    #[test]
    fn names_are_those_of_the_contract() {
        let topics = topics(&[], "countermand.results", "countermand.operations");
        let to = |exchange: &str, routing_key: &str, mandatory| Way {
            exchange: exchange.to_owned(),
            routing_key: routing_key.to_owned(),
            mandatory,
        };
        assert_eq!(way(&topics.commands_of("stock"), "cm", ""), to("cm", "commands.stock", true));
        assert_eq!(way(&topics.events, "cm", "decided"), to("cm", "events.decided", false));
        assert_eq!(way(&topics.chains, "cm", ""), to("cm", "chains", false));
        assert_eq!(way(&topics.dead_letters, "cm", ""), to("cm", "dead-letters", true));
        assert_eq!(way("legacy.orders", "cm", ""), to("", "legacy.orders", true));
    }

    #[test]
    fn every_queue_has_a_lease_with_a_name_that_fits() {
        let source = |queue: String| Source { topic: "t".into(), partition: 0, queue, kind: Kind::Queue };
        assert_eq!(source("orders".into()).lease(), "countermand.reader.orders");
        let (long, other) = (source("o".repeat(254)).lease(), source("o".repeat(253)).lease());
        assert!(long.len() <= 255 && long != other);
    }
}
