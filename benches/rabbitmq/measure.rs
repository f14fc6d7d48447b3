//! What is measured.

use std::time::{Duration, Instant};

use countermand::policy::load::RabbitmqConfig;
use prost::Message as _;

use crate::{
    link::{Confirmed, Link, fill, publish, read_chains},
    process::{bare, cpu, env, first_line, now, resident, seconds_of, tell_latencies, tell_throughput},
    standard::{PER_CHAIN, backlog, latencies, live},
    world::World,
};

const NO_BRAKE: &str = "brake = { per_edge = 0, overall = 0 }";

fn prefetch() -> u16 {
    RabbitmqConfig::default().prefetch
}

/// Messages a CPU-second and a second of the clock: a bare consumer that decodes and acknowledges, the agent, and the bare one
/// again, each on a quorum queue with the same messages, with the agent's prefetch.
pub fn throughput(url: &str) {
    let chains = env("COUNTERMAND_MESSAGES", 400_000) / PER_CHAIN;
    let link = Link::new(url);
    let [before, after] = ["before", "after"].map(|when| format!("bench-{when}-{}", std::process::id()));
    let world = World::new(&link, "throughput", &[&before, &after]);
    world.commands(&link);
    let mut agent = world.start(url, NO_BRAKE);
    agent.ready();
    agent.kill();
    let messages =
        fill(&link, &world.input(), backlog(chains).map(|timed| (timed.envelope.encode_to_vec(), timed.at.0)));
    println!("\nthroughput: {messages} messages of profile standard, 1 % of the chains fail and are undone");
    let (count, prefetch) = (messages.to_string(), prefetch().to_string());
    let consume = |queue: &str| seconds_of(bare(&["--bare-consume", url, queue, &count, &prefetch]));
    let before = consume(&before);
    let mut agent = world.start(url, NO_BRAKE);
    agent.until("the first messages", |agent| agent.metric("countermand_records_total") > 0.0);
    let begun = Instant::now();
    agent.reaches("countermand_inputs_total{result=\"decided\"}", chains);
    let took = (cpu(agent.pid()), begun.elapsed().as_secs_f64());
    let rss = resident(agent.pid());
    agent.until("all to be acknowledged", |_| link.length(&world.queue) == 0);
    agent.kill();
    tell_throughput(messages, (before, consume(&after)), took, rss);
}

/// From the confirm of a chain's last piece of evidence to its first command read, at a rate of messages a second.
pub fn latency(url: &str) {
    let seconds = env("COUNTERMAND_SECONDS", 60);
    let rate = env("COUNTERMAND_RATE", 2_000);
    println!(
        "\nlatency at {rate} messages a second for {seconds} s, from the last evidence's confirm to the command read"
    );
    println!("| | chains | p50 | p99 |\n|---|---|---|---|");
    let link = Link::new(url);
    let world = World::new(&link, "loop", &[]);
    let out = world.commands(&link);
    let mut looping = bare(&["--bare-loop", url, &world.queue, &world.name, &prefetch().to_string()]);
    assert_eq!(first_line(&mut looping), "ready");
    tell_latencies("consume, publish, acknowledge", &play(url, &world.input(), &out, rate, seconds));
    looping.kill().and_then(|()| looping.wait()).expect("an end");
    for (what, name, engine) in [
        ("agent, decide_grace 0", "swift", "decide_grace = \"0ms\""),
        ("agent, decide_grace 200 ms (default)", "grace", ""),
    ] {
        let world = World::new(&link, name, &[]);
        let out = world.commands(&link);
        let mut agent = world.start(url, &format!("{NO_BRAKE}\n{engine}"));
        agent.ready();
        tell_latencies(what, &play(url, &world.input(), &out, rate, seconds));
        agent.kill();
    }
}

/// Sends live traffic; how long the first command of each failed chain took to be read, as [`latencies`] says it.
fn play(url: &str, input: &str, output: &str, rate: u64, seconds: u64) -> (Vec<f64>, usize) {
    let reading = Link::new(url);
    let consumer = reading.consume(output, 500);
    std::thread::scope(|scope| {
        let until = Instant::now() + Duration::from_secs(seconds + 20);
        let reader = scope.spawn(move || read_chains(&reading, consumer, until));
        let link = Link::new(url);
        let confirmed = Confirmed::begin(&link);
        let failed = live(rate, seconds, |envelope, number| {
            let payload = envelope.encode_to_vec();
            let confirm = link.runtime.block_on(publish(&link.channel, (input, "in"), &payload, (now(), "")));
            confirmed.await_one(number, confirm);
        });
        let confirmed = confirmed.finish(&link);
        latencies(&failed, &confirmed, &reader.join().expect("a reader"))
    })
}
