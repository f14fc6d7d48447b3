//! Several agents share the chains: an exchange of the consistent-hash plugin shares envelopes out, each agent owns shards.

use crate::{
    agent::Agent,
    bus::{Reader, look, make_shards, until},
    traffic::{Participants, Story, commands_of, ids_of, play},
    world::World,
};

#[test]
fn agents_share_the_chains_and_each_is_decided_once() {
    let mut world = World::new("shared-out");
    let exchange = world.topic("shards");
    let shards: Vec<String> = (0..3).map(|n| world.topic(&format!("shard-{n}"))).collect();
    make_shards(&exchange, &shards);
    (world.requests, world.responses) = (exchange.clone(), exchange);
    let start = |instance: &str, own: &[String]| {
        world.start_with(instance, &format!("shards = {shards:?}\nown = {own:?}"), instance)
    };
    let mut first = start("a", &shards[..2]).ready();
    let second = start("b", &shards[2..]).ready();
    let participants = Participants::start(&world);
    let stories: Vec<(String, Story)> =
        (0..60).map(|n| (format!("chain-{n}"), [Story::Good, Story::Declined, Story::Hanging][n % 3])).collect();
    play(&world, &stories[..30], 100);
    // What was for one that is down waits for it.
    first.kill();
    play(&world, &stories[30..], 100);
    let first = start("a", &shards[..2]).ready();
    let failed: Vec<&str> =
        stories.iter().filter(|(_, story)| !story.undone().is_empty()).map(|(id, _)| &**id).collect();
    let compensated = |agent: &Agent| agent.metric("countermand_plans{state=\"compensated\"}").unwrap_or(0.0);
    let wanted = f64::from(u32::try_from(failed.len()).expect("a count"));
    until("all failed chains to be compensated", || {
        (compensated(&first) + compensated(&second) >= wanted).then_some(())
    });
    let is_at = |agent: &Agent, chain: &str| agent.get(&format!("/v1/chains/{chain}")).expect("an answer").0 == 200;
    let (mut at_first, mut at_second) = (Vec::new(), Vec::new());
    for chain in &failed {
        match (is_at(&first, chain), is_at(&second, chain)) {
            (true, false) => at_first.push(*chain),
            (false, true) => at_second.push(*chain),
            both => panic!("{chain} is at one agent, not {both:?}"),
        }
    }
    assert!(at_first.len() >= 5 && at_second.len() >= 5, "{} and {}", at_first.len(), at_second.len());
    let mut ids = ids_of(participants.stop());
    ids.dedup();
    assert_eq!(ids, commands_of(&stories));
    // What is for the other agent's chains is neither an error nor lost.
    let elsewhere = |agent: &Agent| agent.metric("countermand_answers_total{answer=\"elsewhere\"}");
    assert!(elsewhere(&first).is_some() && elsewhere(&second).is_some());
    let letters = world.topic("dead-letters");
    assert_eq!(look(&letters).map(|(ready, _)| ready), Some(0), "{:?}", Reader::new(&[&letters]).rest());
    assert!(first.terminate().success() && second.terminate().success());
}
