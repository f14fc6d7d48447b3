//! Recorded traffic through a real Kafka: `run` finds what `replay` finds.

use std::{
    collections::{BTreeMap, BTreeSet},
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
        proto::{ChainRecord, Kind},
    },
};
use prost::Message;

use crate::{
    bus::{PATIENCE, Reader, Sender},
    world::World,
};

/// What is compared of a chain: outcome, tolerated calls, whether something is missing.
type Found = (String, BTreeSet<String>, bool);

fn recordings() -> [PathBuf; 2] {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/train-ticket");
    ["normal.jsonl.gz", "faults.jsonl.gz"].map(|name| folder.join(name))
}

/// Chains with something to say, as `replay` finds them.
fn replayed(file: &std::path::Path) -> BTreeMap<String, Found> {
    let feed = Feed::open(&[file.to_owned()], Policy::default().settings.max_ahead).expect("a recording");
    let mut replay = Replay::new(Policy::default(), None);
    for fed in feed {
        let Fed::Item(item) = fed else { panic!("a bad line in {}", file.display()) };
        replay.pass(item.at).expect("time");
        let Some(body) = item.entry.body else { continue };
        let stood = Stood { at: item.at, topic: "", partition: 0, offset: None };
        replay.take(&body.input(&WireLimits::default()).expect("a valid message"), stood).expect("taken");
    }
    replay.end().expect("the end");
    let found = |line: &ChainLine| {
        let tolerated = line.tolerated.iter().map(|failure| failure.call_id.clone()).collect();
        (line.outcome.to_owned(), tolerated, line.incomplete)
    };
    let notable = |line: &&ChainLine| line.outcome != "succeeded" || !line.tolerated.is_empty() || line.incomplete;
    replay.lines().iter().filter(notable).map(|line| (line.chain_id.clone(), found(line))).collect()
}

fn produce(world: &World, file: &std::path::Path) {
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
        let world = World::new(&format!("recorded-{n}"));
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
            let verdict = record.verdict.expect("a verdict");
            let tolerated: BTreeSet<String> = verdict.tolerated.iter().map(|failure| failure.call_id.clone()).collect();
            let outcome = verdict.outcome().as_str_name().trim_start_matches("OUTCOME_").to_lowercase();
            let notable = outcome != "succeeded" || !tolerated.is_empty() || verdict.incomplete;
            // The sample of the rest is published too.
            if notable {
                found.insert(record.chain_id, (outcome, tolerated, verdict.incomplete));
            }
        }
        assert_eq!(found, expected, "{}", file.display());
        assert!(agent.terminate().success());
    }
}
