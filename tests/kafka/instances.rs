//! Several instances: partitions move with their state; two of one name end with a sentence.

use std::collections::BTreeMap;

use crate::{
    bus::until,
    traffic::{Participants, Story, commands_of, ids_of, play, send},
    world::World,
};

#[test]
fn partitions_move_to_a_second_instance_with_their_chains() {
    let world = World::new("two");
    let first = world.start("a").ready();
    let participants = Participants::start(&world);
    let stories: Vec<(String, Story)> = (0..40).map(|n| (format!("chain-{n}"), Story::Declined)).collect();
    let sender = crate::bus::Sender::new();
    let halves = |half: std::ops::Range<usize>| {
        for (id, story) in &stories {
            for (_, message) in &story.messages(id)[half.clone()] {
                send(&world, &sender, message);
            }
        }
    };
    halves(0..4);
    until("all chains", || first.metric("countermand_chains").filter(|&count| count >= 40.0));
    let second = world.start("b").ready();
    until("both to have partitions", || {
        let counts = [&first, &second].map(|agent| agent.metric("countermand_partitions"));
        (counts == [Some(2.0), Some(2.0)]).then_some(())
    });
    halves(4..6);
    let mut shown = BTreeMap::new();
    until("all chains to be compensated", || {
        for (id, _) in &stories {
            for agent in [&first, &second] {
                if let Some((200, body)) = agent.get(&format!("/v1/chains/{id}")) {
                    let picture: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                    shown.insert(id.clone(), picture["state"] == "compensated");
                }
            }
        }
        (shown.len() == 40 && shown.values().all(|done| *done)).then_some(())
    });
    assert!(first.terminate().success() && second.terminate().success());
    assert_eq!(ids_of(participants.stop()), commands_of(&stories));
}

/// They fence each other until one of them has seen enough; the other goes on.
#[test]
fn of_two_instances_of_one_name_one_ends_with_a_sentence() {
    let world = World::new("twins");
    let first = world.start("a").ready();
    let second = world.start_as("a", "twin");
    let mut twins = [first, second];
    let ended = until("one of the twins to end", || twins.iter_mut().position(|twin| twin.has_ended().is_some()));
    let status = twins[ended].end();
    assert_eq!(status.code(), Some(1), "{}", twins[ended].log());
    assert!(twins[ended].log().contains("another live instance is called \"a\""), "{}", twins[ended].log());
    let [first, second] = twins;
    let survivor = if ended == 0 { second } else { first }.ready();
    play(&world, &[("chain-1".into(), Story::Declined)], 100);
    survivor.chain("chain-1", |picture| picture["outcome"] == "failed");
    assert!(survivor.terminate().success());
}
