//! What cannot be decoded goes to the dead letters, once, and its partition goes on.

use std::collections::BTreeMap;

use prost::Message;

use crate::{
    bus::{Reader, Sender, until},
    traffic::{Random, Story, play},
    world::World,
};

#[test]
fn poison_goes_to_the_dead_letters_and_the_partition_goes_on() {
    let world = World::new("poison");
    let mut agent = world.start("a").ready();
    let sender = Sender::new();
    // An open chain holds the low water, so that everything after it is read again by the next agent.
    let (_, open) = &Story::Good.messages("open")[0];
    let key = "open";
    sender.send(&world.requests, key, &open.encode_to_vec(), &[]);
    let mut nameless = open.clone();
    nameless.chain_id = "null".into();
    sender.send(&world.requests, key, b"\xff\xff not protobuf", &[("own", "header")]);
    sender.send(&world.requests, key, &nameless.encode_to_vec(), &[]);
    sender.send(&world.requests, key, b"", &[]);
    sender.flush();
    play(&world, &[("chain-1".into(), Story::Declined)], 100);
    agent.chain("chain-1", |picture| picture["outcome"] == "failed");
    until("three dead letters", || {
        let reasons = ["malformed", "placeholder_id", "missing_field"];
        let count = |reason| agent.metric(&format!("countermand_dead_letters_total{{reason=\"{reason}\"}}"));
        reasons.into_iter().all(|reason| count(reason) == Some(1.0)).then_some(())
    });
    agent.kill();

    // The next agent reads them again, and does not bury them again.
    let agent = world.start("a").ready();
    play(&world, &[("chain-2".into(), Story::Declined)], 100);
    agent.chain("chain-2", |picture| picture["outcome"] == "failed");
    assert!(agent.terminate().success());
    let letters = Reader::new(&[&world.topic("dead-letters")]).rest();
    let by_reason: BTreeMap<&str, &crate::bus::Got> =
        letters.iter().map(|letter| (letter.headers["countermand-reason"].as_str(), letter)).collect();
    assert_eq!(letters.len(), 3, "{letters:?}");
    let malformed = by_reason["malformed"];
    assert_eq!((malformed.payload.as_slice(), malformed.key.as_str()), (&b"\xff\xff not protobuf"[..], key));
    assert_eq!(malformed.headers["own"], "header");
    let origin: Vec<&str> = malformed.headers["countermand-origin"].split('/').collect();
    assert_eq!((origin[0], origin[2]), (world.requests.as_str(), "1"));
    assert!(by_reason.contains_key("placeholder_id") && by_reason.contains_key("missing_field"));
}

/// A topic that takes no record as large as the letter: the letter goes without its payload, and nothing stops.
#[test]
fn a_dead_letter_that_its_topic_refuses_goes_without_its_payload() {
    let world = World::new("large");
    let agent = world.start("a").ready();
    let mut random = Random::new(7);
    // Just below the limit of 1 MiB that both topics have; the letter's own headers lift it above.
    let noise: Vec<u8> = (0..1_048_400).map(|_| u8::try_from(random.below(256)).expect("a byte")).collect();
    let sender = Sender::new();
    sender.send(&world.requests, "large", &noise, &[]);
    sender.flush();
    play(&world, &[("chain-1".into(), Story::Declined)], 100);
    agent.chain("chain-1", |picture| picture["outcome"] == "failed");
    let letters = Reader::new(&[&world.topic("dead-letters")]);
    let letter = letters.find("the dead letter", Some);
    assert_eq!(letter.headers["countermand-reason"], "malformed");
    assert_eq!((letter.headers["countermand-left-out"].as_str(), letter.payload.len()), ("1048400", 0));
    assert_eq!(agent.metric("countermand_commits_total{result=\"failed\"}"), Some(1.0));
    assert!(agent.terminate().success());
    assert_eq!(letters.rest().len(), 0);
}
