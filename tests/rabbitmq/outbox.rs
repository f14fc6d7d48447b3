//! Commands that no queue takes are kept, shown, and published under their ids once one does.

use crate::{
    bus::{Made, Reader, Sender, bind, make_queue, until},
    traffic::{Story, send},
    world::World,
};
use countermand::wire::proto::{Command, Envelope};
use prost::Message;

/// The story of a declined card, in which the stock is kept by a service without a queue.
fn messages(id: &str) -> Vec<Envelope> {
    let messages = Story::Declined.messages(id).into_iter().map(|(_, message)| message);
    messages
        .map(|mut message| {
            for party in [&mut message.source, &mut message.destination].into_iter().flatten() {
                if party.service == "inventory" {
                    party.service = "nowhere".to_owned();
                }
            }
            message
        })
        .collect()
}

#[test]
fn a_command_that_no_queue_takes_waits_for_one() {
    let world = World::new("outbox");
    let mut agent = world.start("a").ready();
    let sender = Sender::new();
    for message in messages("chain-1") {
        send(&world, &sender, &message);
    }
    until("the command to come back", || agent.metric("countermand_unroutable").filter(|count| *count == 1.0));
    // A plan that is made now is told so at once (S5.15).
    for message in messages("chain-2") {
        send(&world, &sender, &message);
    }
    let picture = agent.chain("chain-2", |picture| picture["state"] == "needs_operator");
    assert_eq!(picture["commands"][0]["reason"], "no_route", "{picture}");
    // It is kept even if the agent dies.
    agent.kill();
    let agent = world.start("a").ready();
    let again = agent.chain("chain-2", |picture| picture["state"] == "needs_operator");
    assert_eq!(again["commands"], picture["commands"], "what needs an operator is shown after a restart, too");
    until("the command to come back again", || agent.metric("countermand_unroutable").filter(|count| *count == 1.0));
    let queue = world.topic("late");
    make_queue(&queue, Made::Quorum);
    bind(&queue, &world.name, "commands.nowhere");
    let command = Reader::new(&[&queue]).find("the command", |got| Command::decode(&*got.payload).ok());
    assert_eq!(Some(&command.command_id), Story::Declined.command_ids("chain-1").first());
    until("nothing to wait", || agent.metric("countermand_unroutable").filter(|count| *count == 0.0));
    assert!(agent.log().contains("no queue is bound for it"));
    assert!(agent.terminate().success());
}
