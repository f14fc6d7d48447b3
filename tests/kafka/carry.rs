//! What is not keyed by chain is carried to where its chain is: inputs, and dead-letter topics (S1.9).

use std::{collections::BTreeSet, time::Duration};

use prost::Message as _;

use crate::{
    bus::{Sender, make_topics, pass, until},
    traffic::{Participants, Random, Received, Story, play},
    world::World,
};

/// How often the agent is killed while it carries.
const KILLS: usize = 4;

#[test]
fn chains_scattered_over_partitions_are_decided_whole_through_kills() {
    let mut world = World::new("scattered");
    // Each message by its own name: those of a chain lie on all partitions.
    world.key = |envelope| format!("{}/{}", envelope.chain_id, envelope.message_id);
    world.more = format!("repartition = true\nrekeyed = \"{}\"", world.topic("rekeyed"));
    let mut random = Random::new(7);
    let stories: Vec<(String, Story)> = (0..300)
        .map(|n| {
            let story = match n % 10 {
                0 => Story::Declined,
                1 => Story::Hanging,
                _ => Story::Good,
            };
            (format!("chain-{n}"), story)
        })
        .collect();
    let participants = Participants::start(&world);
    let mut agent = world.start("a").ready();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| play(&world, &stories, 30));
        for _ in 0..KILLS {
            pass(Duration::from_millis(random.below(3_000)));
            agent.kill();
            agent = world.start("a");
        }
        load.join().expect("the load");
    });
    let agent = agent.ready();
    for (id, _) in stories.iter().filter(|(_, story)| story.cause().is_some()) {
        until(&format!("{id} to be compensated"), || {
            let (status, body) = agent.get(&format!("/v1/chains/{id}"))?;
            (status == 200 && body.contains("\"state\":\"compensated\"")).then_some(())
        });
    }
    let split = agent.metric("countermand_split_chains_total{reason=\"not_keyed_by_chain\"}");
    assert_eq!(split, None, "chains are whole where they are decided");
    assert!(agent.terminate().success());
    let got: Vec<String> = participants.stop().into_iter().map(|got| got.command.command_id).collect();
    let ids: BTreeSet<&String> = got.iter().collect();
    assert_eq!(ids.len(), got.len(), "a command was published twice");
    let expected: Vec<String> = stories.iter().flat_map(|(id, story)| story.command_ids(id)).collect();
    assert_eq!(ids, expected.iter().collect());
}

#[test]
fn a_message_in_a_dead_letter_topic_answers_its_call() {
    let mut world = World::new("undeliverable");
    let dead = world.topic("inventory-dlt");
    make_topics(&[&dead]);
    world.more = format!("undeliverable = [\"{dead}\"]\nrekeyed = \"{}\"", world.topic("rekeyed"));
    let agent = world.start("a").ready();
    let participants = Participants::start(&world);
    let sender = Sender::new();
    // The payment never answers, and has no time limit: only its dead letter tells.
    let messages = Story::Declined.messages("chain-1");
    for (_, message) in &messages[..4] {
        crate::traffic::send(&world, &sender, message);
    }
    sender.send(&dead, "whatever", &messages[3].1.encode_to_vec(), &[("kafka_dlt-exception-fqcn", "IOException")]);
    sender.flush();
    crate::traffic::send(&world, &sender, &messages[5].1);
    let chain = agent.chain("chain-1", |picture| picture["state"] == "compensated");
    assert_eq!((&chain["cause"], &chain["failing_edge"]["call_id"]), (&"undeliverable".into(), &"charge".into()));
    assert_eq!(agent.metric("countermand_records_total{kind=\"carried\"}"), Some(1.0));
    assert!(agent.terminate().success());
    let said = |got: Received| (got.command.call_id.clone(), got.command.certainty().as_str_name());
    let got: Vec<(String, &str)> = participants.stop().into_iter().map(said).collect();
    assert_eq!(got, [("charge".to_owned(), "CERTAINTY_IN_DOUBT"), ("reserve".to_owned(), "CERTAINTY_APPLIED")]);
}
