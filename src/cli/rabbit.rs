//! What commands on RabbitMQ need: the connection and the agent's configuration, out of everything that can be set.

use std::{path::Path, sync::Arc};

use super::{config::fetch, door::trust};
use crate::{
    agent::{
        desk::Share,
        local,
        rabbit::{Queues, clock},
    },
    audit::Log,
    bus::{
        layout::Topics,
        rabbit::{
            Address, Setup, Status,
            address::{Parts, part},
        },
    },
    journal::local::Durability,
    policy::load::{Loaded, RabbitmqConfig, Secret, Start},
};

/// Largest record that is written: above what any broker takes, so that whatever came can go to the dead letters.
const MAX_RECORD_BYTES: usize = 256 << 20;

/// Largest file with certificates, in bytes.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// What `--amqp` says: where RabbitMQ is without a password, and the password that stood in it.
///
/// # Errors
/// Why it is no address.
pub(super) fn parted(amqp: Option<&String>) -> Result<(Option<String>, Option<String>), String> {
    let Some(url) = amqp else { return Ok((None, None)) };
    let (url, password) = part(url).map_err(|why| format!("--amqp: {why}"))?;
    Ok((Some(url), password))
}

/// Where RabbitMQ is. `password` is one that stood in a URL on the command line.
///
/// # Errors
/// What is wrong, or not to be had.
pub(super) fn address(rabbitmq: &RabbitmqConfig, password: Option<String>) -> Result<Address, String> {
    let secret = |key: &str, secret: &Option<Secret>| match secret {
        None => Ok(None),
        Some(secret) => match fetch(secret) {
            Ok(text) => Ok(Some(text.reveal().to_owned())),
            Err(why) => Err(format!("{key}: {why}")),
        },
    };
    let identity = match (&rabbitmq.certificate_file, secret("rabbitmq.key", &rabbitmq.key)?) {
        (Some(file), Some(key)) => Some((pem("rabbitmq.certificate_file", file)?, key)),
        (None, None) => None,
        _ => return Err("rabbitmq.certificate_file and rabbitmq.key: one is nothing without the other".to_owned()),
    };
    let authorities = rabbitmq.ca_file.as_ref().map(|file| pem("rabbitmq.ca_file", file)).transpose()?;
    let password = match password {
        None => secret("rabbitmq.password", &rabbitmq.password)?,
        given => given,
    };
    let parts = Parts {
        url: rabbitmq.url.clone(),
        password,
        name: rabbitmq.client_name.clone(),
        heartbeat: rabbitmq.heartbeat,
        authorities,
        identity,
    };
    Address::new(parts).map_err(|why| format!("rabbitmq.url: {why}"))
}

fn pem(key: &str, file: &str) -> Result<String, String> {
    let size = std::fs::metadata(file).map(|about| about.len());
    match size.and_then(|size| if size > MAX_PEM_BYTES { Ok(None) } else { std::fs::read_to_string(file).map(Some) }) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(format!("{key}: {file} has more than {MAX_PEM_BYTES} bytes")),
        Err(error) => Err(format!("{key}: {file} cannot be read: {error}")),
    }
}

/// What the agent reads.
pub(super) fn queues(rabbitmq: &RabbitmqConfig) -> Queues {
    Queues {
        inputs: rabbitmq.inputs(),
        streams: rabbitmq.streams.clone(),
        dead: rabbitmq.dead_letter_queues.clone(),
        unroutable: rabbitmq.unroutable_queues.clone(),
        results: rabbitmq.results_queue(),
        operations: rabbitmq.operations_queue(),
        from_beginning: rabbitmq.start == Start::Earliest,
    }
}

/// What this agent has of the chains, if others have the rest: all agents number the shards alike.
fn share(rabbitmq: &RabbitmqConfig) -> Option<Share> {
    let mut shards: Vec<&String> = rabbitmq.shards.iter().collect();
    shards.sort();
    shards.dedup();
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let own = (0..shards.len()).filter(|&n| rabbitmq.own.contains(shards[n])).map(number).collect();
    (!shards.is_empty()).then(|| Share { own, all: number(shards.len()) })
}

/// The agent's configuration.
///
/// # Errors
/// What is wrong, or missing.
pub(super) fn agent_config(loaded: &Loaded, password: Option<String>) -> Result<(local::Config, Setup), String> {
    let config = &loaded.config;
    let rabbitmq = &config.rabbitmq;
    if rabbitmq.inputs().is_empty() && rabbitmq.streams.is_empty() {
        return Err("there is nothing to read: give --queue NAME, or write rabbitmq.queues".to_owned());
    }
    let queues = queues(rabbitmq);
    let (topics, layout) = queues.layout();
    let setup = Setup {
        address: address(rabbitmq, password)?,
        exchange: rabbitmq.exchange.clone(),
        dead_letters: rabbitmq.dead_letters.clone(),
        told: rabbitmq.told.clone(),
        sources: queues.sources(),
        prefetch: rabbitmq.prefetch,
        only_looks: false,
        now: clock,
        status: Arc::new(Status::default()),
    };
    let mut policy = loaded.policy();
    // No command goes to what the agent reads and writes (S5.15).
    policy.catalogue.own = topics.own(&layout);
    policy.catalogue.inputs = Topics::inputs(&layout);
    let agent = local::Config {
        layout,
        policy,
        limits: config.limits.clone(),
        trust: Arc::new(trust(config)?),
        journal: Path::new(&config.journal.folder).to_owned(),
        durability: Durability::Disk,
        largest: MAX_RECORD_BYTES,
        snapshot_after: config.journal.snapshot_after,
        align_wait: rabbitmq.align_wait,
        commit_within: config.journal.commit_within,
        audit: Arc::new(Log::new(config.audit.file.clone().into())),
        share: share(rabbitmq),
        topics,
    };
    Ok((agent, setup))
}
