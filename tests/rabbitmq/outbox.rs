//! Commands that no queue takes are kept, shown, and published under their ids once one does.

use std::collections::BTreeSet;

use countermand::{
    agent::rabbit::clock,
    bus::rabbit::{
        Address, Rabbit, Setup,
        address::Parts,
        message::Letter,
        source::{Kind, Source, Way},
    },
    model::Span,
    wire::proto::{Command, Envelope},
};
use prost::Message;

use crate::{
    broker::url,
    bus::{Made, Reader, Sender, bind, make_queue, until},
    traffic::{Story, send},
    world::World,
};

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

/// A publication that bears this number.
fn numbered(exchange: &str, routing_key: &str, mandatory: bool, number: u64) -> Letter {
    let way = Way { exchange: exchange.to_owned(), routing_key: routing_key.to_owned(), mandatory };
    let properties = lapin::BasicProperties::default().with_message_id(number.to_string().into());
    Letter { way, topic: routing_key.to_owned(), line: None, properties, body: number.to_be_bytes().to_vec() }
}

/// What came back is told by what it is: the broker confirms what a queue takes later than what it gives back, and the client
/// hands what was given back to whichever confirm comes next.
#[test]
fn what_comes_back_is_not_taken_for_what_arrived() {
    const MANY: u64 = 3_000;
    let world = World::new("mixed");
    make_queue(&world.topic("all-events"), Made::Quorum);
    bind(&world.topic("all-events"), &world.name, "events.#");
    let parts =
        Parts { url: url().to_owned(), name: world.name.clone(), heartbeat: Span::secs(10), ..Parts::default() };
    let source = Source {
        topic: "in".into(),
        partition: 0,
        queue: world.requests.clone(),
        kind: Kind::Stream { from_beginning: false },
    };
    let mut rabbit = Rabbit::new(Setup {
        address: Address::new(parts).expect("an address"),
        exchange: world.name.clone(),
        dead_letters: world.topic("dead-letters"),
        told: String::new(),
        sources: vec![source],
        prefetch: 10,
        only_looks: false,
        now: clock,
        status: Default::default(),
    });
    rabbit.begin(&[]).expect("a thread");
    let (mut arrive, mut come_back) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..MANY {
        let is_lost = number % 3 == 0;
        let letter = match is_lost {
            true => numbered(&world.name, "commands.nowhere", true, number),
            false => numbered(&world.name, "events.decided", number % 3 == 1, number),
        };
        if is_lost { &mut come_back } else { &mut arrive }.insert(number);
        rabbit.publish(number, letter);
    }
    let mut confirmed = BTreeSet::new();
    until("all that a queue takes to arrive", || {
        confirmed.extend(rabbit.confirmed());
        assert!(confirmed.is_disjoint(&come_back), "what no queue took is said to have arrived");
        confirmed.is_superset(&arrive).then_some(())
    });
    assert!(rabbit.is_unroutable("commands.nowhere") && !rabbit.is_unroutable("events.decided"));
    let queue = world.topic("late");
    make_queue(&queue, Made::Quorum);
    bind(&queue, &world.name, "commands.nowhere");
    until("the others to arrive once a queue takes them", || {
        confirmed.extend(rabbit.confirmed());
        confirmed.is_superset(&come_back).then_some(())
    });
    drop(rabbit);
    let got = |queue: &str| -> Vec<Vec<u8>> {
        let mut got: Vec<Vec<u8>> = Reader::new(&[queue]).rest().into_iter().map(|got| got.payload.to_vec()).collect();
        got.sort();
        got
    };
    let bodies =
        |numbers: &BTreeSet<u64>| -> Vec<Vec<u8>> { numbers.iter().map(|n| n.to_be_bytes().to_vec()).collect() };
    assert_eq!(got(&queue), bodies(&come_back), "each once");
    assert_eq!(got(&world.topic("all-events")), bodies(&arrive), "each once");
}
