//! What is measured.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use prost::Message as _;

use crate::{
    agent::{Agent, World, cpu, resident},
    load::{NOBODY, Sender, fails, fill, make_topic, now, read_keys, reader, traffic},
};

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn bare(args: &[&str]) -> Child {
    let this = std::env::current_exe().expect("this program");
    Command::new(this).args(args).stdout(Stdio::piped()).spawn().expect("this program again")
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe")).read_line(&mut line).expect("a line");
    line.trim().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn per(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

/// Messages a CPU-second and a second of the clock: a bare consumer that polls and decodes, the agent, and the bare one again.
pub fn throughput(broker: &str) {
    let chains = env("COUNTERMAND_MESSAGES", 1_000_000) / 16;
    let world = World::new(broker, "throughput");
    world.begin(broker);
    let messages = fill(broker, &world.input, chains);
    println!("\nthroughput: {messages} messages of profile standard, 1 % of the chains fail and are undone");
    let consume = || {
        let mut child = bare(&["--bare-consume", broker, &world.input, &messages.to_string()]);
        let line = first_line(&mut child);
        child.wait().expect("an end");
        let mut took = line.split(' ').map(|text| text.parse::<f64>().expect("seconds"));
        (took.next().expect("CPU"), took.next().expect("wall"))
    };
    let before = consume();
    let mut agent = world.start(broker, "brake = { per_edge = 0, overall = 0 }");
    agent.until("the first messages", |agent| agent.metric("countermand_records_total") > 0.0);
    let begun = Instant::now();
    #[expect(clippy::cast_precision_loss, reason = "no count is that large")]
    agent.until("all chains", |agent| agent.metric("countermand_inputs_total{result=\"decided\"}") >= chains as f64);
    let (wall, took) = (begun.elapsed().as_secs_f64(), cpu(agent.pid()));
    let rss = resident(agent.pid());
    agent.kill();
    let after = consume();
    let bare = ((before.0 + after.0) / 2.0, (before.1 + after.1) / 2.0);
    println!("| | messages a CPU-second | messages a second |\n|---|---|---|");
    println!("| poll and decode | {:.0} | {:.0} |", per(messages, bare.0), per(messages, bare.1));
    println!("| agent ({rss} MiB) | {:.0} | {:.0} |", per(messages, took), per(messages, wall));
    println!("| ratio | {:.2} | {:.2} |", bare.0 / took, bare.1 / wall);
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
    let world = World::new(broker, "loop");
    let out = format!("{}.out", world.name);
    make_topic(broker, &out);
    let mut looping = bare(&["--bare-loop", broker, &world.input, &out]);
    assert_eq!(first_line(&mut looping), "ready");
    tell("consume, transact, produce", &play(broker, &world.input, &[out], rate, seconds));
    looping.kill().and_then(|()| looping.wait()).expect("an end");
    for (what, engine) in
        [("agent, decide_grace 0", "decide_grace = \"0ms\""), ("agent, decide_grace 200 ms (default)", "")]
    {
        let world = World::new(broker, if engine.is_empty() { "grace" } else { "swift" });
        let commands = world.commands();
        commands.iter().for_each(|topic| make_topic(broker, topic));
        let mut agent = world.start(broker, &format!("brake = {{ per_edge = 0, overall = 0 }}\n{engine}"));
        agent.ready();
        tell(what, &play(broker, &world.input, &commands, rate, seconds));
        agent.kill();
    }
}

fn tell(what: &str, latencies: &[f64]) {
    let at = |q: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index"
        )]
        let n = ((latencies.len() as f64 - 1.0) * q).round() as usize;
        latencies.get(n).copied().unwrap_or(f64::NAN)
    };
    println!("| {what} | {} | {:.1} ms | {:.1} ms |", latencies.len(), at(0.5), at(0.99));
}

