//! The topics and how they should look.

use super::{Setting, Topic};
use crate::{
    bus::{
        layout::Topics,
        settings::{Kept, settings},
    },
    policy::load::Config,
};

/// Seven days, what Kafka itself keeps unless told otherwise: said so that no cluster's own default cuts it short.
const WEEK: &str = "604800000";

/// Thirty days: dead letters are looked at by people.
const MONTH: &str = "2592000000";

/// Why brokers should stamp what is read.
const STAMPED: &str = "the brokers' clock stamps every message; by default each sender's own clock does, and the agent must \
                       correct those that are wrong";

/// Topics that are read, then those that are written.
pub(super) fn of(config: &Config, names: &Topics) -> Vec<Topic> {
    let kept =
        "an agent that was down goes on where it stopped: longer than its longest absence, and than engine.max_age";
    let mut topics: Vec<Topic> =
        names.inputs.iter().map(|name| input(name, "envelopes", !names.repartition, kept)).collect();
    topics.extend(names.undeliverable.iter().map(|name| input(name, "undeliverable", false, kept)));
    topics.extend(names.replies.iter().map(|name| input(name, "replies", false, kept)));
    topics.push(own(&names.results, "results", true, &[retention(WEEK, kept), in_sync()]));
    topics.push(own(&names.operations, "operations", true, &[retention(WEEK, kept), in_sync()]));
    if names.carries() {
        topics.push(own(&names.rekeyed, "rekeyed", true, &[retention(WEEK, kept), in_sync()]));
    }
    topics.push(own(&names.state, "state", true, &[in_sync()]));
    let absent = "a participant that was down finds the commands that it missed";
    for name in commands(config, names) {
        topics.push(own(&name, "commands", false, &[retention(WEEK, absent), in_sync()]));
    }
    let looked_up = "a starting agent reads the newest again; longer for whoever else reads them";
    topics.push(own(&names.events, "events", false, &[retention(WEEK, looked_up), in_sync()]));
    topics.push(own(&names.chains, "chains", false, &[retention(WEEK, looked_up), in_sync()]));
    let people = "people look at what was refused";
    topics.push(own(&names.dead_letters, "dead_letters", false, &[retention(MONTH, people), in_sync()]));
    topics
}

/// A topic of the services'; whether it must have as many partitions as the others that are read.
fn input(name: &str, role: &'static str, equal: bool, kept: &'static str) -> Topic {
    Topic {
        name: name.to_owned(),
        role,
        equal,
        is_pattern: name.starts_with('^'),
        made: false,
        settings: vec![appended(), deleted(), retention(WEEK, kept), in_sync()],
    }
}

/// A topic of the agent's own: made with what the agent would make it with, and `more`.
fn own(name: &str, role: &'static str, equal: bool, more: &[Setting]) -> Topic {
    let is_state = role == "state";
    let kept = match role {
        "state" => Kept::Newest,
        "results" | "operations" | "rekeyed" => Kept::Stamped,
        _ => Kept::All,
    };
    let made = settings(kept).into_iter();
    let made = made.map(|(name, value)| Setting { name, value, why: why_made(name) });
    let more = more.iter().cloned();
    Topic {
        name: name.to_owned(),
        role,
        equal,
        is_pattern: false,
        made: true,
        settings: if is_state { made.chain(more).collect() } else { made.chain([deleted()]).chain(more).collect() },
    }
}

fn why_made(name: &str) -> &'static str {
    match name {
        "max.message.bytes" => "a dead letter has the refused message whole, a command those of its call",
        "cleanup.policy" => {
            "the newest record of each key is the state; nothing else is needed, and none may go by age"
        }
        "message.timestamp.type" => STAMPED,
        "segment.bytes" | "segment.ms" => "only closed segments are compacted: small ones let a restart read little",
        _ => "compaction begins early, so that a restart reads little that is no longer true",
    }
}

fn setting(name: &'static str, value: &str, why: &'static str) -> Setting {
    Setting { name, value: value.to_owned(), why }
}

fn appended() -> Setting {
    setting("message.timestamp.type", "LogAppendTime", STAMPED)
}

fn deleted() -> Setting {
    setting("cleanup.policy", "delete", "every message counts, not only the newest of a key")
}

fn retention(ms: &str, why: &'static str) -> Setting {
    setting("retention.ms", ms, why)
}

fn in_sync() -> Setting {
    setting("min.insync.replicas", "2", "with three replicas: what is acknowledged outlives the loss of one broker")
}

/// Topics for commands: of each service that may get some by its name, else one that stands for all.
fn commands(config: &Config, names: &Topics) -> Vec<String> {
    let allowed = config.allowed_services();
    let mut topics: Vec<String> =
        allowed.iter().filter(|it| !it.text().contains('*')).map(|it| names.commands_of(it.text())).collect();
    if topics.len() < allowed.len() || topics.is_empty() {
        topics.push(names.commands.clone());
    }
    topics
}
