//! Operators' hands with several instances: whichever is asked, the one that owns the chain acts, once, and whoever asked
//! is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use countermand::{
    audit::verify,
    bus::partitioner::partition_of,
    wire::proto::{ChainEvent, ChainEventKind},
};
use prost::Message;
use serde_json::{Value, json};

use crate::{
    agent::Agent,
    bus::{PARTITIONS, Reader, until},
    traffic::{Participants, Story, commands_of, ids_of, play},
    world::World,
};

/// Two agents of one group, each with half of the partitions.
fn two(world: &World) -> [Agent; 2] {
    let first = world.start("a").ready();
    let second = world.start("b").ready();
    let agents = [first, second];
    until("both to have partitions", || {
        let counts = agents.each_ref().map(|agent| agent.metric("countermand_partitions"));
        (counts == [Some(2.0), Some(2.0)]).then_some(())
    });
    agents
}

fn declined(ids: impl IntoIterator<Item = String>) -> Vec<(String, Story)> {
    ids.into_iter().map(|id| (id, Story::Declined)).collect()
}

/// Ids of all chains in a state, by pages.
fn listed(agent: &Agent, state: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, body) = agent.get(&format!("/v1/chains?state={state}&limit=7{cursor}")).expect("an answer");
        assert_eq!(status, 200, "{body}");
        let page: Value = serde_json::from_str(&body).expect("JSON");
        let chains = page["chains"].as_array().expect("chains");
        ids.extend(chains.iter().map(|chain| chain["chain_id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["cursor"].as_str() else { return ids };
        cursor = format!("&cursor={next}");
    }
}

fn wish(verb: &str, revision: u32) -> Value {
    json!({ "verb": verb, "revision": revision, "reason": "a test", "by": "ann" })
}

fn actions(id: &str) -> String {
    format!("/v1/chains/{id}/actions")
}

/// What stands in an instance's audit: `asked`, `done` and `refused` by chain. The file is as it was written.
fn audit(world: &World, files: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(world.audit(files)).unwrap_or_default();
    verify(text.as_bytes()).expect("a good audit file");
    let entry = |line: &str| {
        let entry: Value = serde_json::from_str(line).expect("an entry");
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        (text("what"), text("chain_id"))
    };
    text.lines().map(entry).collect()
}

/// Chains of which an instance's audit says this.
fn said(world: &World, files: &str, what: &str) -> BTreeSet<String> {
    let chains = audit(world, files).into_iter().filter(|(said, _)| said == what).map(|(_, chain)| chain);
    let chains: Vec<String> = chains.collect();
    let once: BTreeSet<String> = chains.iter().cloned().collect();
    assert!(what != "done" || once.len() == chains.len(), "done twice: {chains:?}");
    once
}

#[test]
fn whichever_instance_is_asked_the_owner_acts() {
    let world = World::approving("hands");
    let agents = two(&world);
    let [first, second] = &agents;
    let participants = Participants::start(&world);
    let stories = declined((0..60).map(|n| format!("chain-{n}")));
    play(&world, &stories, 200);
    let all: BTreeSet<String> = stories.iter().map(|(id, _)| id.clone()).collect();
    for agent in &agents {
        let ids = until("all chains to wait", || {
            let ids = listed(agent, "awaiting_approval");
            (ids.len() >= all.len()).then_some(ids)
        });
        assert_eq!((ids.len(), ids.into_iter().collect::<BTreeSet<_>>()), (all.len(), all.clone()), "each once");
    }
    let (status, stale) = first.post(&actions("chain-0"), "", &wish("approve", 9)).expect("an answer");
    assert!(status == 409 && stale["detail"].as_str().is_some_and(|it| it.contains("revision_changed")), "{stale}");
    for id in &all {
        let (status, done) =
            first.post(&actions(id), &format!("approve {id}"), &wish("approve", 1)).expect("an answer");
        assert_eq!((status, &done["outcome"], &done["chain_id"]), (200, &"done".into(), &id.clone().into()), "{done}");
        // Whoever is asked the same again tells the same.
        let again = second.post(&actions(id), &format!("approve {id}"), &wish("approve", 1));
        assert_eq!(again, Some((200, done)));
    }
    for agent in &agents {
        until("all chains to be compensated", || (listed(agent, "compensated").len() == all.len()).then_some(()));
    }
    let done = ["a", "b"].map(|files| said(&world, files, "done"));
    assert!(done.iter().all(|chains| !chains.is_empty()), "both own chains");
    let done: Vec<&String> = done.iter().flatten().collect();
    assert_eq!((done.len(), done.into_iter().cloned().collect()), (all.len(), all.clone()), "each by its owner alone");
    assert_eq!(said(&world, "a", "asked"), all);
    for agent in agents {
        assert!(agent.terminate().success());
    }
    assert_eq!(ids_of(participants.stop()), commands_of(&stories));
}

#[test]
fn a_pause_reaches_every_engine() {
    let world = World::new("pause");
    let agents = two(&world);
    let [first, second] = &agents;
    let why = json!({ "reason": "a test", "by": "ann" });
    let (status, paused) = first.post("/v1/pause", "", &why).expect("an answer");
    assert_eq!(
        (status, &paused["engines"], &paused["done"]),
        (200, &PARTITIONS.into(), &PARTITIONS.into()),
        "{paused}"
    );
    let stories = declined((0..12).map(|n| format!("chain-{n}")));
    play(&world, &stories, 100);
    for (id, _) in &stories {
        second.chain(id, |chain| chain["outcome"] == "failed");
    }
    let topics = world.command_topics();
    let commands = Reader::new(&[&topics[0], &topics[1]]);
    assert!(commands.rest().is_empty(), "a command went out of a paused engine");
    let (status, resumed) = second.post("/v1/resume", "", &why).expect("an answer");
    assert_eq!((status, &resumed["done"]), (200, &PARTITIONS.into()), "{resumed}");
    let participants = Participants::start(&world);
    for (id, _) in &stories {
        first.chain(id, |chain| chain["state"] == "compensated");
    }
    drop(participants.stop());
}

/// The owner hangs, then dies, with the request on the bus: whoever takes over acts, once, and the repetition is answered.
#[test]
fn an_owner_that_dies_between_request_and_outcome_leaves_one_outcome() {
    let world = World::approving("orphan");
    let [first, mut second] = two(&world);
    let participants = Participants::start(&world);
    // Two chains of each partition: one shows whose it is, the other is acted on when that one dies.
    let ids = |kind: &str| -> BTreeMap<i32, String> {
        (0..).map(|n| format!("{kind}-{n}")).map(|id| (partition_of(id.as_bytes(), PARTITIONS), id)).take(64).collect()
    };
    let (probes, victims) = (ids("probe"), ids("victim"));
    assert_eq!((probes.len(), victims.len()), (4, 4));
    play(&world, &declined(probes.values().chain(victims.values()).cloned()), 100);
    for id in probes.values().chain(victims.values()) {
        first.chain(id, |chain| chain["state"] == "awaiting_approval");
    }
    for id in probes.values() {
        let (status, done) = first.post(&actions(id), "", &wish("approve", 1)).expect("an answer");
        assert_eq!(status, 200, "{done}");
    }
    let of_second = said(&world, "b", "done");
    let victims: Vec<&String> = probes
        .iter()
        .filter(|(_, probe)| of_second.contains(*probe))
        .map(|(partition, _)| &victims[partition])
        .collect();
    assert_eq!(victims.len(), 2);
    second.freeze();
    let mut names = BTreeSet::new();
    for id in &victims {
        let (status, pending) = first.post(&actions(id), id, &wish("approve", 1)).expect("an answer");
        assert_eq!((status, &pending["outcome"]), (202, &"pending".into()), "{pending}");
        names.insert(pending["operation_id"].as_str().expect("an id").to_owned());
    }
    second.kill();
    for id in &victims {
        let done = until("the outcome", || {
            let (status, told) = first.post(&actions(id), id, &wish("approve", 1))?;
            (status == 200).then_some(told)
        });
        assert!(names.contains(done["operation_id"].as_str().expect("an id")), "{done}");
        first.chain(id, |chain| chain["state"] == "compensated");
    }
    // One that has just started is asked before it has any partition, and still tells.
    let second = world.start("b");
    let asked = victims[0];
    let (status, told) = until("the new instance to have found its bus", || {
        second.post(&actions(asked), asked, &wish("approve", 1)).filter(|(status, _)| *status != 503)
    });
    assert!(status == 200 && names.contains(told["operation_id"].as_str().expect("an id")), "{told}");
    let fresh = json!({ "verb": "approve", "revision": 1, "reason": "nothing waits", "by": "bob" });
    let (status, refused) = second.post(&actions(asked), "", &fresh).expect("an answer");
    assert_eq!(status, 409, "{refused}");
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for got in Reader::new(&[&world.topic("events")]).rest() {
        let event = ChainEvent::decode(&*got.payload).expect("an event");
        if event.kind() == ChainEventKind::Operator && names.contains(&event.operation_id) {
            *outcomes.entry(event.operation_id).or_default() += 1;
        }
    }
    assert_eq!(outcomes, names.iter().map(|name| (name.clone(), 1)).collect());
    let done =
        |files: &str| audit(&world, files).into_iter().filter(|(what, id)| what == "done" && *id == **asked).count();
    assert_eq!(done("a") + done("b"), 1);
    let commands = participants.stop();
    let ids: BTreeSet<&String> = commands.iter().map(|got| &got.command.command_id).collect();
    assert_eq!(ids.len(), commands.len(), "a command was published twice");
}

/// A listener that loses its agent goes on at another one, and at the one that came back.
#[test]
fn a_listener_hears_each_event_once_whichever_instance_it_listens_to() {
    let world = World::new("ear");
    let [mut first, second] = two(&world);
    let participants = Participants::start(&world);
    let mut ear = first.listen("");
    // What comes before its head is answered it may not hear.
    let (mut heard, mut last) = (Vec::new(), String::new());
    let mut hear = |ear: &mut crate::agent::Ear, last: &mut String, until: &str| loop {
        let (id, event, data) = ear.next();
        assert_ne!(event, "cut", "{data}");
        *last = id;
        heard.push(data["eventId"].as_str().expect("an id").to_owned());
        let is_last = event == "state" && data["state"] == "PLAN_STATE_COMPENSATED" && data["chainId"] == until;
        if is_last {
            break;
        }
    };
    until("the listener to be there", || (first.metric("countermand_partitions") == Some(2.0)).then_some(()));
    play(&world, &declined((0..20).map(|n| format!("one-{n}"))), 100);
    hear(&mut ear, &mut last, "one-19");
    first.kill();
    play(&world, &declined((0..20).map(|n| format!("two-{n}"))), 100);
    ear = second.listen(&last);
    hear(&mut ear, &mut last, "two-7");
    let first = world.start("a");
    ear = first.listen(&last);
    play(&world, &declined(["three".to_owned()]), 100);
    hear(&mut ear, &mut last, "three");
    drop(participants.stop());
    // Each partition has its own order: what is not heard of the others yet, comes.
    let all: BTreeSet<String> = Reader::new(&[&world.topic("events")])
        .rest()
        .iter()
        .map(|got| ChainEvent::decode(&*got.payload).expect("an event").event_id)
        .collect();
    while heard.len() < all.len() {
        let (_, event, data) = ear.next();
        assert_ne!(event, "cut", "{data}");
        heard.push(data["eventId"].as_str().expect("an id").to_owned());
    }
    let once: BTreeSet<String> = heard.iter().cloned().collect();
    assert_eq!((once.len(), once), (heard.len(), all));
}
