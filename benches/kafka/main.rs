//! The agent on a real Kafka beside the least that could be done there instead, in one run (`docs/benchmarks.md`).
//!
//! `cargo bench --bench kafka [-- throughput latency restart storm]`, by default all. `COUNTERMAND_KAFKA=HOST:PORT` uses a
//! broker that runs; else one is started by `scripts/brokers`. `COUNTERMAND_MESSAGES` says how many messages the
//! throughput is measured with. All from one configuration (`agent.rs`). CPU time is that of the whole process, as the
//! kernel accounts it.

mod agent;
mod bare;
mod load;
mod measure;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    // The bare programs that the agent is measured beside are this program again.
    if let [first, rest @ ..] = args.as_slice()
        && first.starts_with("--bare-")
    {
        return bare::run(first, rest);
    }
    let broker = Broker::find();
    let wanted = |name: &str| args.is_empty() || args.iter().any(|arg| arg == name);
    println!("broker {}", broker.address);
    if wanted("throughput") {
        measure::throughput(&broker.address);
    }
    if wanted("latency") {
        measure::latency(&broker.address);
    }
    if wanted("restart") {
        measure::restart(&broker.address);
    }
    if wanted("storm") {
        measure::storm(&broker.address);
    }
}

/// The broker, stopped at the end if it was started here.
struct Broker {
    address: String,
    own: bool,
}

const PORT: &str = "29392";

fn script(args: &[&str]) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/brokers");
    let done = Command::new(&script).args(args).stderr(Stdio::inherit()).output();
    let done = done.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    assert!(
        done.status.success(),
        "no Kafka: install what it needs with scripts/setup, or set COUNTERMAND_KAFKA=HOST:PORT"
    );
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

impl Broker {
    fn find() -> Self {
        if let Ok(address) = std::env::var("COUNTERMAND_KAFKA") {
            return Self { address, own: false };
        }
        script(&["kafka", "prepare"]);
        Self { address: script(&["kafka", "start", "--port", PORT, "--fresh"]), own: true }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.own {
            script(&["kafka", "stop", "--port", PORT]);
        }
    }
}
