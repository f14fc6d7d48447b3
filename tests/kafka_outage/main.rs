//! The agent through outages of its broker: `kill -9`, short and longer than its transactions live, and among kills of agents;
//! through faults on its way there; and over TLS.
//!
//! The broker is this run's own, whatever `COUNTERMAND_KAFKA` says: it is killed.
#![cfg(feature = "kafka")]
#![allow(dead_code, reason = "the modules are shared with the other Kafka tests")]

#[path = "../kafka/agent.rs"]
mod agent;
mod between;
#[path = "../kafka/broker.rs"]
mod broker;
#[path = "../kafka/bus.rs"]
mod bus;
#[path = "../support/certificates.rs"]
mod certificates;
#[path = "../support/between.rs"]
mod faults;
#[path = "../support/http.rs"]
mod http;
#[path = "../support/shop.rs"]
mod money;
#[path = "../support/proxy.rs"]
mod proxy;
mod secure;
mod shop;
#[path = "../support/secure.rs"]
mod tls;
#[path = "../kafka/traffic.rs"]
mod traffic;
#[path = "../support/waiting.rs"]
mod waiting;
mod ways;
#[path = "../kafka/world.rs"]
mod world;

use std::{
    os::unix::process::ExitStatusExt as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use agent::Agent;
use bus::until;
use traffic::{Participants, Story, commands_of, ids_of, play};
use world::World;

/// How long the broker stays down: a restart, and more than the transaction timeout of the test's configuration.
const OUTAGES: [Duration; 2] = [Duration::ZERO, Duration::from_secs(8)];

/// An agent that is started again where librdkafka took it down: 2.12.1 has been seen to read out of bounds in its
/// consumer (`rd_kafka_metadata_update_op`, its issue 5280) when a broker comes back on a busy machine. Whoever runs an
/// agent has it restarted, and nothing may be lost or doubled by that either.
struct Supervised<'w> {
    world: &'w World,
    agent: Mutex<Agent>,
}

impl Supervised<'_> {
    fn with<T>(&self, ask: impl Fn(&Agent) -> T) -> T {
        const SEGMENTATION_FAULT: i32 = 11;
        let mut agent = self.agent.lock().expect("no panic");
        if let Some(ended) = agent.has_ended() {
            assert_eq!(ended.signal(), Some(SEGMENTATION_FAULT), "the agent ended by itself: {ended}\n{}", agent.log());
            println!("librdkafka took the agent down; it is started again");
            *agent = self.world.start("a");
        }
        ask(&agent)
    }

    fn failed(&self) -> f64 {
        self.with(|agent| agent.metric("countermand_verdicts_total{outcome=\"failed\"}")).unwrap_or(0.0)
    }
}

/// Held by whoever kills the broker.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn nothing_is_lost_or_doubled_by_outages_of_the_broker() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let own = ways::own();
    let world = World::new("outage");
    let agent = Supervised { world: &world, agent: Mutex::new(world.start("a").ready()) };
    let participants = Participants::start(&world);
    let mut stories = Vec::new();
    for (n, outage) in OUTAGES.into_iter().enumerate() {
        let mut batch: Vec<(String, Story)> = Vec::new();
        for m in 0..200 {
            let story = if m % 4 == 0 { Story::Declined } else { Story::Good };
            batch.push((format!("chain-{n}-{m}"), story));
        }
        let before = agent.failed();
        std::thread::scope(|scope| {
            let load = scope.spawn(|| play(&world, &batch, 50));
            until("the load to be seen", || (agent.failed() > before).then_some(()));
            own.kill();
            std::thread::park_timeout(outage);
            own.start();
            load.join().expect("the load");
        });
        stories.extend(batch);
        let failed: Vec<&str> =
            stories.iter().filter(|(_, story)| story.cause().is_some()).map(|(id, _)| id.as_str()).collect();
        for id in failed {
            until(id, || {
                let (status, body) = agent.with(|agent| agent.get(&format!("/v1/chains/{id}")))?;
                (status == 200 && body.contains("\"state\":\"compensated\"")).then_some(())
            });
        }
    }
    let agent = agent.agent.into_inner().expect("no panic");
    assert_eq!(agent.get("/healthz").map(|(status, _)| status), Some(200));
    let commits = ["committed", "failed", "fenced"]
        .map(|result| (result, agent.metric(&format!("countermand_commits_total{{result=\"{result}\"}}"))));
    println!("commits {commits:?}");
    assert!(agent.terminate().success());
    assert_eq!(ids_of(participants.stop()), commands_of(&stories));
}
