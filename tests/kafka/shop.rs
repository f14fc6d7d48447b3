//! The demo's shop over the real broker, while agents are killed: at the end every unit of money and stock is accounted
//! for, and no effect was undone under two names.
//!
//! `COUNTERMAND_KILLS=300 cargo test --test kafka shop -- --nocapture` kills that often and prints the tally.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::{Child, Command as Process, Stdio},
    time::Duration,
};

use countermand::wire::proto::Command;
use prost::Message as _;
use serde_json::Value;

use crate::{
    agent::Agent,
    broker::{bootstrap, free_port},
    bus::{Reader, pass},
    traffic::Random,
    world::ENGINE,
};

/// Kills where nothing else is said.
const KILLS: usize = 12;

/// Longest time between two kills: from an agent's very start to well into its work.
const LIFE_MS: u64 = 4_000;

/// The agents of one group, of which one or two live.
struct Agents {
    folder: PathBuf,
    group: String,
    ports: [u16; 2],
}

impl Agents {
    fn start(&self, n: usize) -> Agent {
        let name = ["a", "b"][n];
        let file = self.folder.join(format!("{name}.toml"));
        let configuration = format!(
            r#"
            {ENGINE}
            [audit]
            file = "{name}.audit.jsonl"
            [routes]
            allow = ["inventory", "payment", "loyalty", "shipping"]
            [kafka]
            brokers = ["{}"]
            topics = ['^shop\..*']
            group = "{}"
            workers = 2
            session_timeout = "10s"
            transaction_timeout = "5s"
            "#,
            bootstrap(),
            self.group
        );
        std::fs::write(&file, configuration).expect("a configuration file");
        let file = file.display().to_string();
        Agent::spawn(&self.folder, name, &["--config", &file, "--instance", name], self.ports[n])
    }
}

/// The shop, which waits for the agent and then sells for a while.
fn open(seconds: u64, seed: u64, agent: u16) -> Child {
    let mut shop = Process::new(env!("CARGO_BIN_EXE_countermand"));
    shop.args(["demo", "--format", "json", "--rate", "10", "--bus", &format!("kafka://{}", bootstrap())]);
    shop.args(["--for", &format!("{seconds}s"), "--seed", &seed.to_string()]);
    shop.args(["--agent", &format!("http://127.0.0.1:{agent}")]);
    shop.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the shop")
}

#[test]
fn a_shop_whose_agents_are_killed_is_accounted_for() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("COUNTERMAND_SEED").unwrap_or(20_261_127);
    let kills = number("COUNTERMAND_KILLS").map_or(KILLS, |kills| usize::try_from(kills).unwrap_or(KILLS));
    println!("seed {seed} (COUNTERMAND_SEED), {kills} kills (COUNTERMAND_KILLS)");
    let mut random = Random::new(seed);
    let lives: Vec<u64> = (0..kills).map(|_| random.below(LIFE_MS)).collect();
    let name = format!("shop-{}", std::process::id());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let agents = Agents { folder, group: name, ports: [free_port(), free_port()] };
    // The shop makes its topics, and waits for the agent that reads them.
    let mut shop = open(lives.iter().sum::<u64>() / 1000 + 15, seed, agents.ports[0]);
    let mut first = Some(first(&agents, &mut shop));
    let mut second: Option<Agent> = None;
    let mut killed = [0, 0];
    for (n, life) in lives.iter().enumerate() {
        pass(Duration::from_millis(*life));
        // In the second half two agents share the partitions, and every death and birth moves them.
        if n >= kills / 2 && second.is_none() {
            second = Some(agents.start(1));
        }
        let which = usize::from(second.is_some() && random.below(2) == 1);
        let agent = if which == 1 { &mut second } else { &mut first };
        if let Some(agent) = agent {
            agent.kill();
        }
        *agent = Some(agents.start(which));
        killed[which] += 1;
    }
    let ended = shop.wait_with_output().expect("the shop ends");
    let accounts: Value = serde_json::from_slice(&ended.stdout).expect("the shop's accounts");
    assert_eq!((ended.status.code(), &accounts["accounted_for"]), (Some(0), &true.into()), "{accounts}");
    for agent in [first, second].into_iter().flatten() {
        assert!(agent.ready().terminate().success());
    }
    let commands = commands(accounts["run"].as_str().expect("a run"));
    let mut ids: BTreeMap<(String, String, i32), BTreeSet<String>> = BTreeMap::new();
    let mut times: BTreeMap<(String, u32), usize> = BTreeMap::new();
    for command in &commands {
        let about = (command.chain_id.clone(), command.call_id.clone(), command.action);
        ids.entry(about).or_default().insert(command.command_id.clone());
        *times.entry((command.command_id.clone(), command.attempt)).or_default() += 1;
    }
    let twice: Vec<_> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "effects with two command ids: {twice:?}");
    let again: Vec<_> = times.iter().filter(|((_, attempt), times)| **times > 1 || *attempt > 1).collect();
    assert!(again.is_empty(), "commands published again although they were answered at once: {again:?}");
    assert!(ids.len() as u64 >= accounts["undone"].as_u64().expect("a number"));
    println!(
        "{} kills ({} of the first agent, {} of the second), {} orders: {} placed, {} failed, {} answered too late; {} \
         failed chains, {} commands, each published once; every unit of money and stock accounted for",
        kills,
        killed[0],
        killed[1],
        accounts["orders"],
        accounts["placed"],
        accounts["failed"],
        accounts["too_late"],
        accounts["failed_chains"],
        times.len(),
    );
}

/// The first agent, once the shop's topics are there for it to read.
fn first(agents: &Agents, shop: &mut Child) -> Agent {
    let topics = ["shop.gateway", "shop.shipping"];
    crate::bus::until("the shop's topics", || {
        assert!(shop.try_wait().expect("a child").is_none(), "the shop ended");
        topics.iter().all(|topic| crate::bus::is_there(topic)).then_some(())
    });
    agents.start(0).ready()
}

/// What a participant that reads only what is committed gets of a run.
fn commands(run: &str) -> Vec<Command> {
    let topics = ["inventory", "payment", "loyalty", "shipping"].map(|name| format!("countermand.commands.{name}"));
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let commands = Reader::new(&names).rest().into_iter();
    let commands = commands.map(|got| Command::decode(&*got.payload).expect("a command"));
    commands.filter(|command| command.chain_id.starts_with(&format!("order-{run}-"))).collect()
}