/// Sends live traffic; how long the first record under each failed chain's id took to be read, in milliseconds, sorted.
fn play(broker: &str, input: &str, outputs: &[String], rate: u64, seconds: u64) -> Vec<f64> {
    let consumer = reader(broker, outputs);
    let chains = (rate / 16).max(1) * seconds;
    let (sent, read) = std::thread::scope(|scope| {
        let until = Instant::now() + Duration::from_secs(seconds + 45);
        let reading = scope.spawn(move || read_keys(&consumer, |_| false, until));
        let sender = Sender::new(broker, "0");
        let (begun, begins) = (Instant::now(), now());
        let mut failed = Vec::new();
        for timed in traffic(chains, (rate / 16).max(1), begins) {
            let due = u64::try_from(timed.at.0 - begins).unwrap_or(0);
            sender.wait_until(begun + Duration::from_millis(due));
            let number = if fails(&timed.envelope) {
                failed.push(timed.envelope.chain_id.clone());
                failed.len() - 1
            } else {
                NOBODY
            };
            sender.send(input, &timed.envelope.chain_id, &timed.envelope.encode_to_vec(), None, number);
        }
        let acks = sender.finish();
        let sent: HashMap<String, Instant> =
            failed.into_iter().enumerate().filter_map(|(n, id)| Some((id, *acks.get(&n)?))).collect();
        (sent, reading.join().expect("a reader"))
    });
    let took = |(id, at): (&String, &Instant)| Some(read.get(id)?.saturating_duration_since(*at).as_secs_f64() * 1e3);
    let mut latencies: Vec<f64> = sent.iter().filter_map(took).collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

/// How long an agent takes to be ready after `kill -9` with many chains open.
pub fn restart(broker: &str) {
    println!("\nrestart after kill -9\n| open chains | ready after | resident |\n|---|---|---|");
    for chains in [100_000_u64, 1_000_000] {
        if chains > env("COUNTERMAND_OPEN", 1_000_000) {
            continue;
        }
        let world = World::new(broker, &format!("restart-{chains}"));
        world.begin(broker);
        let sender = Sender::new(broker, "20");
        let begins = now();
        // Only the beginnings of chains: they stay open.
        let mut begun = 0_u64;
        for timed in traffic(chains, 1_000_000, begins) {
            if timed.envelope.parent_call_id.is_empty() && !timed.response {
                begun += 1;
                let mut envelope = timed.envelope;
                envelope.timeout = None;
                sender.send(&world.input, &envelope.chain_id, &envelope.encode_to_vec(), None, NOBODY);
            }
            if begun >= chains {
                break;
            }
        }
        sender.finish();
        let mut agent = world.start(broker, "");
        #[expect(clippy::cast_precision_loss, reason = "no count is that large")]
        agent.until("all chains to be open", |agent| agent.metric("countermand_open_chains") >= chains as f64);
        #[expect(clippy::cast_precision_loss, reason = "no count is that large")]
        agent.until("all chains to be saved", |agent| agent.metric("countermand_snapshots_total") >= chains as f64);
        agent.kill();
        let mut agent: Agent = world.start(broker, "");
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
        let world = World::new(broker, &format!("storm-{brake}"));
        world.begin(broker);
        let begins = now() - 60_000;
        let sender = Sender::new(broker, "20");
        // The usual chains, but every root fails.
        for timed in traffic(chains, 1_000_000, begins) {
            let mut envelope = timed.envelope;
            if let Some(status) = envelope.status.as_mut()
                && envelope.source.as_ref().is_some_and(|source| source.service == "service-7")
            {
                status.code = countermand::wire::proto::StatusCode::Failed.into();
                status.reason = "STORM".to_owned();
            }
            sender.send(&world.input, &envelope.chain_id, &envelope.encode_to_vec(), None, NOBODY);
        }
        sender.finish();
        let mut agent = world.start(broker, engine);
        agent.until("the first messages", |agent| agent.metric("countermand_records_total") > 0.0);
        #[expect(clippy::cast_precision_loss, reason = "no count is that large")]
        let took = agent
            .until("all chains", |agent| agent.metric("countermand_inputs_total{result=\"decided\"}") >= chains as f64);
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
