//! Who must be allowed what: what the agent truly does on Kafka, and what services do.

use super::{Grant, Principal, Resource, SERVICE, beginning_of_pattern, plain_beginning};
use crate::{
    bus::layout::Topics,
    policy::load::{Config, KafkaConfig},
};

const READ: [&str; 2] = ["Read", "Describe"];
const WRITE: [&str; 2] = ["Write", "Describe"];
const BOTH: [&str; 3] = ["Read", "Write", "Describe"];

/// Creation is asked for only where a topic is missing.
const IF_MISSING: &str = "the agent is to make topics of its own that are missing";

/// All grants, the agent's first.
pub(super) fn of(config: &Config, kafka: &KafkaConfig, names: &Topics) -> Vec<Grant> {
    let mut grants = agent_topics(config, names);
    grants.extend(creation(names));
    grants.extend([
        grant(Resource::Group, &kafka.group, &READ, "joining the group, and committing how far the inputs were read"),
        Grant {
            prefixed: true,
            ..grant(
                Resource::TransactionalId,
                &format!("{}-", kafka.group),
                &WRITE,
                "inputs, state and outputs are committed in one transaction; its id is GROUP-INSTANCE-NUMBER",
            )
        },
        Grant {
            only: "brokers are older than 2.8",
            ..grant(Resource::Cluster, "", &["IdempotentWrite"], "operators' requests are written idempotently")
        },
    ]);
    if names.carries() {
        let group = format!("{}-carrier", kafka.group);
        grants.push(grant(Resource::Group, &group, &READ, "committing how far messages were carried"));
    }
    grants.extend(services(names));
    grants
}

fn grant(resource: Resource, name: &str, operations: &[&'static str], why: &'static str) -> Grant {
    Grant {
        principal: Principal::Agent,
        resource,
        name: name.to_owned(),
        prefixed: false,
        operations: operations.to_vec(),
        only: "",
        why,
    }
}

fn topic(name: &str, operations: &[&'static str], why: &'static str) -> Grant {
    grant(Resource::Topic, name, operations, why)
}

/// A grant for all topics whose names begin so; all topics, if that is nothing.
fn topics(beginning: &str, operations: &[&'static str], why: &'static str) -> Grant {
    match beginning {
        "" => topic("*", operations, why),
        _ => Grant { prefixed: true, ..topic(beginning, operations, why) },
    }
}

/// A pattern cannot be granted: what its names begin with takes more in.
fn input(name: &str, operations: &[&'static str], [why, why_pattern]: [&'static str; 2]) -> Grant {
    match name.starts_with('^') {
        true => topics(beginning_of_pattern(name), operations, why_pattern),
        false => topic(name, operations, why),
    }
}

fn agent_topics(config: &Config, names: &Topics) -> Vec<Grant> {
    let whys = ["envelopes are read", "envelopes are read, of all topics whose names begin as those of the pattern"];
    let mut grants: Vec<Grant> = names.inputs.iter().map(|name| input(name, &READ, whys)).collect();
    let whys = [
        "dead letters of services are read",
        "dead letters are read, of all topics whose names begin as those of the pattern",
    ];
    grants.extend(names.undeliverable.iter().map(|name| input(name, &READ, whys)));
    let whys = [
        "replies of services that do not know commands are read",
        "replies are read, of all topics whose names begin as those of the pattern",
    ];
    grants.extend(names.replies.iter().map(|name| input(name, &READ, whys)));
    if names.carries() {
        grants.push(topic(&names.rekeyed, &BOTH, "messages are carried to their chains' partitions, and read there"));
    }
    grants.extend([
        topic(&names.results, &BOTH, "answers are read; one that came to a wrong partition is forwarded"),
        topic(&names.operations, &BOTH, "operators' requests are read; those that come over HTTP are written there"),
        topic(&names.state, &BOTH, "open chains are saved, and read at a restart"),
        topics(plain_beginning(&names.commands), &WRITE, "commands are written (nothing is in `observe`)"),
        topic(&names.events, &BOTH, "changes are written; each instance reads those of all"),
        topic(&names.chains, &BOTH, "pictures are written; each instance reads those of all"),
        topic(&names.dead_letters, &WRITE, "refused messages are written"),
    ]);
    let why = "commands to services that do not know ours go there";
    let ruled = config.operations.iter().filter_map(|rule| rule.compensation.as_ref()).map(|undo| undo.route.as_str());
    let mut routes: Vec<Grant> =
        ruled.filter(|route| !route.is_empty()).map(|route| topic(route, &WRITE, why)).collect();
    routes.extend(config.routes.topics.iter().map(|pattern| match pattern.text().contains('*') {
        true => topics(plain_beginning(pattern.text()), &WRITE, why),
        false => topic(pattern.text(), &WRITE, why),
    }));
    for route in routes {
        if !grants.contains(&route) {
            grants.push(route);
        }
    }
    grants
}

fn creation(names: &Topics) -> impl Iterator<Item = Grant> {
    let own = [&names.results, &names.operations, &names.state, &names.events, &names.chains, &names.dead_letters];
    let commands = topics(plain_beginning(&names.commands), &["Create"], "a service gets its first command");
    let carried = names.carries().then_some(&names.rekeyed);
    let own = own
        .into_iter()
        .chain(carried)
        .map(|name| topic(name, &["Create"], "it is made at the start"))
        .collect::<Vec<_>>();
    own.into_iter().chain([commands]).map(|grant| Grant { only: IF_MISSING, ..grant })
}

fn services(names: &Topics) -> Vec<Grant> {
    let whys =
        ["a service sends envelopes", "a service sends envelopes; name the topics that it sends to, if they are known"];
    let mut grants: Vec<Grant> = names.inputs.iter().map(|name| input(name, &WRITE, whys)).collect();
    grants.extend([
        topic(&names.commands, &READ, "a participant reads its commands, with isolation.level=read_committed"),
        grant(Resource::Group, SERVICE, &READ, "in a group of its own"),
        topic(&names.results, &WRITE, "and answers them"),
    ]);
    grants.into_iter().map(|grant| Grant { principal: Principal::Service, ..grant }).collect()
}
