//! The shop on Kafka: two agents of one group.

use std::{sync::PoisonError, time::Duration};

use countermand::wire::proto::Command;
use prost::Message as _;

use crate::{
    broker::bootstrap,
    bus::{Reader, is_there},
    money::{Scene, sell},
    ways::own,
};

#[test]
fn a_shop_whose_agents_and_broker_are_killed_is_accounted_for() {
    let _alone = crate::ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let broker = own();
    sell(&Scene {
        broker,
        bus: format!("kafka://{}", bootstrap()),
        settles: Duration::ZERO,
        configuration: &|name| {
            format!(
                r#"
                [audit]
                file = "{name}.audit.jsonl"
                [kafka]
                brokers = ["{}"]
                topics = ['^shop\..*']
                group = "shop"
                instance = "{name}"
                workers = 2
                session_timeout = "10s"
                transaction_timeout = "5s"
                "#,
                bootstrap()
            )
        },
        is_prepared: &|| ["shop.gateway", "shop.shipping"].iter().all(|topic| is_there(topic)),
        commands: &commands,
    });
}

/// What a participant that reads only what is committed gets.
fn commands() -> Vec<Command> {
    let topics = ["inventory", "payment", "loyalty", "shipping"].map(|name| format!("countermand.commands.{name}"));
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let commands = Reader::new(&names).rest().into_iter();
    let commands: Vec<Command> = commands.map(|got| Command::decode(&*got.payload).expect("a command")).collect();
    let mut sent: Vec<_> = commands.iter().map(|command| (&command.command_id, command.attempt)).collect();
    sent.sort();
    let again: Vec<_> = sent.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(again.is_empty(), "commands that were committed twice: {again:?}");
    commands
}
