//! Services that publish in transactions: what they commit is read, what is open holds time up, and the markers that
//! transactions leave in the log do not.

use countermand::bus::partitioner::partition_of;

use crate::{
    bus::{PARTITIONS, Sender, until},
    traffic::{Story, send},
    world::World,
};

#[test]
fn an_open_transaction_holds_time_up_and_a_committed_one_does_not() {
    let world = World::new("transactions");
    let agent = world.start("a").ready();
    let sender = Sender::transactional(&world.name);
    let plain = Sender::new();
    let home = |chain: &str| partition_of(chain.as_bytes(), PARTITIONS);
    let chains = || (0..).map(|n| format!("plain-{n}"));
    let mut beside = chains().filter(|chain| home(chain) != home("chain-1"));
    let behind = chains().find(|chain| home(chain) == home("chain-1")).expect("a chain there");
    let read = |least: usize| {
        until("so much to be read", || {
            let read = agent.metric("countermand_records_total{kind=\"envelope\"}");
            read.filter(|&read| read >= f64::from(u32::try_from(least).expect("a count")))
        })
    };
    let tell = |sender: &Sender, story: Story, chain: &str| {
        let messages = story.messages(chain);
        messages.iter().for_each(|(_, message)| send(&world, sender, message));
        messages.len()
    };
    // The payment never answers: only the host clock can say that it is late, and only where everything was read.
    let open = tell(&sender, Story::Hanging, "chain-1");
    let held = open + tell(&plain, Story::Good, &behind);
    // Twice, so that whatever could be read was asked for after it was there.
    let mut seen = 0;
    for chain in beside.by_ref().take(2) {
        seen += tell(&plain, Story::Good, &chain);
        assert_eq!(
            read(seen),
            f64::from(u32::try_from(seen).expect("a count")),
            "what is open is not read, nor what lies behind it"
        );
    }
    sender.commit();
    read(seen + held);
    // While the payment is open there is no verdict.
    let picture = agent.chain("chain-1", |picture| picture["outcome"] == "failed");
    let calls = picture["calls"].as_array().expect("calls");
    let charge = calls.iter().find(|call| call["call_id"] == "charge").expect("the payment");
    assert_eq!(charge["end"], "timed_out");
    assert!(agent.terminate().success());
}
