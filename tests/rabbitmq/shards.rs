//! Several agents share the chains: an exchange of the consistent-hash plugin shares envelopes out, each agent owns shards.

use crate::{
    agent::Agent,
    bus::{Reader, look, make_shards, until},
    traffic::{Participants, Story, commands_of, ids_of, play},
    world::World,
};

/// Waits until an agent shows all of these chains as compensated.
fn shown(agent: Agent, chains: &[&str]) -> Agent {
    for chain in chains {
        until(&format!("{chain} to be shown"), || {
            let (status, body) = agent.get(&format!("/v1/chains/{chain}"))?;
            (status == 200 && body.contains("\"state\":\"compensated\"")).then_some(())
        });
    }
    agent
}

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
    let mut first = start("a", &shards[..2]).ready();
    let failed: Vec<&str> =
        stories.iter().filter(|(_, story)| !story.undone().is_empty()).map(|(id, _)| &**id).collect();
    let compensated = |agent: &Agent| agent.metric("countermand_plans{state=\"compensated\"}").unwrap_or(0.0);
    let wanted = f64::from(u32::try_from(failed.len()).expect("a count"));
    until("all failed chains to be compensated", || {
        (compensated(&first) + compensated(&second) >= wanted).then_some(())
    });
    // Each decides some, and each shows all, also after a restart.
    let shares = [&first, &second].map(compensated);
    assert!(shares.iter().all(|share| *share >= 5.0), "{shares:?}");
    let second = shown(second, &failed);
    first = shown(first, &failed);
    // Either is told what its operation came to, whoever decides the chain: no verdict was revised so often.
    for (agent, chain) in [&first, &second].into_iter().flat_map(|agent| failed.iter().map(move |chain| (agent, chain)))
    {
        let wish = serde_json::json!({"verb": "approve", "revision": 9, "reason": "a test", "by": "ann"});
        let (status, told) = agent.post(&format!("/v1/chains/{chain}/actions"), "", &wish).expect("an answer");
        assert_eq!(status, 409, "{chain}: {told}");
        assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("revision_changed")), "{told}");
    }
    // Of what is asked of all each answers for its part.
    for verb in ["pause", "resume"] {
        let wish = serde_json::json!({"reason": "a test", "by": "ann"});
        let (status, told) = first.post(&format!("/v1/{verb}"), "", &wish).expect("an answer");
        assert_eq!((status, &told["engines"], &told["done"]), (200, &3.into(), &3.into()), "{told}");
    }
    let wish = serde_json::json!({"verb": "approve", "revision": 0, "reason": "a test", "by": "ann"});
    let (status, told) = second.post("/v1/chains/nobodys/actions", "", &wish).expect("an answer");
    assert_eq!(status, 404, "each of them would take it for another's: {told}");
    // What is for the other agent's chains is neither an error nor lost.
    let elsewhere = |agent: &Agent| agent.metric("countermand_answers_total{answer=\"elsewhere\"}");
    assert!(elsewhere(&first).is_some() && elsewhere(&second).is_some());
    let letters = world.topic("dead-letters");
    // Of each operation that was refused there is one, by the agent that decides the chain.
    let refused = u32::try_from(2 * failed.len()).expect("a count");
    assert_eq!(look(&letters).map(|(ready, _)| ready), Some(refused), "{:?}", Reader::new(&[&letters]).rest().len());
    first.kill();
    let first = shown(start("a", &shards[..2]).ready(), &failed);
    let mut ids = ids_of(participants.stop());
    ids.dedup();
    assert_eq!(ids, commands_of(&stories));
    assert!(first.terminate().success() && second.terminate().success());
}
