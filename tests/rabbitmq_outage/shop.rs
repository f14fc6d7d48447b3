//! The shop on RabbitMQ: two agents on one journal, of which one works.

use std::{path::PathBuf, sync::PoisonError};

use countermand::wire::proto::Command;
use prost::Message as _;

use crate::{
    agent::Agent,
    broker::{free_port, own, url},
    bus::{Made, Reader, bind, look, make_queue, pass},
    money::{Scene, sell},
    world::ENGINE,
};

#[test]
fn a_shop_whose_agents_and_broker_are_killed_is_accounted_for() {
    let _alone = crate::ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let broker = own();
    let name = format!("shop-{}", std::process::id());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("rabbitmq-{name}"));
    std::fs::create_dir_all(&folder).expect("a folder");
    // A copy of all commands, for the test to look at.
    let copy = format!("{name}.commands");
    make_queue(&copy, Made::Quorum);
    bind(&copy, "countermand", "commands.#");
    pass(crate::QUEUES_SETTLE);
    let ports = [free_port(), free_port()];
    let start = |n: usize| {
        let name = ["a", "b"][n];
        let file = folder.join(format!("{name}.toml"));
        let configuration = format!(
            r#"
            {ENGINE}
            [routes]
            allow = ["inventory", "payment", "loyalty", "shipping"]
            [rabbitmq]
            url = "{}"
            queues = ["shop.countermand"]
            "#,
            url()
        );
        std::fs::write(&file, configuration).expect("a configuration file");
        let file = file.display().to_string();
        Agent::spawn(&folder, name, &["--config", &file], ports[n])
    };
    sell(&Scene {
        broker,
        bus: url().to_owned(),
        ports,
        settles: 3 * crate::QUEUES_SETTLE,
        start: &start,
        is_prepared: &|| look("shop.told.chains").is_some_and(|(_, consumers)| consumers == 1),
        commands: &|| {
            let commands = Reader::new(&[&copy]).rest().into_iter();
            commands.map(|got| Command::decode(&*got.payload).expect("a command")).collect()
        },
    });
}
