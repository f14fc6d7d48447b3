//! The Kafka of this test run.
#![allow(dead_code, reason = "the modules are shared by several test programs")]

#[path = "../support/broker.rs"]
mod shared;

use std::sync::OnceLock;

use shared::Kind;
pub use shared::{Broker, free_port};

/// Beside its port the controller listens.
const KAFKA: Kind = Kind {
    name: "Kafka",
    word: "kafka",
    variable: "COUNTERMAND_KAFKA",
    form: "HOST:PORT",
    scheme: "",
    ports: 2,
    folder: "test",
};

static BROKER: OnceLock<Broker> = OnceLock::new();

/// Where Kafka is. The first caller starts it, unless one was named.
pub fn bootstrap() -> &'static str {
    &BROKER.get_or_init(|| Broker::find(KAFKA)).address
}

/// A broker that is started for this run even if one was named: a test that kills it needs its own. `settings` are further ones of
/// it, and are told its port.
pub fn own_with(settings: impl FnOnce(u16) -> String) -> &'static Broker {
    BROKER.get_or_init(|| Broker::launch_with(KAFKA, settings))
}
