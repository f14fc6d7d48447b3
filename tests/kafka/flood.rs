//! A flood into one partition that does not end: the others are decided meanwhile, memory stays bounded, and what stands in the
//! flooded one is decided when it is over.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use countermand::bus::partitioner::partition_of;
use prost::Message as _;

use crate::{
    bus::{PARTITIONS, Sender, pass},
    traffic::{Participants, Story, commands_of, ids_of, play},
    world::World,
};

/// The partition that is flooded.
const FLOODED: i32 = 0;

/// Chains that come as fast as the broker takes them; the others at ten thousand a second.
const HEAD: u64 = 100_000;

/// What the agent may take, in MiB: its clients' buffers and what waits for its turn, and far less than the flood.
const MOST_MIB: u64 = 1_200;

#[test]
fn a_flood_in_one_partition_stops_no_other() {
    let world = World::new("flood");
    let agent = world.start("a").ready();
    let participants = Participants::start(&world);
    let is_flooded = |id: &str| partition_of(id.as_bytes(), PARTITIONS) == FLOODED;
    let ids = (0..).map(|n| format!("chain-{n}"));
    let (drowned, dry): (Vec<_>, Vec<_>) =
        ids.take(60).map(|id| (id, Story::Declined)).partition(|(id, _)| is_flooded(id));
    let key = (0..).map(|n| format!("flood-{n}")).find(|key| is_flooded(key)).expect("a key");
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| flood(&world, &key, &over, &sent));
        // Well into it.
        crate::bus::until("the flood to rise", || (sent.load(Ordering::Acquire) > 100_000).then_some(()));
        play(&world, &drowned, 20);
        play(&world, &dry, 20);
        for (id, _) in &dry {
            agent.chain(id, |picture| picture["state"] == "compensated");
        }
        pass(Duration::from_secs(2));
        assert_eq!(agent.get("/readyz").map(|(status, _)| status), Some(200));
        over.store(true, Ordering::Release);
    });
    let taken = agent.memory_mib();
    println!("{} messages of flood, {taken} MiB", sent.load(Ordering::Acquire));
    assert!(taken < MOST_MIB, "{taken} MiB");
    for (id, _) in &drowned {
        agent.chain(id, |picture| picture["state"] == "compensated");
    }
    assert!(agent.terminate().success());
    assert_eq!(ids_of(participants.stop()), commands_of(&[drowned, dry].concat()));
}

/// Healthy chains of one call, as fast as the broker takes them, and among them what nobody can read.
fn flood(world: &World, key: &str, over: &AtomicBool, sent: &AtomicU64) {
    let sender = Sender::new();
    for n in 0_u64.. {
        if over.load(Ordering::Acquire) {
            break;
        }
        // All under one key: it is about the partition, not about the chains.
        let messages = Story::Good.messages(&format!("{key}-{n}"));
        let (request, response) = (&messages[0].1, &messages[messages.len() - 1].1);
        sender.send(&world.requests, key, &request.encode_to_vec(), &[]);
        sender.send(&world.responses, key, &response.encode_to_vec(), &[]);
        if n % 1_000 == 0 {
            sender.send(&world.requests, key, b"\xff\xff no envelope", &[]);
        }
        sent.fetch_add(2, Ordering::Release);
        // It is the agent that is to drown, not the broker that all tests share.
        if n > HEAD && n % 10 == 0 {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
    sender.flush();
}
