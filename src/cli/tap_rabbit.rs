//! What `record` and `doctor` read of a RabbitMQ.

use std::time::{Duration, Instant};

use super::{
    rabbit::address,
    tap::{BusArgs, NoBus, Said},
};
use crate::{
    agent::host_now,
    bus::{
        layout::Role,
        rabbit::{
            Address,
            source::{Kind, OPERATIONS, RESULTS, Source},
            tap::{RabbitSource, has_exchange},
        },
    },
    policy::load::{RabbitmqConfig, Start},
    tap::{Lane, Tap},
};

/// How long a broker is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Messages of each source that are under way.
const PREFETCH: u16 = 2_000;

/// What is read, lane by lane.
#[derive(Debug, Default)]
pub struct Plan {
    sources: Vec<Source>,
    /// The lanes, in the order of the sources.
    pub lanes: Vec<Lane>,
}

impl Plan {
    fn add(&mut self, topic: &str, role: Role, kind: Kind) {
        let queue = match &kind {
            // No two taps share one.
            Kind::Copy { .. } => format!("countermand.tap.{}.{}", std::process::id(), self.sources.len()),
            _ => topic.to_owned(),
        };
        self.sources.push(Source { topic: topic.into(), partition: 0, queue, kind });
        self.lanes.push(Lane { topic: topic.into(), role, partition: 0 });
    }

    /// Copies of exchanges, and streams: what can be read without taking it from anybody.
    #[must_use]
    pub fn beside(args: &BusArgs, rabbitmq: &RabbitmqConfig) -> Self {
        let mut plan = Self::default();
        for exchange in &args.exchange {
            let kind = Kind::Copy { exchange: exchange.clone(), routing_keys: args.bind.clone() };
            plan.add(exchange, Role::Envelopes, kind);
        }
        for stream in &rabbitmq.streams {
            let kind = Kind::Stream { from_beginning: rabbitmq.start == Start::Earliest };
            plan.add(stream, Role::Envelopes, kind);
        }
        plan
    }

    /// Queues whose messages are given back.
    pub fn look_into(&mut self, queues: &[String]) {
        for queue in queues {
            self.add(queue, Role::Envelopes, Kind::Queue);
        }
    }

    /// Answers and operators' requests, as they are published to the agent's exchange.
    pub fn hear(&mut self, exchange: &str) {
        for (key, role) in [(RESULTS, Role::Results), (OPERATIONS, Role::Operations)] {
            let kind = Kind::Copy { exchange: exchange.to_owned(), routing_keys: vec![key.to_owned()] };
            self.add(key, role, kind);
        }
    }

    /// Whether anything of it comes only from now on.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.sources.iter().any(|source| matches!(source.kind, Kind::Copy { .. }))
    }

    /// What it is called, for people.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let name = |source: &Source| match &source.kind {
            Kind::Copy { exchange, routing_keys } => {
                format!("a copy of exchange {exchange} ({})", routing_keys.join(", "))
            }
            Kind::Stream { .. } | Kind::Told => format!("stream {}", source.queue),
            Kind::Queue | Kind::Own { .. } => format!("queue {}", source.queue),
        };
        self.sources.iter().map(name).collect()
    }
}

/// Where the broker is, and whether the agent's exchange is there.
///
/// # Errors
/// [`NoBus`].
pub fn reach(said: &Said) -> Result<(Address, bool), NoBus> {
    let rabbitmq = &said.loaded.config.rabbitmq;
    let address = address(rabbitmq, said.password.clone()).map_err(NoBus::Usage)?;
    let has_exchange = has_exchange(&address, &rabbitmq.exchange).map_err(NoBus::Unreachable)?;
    Ok((address, has_exchange))
}

/// Begins to read, once the broker serves. With `gives_back` at most so many messages of each source are read.
///
/// # Errors
/// Why it does not.
pub fn tap(plan: &Plan, address: Address, said: &Said, gives_back: Option<u16>) -> Result<Tap<RabbitSource>, String> {
    let prefetch = gives_back.unwrap_or(PREFETCH);
    let source = RabbitSource::open(address, plan.sources.clone(), prefetch, gives_back.is_some(), host_now);
    let source = source.map_err(|error| format!("there can be no thread: {error}"))?;
    let begun = Instant::now();
    while !source.has_begun() {
        let trouble = source.trouble();
        // Whoever reads a queue will go on to do so, and what is not there will not come.
        let never = |why: &String| why.starts_with("standing by") || why.contains("NOT_FOUND");
        let is_taken = trouble.as_ref().is_some_and(never);
        if begun.elapsed() > PATIENCE || is_taken {
            return Err(trouble.unwrap_or_else(|| "the broker does not answer".to_owned()));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let config = &said.loaded.config;
    let lanes = vec![None; plan.lanes.len()];
    Ok(Tap::new(source, &lanes, config.engine.max_ahead, config.rabbitmq.align_wait, host_now))
}
