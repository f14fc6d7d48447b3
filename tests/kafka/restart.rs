//! A restart goes on where the last commit left off: nothing is sent again, nothing is lost.

use crate::{
    bus::until,
    traffic::{Participants, Story, commands_of, ids_of, play, send},
    world::World,
};

#[test]
fn a_restart_sends_nothing_again_and_loses_nothing() {
    let world = World::new("restart");
    let mut agent = world.start("a").ready();
    // One chain done, one whose command is out and not answered, one half told.
    let sender = crate::bus::Sender::new();
    for (_, message) in &Story::DeclinedLate.messages("half")[..4] {
        send(&world, &sender, message);
    }
    play(&world, &[("done".into(), Story::Declined), ("healthy".into(), Story::Good)], 100);
    agent.chain("done", |picture| picture["commands"][0]["state"] == "sent");
    agent.kill();

    let participants = Participants::start(&world);
    let agent = world.start("a").ready();
    for (_, message) in &Story::DeclinedLate.messages("half")[4..] {
        send(&world, &sender, message);
    }
    agent.chain("half", |picture| picture["state"] == "compensated");
    agent.chain("done", |picture| picture["state"] == "compensated");
    assert!(agent.terminate().success());

    // After a clean end nothing is read again: the third agent takes over without a word about old chains.
    let agent = world.start("a").ready();
    until("its first look around", || agent.metric("countermand_partitions").filter(|&count| count > 0.0));
    assert_eq!(agent.metric("countermand_records_total{kind=\"envelope\"}"), None);
    assert!(agent.terminate().success());
    let expected = commands_of(&[("done", Story::Declined), ("half", Story::DeclinedLate)]);
    assert_eq!(ids_of(participants.stop()), expected);
}
