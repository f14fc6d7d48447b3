//! Faults from between the agent and the broker.

use crate::{broker::url, faults::Behind, proxy::Proxy, traffic::commands_of, world::World};

#[test]
fn nothing_is_lost_or_doubled_by_what_happens_on_the_way() {
    let mut world = World::new("between");
    let broker = url().strip_prefix("amqp://").expect("an address").to_owned();
    let proxy = Proxy::start(broker);
    world.url = Some(format!("amqp://127.0.0.1:{}", proxy.port));
    world.more = "heartbeat = \"1s\"".to_owned();
    let agent = world.start("a").ready();
    let (get, metric) = (|path: &str| agent.get(path), |name: &str| agent.metric(name));
    let (stories, mut ids) = Behind { world: &world, proxy: &proxy, get: &get, metric: &metric }.endure();
    // What was published and not confirmed is published again, under its id.
    ids.dedup();
    assert_eq!(ids, commands_of(&stories));
    assert!(agent.terminate().success());
}
