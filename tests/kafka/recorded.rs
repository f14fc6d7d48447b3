//! Recorded traffic through a real Kafka: `run` finds what `replay` finds.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use countermand::{
    policy::Policy,
    recording::{Body, Entry, Line, Reader as Recording},
    render::ChainLine,
    replay::{Fed, Feed, Replay, Stood},
    wire::{
        WireLimits,
        proto::{Cause, ChainRecord, FailedCall, Kind},
    },
};
use prost::Message;
use serde_json::{Value, json};

use crate::{
    bus::{PATIENCE, Reader, Sender},
    world::World,
};

/// What is compared of a chain: the whole line that `replay` prints. It has no positions, which differ.
pub type Found = Value;

pub fn recordings() -> [PathBuf; 2] {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/train-ticket");
    ["normal.jsonl.gz", "faults.jsonl.gz"].map(|name| folder.join(name))
}

/// Chains with something to say, as `replay` finds them.
fn replayed(file: &std::path::Path) -> BTreeMap<String, Found> {
    all_replayed(file).into_iter().filter(|(_, line)| is_notable(line)).collect()
}

/// All chains, as `replay` finds them.
pub fn all_replayed(file: &std::path::Path) -> BTreeMap<String, Found> {
    let feed = Feed::open(&[file.to_owned()], Policy::default().settings.max_ahead).expect("a recording");
    let mut replay = Replay::new(Policy::default(), None);
    for fed in feed {
        let Fed::Item(item) = fed else { panic!("a bad line in {}", file.display()) };
        replay.pass(item.at).expect("time");
        let Some(body) = item.entry.body else { continue };
        let (partition, offset) = (item.entry.partition.unwrap_or(0), item.entry.offset);
        let topic = item.entry.topic.as_deref().unwrap_or_default();
        let stood = Stood { at: item.at, topic, partition, offset };
        replay.take(&body.input(&WireLimits::default()).expect("a valid message"), stood).expect("taken");
    }
    replay.end().expect("the end");
    let found = |line: &ChainLine| serde_json::to_value(line).expect("a line is JSON");
    replay.lines().into_iter().map(|line| (line.chain_id.clone(), found(&line))).collect()
}

/// The agent publishes all of these, and a sample of the rest.
fn is_notable(line: &Value) -> bool {
    let says = |list: &str| line[list].as_array().is_some_and(|list| !list.is_empty());
    line["outcome"] != "succeeded" || says("tolerated") || says("commands") || line["incomplete"] == true
}

/// The line of `replay` for a chain as it was published.
fn line_of(record: &ChainRecord) -> Value {
    let verdict = record.verdict.as_ref().expect("a verdict");
    let word = |name: &str, prefix: &str| name.strip_prefix(prefix).expect("its prefix").to_lowercase();
    let failures = |calls: &[FailedCall]| calls.iter().map(failure).collect::<Vec<_>>();
    let edge = verdict.failing.as_ref().map(|edge| {
        json!({"caller": edge.caller, "callee": edge.callee, "operation": edge.operation, "call_id": edge.call_id})
    });
    let commands = record.commands.iter().map(|command| {
        json!({
            "wave": command.wave, "generation": command.generation, "call_id": command.call_id,
            "action": word(command.action().as_str_name(), "ACTION_"), "service": command.service,
            "operation": command.operation, "certainty": word(command.certainty().as_str_name(), "CERTAINTY_"),
        })
    });
    json!({
        "chain_id": record.chain_id,
        "outcome": word(verdict.outcome().as_str_name(), "OUTCOME_"),
        "failing_edge": edge,
        "cause": (verdict.cause() != Cause::Unspecified).then(|| word(verdict.cause().as_str_name(), "CAUSE_")),
        "path": verdict.path,
        "contributing": failures(&verdict.contributing),
        "tolerated": failures(&verdict.tolerated),
        "anomalies": verdict.anomalies().map(|it| word(it.as_str_name(), "ANOMALY_")).collect::<Vec<_>>(),
        "ambiguous": verdict.ambiguous,
        "incomplete": verdict.incomplete,
        "commands": commands.collect::<Vec<_>>(),
        "state": word(record.state().as_str_name(), "PLAN_STATE_"),
    })
}

fn failure(call: &FailedCall) -> Value {
    json!({
        "call_id": call.call_id, "caller": call.caller, "callee": call.callee, "operation": call.operation,
        "reason": call.reason,
    })
}

pub fn produce(world: &World, file: &std::path::Path) {
    let sender = Sender::new();
    for line in Recording::open(file).expect("a recording") {
        let Line::Entry(Entry { at, body: Some(Body::Envelope(envelope)), .. }) = line.expect("a whole recording")
        else {
            continue;
        };
        let topic = if envelope.kind == i32::from(Kind::Response) { &world.responses } else { &world.requests };
        sender.send_at(topic, &envelope.chain_id, &envelope.encode_to_vec(), at.map(|at| at.0));
    }
    sender.flush();
}

/// Issue 3: the same two recordings, produced into a real Kafka and read by `run`, give the same verdicts as `replay`.
#[test]
fn the_train_ticket_recordings_give_the_verdicts_of_replay() {
    for (n, file) in recordings().iter().enumerate() {
        let mut world = World::new(&format!("recorded-{n}"));
        // On a busy machine a fetch may take longer than the usual wait for it.
        world.more = "align_wait = \"5s\"".to_owned();
        let expected = replayed(file);
        assert!(expected.len() > 20, "the recording has tolerated failures: {}", expected.len());
        produce(&world, file);
        let agent = world.start_at_the_beginning("a").ready();
        let chains = Reader::new(&[&world.topic("chains")]);
        let mut found: BTreeMap<String, Found> = BTreeMap::new();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && !expected.keys().all(|chain| found.contains_key(chain)) {
            let Some(got) = chains.next(Duration::from_millis(200)) else { continue };
            let record = ChainRecord::decode(&*got.payload).expect("a chain record");
            let line = line_of(&record);
            if is_notable(&line) {
                found.insert(record.chain_id, line);
            }
        }
        assert_eq!(found, expected, "{}", file.display());
        assert!(agent.terminate().success());
    }
}
