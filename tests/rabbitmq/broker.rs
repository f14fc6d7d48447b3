//! The RabbitMQ of this test run.
#![allow(dead_code, reason = "the modules are shared by several test programs")]

#[path = "../support/broker.rs"]
mod shared;

use std::sync::OnceLock;

use shared::Kind;
pub use shared::{Broker, free_port};

/// Its ports are said by `scripts/brokers`.
const RABBITMQ: Kind = Kind {
    name: "RabbitMQ",
    word: "rabbitmq",
    variable: "COUNTERMAND_AMQP",
    form: "amqp://HOST:PORT",
    scheme: "amqp://",
    ports: 6,
    folder: "rabbitmq-test",
};

static BROKER: OnceLock<Broker> = OnceLock::new();

/// Where RabbitMQ is. The first caller starts it, unless one was named.
pub fn url() -> &'static str {
    &BROKER.get_or_init(|| Broker::find(RABBITMQ)).address
}

/// A broker that is started for this run even if one was named: a test that kills it needs its own. `settings` are further ones of
/// it, and are told its port.
pub fn own_with(settings: impl FnOnce(u16) -> String) -> &'static Broker {
    BROKER.get_or_init(|| Broker::launch_with(RABBITMQ, settings))
}

/// `rabbitmqctl`.
pub fn control(broker: &Broker, args: &[&str]) {
    broker.run("ctl", args);
}
