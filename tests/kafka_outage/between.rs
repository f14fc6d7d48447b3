//! Faults from between the agent and the broker.

use std::sync::{Mutex, PoisonError};

use crate::{
    Supervised,
    faults::Behind,
    traffic::commands_of,
    ways::{own, ways},
    world::World,
};

#[test]
fn nothing_is_lost_or_doubled_by_what_happens_on_the_way() {
    let _alone = crate::ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    own();
    let proxy = &ways().proxy;
    let mut world = World::new("between");
    world.brokers = Some(format!("127.0.0.1:{}", proxy.port));
    // A broker that says nothing is found out after a minute by default.
    world.more = "properties = { \"socket.timeout.ms\" = \"3000\" }".to_owned();
    let agent = Supervised { world: &world, agent: Mutex::new(world.start("a").ready()) };
    let get = |path: &str| agent.with(|agent| agent.get(path));
    let metric = |name: &str| agent.with(|agent| agent.metric(name));
    let (stories, ids) = Behind { world: &world, proxy, get: &get, metric: &metric }.endure();
    assert_eq!(ids, commands_of(&stories));
    assert!(agent.agent.into_inner().expect("no panic").terminate().success());
}
