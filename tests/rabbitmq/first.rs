//! A failing chain goes in; its verdict, its undo command and its picture come out.

use std::{sync::PoisonError, time::Duration};

use countermand::wire::proto::{ChainEvent, ChainEventKind, ChainRecord, Command, Outcome, PlanState};
use prost::Message;

use crate::{
    bus::{Made, Reader, look, make_queue, until},
    traffic::{Participants, Story, play},
    world::{USUAL_NAMES, World},
};

#[test]
fn a_failing_chain_is_found_undone_and_shown() {
    let world = World::new("first");
    let agent = world.start("a").ready();
    let participants = Participants::start(&world);
    play(&world, &[("chain-1".into(), Story::Declined), ("chain-2".into(), Story::Good)], 100);

    let events = Reader::new(&[&world.topic("events")]);
    let decided = events.find("the verdict", |got| {
        let event = ChainEvent::decode(&*got.payload).expect("an event");
        let wanted = event.kind() == ChainEventKind::Decided && event.outcome() == Outcome::Failed;
        wanted.then_some((event, got))
    });
    let (key, properties) = (decided.1.routing_key, decided.1.properties);
    let decided = decided.0;
    let text = |text: &Option<lapin::types::ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
    assert_eq!(text(properties.kind()).as_deref(), Some("countermand.v1.ChainEvent"));
    assert_eq!(text(properties.message_id()).as_ref(), Some(&decided.event_id));
    assert_eq!(text(properties.correlation_id()).as_deref(), Some("chain-1"));
    assert_eq!((decided.chain_id.as_str(), key.as_str()), ("chain-1", "events.decided"));
    assert_eq!(decided.failing.map(|failing| failing.call_id).as_deref(), Some("charge"));

    let picture = agent.chain("chain-1", |picture| picture["state"] == "compensated");
    assert_eq!(picture["failing_edge"]["callee"], "payment");
    assert_eq!(picture["path"], serde_json::json!(["place", "charge"]));
    assert_eq!(picture["commands"][0]["state"], "done");
    Reader::new(&[&world.topic("chains")]).find("the published picture", |got| {
        let record = ChainRecord::decode(&*got.payload).expect("a chain record");
        (record.chain_id == "chain-1" && record.state() == PlanState::Compensated).then_some(())
    });

    let line = until("the printed edge", || agent.printed().lines().next().map(str::to_owned));
    assert!(line.contains("order -> payment@1 Charge  error CARD_DECLINED  chain chain-1"), "{line}");
    assert_eq!(agent.get("/healthz").map(|(status, _)| status), Some(200));
    assert_eq!(agent.metric("countermand_commands_total{action=\"undo\"}"), Some(1.0));
    assert_eq!(agent.metric("countermand_unroutable"), Some(0.0));
    assert_eq!(agent.metric("countermand_records_total{kind=\"result\"}"), Some(1.0));

    assert!(agent.terminate().success());
    let received = participants.stop();
    let [received] = received.as_slice() else { panic!("one command, not {received:?}") };
    let command: &Command = &received.command;
    assert_eq!(Some(&command.command_id), Story::Declined.command_ids("chain-1").first());
    assert_eq!((command.operation.as_str(), command.attempt, command.wave), ("Release", 1, 1));
    for (header, value) in [
        ("countermand-command-id", command.command_id.as_str()),
        ("countermand-chain-id", "chain-1"),
        ("countermand-action", "undo"),
    ] {
        assert_eq!(received.headers.get(header).map(String::as_str), Some(value));
    }
    // At its end everything is acknowledged.
    for queue in [&world.requests, &world.responses, &world.topic("results")] {
        assert_eq!(look(queue), Some((0, 0)), "{queue}");
    }
}

/// What runs without a configuration reads and tells, and sends nothing.
#[test]
fn without_a_configuration_it_observes() {
    let _alone = USUAL_NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let world = World::with("observe", Made::Classic);
    let mut agent = world.start_plain(&[&world.requests, &world.responses]).ready();
    // What was told under the usual names is not told again, also in another run of this test.
    let chain = world.topic("chain");
    play(&world, &[(chain.clone(), Story::Declined)], 100);
    let line = until("the printed edge", || agent.printed().lines().next().map(str::to_owned));
    assert!(line.ends_with("1 effect would be undone"), "{line}");
    assert_eq!(agent.chain(&chain, |_| true)["state"], "observed");
    agent.kill();
    let commands = world.command_topics();
    let commands = Reader::new(&[&commands[0], &commands[1]]);
    assert!(commands.next(Duration::from_secs(1)).is_none());
}

/// Whatever kind of queue it is, the agent is the only one that reads it.
#[test]
fn a_queue_with_a_single_active_consumer_is_read() {
    let world = World::with("single", Made::SingleActive);
    let agent = world.start("a").ready();
    play(&world, &[("chain-1".into(), Story::Declined)], 100);
    agent.chain("chain-1", |picture| picture["outcome"] == "failed");
    assert!(agent.terminate().success());
}

/// A message that is none goes to the dead letters, with all that stood on it, and the rest goes on.
#[test]
fn poison_goes_to_the_dead_letters() {
    let world = World::new("poison");
    make_queue(&world.topic("else"), Made::Classic);
    let agent = world.start("a").ready();
    let sender = crate::bus::Sender::new();
    sender.send(&world.requests, "", b"\xff\xffno envelope", &[("tenant", "a")]);
    sender.flush();
    play(&world, &[("chain-1".into(), Story::Declined)], 100);
    agent.chain("chain-1", |picture| picture["outcome"] == "failed");
    let dead = Reader::new(&[&world.topic("dead-letters")]);
    let letter = dead.find("the dead letter", Some);
    assert_eq!(letter.payload, b"\xff\xffno envelope");
    assert_eq!(letter.headers.get("countermand-reason").map(String::as_str), Some("malformed"));
    assert_eq!(letter.headers.get("tenant").map(String::as_str), Some("a"));
    assert!(letter.headers["countermand-origin"].starts_with(&format!("{}/0/", world.requests)));
    assert!(dead.next(Duration::from_millis(300)).is_none());
    assert!(agent.terminate().success());
}
