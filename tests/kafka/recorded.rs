//! Recorded traffic of a real system through a real Kafka: the same verdicts as `replay` gives offline.

use std::{collections::BTreeMap, path::PathBuf, process::Command};

use countermand::wire::proto::{Cause, ChainRecord, FailedCall, Outcome, Verdict};
use prost::Message;
use serde_json::{Value, json};

use crate::{
    broker::bootstrap,
    bus::{PARTITIONS, Reader},
    world::World,
};

#[test]
fn normal_traffic_gets_the_verdicts_of_replay() {
    same_as_replay("normal");
}

#[test]
fn faulty_traffic_gets_the_verdicts_of_replay() {
    same_as_replay("faults");
}

fn same_as_replay(name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/train-ticket");
    let file = folder.join(format!("{name}.jsonl.gz")).display().to_string();
    let world = World::new(name);
    let partitions = PARTITIONS.to_string();
    countermand(&[
        "bench",
        "produce",
        "--kafka",
        bootstrap(),
        "--topic",
        &world.requests,
        "--partitions",
        &partitions,
        &file,
    ]);
    let arguments = ["--topics", &world.requests, "--start", "earliest", "--until-idle", "3s"];
    let mut agent = world.start_with("a", &arguments);
    assert!(agent.end().success(), "{}", agent.log());

    let mut published: BTreeMap<String, Value> = BTreeMap::new();
    for got in Reader::new(&[&world.topic("chains")]).rest() {
        let record = ChainRecord::decode(&*got.payload).expect("a chain record");
        published.insert(record.chain_id.clone(), of_record(&record));
    }
    let replayed = countermand(&["replay", "--format", "json", &file]);
    let mut compared = 0;
    for line in replayed.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let id = line["chain_id"].as_str().expect("an id");
        let expected = of_line(&line);
        match published.remove(id) {
            Some(got) => assert_eq!(got, expected, "{id}"),
            None => assert_eq!(expected, plain(), "{id} is not published, so it plainly succeeded"),
        }
        compared += 1;
    }
    assert_eq!(published.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "chains that replay does not know");
    assert!(compared > 50, "{compared} chains");
    println!("{name}: {compared} chains as replay decides them");
}

/// Runs a command of the product and returns what it wrote.
fn countermand(arguments: &[&str]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_countermand")).args(arguments).output().expect("countermand");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text")
}

/// What is compared of a chain, as of one that plainly succeeded.
fn plain() -> Value {
    of_parts("succeeded", "", Value::Null, &[], &[], false, false)
}

fn of_parts(
    outcome: &str,
    cause: &str,
    failing: Value,
    path: &[&str],
    tolerated: &[&str],
    ambiguous: bool,
    incomplete: bool,
) -> Value {
    json!({
        "outcome": outcome, "cause": cause, "failing": failing, "path": path, "tolerated": tolerated,
        "ambiguous": ambiguous, "incomplete": incomplete,
    })
}

fn of_record(record: &ChainRecord) -> Value {
    let Some(verdict) = &record.verdict else { return plain() };
    let Verdict { path, tolerated, .. } = verdict;
    let word = |name: &str, prefix: &str| match name.strip_prefix(prefix) {
        Some("UNSPECIFIED") | None => String::new(),
        Some(word) => word.to_lowercase(),
    };
    let ids = |calls: &[FailedCall]| calls.iter().map(|call| call.call_id.clone()).collect::<Vec<_>>();
    let tolerated = ids(tolerated);
    of_parts(
        &word(Outcome::as_str_name(&verdict.outcome()), "OUTCOME_"),
        &word(Cause::as_str_name(&verdict.cause()), "CAUSE_"),
        verdict.failing.as_ref().map_or(Value::Null, |failing| json!(failing.call_id)),
        &path.iter().map(String::as_str).collect::<Vec<_>>(),
        &tolerated.iter().map(String::as_str).collect::<Vec<_>>(),
        verdict.ambiguous,
        verdict.incomplete,
    )
}

fn of_line(line: &Value) -> Value {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.map(|item| item["call_id"].as_str().or(item.as_str()).unwrap_or_default().to_owned()).collect()
    };
    let (path, tolerated) = (texts(&line["path"]), texts(&line["tolerated"]));
    of_parts(
        line["outcome"].as_str().unwrap_or_default(),
        line["cause"].as_str().unwrap_or_default(),
        line["failing_edge"].get("call_id").cloned().unwrap_or(Value::Null),
        &path.iter().map(String::as_str).collect::<Vec<_>>(),
        &tolerated.iter().map(String::as_str).collect::<Vec<_>>(),
        line["ambiguous"].as_bool().unwrap_or_default(),
        line["incomplete"].as_bool().unwrap_or_default(),
    )
}
