//! A stream as input: it is read on where it was left, and nothing of it is decided twice.

use crate::{
    bus::{Made, until},
    traffic::{Participants, Story, commands_of, ids_of, play, send},
    world::World,
};

#[test]
fn a_stream_is_read_on_where_it_was_left() {
    let world = World::with("stream", Made::Stream);
    let inputs = format!("streams = [\"{}\", \"{}\"]\nstart = \"earliest\"", world.requests, world.responses);
    // What is there before the first agent is read, too.
    play(&world, &[("before".into(), Story::Declined)], 100);
    let mut agent = world.start_on("a", &inputs).ready();
    let participants = Participants::start(&world);
    // A plan of an earlier time than the agent's would wait for approval only if it were an hour old.
    agent.chain("before", |picture| picture["state"] == "compensated");
    let sender = crate::bus::Sender::new();
    let half = Story::DeclinedLate.messages("half");
    for (_, message) in &half[..4] {
        send(&world, &sender, message);
    }
    play(&world, &[("done".into(), Story::Declined)], 100);
    agent.chain("done", |picture| picture["state"] == "compensated");
    until("the half chain to be read", || {
        agent.metric("countermand_records_total{kind=\"envelope\"}").filter(|count| *count >= 16.0)
    });
    agent.kill();

    let agent = world.start_on("a", &inputs).ready();
    for (_, message) in &half[4..] {
        send(&world, &sender, message);
    }
    agent.chain("half", |picture| picture["state"] == "compensated");
    // Of the stream only what was not committed is read again: the last hundredths of a second.
    let read = agent.metric("countermand_records_total{kind=\"envelope\"}").expect("some");
    assert!((2.0..16.0).contains(&read), "{read} envelopes were read");
    assert!(agent.terminate().success());
    let mut ids = ids_of(participants.stop());
    ids.dedup();
    assert_eq!(ids, commands_of(&["before", "done", "half"].map(|id| (id, Story::Declined))));
}
