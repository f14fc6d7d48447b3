//! Services that publish in transactions: what they commit is read, what is open holds time up, and the markers that
//! transactions leave in the log do not.

use crate::{
    bus::{Sender, until},
    traffic::{Story, send},
    world::World,
};

#[test]
fn an_open_transaction_holds_time_up_and_a_committed_one_does_not() {
    let world = World::new("transactions");
    let agent = world.start("a").ready();
    let sender = Sender::transactional(&world.name);
    // The payment never answers: only the host clock can say that it is late, and only where everything was read.
    for (_, message) in Story::Hanging.messages("chain-1") {
        send(&world, &sender, &message);
    }
    assert_eq!(agent.metric("countermand_records_total{kind=\"envelope\"}"), None, "nothing is committed yet");
    sender.commit();
    until("what was committed to be read", || {
        agent.metric("countermand_records_total{kind=\"envelope\"}").filter(|&read| read >= 5.0)
    });
    // While the payment is open there is no verdict.
    let picture = agent.chain("chain-1", |picture| picture["outcome"] == "failed");
    let calls = picture["calls"].as_array().expect("calls");
    let charge = calls.iter().find(|call| call["call_id"] == "charge").expect("the payment");
    assert_eq!(charge["end"], "timed_out");
    assert!(agent.terminate().success());
}
