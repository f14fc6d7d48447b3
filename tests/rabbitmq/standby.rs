//! Two agents on one set of queues: one works, the other stands by and takes over.

use std::sync::PoisonError;

use crate::{
    bus::{Made, Reader, look, make_queue, until},
    traffic::{Participants, Story, commands_of, ids_of, play, send},
    world::{USUAL_NAMES, World},
};

#[test]
fn a_second_agent_stands_by_and_takes_over_in_the_middle_of_a_chain() {
    let world = World::new("standby");
    let mut first = world.start("a").ready();
    let second = world.start("b");
    until("the second agent to say that it stands by", || {
        let (status, body) = second.get("/readyz")?;
        (status == 503 && body.contains("standing by")).then_some(())
    });
    // It publishes nothing, and says so at once.
    let wish = serde_json::json!({"reason": "a test", "by": "ann"});
    let (status, told) = second.post("/v1/pause", "", &wish).expect("an answer");
    assert!(status == 503 && told.to_string().contains("ask that one"), "{told}");
    let participants = Participants::start(&world);
    let sender = crate::bus::Sender::new();
    let messages = Story::Declined.messages("half");
    for (_, message) in &messages[..4] {
        send(&world, &sender, message);
    }
    play(&world, &[("whole".into(), Story::Declined)], 100);
    first.chain("whole", |picture| picture["state"] == "compensated");
    until("the half chain to be read", || first.metric("countermand_chains").filter(|chains| *chains >= 2.0));
    first.kill();
    let second = second.ready();
    for (_, message) in &messages[4..] {
        send(&world, &sender, message);
    }
    // What the first agent read and acknowledged the second one knows: it is on the journal that the first one had.
    let picture = second.chain("half", |picture| picture["state"] == "compensated");
    assert_eq!((&picture["incomplete"], &picture["failing_edge"]["callee"]), (&false.into(), &"payment".into()));
    assert!(second.terminate().success());
    let mut ids = ids_of(participants.stop());
    ids.dedup();
    assert_eq!(ids, commands_of(&[("whole", Story::Declined), ("half", Story::Declined)]));
}

/// An agent with a journal of its own would take half of every chain: it gets nothing while the first one lives.
#[test]
fn no_two_agents_share_a_queue_whatever_their_journals() {
    let _alone = USUAL_NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let world = World::new("shared");
    let agent = world.start("a").ready();
    let other = world.start_plain(&[&world.requests]);
    until("the other agent to stand by", || {
        let (status, body) = other.get("/readyz")?;
        (status == 503 && body.contains("another agent reads queue")).then_some(())
    });
    play(&world, &[("chain-1".into(), Story::Declined)], 100);
    agent.chain("chain-1", |picture| picture["outcome"] == "failed");
    assert_eq!(other.metric("countermand_records_total{kind=\"envelope\"}"), None);
    assert!(agent.terminate().success());
}

/// Somebody else's consumer would take half of every chain, too.
#[test]
fn a_queue_that_something_else_consumes_is_not_read() {
    let world = World::new("foreign");
    let queue = world.topic("foreign");
    make_queue(&queue, Made::Quorum);
    let reader = Reader::new(&[&queue]);
    assert!(reader.next(std::time::Duration::from_millis(50)).is_none());
    assert_eq!(look(&queue), Some((0, 1)));
    let agent = world.start_on("a", &format!("queues = [\"{queue}\"]"));
    until("the agent to stand by", || {
        let (status, body) = agent.get("/readyz")?;
        (status == 503 && body.contains("something else consumes queue")).then_some(())
    });
    drop(reader);
    let agent = agent.ready();
    assert!(agent.terminate().success());
}

/// Operators have hands where the stream of what agents tell cannot be read.
#[test]
fn an_agent_that_cannot_read_what_agents_tell_hears_itself() {
    let world = World::new("unheard");
    make_queue(&world.topic("told"), Made::Classic);
    let agent = world.start("a").ready();
    play(&world, &[("chain-1".into(), Story::Declined)], 100);
    agent.chain("chain-1", |picture| picture["outcome"] == "failed");
    let (_, body) = agent.get("/readyz").expect("an answer");
    assert!(body.contains(&world.topic("told")), "{body}");
    let wish = serde_json::json!({"reason": "a test", "by": "ann"});
    until("a request to be answered", || {
        let (status, told) = agent.post("/v1/pause", "", &wish)?;
        (status == 200 && told["done"] == 1).then_some(())
    });
    assert!(agent.terminate().success());
}
