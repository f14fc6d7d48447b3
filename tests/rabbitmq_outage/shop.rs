//! The shop on RabbitMQ: two agents on one journal, of which one works.

use std::sync::PoisonError;

use countermand::wire::proto::Command;
use prost::Message as _;

use crate::{
    broker::url,
    bus::{Made, Reader, bind, look, make_queue, pass},
    money::{Scene, sell},
    secure::own,
};

#[test]
fn a_shop_whose_agents_and_broker_are_killed_is_accounted_for() {
    let _alone = crate::ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let broker = own();
    // A copy of all commands, for the test to look at.
    let copy = format!("shop-{}.commands", std::process::id());
    make_queue(&copy, Made::Quorum);
    bind(&copy, "countermand", "commands.#");
    pass(crate::QUEUES_SETTLE);
    sell(&Scene {
        broker,
        bus: url().to_owned(),
        settles: 3 * crate::QUEUES_SETTLE,
        configuration: &|_| format!("[rabbitmq]\nurl = \"{}\"\nqueues = [\"shop.countermand\"]", url()),
        is_prepared: &|| look("shop.told.chains").is_some_and(|(_, consumers)| consumers == 1),
        commands: &|| {
            let commands = Reader::new(&[&copy]).rest().into_iter();
            commands.map(|got| Command::decode(&*got.payload).expect("a command")).collect()
        },
    });
}
