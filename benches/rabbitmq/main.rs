//! The agent on a real RabbitMQ beside the least that could be done there instead, in one run (`docs/benchmarks.md`).
//!
//! `cargo bench --bench rabbitmq [-- throughput latency]`, by default both. `COUNTERMAND_AMQP=URL` uses a broker that runs;
//! else one is started by `scripts/brokers`. `COUNTERMAND_MESSAGES` says how many messages the throughput is measured with. All
//! from one configuration (`world.rs`), with the journal forced to the disk. CPU time is that of the whole process, as the kernel
//! accounts it.

mod bare;
#[path = "../../tests/support/http.rs"]
mod http;
mod link;
mod measure;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/load.rs"]
mod standard;
mod world;

use process::{Broker, run};

fn main() {
    let broker = || Broker::find("rabbitmq", "COUNTERMAND_AMQP", "25892");
    run(broker, bare::run, &[("throughput", measure::throughput), ("latency", measure::latency)]);
}
