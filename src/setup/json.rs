//! A setup as JSON Lines: one object a topic, then one a grant.

use serde_json::{Map, Value, json};

use super::{Grant, Principal, Resource, Setup, Topic, text};

/// One line for each topic and each grant.
#[must_use]
pub fn lines(setup: &Setup) -> Vec<Value> {
    setup.topics.iter().map(topic).chain(setup.grants.iter().map(grant)).collect()
}

fn topic(topic: &Topic) -> Value {
    let settings: Map<String, Value> =
        topic.settings.iter().map(|it| (it.name.to_owned(), Value::from(it.value.as_str()))).collect();
    let why: Map<String, Value> = topic.settings.iter().map(|it| (it.name.to_owned(), Value::from(it.why))).collect();
    let command = (!topic.is_pattern).then(|| text::creation(topic, &topic.name));
    json!({
        "kind": "topic", "name": topic.name, "pattern": topic.is_pattern, "role": topic.role,
        "partitions": if topic.equal { "as the inputs" } else { "any" },
        "made_by_agent": topic.made, "settings": settings, "why": why, "command": command,
    })
}

fn grant(grant: &Grant) -> Value {
    let principal = match grant.principal {
        Principal::Agent => "agent",
        Principal::Service => "service",
    };
    let resource = match grant.resource {
        Resource::Topic => "topic",
        Resource::Group => "group",
        Resource::TransactionalId => "transactional_id",
        Resource::Cluster => "cluster",
    };
    json!({
        "kind": "acl", "principal": principal, "resource": resource, "name": grant.name,
        "pattern_type": if grant.prefixed { "prefixed" } else { "literal" }, "operations": grant.operations,
        "only_if": (!grant.only.is_empty()).then_some(grant.only), "why": grant.why, "command": text::acl(grant),
    })
}
