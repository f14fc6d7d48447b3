//! The agent on a real Kafka beside the least that could be done there instead, in one run (`docs/benchmarks.md`).
//!
//! `cargo bench --bench kafka [-- throughput latency restart storm]`, by default all. `COUNTERMAND_KAFKA=HOST:PORT` uses a
//! broker that runs; else one is started by `scripts/brokers`. `COUNTERMAND_MESSAGES` says how many messages the
//! throughput is measured with. All from one configuration (`world.rs`). CPU time is that of the whole process, as the
//! kernel accounts it.

mod bare;
#[path = "../../tests/support/http.rs"]
mod http;
mod load;
mod measure;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/load.rs"]
mod standard;
mod world;

use process::{Broker, Part, run};

fn main() {
    let broker = || Broker::find("kafka", "COUNTERMAND_KAFKA", "29392");
    let parts: [Part; 4] = [
        ("throughput", measure::throughput),
        ("latency", measure::latency),
        ("restart", measure::restart),
        ("storm", measure::storm),
    ];
    run(broker, bare::run, &parts);
}
