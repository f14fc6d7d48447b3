//! What is measured.

use std::time::{Duration, Instant};

use countermand::wire::proto::{Envelope, StatusCode};
use prost::Message as _;

use crate::{
    load::{NOBODY, Sender, fill, make_topic, read_keys, reader},
    process::{bare, cpu, env, first_line, now, resident, seconds_of, tell_latencies, tell_throughput},
    standard::{PER_CHAIN, latencies, live, traffic},
    world::World,
};

/// Messages a CPU-second and a second of the clock: a bare consumer that polls and decodes, the agent, and the bare one again.
pub fn throughput(broker: &str) {
    let chains = env("COUNTERMAND_MESSAGES", 1_000_000) / PER_CHAIN;
    let world = World::new(broker, "throughput", false);
    world.begin(broker);
    let messages = fill(broker, &world.input, chains);
    println!("\nthroughput: {messages} messages of profile standard, 1 % of the chains fail and are undone");
    let consume = || seconds_of(bare(&["--bare-consume", broker, &world.input, &messages.to_string()]));
    let before = consume();
    let mut agent = world.start(broker, "brake = { per_edge = 0, overall = 0 }");
    agent.until("the first messages", |agent| agent.metric("countermand_records_total") > 0.0);
    let begun = Instant::now();
    agent.reaches("countermand_inputs_total{result=\"decided\"}", chains);
    let took = (cpu(agent.pid()), begun.elapsed().as_secs_f64());
    let rss = resident(agent.pid());
    agent.kill();
    tell_throughput(messages, (before, consume()), took, rss);
}

/// From the acknowledgement of a chain's last piece of evidence to its first command read by a `read_committed` reader,
/// at a rate of messages a second.
pub fn latency(broker: &str) {
    let seconds = env("COUNTERMAND_SECONDS", 60);
    let rate = env("COUNTERMAND_RATE", 2_000);
    println!(
        "\nlatency at {rate} messages a second for {seconds} s, from the last evidence's acknowledgement to the command read"
    );
    println!("| | chains | p50 | p99 |\n|---|---|---|---|");
    let world = World::new(broker, "loop", true);
    let out = format!("{}.out", world.name);
    make_topic(broker, &out, false);
    let mut looping = bare(&["--bare-loop", broker, &world.input, &out]);
    assert_eq!(first_line(&mut looping), "ready");
    tell_latencies("consume, transact, produce", &play(broker, &world.input, &[out], rate, seconds));
    looping.kill().and_then(|()| looping.wait()).expect("an end");
    for (what, engine) in
        [("agent, decide_grace 0", "decide_grace = \"0ms\""), ("agent, decide_grace 200 ms (default)", "")]
    {
        let world = World::new(broker, if engine.is_empty() { "grace" } else { "swift" }, true);
        let commands = world.commands();
        commands.iter().for_each(|topic| make_topic(broker, topic, false));
        let mut agent = world.start(broker, &format!("brake = {{ per_edge = 0, overall = 0 }}\n{engine}"));
        agent.ready();
        tell_latencies(what, &play(broker, &world.input, &commands, rate, seconds));
        agent.kill();
    }
}

/// Sends live traffic; how long the first record under each failed chain's id took to be read, as [`latencies`] says it.
fn play(broker: &str, input: &str, outputs: &[String], rate: u64, seconds: u64) -> (Vec<f64>, usize) {
    let consumer = reader(broker, outputs);
    std::thread::scope(|scope| {
        let until = Instant::now() + Duration::from_secs(seconds + 45);
        let reading = scope.spawn(move || read_keys(&consumer, |_| false, until));
        // Many services that send at once share no batch, and one that is all of them must not make a request for each message.
        let sender = Sender::new(broker, "2");
        let failed = live(rate, seconds, |envelope, number| {
            let number = number.unwrap_or(NOBODY);
            sender.send(input, &envelope.chain_id, &envelope.encode_to_vec(), None, number);
        });
        let acks = sender.finish();
        latencies(&failed, &acks, &reading.join().expect("a reader"))
    })
}

/// How long an agent takes to be ready after `kill -9` with many chains open.
pub fn restart(broker: &str) {
    println!("\nrestart after kill -9\n| open chains | ready after | resident |\n|---|---|---|");
    for chains in [100_000_u64, 1_000_000] {
        if chains > env("COUNTERMAND_OPEN", 1_000_000) {
            continue;
        }
        let world = World::new(broker, &format!("restart-{chains}"), false);
        world.begin(broker);
        let sender = Sender::new(broker, "20");
        // Only the beginnings of chains: they stay open.
        let first = traffic(1, 1, now()).next().expect("the beginning of a chain").envelope;
        for n in 0..chains {
            let chain_id = format!("{n:08x}-0000-4000-8000-000000000000");
            let message_id = format!("{n:08x}-0000-4000-9000-000000000000");
            let envelope = Envelope { chain_id, message_id, timeout: None, ..first.clone() };
            sender.send(&world.input, &envelope.chain_id, &envelope.encode_to_vec(), None, NOBODY);
        }
        sender.finish();
        let mut agent = world.start(broker, "");
        agent.reaches("countermand_open_chains", chains);
        agent.reaches("countermand_snapshots_total", chains);
        agent.kill();
        let mut agent = world.start(broker, "");
        let took = agent.ready();
        println!("| {chains} | {:.1} s | {} MiB |", took.as_secs_f64(), resident(agent.pid()));
        agent.kill();
    }
}

/// Many chains that fail at once, with the brake off and on.
pub fn storm(broker: &str) {
    let chains = env("COUNTERMAND_STORM", 100_000);
    println!(
        "\nstorm: {chains} chains fail at once\n| brake | decided after | commands | waiting for approval | resident |\n|---|---|---|---|---|"
    );
    for (brake, engine) in [("off", "brake = { per_edge = 0, overall = 0 }"), ("on", "")] {
        let world = World::new(broker, &format!("storm-{brake}"), false);
        world.begin(broker);
        let begins = now() - 60_000;
        let sender = Sender::new(broker, "20");
        // The usual chains, but every root fails.
        for timed in traffic(chains, 1_000_000, begins) {
            let mut envelope = timed.envelope;
            if let Some(status) = envelope.status.as_mut()
                && envelope.source.as_ref().is_some_and(|source| source.service == "service-7")
            {
                status.code = StatusCode::Failed.into();
                status.reason = "STORM".to_owned();
            }
            sender.send(&world.input, &envelope.chain_id, &envelope.encode_to_vec(), None, NOBODY);
        }
        sender.finish();
        let mut agent = world.start(broker, engine);
        agent.until("the first messages", |agent| agent.metric("countermand_records_total") > 0.0);
        let took = agent.reaches("countermand_inputs_total{result=\"decided\"}", chains);
        println!(
            "| {brake} | {:.1} s | {} | {} | {} MiB |",
            took.as_secs_f64(),
            agent.metric("countermand_commands_total"),
            agent.metric("countermand_plans{state=\"awaiting_approval\"}"),
            resident(agent.pid())
        );
        agent.kill();
    }
}
