//! Before the first record: what there is on the cluster, what is missing, and what the agent is about to do.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::Config;
use crate::{
    agent::{AgentError, Post, pause::Pause},
    bus::{
        TopicPartition,
        kafka::{
            ends, inputs,
            topics::{self, Maker, Stamped, TopicError},
        },
        layout::{Layout, Role},
    },
    policy::{Mode, Policy},
};

/// Waits between two looks at brokers that do not answer: they double up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How long a missing input is looked for again: a topic that was just made is not known to every broker at once.
const TOPIC_PATIENCE: Duration = Duration::from_secs(3);

/// What was found.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    /// What is read.
    pub layout: Layout,
    /// All topics with their partitions.
    pub there: Vec<(String, i32)>,
    /// What should be read and cannot, each in a sentence.
    pub unread: Vec<String>,
}

/// Looks until the brokers answer; `None`: the agent was told to stop before.
///
/// # Errors
/// If the configuration does not fit the cluster.
pub(super) fn open(config: &Config, post: &Post) -> Result<Option<Opening>, AgentError> {
    let mut pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut said = String::new();
    while !post.is_stopping() {
        post.beat();
        match prepare(config) {
            Ok(opening) => {
                post.set_waiting("");
                say(config, &opening);
                return Ok(Some(opening));
            }
            Err(error @ TopicError::Unreachable(_)) => {
                let why = format!("{} ({error}); trying again", config.connection.brokers);
                post.set_waiting(&why);
                // The same again is no news.
                if why == said {
                    tracing::debug!("{why}");
                } else {
                    tracing::warn!("{why}");
                }
                said = why;
                pause.rest(post);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Finds the inputs, and makes what is missing of the agent's own.
fn prepare(config: &Config) -> Result<Opening, TopicError> {
    let Opening { layout, there, unread } = look(config)?;
    if !there.iter().any(|(name, _)| *name == config.topics.state) && has_worked_before(config, &layout)? {
        return Err(TopicError::StateGone(config.topics.state.clone()));
    }
    Maker::new(&config.connection, layout.partitions, &there)?.make_own(&config.topics)?;
    let there = await_topics(config, &layout)?;
    Ok(Opening { layout, there, unread })
}

/// The topics there are, what is read of them, and what cannot be. At the first start of a group everything must be as it is
/// configured. One that has worked before goes on with what there is, as it would have without being started again.
fn look(config: &Config) -> Result<Opening, TopicError> {
    let begun = Instant::now();
    loop {
        let there = topics::list(&config.connection)?;
        // What is read beside inputs may not be there yet; what was just made is waited for.
        let shows = |name: &String| name.starts_with('^') || there.iter().any(|(known, _)| known == name);
        if !config.topics.undeliverable.iter().chain(&config.topics.replies).all(shows)
            && begun.elapsed() < TOPIC_PATIENCE
        {
            thread::park_timeout(Duration::from_millis(100));
            continue;
        }
        match inputs::resolve(&config.topics, &there) {
            Ok(layout) => return Ok(Opening { layout, there, unread: Vec::new() }),
            Err(TopicError::NoInput(_)) if begun.elapsed() < TOPIC_PATIENCE => {
                thread::park_timeout(Duration::from_millis(100));
            }
            Err(error) => {
                let (layout, unread) = inputs::go_on(&config.topics, &there).ok_or(error)?;
                unread.iter().for_each(|why| tracing::error!("not read: {why}"));
                return Ok(Opening { layout, there, unread });
            }
        }
    }
}

/// Whether the group has committed anything: then there was a state, too.
fn has_worked_before(config: &Config, layout: &Layout) -> Result<bool, TopicError> {
    let inputs = layout.lanes.iter().filter(|lane| lane.role.is_input());
    let partitions = inputs.flat_map(|lane| {
        (0..layout.partitions).map(|partition| TopicPartition { topic: lane.topic.clone(), partition })
    });
    let committed = ends::has_committed(&config.connection, &partitions.collect::<Vec<_>>());
    committed.map_err(|error| TopicError::Unreachable(error.to_string()))
}

/// Waits until every topic that is read shows: a group that is joined before is given part of them only. Returns all that
/// there are then.
fn await_topics(config: &Config, layout: &Layout) -> Result<Vec<(String, i32)>, TopicError> {
    let begun = Instant::now();
    loop {
        let there = topics::list(&config.connection)?;
        let shows = |topic: &str| there.iter().any(|(name, partitions)| name == topic && *partitions > 0);
        match layout.lanes.iter().find(|lane| !shows(&lane.topic)) {
            None => return Ok(there),
            Some(_) if begun.elapsed() < TOPIC_PATIENCE => thread::park_timeout(Duration::from_millis(50)),
            Some(lane) => return Err(TopicError::NotMade(format!("{} does not show", lane.topic))),
        }
    }
}

/// Says what is read, what will be done about it, and what is not as it should be.
fn say(config: &Config, Opening { layout, .. }: &Opening) {
    let inputs: Vec<&str> = inputs(layout).collect();
    let (group, instance) = (&config.connection.group, &config.connection.instance);
    let (partitions, workers) = (layout.partitions, config.workers);
    tracing::info!(topics = inputs.join(","), partitions, group, instance, workers, "reading");
    let commands = &config.topics.commands;
    match most_active(&config.policy) {
        Mode::Observe => tracing::info!("mode observe: verdicts and plans are told, no command is sent"),
        Mode::Approve => {
            tracing::info!(commands, "mode approve: commands are sent once an operator approved their plan")
        }
        Mode::Auto => {
            tracing::info!(commands, "mode auto: commands are sent by the agent itself, where the rules allow it")
        }
    }
    match topics::stamps(&config.connection, &inputs) {
        Err(why) => tracing::info!(why, "which clock stamps the inputs cannot be seen"),
        Ok(stamps) => {
            let senders = stamps.into_iter().filter(|(_, stamped)| *stamped == Stamped::BySender);
            let senders: Vec<String> = senders.map(|(topic, _)| topic).collect();
            if !senders.is_empty() {
                tracing::warn!(
                    topics = senders.join(","),
                    "stamped by their producers' clocks, not by the broker: times are corrected where they cannot be true \
                     (S0); message.timestamp.type=LogAppendTime on these topics is better"
                );
            }
        }
    }
}

/// The topics that are read for what services say.
pub(super) fn inputs(layout: &Layout) -> impl Iterator<Item = &str> {
    let read = layout.lanes.iter().filter(|lane| lane.role == Role::Envelopes).map(|lane| &*lane.topic);
    read.chain(layout.sources.iter().map(|source| &*source.topic))
}

/// The mode that acts most among those of all operations.
fn most_active(policy: &Policy) -> Mode {
    let of_rules = policy.catalogue.rules.iter().filter_map(|rule| rule.mode);
    of_rules.chain([policy.settings.mode]).min().unwrap_or_default()
}
