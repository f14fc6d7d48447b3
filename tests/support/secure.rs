//! What is held over TLS on either bus.

use crate::{
    agent::Agent,
    bus::until,
    traffic::{Participants, Story, commands_of, ids_of, play},
    world::World,
};

/// Waits until an agent that does not get in says why.
pub fn is_turned_away(agent: &Agent, why: &str) {
    until(&format!("{why:?} in /readyz"), || {
        agent.get("/readyz").filter(|(status, body)| *status == 503 && body.contains(why))
    });
}

/// An agent that gets in works.
pub fn works(world: &World) {
    let agent = world.start("a").ready();
    let participants = Participants::start(world);
    let stories: Vec<(String, Story)> = (0..10).map(|n| (format!("chain-{n}"), Story::Declined)).collect();
    play(world, &stories, 50);
    until("all to be compensated", || {
        agent.metric("countermand_plans{state=\"compensated\"}").filter(|count| *count >= 10.0)
    });
    assert_eq!(ids_of(participants.stop()), commands_of(&stories));
    assert!(agent.terminate().success());
}
