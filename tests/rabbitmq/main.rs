//! The agent on a real RabbitMQ: what comes in, what goes out, and what survives.
//!
//! `COUNTERMAND_AMQP=amqp://HOST:PORT` uses a broker that runs; else one is started for this run by `scripts/brokers`, and
//! stopped when the run is over.
#![cfg(feature = "rabbitmq")]
#![allow(dead_code, reason = "modules are shared with the Kafka tests")]

#[path = "../kafka/agent.rs"]
mod agent;
mod between;
mod broker;
mod bus;
mod evidence;
#[path = "../support/between.rs"]
mod faults;
mod first;
mod foreign;
#[path = "../support/http.rs"]
mod http;
#[path = "../kafka/kill.rs"]
mod kill;
mod outbox;
#[path = "../support/proxy.rs"]
mod proxy;
mod shards;
mod standby;
mod streams;
mod tap;
#[path = "../kafka/traffic.rs"]
mod traffic;
#[path = "../support/waiting.rs"]
mod waiting;
mod world;
