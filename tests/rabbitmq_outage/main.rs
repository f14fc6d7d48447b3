//! The agent through outages of its broker: a clean stop, `kill -9`, also among kills of agents, and a memory alarm; and over
//! TLS.
//!
//! The broker is this run's own, whatever `COUNTERMAND_AMQP` says: it is killed.
#![cfg(feature = "rabbitmq")]
#![allow(dead_code, reason = "the modules are shared with the other RabbitMQ tests")]

#[path = "../kafka/agent.rs"]
mod agent;
#[path = "../rabbitmq/broker.rs"]
mod broker;
#[path = "../rabbitmq/bus.rs"]
mod bus;
#[path = "../support/certificates.rs"]
mod certificates;
#[path = "../support/http.rs"]
mod http;
#[path = "../support/shop.rs"]
mod money;
mod secure;
mod shop;
#[path = "../support/secure.rs"]
mod tls;
#[path = "../kafka/traffic.rs"]
mod traffic;
#[path = "../support/waiting.rs"]
mod waiting;
#[path = "../rabbitmq/world.rs"]
mod world;

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bus::{pass, until};
use traffic::{Participants, Story, commands_of, ids_of, play};
use world::World;

/// How the broker goes and comes back.
#[derive(Debug, Clone, Copy)]
enum Outage {
    Stopped,
    Killed,
    /// It takes nothing for this long, since it is short of memory.
    Blocked(Duration),
}

const OUTAGES: [Outage; 3] = [Outage::Stopped, Outage::Blocked(Duration::from_secs(3)), Outage::Killed];

/// A quorum queue that is younger is lost when RabbitMQ 3.10.8 is killed, whoever uses it.
const QUEUES_SETTLE: Duration = Duration::from_secs(6);

/// Held by whoever kills the broker.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn nothing_is_lost_or_doubled_by_outages_of_the_broker() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let own = secure::own();
    let world = World::new("outage");
    let agent = world.start("a").ready();
    let participants = Participants::start(&world);
    let mut stories: Vec<(String, Story)> = Vec::new();
    let failed = || agent.metric("countermand_verdicts_total{outcome=\"failed\"}").unwrap_or(0.0);
    pass(QUEUES_SETTLE);
    for (n, outage) in OUTAGES.into_iter().enumerate() {
        let story = |m| if m % 4 == 0 { Story::Declined } else { Story::Good };
        let batch: Vec<(String, Story)> = (0..200).map(|m| (format!("chain-{n}-{m}"), story(m))).collect();
        let before = failed();
        std::thread::scope(|scope| {
            let load = scope.spawn(|| play(&world, &batch, 50));
            until("the load to be seen", || (failed() > before).then_some(()));
            match outage {
                Outage::Stopped => {
                    own.stop();
                    until("the agent to say so", || agent.get("/readyz").filter(|(status, _)| *status == 503));
                    own.start();
                }
                Outage::Killed => {
                    own.kill();
                    own.start();
                }
                Outage::Blocked(span) => {
                    broker::control(own, &["set_vm_memory_high_watermark", "absolute", "1"]);
                    until("the agent to say so", || agent.metric("countermand_blocked").filter(|count| *count == 1.0));
                    pass(span);
                    broker::control(own, &["set_vm_memory_high_watermark", "absolute", "1GB"]);
                }
            }
            load.join().expect("the load");
        });
        stories.extend(batch);
        for (id, _) in stories.iter().filter(|(_, story)| story.cause().is_some()) {
            until(&format!("{id} after {outage:?}"), || {
                let (status, body) = agent.get(&format!("/v1/chains/{id}"))?;
                (status == 200 && body.contains("\"state\":\"compensated\"")).then_some(())
            });
        }
        assert_eq!(agent.metric("countermand_blocked"), Some(0.0));
    }
    assert_eq!(agent.get("/readyz").map(|(status, _)| status), Some(200));
    println!(
        "{} connections, {:?} messages came again and were dropped",
        agent.metric("countermand_connections_total").unwrap_or(0.0),
        agent.metric("countermand_redelivered_total").unwrap_or(0.0)
    );
    assert!(agent.terminate().success());
    let received = participants.stop();
    let count = received.len();
    let mut ids = ids_of(received);
    ids.dedup();
    println!("{count} commands received, of which {} are different", ids.len());
    assert_eq!(ids, commands_of(&stories));
}
