//! Failure evidence from outside the reply path (S1.9): what died in a queue, and what no queue took.

use prost::Message;
use serde_json::Value;

use crate::{
    bus::{Made, Sender, make_dying_queue, make_queue},
    traffic::{Story, send},
    world::World,
};

/// Sends a chain whose payment never answers, and its request for the payment to another queue besides.
fn hang(world: &World, id: &str, queue: &str) {
    let sender = Sender::new();
    for (_, mut message) in Story::Declined.messages(id).into_iter().take(4) {
        if message.call_id == "charge" {
            // Its time limit would decide only much later.
            message.timeout = Some(countermand::wire::proto::Duration { seconds: 600, nanos: 0 });
            sender.send(queue, "", &message.encode_to_vec(), &[]);
            sender.flush();
        }
        send(world, &sender, &message);
    }
    let (_, failed) = Story::Declined.messages(id).pop().expect("the last message");
    send(world, &sender, &failed);
}

fn decided(world: &World, agent: &crate::agent::Agent, id: &str) -> Value {
    let picture = agent.chain(id, |picture| picture["outcome"] == "failed");
    assert_eq!((&picture["cause"], &picture["failing_edge"]["call_id"]), (&"undeliverable".into(), &"charge".into()));
    assert!(world.folder.exists());
    picture
}

#[test]
fn what_died_and_what_nobody_took_answers_its_call() {
    let mut world = World::new("evidence");
    let (work, dead, lost) = (world.topic("work"), world.topic("dead"), world.topic("lost"));
    for queue in [&dead, &lost] {
        make_queue(queue, Made::Quorum);
    }
    make_dying_queue(&work, &dead);
    world.more = format!("dead_letter_queues = [\"{dead}\"]\nunroutable_queues = [\"{lost}\"]");
    let agent = world.start("a").ready();
    // Nobody consumes it, and it goes to the dead letters of its queue: it may have been handled.
    hang(&world, "dead-1", &work);
    let picture = decided(&world, &agent, "dead-1");
    assert_eq!(picture["commands"][0]["certainty"], "in_doubt", "{picture}");
    // Nobody ever had it: there is nothing to undo but the reservation.
    hang(&world, "lost-1", &lost);
    let picture = decided(&world, &agent, "lost-1");
    let calls: Vec<&Value> =
        picture["commands"].as_array().expect("a list").iter().map(|command| &command["call_id"]).collect();
    assert_eq!(calls, ["reserve"], "{picture}");
    assert!(agent.terminate().success());
}
