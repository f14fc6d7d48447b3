//! The agent on a real Kafka: what comes in, what goes out, and what survives.
//!
//! `COUNTERMAND_KAFKA=HOST:PORT` uses a broker that runs; else one is started for this run by `scripts/brokers`, and
//! stopped when the run is over.
#![cfg(feature = "kafka")]
#![allow(dead_code, reason = "modules are shared with the tests of outages")]

mod agent;
mod broker;
mod bus;
mod carry;
mod catch_up;
mod doctor;
mod first;
mod flood;
mod foreign;
mod hands;
#[path = "../support/http.rs"]
mod http;
mod inputs;
mod instances;
mod kill;
mod poison;
mod record;
mod recorded;
mod restart;
mod route;
mod traffic;
mod transactions;
#[path = "../support/waiting.rs"]
mod waiting;
mod world;
