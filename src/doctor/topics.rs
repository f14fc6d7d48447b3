//! Which topics there are, and whether they fit together.

use serde_json::json;

use super::{Facts, Finding, OperationSeen, Severity, some_of};

pub(super) fn findings(facts: &Facts, findings: &mut Vec<Finding>) {
    findings.push(inputs(facts));
    findings.push(partitions(facts));
    findings.push(own(facts));
}

fn counted(topics: &[(&str, i32)]) -> String {
    let each: Vec<String> = topics.iter().map(|(name, n)| format!("{name} ({n})")).collect();
    some_of(&each)
}

fn inputs(facts: &Facts) -> Finding {
    let inputs: Vec<(&str, i32)> = facts.inputs.iter().map(|name| (name.as_str(), facts.partitions(name))).collect();
    let numbers = json!(inputs.iter().map(|(name, n)| json!({"topic": name, "partitions": n})).collect::<Vec<_>>());
    let sentence = match inputs.as_slice() {
        [(name, 1)] => format!("1 topic with envelopes: {name}, 1 partition"),
        [(name, n)] => format!("1 topic with envelopes: {name}, {n} partitions"),
        _ => format!("{} topics with envelopes, and their partitions: {}", inputs.len(), counted(&inputs)),
    };
    Finding::new("topics", Severity::Ok, sentence).numbers(json!({"inputs": numbers}))
}

/// Inputs, results, operations and state must have one number of partitions.
fn partitions(facts: &Facts) -> Finding {
    let names = &facts.names;
    let own = [&names.results, &names.operations, &names.state].map(|name| (name.as_str(), facts.partitions(name)));
    let inputs = facts.inputs.iter().map(|name| (name.as_str(), facts.partitions(name)));
    let all: Vec<(&str, i32)> = inputs.chain(own.into_iter().filter(|(_, n)| *n > 0)).collect();
    let most = all.iter().map(|(_, n)| *n).max().unwrap_or(0);
    let numbers = json!({"most": most, "topics": all.iter().map(|(name, n)| json!([name, n])).collect::<Vec<_>>()});
    if all.iter().all(|(_, n)| *n == most) {
        let sentence = format!("topics that are read together have the same number of partitions: {most}");
        return Finding::new("partitions", Severity::Ok, sentence).numbers(numbers);
    }
    let sentence = format!(
        "topics that are read together have different numbers of partitions: {}; chains are followed by partition number, \
         so `run` refuses them",
        counted(&all)
    );
    let advice = format!(
        "make them all {most}: results, operations and state can be removed and made anew while no agent runs; an input that \
         is widened changes where keys belong, so let chains that are open end first"
    );
    Finding::new("partitions", Severity::Problem, sentence).advise(advice).numbers(numbers)
}

/// The agent's own topics.
fn own(facts: &Facts) -> Finding {
    let names = &facts.names;
    let own = [&names.results, &names.operations, &names.state, &names.events, &names.chains, &names.dead_letters];
    let missing: Vec<String> =
        own.iter().filter(|name| facts.partitions(name) == 0).map(|name| (*name).clone()).collect();
    let numbers = json!({"missing": missing});
    if missing.is_empty() {
        let sentence =
            "the agent's own topics are all there (results, operations, state, events, chains, dead letters)";
        return Finding::new("own_topics", Severity::Ok, sentence).numbers(numbers);
    }
    let sentence = format!("of the agent's own topics {} are not there yet: {}", missing.len(), some_of(&missing));
    let advice = "`run` makes them if it may; else make them with the lines of `countermand check --print-setup`";
    Finding::new("own_topics", Severity::Note, sentence).advise(advice).numbers(numbers)
}

/// Topics for commands to the services whose effects can be undone.
pub(super) fn command_topics(facts: &Facts, operations: &[OperationSeen], findings: &mut Vec<Finding>) {
    let undone = operations.iter().filter(|it| it.with_compensation > 0 && !it.service.is_empty());
    let mut topics: Vec<String> = undone.map(|it| facts.names.commands_of(&it.service)).collect();
    topics.sort();
    topics.dedup();
    if topics.is_empty() {
        return;
    }
    let missing: Vec<String> = topics.iter().filter(|topic| facts.partitions(topic) == 0).cloned().collect();
    let numbers = json!({"topics": topics, "missing": missing});
    let finding = match missing.len() {
        0 => Finding::new("commands", Severity::Ok, format!("topics for commands are there: {}", some_of(&topics))),
        n => {
            let sentence =
                format!("{n} of {} topics for commands are not there yet: {}", topics.len(), some_of(&missing));
            let advice = "these services would be told to undo; `run` makes such a topic when it first needs it and may, and \
                          the service has to read it (nothing is sent in `observe`)";
            Finding::new("commands", Severity::Note, sentence).advise(advice)
        }
    };
    findings.push(finding.numbers(numbers));
}
