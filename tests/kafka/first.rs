//! A failing chain goes in; its verdict, its undo command and its picture come out.

use std::time::Duration;

use countermand::wire::proto::{ChainEvent, ChainEventKind, ChainRecord, Command, Outcome};
use prost::Message;

use crate::{
    bus::{Reader, committed, until},
    traffic::{Participants, Story, play},
    world::World,
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
        (event.kind() == ChainEventKind::Decided && event.outcome() == Outcome::Failed).then_some(event)
    });
    assert_eq!(decided.chain_id, "chain-1");
    assert_eq!(decided.failing.map(|failing| failing.call_id).as_deref(), Some("charge"));

    let picture = agent.chain("chain-1", |picture| picture["state"] == "compensated");
    assert_eq!(picture["failing_edge"]["callee"], "payment");
    assert_eq!(picture["path"], serde_json::json!(["place", "charge"]));
    assert_eq!(picture["commands"][0]["state"], "done");
    let chains = Reader::new(&[&world.topic("chains")]);
    chains.find("the published picture", |got| {
        let record = ChainRecord::decode(&*got.payload).expect("a chain record");
        (record.chain_id == "chain-1" && record.state() == countermand::wire::proto::PlanState::Compensated)
            .then_some(())
    });

    let line = until("the printed edge", || agent.printed().lines().next().map(str::to_owned));
    assert!(line.contains("order -> payment@1 Charge  error CARD_DECLINED  chain chain-1"), "{line}");
    assert_eq!(agent.get("/healthz").map(|(status, _)| status), Some(200));
    let (status, problem) = agent.get("/v1/chains/nobody").expect("an answer");
    assert_eq!((status, problem.contains("\"status\":404")), (404, true), "{problem}");
    assert_eq!(agent.metric("countermand_commands_total{action=\"undo\"}"), Some(1.0));

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
        ("content-type", "application/protobuf"),
    ] {
        assert_eq!(received.headers.get(header).map(String::as_str), Some(value));
    }
    // At its end the agent has saved everything: all input is committed.
    let total: i64 = [&world.requests, &world.responses]
        .iter()
        .flat_map(|topic| committed(&world.group, topic))
        .map(|offset| offset.expect("a committed offset"))
        .sum();
    assert_eq!(total, 12);
}

/// What runs without a configuration reads and tells, and sends nothing.
#[test]
fn without_a_configuration_it_observes() {
    let world = World::new("observe");
    let mut agent = world.start_plain().ready();
    play(&world, &[("chain-1".into(), Story::Declined)], 100);
    let line = until("the printed edge", || agent.printed().lines().next().map(str::to_owned));
    assert!(line.ends_with("1 effect would be undone"), "{line}");
    let picture = agent.chain("chain-1", |_| true);
    assert_eq!(picture["state"], "observed");
    agent.kill();
    let commands = world.command_topics();
    let commands = Reader::new(&[&commands[0], &commands[1]]);
    assert!(commands.next(Duration::from_secs(1)).is_none());
}
