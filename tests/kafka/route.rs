//! S5.15: where commands may go, whatever a message asks for.

use countermand::wire::proto::{Command, Compensation, Effect, Envelope, Operation, Verb};
use prost::Message;

use crate::{
    bus::{Reader, Sender, make_topics},
    traffic::{Participants, Story, send},
    world::World,
};

/// The declined chain, where `reserve` asks for a route of its own, and is made beside a reservation without one.
fn messages(chain: &str, route: &str) -> Vec<Envelope> {
    let mut messages: Vec<Envelope> = Story::Declined.messages(chain).into_iter().map(|(_, message)| message).collect();
    for n in [2, 1] {
        let mut beside = messages[n].clone();
        beside.call_id = "beside".into();
        beside.message_id = format!("beside-{n}");
        messages.insert(n + 1, beside);
    }
    // Both are asked for before either is answered.
    assert_eq!(messages[1].call_id, "reserve");
    messages[1].effect = Some(Effect {
        compensation: Some(Compensation {
            operation: "Release".into(),
            route: route.to_owned(),
            headers: [("countermand-action", "forged"), ("Content-Type", "forged"), ("tenant", "acme")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Compensation::default()
        }),
        ..Effect::default()
    });
    messages
}

#[test]
fn a_command_without_a_route_needs_an_operator_and_holds_up_nothing_beside_it() {
    let world = World::new("route");
    let participants = Participants::start(&world);
    let mut agent = world.start("a").ready();
    let sender = Sender::new();
    // One that is allowed and not there, one that nobody allowed, and two of the agent's own.
    let nowhere = world.topic("legacy.nowhere");
    let routes = [nowhere.clone(), world.topic("elsewhere"), world.topic("events"), world.topic("commands.payment")];
    make_topics(&[&routes[1]]);
    for (n, route) in routes.iter().enumerate() {
        for message in messages(&format!("chain-{n}"), route) {
            send(&world, &sender, &message);
        }
    }
    for n in 0..routes.len() {
        let done = |picture: &serde_json::Value| {
            let commands = picture["commands"].as_array().cloned().unwrap_or_default();
            commands.iter().any(|command| command["call_id"] == "beside" && command["state"] == "done")
        };
        let picture = agent.chain(&format!("chain-{n}"), done);
        assert_eq!(
            (&picture["state"], &picture["waits"]),
            (&"needs_operator".into(), &serde_json::json!(["no_route"]))
        );
        let commands = picture["commands"].as_array().expect("commands");
        let stuck = commands.iter().find(|command| command["call_id"] == "reserve").expect("a command for it");
        assert_eq!((&stuck["state"], &stuck["sends"]), (&"stuck".into(), &0.into()), "{stuck}");
    }
    agent.kill();

    // The topic is made; an operator says so to the next agent.
    make_topics(&[&nowhere]);
    let agent = world.start("a").ready();
    let retry = Operation {
        operation_id: "again".into(),
        chain_id: "chain-0".into(),
        call_id: "reserve".into(),
        verb: Verb::Retry.into(),
        by: "test".into(),
        ..Operation::default()
    };
    sender.send(&world.topic("operations"), "chain-0", &retry.encode_to_vec(), &[]);
    sender.flush();
    let got = Reader::new(&[&nowhere]).find("the command by its own route", Some);
    let command = Command::decode(&*got.payload).expect("a command");
    assert_eq!((command.chain_id.as_str(), command.call_id.as_str()), ("chain-0", "reserve"));
    let headers: Vec<(&str, &str)> = got.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let id = command.command_id.as_str();
    assert_eq!(
        headers,
        [
            ("content-type", "application/protobuf"),
            ("countermand-action", "undo"),
            ("countermand-chain-id", "chain-0"),
            ("countermand-command-id", id),
            ("tenant", "acme"),
        ]
    );
    assert!(agent.terminate().success());
    let calls: Vec<String> = participants.stop().into_iter().map(|got| got.command.call_id).collect();
    assert_eq!(calls, vec!["beside"; routes.len()], "nothing else came to any service");
    assert_eq!(Reader::new(&[&world.topic("dead-letters"), &routes[1]]).rest().len(), 0);
}
